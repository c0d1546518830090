//! Who depends on whom, and how that is declared. Read from the manifests, and from cargo where it takes cargo to know.

use std::{collections::BTreeSet, process::Command};

use toml::{Table, Value};

use super::{offence::Offence, tree};

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Of ours, what each crate may see. Who is not named may be seen by nobody.
const SEES: [(&str, &[&str]); 16] = [
    ("echelon-proto", &[]),
    ("echelon-failpoint", &[]),
    // Conditions are evaluated by the engine and by agents, which must not come to different answers.
    ("echelon-condition", &[]),
    ("echelon-playbooks", &["echelon-condition", "echelon-proto"]),
    ("echelon-fuzz", &["echelon-playbooks"]),
    (
        "echelon-engine",
        &["echelon-condition", "echelon-playbooks", "echelon-proto"],
    ),
    // It knows numbers only: what they are of is others' to say.
    ("echelon-judge", &[]),
    ("echelon-shape", &["echelon-engine", "echelon-proto"]),
    (
        "echelon-rehearsal",
        &["echelon-engine", "echelon-playbooks", "echelon-proto"],
    ),
    (
        "echelon-coordinator",
        &[
            "echelon-engine",
            "echelon-failpoint",
            "echelon-judge",
            "echelon-playbooks",
            "echelon-proto",
            "echelon-shape",
        ],
    ),
    // Not the engine: what it rehearses is the engine's own word, and how that is shown is the wire's.
    (
        "echelon-cli",
        &[
            "echelon-judge",
            "echelon-playbooks",
            "echelon-proto",
            "echelon-rehearsal",
            "echelon-shape",
        ],
    ),
    (
        "echelon-agent",
        &["echelon-condition", "echelon-failpoint", "echelon-proto"],
    ),
    // Their manuals are made of their command lines.
    (
        "echelon-packages",
        &["echelon-agent", "echelon-cli", "echelon-coordinator"],
    ),
    (
        "echelon-sim",
        &[
            "echelon-agent",
            "echelon-coordinator",
            "echelon-engine",
            "echelon-playbooks",
            "echelon-proto",
        ],
    ),
    // Nobody links it: it takes the place of the process's clock.
    (
        "echelon-stack",
        &[
            "echelon-agent",
            "echelon-coordinator",
            "echelon-engine",
            "echelon-playbooks",
            "echelon-proto",
            "echelon-sim",
        ],
    ),
    (
        "echelon-testbed",
        &[
            "echelon-agent",
            "echelon-cli",
            "echelon-coordinator",
            "echelon-engine",
            "echelon-judge",
            "echelon-playbooks",
            "echelon-proto",
            "echelon-sim",
        ],
    ),
];

/// Crates that must do no IO: they take proto without its `wire`.
const PURE: [&str; 5] = [
    "echelon-condition",
    "echelon-playbooks",
    "echelon-engine",
    "echelon-judge",
    "echelon-rehearsal",
];

/// What no pure crate may have below it, however deep.
const IMPURE: [&str; 17] = [
    "async-std",
    "axum",
    "futures",
    "h2",
    "hyper",
    "mio",
    "prost",
    "rand",
    "reqwest",
    "rustls",
    "sled",
    "smol",
    "socket2",
    "tokio",
    "tonic",
    "tracing",
    "getrandom",
];

/// TLS that is not ours: one provider in the whole tree.
const FOREIGN_TLS: [&str; 4] = ["ring", "openssl", "openssl-sys", "native-tls"];

struct Dependency<'a> {
    name: &'a str,
    kind: &'a str,
    value: &'a Value,
    line: usize,
}

/// A manifest that was read.
pub(crate) struct Manifest<'a> {
    path: &'a str,
    text: &'a str,
    table: Table,
}

