//! Range queries to a Prometheus, or to whatever speaks its API. What it answers is read in `answer`.
//!
//! | answer | |
//! |---|---|
//! | 2xx | read; what cannot be read would be the same again: an error |
//! | 408, 429, 5xx, none in time, no connection, cut off | asked again, after 1 s, then 2 s |
//! | anything else | an error; Prometheus says 400 or 422 to a query that it cannot do |
//!
//! The URL is the operator's and may hold a password: it is in no message. Redirects are not followed.

use std::time::Duration;

use echelon_proto::{Label, SourceName};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::sleep;

use super::{
    Error, Samples, Window,
    answer::{self, cut},
};
use crate::web;

/// 2,000 hosts with 600 samples each; the memory of a coordinator is for other things.
const BODY_BYTES_MAX: usize = 32 << 20;

/// How patient to be.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one try, up to the end of the answer.
    pub timeout: Duration,
    /// Tries in all.
    pub tries: u32,
    /// Before the second try; doubled before each further one.
    pub wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            tries: 3,
            wait: Duration::from_secs(1),
        }
    }
}

#[derive(Debug)]
pub(super) struct Prometheus {
    name: SourceName,
    url: Url,
    client: Client,
    patience: Patience,
}

enum Fault {
    /// It may be otherwise in a moment.
    Passing(String),
    /// It would be the same again.
    Lasting(String),
}

impl Prometheus {
    pub(super) fn new(name: SourceName, url: Url, patience: Patience) -> Result<Self, Error> {
        let client = web::client(patience.timeout).map_err(Error::Setup)?;
        Ok(Self {
            name,
            url,
            client,
            patience,
        })
    }

    pub(super) async fn range(&self, query: &str, label: &Label, window: Window) -> Result<Samples, Error> {
        let url = self.address(query, window);
        let mut wait = self.patience.wait;
        let mut tries = 1;
        loop {
            let name = self.name.clone();
            let last = match self.once(url.clone()).await {
                Ok(body) => {
                    return answer::read(&body, label, window).map_err(|why| Error::Answer { name, why });
                }
                Err(Fault::Lasting(why)) => return Err(Error::Answer { name, why }),
                Err(Fault::Passing(why)) => why,
            };
            if tries >= self.patience.tries {
                return Err(Error::GaveUp { name, tries, last });
            }
            sleep(wait).await;
            wait *= 2;
            tries += 1;
        }
    }

    fn address(&self, query: &str, window: Window) -> Url {
        let mut url = self.url.clone();
        let path = format!("{}/api/v1/query_range", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let seconds = |millis: u64| format!("{}.{:03}", millis / 1000, millis % 1000);
        url.query_pairs_mut()
            .append_pair("query", query)
            .append_pair("start", &seconds(window.first.0))
            .append_pair("end", &seconds(window.last().0))
            .append_pair("step", &seconds(window.step.0));
        url
    }

    async fn once(&self, url: Url) -> Result<Vec<u8>, Fault> {
        let sent = self.client.get(url).send().await;
        let answer = sent.map_err(|error| Fault::Passing(cut(&web::chain(&error.without_url()))))?;
        let status = answer.status();
        let body = body(answer).await;
        if status.is_success() {
            return body;
        }
        let said = body.ok().and_then(|body| answer::refusal(&body)).unwrap_or_default();
        let why = match said.as_str() {
            "" => format!("it answers {status}"),
            said => format!("it answers {status}: {said}"),
        };
        let passing = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if passing || status.is_server_error() {
            Err(Fault::Passing(why))
        } else {
            Err(Fault::Lasting(why))
        }
    }
}

async fn body(mut answer: Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        let chunk = answer.chunk().await;
        match chunk.map_err(|error| Fault::Passing(cut(&web::chain(&error.without_url()))))? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > BODY_BYTES_MAX => {
                let why = format!(
                    "its answer is longer than {} MiB: ask for fewer series",
                    BODY_BYTES_MAX >> 20
                );
                return Err(Fault::Lasting(why));
            }
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}
