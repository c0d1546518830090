//! The hosts of a rehearsal that are real: asked of the coordinator, or read from what `host list --output json` wrote.

use std::{collections::BTreeMap, fs, path::Path};

use echelon_playbooks::Playbook;
use echelon_proto::wire::control::{self, ListHostsRequest};
use echelon_rehearsal::{Host, Standing};
use serde::Deserialize;

use super::super::{Session, pages};
use crate::{error::Error, exit::Exit};

/// Hosts that are rehearsed with; as many as can be made up.
const HOSTS_MAX: u32 = 20_000;
/// A file of so many hosts with all their labels and facts is smaller.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A host as `host list --output json` writes it. What a rehearsal does not ask for may be there or not.
#[derive(Debug, Deserialize)]
struct Listed {
    host: String,
    datacenter: String,
    pool: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default = "there")]
    attached: bool,
    in_service: Option<bool>,
    #[serde(default)]
    running: String,
    #[serde(default)]
    standings: Vec<Stands>,
}

#[derive(Debug, Deserialize)]
struct Stands {
    app: String,
    state: String,
    #[serde(default)]
    release: String,
    #[serde(default)]
    previous: String,
    #[serde(default)]
    error: String,
}

fn there() -> bool {
    true
}

/// Those that the playbook selects.
pub(super) async fn of_coordinator(playbook: &Playbook, session: &mut Session<'_>) -> Result<Vec<Host>, Error> {
    let selector = playbook.hosts.selector.to_string();
    let (hosts, more): (Vec<control::Host>, bool) = pages!(
        session,
        HOSTS_MAX,
        list_hosts,
        hosts,
        ListHostsRequest {
            selector: selector.clone(),
            ..ListHostsRequest::default()
        }
    );
    if more {
        let what = format!("selector {selector:?} finds more than {HOSTS_MAX} hosts: rehearse with a part of them");
        return Err(Error::usage(what));
    }
    let taken = hosts.into_iter().map(|host| Listed::from(host).host());
    taken
        .collect::<Result<_, String>>()
        .map_err(|why| Error::new(Exit::Error, why))
}

pub(super) fn of_file(path: &Path) -> Result<Vec<Host>, Error> {
    let fault = |exit, why: String| Error::new(exit, format!("cannot take hosts from {}: {why}", path.display()));
    let failed = |error: std::io::Error| fault(Exit::Error, error.to_string());
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(fault(Exit::Usage, format!("{size} bytes are more than any fleet has")));
    }
    let text = fs::read(path).map_err(failed)?;
    let written = |why: String| fault(Exit::Usage, why).next("echelon host list --limit 20000 --output json");
    let listed: Vec<Listed> = serde_json::from_slice(&text).map_err(|error| written(error.to_string()))?;
    if listed.len() > HOSTS_MAX as usize {
        return Err(fault(
            Exit::Usage,
            format!("{} hosts are more than {HOSTS_MAX}", listed.len()),
        ));
    }
    let hosts = listed.into_iter().map(Listed::host);
    hosts.collect::<Result<_, _>>().map_err(written)
}

impl From<control::Host> for Listed {
    fn from(host: control::Host) -> Self {
        let stands = |standing: control::Standing| Stands {
            app: standing.app,
            state: standing.state,
            release: standing.release,
            previous: standing.previous,
            error: standing.error,
        };
        Self {
            host: host.host,
            datacenter: host.datacenter,
            pool: host.pool,
            labels: host.labels.into_iter().collect(),
            attached: host.attached,
            in_service: Some(host.in_service),
            running: host.running,
            standings: host.standings.into_iter().map(stands).collect(),
        }
    }
}

impl Listed {
    fn host(self) -> Result<Host, String> {
        let id = self.host.clone();
        self.named().map_err(|error| format!("host {id:?}: {error}"))
    }

    fn named(self) -> Result<Host, echelon_proto::Invalid> {
        let labels = self.labels.into_iter().map(|(key, value)| Ok((key.parse()?, value)));
        let stands = |stands: Stands| Ok((stands.app.parse()?, stands.standing()?));
        Ok(Host {
            host: self.host.parse()?,
            datacenter: self.datacenter.parse()?,
            pool: self.pool.parse()?,
            labels: labels.collect::<Result<_, _>>()?,
            attached: self.attached,
            in_service: self.in_service,
            busy: !self.running.is_empty(),
            standings: self.standings.into_iter().map(stands).collect::<Result<_, _>>()?,
        })
    }
}

impl Stands {
    fn standing(self) -> Result<Standing, echelon_proto::Invalid> {
        let release = |text: &str| (!text.is_empty()).then(|| text.parse()).transpose();
        Ok(Standing {
            state: self.state.parse()?,
            release: release(&self.release)?,
            previous: release(&self.previous)?,
            error: (!self.error.is_empty()).then_some(self.error),
        })
    }
}
