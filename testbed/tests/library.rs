//! Shipped playbooks on real hosts: a coordinator, four agents in two datacenters, a real service in real archives whose
//! programs write down what they are asked for. Forward, restart, and back when a release is bad.

use std::{fs, path::Path, time::Duration};

use echelon_cli::exit::Exit;
use echelon_testbed::{
    binaries::Binaries,
    bundle::{Entry, pack},
    coordinator::Person,
    demo::{APP, Scene},
    sample::BAD_RELEASE,
};
use tokio::time;

/// Of one command, rollouts included.
const WITHIN: Duration = Duration::from_secs(120);

const START: &str = "setsid ./current/bin/service >service.log 2>&1 </dev/null & echo $! >service.pid";
const STOP: &str = "[ -f service.pid ] || exit 0
pid=$(cat service.pid); kill $pid 2>/dev/null || true
while [ -e /proc/$pid ] && ! grep -q '^State:.Z' /proc/$pid/status 2>/dev/null; do sleep 0.02; done
rm -f service.pid";

/// The sample service with a program for each step that a shipped playbook asks for; each writes its name into `steps`.
fn release(version: &str, testbed: &Path) -> Vec<Entry> {
    let service = format!(
        "#!/bin/sh\nexec '{}' sample-service --release \"$ECHELON_RELEASE_DIR\" --port \"$PORT\"\n",
        testbed.display()
    );
    let steps = [
        ("configure", "echo \"port = $PORT\" >app.conf"),
        ("unconfigure", "rm -f app.conf"),
        ("start", START),
        ("stop", STOP),
        ("take-oos", "rm -f in-service"),
        ("take-is", "touch in-service"),
    ];
    let mut entries = vec![
        Entry::file("VERSION", format!("{version}\n")),
        Entry::program("bin/service", service),
    ];
    entries.extend(steps.map(|(name, does)| {
        let text = format!("#!/bin/sh\nset -eu\necho {name} >>steps\n{does}\n");
        Entry::program(&format!("bin/{name}"), text)
    }));
    entries
}

struct Stage {
    scene: Scene,
    playbook: &'static str,
}

impl Stage {
    /// A fleet, three releases, and a playbook of one's own that extends the library's, in haste.
    async fn set(library: &'static str, params: &str) -> Self {
        let binaries = Binaries::build().await.unwrap();
        let testbed = binaries.testbed.clone();
        let mut scene = Scene::with(binaries, false).await.unwrap();
        scene.populate(&["dc1", "dc2"]).await.unwrap();
        let stage = Self {
            scene,
            playbook: library,
        };
        for version in ["1.0.0", "1.1.0", BAD_RELEASE] {
            let packed = pack(&release(version, &testbed)).unwrap();
            let artifact = stage.scene.origin.put(&format!("{APP}-{version}.tar.gz"), packed);
            let (digest, size) = (artifact.sha256.to_string(), artifact.size.to_string());
            let what = ["--url", &artifact.url, "--sha256", &digest, "--size", &size];
            stage
                .must(
                    &[&["release", "create", APP, version], what.as_slice()].concat(),
                    Exit::Done,
                )
                .await;
        }
        let text = format!(
            "name: {library}\nversion: 1\nextends: library/{library}@1\nwith: {{ bake: 0s, settled: 1s, max_unavailable: 50%{params} }}\n\
             hosts: {{ selector: \"app={APP}\" }}\n"
        );
        let file = stage.scene.hosts[0].app(APP).with_extension("yaml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        stage
            .must(&["playbook", "push", &file.display().to_string()], Exit::Done)
            .await;
        stage
    }

    async fn must(&self, words: &[&str], exit: Exit) {
        let cli = self.scene.coordinator.cli(Person::Alice);
        let said = time::timeout(WITHIN, cli.ask(words))
            .await
            .expect("it ends in time")
            .unwrap();
        assert_eq!(said.code, i32::from(exit.code()), "{words:?}: {said:?}");
    }

    /// Rolls, waits for the end, and gives what the hosts' programs were asked for meanwhile: the same on each host touched.
    async fn roll(&self, version: &str, more: &[&str], exit: Exit) -> Vec<String> {
        for host in &self.scene.hosts {
            let _none_yet = fs::remove_file(host.app(APP).join("steps"));
        }
        let start = [
            "start",
            APP,
            "--release",
            version,
            "--playbook",
            self.playbook,
            "--wait",
        ];
        self.must(&[&start, more].concat(), exit).await;
        let steps = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let mut all: Vec<String> = self
            .scene
            .hosts
            .iter()
            .map(|host| steps(&host.app(APP).join("steps")))
            .collect();
        all.retain(|steps| !steps.is_empty());
        all.sort();
        all.dedup();
        all.into_iter()
            .map(|steps| steps.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    async fn end(self) {
        self.scene.end().await.unwrap();
    }
}

#[tokio::test]
async fn glus_machine_goes_forward_restarts_and_comes_back() {
    let stage = Stage::set("glu-default", "").await;
    let fresh = stage.roll("1.0.0", &[], Exit::Done).await;
    assert_eq!(fresh, ["configure start"]);
    stage.scene.must_serve("1.0.0").await.unwrap();
    let forward = stage.roll("1.1.0", &[], Exit::Done).await;
    assert_eq!(forward, ["stop unconfigure configure start"]);
    stage.scene.must_serve("1.1.0").await.unwrap();
    let restart = stage.roll("1.1.0", &["--operation", "restart"], Exit::Done).await;
    assert_eq!(restart, ["stop start"]);
    stage.scene.must_serve("1.1.0").await.unwrap();
    // The canaries find it unwell, and go the whole way back.
    let back = stage.roll(BAD_RELEASE, &[], Exit::RolledBack).await;
    assert_eq!(
        back,
        ["stop unconfigure configure start stop unconfigure configure start"]
    );
    stage.scene.must_serve("1.1.0").await.unwrap();
    stage.end().await;
}

#[tokio::test]
async fn edges_datacenter_goes_forward_restarts_hard_and_soft_and_comes_back() {
    let stage = Stage::set("edge-dc", ", well_within: 4s").await;
    let fresh = stage.roll("1.0.0", &[], Exit::Done).await;
    assert_eq!(fresh, ["start take-is"]);
    stage.scene.must_serve("1.0.0").await.unwrap();
    let forward = stage.roll("1.1.0", &[], Exit::Done).await;
    assert_eq!(forward, ["take-oos stop start take-is"]);
    stage.scene.must_serve("1.1.0").await.unwrap();
    let restart = stage.roll("1.1.0", &["--operation", "restart"], Exit::Done).await;
    assert_eq!(restart, ["take-oos stop start take-is"]);
    let hard = stage.roll("1.1.0", &["--operation", "hard-restart"], Exit::Done).await;
    assert_eq!(hard, ["stop start take-is"], "past the load balancer");
    let hard = stage.roll("1.0.0", &["--operation", "hard-deploy"], Exit::Done).await;
    assert_eq!(hard, ["stop start take-is"], "past the load balancer");
    stage.scene.must_serve("1.0.0").await.unwrap();
    // It never answers its health check with 200, so no canary comes into service; each is tried twice.
    let back = stage.roll(BAD_RELEASE, &[], Exit::RolledBack).await;
    assert!(back.iter().all(|steps| steps.ends_with("start take-is")), "{back:?}");
    stage.scene.must_serve("1.0.0").await.unwrap();
    stage.end().await;
}
