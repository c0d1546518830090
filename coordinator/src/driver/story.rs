//! What happened in each rollout, as people read it: the journal's records turned into lines, kept in memory for the
//! rollouts that are kept, with a bound. Rebuilt from the journal at start; never asked by any policy.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use echelon_engine::{
    Entry, State,
    rollout::Rollout,
    state::Map,
    view::{self, EventView},
};
use echelon_proto::RolloutId;

/// Lines kept in all: some ten rollouts over 2,000 hosts with three phases each, about 40 MiB. Beyond it the oldest
/// rollout's lines go first.
const LINES_MAX: usize = 150_000;

/// Numbers of one entry's records lie within so many: record 3 of entry 512 is 512,000,003.
const RECORDS_PER_ENTRY: u64 = 1_000_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Grows strictly; the same record has the same number after a restart.
    pub sequence: u64,
    /// What it says.
    pub view: EventView,
}

/// Some lines, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines.
    pub lines: Vec<Arc<Line>>,
    /// Where to go on; `None`: there are no more at present.
    pub next: Option<u64>,
}

/// The lines of all rollouts that are kept. Readers hold it for the time of a copy of some pointers.
#[derive(Debug, Default)]
pub struct Story(RwLock<Told>);

#[derive(Debug, Default)]
struct Told {
    rollouts: BTreeMap<RolloutId, VecDeque<Arc<Line>>>,
    count: usize,
}

/// An entry's lines. `state` is the one after the entry.
pub(super) fn lines(state: &State, sequence: u64, entry: &Entry) -> impl Iterator<Item = Line> {
    (0_u64..).zip(&entry.records).filter_map(move |(index, record)| {
        let view = view::event(state, entry.at, record)?;
        // An entry is bounded by bytes to fewer records than that; should it not be, the last ones share a number.
        let sequence = sequence * RECORDS_PER_ENTRY + index.min(RECORDS_PER_ENTRY - 1);
        Some(Line { sequence, view })
    })
}

impl Story {
    /// Adds lines that are durable, and forgets those of rollouts that are forgotten.
    pub(super) fn tell(&self, lines: Vec<Line>, rollouts: &Map<RolloutId, Rollout>) {
        if lines.is_empty() {
            return;
        }
        let mut told = self.0.write().unwrap_or_else(PoisonError::into_inner);
        told.count += lines.len();
        for line in lines {
            told.rollouts
                .entry(line.view.rollout.clone())
                .or_default()
                .push_back(Arc::new(line));
        }
        if told.rollouts.len() > rollouts.size() {
            told.rollouts.retain(|id, _| rollouts.contains_key(id));
            told.count = told.rollouts.values().map(VecDeque::len).sum();
        }
        while told.count > LINES_MAX {
            told.shorten();
        }
    }

    /// Lines of a rollout from a number on, at most `max`.
    #[must_use]
    pub fn page(&self, rollout: &RolloutId, from: u64, max: usize) -> Page {
        let told = self.read();
        let Some(all) = told.rollouts.get(rollout) else {
            return Page::default();
        };
        let begin = all.partition_point(|line| line.sequence < from);
        let lines = all.range(begin..).take(max).cloned().collect();
        Page {
            lines,
            next: all.get(begin + max).map(|line| line.sequence),
        }
    }

    /// Lines of a rollout that people caused.
    #[must_use]
    pub fn human(&self, rollout: &RolloutId) -> Vec<Arc<Line>> {
        let told = self.read();
        let all = told.rollouts.get(rollout).into_iter().flatten();
        all.filter(|line| line.view.actor.is_some()).cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Told> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// Drops the lines of the rollout that began first; of the only one, its older half.
    fn shorten(&mut self) {
        let begin = |lines: &VecDeque<Arc<Line>>| lines.front().map_or(0, |line| line.sequence);
        let oldest = self
            .rollouts
            .iter()
            .min_by_key(|(_, lines)| begin(lines))
            .map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return };
        if self.rollouts.len() > 1 {
            let gone = self.rollouts.remove(&oldest).map_or(0, |lines| lines.len());
            self.count -= gone;
        } else if let Some(lines) = self.rollouts.get_mut(&oldest) {
            let half = lines.len() / 2;
            lines.drain(..half);
            self.count -= half;
        }
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::Time;

    use super::*;

    fn line(rollout: &str, sequence: u64) -> Line {
        let view = EventView {
            rollout: RolloutId::new(rollout).unwrap(),
            at: Time(sequence),
            kind: "wave_opened",
            datacenter: None,
            wave: None,
            host: None,
            phase: None,
            text: String::new(),
            actor: None,
        };
        Line { sequence, view }
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let story = Story::default();
        // Nothing is forgotten while the story knows no more rollouts than the state: here it knows one more.
        {
            let mut told = story.0.write().unwrap();
            let lines: VecDeque<_> = [3, 5, 9].map(|sequence| Arc::new(line("r1", sequence))).into();
            told.rollouts.insert(RolloutId::new("r1").unwrap(), lines);
        }
        let r1 = RolloutId::new("r1").unwrap();
        let numbers = |page: &Page| page.lines.iter().map(|line| line.sequence).collect::<Vec<_>>();
        let first = story.page(&r1, 0, 2);
        assert_eq!((numbers(&first), first.next), (vec![3, 5], Some(9)));
        let second = story.page(&r1, 9, 2);
        assert_eq!((numbers(&second), second.next), (vec![9], None));
        assert_eq!(story.page(&RolloutId::new("r2").unwrap(), 0, 2), Page::default());
    }

    #[test]
    fn beyond_the_bound_the_oldest_rollout_goes_then_the_older_half() {
        let mut told = Told::default();
        for (rollout, begin) in [("r2", 1), ("r1", 10)] {
            let lines = (begin..begin + 4)
                .map(|sequence| Arc::new(line(rollout, sequence)))
                .collect();
            told.rollouts.insert(RolloutId::new(rollout).unwrap(), lines);
            told.count += 4;
        }
        told.shorten();
        assert_eq!((told.rollouts.len(), told.count), (1, 4));
        told.shorten();
        let left: Vec<_> = told.rollouts.values().flatten().map(|line| line.sequence).collect();
        assert_eq!((left, told.count), (vec![12, 13], 2));
    }
}
