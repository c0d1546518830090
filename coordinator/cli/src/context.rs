//! Which coordinator, and as whom: a small TOML file of named contexts, each value of which a variable of the environment
//! or a flag overrides. No secrets in it: it names the files that hold them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    client::{SERVER_NAME, Settings},
    error::Error,
    exit::Exit,
};

/// The environment, handed in so that nothing below `main` reads it.
pub(crate) type Environment = BTreeMap<String, String>;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The context that counts when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// One context; what it leaves out must come from the environment or from flags.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// `https://host:port`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<String>,
    /// The name in the coordinator's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// PEM file of the CA. A relative path counts from the folder of this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM file of our certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl Context {
    /// This one, and the other where this says nothing.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            coordinator: self.coordinator.or(other.coordinator),
            server_name: self.server_name.or(other.server_name),
            ca: self.ca.or(other.ca),
            certificate: self.certificate.or(other.certificate),
            key: self.key.or(other.key),
        }
    }

    /// What the environment says.
    #[must_use]
    pub(crate) fn of_environment(environment: &Environment) -> Self {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        Self {
            coordinator: get("ECHELON_COORDINATOR"),
            server_name: get("ECHELON_SERVER_NAME"),
            ca: get("ECHELON_CA").map(Into::into),
            certificate: get("ECHELON_CERT").map(Into::into),
            key: get("ECHELON_KEY").map(Into::into),
        }
    }

    /// Relative paths made to count from `folder`.
    #[must_use]
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        for path in [&mut self.ca, &mut self.certificate, &mut self.key] {
            *path = path.take().map(|path| folder.join(path));
        }
        self
    }

    /// Everything that a connection needs.
    pub(crate) fn settings(self) -> Result<Settings, Error> {
        let missing = |what: &str, flag: &str, variable: &str| {
            Error::usage(format!(
                "no {what} is known: give --{flag}, set {variable}, or put it in a context"
            ))
            .next("echelon context set NAME --coordinator URL --ca FILE --cert FILE --key FILE")
        };
        Ok(Settings {
            coordinator: self
                .coordinator
                .ok_or_else(|| missing("coordinator", "coordinator", "ECHELON_COORDINATOR"))?,
            server_name: self.server_name.unwrap_or_else(|| SERVER_NAME.into()),
            ca: self.ca.ok_or_else(|| missing("CA", "ca", "ECHELON_CA"))?,
            certificate: self
                .certificate
                .ok_or_else(|| missing("certificate", "cert", "ECHELON_CERT"))?,
            key: self.key.ok_or_else(|| missing("key", "key", "ECHELON_KEY"))?,
        })
    }
}

impl Contexts {
    /// Reads the file; one that is not there holds no contexts.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Error::new(
                    Exit::Error,
                    format!("cannot read {}: {error}", path.display()),
                ));
            }
        };
        toml::from_str(&text)
            .map_err(|error| Error::usage(format!("{} is not a file of contexts: {error}", path.display())))
    }

    /// Writes the file whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let fault = |error: io::Error| Error::new(Exit::Error, format!("cannot write {}: {error}", path.display()));
        let text = toml::to_string(self).map_err(|error| fault(io::Error::other(error)))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(fault)?;
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}", std::process::id()));
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, path))
            .map_err(fault)
    }

    /// The named context; the current one when none is named; an empty one when there is no current.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<Context, Error> {
        let Some(name) = name.or(self.current.as_deref()) else {
            return Ok(Context::default());
        };
        self.contexts.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = self.contexts.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "there are none".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            Error::usage(format!("there is no context {name:?}: {known}")).next("echelon context show")
        })
    }
}

/// Where the file is: as told, `$ECHELON_CONFIG`, `$XDG_CONFIG_HOME/echelon/config.toml`, or under `~/.config`. Who has no home,
/// as what a timer or a build server starts, has no file either.
pub(crate) fn file(told: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let in_folder = |folder: &String| Path::new(folder).join("echelon/config.toml");
    let in_home = |home: &String| Path::new(home).join(".config/echelon/config.toml");
    told.map(Path::to_path_buf)
        .or_else(|| get("ECHELON_CONFIG").map(PathBuf::from))
        .or_else(|| get("XDG_CONFIG_HOME").map(in_folder))
        .or_else(|| get("HOME").map(in_home))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
current = "prod"
[contexts.prod]
coordinator = "https://c1:7444"
ca = "prod/ca.pem"
certificate = "/etc/echelon/ann.pem"
key = "/etc/echelon/ann.key"
"#;

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let contexts: Contexts = toml::from_str(FILE).unwrap();
        let file = contexts.choose(None).unwrap().within(Path::new("/people/ann"));
        let environment = [("ECHELON_COORDINATOR", "c2"), ("ECHELON_CERT", "bob.pem")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let flags = Context {
            coordinator: Some("c3".into()),
            ..Context::default()
        };
        let environment = Context::of_environment(&environment.into());
        let settings = flags.or(environment).or(file).settings().unwrap();
        assert_eq!(settings.coordinator, "c3");
        assert_eq!(settings.certificate, Path::new("bob.pem"));
        assert_eq!(settings.ca, Path::new("/people/ann/prod/ca.pem"));
        assert_eq!(settings.key, Path::new("/etc/echelon/ann.key"));
        assert_eq!(settings.server_name, "echelon-coordinator");
    }

    #[test]
    fn what_is_missing_is_named_with_the_ways_to_give_it() {
        let error = Context::default().settings().unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.what.contains("ECHELON_COORDINATOR"), "{error}");
    }

    #[test]
    fn an_unknown_context_and_a_misspelt_key_are_refused() {
        let contexts: Contexts = toml::from_str(FILE).unwrap();
        let error = contexts.choose(Some("test")).unwrap_err();
        assert!(error.what.contains("\"test\": there are prod"), "{error}");
        assert!(toml::from_str::<Contexts>(&FILE.replace("key =", "kye =")).is_err());
    }

    #[test]
    fn the_file_is_found_where_it_was_told_to_be() {
        let environment: Environment = [("HOME".to_owned(), "/people/ann".to_owned())].into();
        let found = |told| file(told, &environment).unwrap();
        assert_eq!(found(None), Path::new("/people/ann/.config/echelon/config.toml"));
        assert_eq!(found(Some(Path::new("x.toml"))), Path::new("x.toml"));
        assert_eq!(file(None, &Environment::new()), None);
    }

    #[test]
    fn contexts_written_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.toml");
        assert_eq!(Contexts::read(&path).unwrap(), Contexts::default());
        let contexts: Contexts = toml::from_str(FILE).unwrap();
        contexts.write(&path).unwrap();
        assert_eq!(Contexts::read(&path).unwrap(), contexts);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
