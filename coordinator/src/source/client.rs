//! Asking a server over HTTP, as every kind of source does that is one.
//!
//! | answer | |
//! |---|---|
//! | 2xx | its body is read; what cannot be read would be the same again: an error |
//! | 408, 429, 5xx, none in time, no connection, cut off | asked again, after 1 s, then 2 s |
//! | anything else | an error; that is how a source answers a query that it cannot do |
//!
//! The URL is the operator's and may hold a password: it is in no message. Redirects are not followed.

use std::time::Duration;

use echelon_proto::SourceName;
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::sleep;

use super::{
    Error,
    bounds::{BODY_BYTES_MAX, cut},
};
use crate::web;

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

/// What the body of an answer that is an error says, for people; `None` where it says nothing.
pub(super) type Refusal = fn(&[u8]) -> Option<String>;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: SourceName,
    url: Url,
    client: Client,
    patience: Patience,
    refusal: Refusal,
}

enum Fault {
    /// It may be otherwise in a moment.
    Passing(String),
    /// It would be the same again.
    Lasting(String),
}

impl Server {
    pub(super) fn new(name: SourceName, url: Url, patience: Patience, refusal: Refusal) -> Result<Self, Error> {
        let client = web::client(patience.timeout).map_err(Error::Setup)?;
        Ok(Self {
            name,
            url,
            client,
            patience,
            refusal,
        })
    }

    /// The body of the answer to a question at this path, below the server's own.
    pub(super) async fn get(&self, path: &str, words: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(words);
        let mut wait = self.patience.wait;
        let mut tries = 1;
        loop {
            let name = self.name.clone();
            let last = match self.once(url.clone()).await {
                Ok(body) => return Ok(body),
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

    async fn once(&self, url: Url) -> Result<Vec<u8>, Fault> {
        let sent = self.client.get(url).send().await;
        let answer = sent.map_err(|error| Fault::Passing(cut(&web::chain(&error.without_url()))))?;
        let status = answer.status();
        let body = body(answer).await;
        if status.is_success() {
            return body;
        }
        let said = body.ok().and_then(|body| (self.refusal)(&body)).unwrap_or_default();
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
