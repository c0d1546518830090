//! The rows of blame: two rollouts at once over hosts of one fleet, one a minute each, of which one does harm or none. Hosts
//! fail by themselves too. Deliberately no canaries: whom faults point to is asked, not whether they are any.

use std::collections::BTreeMap;

use echelon_judge::blame::{Blame, Seen, blame};

use super::{
    bench::{FALSE_MOST, NO_GOAL},
    chance::{Chance, each},
    figures::{Figure, Goal},
};

const HOSTS: usize = 200;
/// Each rollout goes to so many.
const EACH: usize = 60;
const MINUTE_MS: u64 = 60_000;
/// When it is looked: an hour after the last host.
const UNTIL_MINUTES: u64 = 60 + EACH as u64;
/// Hosts that fail by themselves until then.
const BY_ITSELF: f64 = 0.03;
/// What the culprit touches fails so often, ...
const HARM: f64 = 0.3;
/// ... after so many minutes in the mean.
const DELAY: f64 = 10.0;

/// Which hosts the second rollout goes to, and when.
#[derive(Debug, Clone, Copy)]
enum Second {
    /// Any, at once.
    Any,
    /// The same as the first, in its order, so many minutes later.
    Same(u64),
}

/// Each with the first as the culprit, or without one.
pub(super) fn rows(seed: u64, count: u64) -> Vec<Figure> {
    let found = Goal {
        failed_least: Some(0.95),
        ..NO_GOAL
    };
    let mut rows = Vec::new();
    for (second, what, goal) in [
        (Second::Any, "hosts that overlap", found),
        (Second::Same(120), "the same hosts, two hours apart", found),
        (Second::Same(1), "the same hosts, a minute apart", NO_GOAL),
    ] {
        for culprit in [Some("r1"), Some("r2"), None] {
            let who = culprit.map_or_else(
                || "none bad, anybody blamed".to_owned(),
                |id| format!("{id} bad, it alone blamed"),
            );
            let name = format!("two rollouts, {what}: {who}");
            let said = each(count, |at| judged(second, culprit, &mut Chance::new(seed, &name, at)));
            let (hit, goal) = match culprit {
                Some(id) => (said.iter().filter(|blamed| **blamed == [id]).count(), goal),
                None => (said.iter().filter(|blamed| !blamed.is_empty()).count(), FALSE_MOST),
            };
            rows.push(Figure::of_part(&name, hit, said.len(), goal));
            let tied = said.iter().filter(|blamed| blamed.contains(&TIED.to_owned())).count();
            if tied > 0 {
                rows.push(Figure::of_part("of these, both tied", tied, said.len(), NO_GOAL));
            }
        }
    }
    rows
}

const TIED: &str = "tied";

/// Who is blamed, or that it is one of several.
fn judged(second: Second, culprit: Option<&str>, chance: &mut Chance) -> Vec<String> {
    let mut order: Vec<(f64, usize)> = (0..HOSTS).map(|host| (chance.normal(), host)).collect();
    let mut go = |from: u64, is_new: bool| -> BTreeMap<String, u64> {
        if is_new {
            order = (0..HOSTS).map(|host| (chance.normal(), host)).collect();
        }
        order.sort_by(|one, other| one.0.total_cmp(&other.0));
        let hosts = order.iter().take(EACH).enumerate();
        hosts
            .map(|(at, (_, host))| (name(*host), (from + at as u64) * MINUTE_MS))
            .collect()
    };
    let first = go(0, true);
    let (other, apart) = match second {
        Second::Any => (go(0, true), 0),
        Second::Same(apart) => (go(apart, false), apart),
    };
    let touched: BTreeMap<String, BTreeMap<String, u64>> = [("r1".to_owned(), first), ("r2".to_owned(), other)].into();
    let mut faults = Vec::new();
    for host in (0..HOSTS).map(name) {
        let until = (UNTIL_MINUTES + apart) as f64;
        if chance.hits(1.0, BY_ITSELF) > 0.0 {
            faults.push((host.clone(), (chance.part() * until) as u64 * MINUTE_MS));
        }
        let harmed = culprit.and_then(|culprit| touched[culprit].get(&host));
        if let Some(at) = harmed.filter(|_| chance.hits(1.0, HARM) > 0.0) {
            let later = -DELAY * (1.0 - chance.part()).ln();
            faults.push((host, at + (later * MINUTE_MS as f64) as u64));
        }
    }
    let seen = Seen {
        hosts: (0..HOSTS).map(name).collect(),
        touched,
        faults,
    };
    let said = blame(&seen).into_iter().filter_map(|suspect| match suspect.blame {
        Blame::Blamed => Some(suspect.rollout),
        Blame::Tied => Some(TIED.to_owned()),
        Blame::Cleared | Blame::Untold => None,
    });
    said.collect()
}

fn name(host: usize) -> String {
    format!("h{host:03}")
}
