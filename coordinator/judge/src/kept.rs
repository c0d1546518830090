//! What a look of a canary gate was made from, as it is kept: the samples of each metric as a case, who was compared, what was
//! asked, and what the judge said. With it the verdict can be computed again, anywhere, by anyone. Deliberately text: the
//! case stands in it to the letter as it was judged, so that it is read as the same numbers again.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Case, Outcome, Verdict, case, score};

/// One look.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// `r7`
    pub rollout: String,
    /// In which lane.
    pub datacenter: String,
    /// Which gate.
    pub gate: String,
    /// Where the samples are from.
    pub source: String,
    /// From when on samples count, in milliseconds since 1970.
    pub since: u64,
    /// The last samples' time.
    pub upto: u64,
    /// Milliseconds between two.
    pub every: u64,
    /// Canary hosts, by what the source calls them.
    pub canary: Vec<String>,
    /// Control hosts.
    pub control: Vec<String>,
    /// In the order of their names.
    pub metrics: Vec<Metric>,
    /// Of those that the classic judge judges, together; `None`: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Scored>,
}

/// What the classic judge says, put together.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scored {
    /// How.
    pub settings: score::Settings,
    /// What was judged; none: it was not time yet.
    pub metrics: Vec<score::Metric>,
    /// What it came to.
    pub verdict: Verdict,
}

impl Scored {
    /// Puts these together; without any the reason is why there are none.
    #[must_use]
    pub fn new(settings: score::Settings, metrics: Vec<score::Metric>, not_yet: &str) -> Self {
        let verdict = match metrics.is_empty() {
            true => Verdict::new(Outcome::Inconclusive, not_yet),
            false => score::judge(&metrics, &settings),
        };
        Self {
            settings,
            metrics,
            verdict,
        }
    }
}

/// One metric of a look.
#[derive(Debug, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What was asked.
    pub query: String,
    /// Of a ratio: what was asked for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Its samples and how they are judged; `None`: there were none, or too many to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Box<RawValue>>,
    /// What the judge said: a [`crate::Verdict`].
    pub verdict: Box<RawValue>,
}

/// A verdict, computed again.
#[derive(Debug)]
pub struct Again {
    /// The samples.
    pub case: Case,
    /// Whether it is the one that was kept, to the last digit.
    pub is_same: bool,
}

impl Metric {
    /// Judges again what was kept; `None`: nothing was.
    ///
    /// # Errors
    /// What was kept is no case.
    pub fn again(&self) -> Option<Result<Again, case::Error>> {
        let case = self.case.as_ref()?;
        Some(Case::read(case.get()).map(|case| {
            let verdict = serde_json::to_string(&case.judge().verdict);
            let is_same = verdict.is_ok_and(|verdict| verdict == self.verdict.get());
            Again { case, is_same }
        }))
    }
}

impl Kept {
    /// Whether the score comes out as it was kept, from the samples of those metrics whose samples were kept; `None`: there
    /// is none.
    #[must_use]
    pub fn is_score_same(&self) -> Option<bool> {
        let kept = self.score.as_ref().filter(|score| !score.metrics.is_empty())?;
        let again = kept.metrics.iter().map(|scored| {
            let case = self
                .metrics
                .iter()
                .find(|metric| metric.name == scored.name)?
                .case
                .as_ref();
            // Without samples nothing can be judged: what was said then stands.
            let Some(case) = case else { return Some(scored.clone()) };
            let case = Case::read(case.get()).ok()?;
            Some(case.scored(&case.judge()))
        });
        let again: Option<Vec<_>> = again.collect();
        // The words have its figures; a number that was read again may differ in its last digit.
        let told = |verdict: &Verdict| (verdict.outcome, verdict.reason.clone());
        Some(again.is_some_and(|again| told(&score::judge(&again, &kept.settings)) == told(&kept.verdict)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(case: &str) -> Metric {
        let judged = Case::read(case).unwrap().judge();
        Metric {
            name: "errors".to_owned(),
            query: "errors".to_owned(),
            of: None,
            case: Some(RawValue::from_string(case.to_owned()).unwrap()),
            verdict: RawValue::from_string(serde_json::to_string(&judged.verdict).unwrap()).unwrap(),
        }
    }

    #[test]
    fn what_was_kept_gives_the_same_verdict_to_the_last_digit_and_what_was_altered_does_not() {
        let case =
            r#"{"kind":"count","control":[10,20.1,30,12.3],"canary":[0.1,0.7,12,11],"share":0.3333333333333333}"#;
        let text = serde_json::to_string(&kept(case)).unwrap();
        let read: Metric = serde_json::from_str(&text).unwrap();
        assert!(read.again().unwrap().unwrap().is_same);
        let altered: Metric = serde_json::from_str(&text.replace("20.1", "2000.1")).unwrap();
        assert!(!altered.again().unwrap().unwrap().is_same);
        let none = Metric { case: None, ..read };
        assert!(none.again().is_none());
    }
}
