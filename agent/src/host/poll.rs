//! Asks over and over until a condition over the answer holds. What the condition asks for may not be there yet (a field
//! of a body that is no JSON): that is `not yet`, and is told when the time is over. Deliberately no own conditions: they
//! are those of `echelon-condition`, which were checked when the order came.

use std::{fs::File, io::Read as _, time::Duration};

use echelon_condition::{Answer, Condition, Place};
use tokio::time::{self, Instant};

use super::{
    Host,
    ask::unhealthy,
    attempt::{Attempt, ended},
    check, process,
    program::{End, Program},
    spec::PROBE_WITHIN,
};
use crate::order::{Action, Order, Outcome, Poll, Probe, Run};

/// Of a body or an output that a condition sees.
const SEEN_BYTES_MAX: usize = 64 * 1024;
/// Of the last answer, in a message.
const TOLD_CHARS_MAX: usize = 300;

impl Host {
    /// Asks until it holds or the order's time is over.
    pub(super) async fn poll(&self, order: &Order, poll: &Poll, attempt: &Attempt) -> Outcome {
        let (begun, mut tries, mut last) = (Instant::now(), 0_u32, "it was not asked".to_owned());
        while !attempt.left().is_zero() {
            // A program has its supervisor to end it in time; that needs the grace too.
            let grace = if matches!(*poll.ask, Action::Run(_)) {
                process::GRACE * 3
            } else {
                Duration::ZERO
            };
            let asked = self.poll_asked(Some(order), poll, attempt.left());
            match time::timeout(attempt.left() + grace, asked).await {
                Ok(probe) if probe.healthy => return Outcome::done(),
                Ok(probe) => last = probe.message,
                Err(_) => break,
            }
            tries += 1;
            let next = Instant::now() + poll.every.duration();
            time::sleep_until(next.min(attempt.until)).await;
        }
        let seconds = begun.elapsed().as_secs_f32();
        attempt.timed_out(format!("{last} (asked {tries} times in {seconds:.1} s)"))
    }

    /// Asks once, for a verify or a watch.
    pub(super) async fn poll_once(&self, order: Option<&Order>, poll: &Poll) -> Probe {
        self.poll_asked(order, poll, PROBE_WITHIN).await
    }

    async fn poll_asked(&self, order: Option<&Order>, poll: &Poll, left: Duration) -> Probe {
        let until = match Condition::new(&poll.until, Place::Until) {
            Ok(until) => until,
            Err(error) => return unhealthy(format!("`{}`: {error}", poll.until)),
        };
        let answer = self.answer(order, &poll.ask, left.min(PROBE_WITHIN)).await;
        let (healthy, why) = match until.holds(&answer) {
            Ok(holds) => (holds, String::new()),
            Err(unknown) => (false, format!("; the condition cannot be told yet: {unknown}")),
        };
        Probe {
            healthy,
            message: format!("{}{why}", told(&poll.ask, &answer)),
        }
    }

    async fn answer(&self, order: Option<&Order>, ask: &Action, left: Duration) -> Answer {
        match ask {
            Action::Http(http) => match check::get(&self.client, http, SEEN_BYTES_MAX + 1).await {
                Ok((status, body)) => of_http(status, body),
                Err(error) => without(error),
            },
            Action::Tcp(tcp) => match check::tcp(&tcp.address).await {
                Probe { healthy: true, .. } => Answer::default(),
                Probe { message, .. } => without(message),
            },
            Action::Run(run) => self.answer_of_program(order, run, left).await,
            Action::Systemd(_) | Action::Artifact(_) | Action::Poll(_) | Action::File(_) | Action::Note => {
                without("only http, tcp and run can be polled".to_owned())
            }
        }
    }

    async fn answer_of_program(&self, order: Option<&Order>, run: &Run, left: Duration) -> Answer {
        let scratch = self.scratch();
        let program = Program::new(scratch.path().to_owned());
        let spec = match order {
            Some(order) => self.spec(order, run, left, &program),
            None => self.spec_of_probe(run, &program),
        };
        let end = match spec {
            Ok(spec) => self.supervised(&program, &spec).await,
            Err(why) => return without(why),
        };
        let exit = match end {
            End::Known(exit) => exit,
            End::Lost { .. } => return without(format!("{} ended in an unknown way", run.argv[0])),
            End::NotBegun(why) => return without(why),
        };
        let error = match &exit {
            exit if exit.code.is_some() && !exit.timed_out => String::new(),
            exit => ended(&run.argv[0], exit),
        };
        Answer {
            exit_code: exit.code.unwrap_or(-1),
            output: first_bytes(&program),
            error,
            ..Answer::default()
        }
    }
}

fn without(error: String) -> Answer {
    Answer {
        error,
        ..Answer::default()
    }
}

fn of_http(status: u16, mut body: Vec<u8>) -> Answer {
    let is_whole = body.len() <= SEEN_BYTES_MAX;
    body.truncate(SEEN_BYTES_MAX);
    let json = is_whole.then(|| serde_json::from_slice(&body).ok()).flatten();
    Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
        json: json.unwrap_or_default(),
        ..Answer::default()
    }
}

fn first_bytes(program: &Program) -> String {
    let mut bytes = Vec::new();
    // An output that cannot be read is one that holds nothing.
    let _ = File::open(program.output()).map(|file| file.take(SEEN_BYTES_MAX as u64).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The answer for people, cut short.
fn told(ask: &Action, answer: &Answer) -> String {
    let cut = |text: &str| -> String {
        let mut short: String = text.trim().chars().take(TOLD_CHARS_MAX).collect();
        if short.len() < text.trim().len() {
            short.push_str("...");
        }
        format!("{short:?}")
    };
    match ask {
        _ if !answer.error.is_empty() => format!("last answer: none, {}", answer.error),
        Action::Http(http) => format!("last answer: {}: {} {}", http.url, answer.status, cut(&answer.body)),
        Action::Run(run) => {
            let name = &run.argv[0];
            format!(
                "last answer: {name}: exit code {} {}",
                answer.exit_code,
                cut(&answer.output)
            )
        }
        Action::Tcp(tcp) => format!("last answer: {} accepts connections", tcp.address),
        Action::Systemd(_) | Action::Artifact(_) | Action::Poll(_) | Action::File(_) | Action::Note => {
            "last answer: none".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_where_it_is_whole_and_json() {
        assert_eq!(of_http(200, br#"{"ready":true}"#.to_vec()).json["ready"], true);
        assert!(of_http(200, b"ready".to_vec()).json.is_null());
        let long = format!("\"{}\"", "x".repeat(SEEN_BYTES_MAX));
        let answer = of_http(200, long.into_bytes());
        assert!(answer.json.is_null() && answer.body.len() == SEEN_BYTES_MAX);
    }
}
