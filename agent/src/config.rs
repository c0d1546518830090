//! The agent's config file. Every key is checked when it is read; an unknown one is an error, because a misspelt key that
//! is passed over is found out on the worst day. Deliberately no environment variables and no defaults from elsewhere.

use std::{
    collections::BTreeMap,
    fs, io,
    num::{NonZeroU64, NonZeroUsize},
    path::{Component, Path, PathBuf},
};

use echelon_proto::{
    HostId, Label,
    limits::{LABEL_CHARS_MAX, LABELS_MAX},
};
use glob::Pattern;
use serde::Deserialize;

use crate::{facts::Facts, host, identity::Place, ledger::Store, link::Coordinator};

/// What the file says.
#[derive(Debug, Clone)]
pub struct Config {
    /// This host, as the coordinator knows it.
    pub host: HostId,
    /// Where the coordinator is.
    pub coordinator: Coordinator,
    /// The pinned CA, PEM.
    pub ca: PathBuf,
    /// Ledger, identity, runs, store.
    pub state_dir: PathBuf,
    /// Under it each app has its folder.
    pub apps_dir: PathBuf,
    /// Under it are the secrets that programs may be given.
    pub secrets_dir: PathBuf,
    /// In memory: where programs find their secrets.
    pub runtime_dir: PathBuf,
    /// Told to the coordinator and to programs.
    pub labels: BTreeMap<Label, String>,
    /// How artifacts are fetched.
    pub artifacts: host::Fetching,
    /// Files that people may look at from afar. None: what apps keep in `logs` of their folders.
    pub shown: Option<Vec<Pattern>>,
}

