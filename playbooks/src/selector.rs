//! Which hosts: `app=web,env!=test,rack`. Terms joined by commas, all of which must hold: `key=value`, `key!=value`,
//! `key` (there is such a label), `!key` (there is none). Besides labels there are `host`, `dc` and `pool`. Deliberately
//! no wildcards and no alternatives: what a selector finds must be plain from reading it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use echelon_proto::{Datacenter, HostId, Label, Pool};
use serde::{Deserialize, Serialize};

/// A selector. The empty one matches every host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Is(Label, String),
    IsNot(Label, String),
    Has(Label),
    HasNot(Label),
}

/// What is known of a host, as selectors and templates see it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its name: `host`.
    pub host: &'a HostId,
    /// `dc`.
    pub datacenter: &'a Datacenter,
    /// `pool`.
    pub pool: &'a Pool,
    /// Everything else.
    pub labels: &'a BTreeMap<Label, String>,
}

impl Subject<'_> {
    fn get(&self, key: &Label) -> Option<&str> {
        match key.as_str() {
            "host" => Some(self.host.as_str()),
            "dc" => Some(self.datacenter.as_str()),
            "pool" => Some(self.pool.as_str()),
            _ => self.labels.get(key).map(String::as_str),
        }
    }
}

/// A text that is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{term:?} is not a term of a selector: write key=value, key!=value, key or !key, joined by commas")]
pub struct Invalid {
    term: String,
}

impl Selector {
    /// Whether every term holds of this host.
    #[must_use]
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.0.iter().all(|term| match term {
            Term::Is(key, value) => subject.get(key) == Some(value),
            Term::IsNot(key, value) => subject.get(key) != Some(value),
            Term::Has(key) => subject.get(key).is_some(),
            Term::HasNot(key) => subject.get(key).is_none(),
        })
    }
}

impl Selector {
    /// What a host must have under this key, where a term says so: `web` for `app` in `app=web`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|term| match term {
            Term::Is(name, value) if name.as_str() == key => Some(value.as_str()),
            Term::Is(..) | Term::IsNot(..) | Term::Has(_) | Term::HasNot(_) => None,
        })
    }

    /// Labels that a host must have, each with its value where a term says which.
    pub fn labels(&self) -> impl Iterator<Item = (Label, Option<String>)> {
        let terms = self.0.iter().filter_map(|term| match term {
            Term::Is(label, value) => Some((label.clone(), Some(value.clone()))),
            Term::Has(label) => Some((label.clone(), None)),
            Term::IsNot(..) | Term::HasNot(_) => None,
        });
        terms.filter(|(label, _)| !matches!(label.as_str(), "host" | "dc" | "pool"))
    }
}

impl FromStr for Term {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            term: text.chars().take(80).collect(),
        };
        let key = |text: &str| Label::new(text.trim()).map_err(|_| invalid());
        if let Some((name, value)) = text.split_once("!=") {
            Ok(Self::IsNot(key(name)?, value.trim().into()))
        } else if let Some((name, value)) = text.split_once('=') {
            Ok(Self::Is(key(name)?, value.trim().into()))
        } else if let Some(name) = text.trim().strip_prefix('!') {
            Ok(Self::HasNot(key(name)?))
        } else {
            Ok(Self::Has(key(text)?))
        }
    }
}

impl FromStr for Selector {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for Selector {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match term {
                Term::Is(key, value) => write!(f, "{comma}{key}={value}")?,
                Term::IsNot(key, value) => write!(f, "{comma}{key}!={value}")?,
                Term::Has(key) => write!(f, "{comma}{key}")?,
                Term::HasNot(key) => write!(f, "{comma}!{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str) -> bool {
        let labels = [("app", "web"), ("env", "prod")];
        let labels = labels
            .map(|(key, value)| (Label::new(key).unwrap(), value.to_owned()))
            .into();
        selector.parse::<Selector>().unwrap().matches(&Subject {
            host: &HostId::new("h1").unwrap(),
            datacenter: &Datacenter::new("dc1").unwrap(),
            pool: &Pool::new("front").unwrap(),
            labels: &labels,
        })
    }

    #[test]
    fn every_term_must_hold() {
        for yes in [
            "",
            "app=web",
            "app=web, env!=test",
            "env",
            "!rack",
            "dc=dc1,pool=front,host=h1",
            "rack!=r1",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in ["app=api", "app=web,env=test", "rack", "!env", "dc=dc2", "env!=prod"] {
            assert!(!matches(no), "{no}");
        }
    }

    #[test]
    fn what_a_host_must_have_can_be_asked() {
        let selector: Selector = "app=web,dc=dc1,rack,env!=test,!old".parse().unwrap();
        assert_eq!(selector.value("dc"), Some("dc1"));
        assert_eq!(selector.value("env"), None);
        let labels: Vec<_> = selector
            .labels()
            .map(|(label, value)| (label.to_string(), value))
            .collect();
        assert_eq!(
            labels,
            [("app".to_owned(), Some("web".to_owned())), ("rack".to_owned(), None)]
        );
    }

    #[test]
    fn what_is_no_selector_is_refused_and_named() {
        for bad in ["=x", "a b", "app=web,,", "!"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
        assert_eq!(
            "app=web, !rack".parse::<Selector>().unwrap().to_string(),
            "app=web,!rack"
        );
    }
}
