//! Graphite's render API, or whatever speaks it. How it is asked is in `client`, what it answers is read in `answer`; it says
//! 400 to a target that it cannot do.
//!
//! Which host a series is of: `label` is the name of a tag of it, as series of `seriesByTag` have them; or `target`, which is
//! what the series is called, as `aliasByNode(app.*.errors, 1)` or `groupByNode(app.*.*.errors, 1, "sum")` make it the
//! host's node of a dotted name.

mod answer;

use echelon_proto::{SourceName, Time};
use reqwest::Url;

use super::{Error, Patience, Question, Samples, client::Server};

#[derive(Debug)]
pub(super) struct Graphite(Server);

impl Graphite {
    pub(super) fn new(name: SourceName, url: Url, patience: Patience) -> Result<Self, Error> {
        Server::new(name, url, patience, answer::refusal).map(Self)
    }

    /// Every value is of a stretch of time that Graphite keeps, and stands in the interval in which that ends.
    pub(super) async fn ask(&self, question: &Question) -> Result<Samples, Error> {
        let window = question.window;
        // An interval more: `derivative` and its like know nothing of their first. `from` itself is not in the answer.
        let back = window.step.0.saturating_mul(2);
        let from = Time(window.first.0.saturating_sub(back)).0 / 1000;
        let (from, until) = (from.saturating_sub(1).to_string(), (window.last().0 / 1000).to_string());
        // Without `maxDataPoints` nothing is put together there. What it has in its cache may be a minute old.
        let words = [
            ("target", question.query.as_str()),
            ("from", &from),
            ("until", &until),
            ("format", "json"),
            ("noCache", "true"),
        ];
        let body = self.0.get("/render", &words).await?;
        answer::read(&body, question).map_err(|why| Error::Answer {
            name: self.0.name.clone(),
            why,
        })
    }
}
