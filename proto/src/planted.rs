//! Known mistakes, each one line in the real code, that the simulation must find: who shows that it holds must show that it
//! can fail. Built only with the feature `planted`, which nothing that is packaged may name (a test of the house looks); without
//! it [`is`] is a constant that the compiler takes out. Deliberately one at a time, and for one thread alone.

macro_rules! plants {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// A mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Plant {
            $(#[doc = $text] $name),+
        }

        impl Plant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// `CapacityRoundsUp`
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),+
                }
            }

            /// What is wrong.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

plants! {
    CommitWithoutSync = "the journal says that entries are durable and has not synced them",
    AnswerAfterFailedWrite = "the driver answers though the journal failed",
    TailForgotten = "a replay leaves out the journal's last entry",
    SnapshotAhead = "a snapshot says that it holds one entry more than it does",
    SnapshotForgetsRequests = "a snapshot leaves out which requests were served",
    TimeGoesBack = "after a restart the driver's time may lie before the journal's",
    TermNotRaised = "a coordinator goes on in the term of the one before",
    SessionsSurvive = "a new term leaves hosts attached whose sessions died with the old one",
    CapacityRoundsUp = "one host more than the floor allows may leave service",
    UnreachableNotCounted = "a host that is out of reach is not counted as out of service",
    EmptiedNotCounted = "a host that a rollout has emptied is not counted as out of service",
    MonitorNotCounted = "a host whose monitor fails counts as in service",
    ParallelRoundsUp = "one host more than max_parallel is worked on",
    BudgetRoundsUp = "one failure more than the budget allows is let pass",
    AttemptNotCompared = "a report of another attempt counts",
    OwedNotAskedAgain = "the order of a phase that has ended stays owed",
    RetryTimerLost = "nobody wakes for a phase that is to be tried again",
    GateTimerLost = "nobody wakes for a gate that will say something by itself",
    ApprovedTwiceByOne = "one person's second approval counts",
    StarterApproves = "who started it may approve it",
    UnaskedGatePasses = "a wave passes though one of its gates has said nothing",
    BakeIgnored = "a wave passes before its bake is over",
    HealthNotWaitedFor = "a health gate passes at the first good word, not after its time",
    CanaryAlwaysPasses = "what the judge of a canary says is taken for a pass",
    HoldIgnored = "a held rollout moves its hosts on",
    AbortIgnored = "a rollout that aborts moves its hosts on",
    TwoAtOnce = "a queued rollout starts beside the one that runs",
    StartsEarly = "a scheduled rollout does not wait for its time",
    RetrySkipsItsWave = "a host tried again before its wave has opened goes at once",
    RollbackForgetsInFlight = "a rollback leaves alone the hosts that a phase runs on",
    TouchedForgotten = "a host tried again is forgotten to have been touched",
    OriginNotFirst = "where a host stood is taken down anew with each phase",
    ActServedTwice = "a request's id is not looked up before it is served",
    StartForgotten = "a start's request id is not kept",
    OtherHostsWord = "a host may report for another",
    DuplicateRun = "the agent takes an order that came again for a new one",
    OlderAttemptRun = "the agent takes an order of an older attempt",
    OlderTermObeyed = "the agent takes orders of a term that is over",
    TermNotSaved = "the agent does not save the term that it obeys",
    BeginsUnsaved = "the agent begins a program before its ledger says so",
    RunForgotten = "a restarted agent forgets what ran",
    EndNotKept = "the agent forgets a report before it is acknowledged",
    StateNotCompared = "the agent runs a phase from a state that its app is not in",
    AppsCollide = "the agent runs two phases of one app at once",
}

#[cfg(feature = "planted")]
std::thread_local! {
    static NOW: std::cell::Cell<Option<Plant>> = const { std::cell::Cell::new(None) };
}

/// Whether this mistake is made, on this thread. Never, without the feature.
#[cfg(not(feature = "planted"))]
#[inline]
#[must_use]
pub const fn is(_: Plant) -> bool {
    false
}

/// Whether this mistake is made, on this thread.
#[cfg(feature = "planted")]
#[must_use]
pub fn is(plant: Plant) -> bool {
    NOW.get() == Some(plant)
}

/// From now on this one is made on this thread, and no other.
#[cfg(feature = "planted")]
pub fn plant(plant: Option<Plant>) {
    NOW.set(plant);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_build_makes_none_of_them_and_knows_it_at_compile_time() {
        #[cfg(not(feature = "planted"))]
        const {
            assert!(!is(Plant::HoldIgnored));
        }
        assert!(Plant::ALL.len() >= 20 && !Plant::ALL.iter().any(|plant| is(*plant)));
    }
}