impl<'a> Manifest<'a> {
    /// # Panics
    /// When it is not TOML.
    pub(crate) fn read(path: &'a str, text: &'a str) -> Self {
        let table = toml::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path, text, table }
    }

    fn name(&self) -> &str {
        self.table
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Of all kinds, those of one target too.
    fn dependencies(&self) -> Vec<Dependency<'_>> {
        let targets = self
            .table
            .get("target")
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(Table::values);
        let tables = std::iter::once(&self.table).chain(targets.filter_map(Value::as_table));
        tables
            .flat_map(|table| KINDS.iter().map(move |kind| (table, *kind)))
            .filter_map(|(table, kind)| Some((table.get(kind)?.as_table()?, kind)))
            .flat_map(|(table, kind)| table.iter().map(move |(name, value)| (name, kind, value)))
            .map(|(name, kind, value)| Dependency {
                name,
                kind,
                value,
                line: self.line(name),
            })
            .collect()
    }

    fn line(&self, key: &str) -> usize {
        let begins = |line: &str| {
            let rest = line.trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        };
        self.text.lines().position(begins).map_or(1, |at| at + 1)
    }

    fn offence(&self, line: usize, rule: String, mend: &'static str) -> Offence {
        Offence::new(self.path, line, rule, mend)
    }

    /// A version, a path or a source of its own.
    pub(crate) fn declared_here(&self) -> Vec<Offence> {
        let taken = |value: &Value| {
            let table = value.as_table();
            let from_workspace = table.and_then(|table| table.get("workspace")).and_then(Value::as_bool);
            let own = ["version", "path", "git", "registry", "package", "branch", "rev", "tag"];
            from_workspace == Some(true) && !table.is_some_and(|table| own.iter().any(|key| table.contains_key(*key)))
        };
        let wrong = self
            .dependencies()
            .into_iter()
            .filter(|dependency| !taken(dependency.value));
        let tell = |dependency: Dependency<'_>| {
            let rule = format!("`{}` of {} is declared here", dependency.name, dependency.kind);
            let mend = "declare it in the workspace's Cargo.toml, and here: NAME.workspace = true";
            self.offence(dependency.line, rule, mend)
        };
        wrong.map(tell).collect()
    }

    /// A crate of ours that it may not see.
    pub(crate) fn sees(&self) -> Vec<Offence> {
        let Some((_, allowed)) = SEES.iter().find(|(name, _)| *name == self.name()) else {
            let rule = format!("the house knows no crate `{}`", self.name());
            return vec![self.offence(1, rule, "say in tidy/manifests.rs what it may see")];
        };
        let ours = self
            .dependencies()
            .into_iter()
            .filter(|dependency| dependency.name.starts_with("echelon-"));
        let wrong = ours.filter(|dependency| !allowed.contains(&dependency.name));
        let tell = |dependency: Dependency<'_>| {
            let rule = format!("{} may not see {}", self.name(), dependency.name);
            self.offence(dependency.line, rule, "what both need belongs into echelon-proto")
        };
        wrong.map(tell).collect()
    }

    /// Proto's `wire` in a crate that must do without.
    pub(crate) fn wired(&self) -> Option<Offence> {
        let dependencies = self.dependencies();
        let proto = dependencies
            .iter()
            .find(|dependency| dependency.name == "echelon-proto")?;
        let wired = proto
            .value
            .get("features")
            .and_then(Value::as_array)
            .is_some_and(|features| !features.is_empty());
        let rule = format!("{} takes echelon-proto with features", self.name());
        (wired && PURE.contains(&self.name()))
            .then(|| self.offence(proto.line, rule, "take it plain: echelon-proto.workspace = true"))
    }

    /// Lints of its own, or none.
    pub(crate) fn lints(&self) -> Option<Offence> {
        let lints = self
            .table
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(Value::as_bool);
        let rule = "the workspace's lints do not hold here".to_owned();
        (lints != Some(true)).then(|| self.offence(1, rule, "add [lints] workspace = true"))
    }

    /// sled, but in the coordinator.
    pub(crate) fn stores(&self) -> Option<Offence> {
        let dependencies = self.dependencies();
        let sled = dependencies.iter().find(|dependency| dependency.name == "sled")?;
        let rule = format!("{} takes sled", self.name());
        (self.name() != "echelon-coordinator").then(|| self.offence(sled.line, rule, "go through the journal"))
    }
}

/// Declared for the workspace and used by no crate.
pub(crate) fn unused(workspace: &Manifest<'_>, members: &[Manifest<'_>]) -> Vec<Offence> {
    let used: BTreeSet<String> = members
        .iter()
        .flat_map(Manifest::dependencies)
        .map(|dependency| dependency.name.to_owned())
        .collect();
    let declared = workspace
        .table
        .get("workspace")
        .and_then(|table| table.get("dependencies"))
        .and_then(Value::as_table);
    let unused = declared
        .into_iter()
        .flat_map(Table::keys)
        .filter(|name| !used.contains(*name));
    unused
        .map(|name| workspace.offence(workspace.line(name), format!("no crate uses `{name}`"), "take it out"))
        .collect()
}