/// A config that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the config {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no TOML, or has a key or value that is none of ours.
    #[error("the config {path}, line {line}: {why}")]
    Text {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, and how to mend it.
        why: String,
    },
    /// One key's value.
    #[error("the config {path}, `{key}`: {why}")]
    Value {
        /// Which.
        path: PathBuf,
        /// Which.
        key: &'static str,
        /// What is wrong.
        why: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    host: HostId,
    coordinator: String,
    #[serde(default = "server_name")]
    server_name: String,
    ca: PathBuf,
    state_dir: PathBuf,
    apps_dir: PathBuf,
    secrets_dir: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
    #[serde(default)]
    labels: BTreeMap<Label, String>,
    artifact_bytes_max: Option<u64>,
    #[serde(default)]
    artifacts: Artifacts,
    #[serde(default)]
    diagnostics: Diagnostics,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Diagnostics {
    files: Option<Vec<String>>,
}

impl Diagnostics {
    /// An error says which of them is no pattern, and why.
    fn shown(self) -> Result<Option<Vec<Pattern>>, String> {
        let pattern = |text: &String| {
            let parts = Path::new(text).components();
            let is_whole = text.starts_with('/') && !parts.into_iter().any(|part| part == Component::ParentDir);
            if !is_whole {
                return Err(format!("{text:?} is no whole path: it begins with / and has no .."));
            }
            Pattern::new(text).map_err(|error| format!("{text:?}: {error}"))
        };
        self.files.map(|files| files.iter().map(pattern).collect()).transpose()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Artifacts {
    max_parallel: Option<NonZeroUsize>,
    bandwidth: Option<NonZeroU64>,
    keep_free: Option<u64>,
    ca: Option<PathBuf>,
    #[serde(default)]
    s3: S3,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct S3 {
    region: Option<String>,
    endpoint: Option<String>,
    credentials: Option<PathBuf>,
}

impl Artifacts {
    fn fetching(self, folder: &Path, bytes_max: Option<u64>) -> host::Fetching {
        let usual = host::Fetching::default();
        let from = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        host::Fetching {
            bytes_max: bytes_max.unwrap_or(usual.bytes_max),
            max_parallel: self.max_parallel.unwrap_or(usual.max_parallel),
            bandwidth: self.bandwidth,
            keep_free: self.keep_free.unwrap_or(usual.keep_free),
            ca: from(self.ca),
            s3: host::S3 {
                region: self.s3.region,
                endpoint: self.s3.endpoint,
                credentials: from(self.s3.credentials),
            },
        }
    }
}

fn server_name() -> String {
    "echelon-coordinator".to_owned()
}

impl Config {
    /// Reads and checks the file. Relative paths in it are taken from the file's folder.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let text = fs::read_to_string(path).map_err(io)?;
        let folder = std::path::absolute(path).map_err(io)?;
        let folder = folder.parent().unwrap_or(Path::new("/"));
        Self::parse(path, folder, &text)
    }

    fn parse(path: &Path, folder: &Path, text: &str) -> Result<Self, Error> {
        let file = path;
        let read: Text = toml::from_str(text).map_err(|error| Error::Text {
            path: file.to_owned(),
            line: error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1),
            why: error.message().replace('\n', "; "),
        })?;
        let value = |key, why: String| Error::Value {
            path: file.to_owned(),
            key,
            why,
        };
        if read.labels.len() > LABELS_MAX {
            return Err(value(
                "labels",
                format!("at most {LABELS_MAX}, not {}", read.labels.len()),
            ));
        }
        if let Some((label, _)) = read
            .labels
            .iter()
            .find(|(_, text)| text.chars().count() > LABEL_CHARS_MAX)
        {
            return Err(value(
                "labels",
                format!("{label} has more than {LABEL_CHARS_MAX} characters"),
            ));
        }
        let coordinator = Coordinator::new(&read.coordinator, &read.server_name)
            .map_err(|error| value("coordinator", error.to_string()))?;
        let or = |given: Option<PathBuf>, usual: &str| given.map_or_else(|| usual.into(), |given| folder.join(given));
        Ok(Self {
            host: read.host,
            coordinator,
            ca: folder.join(read.ca),
            state_dir: folder.join(read.state_dir),
            apps_dir: folder.join(read.apps_dir),
            secrets_dir: or(read.secrets_dir, "/etc/echelon/secrets"),
            runtime_dir: or(read.runtime_dir, "/run/echelon-agent"),
            labels: read.labels,
            shown: read
                .diagnostics
                .shown()
                .map_err(|why| value("diagnostics.files", why))?,
            artifacts: read.artifacts.fetching(folder, read.artifact_bytes_max),
        })
    }

    /// Where this host keeps who it is.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            host: self.host.clone(),
            identity: self.state_dir.join("identity.pem"),
            ca: self.ca.clone(),
            coordinator: self.coordinator.clone(),
        }
    }

    /// Where the ledger is.
    #[must_use]
    pub fn store(&self) -> Store {
        Store::File(self.state_dir.join("ledger"))
    }

    /// What this host is.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let folders = [("state", self.state_dir.clone()), ("apps", self.apps_dir.clone())];
        Facts {
            folders: folders.into(),
            ..Facts::read()
        }
    }

    /// How the host's work is done; `agent` is the binary that supervises programs.
    #[must_use]
    pub fn host(&self, agent: PathBuf) -> host::Settings {
        let usual = host::Settings::new(self.host.clone(), self.apps_dir.clone(), self.state_dir.clone(), agent);
        host::Settings {
            labels: self.labels.clone(),
            secrets_dir: self.secrets_dir.clone(),
            runtime_dir: self.runtime_dir.clone(),
            artifacts: self.artifacts.clone(),
            shown: self.shown.clone(),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "host = \"h1\"\ncoordinator = \"https://127.0.0.1:7443\"\nca = \"ca.pem\"\nstate_dir = \"state\"\n\
                        apps_dir = \"/srv/apps\"\n[labels]\nrack = \"r7\"\n";

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(Path::new("agent.toml"), Path::new("/etc/echelon"), text)
    }

    #[test]
    fn paths_are_taken_from_the_files_folder() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.state_dir, Path::new("/etc/echelon/state"));
        assert_eq!(config.apps_dir, Path::new("/srv/apps"));
        assert_eq!(config.labels.len(), 1);
        assert_eq!(config.secrets_dir, Path::new("/etc/echelon/secrets"));
        assert_eq!(config.runtime_dir, Path::new("/run/echelon-agent"));
        let own = parse(&GOOD.replace("apps_dir", "secrets_dir = \"mine\"\napps_dir")).unwrap();
        assert_eq!(own.secrets_dir, Path::new("/etc/echelon/mine"));
    }

    #[test]
    fn artifacts_are_fetched_as_it_says() {
        let usual = parse(GOOD).unwrap().artifacts;
        assert_eq!((usual.max_parallel.get(), usual.bandwidth), (4, None));
        let more = "artifact_bytes_max = 5\n[artifacts]\nmax_parallel = 1\nbandwidth = 1000\nkeep_free = 0\nca = \"more.pem\"\n\
                    [artifacts.s3]\nendpoint = \"https://s3.example\"\ncredentials = \"s3.toml\"\n[labels]";
        let own = parse(&GOOD.replace("[labels]", more)).unwrap().artifacts;
        assert_eq!((own.bytes_max, own.max_parallel.get(), own.keep_free), (5, 1, 0));
        assert_eq!(own.bandwidth.map(NonZeroU64::get), Some(1000));
        assert_eq!(own.ca.as_deref(), Some(Path::new("/etc/echelon/more.pem")));
        let s3 = own.s3;
        assert_eq!(s3.endpoint.as_deref(), Some("https://s3.example"));
        assert_eq!(s3.credentials.as_deref(), Some(Path::new("/etc/echelon/s3.toml")));
        for bad in ["max_parallel = 0", "bandwidth = 0", "bandwith = 1"] {
            let text = GOOD.replace("[labels]", &format!("[artifacts]\n{bad}\n[labels]"));
            assert!(parse(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_whole_paths_and_nothing_unless_it_is_named() {
        let named =
            |files: &str| parse(&GOOD.replace("[labels]", &format!("[diagnostics]\nfiles = {files}\n[labels]")));
        assert_eq!(parse(GOOD).unwrap().shown, None);
        assert_eq!(named("[]").unwrap().shown, Some(Vec::new()));
        assert_eq!(named("[\"/var/log/app/*.log\"]").unwrap().shown.unwrap().len(), 1);
        for bad in ["[\"logs/*\"]", "[\"/var/../etc/*\"]", "[\"/var/log/[\"]"] {
            let error = named(bad).unwrap_err().to_string();
            assert!(error.contains("`diagnostics.files`"), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line_and_the_known_ones() {
        let error = parse(&GOOD.replace("state_dir", "stat_dir")).unwrap_err().to_string();
        assert!(
            error.starts_with("the config agent.toml, line 4: unknown field `stat_dir`"),
            "{error}"
        );
        assert!(error.contains("`state_dir`"), "{error}");
    }

    #[test]
    fn a_bad_value_names_its_key() {
        for (from, to, wanted) in [
            ("\"h1\"", "\"../h1\"", "line 1: host \"../h1\" is not a name"),
            (
                "https://127.0.0.1:7443",
                "127.0.0.1",
                "`coordinator`: \"127.0.0.1\" is not",
            ),
            ("\"r7\"", "7", "line 7:"),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let long = GOOD.replace("r7", &"x".repeat(LABEL_CHARS_MAX + 1));
        assert!(parse(&long).unwrap_err().to_string().contains("`labels`"));
    }
}
