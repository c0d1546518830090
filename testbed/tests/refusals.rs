//! Bad input through the whole ring, with real processes: each gives one clear error (what, where, how to mend) and its
//! exit code, nothing is changed, and the coordinator goes on. Texts are compared as far as they hold no port and no path.

mod refusals {
    pub(crate) mod ring;
}

use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use echelon_proto::Digest;
use echelon_testbed::{
    bundle::{self, Entry},
    cli::Said,
    coordinator::Person,
    origin::Artifact,
};
use refusals::ring::{Ring, packed, playbook};

/// What `help exit-codes` says.
const USAGE: i32 = 2;
const NOT_ALLOWED: i32 = 4;
const ROLLED_BACK: i32 = 5;
const CONFLICT: i32 = 7;
const UNREACHABLE: i32 = 11;

/// Bytes that no packer makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = Vec::with_capacity(bytes + 64);
    while noise.len() < bytes {
        let next = Digest::of(noise.get(noise.len().saturating_sub(64)..).unwrap_or_default());
        noise.extend_from_slice(next.to_string().as_bytes());
    }
    noise
}

fn big(version: &str) -> Vec<u8> {
    bundle::pack(&[
        Entry::file("VERSION", format!("{version}\n")),
        Entry::file("data", noise(400_000)),
    ])
    .unwrap()
}

/// The one line of a rollout's account that says what failed.
fn failure(said: &Said) -> &str {
    let failures: Vec<_> = said
        .out
        .lines()
        .filter(|line| line.contains('✖') && line.contains("phase"))
        .collect();
    assert_eq!(
        (failures.len(), said.err.as_str()),
        (1, ""),
        "one error, once: {said:?}"
    );
    failures[0].trim_start()
}

/// One error and nothing else, on standard error.
fn told(said: &Said, code: i32) -> &str {
    assert_eq!((said.code, said.out.as_str()), (code, ""), "{said:?}");
    assert_eq!(said.err.matches("error").count(), 1, "one error, once: {said:?}");
    &said.err
}

/// A release whose artifact is this one goes out, fails on the host, and comes back as it was.
async fn fails(ring: &Ring, release: &str, artifact: &Artifact) -> String {
    ring.release(release, artifact).await;
    let before = ring.look().await;
    let said = ring.start(release).await;
    assert_eq!(said.code, ROLLED_BACK, "{said:?}");
    ring.look().await.must_stand_as(&before);
    failure(&said).replace(&artifact.url, "URL")
}

#[tokio::test]
async fn a_wrong_digest_is_told_with_both_digests_and_the_host_comes_back() {
    let ring = Ring::serving().await;
    let found = ring.origin.put("web-1.1.0", packed("1.1.0"));
    let wanted = Digest::of(b"something else");
    let lying = Artifact {
        sha256: wanted,
        ..found.clone()
    };
    let text = fails(&ring, "1.1.0", &lying).await;
    let expected = format!(
        "✖ web-1 (dc1) phase install attempt 2 failed: URL: its sha256 is {}, the release says {wanted}; nothing of it \
         is kept: mend the release or the file",
        found.sha256
    );
    assert_eq!(text, expected);
    ring.must_go_on().await;
}

#[tokio::test]
async fn a_broken_download_is_resumed_where_it_broke() {
    let ring = Ring::serving().await;
    let artifact = ring.origin.put_in_pieces("pieces", big("1.1.0"), 64 * 1024);
    ring.release("1.1.0", &artifact).await;
    let said = ring.start("1.1.0").await;
    assert_eq!(said.code, 0, "{said:?}");
    let asked = ring.origin.asked("pieces");
    assert!(asked.len() >= 3, "it came in one piece: {asked:?}");
    assert!(
        asked.is_sorted_by(|one, next| one < next),
        "something was fetched twice: {asked:?}"
    );
    let data = fs::read(ring.host.app("web").join("current/data")).unwrap();
    assert!(data == noise(400_000), "the file is another one");
}

#[tokio::test]
async fn a_download_that_always_breaks_is_given_up_and_the_host_comes_back() {
    let ring = Ring::serving().await;
    let artifact = ring.origin.put_cut("cut", big("1.1.0"));
    let text = fails(&ring, "1.1.0", &artifact).await;
    let half = artifact.size / 2;
    let kept = format!("; {half} bytes are kept and the next try goes on from there");
    assert!(
        text.starts_with("✖ web-1 (dc1) phase install attempt 2 failed: URL: "),
        "{text}"
    );
    assert!(text.ends_with(&kept), "{text}");
    let asked = ring.origin.asked("cut");
    assert!(
        asked.starts_with(&[0, half]) && asked.len() > 3,
        "tried again from where it broke: {asked:?}"
    );
    ring.must_go_on().await;
}

#[tokio::test]
async fn an_archive_that_tries_to_leave_its_folder_is_refused_whole() {
    let ring = Ring::serving().await;
    let entries = [Entry::file("VERSION", "1.1.0"), Entry::file("../../../../escaped", "x")];
    let artifact = ring.origin.put("hostile", bundle::pack(&entries).unwrap());
    let text = fails(&ring, "1.1.0", &artifact).await;
    assert_eq!(
        text,
        "✖ web-1 (dc1) phase install attempt 2 failed: entry \"../../../../escaped\" of the archive has a `..` in its \
         path; nothing of it is installed"
    );
    assert!(!ring.has("escaped"), "it was written outside");
    ring.must_go_on().await;
}

