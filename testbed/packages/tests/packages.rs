//! The packages themselves, as dpkg and rpm see them: what they hold, where it goes, whose it is, what their scripts do. Made
//! by the real program of a small stranger in the place of the compiled ones, because what is asked here is not what they do.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Packages of one crate.
struct Made {
    folder: TempDir,
    files: Vec<PathBuf>,
}

fn make(product: &str) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("dist");
    fs::create_dir(&programs).unwrap();
    for name in ["echelon", "echelon-agent", "echelon-coordinator"] {
        fs::copy("/bin/true", programs.join(name)).unwrap();
    }
    let mut packages = Command::new(env!("CARGO_BIN_EXE_echelon-packages"));
    packages
        .args(["--no-build", "--format", "deb", "--format", "rpm", "--only", product])
        .env("CARGO_TARGET_DIR", folder.path());
    let said = packages.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said = String::from_utf8(said.stdout).unwrap();
    let files: Vec<_> = said.lines().map(PathBuf::from).collect();
    assert_eq!(files.len(), 2, "{said}");
    assert!(
        files
            .iter()
            .all(|file| file.starts_with(folder.path().join("packages"))),
        "{said}"
    );
    Made { folder, files }
}

impl Made {
    fn deb(&self) -> &Path {
        &self.files[0]
    }

    fn rpm(&self) -> &Path {
        &self.files[1]
    }
}

/// What a tool says. None: this machine does not have it; `cargo verify` sees to that.
fn ask(tool: &str, words: &[&str], file: &Path) -> Option<String> {
    let said = Command::new(tool).args(words).arg(file).output().ok()?;
    assert!(
        said.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    Some(String::from_utf8(said.stdout).unwrap())
}

/// Mode, owner and path of each file.
fn listing(deb: &Path) -> BTreeSet<(String, String, String)> {
    let said = ask("dpkg-deb", &["--contents"], deb).expect("dpkg-deb");
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        (words[0].clone(), words[1].clone(), words[5].clone())
    };
    said.lines()
        .map(row)
        .filter(|(mode, _, _)| !mode.starts_with('d'))
        .collect()
}

fn files(listing: &BTreeSet<(String, String, String)>) -> BTreeSet<&str> {
    listing
        .iter()
        .map(|(_, _, path)| path.trim_start_matches('.'))
        .collect()
}