/// Crates below these, as cargo resolves them for this machine.
///
/// # Panics
/// When cargo cannot say.
pub(crate) fn below(packages: &[&str], edges: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.args([
        "tree",
        "--locked",
        "--offline",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--edges",
        edges,
    ]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let output = cargo.current_dir(tree::top()).output().unwrap();
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

pub(crate) fn impure(package: &str, below: &BTreeSet<String>) -> Vec<Offence> {
    let manifest = match package {
        "echelon-engine" => "coordinator/engine/Cargo.toml",
        "echelon-judge" => "coordinator/judge/Cargo.toml",
        "echelon-rehearsal" => "coordinator/rehearsal/Cargo.toml",
        "echelon-condition" => "playbooks/condition/Cargo.toml",
        _ => "playbooks/Cargo.toml",
    };
    let found = IMPURE.iter().filter(|name| {
        below
            .iter()
            .any(|found| found == *name || found.starts_with(&format!("{name}-")))
    });
    let mend = "IO, clocks and chance belong to the shell; `cargo tree -p PACKAGE -i NAME` says whence it comes";
    found
        .map(|name| Offence::new(manifest, 1, format!("{package} has {name} below it"), mend))
        .collect()
}

pub(crate) fn foreign_tls(below: &BTreeSet<String>) -> Vec<Offence> {
    let found = FOREIGN_TLS.iter().filter(|name| below.contains(**name));
    let mend = "aws-lc-rs is the one provider: `cargo tree -i NAME -e features` says which feature brings it";
    found
        .map(|name| Offence::new("Cargo.lock", 1, format!("{name} is built"), mend))
        .collect()
}

pub(crate) fn pure() -> [&'static str; 5] {
    PURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest<'_> {
        Manifest::read("x/Cargo.toml", text)
    }

    #[test]
    fn a_dependency_that_is_declared_in_a_member_offends() {
        let bad = [
            "[dependencies]\nserde = \"1\"\n",
            "[dev-dependencies]\nserde = { version = \"1\" }\n",
            "[dependencies.serde]\nversion = \"1\"\n",
            "[build-dependencies]\nx = { path = \"../x\" }\n",
            "[target.'cfg(unix)'.dependencies]\nnix = \"0.31\"\n",
        ];
        for text in bad {
            assert_eq!(manifest(text).declared_here().len(), 1, "{text}");
        }
        let good = "[dependencies]\nserde.workspace = true\nx = { workspace = true, features = [\"y\"] }\n";
        assert!(manifest(good).declared_here().is_empty());
        assert_eq!(
            manifest("[dependencies]\nb.workspace = true\na = \"1\"\n").declared_here()[0].line,
            3
        );
    }

    #[test]
    fn a_crate_that_sees_what_it_must_not_offends() {
        let bad = [
            ("echelon-agent", "echelon-coordinator"),
            ("echelon-coordinator", "echelon-agent"),
            ("echelon-cli", "echelon-engine"),
            ("echelon-engine", "echelon-testbed"),
            ("echelon-proto", "echelon-playbooks"),
            ("echelon-new", "echelon-proto"),
        ];
        for (name, other) in bad {
            let text = format!("[package]\nname = \"{name}\"\n[dev-dependencies]\n{other}.workspace = true\n");
            assert_eq!(manifest(&text).sees().len(), 1, "{text}");
        }
        let good = "[package]\nname = \"echelon-cli\"\n[dependencies]\nechelon-playbooks.workspace = true\n";
        assert!(manifest(good).sees().is_empty());
    }

    #[test]
    fn the_wire_in_the_engine_offends_and_sled_in_the_agent() {
        let wired = "[package]\nname = \"echelon-engine\"\n[dependencies]\nechelon-proto = { workspace = true, features = [\"wire\"] }\n";
        assert!(manifest(wired).wired().is_some());
        assert!(manifest(&wired.replace("engine", "agent")).wired().is_none());
        let stores = "[package]\nname = \"echelon-agent\"\n[dependencies]\nsled.workspace = true\n";
        assert!(manifest(stores).stores().is_some());
        assert!(manifest(&stores.replace("agent", "coordinator")).stores().is_none());
    }

    #[test]
    fn a_crate_without_the_workspaces_lints_offends() {
        assert!(manifest("[package]\nname = \"x\"\n").lints().is_some());
        assert!(manifest("[lints]\nworkspace = true\n").lints().is_none());
    }

    #[test]
    fn what_nobody_uses_offends() {
        let workspace = manifest("[workspace.dependencies]\nused = \"1\"\nspare = \"1\"\n");
        let member = manifest("[dev-dependencies]\nused.workspace = true\n");
        let offences = unused(&workspace, &[member]);
        assert_eq!((offences.len(), offences[0].line), (1, 3));
    }

    #[test]
    fn what_a_crate_has_below_it_is_looked_at() {
        let below = ["tokio-util", "serde", "ring"].map(str::to_owned).into();
        assert_eq!(impure("echelon-engine", &below).len(), 1);
        assert_eq!(foreign_tls(&below).len(), 1);
        let clean = ["serde", "randomly", "spring"].map(str::to_owned).into();
        assert!(impure("echelon-engine", &clean).is_empty() && foreign_tls(&clean).is_empty());
    }
}
