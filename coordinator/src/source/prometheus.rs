//! Range queries to a Prometheus, or to whatever speaks its API. How it is asked is in `client`, what it answers is read in
//! `answer`; it says 400 or 422 to a query that it cannot do.

mod answer;

use reqwest::Url;

use super::{Error, Patience, Question, Samples, client::Server};
use echelon_proto::SourceName;

#[derive(Debug)]
pub(super) struct Prometheus(Server);

impl Prometheus {
    pub(super) fn new(name: SourceName, url: Url, patience: Patience) -> Result<Self, Error> {
        Server::new(name, url, patience, answer::refusal).map(Self)
    }

    /// Every value is of the very time that was asked for.
    pub(super) async fn ask(&self, question: &Question) -> Result<Samples, Error> {
        let window = question.window;
        let seconds = |millis: u64| format!("{}.{:03}", millis / 1000, millis % 1000);
        let words = [
            ("query", question.query.as_str()),
            ("start", &seconds(window.first.0)),
            ("end", &seconds(window.last().0)),
            ("step", &seconds(window.step.0)),
        ];
        let body = self.0.get("/api/v1/query_range", &words).await?;
        answer::read(&body, question).map_err(|why| Error::Answer {
            name: self.0.name.clone(),
            why,
        })
    }
}
