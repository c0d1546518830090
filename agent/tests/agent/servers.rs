//! Servers that are broken, slow, lying or after something, each asked by the real host for one artifact. Each ends in
//! bounded time with one line that names the URL and the reason, or is got round when that is right; what is installed is
//! never anything but the release, and what is refused leaves nothing but bytes that a next try can go on from.

mod mischief;
mod secure;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use echelon_agent::order::PhaseResult;
use echelon_proto::{Digest, Span};
use futures::future::join_all;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    time,
};

use self::mischief::Script;
use crate::{
    artifacts::{archive, install},
    host::OneHost,
};

/// Longer than anything here takes: what is still under way then hangs.
const SOON: Duration = Duration::from_secs(60);

/// One request.
#[derive(Debug, Clone, Copy)]
struct Ask {
    /// From 1, of all connections.
    number: usize,
    /// First byte that is wanted.
    from: usize,
}

/// What a server does with a connection, one after the other.
enum Step {
    Send(Vec<u8>),
    /// One byte after the other, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// Over and over, until nobody reads any more.
    Flood(Vec<u8>),
    /// Says nothing, until the other side goes.
    Hang,
}

/// How it is to end.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Done,
    Failed(&'static str),
    TimedOut,
}

struct Case {
    what: &'static str,
    script: Script,
    wanted: Wanted,
    /// Requests that it takes. None: as many as it likes.
    asked: Option<usize>,
    /// Of the whole order.
    within: Span,
    /// Bytes that are on the disk already.
    part: Vec<u8>,
}

async fn listen(script: Script) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (script, count) = (script.clone(), count.clone());
            // Who hangs up is no failure of the server.
            tokio::spawn(async move { converse(stream, &script, &count).await });
        }
    });
    (address.to_string(), asked)
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, script: &Script, asked: &AtomicUsize) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut ask = Ask { number: 0, from: 0 };
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            ask.from = range.trim().trim_end_matches('-').parse().unwrap();
        }
        line.clear();
    }
    ask.number = asked.fetch_add(1, Ordering::SeqCst) + 1;
    for step in script(ask) {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    time::sleep(pause).await;
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                }
            }
            Step::Flood(bytes) => loop {
                stream.write_all(&bytes).await?;
            },
            Step::Hang => {
                stream.read_line(&mut line).await?;
            }
        }
        stream.flush().await?;
    }
    stream.shutdown().await
}

impl Case {
    async fn try_out(self, body: &[u8]) {
        let what = self.what;
        let (address, asked) = listen(self.script).await;
        let host = OneHost::new();
        std::fs::write(
            host.at("state/store").join(format!("{}.part", Digest::of(body))),
            &self.part,
        )
        .unwrap();
        let url = format!("http://{address}/web.tar.gz");
        let mut order = install("1.0", &url, body);
        order.timeout = self.within;
        let outcome = time::timeout(SOON, host.run(order))
            .await
            .unwrap_or_else(|_| panic!("{what}: it hangs"));
        let (message, result) = (&outcome.message, outcome.result);
        match self.wanted {
            Wanted::Done => assert_eq!(
                (result, host.current().as_str()),
                (PhaseResult::Done, "web"),
                "{what}: {message}"
            ),
            Wanted::Failed(why) => {
                assert_eq!(result, PhaseResult::Failed, "{what}: {message}");
                assert!(
                    message.contains(why) && message.contains(&address),
                    "{what}: wanted {why:?}: {message}"
                );
            }
            Wanted::TimedOut => assert_eq!(result, PhaseResult::TimedOut, "{what}: {message}"),
        }
        let is_one_line = !message.chars().any(char::is_control);
        assert!(is_one_line && message.chars().count() < 600, "{what}: {message:?}");
        if let Some(wanted) = self.asked {
            assert_eq!(asked.load(Ordering::SeqCst), wanted, "{what}: {message}");
        }
        if result != PhaseResult::Done {
            assert!(host.releases().is_empty() && host.is_clean(), "{what}");
            let is_part = |(name, size): &(String, u64)| name.ends_with(".part") && *size <= body.len() as u64;
            assert!(host.stored().iter().all(is_part), "{what}: {:?}", host.stored());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_misbehaves_is_got_round_or_named_in_bounded_time() {
    let body = archive("web");
    let cases = mischief::cases(&body);
    assert!(cases.len() >= 30, "only {} servers", cases.len());
    // Apart, so that one that fails is told beside the others.
    let tried = cases.into_iter().map(|case| {
        let body = body.clone();
        tokio::spawn(async move { case.try_out(&body).await })
    });
    let failed = join_all(tried).await.into_iter().filter(Result::is_err).count();
    assert_eq!(failed, 0, "what failed is told above");
}
