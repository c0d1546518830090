//! What the other steps need beyond what cargo fetches: two components of the toolchain and some of Debian's packages.
//! Deliberately no compiler of C: without one cargo could not have built this program. For C++ it needs none.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::unistd::geteuid;
use tokio::process::Command;

use super::{Found, job::Job, room::Room};
use crate::{binaries::cargo, screen};

/// Of an update of the lists, or of all packages.
const INSTALL_WITHIN: Duration = Duration::from_secs(600);
/// Debian's own: its packages are for no other.
pub(super) const PYTHON: &str = "/usr/bin/python3";

/// How it is seen that something is there.
#[derive(Debug, Clone, Copy)]
enum Sign {
    /// A program on PATH.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// Modules that Debian's Python can import.
    Modules(&'static str),
}

/// A package of Debian, what shows that it is there, and what it is for.
#[derive(Debug, Clone, Copy)]
struct Need {
    package: &'static str,
    sign: Sign,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        package: "g++",
        sign: Sign::Program("c++"),
        why: "libFuzzer is compiled with it",
    },
    Need {
        package: "strace",
        sign: Sign::Program("strace"),
        why: "the journal's tests watch its system calls",
    },
    Need {
        package: "haproxy",
        sign: Sign::File("/usr/sbin/haproxy"),
        why: "hosts are drained at a real load balancer",
    },
    Need {
        package: "prometheus",
        sign: Sign::Program("prometheus"),
        why: "canary gates are judged by what a real one has scraped",
    },
    Need {
        package: "btrfs-progs",
        sign: Sign::Program("btrfs"),
        why: "a power cut is a copy of a disk by reference",
    },
    Need {
        package: "graphite-carbon",
        sign: Sign::File("/usr/bin/carbon-cache"),
        why: "and by what a real Graphite was told",
    },
    Need {
        package: "graphite-web",
        sign: Sign::File("/usr/share/graphite-web/graphite.wsgi"),
        why: "is how that Graphite is asked",
    },
    Need {
        package: "graphviz",
        sign: Sign::Program("dot"),
        why: "the command's tests let it draw a playbook",
    },
    Need {
        package: "protobuf-compiler",
        sign: Sign::Program("protoc"),
        why: "makes the Python client",
    },
    Need {
        package: "protobuf-compiler-grpc",
        sign: Sign::Program("grpc_python_plugin"),
        why: "makes the Python client's calls",
    },
    Need {
        package: "libprotobuf-dev",
        sign: Sign::File("/usr/include/google/protobuf/timestamp.proto"),
        why: "our .proto files import it",
    },
    Need {
        package: "python3-grpcio",
        sign: Sign::Modules("import grpc, google.protobuf"),
        why: "the Python client runs on it",
    },
    Need {
        package: "python3-venv",
        sign: Sign::Modules("import ensurepip"),
        why: "moto's S3 and SciPy each have a Python of their own",
    },
    Need {
        package: "debootstrap",
        sign: Sign::File("/usr/sbin/debootstrap"),
        why: "makes the root of the real hosts",
    },
    Need {
        package: "systemd-container",
        sign: Sign::Program("systemd-nspawn"),
        why: "boots the real hosts",
    },
    Need {
        package: "nftables",
        sign: Sign::File("/usr/sbin/nft"),
        why: "is the firewall between the real hosts' datacenters",
    },
    Need {
        package: "iproute2",
        sign: Sign::Program("ip"),
        why: "makes the real hosts' networks",
    },
    Need {
        package: "procps",
        sign: Sign::File("/usr/sbin/sysctl"),
        why: "lets the real hosts' routers route",
    },
    Need {
        package: "lintian",
        sign: Sign::Program("lintian"),
        why: "looks at the .deb packages",
    },
    Need {
        package: "rpm",
        sign: Sign::Program("rpm"),
        why: "looks at the .rpm packages",
    },
];

impl Sign {
    async fn is_there(self) -> bool {
        match self {
            Self::Program(name) => program(name).is_some(),
            Self::File(path) => Path::new(path).is_file(),
            Self::Modules(import) => quiet(Command::new(PYTHON).args(["-c", import])).await,
        }
    }
}

/// Where a program is, as a shell looks for it.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// All of it is there, or is now.
pub(super) async fn look(room: &Room) -> anyhow::Result<Found> {
    let toolchain = toolchain().await;
    let packages = packages(room).await;
    match (toolchain, packages) {
        (Ok(()), Ok(said)) => Ok(Found::good(said)),
        (Err(one), Err(two)) => bail!("{one:#}; {two:#}"),
        (Err(error), Ok(_)) | (Ok(()), Err(error)) => Err(error),
    }
}

async fn toolchain() -> anyhow::Result<()> {
    for component in ["fmt", "clippy"] {
        if !quiet(cargo().args([component, "--version"])).await {
            bail!("there is no `cargo {component}`: rustup component add rustfmt clippy");
        }
    }
    Ok(())
}

async fn packages(room: &Room) -> anyhow::Result<String> {
    let missing = missing().await;
    if missing.is_empty() {
        return Ok("all is here".to_owned());
    }
    let names: Vec<_> = missing.iter().map(|need| need.package).collect();
    let names = names.join(" ");
    for need in &missing {
        screen::note(format_args!("{} is not here: {}", need.package, need.why));
    }
    if !geteuid().is_root() {
        bail!("as root: apt-get install --no-install-recommends {names}");
    }
    install(&missing, room)
        .await
        .with_context(|| format!("{names} cannot be installed"))?;
    match self::missing().await.first() {
        None => Ok(format!("installed {names}")),
        Some(need) => bail!("{} is installed, and still {:?} is not there", need.package, need.sign),
    }
}

async fn missing() -> Vec<&'static Need> {
    let mut missing = Vec::new();
    for need in NEEDS {
        if !need.sign.is_there().await {
            missing.push(need);
        }
    }
    missing
}

/// With the lists as they are, which is quick; if that fails, with new ones.
async fn install(missing: &[&Need], room: &Room) -> anyhow::Result<()> {
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(missing.iter().map(|need| need.package));
    let at_once = Job::new("needs", apt(&words), INSTALL_WITHIN).run(room).await?;
    if at_once.status.success() {
        return Ok(());
    }
    Job::new("needs-update", apt(&["update"]), INSTALL_WITHIN)
        .must(room)
        .await?;
    Job::new("needs", apt(&words), INSTALL_WITHIN)
        .must(room)
        .await
        .map(drop)
}

fn apt(words: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    // Another installation on this machine ends some time.
    apt.args(["-o", "DPkg::Lock::Timeout=120"])
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// Runs it without a word, and says whether it succeeded.
async fn quiet(command: &mut Command) -> bool {
    command
        .kill_on_drop(true)
        .output()
        .await
        .is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_there_is_seen_and_what_is_not_is_missed() {
        assert!(Sign::Program("sh").is_there().await);
        assert!(!Sign::Program("no-such-program").is_there().await);
        assert!(Sign::File("/proc/self/stat").is_there().await);
        assert!(!Sign::File("/proc/self/none").is_there().await);
        assert!(!Sign::Modules("import no_such_module_at_all").is_there().await);
    }
}
