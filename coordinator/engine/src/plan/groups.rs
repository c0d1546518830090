//! The question: which hosts of a lane belong together, and which of them goes first?
//!
//! The rule: hosts with the same value of the playbook's key are a group; groups keep the order in which their first hosts
//! come. Within a group hosts that match the first selector of `order` have rank 0, those that match the second rank 1,
//! and those that match none come last; hosts of one rank keep their order. Deliberately nothing that happens at run time:
//! how many groups go at once, and what a failed host means for its group, is `advance/grouping`.

use echelon_playbooks::model::Grouping;

use super::{GroupPlace, HostPlan, spread::value};
use crate::host::Host;

/// These hosts in portions that a wave takes whole: groups, or single hosts where there are none.
pub(super) fn portions(hosts: Vec<(&Host, HostPlan)>, grouping: Option<&Grouping>) -> Vec<Vec<HostPlan>> {
    let Some(grouping) = grouping else {
        return hosts.into_iter().map(|(_, planned)| vec![planned]).collect();
    };
    let mut groups: Vec<(&str, Vec<HostPlan>)> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for (host, mut planned) in hosts {
        let name = value(host, &grouping.by);
        planned.group = Some(GroupPlace {
            name: name.to_owned(),
            rank: rank(host, grouping),
        });
        let place = *places.entry(name).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, members)) => members.push(planned),
            None => groups.push((name, vec![planned])),
        }
    }
    let in_order = |(_, mut members): (&str, Vec<HostPlan>)| {
        members.sort_by_key(|planned| planned.group.as_ref().map(|group| group.rank));
        members
    };
    groups.into_iter().map(in_order).collect()
}

fn rank(host: &Host, grouping: &Grouping) -> u32 {
    let subject = host.subject();
    let place = grouping.order.iter().position(|selector| selector.matches(&subject));
    u32::try_from(place.unwrap_or(grouping.order.len())).unwrap_or(u32::MAX)
}
