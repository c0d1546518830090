//! The question: in what order do a lane's hosts go, so that each wave sees something of every rack?
//!
//! The rule: hosts are dealt out by the value of the first key, each value in proportion to how many hosts have it and as
//! long as it can be helped never twice in a row; hosts of one value are dealt out by the next key in the same way. Where
//! no key is left, names decide. The same hosts give the same order, whatever order they come in.
//!
//! Worked example: racks `a` (4 hosts), `b` (2) and `c` (2) give `a b c a b a c a`: a canary of 3 has seen every rack, and
//! half of the lane holds half of each.
//!
//! Edge cases: a rack with more hosts than all others together must follow itself somewhere; the others still come in
//! proportion, not all at the beginning. No keys give the order of the names. Deliberately no groups and no waves: they are cut from this order.

use std::{cmp::Ordering, collections::BTreeMap};

use echelon_playbooks::model::HostKey;

use crate::host::Host;

/// These hosts in the order in which they go.
pub(super) fn spread<'a>(mut hosts: Vec<&'a Host>, keys: &[HostKey]) -> Vec<&'a Host> {
    hosts.sort_by(|a, b| a.id.cmp(&b.id));
    deal(hosts, keys, 0)
}

/// What the host has there; a host without the label has the empty text.
pub(super) fn value<'a>(host: &'a Host, key: &HostKey) -> &'a str {
    match key {
        HostKey::Pool => host.pool.as_str(),
        HostKey::Label(label) => host.labels.get(label).map_or("", String::as_str),
    }
}

/// `turn` is the place of these hosts among their like: each begins with another value of the next key, so that hosts
/// next to one another differ in that too where they can.
fn deal<'a>(hosts: Vec<&'a Host>, keys: &[HostKey], turn: usize) -> Vec<&'a Host> {
    let Some((key, rest)) = keys.split_first() else {
        return hosts;
    };
    let total = hosts.len();
    let mut by_value: BTreeMap<&str, Vec<&Host>> = BTreeMap::new();
    for host in hosts {
        by_value.entry(value(host, key)).or_default().push(host);
    }
    let mut hands: Vec<Hand<'_>> = by_value
        .into_values()
        .enumerate()
        .map(|(place, hosts)| Hand::new(deal(hosts, rest, place)))
        .collect();
    let places = hands.len();
    hands.rotate_left(turn % places.max(1));
    let mut order = Vec::with_capacity(total);
    let mut last = None;
    while let Some(next) = choose(&hands, last, total - order.len()) {
        order.extend(hands[next].deal());
        last = Some(next);
    }
    order
}

/// Hosts of one value.
struct Hand<'a> {
    hosts: std::vec::IntoIter<&'a Host>,
    size: usize,
}

impl<'a> Hand<'a> {
    fn new(hosts: Vec<&'a Host>) -> Self {
        Self {
            size: hosts.len(),
            hosts: hosts.into_iter(),
        }
    }

    fn left(&self) -> usize {
        self.hosts.len()
    }

    fn deal(&mut self) -> Option<&'a Host> {
        self.hosts.next()
    }

    /// Which of two is due first: host i of n belongs at (2 i + 1) / 2 n of the whole; of equals the greater hand.
    fn due(&self, other: &Self) -> Ordering {
        let at = |hand: &Self| 2 * (hand.size - hand.left()) + 1;
        (at(self) * other.size)
            .cmp(&(at(other) * self.size))
            .then(other.size.cmp(&self.size))
    }
}

/// The hand to deal from next, with so many hosts left in all: the one that is due among those that were not dealt from
/// last. One that holds half of what is left goes at once, or it would have to follow itself; one that holds more has to
/// anyhow, and then proportion alone counts.
fn choose(hands: &[Hand<'_>], last: Option<usize>, left: usize) -> Option<usize> {
    let able = || (0..hands.len()).filter(|hand| hands[*hand].left() > 0);
    let due = |a: &usize, b: &usize| hands[*a].due(&hands[*b]).then(a.cmp(b));
    if able().any(|hand| 2 * hands[hand].left() > left + 1) {
        return able().min_by(due);
    }
    let fresh = || able().filter(|hand| Some(*hand) != last);
    fresh()
        .find(|hand| 2 * hands[*hand].left() > left)
        .or_else(|| fresh().min_by(due))
        .or_else(|| able().next())
}

#[cfg(test)]
mod tests {
    use echelon_proto::{Datacenter, HostId, Label, Pool, Time};

    use super::*;

    fn host(name: &str, rack: &str, pool: &str) -> Host {
        Host {
            id: HostId::new(name).unwrap(),
            datacenter: Datacenter::new("dc1").unwrap(),
            pool: Pool::new(pool).unwrap(),
            labels: BTreeMap::from([(Label::new("rack").unwrap(), rack.to_owned())]),
            granted: BTreeMap::new(),
            assigned: BTreeMap::new(),
            told: BTreeMap::new(),
            version: String::new(),
            facts: BTreeMap::new(),
            session: None,
            since: Time::default(),
            standings: BTreeMap::new(),
            busy: None,
            taken_by: Default::default(),
            unwell: BTreeMap::new(),
        }
    }

    fn rack() -> HostKey {
        HostKey::Label(Label::new("rack").unwrap())
    }

    /// The racks of hosts dealt out by rack: so many in `a`, so many in `b`, ...
    fn racks(sizes: &[usize]) -> String {
        let names = ["a", "b", "c", "d"];
        let hosts: Vec<_> = sizes
            .iter()
            .zip(names)
            .flat_map(|(size, rack)| (0..*size).map(move |n| host(&format!("{rack}{n}"), rack, "p")))
            .collect();
        let order = spread(hosts.iter().rev().collect(), &[rack()]);
        order.iter().map(|host| value(host, &rack())).collect()
    }

    #[test]
    fn every_rack_comes_in_proportion_and_never_twice_in_a_row_where_it_can_be_helped() {
        assert_eq!(racks(&[4, 2, 2]), "abcabaca");
        assert_eq!(racks(&[3, 3]), "ababab");
        assert_eq!(racks(&[2, 3]), "babab");
        assert_eq!(racks(&[1, 1, 1, 1]), "abcd");
        assert_eq!(racks(&[5, 1]), "aaabaa");
        assert_eq!(racks(&[]), "");
    }

    #[test]
    fn half_of_the_lane_holds_half_of_each_rack() {
        for sizes in [[10, 10, 20], [4, 40, 6], [2, 2, 2]] {
            let order = racks(&sizes);
            let half = &order[..order.len() / 2];
            for (size, rack) in sizes.iter().zip(["a", "b", "c"]) {
                let seen = half.matches(rack).count();
                assert!(seen.abs_diff(size / 2) <= 1, "{seen} of {size} {rack} in {half}");
            }
        }
    }

    #[test]
    fn within_a_rack_the_next_key_decides_and_neighbours_differ_in_both() {
        let hosts = [
            host("h1", "a", "x"),
            host("h2", "a", "y"),
            host("h3", "b", "x"),
            host("h4", "b", "y"),
        ];
        let order = spread(hosts.iter().collect(), &[rack(), HostKey::Pool]);
        let names: Vec<_> = order.iter().map(|host| host.id.as_str()).collect();
        assert_eq!(names, ["h1", "h4", "h2", "h3"]);
    }

    #[test]
    fn without_keys_names_decide() {
        let hosts = [host("h2", "a", "x"), host("h1", "a", "x")];
        let order = spread(hosts.iter().collect(), &[]);
        assert_eq!(order[0].id.as_str(), "h1");
    }
}
