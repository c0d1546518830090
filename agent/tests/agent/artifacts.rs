//! Artifacts from servers that behave and servers that do not.

use std::{
    fs, io,
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use echelon_agent::order::{Action, Artifact, ArtifactVerb, Order, Outcome, PhaseResult, Release, Source, Standing};
use echelon_proto::{App, Digest, ReleaseName, Span};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::host::{OneHost, order};

/// How a server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    /// Sends so many bytes of each answer and hangs up.
    CutAfter(usize),
    /// As above, and answers every request from the begin.
    CutAfterIgnoringRanges(usize),
    IgnoresRanges,
    /// Answers a range with another one.
    WrongRange,
    /// Says nothing of the length and ends early as if that were all.
    EndsEarly(usize),
    Answers(&'static str),
}

struct Server {
    url: String,
    /// First byte asked for, of each request.
    asked: Arc<Mutex<Vec<usize>>>,
    manner: Arc<Mutex<Manner>>,
}

impl Server {
    async fn start(body: Vec<u8>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/web.tar.gz", listener.local_addr().unwrap());
        let (asked, manner) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(manner)));
        let (log, how) = (asked.clone(), manner.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let manner = *how.lock().unwrap();
                let _ = answer(stream, &body, manner, &log).await;
            }
        });
        Self { url, asked, manner }
    }

    fn asked(&self) -> Vec<usize> {
        self.asked.lock().unwrap().clone()
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

async fn answer(mut stream: TcpStream, body: &[u8], manner: Manner, log: &Mutex<Vec<usize>>) -> io::Result<()> {
    let mut from = 0;
    let mut lines = BufReader::new(&mut stream).lines();
    while let Some(line) = lines.next_line().await? {
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    log.lock().unwrap().push(from);
    let total = body.len();
    let ignores = matches!(manner, Manner::IgnoresRanges | Manner::CutAfterIgnoringRanges(_));
    let (status, from) = match manner {
        Manner::Answers(status) => (status, total),
        _ if from == 0 || ignores => ("200 OK", 0),
        _ if from >= total => ("416 Range Not Satisfiable", total),
        Manner::WrongRange => ("206 Partial Content", 0),
        _ => ("206 Partial Content", from),
    };
    let range = match status {
        "206 Partial Content" => format!("content-range: bytes {from}-{}/{total}\r\n", total - 1),
        "416 Range Not Satisfiable" => format!("content-range: bytes */{total}\r\n"),
        _ => String::new(),
    };
    let length = match manner {
        Manner::EndsEarly(_) => String::new(),
        _ => format!("content-length: {}\r\n", total - from),
    };
    let head = format!("HTTP/1.1 {status}\r\n{length}{range}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let rest = &body[from..];
    let cut = match manner {
        Manner::CutAfter(bytes) | Manner::CutAfterIgnoringRanges(bytes) | Manner::EndsEarly(bytes) => bytes,
        _ => rest.len(),
    };
    stream.write_all(&rest[..cut.min(rest.len())]).await?;
    stream.shutdown().await
}

/// A release that prints its name, padded so that a download has a middle.
pub(crate) fn archive(text: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none()));
    for (name, data) in [("bin/web", text.to_owned()), ("padding", "x".repeat(100_000))] {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, name, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

pub(crate) fn install(name: &str, url: &str, body: &[u8]) -> Order {
    act(ArtifactVerb::Install, name, url, body)
}

pub(crate) fn act(verb: ArtifactVerb, name: &str, url: &str, body: &[u8]) -> Order {
    let name = ReleaseName::new(name).unwrap();
    let release = Release {
        name: name.clone(),
        artifact: Some(Source {
            url: url.to_owned(),
            sha256: Digest::of(body),
            size: Some(body.len() as u64),
        }),
    };
    let plain = order(Action::Artifact(Artifact { verb, keep: Some(1) }));
    Order {
        release: Some(release),
        after: Standing {
            release: Some(name),
            ..Standing::unknown(App::new("web").unwrap())
        },
        ..plain
    }
}

impl OneHost {
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn current(&self) -> String {
        fs::read_to_string(self.at("apps/web/current/bin/web")).unwrap_or_default()
    }

    pub(crate) fn releases(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("apps/web/releases"))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Nothing of a half-done verb is left.
    pub(crate) fn is_clean(&self) -> bool {
        let entries = fs::read_dir(self.at("apps/web")).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name())
            .all(|name| name == "releases" || name == "current")
    }

    pub(crate) fn stored(&self) -> Vec<(String, u64)> {
        let entries = fs::read_dir(self.at("state/store")).unwrap().flatten();
        let sizes = entries.map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                entry.metadata().unwrap().len(),
            )
        });
        sizes.collect()
    }
}

