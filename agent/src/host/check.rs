//! Questions to a port or a URL: asked until they hold (a phase), or once over (a verify, a watch). Redirects are not
//! followed: a health page that redirects is not the health page. Deliberately nothing of what the answer means.

use std::time::Duration;

use echelon_proto::Span;
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};

use super::ask::unhealthy;
use crate::order::{HttpCheck, Probe, TcpCheck};

/// Of a body that is searched; a health page is small.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Of one question when the check does not say.
const ONE_QUESTION: Duration = Duration::from_secs(5);
/// Between two questions when the check does not say.
const INTERVAL: Duration = Duration::from_secs(1);

/// One of the two.
#[derive(Debug, Clone, Copy)]
pub(super) enum Check<'a> {
    Http(&'a HttpCheck),
    Tcp(&'a TcpCheck),
}

impl Check<'_> {
    const fn consecutive(self) -> u32 {
        match self {
            Self::Http(check) => check.consecutive,
            Self::Tcp(check) => check.consecutive,
        }
    }

    fn interval(self) -> Duration {
        let span = match self {
            Self::Http(check) => check.interval,
            Self::Tcp(check) => check.interval,
        };
        or(span, INTERVAL)
    }

    /// Asks one question.
    async fn question(self, client: &reqwest::Client) -> Probe {
        match self {
            Self::Http(check) => http(client, check).await,
            Self::Tcp(check) => tcp(&check.address).await,
        }
    }
}

fn or(span: Span, default: Duration) -> Duration {
    if span == Span::ZERO { default } else { span.duration() }
}

/// Asks until it holds as often in a row as wanted. The error says what was seen last.
pub(super) async fn until_it_holds(
    client: &reqwest::Client,
    check: Check<'_>,
    deadline: Instant,
) -> Result<(), String> {
    let (begun, mut tries, mut in_a_row) = (Instant::now(), 0_u32, 0_u32);
    let mut last = String::from("it was not asked");
    loop {
        let Ok(probe) = time::timeout_at(deadline, check.question(client)).await else {
            break;
        };
        tries += 1;
        in_a_row = if probe.healthy { in_a_row + 1 } else { 0 };
        last = probe.message;
        if in_a_row >= check.consecutive() {
            return Ok(());
        }
        if time::timeout_at(deadline, time::sleep(check.interval())).await.is_err() {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f32();
    Err(format!("{last} (asked {tries} times in {seconds:.1} s)"))
}

/// Asks as often as it must hold in a row; the first failure is the answer.
pub(super) async fn ask(client: &reqwest::Client, check: Check<'_>) -> Probe {
    let mut probe = check.question(client).await;
    for _ in 1..check.consecutive() {
        if !probe.healthy {
            break;
        }
        time::sleep(check.interval()).await;
        probe = check.question(client).await;
    }
    probe
}

async fn http(client: &reqwest::Client, check: &HttpCheck) -> Probe {
    let url = &check.url;
    let body_bytes_max = check.contains.as_ref().map_or(0, |_| BODY_BYTES_MAX);
    let (status, body) = match get(client, check, body_bytes_max).await {
        Ok(answer) => answer,
        Err(message) => return unhealthy(message),
    };
    if status != check.status {
        return unhealthy(format!("{url}: answered {status}, wanted {}", check.status));
    }
    match &check.contains {
        Some(text) if !contains(&body, text.as_bytes()) => {
            unhealthy(format!("{url}: answered {status}, but without {text:?} in its body"))
        }
        _ => Probe {
            healthy: true,
            message: format!("{url}: answered {status}"),
        },
    }
}

/// Whatever the URL answers: status, and the body's first bytes or a few more.
pub(super) async fn get(
    client: &reqwest::Client,
    check: &HttpCheck,
    body_bytes_max: usize,
) -> Result<(u16, Vec<u8>), String> {
    let url = &check.url;
    let timeout = or(check.request_timeout, ONE_QUESTION);
    let answer = async {
        let mut response = client.get(url).send().await?;
        let mut body = Vec::new();
        while body.len() < body_bytes_max {
            let Some(part) = response.chunk().await? else { break };
            body.extend_from_slice(&part);
        }
        Ok((response.status().as_u16(), body))
    };
    match time::timeout(timeout, answer).await {
        Err(_) => Err(format!("{url}: no answer within {} ms", timeout.as_millis())),
        Ok(Err(error)) => Err(format!("{url}: {}", cause(error))),
        Ok(Ok(answer)) => Ok(answer),
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len().max(1)).any(|window| window == text)
}

/// The innermost cause: "error sending request" alone helps nobody.
pub(super) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

pub(super) async fn tcp(address: &str) -> Probe {
    match time::timeout(ONE_QUESTION, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Probe {
            healthy: true,
            message: format!("{address}: accepts connections"),
        },
        Ok(Err(error)) => unhealthy(format!("{address}: {error}")),
        Err(_) => unhealthy(format!("{address}: no answer within {} s", ONE_QUESTION.as_secs())),
    }
}