fn control(deb: &Path, part: &str) -> String {
    let said = Command::new("dpkg-deb")
        .args(["--info"])
        .arg(deb)
        .arg(part)
        .output()
        .unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn the_agents_deb_holds_its_unit_folders_config_and_manual_and_all_is_roots() {
    let made = make("agent");
    let listing = listing(made.deb());
    let found = files(&listing);
    for path in [
        "/usr/bin/echelon-agent",
        "/usr/lib/systemd/system/echelon-agent.service",
        "/usr/lib/tmpfiles.d/echelon-agent.conf",
        "/etc/echelon/agent.toml.example",
        "/usr/share/man/man1/echelon-agent.1.gz",
        "/usr/share/man/man1/echelon-agent-join.1.gz",
        "/usr/share/doc/echelon-agent/README.md",
        "/usr/share/doc/echelon-agent/copyright",
        "/usr/share/doc/echelon-agent/changelog.Debian.gz",
    ] {
        assert!(found.contains(path), "{path} in {found:?}");
    }
    assert!(
        !found.contains("/etc/echelon/agent.toml"),
        "a package configures nothing"
    );
    assert!(listing.iter().all(|(_, owner, _)| owner == "0/0"), "{listing:?}");
    let program = listing
        .iter()
        .find(|(_, _, path)| path.ends_with("/bin/echelon-agent"))
        .unwrap();
    assert_eq!(program.0, "-rwxr-xr-x");
    assert_eq!(control(made.deb(), "conffiles"), "/etc/echelon/agent.toml.example\n");
}

#[test]
fn a_deb_starts_nothing_restarts_only_what_ran_and_purge_takes_the_state() {
    for (product, name) in [("agent", "echelon-agent"), ("coordinator", "echelon-coordinator")] {
        let made = make(product);
        let after = control(made.deb(), "postinst");
        assert!(
            after.contains("deb-systemd-invoke try-restart") || after.contains("restart-only-if-active"),
            "{after}"
        );
        for line in after.lines().filter(|line| line.contains("deb-systemd-invoke")) {
            assert!(
                !line.contains("invoke start") && !line.contains("invoke restart"),
                "{line}"
            );
        }
        assert!(
            after.contains(&format!("deb-systemd-helper enable '{name}.service'"))
                || after.contains(&format!("deb-systemd-helper enable {name}.service")),
            "{after}"
        );
        let gone = control(made.deb(), "postrm");
        let state = name.trim_start_matches("echelon-");
        assert!(gone.contains(&format!("rm -rf /var/lib/echelon/{state}")), "{gone}");
        let purge = gone.split("rm -rf").next().unwrap();
        assert!(purge.contains("= purge"), "only on purge: {gone}");
    }
}

#[test]
fn the_coordinators_user_is_made_before_its_folder() {
    let made = make("coordinator");
    let listing = listing(made.deb());
    let found = files(&listing);
    assert!(
        found.contains("/usr/lib/sysusers.d/echelon-coordinator.conf"),
        "{found:?}"
    );
    assert_eq!(control(made.deb(), "conffiles"), "/etc/echelon/coordinator.toml\n");
    let after = control(made.deb(), "postinst");
    let at = |what: &str| after.find(what).unwrap_or_else(|| panic!("no {what} in {after}"));
    assert!(at("systemd-sysusers") < at("systemd-tmpfiles"), "{after}");
}

#[test]
fn the_commands_deb_brings_a_manual_of_each_verb_and_completions() {
    let made = make("cli");
    let listing = listing(made.deb());
    let found = files(&listing);
    for path in [
        "/usr/bin/echelon",
        "/usr/share/man/man1/echelon.1.gz",
        "/usr/share/man/man1/echelon-start.1.gz",
        "/usr/share/bash-completion/completions/echelon",
    ] {
        assert!(found.contains(path), "{path} in {found:?}");
    }
    assert!(
        !found
            .iter()
            .any(|path| path.contains("agent") || path.contains("coordinator")),
        "{found:?}"
    );
}

#[test]
fn an_rpm_holds_what_the_deb_holds_and_starts_nothing() {
    for product in ["agent", "coordinator", "cli"] {
        let made = make(product);
        let Some(rpm) = ask("rpm", &["--query", "--package", "--list"], made.rpm()) else {
            continue;
        };
        let plain = |path: &str| path.trim_end_matches(".gz").to_owned();
        let rpm: BTreeSet<_> = rpm.lines().map(plain).collect();
        let listing = listing(made.deb());
        // What only Debian asks for.
        let debian = ["changelog.Debian", "copyright"];
        let deb = files(&listing).into_iter().map(plain);
        let deb: BTreeSet<_> = deb
            .filter(|path| !debian.iter().any(|name| path.ends_with(name)))
            .collect();
        assert_eq!(rpm, deb);
        let scripts = ask("rpm", &["--query", "--package", "--scripts"], made.rpm()).unwrap();
        assert!(
            !scripts.contains("systemctl start") && !scripts.contains("systemctl restart"),
            "{scripts}"
        );
        let needs = ask("rpm", &["--query", "--package", "--requires"], made.rpm()).unwrap();
        assert!(needs.contains("libc.so.6(GLIBC_2."), "{needs}");
        let recommends = ask("rpm", &["--query", "--package", "--recommends"], made.rpm()).unwrap();
        assert_eq!(recommends.trim() == "ca-certificates", product != "cli", "{recommends}");
        let config = ask("rpm", &["--query", "--package", "--configfiles"], made.rpm()).unwrap();
        assert_eq!(config.trim().is_empty(), product == "cli", "{config}");
    }
}

#[test]
fn lintian_finds_no_error() {
    for product in ["agent", "coordinator", "cli"] {
        let made = make(product);
        let mut lintian = Command::new("lintian");
        // Not of Debian itself: no bug of theirs asked for it, and the stranger in it is of another package.
        lintian
            .args(["--fail-on", "error", "--tag-display-limit", "0"])
            .arg(made.deb())
            // It leaves its databases there.
            .env("TMPDIR", made.folder.path());
        let Ok(said) = lintian.output() else {
            continue;
        };
        let said = String::from_utf8(said.stdout).unwrap();
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("E: ")).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn the_artifact_of_an_agent_holds_its_binary_and_what_the_playbook_calls() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dist")).unwrap();
    let binary = folder.path().join("dist/echelon-agent");
    fs::write(&binary, "#!/bin/sh\necho echelon-agent 7.8.9\n").unwrap();
    fs::set_permissions(&binary, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut packages = Command::new(env!("CARGO_BIN_EXE_echelon-packages"));
    packages
        .args(["--no-build", "--format", "artifact"])
        .env("CARGO_TARGET_DIR", folder.path());
    let said = packages.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said = String::from_utf8(said.stdout).unwrap();
    let file = folder.path().join("packages/echelon-agent-7.8.9.tar.gz");
    assert_eq!(said.trim(), file.display().to_string(), "of the agent alone");
    let held = ask("tar", &["--list", "--verbose", "--file"], &file).unwrap();
    let held: Vec<_> = held
        .lines()
        .map(|line| (&line[..10], line.rsplit(' ').next().unwrap()))
        .collect();
    assert_eq!(
        held,
        [("-rwxr-xr-x", "bin/echelon-agent"), ("-rwxr-xr-x", "bin/upgrade")]
    );
    let playbook = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../playbooks/library/agent-upgrade.yaml"
    ));
    assert!(playbook.unwrap().contains("./current/bin/upgrade"));
}
