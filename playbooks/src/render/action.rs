//! What a phase, a verify or a probe does, written out.

use super::item::Item;
use crate::model::{
    Action, ArtifactVerb, Balance, BalancerVerb, Content, FileSpec, HttpCheck, Limits, Poll, Repeat, Run, SystemdVerb,
    TcpCheck, WhichRelease,
};

/// The entries that say it: one, or `uses` and its `with`.
pub(super) fn entries(action: &Action) -> Vec<(&'static str, Item)> {
    match action {
        Action::Run(of) => vec![("run", run(of))],
        Action::Http(check) => vec![("http", http(check))],
        Action::Tcp(TcpCheck { address, repeat }) => {
            vec![(
                "tcp",
                repeated(Item::map().with("address", Item::text(address)), *repeat),
            )]
        }
        Action::Systemd { unit, verb } => {
            let unit = Item::map().with("unit", Item::text(unit));
            vec![("systemd", unit.with("verb", Item::bare(systemd(*verb))))]
        }
        Action::Artifact { verb, release, keep } => artifact(*verb, *release, *keep),
        Action::Poll(of) => vec![("poll", poll(of))],
        Action::File(of) => vec![("file", file(of))],
        Action::Balancer(place) => balance(place),
    }
}

/// As a mapping of its own.
pub(super) fn action(action: &Action) -> Item {
    entries(action)
        .into_iter()
        .fold(Item::map(), |map, (key, value)| map.with(key, value))
}

fn run(run: &Run) -> Item {
    let Run {
        argv,
        env,
        cwd,
        user,
        limits: allowed,
        secrets,
    } = run;
    let secrets = secrets
        .iter()
        .fold(Item::map(), |map, (name, of)| map.with(name, Item::text(of)));
    let variables = env
        .iter()
        .fold(Item::map(), |map, (name, value)| map.with(name, Item::text(value)));
    Item::map()
        .with("argv", Item::List(argv.iter().map(Item::text).collect()))
        .with_some("env", variables.filled())
        .with_some("cwd", cwd.as_ref().map(Item::text))
        .with_some("user", user.as_ref().map(Item::text))
        .with_some("limits", limits(*allowed).filled())
        .with_some("secrets", secrets.filled())
}

fn limits(limits: Limits) -> Item {
    let Limits {
        cpu_percent,
        memory_bytes,
        open_files,
    } = limits;
    Item::map()
        .with_some("cpu", cpu_percent.map(|percent| Item::bare(format_args!("{percent}%"))))
        .with_some("memory", memory_bytes.map(bytes))
        .with_some("open_files", open_files.map(Item::bare))
}

/// With the largest unit that leaves a whole number.
fn bytes(bytes: u64) -> Item {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units
        .into_iter()
        .find(|(_, bits)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    match unit {
        Some((unit, bits)) => Item::bare(format_args!("{}{unit}", bytes >> bits)),
        None => Item::bare(bytes),
    }
}

fn poll(poll: &Poll) -> Item {
    let Poll { ask, every, until } = poll;
    // What must come back is said by `until`, and nothing is asked twice for one answer.
    let asked = match ask.as_ref() {
        Action::Http(check) => {
            let http = Item::map()
                .with("url", Item::text(&check.url))
                .with("request_timeout", Item::span(check.request_timeout));
            Item::map().with("http", http)
        }
        Action::Tcp(check) => Item::map().with("tcp", Item::map().with("address", Item::text(&check.address))),
        other => action(other),
    };
    asked.with("every", Item::span(*every)).with("until", Item::text(until))
}

fn file(file: &FileSpec) -> Item {
    let FileSpec {
        path,
        content,
        mode,
        owner,
        group,
    } = file;
    let map = Item::map().with("path", Item::text(path));
    let map = match content {
        Content::Text(text) => map.with("content", Item::text(text)),
        Content::Template(from) => map.with("template", Item::text(from)),
    };
    map.with("mode", Item::text(format_args!("{mode:04o}")))
        .with_some("owner", owner.as_ref().map(Item::text))
        .with_some("group", group.as_ref().map(Item::text))
}

fn balance(place: &Balance) -> Vec<(&'static str, Item)> {
    let Balance {
        verb,
        balancer,
        backend,
        server,
    } = place;
    let with = Item::map()
        .with("balancer", Item::text(balancer))
        .with("backend", Item::text(backend))
        .with("server", Item::text(server));
    let (name, with) = match verb {
        BalancerVerb::Drain => ("haproxy/drain@1", with),
        BalancerVerb::AwaitSessions { max } => ("haproxy/await-sessions@1", with.with("sessions", Item::bare(max))),
        BalancerVerb::Admit => ("haproxy/admit@1", with),
    };
    vec![("uses", Item::bare(name)), ("with", with)]
}

fn http(check: &HttpCheck) -> Item {
    let HttpCheck {
        url,
        status,
        contains,
        repeat,
        request_timeout,
    } = check;
    let map = Item::map()
        .with("url", Item::text(url))
        .with("status", Item::bare(status))
        .with_some("contains", contains.as_ref().map(Item::text));
    repeated(map, *repeat).with("request_timeout", Item::span(*request_timeout))
}

fn repeated(map: Item, repeat: Repeat) -> Item {
    let Repeat { consecutive, interval } = repeat;
    map.with("consecutive", Item::bare(consecutive))
        .with("interval", Item::span(interval))
}

fn systemd(verb: SystemdVerb) -> &'static str {
    match verb {
        SystemdVerb::Start => "start",
        SystemdVerb::Stop => "stop",
        SystemdVerb::Restart => "restart",
        SystemdVerb::Reload => "reload",
        SystemdVerb::Enable => "enable",
        SystemdVerb::Disable => "disable",
        SystemdVerb::IsActive => "is-active",
    }
}

fn artifact(verb: ArtifactVerb, release: WhichRelease, keep: Option<u32>) -> Vec<(&'static str, Item)> {
    let release = Item::bare(match release {
        WhichRelease::Target => "target",
        WhichRelease::Previous => "previous",
    });
    // Each has its own `with`, and would refuse another's.
    let (name, with) = match verb {
        ArtifactVerb::Fetch => ("artifact/fetch@1", Item::map().with("release", release)),
        ArtifactVerb::Install => (
            "artifact/install@1",
            Item::map()
                .with("release", release)
                .with_some("keep", keep.map(Item::bare)),
        ),
        ArtifactVerb::Activate => ("artifact/activate@1", Item::map().with("release", release)),
        ArtifactVerb::Remove => ("artifact/remove@1", Item::map()),
        ArtifactVerb::Prune => ("artifact/prune@1", Item::map().with_some("keep", keep.map(Item::bare))),
    };
    let uses = ("uses", Item::bare(name));
    match with.filled() {
        Some(with) => vec![uses, ("with", with)],
        None => vec![uses],
    }
}
