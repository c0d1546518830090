//! Which of the rollouts at work at once is to blame for what hosts show? After Gandalf (Li et al., NSDI 2020): each fault of a
//! host votes for the rollouts that had touched the host before, the more the newer the touch; and a rollout is blamed only
//! where hosts that it has touched show more faults than hosts that it has not.
//!
//! - **Time.** A fault has one vote. It is divided among the rollouts that touched its host in the `WINDOW` before it, by
//!   2^-(age of the touch / `HALF_LIFE`). A fault before the touch does not vote; it counts against the rollout, since a host
//!   that it had yet to touch shows the same.
//! - **Place.** Of the hosts to which the other rollouts went too, or of those to which they did not, does a larger part of
//!   those touched show a fault than of the rest? The exact test of tables in strata (`table`), one-sided, `ALPHA` divided among
//!   the rollouts. In strata, because whoever went to the same hosts as the culprit is as near to the faults as it is; and by
//!   who went there at all, before the fault or after it, because a host that is well has more touches in the end than one that
//!   failed on the way, and that would look like guilt.
//! - Where that tells two rollouts not apart, each is held against all hosts that it had not touched. Of several that are
//!   nearer to the faults than that, one is blamed when more of its hosts show a fault soon after its touch than in as long a
//!   time before it (the sign test, `ALPHA` divided among the rollouts), and that is so of no other; or when its votes are
//!   twice those of the next. Else they are tied.
//!
//! Worked example: r1 went to hosts 1 to 60, r2 to 40 to 100, and 20 of the first 60 of 200 fail. Where r2 was not, 13 of r1's
//! hosts fail and none of nobody's; where it was, 7 with r1 and none without. r1 is blamed. For r2: where r1 was, its hosts fail
//! as often as the others, and where r1 was not none does. It is cleared.
//!
//! Edge cases: a single host with a fault is no pattern. A host that was ill before anybody touched one says nothing. Without
//! a host that a rollout has not touched nothing can be told of it. Deliberately no cause: a host that nobody touched and that
//! fails as the touched do shows that the fault came from elsewhere, not from where.

mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    f64::consts::LN_2,
};

use statrs::function::factorial::ln_binomial;

use self::table::{Table, tail};

/// Chance that of harmless rollouts at work at once any is blamed by its place, as far as hosts fail independently.
pub const ALPHA: f64 = 0.01;
/// A touch longer ago than this does not share in a fault, in milliseconds.
pub const WINDOW_MS: u64 = 24 * 3600 * 1000;
/// The age at which a touch counts half, in milliseconds.
pub const HALF_LIFE_MS: u64 = 3600 * 1000;
/// Hosts with a fault, at least, before anybody is blamed.
pub const HITS_MIN: usize = 2;
/// By so many times more votes one of two is to blame that place cannot tell apart.
const LEAD: f64 = 2.0;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Hosts that could show a fault.
    pub hosts: BTreeSet<String>,
    /// By rollout: when it touched each of its hosts for the first time, in milliseconds.
    pub touched: BTreeMap<String, BTreeMap<String, u64>>,
    /// Hosts with when they showed a fault, in milliseconds.
    pub faults: Vec<(String, u64)>,
}

/// What is said of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// It is to blame.
    Blamed,
    /// It or another, which touched the same hosts.
    Tied,
    /// It has nothing to do with them.
    Cleared,
    /// Too little is seen: hardly a fault, or no host that it has not touched.
    Untold,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// Which.
    pub rollout: String,
    /// What is said.
    pub blame: Blame,
    /// Its part of the faults' votes.
    pub votes: f64,
    /// Of its hosts, those that showed a fault before it touched them.
    pub before: usize,
    /// Hosts that it had touched.
    pub touched: usize,
    /// Those of them with a fault since.
    pub touched_hit: usize,
    /// All others.
    pub others: usize,
    /// Those of them with a fault.
    pub others_hit: usize,
    /// How likely so many of its hosts are hit by chance, at what decided.
    pub chance: f64,
}