/// The test's playbook as its second version, with one thing wrong: pushed, then linted.
async fn bad_playbook(good: &str, bad: &str) -> [String; 2] {
    let ring = Ring::serving().await;
    let text = fs::read_to_string(playbook()).unwrap();
    assert!(text.contains(good), "{good}");
    let text = text.replace("version: 1\n", "version: 2\n").replace(good, bad);
    let file = ring.file("web.yaml", &text);
    let before = ring.look().await;
    let pushed = ring.echelon(Person::Alice, &["playbook", "push", &file]).await;
    let linted = ring.echelon(Person::Alice, &["playbook", "lint", &file]).await;
    assert_eq!(ring.look().await, before);
    assert_eq!((pushed.code, linted.code), (USAGE, USAGE), "{pushed:?} {linted:?}");
    assert_eq!(
        (pushed.out.as_str(), linted.err.as_str()),
        ("", ""),
        "{pushed:?} {linted:?}"
    );
    ring.must_go_on().await;
    [pushed.err, linted.out].map(|said| said.replace(&file, "web.yaml"))
}

#[tokio::test]
async fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    let [pushed, linted] = bad_playbook("timeout: 45s", "timout: 45s").await;
    let what = "`timout` is no key of a phase";
    let next = "  next: echelon playbook lint web.yaml";
    assert_eq!(
        pushed,
        format!(
            "✖ error: the playbook is not valid: line 18, column 7: {what} (E010); did you mean `timeout`? \
             [INVALID]\n{next}\n"
        )
    );
    let place = "  --> web.yaml:18:7\n   |\n18 |       timout: 45s\n   |       ^^^^^^\n";
    let expected = format!("error[E010]: {what}\n{place}   = help: did you mean `timeout`?\n");
    assert!(linted.starts_with(&expected), "{linted}");
}

#[tokio::test]
async fn a_goal_that_cannot_be_reached_is_told_where_it_is_named() {
    let [pushed, linted] = bad_playbook("from: stopped, to: serving", "from: stopped, to: absent").await;
    let what = "`deploy` cannot be done from `absent`";
    let mend = "only absent, stopped can be reached: add a phase from one of them towards `serving`";
    assert_eq!(
        pushed.lines().next().unwrap(),
        format!("✖ error: the playbook is not valid: line 24, column 5: {what} (E041); {mend} [INVALID]")
    );
    let place = format!("error[E041]: {what}\n  --> web.yaml:24:5\n");
    assert!(linted.contains(&place), "{linted}");
    assert!(linted.contains(&format!("= help: {mend}\n")), "{linted}");
}

#[tokio::test]
async fn a_release_without_quotes_is_told_before_it_loses_its_zero() {
    let [pushed, linted] = bad_playbook("release: previous", "release: 1.10").await;
    let what = "release must be text, but YAML reads 1.10 as a number";
    let mend = "put it in quotes: \"1.10\"";
    assert_eq!(
        pushed.lines().next().unwrap(),
        format!("✖ error: the playbook is not valid: line 22, column 70: {what} (E027); {mend} [INVALID]")
    );
    let place = format!("error[E027]: {what}\n  --> web.yaml:22:70\n");
    assert!(linted.contains(&place), "{linted}");
}

#[tokio::test]
async fn a_join_token_lets_one_host_in_once() {
    let mut ring = Ring::bare().await;
    let token = ring.host.join(&ring.coordinator, &BTreeMap::new()).await.unwrap();
    ring.host.run().unwrap();
    ring.until_attached().await;
    let before = ring.look().await;
    // Its own name again on a machine of its own: a copied token. And another name.
    for name in ["web-1", "web-2"] {
        let thief = ring.another_host("elsewhere", name, &ring.coordinator).await;
        let error = thief.join_with(&token).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{name} cannot join: echelon-agent: the coordinator refuses {name}: this token does not let host {name} \
                 join: it was used, has expired, or is another host's; make a new token with `echelon host token {name}` \
                 and join with it"
            )
        );
    }
    assert!(
        !ring.has("elsewhere/web-2/state/identity.pem"),
        "no certificate was given"
    );
    assert_eq!(ring.look().await, before);
}

#[tokio::test]
async fn a_viewer_starts_nothing() {
    let ring = Ring::serving().await;
    ring.release("1.1.0", &ring.origin.put("web-1.1.0", packed("1.1.0")))
        .await;
    let before = ring.look().await;
    let words = ["start", "web", "--release", "1.1.0", "--playbook", "web", "--wait"];
    let said = ring.echelon(Person::Carol, &words).await;
    assert_eq!(
        told(&said, NOT_ALLOWED),
        "✖ error: carol has the role viewer; CreateRollout needs the role deployer [PERMISSION_DENIED]\n  next: echelon \
         context show\n"
    );
    assert_eq!(ring.look().await, before);
    ring.must_go_on().await;
}

