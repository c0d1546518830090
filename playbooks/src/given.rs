//! What is given to the reader beside the text of a playbook: values for its parameters, and the text of the playbook that
//! it extends. Deliberately no judgement of either: that is the reader's.

use std::{collections::BTreeMap, fmt, str::FromStr};

use echelon_proto::{ParamName, PlaybookName};

/// Finds the text of a playbook that another one extends. What it does not know is looked for in the shipped library.
pub type Bases<'a> = dyn Fn(&BaseName) -> Option<String> + 'a;

/// What is given beside the text. The default gives nothing: bases are of the library, parameters have their defaults.
#[derive(Clone, Default)]
pub struct Given<'a> {
    /// Values of the playbook's own parameters, each as it would stand in the playbook.
    pub params: BTreeMap<ParamName, String>,
    /// Where a base is found before the library is asked.
    pub bases: Option<&'a Bases<'a>>,
}

impl fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given")
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

/// What `extends` names: `web-base@3`, which somebody pushed, or `library/systemd-rolling@1`, which comes with Echelon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseName {
    /// It comes with Echelon.
    pub library: bool,
    /// Its name.
    pub name: PlaybookName,
    /// Which version.
    pub version: u32,
}

/// A text that names no base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is neither NAME@VERSION nor library/NAME@VERSION")]
pub struct Invalid;

impl FromStr for BaseName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (library, text) = match text.strip_prefix("library/") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (name, version) = text.rsplit_once('@').ok_or(Invalid)?;
        let digits = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
        let version = version.parse().ok().filter(|version| digits && *version > 0);
        Ok(Self {
            library,
            name: PlaybookName::new(name).map_err(|_| Invalid)?,
            version: version.ok_or(Invalid)?,
        })
    }
}

impl fmt::Display for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let library = if self.library { "library/" } else { "" };
        write!(f, "{library}{}@{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_has_a_name_and_a_version() {
        for text in ["web-base@3", "library/systemd-rolling@1"] {
            assert_eq!(text.parse::<BaseName>().unwrap().to_string(), text);
        }
        for text in [
            "web",
            "web@",
            "web@0",
            "web@+1",
            "library/web",
            "other/web@1",
            "@1",
            "web@1.0",
        ] {
            assert_eq!(text.parse::<BaseName>(), Err(Invalid), "{text}");
        }
    }
}