/// A host.
struct Place<'a> {
    /// Its first, in milliseconds.
    fault: Option<u64>,
    touches: BTreeMap<&'a str, Touch>,
}

/// Of a rollout, on one host.
#[derive(Debug, Clone, Copy)]
struct Touch {
    at: u64,
    /// Since the first touch of all: nothing is known of before.
    since_first: u64,
    /// How much it counts in the host's fault; `None`: it came after that, or too long before.
    counts: Option<f64>,
}

/// Each rollout that has touched a host, the one with the most votes first.
#[must_use]
pub fn blame(seen: &Seen) -> Vec<Suspect> {
    let places = places(seen);
    let rollouts = seen.touched.iter().filter(|(_, hosts)| !hosts.is_empty());
    let mut suspects: Vec<Suspect> = rollouts.map(|(rollout, _)| suspect(rollout, &places)).collect();
    let alpha = ALPHA / suspects.len().max(1) as f64;
    for suspect in &mut suspects {
        suspect.chance = tail(&strata(&suspect.rollout, &places));
        if suspect.blame == Blame::Cleared && suspect.chance <= alpha {
            suspect.blame = Blame::Blamed;
        }
    }
    if suspects.iter().all(|suspect| suspect.blame != Blame::Blamed) {
        by_votes(&mut suspects, &places, alpha);
    }
    suspects.sort_by(|one, other| other.votes.total_cmp(&one.votes));
    suspects
}

/// Every host that was well when the first of all was touched.
fn places(seen: &Seen) -> Vec<Place<'_>> {
    let all = seen.touched.values().flat_map(|hosts| hosts.values());
    let Some(began) = all.min().copied() else {
        return Vec::new();
    };
    let mut first: BTreeMap<&str, u64> = BTreeMap::new();
    for (host, at) in &seen.faults {
        let earliest = first.entry(host).or_insert(*at);
        *earliest = (*earliest).min(*at);
    }
    let hosts = seen.hosts.iter().map(|host| (host, first.get(host.as_str()).copied()));
    let well = hosts.filter(|(_, fault)| fault.is_none_or(|at| at >= began));
    well.map(|(host, fault)| place(seen, host, fault, began)).collect()
}

fn place<'a>(seen: &'a Seen, host: &str, fault: Option<u64>, began: u64) -> Place<'a> {
    let touch = |(rollout, hosts): (&'a String, &BTreeMap<String, u64>)| {
        let at = *hosts.get(host)?;
        let age = fault.and_then(|fault| fault.checked_sub(at));
        let age = age.filter(|age| *age <= WINDOW_MS);
        let touch = Touch {
            at,
            since_first: at - began,
            counts: age.map(|age| (-(age as f64) / HALF_LIFE_MS as f64).exp2()),
        };
        Some((rollout.as_str(), touch))
    };
    Place {
        fault,
        touches: seen.touched.iter().filter_map(touch).collect(),
    }
}

impl Place<'_> {
    fn is_touched(&self, rollout: &str) -> bool {
        self.touches.contains_key(rollout)
    }

    /// Whether it shows a fault that may be this rollout's, or, where that did not go there, any.
    fn speaks(&self, rollout: &str) -> bool {
        let touch = self.touches.get(rollout);
        touch.map_or(self.fault.is_some(), |touch| touch.counts.is_some())
    }

    /// Whether it showed a fault before the rollout touched it.
    fn was_hit_before(&self, rollout: &str) -> bool {
        let touch = self.touches.get(rollout);
        touch.zip(self.fault).is_some_and(|(touch, fault)| fault < touch.at)
    }

    /// Whether its fault came soon after the rollout's touch, or no longer before it; `None`: neither.
    fn followed(&self, rollout: &str) -> Option<bool> {
        let (touch, fault) = (self.touches.get(rollout)?, self.fault?);
        let near = touch.since_first.min(HALF_LIFE_MS);
        (fault.abs_diff(touch.at) < near).then_some(fault >= touch.at)
    }

    /// The rollout's part of the fault's vote.
    fn vote(&self, rollout: &str) -> f64 {
        let all: f64 = self.touches.values().filter_map(|touch| touch.counts).sum();
        let counts = self.touches.get(rollout).and_then(|touch| touch.counts);
        counts.map_or(0.0, |counts| counts / all)
    }
}