#[tokio::test]
async fn a_stale_plan_says_what_has_changed() {
    let ring = Ring::serving().await;
    for release in ["1.1.0", "1.2.0"] {
        ring.release(release, &ring.origin.put(release, packed(release))).await;
    }
    let plan = [
        "plan",
        "web",
        "--release",
        "1.2.0",
        "--playbook",
        "web",
        "--output",
        "json",
    ];
    let plan = ring.echelon(Person::Alice, &plan).await;
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    let id = plan["name"].as_str().unwrap().strip_prefix("plans/").unwrap();
    assert_eq!(ring.start("1.1.0").await.code, 0);
    let before = ring.look().await;
    let said = ring.echelon(Person::Alice, &["start", "--plan", id, "--wait"]).await;
    assert_eq!(
        told(&said, CONFLICT),
        format!(
            "✖ error: plan {id} is stale: host web-1 stood in serving on 1.0.0 and stands in serving on 1.1.0; look at \
             the new one with `echelon plan web --release 1.2.0 --playbook web` [STALE_PLAN]\n"
        )
    );
    assert_eq!(ring.look().await, before);
    ring.must_go_on().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_opens_nothing() {
    let ring = Ring::serving().await;
    let stranger = ring.stranger().await;
    let before = ring.look().await;
    let theirs = stranger.environment(Person::Admin);
    let of = |names: &[&str]| -> Vec<_> {
        let named = theirs.iter().filter(|(name, _)| names.contains(&name.as_str()));
        named.cloned().collect()
    };
    let words = ["start", "web", "--release", "1.0.0", "--playbook", "web", "--wait"];
    let shown = ring.echelon_with(&of(&["ECHELON_CERT", "ECHELON_KEY"]), &words).await;
    assert_eq!(
        told(&shown, NOT_ALLOWED),
        "✖ error: the coordinator does not accept our certificate: expired, or of another CA\n  next: echelon context \
         show\n"
    );
    let trusted = ring.echelon_with(&of(&["ECHELON_CA"]), &words).await;
    assert_eq!(
        told(&trusted, UNREACHABLE),
        format!(
            "✖ error: {} has a certificate that the CA in {} has not signed: the wrong CA, or not our coordinator\n  \
             next: echelon context show\n",
            ring.coordinator.people,
            stranger.ca().display()
        )
    );
    let host = ring.another_host("elsewhere", "web-2", &stranger).await;
    assert_eq!(
        host.join_with("whatever").await.unwrap_err().to_string(),
        format!(
            "web-2 cannot join: echelon-agent: cannot connect to https://{}/: its certificate is not signed by the \
             pinned CA (`ca` in the config): the wrong file, or not our coordinator",
            ring.coordinator.agents
        )
    );
    assert_eq!(ring.look().await, before);
    ring.must_go_on().await;
}

#[tokio::test]
async fn nothing_that_a_host_does_not_show_is_seen_from_afar_and_not_by_everybody() {
    let mut ring = Ring::serving().await;
    let logs = ring.host.app("web").join("logs");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("web.log"), "one\ntwo\nthree\n").unwrap();
    symlink("/etc/passwd", logs.join("passwd")).unwrap();
    let path = |name: &str| logs.join(name).display().to_string();

    let shown = ring
        .echelon(Person::Alice, &["host", "tail", "web-1", &path("web.log"), "-n", "2"])
        .await;
    assert_eq!((shown.code, shown.out.as_str()), (0, "two\nthree\n"), "{shown:?}");
    let releases = ring.echelon(Person::Alice, &["host", "releases", "web-1", "web"]).await;
    assert!(releases.code == 0 && releases.out.contains("1.0.0"), "{releases:?}");
    let doctor = ring.echelon(Person::Alice, &["host", "doctor", "web-1"]).await;
    assert!(
        doctor.out.contains("✔ well") && doctor.out.contains("certificate"),
        "{doctor:?}"
    );

    for (name, why) in [
        ("passwd", "leads to a file that this host does not show"),
        (
            "../../../state/identity.pem",
            "is not among the files that this host shows",
        ),
        ("../current/VERSION", "is not among the files that this host shows"),
    ] {
        let said = ring
            .echelon(Person::Alice, &["host", "tail", "web-1", &path(name)])
            .await;
        let error = told(&said, 1);
        assert!(
            error.starts_with("✖ error: host web-1: ") && error.contains(why),
            "{error}"
        );
    }
    let said = ring
        .echelon(Person::Carol, &["host", "tail", "web-1", &path("web.log")])
        .await;
    assert!(
        told(&said, NOT_ALLOWED).contains("AskHost needs the role deployer"),
        "{said:?}"
    );

    ring.host.stop().await.unwrap();
    let away = async {
        loop {
            let said = ring.echelon(Person::Alice, &["host", "doctor", "web-1"]).await;
            if said.err.contains("host web-1 is not reachable since") {
                return said;
            }
        }
    };
    let said = tokio::time::timeout(std::time::Duration::from_secs(60), away)
        .await
        .unwrap();
    told(&said, 1);
}
