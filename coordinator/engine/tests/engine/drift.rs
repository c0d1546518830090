//! Lines of a script that look at drift and make the plan that mends it.

use std::fmt::Write as _;

use echelon_engine::{
    converge::{Converge, converge},
    drift::{self, Filter},
};

use super::Script;
use crate::world::{APP, name};

impl Script {
    pub(super) fn drift(&mut self, words: &[&str]) {
        let mut filter = Filter::default();
        for word in words {
            match word.split_once('=').unwrap() {
                ("app", app) => filter.app = Some(name(app)),
                ("dc", datacenter) => filter.datacenter = Some(name(datacenter)),
                ("host", host) => filter.host = Some(name(host)),
                other => panic!("{other:?}"),
            }
        }
        for row in drift::rows(self.world.engine.state(), &filter) {
            let place = |state: Option<String>, release: Option<String>| {
                [state, release].into_iter().flatten().collect::<Vec<_>>().join(" ")
            };
            let wish = row.wish.as_ref();
            let desired = place(
                wish.map(|wish| wish.state.to_string()),
                wish.and_then(|wish| wish.release.as_ref()).map(ToString::to_string),
            );
            let live = place(
                row.live.map(|live| live.state.to_string()),
                row.live.and_then(|live| live.release.as_ref()).map(ToString::to_string),
            );
            let (app, host, verdict) = (row.app, row.host, row.verdict.name());
            let why = if row.why.is_empty() {
                String::new()
            } else {
                format!(": {}", row.why)
            };
            writeln!(
                self.out,
                "  {app}/{}/{} {verdict} [{desired}] [{live}]{why}",
                host.datacenter, host.id
            )
            .unwrap();
        }
    }

    pub(super) fn converge(&mut self, words: &[&str]) {
        let mut wish = Converge {
            app: name(APP),
            release: None,
            playbook: None,
            operation: None,
            datacenters: Vec::new(),
            hosts: Vec::new(),
        };
        for word in words {
            match word.split_once('=').unwrap() {
                ("release", release) => wish.release = Some(name(release)),
                ("playbook", playbook) => wish.playbook = Some(name(playbook)),
                ("operation", operation) => wish.operation = Some(name(operation)),
                ("dc", datacenter) => wish.datacenters.push(name(datacenter)),
                ("host", host) => wish.hosts.push(name(host)),
                other => panic!("{other:?}"),
            }
        }
        match converge(self.world.engine.state(), &wish) {
            Ok(converged) => {
                for left in converged.left_out {
                    writeln!(self.out, "  left out: {} ({})", left.host, left.why).unwrap();
                }
                let request = converged.request;
                let (operation, version) = (request.operation.as_ref().unwrap(), request.version.unwrap());
                writeln!(
                    self.out,
                    "  {operation} {} by {}@{version}",
                    request.release, request.playbook
                )
                .unwrap();
                self.plan_of(request);
            }
            Err(refusal) => writeln!(self.out, "  ! {}: {refusal}", refusal.reason.name()).unwrap(),
        }
    }
}