fn suspect(rollout: &str, places: &[Place<'_>]) -> Suspect {
    let (mine, others): (Vec<_>, Vec<_>) = places.iter().partition(|place| place.is_touched(rollout));
    let hits = |places: &[&Place<'_>]| places.iter().filter(|place| place.speaks(rollout)).count();
    let (touched_hit, others_hit) = (hits(&mine), hits(&others));
    let is_told = touched_hit >= HITS_MIN && !others.is_empty();
    Suspect {
        rollout: rollout.to_owned(),
        blame: if is_told { Blame::Cleared } else { Blame::Untold },
        votes: mine.iter().map(|place| place.vote(rollout)).sum(),
        before: mine.iter().filter(|place| place.was_hit_before(rollout)).count(),
        touched: mine.len(),
        touched_hit,
        others: others.len(),
        others_hit,
        chance: 1.0,
    }
}

/// Hosts to which the same other rollouts went, and of them those with and without this one.
fn strata(rollout: &str, places: &[Place<'_>]) -> Vec<Table> {
    let mut strata: BTreeMap<Vec<&str>, Table> = BTreeMap::new();
    for place in places {
        let others = place.touches.keys().copied().filter(|other| *other != rollout);
        let table = strata.entry(others.collect()).or_default();
        table.add(place.is_touched(rollout), place.speaks(rollout));
    }
    strata.into_values().collect()
}

/// Of those that are nearer to the faults than all hosts that they have not touched, by when they touched theirs.
fn by_votes(suspects: &mut [Suspect], places: &[Place<'_>], alpha: f64) {
    let mut near = Vec::new();
    for (at, suspect) in suspects.iter_mut().enumerate() {
        let mut all = Table::default();
        for place in places {
            all.add(place.is_touched(&suspect.rollout), place.speaks(&suspect.rollout));
        }
        let chance = tail(&[all]);
        if suspect.blame == Blame::Cleared && chance <= alpha {
            suspect.chance = chance;
            near.push((at, suspect.votes - suspect.before as f64));
        }
    }
    let followed: Vec<(usize, f64)> = near
        .iter()
        .map(|(at, _)| (*at, by_time(&suspects[*at].rollout, places)))
        .filter(|(_, chance)| *chance <= alpha)
        .collect();
    near.sort_by(|one, other| other.1.total_cmp(&one.1));
    match (followed.as_slice(), near.as_slice()) {
        ([(only, chance)], [_, _, ..]) => {
            suspects[*only].blame = Blame::Blamed;
            suspects[*only].chance = *chance;
        }
        (_, []) => {}
        (_, [(first, _)]) => suspects[*first].blame = Blame::Blamed,
        (_, [(first, most), (_, next), ..]) if *most >= LEAD * next.max(0.0) && *most > 0.0 => {
            suspects[*first].blame = Blame::Blamed;
        }
        (_, [_, ..]) => near.iter().for_each(|(at, _)| suspects[*at].blame = Blame::Tied),
    }
}

/// How likely so many of the faults near its touches come after them when they fall on both sides alike.
fn by_time(rollout: &str, places: &[Place<'_>]) -> f64 {
    let sides: Vec<bool> = places.iter().filter_map(|place| place.followed(rollout)).collect();
    let after = sides.iter().filter(|is_after| **is_after).count() as u64;
    let all = sides.len() as u64;
    let chance = |count: u64| (ln_binomial(all, count) - all as f64 * LN_2).exp();
    (after..=all).map(chance).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests;
