//! How playbooks are read here: with the values and the bases of the command line.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

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

    /// As one text, with everything in it that comes from elsewhere.
    pub(super) fn flatten(&self, text: &str) -> Result<String, Faults> {
        self.given(|given| echelon_playbooks::flatten(text, given))
    }

    fn given<T>(&self, read: impl FnOnce(&Given<'_>) -> T) -> T {
        let bases = |base: &BaseName| self.bases.get(&base.to_string()).cloned();
        read(&Given {
            params: self.params.clone(),
            bases: Some(&bases),
        })
    }

    /// What this text extends and neither the command line nor the library has.
    pub(super) fn lacking(&self, text: &str) -> Option<BaseName> {
        let asked = RefCell::new(None);
        let bases = |base: &BaseName| {
            let known = self.bases.get(&base.to_string()).cloned();
            if known.is_none() && !base.library {
                *asked.borrow_mut() = Some(base.clone());
            }
            known
        };
        let given = Given {
            params: self.params.clone(),
            bases: Some(&bases),
        };
        // Only whom it asks for matters here; what is wrong with it is told by who reads it.
        let _ = echelon_playbooks::read_with(text, &given);
        asked.into_inner()
    }

    /// Forgets the values that this text has no parameters for, and says which. Of a text that cannot be read without
    /// them none is forgotten: reading it tells why.
    pub(super) fn drop_unknown(&mut self, text: &str) -> BTreeSet<ParamName> {
        let given = std::mem::take(&mut self.params);
        let known = self.read(text).map(|checked| checked.playbook.params);
        let (kept, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) = given
            .into_iter()
            .partition(|(name, _)| known.as_ref().map_or(true, |known| known.contains_key(name)));
        self.params = kept;
        dropped.into_keys().collect()
    }

    pub(super) fn add(&mut self, base: &BaseName, text: String) {
        self.bases.insert(base.to_string(), text);
    }
}
