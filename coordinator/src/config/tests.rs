//! What a config file and flags are read as, and how a wrong one is told.

use clap::Parser;
use tempfile::TempDir;

use super::*;

#[derive(Debug, Parser)]
struct Serve {
    #[command(flatten)]
    flags: Flags,
}

fn load(text: &str, flags: &[&str]) -> Result<Config, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("coordinator.toml");
    fs::write(&path, text).unwrap();
    let mut given = vec!["serve", "--config", path.to_str().unwrap()];
    given.extend(flags);
    Config::load(&Serve::try_parse_from(given).unwrap().flags)
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = load("", &[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config, Config::load(&Flags::default()).unwrap());
    assert_eq!(config.listen_agents.to_string(), "0.0.0.0:7443");
    assert_eq!(config.listen_people.to_string(), "0.0.0.0:7444");
    assert_eq!(config.unreachable_after, Span::secs(30));
}

fn sources() -> Vec<SourceConfig> {
    vec![SourceConfig {
        name: "prom".parse().unwrap(),
        kind: SourceKind::Prometheus,
        url: "http://127.0.0.1:9090/below".parse().unwrap(),
    }]
}

#[test]
fn every_key_goes_over_its_default_and_every_flag_over_its_key() {
    let text = r#"
        data = "/a"
        listen_agents = "127.0.0.1:1"
        listen_people = "127.0.0.1:2"
        heartbeat_ms = 1000
        unreachable_after = "5s"
        snapshot_every = 3
        keep_entries = 4
        output_bytes_max = 2000000
        [[webhooks]]
        url = "https://a.example/x=y"
        events = ["rollout_held"]
        [[balancers]]
        name = "edge"
        haproxy = ["unix:/run/haproxy/admin.sock", "127.0.0.1:9"]
        [[sources]]
        name = "prom"
        kind = "prometheus"
        url = "http://127.0.0.1:9090/below"
    "#;
    let hook = |url: &str, events: &[&str]| WebhookConfig {
        url: url.parse().unwrap(),
        events: events.iter().map(|&event| event.parse().unwrap()).collect(),
    };
    let balancers = vec![BalancerConfig {
        name: "edge".into(),
        haproxy: vec![
            "unix:/run/haproxy/admin.sock".parse().unwrap(),
            "127.0.0.1:9".parse().unwrap(),
        ],
    }];
    let file = Config {
        data: "/a".into(),
        listen_agents: "127.0.0.1:1".parse().unwrap(),
        listen_people: "127.0.0.1:2".parse().unwrap(),
        webhooks: vec![hook("https://a.example/x=y", &["rollout_held"])],
        balancers: balancers.clone(),
        sources: sources(),
        heartbeat_ms: 1000,
        unreachable_after: Span::secs(5),
        snapshot_every: 3,
        keep_entries: 4,
        output_bytes_max: 2_000_000,
    };
    assert_eq!(load(text, &[]).unwrap(), file);
    let flags = "--data /b --listen-agents 127.0.0.1:3 --listen-people [::1]:4 --heartbeat-ms 2000 \
                 --unreachable-after 1m --snapshot-every 5 --keep-entries 6 --output-bytes-max 3000000 \
                 --webhook http://b.example/?q=1 --webhook rollout_held,rollout_ended=http://c.example/";
    let over = Config {
        data: "/b".into(),
        listen_agents: "127.0.0.1:3".parse().unwrap(),
        listen_people: "[::1]:4".parse().unwrap(),
        webhooks: vec![
            hook("http://b.example/?q=1", &[]),
            hook("http://c.example/", &["rollout_held", "rollout_ended"]),
        ],
        balancers,
        sources: sources(),
        heartbeat_ms: 2000,
        unreachable_after: Span::secs(60),
        snapshot_every: 5,
        keep_entries: 6,
        output_bytes_max: 3_000_000,
    };
    assert_eq!(load(text, &flags.split(' ').collect::<Vec<_>>()).unwrap(), over);
}

#[test]
fn a_fault_is_told_with_its_place_and_how_to_mend_it() {
    for (text, words) in [
        ("snapshot_evry = 5", &["line 1", "snapshot_evry", "snapshot_every"][..]),
        (
            "[[webhooks]]\nurl = 'http://x/'\nevent = []",
            &["line 3", "unknown field `event`", "`events`"],
        ),
        (
            "[[webhooks]]\nurl = 'http://x/'\nevents = ['wave_opened']",
            &["line 3", "wave_opened", "rollout_held"],
        ),
        ("unreachable_after = 30", &["line 1", "string"]),
        ("unreachable_after = 'soon'", &["line 1", "30s"]),
        (
            "unreachable_after = '15s'",
            &["unreachable_after is 15s", "two heartbeats"],
        ),
        ("heartbeat_ms = 1", &["heartbeat_ms is 1", "100"]),
        ("snapshot_every = 0", &["snapshot_every is 0"]),
        ("output_bytes_max = 1", &["output_bytes_max is 1"]),
        ("listen_people = '0.0.0.0:7443'", &["listen_people", "another port"]),
        ("listen_people = 'here'", &["line 1"]),
        ("[[webhooks]]\nurl = 'ftp://x/'", &["webhooks.url", "http"]),
        (
            "[[balancers]]\nname = 'a'\nhaproxy = ['here']",
            &["line 3", "unix:/path"],
        ),
        (
            "[[balancers]]\nname = 'a'\nhaproxy = []",
            &["balancers.haproxy", "at least one"],
        ),
        (
            "[[balancers]]\nname = 'a'\nhaproxy = ['[::1]:1']\n[[balancers]]\nname = 'a'\nhaproxy = ['[::1]:2']",
            &["balancers.name is a", "twice"],
        ),
        (
            "[[sources]]\nname = 'p'\nkind = 'influx'\nurl = 'http://x'",
            &["line 3", "influx", "prometheus", "graphite"],
        ),
        (
            "[[sources]]\nname = 'agents'\nkind = 'graphite'\nurl = 'http://x'",
            &["sources.name is agents", "otherwise"],
        ),
        (
            "[[sources]]\nname = 'p'\nkind = 'prometheus'\nurl = 'ftp://u:secret@x'",
            &["sources.url is ftp"],
        ),
        ("data = ", &["line 1"]),
    ] {
        let error = load(text, &[]).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{text:?} should tell {word:?}: {error}");
        }
    }
    let flags = Flags {
        config: Some("/no/such/file".into()),
        ..Flags::default()
    };
    let error = Config::load(&flags).unwrap_err().to_string();
    assert!(error.contains("/no/such/file"), "{error}");
}
