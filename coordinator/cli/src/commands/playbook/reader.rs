//! How playbooks are read here: with the values and the bases of the command line.

use std::collections::BTreeMap;

use echelon_playbooks::{BaseName, Checked, Faults, Given};
use echelon_proto::ParamName;

use super::source;
use crate::{
    args::{Reading, by_name},
    error::Error,
    exit::Exit,
};

/// Reads playbooks with the values and bases of the command line.
pub(in crate::commands) struct Reader {
    params: BTreeMap<ParamName, String>,
    /// Texts, by name and version.
    bases: BTreeMap<String, String>,
}

impl Reader {
    pub(in crate::commands) fn new(reading: &Reading) -> Result<Self, Error> {
        let mut bases = BTreeMap::new();
        for file in &reading.bases {
            let text = source::of_file(file)?;
            let Checked { playbook, .. } = echelon_playbooks::read(&text).map_err(|_| {
                let why = format!("{} is not a valid playbook, so nothing can extend it", file.display());
                Error::new(Exit::Usage, why).next(format!("echelon playbook lint {}", file.display()))
            })?;
            bases.insert(format!("{}@{}", playbook.name, playbook.version), text);
        }
        Ok(Self {
            params: by_name(&reading.params)?,
            bases,
        })
    }

    pub(in crate::commands) fn read(&self, text: &str) -> Result<Checked, Faults> {
        self.given(|given| echelon_playbooks::read_with(text, given))
    }

    fn given<T>(&self, read: impl FnOnce(&Given<'_>) -> T) -> T {
        let bases = |base: &BaseName| self.bases.get(&base.to_string()).cloned();
        read(&Given {
            params: self.params.clone(),
            bases: Some(&bases),
        })
    }
}
