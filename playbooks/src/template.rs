//! Text with `${{ host.labels.port }}` in it. Variables only: no functions, no nesting, no defaults. What a template may
//! name is fixed here, so a typing mistake is found by the linter; whether a host has the label is found by the plan.

use std::{collections::BTreeMap, fmt, str::FromStr};

use echelon_proto::{App, Digest, Label, ReleaseName, WaveName};
use serde::{Deserialize, Serialize};

use crate::selector::Subject;

/// Text with variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// What can stand between `${{` and `}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Variable {
    HostName,
    HostDatacenter,
    HostPool,
    HostLabel(Label),
    LaneDatacenter,
    WaveName,
    ReleaseApp,
    ReleaseName,
    ReleaseSha256,
}

/// What variables stand for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `host.*`, and `lane.datacenter`, which is the host's.
    pub host: Subject<'a>,
    /// `wave.name`
    pub wave: &'a WaveName,
    /// `release.app`
    pub app: &'a App,
    /// `release.name`; empty when the phase works with none.
    pub release: Option<&'a ReleaseName>,
    /// `release.sha256`; empty when the release has no artifact.
    pub sha256: Option<Digest>,
}

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// `${{` without `}}`.
    #[error("`${{{{` at character {0} is not closed by `}}}}`")]
    Open(usize),
    /// A name that stands for nothing.
    #[error(
        "`{0}` stands for nothing: there are host.name, host.datacenter, host.pool, host.labels.NAME, lane.datacenter, \
         wave.name, release.app, release.name, release.sha256"
    )]
    Unknown(String),
}

/// A label that this host does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has no label {0}, which the playbook uses as ${{{{ host.labels.{0} }}}}: give the host one")]
pub struct Missing(pub Label);

impl Scope<'_> {
    /// Everything that a template may name for this host, by its name: `host.labels.port` -> `8080`.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let fixed = [
            Variable::HostName,
            Variable::HostDatacenter,
            Variable::HostPool,
            Variable::LaneDatacenter,
            Variable::WaveName,
            Variable::ReleaseApp,
            Variable::ReleaseName,
            Variable::ReleaseSha256,
        ];
        let labels = self.host.labels.keys().cloned().map(Variable::HostLabel);
        fixed
            .into_iter()
            .chain(labels)
            .filter_map(|variable| Some((variable.to_string(), variable.value(self).ok()?)))
            .collect()
    }
}

impl Template {
    /// The text for this host.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, Missing> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(variable) => text.push_str(&variable.value(scope)?),
            }
        }
        Ok(text)
    }
}

impl Variable {
    fn value(&self, scope: &Scope<'_>) -> Result<String, Missing> {
        Ok(match self {
            Self::HostName => scope.host.host.to_string(),
            Self::HostDatacenter | Self::LaneDatacenter => scope.host.datacenter.to_string(),
            Self::HostPool => scope.host.pool.to_string(),
            Self::HostLabel(label) => scope
                .host
                .labels
                .get(label)
                .cloned()
                .ok_or_else(|| Missing(label.clone()))?,
            Self::WaveName => scope.wave.to_string(),
            Self::ReleaseApp => scope.app.to_string(),
            Self::ReleaseName => scope.release.map(ToString::to_string).unwrap_or_default(),
            Self::ReleaseSha256 => scope.sha256.map(|digest| digest.to_string()).unwrap_or_default(),
        })
    }
}

impl FromStr for Variable {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "host.name" => Self::HostName,
            "host.datacenter" => Self::HostDatacenter,
            "host.pool" => Self::HostPool,
            "lane.datacenter" => Self::LaneDatacenter,
            "wave.name" => Self::WaveName,
            "release.app" => Self::ReleaseApp,
            "release.name" => Self::ReleaseName,
            "release.sha256" => Self::ReleaseSha256,
            _ => text
                .strip_prefix("host.labels.")
                .and_then(|label| Label::new(label).ok())
                .map(Self::HostLabel)
                .ok_or_else(|| Invalid::Unknown(text.chars().take(80).collect()))?,
        })
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostName => "host.name",
            Self::HostDatacenter => "host.datacenter",
            Self::HostPool => "host.pool",
            Self::HostLabel(label) => return write!(f, "host.labels.{label}"),
            Self::LaneDatacenter => "lane.datacenter",
            Self::WaveName => "wave.name",
            Self::ReleaseApp => "release.app",
            Self::ReleaseName => "release.name",
            Self::ReleaseSha256 => "release.sha256",
        })
    }
}

impl FromStr for Template {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("${{") {
            let inside = &rest[open + 3..];
            let close = inside
                .find("}}")
                .ok_or_else(|| Invalid::Open(text.len() - rest.len() + open + 1))?;
            if open > 0 {
                pieces.push(Piece::Text(rest[..open].into()));
            }
            pieces.push(Piece::Variable(inside[..close].trim().parse()?));
            rest = &inside[close + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces))
    }
}

impl TryFrom<String> for Template {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Variable(variable) => write!(f, "${{{{ {variable} }}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::{Datacenter, HostId, Pool};

    use super::*;

    fn in_scope<T>(look: impl FnOnce(&Scope<'_>) -> T) -> T {
        let labels = BTreeMap::from([(Label::new("port").unwrap(), "8080".to_owned())]);
        look(&Scope {
            host: Subject {
                host: &HostId::new("h1").unwrap(),
                datacenter: &Datacenter::new("dc1").unwrap(),
                pool: &Pool::new("front").unwrap(),
                labels: &labels,
            },
            wave: &WaveName::new("canary").unwrap(),
            app: &App::new("web").unwrap(),
            release: Some(&ReleaseName::new("1.10.0").unwrap()),
            sha256: None,
        })
    }

    fn render(text: &str) -> Result<String, Missing> {
        in_scope(|scope| text.parse::<Template>().unwrap().render(scope))
    }

    #[test]
    fn every_variable_of_a_host_stands_for_what_a_template_that_names_it_becomes() {
        let variables = in_scope(|scope| scope.variables());
        assert_eq!(variables.len(), 9);
        for (name, value) in variables {
            assert_eq!(render(&format!("${{{{ {name} }}}}")), Ok(value), "{name}");
        }
    }

    #[test]
    fn variables_stand_for_what_the_host_has() {
        assert_eq!(
            render("http://127.0.0.1:${{ host.labels.port }}/x").unwrap(),
            "http://127.0.0.1:8080/x"
        );
        assert_eq!(render("${{host.name}}-${{ release.name }}").unwrap(), "h1-1.10.0");
        assert_eq!(render("$HOME {{ x }} }}").unwrap(), "$HOME {{ x }} }}");
        assert_eq!(
            render("${{ host.labels.rack }}"),
            Err(Missing(Label::new("rack").unwrap()))
        );
    }

    #[test]
    fn what_stands_for_nothing_is_found_when_it_is_read() {
        assert_eq!("a ${{ host.name".parse::<Template>(), Err(Invalid::Open(3)));
        assert_eq!(
            "${{ secrets.x }}".parse::<Template>(),
            Err(Invalid::Unknown("secrets.x".into()))
        );
    }
}
