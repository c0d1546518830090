//! Tells another system by a POST of JSON. Which event is worth telling, and to whom, is not decided here.
//!
//! The URL is the operator's, from the coordinator's own config file, and may well be inside the network: it is not
//! filtered. What it answers is not followed: a redirect could lead anywhere, so it is a failure.
//!
//! | answer | |
//! |---|---|
//! | 2xx | told |
//! | 408, 429, 5xx, none in time, no connection | tried again, after 1 s, 2 s, 4 s, ... up to 30 s |
//! | anything else | failed: it would be refused again |

use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde::Serialize;
use tokio::time::sleep;

use crate::web;

/// How patient to be.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one try, from the connection to the answer's head.
    pub timeout: Duration,
    /// Tries in all.
    pub tries: u32,
    /// Before the second try; doubled before each further one.
    pub wait: Duration,
    /// At most this long between two tries.
    pub wait_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            tries: 6,
            wait: Duration::from_secs(1),
            wait_max: Duration::from_secs(30),
        }
    }
}

/// It was not told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client could not be made, or the body is no JSON: a fault of ours.
    #[error("webhook: {0}")]
    Setup(String),
    /// Refused for good.
    #[error("webhook {host}: answered {status}; it is not tried again (redirects are not followed)")]
    Refused {
        /// The URL's host: its path may hold a secret.
        host: String,
        /// The answer.
        status: StatusCode,
    },
    /// Every try failed.
    #[error("webhook {host}: {tries} tries failed, the last: {last}")]
    GaveUp {
        /// The URL's host.
        host: String,
        /// How many.
        tries: u32,
        /// What the last one met.
        last: String,
    },
}

/// Tells. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: Client,
    patience: Patience,
}

enum Outcome {
    Told,
    Refused(StatusCode),
    Again(String),
}

impl Webhook {
    /// A client with this patience.
    ///
    /// # Errors
    /// [`Error::Setup`].
    pub fn new(patience: Patience) -> Result<Self, Error> {
        let client = web::client(patience.timeout).map_err(Error::Setup)?;
        Ok(Self { client, patience })
    }

    /// Posts the body until it is told, refused, or patience has ended; gives the number of tries. Dropped, it stops.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::GaveUp`].
    pub async fn post(&self, url: &Url, body: &(impl Serialize + Sync)) -> Result<u32, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Setup(error.to_string()))?;
        let host = || url.host_str().unwrap_or_default().to_owned();
        let mut wait = self.patience.wait;
        let mut tries = 1;
        loop {
            let last = match self.once(url, body.clone()).await {
                Outcome::Told => return Ok(tries),
                Outcome::Refused(status) => return Err(Error::Refused { host: host(), status }),
                Outcome::Again(why) => why,
            };
            if tries >= self.patience.tries {
                return Err(Error::GaveUp {
                    host: host(),
                    tries,
                    last,
                });
            }
            tracing::debug!(host = host(), tries, last, "webhook not told yet");
            sleep(wait).await;
            wait = (wait * 2).min(self.patience.wait_max);
            tries += 1;
        }
    }

    async fn once(&self, url: &Url, body: Vec<u8>) -> Outcome {
        let request = self
            .client
            .post(url.clone())
            .header("content-type", "application/json")
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Outcome::Told,
            Ok(answer) => match answer.status() {
                status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
                    Outcome::Again(format!("it answered {status}"))
                }
                status if status.is_server_error() => Outcome::Again(format!("it answered {status}")),
                status => Outcome::Refused(status),
            },
            // The URL is left out of the text: its path may hold a secret.
            Err(error) => Outcome::Again(web::chain(&error.without_url())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;

    /// Gives one answer to each connection, in turn, and then the requests it got. An empty answer: silence.
    async fn server(answers: Vec<&'static str>) -> (Url, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}/secret").parse().unwrap();
        let serving = tokio::spawn(async move {
            let mut requests = Vec::new();
            let mut silent = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = String::new();
                while !request.ends_with('}') {
                    let mut buffer = [0; 4096];
                    let count = stream.read(&mut buffer).await.unwrap();
                    assert!(count > 0, "cut off: {request}");
                    request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                }
                requests.push(request);
                if answer.is_empty() {
                    silent.push(stream);
                    continue;
                }
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            requests
        });
        (url, serving)
    }

    fn webhook() -> Webhook {
        Webhook::new(Patience {
            timeout: Duration::from_millis(500),
            tries: 4,
            wait: Duration::from_millis(5),
            wait_max: Duration::from_millis(10),
        })
        .unwrap()
    }

    #[tokio::test]
    async fn it_tries_again_until_it_is_told() {
        let (url, serving) = server(vec!["503 Busy", "", "429 Slower", "204 Told"]).await;
        let tries = webhook()
            .post(&url, &serde_json::json!({"rollout": "r1"}))
            .await
            .unwrap();
        assert_eq!(tries, 4);
        for request in serving.await.unwrap() {
            assert!(request.starts_with("POST /secret HTTP/1.1"), "{request}");
            assert!(request.contains("content-type: application/json"), "{request}");
            assert!(request.ends_with("{\"rollout\":\"r1\"}"), "{request}");
        }
    }

    #[tokio::test]
    async fn what_is_refused_is_not_asked_again_and_a_redirect_is_not_followed() {
        for answer in ["404 Not Found", "302 Found\r\nlocation: /elsewhere"] {
            let (url, serving) = server(vec![answer]).await;
            let error = webhook().post(&url, &serde_json::json!({})).await.unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error}");
            assert_eq!(serving.await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn it_gives_up_and_says_why_without_the_urls_secret() {
        let (url, serving) = server(vec!["500 Oh"; 4]).await;
        let error = webhook()
            .post(&url, &serde_json::json!({}))
            .await
            .unwrap_err()
            .to_string();
        serving.await.unwrap();
        assert!(error.contains("4 tries") && error.contains("500"), "{error}");
        let error = webhook()
            .post(&url, &serde_json::json!({}))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("refused"), "nobody listens any more: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
