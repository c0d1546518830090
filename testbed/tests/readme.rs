//! The README's first rollout, typed as it stands there. Its ports are exchanged for free ones, because tests run beside
//! each other; nothing else is. Alone in its file: what it leaves running is found among this process's descendants.

use std::{fs, process::Stdio, time::Duration};

use echelon_testbed::{
    binaries::{Binaries, repository},
    place::Place,
    ports,
    reaper::{Reaper, descendants},
};
use tokio::{process::Command, time};

/// Two rollouts of a few seconds each, on a machine that is busy.
const WITHIN: Duration = Duration::from_secs(240);
const SECTION: &str = "## A first rollout of your own";
/// Of coordinator (two), the server of artifacts, and three hosts.
const PORTS: usize = 6;

/// The `sh` blocks of the section, in order.
fn commands(readme: &str) -> String {
    let section = readme.split_once(SECTION).expect("the README has its section").1;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut blocks = Vec::new();
    let mut rest = section;
    while let Some((_, opened)) = rest.split_once("```sh\n") {
        let (block, after) = opened.split_once("```").expect("the block has an end");
        blocks.push(block);
        rest = after;
    }
    assert!(blocks.len() >= 5, "{} blocks of commands", blocks.len());
    blocks.concat()
}

/// With ports that nobody has at the moment.
fn with_free_ports(commands: &str) -> String {
    let ports: [u16; PORTS] = ports::claim().unwrap();
    let one_of_three = format!("$(echo {} {} {} | cut -d' ' -f$n)", ports[3], ports[4], ports[5]);
    let changed = [
        ("127.0.0.1:7443", format!("127.0.0.1:{}", ports[0])),
        ("127.0.0.1:7444", format!("127.0.0.1:{}", ports[1])),
        ("127.0.0.1 9000", format!("127.0.0.1 {}", ports[2])),
        ("127.0.0.1:9000", format!("127.0.0.1:{}", ports[2])),
        ("port=900$n", format!("port={one_of_three}")),
    ];
    changed.iter().fold(commands.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in the README's commands");
        text.replace(from, to)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rollout_of_the_readme_runs_as_it_stands_there() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let commands = with_free_ports(&commands(&readme));
    let binaries = Binaries::build().await.unwrap();
    let place = Place::new("readme", false).unwrap();
    let _reaper = Reaper::new().unwrap();
    let path = format!(
        "{}:{}",
        binaries.cli.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let shell = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands])
        .env("PATH", path)
        .current_dir(place.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let said = time::timeout(WITHIN, shell).await.expect("it comes to an end").unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr),
    );
    assert!(said.status.success(), "{}\n{out}\n{err}", said.status);
    for release in ["1.0", "1.1"] {
        let succeeded =
            |line: &str| line.contains(&format!("hello {release}  SUCCEEDED")) && line.contains("3/3 hosts");
        assert!(out.lines().any(succeeded), "{release} does not succeed:\n{out}\n{err}");
    }
    let serving = out.lines().filter(|line| line.contains("hello 1.1 serving")).count();
    assert_eq!(serving, 3, "{out}");
    let ended = async {
        while descendants().iter().any(|left| left.command.contains("http.server")) {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(WITHIN, ended)
        .await
        .expect("its last line ends the servers");
}