pub(crate) fn done(outcome: &Outcome) {
    assert_eq!(outcome.result, PhaseResult::Done, "{}", outcome.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_installed_swapped_kept_and_taken_away() {
    let host = OneHost::new();
    let bodies: Vec<Vec<u8>> = (1..=4).map(|n| archive(&format!("web {n}"))).collect();
    let mut servers = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        let server = Server::start(body.clone(), Manner::Good).await;
        done(&host.run(install(&format!("1.{n}"), &server.url, body)).await);
        assert_eq!(host.current(), format!("web {}", n + 1));
        servers.push(server);
    }
    assert_eq!(host.releases(), ["1.2", "1.3"], "the running one and one more");
    assert!(host.stored().is_empty() && host.is_clean());

    let again = |verb, n: usize| act(verb, &format!("1.{n}"), &servers[n].url, &bodies[n]);
    done(&host.run(again(ArtifactVerb::Activate, 2)).await);
    assert_eq!(host.current(), "web 3");
    let link = fs::read_link(host.at("apps/web/current")).unwrap();
    assert_eq!(link, PathBuf::from("releases/1.2"));
    done(&host.run(again(ArtifactVerb::Install, 3)).await);
    assert_eq!(
        (host.current().as_str(), servers[3].asked().len()),
        ("web 4", 1),
        "it was on the disk"
    );

    let gone = host.run(again(ArtifactVerb::Activate, 0)).await;
    assert!(
        gone.message.contains("release 1.0 is not on the disk"),
        "{}",
        gone.message
    );
    fs::write(host.at("apps/web/data"), "the app's own").unwrap();
    done(&host.run(again(ArtifactVerb::Remove, 3)).await);
    assert!(host.releases().is_empty() && !host.at("apps/web/current").is_symlink());
    assert!(host.at("apps/web/data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_installation_is_taken_back_to_nothing() {
    let host = OneHost::new();
    let body = archive("web 1");
    let server = Server::start(body.clone(), Manner::Good).await;
    done(&host.run(install("1.0", &server.url, &body)).await);
    let back = Order {
        release: None,
        ..act(ArtifactVerb::Activate, "1.0", &server.url, &body)
    };
    done(&host.run(back.clone()).await);
    assert!(!host.at("apps/web/current").is_symlink());
    assert_eq!(host.releases(), ["1.0"], "the next try need not fetch it again");
    done(&host.run(back).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_previous_release_is_never_pruned() {
    let host = OneHost::new();
    for n in 1..=4 {
        let body = archive(&format!("web {n}"));
        let server = Server::start(body.clone(), Manner::Good).await;
        let mut order = install(&format!("1.{n}"), &server.url, &body);
        order.after.previous = Some(ReleaseName::new("1.1").unwrap());
        done(&host.run(order).await);
    }
    assert_eq!(host.releases(), ["1.1", "1.3", "1.4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_before_is_not_fetched_again() {
    let (host, body) = (OneHost::new(), archive("web"));
    let server = Server::start(body.clone(), Manner::Good).await;
    done(&host.run(act(ArtifactVerb::Fetch, "1.0", &server.url, &body)).await);
    assert_eq!(host.stored(), [(Digest::of(&body).to_string(), body.len() as u64)]);
    assert!(!host.at("apps/web/current").exists());
    server.behave(Manner::Answers("500 Broken"));
    done(&host.run(install("1.0", &server.url, &body)).await);
    assert_eq!((host.current().as_str(), server.asked().len()), ("web", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_digest_is_one_error_with_both_and_leaves_nothing() {
    let (host, body) = (OneHost::new(), archive("web"));
    let mut flipped = body.clone();
    flipped[50_000] ^= 1;
    let server = Server::start(flipped.clone(), Manner::Good).await;
    let outcome = host.run(install("1.0", &server.url, &body)).await;
    assert_eq!(outcome.result, PhaseResult::Failed);
    let (wanted, got) = (Digest::of(&body).to_string(), Digest::of(&flipped).to_string());
    assert!(
        outcome.message.contains(&wanted) && outcome.message.contains(&got),
        "{}",
        outcome.message
    );
    assert!(!outcome.message.contains('\n'));
    assert!(host.stored().is_empty() && host.releases().is_empty() && host.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_goes_on_where_it_stopped() {
    let (host, body) = (OneHost::new(), archive("web"));
    let server = Server::start(body.clone(), Manner::CutAfter(40_000)).await;
    done(&host.run(install("1.0", &server.url, &body)).await);
    assert_eq!(host.current(), "web");
    assert_eq!(server.asked(), [0, 40_000, 80_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_stays_broken_is_an_error_and_what_is_here_is_kept() {
    let (host, body) = (OneHost::new(), archive("web"));
    let server = Server::start(body.clone(), Manner::CutAfterIgnoringRanges(40_000)).await;
    let outcome = host.run(install("1.0", &server.url, &body)).await;
    assert_eq!(outcome.result, PhaseResult::Failed);
    assert!(outcome.message.contains("40000 bytes are kept"), "{}", outcome.message);
    assert_eq!(host.stored(), [(format!("{}.part", Digest::of(&body)), 40_000)]);
    assert!(host.releases().is_empty());

    let tries = server.asked().len();
    server.behave(Manner::Good);
    done(&host.run(install("1.0", &server.url, &body)).await);
    assert_eq!(server.asked()[tries..], [40_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_early_without_a_word_is_noticed() {
    let (host, body) = (OneHost::new(), archive("web"));
    let server = Server::start(body.clone(), Manner::EndsEarly(30_000)).await;
    done(&host.run(install("1.0", &server.url, &body)).await);
    assert_eq!(server.asked(), [0, 30_000, 60_000, 90_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_mishandle_ranges_do_no_harm() {
    for manner in [Manner::IgnoresRanges, Manner::WrongRange] {
        let (host, body) = (OneHost::new(), archive("web"));
        let server = Server::start(body.clone(), manner).await;
        let part = host.at("state/store").join(format!("{}.part", Digest::of(&body)));
        fs::write(part, &body[..1000]).unwrap();
        done(&host.run(install("1.0", &server.url, &body)).await);
        assert_eq!(
            (host.current().as_str(), server.asked()[0]),
            ("web", 1000),
            "{manner:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_another_file_is_thrown_away_and_fetched_anew() {
    let (host, body) = (OneHost::new(), archive("web"));
    let server = Server::start(body.clone(), Manner::Good).await;
    let part = host.at("state/store").join(format!("{}.part", Digest::of(&body)));
    fs::write(part, vec![7; 1000]).unwrap();
    done(&host.run(install("1.0", &server.url, &body)).await);
    assert_eq!(server.asked(), [1000, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_will_not_change_are_not_asked_again_and_passing_ones_until_the_time_is_over() {
    let (host, body) = (OneHost::new(), archive("web"));
    let server = Server::start(body.clone(), Manner::Answers("404 Not Found")).await;
    let outcome = host.run(install("1.0", &server.url, &body)).await;
    assert!(
        outcome.message.contains("404") && server.asked().len() == 1,
        "{}",
        outcome.message
    );

    server.behave(Manner::Answers("503 Unavailable"));
    let mut order = install("1.0", &server.url, &body);
    order.timeout = Span(700);
    let outcome = host.run(order).await;
    assert_eq!(outcome.result, PhaseResult::TimedOut, "{}", outcome.message);
    assert!(server.asked().len() > 2);

    let mut order = install("1.0", "ftp://somewhere/web", &body);
    order.timeout = Span::secs(5);
    let outcome = host.run(order).await;
    assert_eq!(outcome.result, PhaseResult::Failed, "{}", outcome.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_longer_than_the_release_says_is_not_taken() {
    let (host, body) = (OneHost::new(), archive("web"));
    let server = Server::start(body.clone(), Manner::Good).await;
    let mut order = install("1.0", &server.url, &body);
    order.release.as_mut().unwrap().artifact.as_mut().unwrap().size = Some(1000);
    let outcome = host.run(order).await;
    assert!(
        outcome.message.contains("the release allows 1000"),
        "{}",
        outcome.message
    );
    assert!(host.stored().iter().all(|(_, size)| *size <= 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_used_for_another_artifact_is_noticed() {
    let (host, body, other) = (OneHost::new(), archive("web"), archive("other"));
    let server = Server::start(body.clone(), Manner::Good).await;
    done(&host.run(install("1.0", &server.url, &body)).await);
    let impostor = Server::start(other.clone(), Manner::Good).await;
    for verb in [ArtifactVerb::Install, ArtifactVerb::Activate, ArtifactVerb::Fetch] {
        let outcome = host.run(act(verb, "1.0", &impostor.url, &other)).await;
        let both = outcome.message.contains(&Digest::of(&body).to_string())
            && outcome.message.contains(&Digest::of(&other).to_string());
        assert!(outcome.result == PhaseResult::Failed && both, "{}", outcome.message);
    }
    assert_eq!(host.current(), "web");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_archive_fails_the_phase_and_leaves_what_stood() {
    let (host, good) = (OneHost::new(), archive("web"));
    let server = Server::start(good.clone(), Manner::Good).await;
    done(&host.run(install("1.0", &server.url, &good)).await);

    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..12].copy_from_slice(b"../../escape");
    header.set_size(1);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append(&header, &b"x"[..]).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&builder.into_inner().unwrap()).unwrap();
    let evil = gzip.finish().unwrap();
    let server = Server::start(evil.clone(), Manner::Good).await;
    let outcome = host.run(install("1.1", &server.url, &evil)).await;
    assert_eq!(outcome.result, PhaseResult::Failed);
    assert!(
        outcome.message.contains("\"../../escape\"") && outcome.message.contains("`..`"),
        "{}",
        outcome.message
    );
    assert_eq!(
        (host.current().as_str(), host.releases()),
        ("web", vec!["1.0".to_owned()])
    );
    assert!(host.is_clean() && !host.at("apps/escape").exists() && !host.at("escape").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_left_behind_is_swept() {
    let (host, body) = (OneHost::new(), archive("web"));
    let server = Server::start(body.clone(), Manner::Good).await;
    let scrap = host.at("apps/web/.echelon-scrap-0123456789abcdef/release");
    fs::create_dir_all(&scrap).unwrap();
    done(&host.run(install("1.0", &server.url, &body)).await);
    assert!(host.is_clean() && host.current() == "web");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_without_an_artifact_is_an_empty_folder() {
    let host = OneHost::new();
    let mut order = install("1.0", "", b"");
    order.release.as_mut().unwrap().artifact = None;
    done(&host.run(order).await);
    assert_eq!(host.releases(), ["1.0"]);
    assert!(host.at("apps/web/current").is_dir());
}
