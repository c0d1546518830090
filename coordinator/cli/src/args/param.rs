//! `--param port=8080`, and what else a playbook is read with: the files of what it extends.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use clap::Args;
use echelon_proto::ParamName;

use crate::{error::Error, exit::Exit};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    name: ParamName,
    value: String,
}

impl FromStr for Setting {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("write it as NAME=VALUE, for example port=8080")?;
        Ok(Self {
            name: ParamName::new(name).map_err(|error| error.to_string())?,
            value: value.to_owned(),
        })
    }
}

/// As it is typed in a shell.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--param '{}={}'", self.name, self.value.replace('\'', r"'\''"))
    }
}

/// By name; each can be given once.
pub(crate) fn by_name(settings: &[Setting]) -> Result<BTreeMap<ParamName, String>, Error> {
    let mut all = BTreeMap::new();
    for Setting { name, value } in settings {
        if all.insert(name.clone(), value.clone()).is_some() {
            return Err(Error::new(
                Exit::Usage,
                format!("--param {name} is given twice: keep one of them"),
            ));
        }
    }
    Ok(all)
}

/// What a playbook on this machine is read with.
#[derive(Debug, Default, Args)]
pub(crate) struct Reading {
    /// A value for a parameter; may be given again
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<Setting>,
    /// A file that `extends` may name, by the name and version in it; may be given again. The library needs none
    #[arg(long = "base", value_name = "FILE")]
    pub bases: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_whatever_stands_behind_the_first_equals_sign() {
        let setting: Setting = "url=http://x/?a=b 'c'".parse().unwrap();
        assert_eq!(setting.value, "http://x/?a=b 'c'");
        assert_eq!(setting.to_string(), r"--param 'url=http://x/?a=b '\''c'\'''");
        assert_eq!("empty=".parse::<Setting>().unwrap().value, "");
        assert!("port".parse::<Setting>().unwrap_err().contains("NAME=VALUE"));
        assert!("=1".parse::<Setting>().is_err());
    }

    #[test]
    fn a_parameter_is_given_once() {
        let setting = |text: &str| text.parse::<Setting>().unwrap();
        assert_eq!(by_name(&[setting("a=1"), setting("b=2")]).unwrap().len(), 2);
        let twice = by_name(&[setting("a=1"), setting("a=1")]).unwrap_err();
        assert!(twice.what.contains("--param a is given twice"), "{twice:?}");
    }
}
