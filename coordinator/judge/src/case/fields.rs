//! The fields of one object, taken out one by one; what is left in the end was not known. Deliberately read in two steps:
//! what a value must look like depends on another field.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Error, Kind, Tallies};
use crate::ratio::Tally;

pub(super) struct Fields {
    left: BTreeMap<String, Box<RawValue>>,
    /// Every field that was asked for.
    known: Vec<&'static str>,
}

impl Fields {
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let left = serde_json::from_str(text).map_err(|error| Error::Json(error.to_string()))?;
        Ok(Self {
            left,
            known: Vec::new(),
        })
    }

    /// `null` is nothing too.
    pub(super) fn take<T: DeserializeOwned>(&mut self, field: &'static str) -> Result<Option<T>, Error> {
        self.known.push(field);
        let Some(raw) = self.left.remove(field) else {
            return Ok(None);
        };
        serde_json::from_str(raw.get()).map_err(|error| Error::Value {
            field,
            why: error.to_string(),
        })
    }

    pub(super) fn must<T: DeserializeOwned>(&mut self, field: &'static str) -> Result<T, Error> {
        self.take(field)?.ok_or(Error::Missing(field))
    }

    /// Values of an arm; `null` is an arm without any.
    pub(super) fn arm<T: DeserializeOwned + Default>(&mut self, field: &'static str) -> Result<T, Error> {
        if !self.left.contains_key(field) {
            return Err(Error::Missing(field));
        }
        Ok(self.take(field)?.unwrap_or_default())
    }

    /// Pairs of bad and all.
    pub(super) fn tallies(&mut self, field: &'static str) -> Result<Tallies, Error> {
        let pairs: Vec<Option<(Option<f64>, Option<f64>)>> = self.arm(field)?;
        let tally = |(bad, total): (Option<f64>, Option<f64>)| {
            Some(Tally {
                bad: bad?,
                total: total?,
            })
        };
        Ok(pairs.into_iter().map(|pair| tally(pair?)).collect())
    }

    pub(super) fn within(
        &mut self,
        field: &'static str,
        standard: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, Error> {
        let value = self.take(field)?.unwrap_or(standard);
        if range.contains(&value) {
            return Ok(value);
        }
        let why = format!("{value} is not within {} and {}", range.start(), range.end());
        Err(Error::Value { field, why })
    }

    pub(super) fn ignore(&mut self, field: &'static str) {
        self.known.push(field);
        self.left.remove(field);
    }

    /// Whether a list of lists stands there.
    pub(super) fn holds_pairs(&self, field: &str) -> bool {
        let raw = self.left.get(field).map_or("", |raw| raw.get());
        let within = raw.trim_start().strip_prefix('[').unwrap_or_default();
        // Behind values that are not known.
        let first = within.trim_start_matches(|c: char| c.is_whitespace() || "nul,".contains(c));
        first.starts_with('[')
    }

    /// Whether an object stands there.
    pub(super) fn holds_map(&self, field: &str) -> bool {
        self.left
            .get(field)
            .is_some_and(|raw| raw.get().trim_start().starts_with('{'))
    }

    pub(super) fn end(mut self, kind: Kind) -> Result<(), Error> {
        let Some((field, _)) = self.left.pop_first() else {
            return Ok(());
        };
        self.known.sort_unstable();
        Err(Error::Unknown {
            field,
            kind: kind.name(),
            known: self.known.join(", "),
        })
    }
}
