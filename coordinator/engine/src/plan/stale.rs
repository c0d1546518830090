//! What has changed between a plan that somebody looked at and the plan that the same request gives now.

use std::collections::BTreeMap;

use echelon_proto::HostId;

use super::{HostPlan, Plan};

/// One line a change, empty when nothing has. At most 20 lines; the last then says how many more there are.
#[must_use]
pub fn changes(looked_at: &Plan, now: &Plan) -> Vec<String> {
    const LINES_MAX: usize = 20;
    if looked_at.fingerprint == now.fingerprint {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let (old, new) = (&looked_at.body, &now.body);
    if old.playbook_digest != new.playbook_digest {
        lines.push(format!(
            "playbook {} was version {} and is now version {}",
            new.playbook, old.version, new.version
        ));
    }
    if old.sha256 != new.sha256 {
        lines.push(format!("the artifact of release {} is another one", new.release));
    }
    let (before, after) = (hosts(looked_at), hosts(now));
    for (id, (place, host)) in &before {
        match after.get(id) {
            None if new.left_out.contains(id) => lines.push(format!("host {id} is left out now")),
            None if new.skipped.contains(id) => lines.push(format!("host {id} stands at the goal already")),
            None => lines.push(format!("host {id} is gone from the selection")),
            Some((_, is)) if (&is.state, &is.release) != (&host.state, &host.release) => {
                lines.push(format!("host {id} stood {} and stands {}", stands(host), stands(is)));
            }
            Some((moved, _)) if moved != place => lines.push(format!("host {id} was in {place} and is in {moved}")),
            Some(_) => {}
        }
    }
    lines.extend(
        after
            .keys()
            .filter(|id| !before.contains_key(*id))
            .map(|id| format!("host {id} is new")),
    );
    if lines.is_empty() {
        lines.push("which hosts stand at the goal, or the limits of a pool".into());
    }
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX + 1;
        lines.truncate(LINES_MAX - 1);
        lines.push(format!("and {more} more"));
    }
    lines
}

fn hosts(plan: &Plan) -> BTreeMap<&HostId, (String, &HostPlan)> {
    let mut all = BTreeMap::new();
    for lane in &plan.lanes {
        for wave in &lane.waves {
            let place = format!("{}/{}", lane.datacenter, wave.name);
            all.extend(wave.hosts.iter().map(|host| (&host.host, (place.clone(), host))));
        }
    }
    all
}

fn stands(host: &HostPlan) -> String {
    match &host.release {
        Some(release) => format!("in {} on {release}", host.state),
        None => format!("in {}", host.state),
    }
}
