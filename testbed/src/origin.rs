//! Where agents fetch artifacts: a plain HTTP server over what is in memory, with ranges so that a fetch can be resumed,
//! and faults that can be asked for: to end in the middle, as a cut line does. Deliberately no TLS: an artifact is
//! known by its digest.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use echelon_proto::Digest;
use futures::{StreamExt as _, stream};
use tokio::{net::TcpListener, task::JoinHandle, time};

/// Between the last byte that is sent and the break.
const BREAK_AFTER: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
struct Held {
    content: Bytes,
    fault: Fault,
    /// Answered so far: from which byte on each was asked for.
    asked: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// Nothing beyond this byte is ever sent, whatever was promised.
    CutAt(usize),
    /// Each answer ends after so many bytes, whatever was promised.
    Pieces(usize),
}

type Shelf = Arc<Mutex<BTreeMap<String, Held>>>;

/// A server of artifacts.
#[derive(Debug)]
pub struct Origin {
    shelf: Shelf,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// One artifact that it serves.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Where.
    pub url: String,
    /// Of its content.
    pub sha256: Digest,
    /// In bytes.
    pub size: usize,
}

impl Origin {
    /// Listens on a free port of the loopback address.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> anyhow::Result<Self> {
        Self::listen(Ipv4Addr::LOCALHOST).await
    }

    /// The same on another address of this machine.
    ///
    /// # Errors
    /// It is none of this machine's, or no port is free.
    pub async fn listen(address: Ipv4Addr) -> anyhow::Result<Self> {
        let shelf = Shelf::default();
        let listener = TcpListener::bind((address, 0))
            .await
            .context("no port for artifacts is free")?;
        let address = listener.local_addr()?;
        let app = Router::new().route("/{name}", get(serve)).with_state(shelf.clone());
        let serving = tokio::spawn(async move {
            // Only an error of the listening socket ends it; agents then say that nobody answers.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            shelf,
            address,
            serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves this content under this name from now on.
    pub fn put(&self, name: &str, content: Vec<u8>) -> Artifact {
        self.hold(name, content, Fault::None)
    }

    /// Promises all of it and sends only the first half, again and again.
    pub fn put_cut(&self, name: &str, content: Vec<u8>) -> Artifact {
        let half = content.len() / 2;
        self.hold(name, content, Fault::CutAt(half))
    }

    /// Promises all of it and breaks off after so many bytes, each time anew: it takes several answers to have it all.
    pub fn put_in_pieces(&self, name: &str, content: Vec<u8>, bytes: usize) -> Artifact {
        self.hold(name, content, Fault::Pieces(bytes))
    }

    /// From which byte on each answer so far was asked for, oldest first.
    #[must_use]
    pub fn asked(&self, name: &str) -> Vec<usize> {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.get(name).map(|held| held.asked.clone()).unwrap_or_default()
    }

    fn hold(&self, name: &str, content: Vec<u8>, fault: Fault) -> Artifact {
        let artifact = Artifact {
            url: format!("http://{}/{name}", self.address),
            sha256: Digest::of(&content),
            size: content.len(),
        };
        let held = Held {
            content: content.into(),
            fault,
            asked: Vec::new(),
        };
        self.shelf
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), held);
        artifact
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(State(shelf): State<Shelf>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(held) = shelf.get_mut(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let size = held.content.len();
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = range else {
        held.asked.push(0);
        return answer(held, 0, size, StatusCode::OK);
    };
    match bounds(range, size) {
        Some((from, to)) => {
            held.asked.push(from);
            answer(held, from, to, StatusCode::PARTIAL_CONTENT)
        }
        None => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            [(header::CONTENT_RANGE, format!("bytes */{size}"))],
        )
            .into_response(),
    }
}

fn answer(held: &Held, from: usize, to: usize, status: StatusCode) -> Response {
    let sent = match held.fault {
        Fault::None => to,
        Fault::CutAt(cut) => cut.clamp(from, to),
        Fault::Pieces(bytes) => from.saturating_add(bytes).min(to),
    };
    let body = held.content.slice(from..sent);
    let response = Response::builder()
        .status(status)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, to - from)
        .header(
            header::CONTENT_RANGE,
            format!("bytes {from}-{}/{}", to.max(1) - 1, held.content.len()),
        );
    let whole = stream::once(async { Ok(body) }).chain(stream::once(async move {
        if sent < to {
            // What was sent must be on its way before the line breaks: hyper drops what it still holds.
            time::sleep(BREAK_AFTER).await;
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        Ok(Bytes::new())
    }));
    response
        .body(Body::from_stream(whole))
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// `bytes=FROM-` or `bytes=FROM-TO`, as half-open bounds. None: nothing that can be served.
fn bounds(range: &str, size: usize) -> Option<(usize, usize)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = if to.is_empty() {
        size
    } else {
        to.parse::<usize>().ok()?.checked_add(1)?.min(size)
    };
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visit::get;

    #[test]
    fn a_range_is_inside_or_refused() {
        assert_eq!(bounds("bytes=0-", 10), Some((0, 10)));
        assert_eq!(bounds("bytes=4-6", 10), Some((4, 7)));
        assert_eq!(bounds("bytes=4-99", 10), Some((4, 10)));
        for bad in ["bytes=10-", "bytes=-3", "bytes=7-6", "lines=1-2", "bytes=x-"] {
            assert_eq!(bounds(bad, 10), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn what_is_put_is_served_and_what_is_cut_is_not_whole() {
        let origin = Origin::start().await.unwrap();
        let port = origin.address.port();
        let whole = origin.put("whole", b"0123456789".to_vec());
        assert_eq!((whole.size, whole.sha256), (10, Digest::of(b"0123456789")));
        assert_eq!(get(port, "/whole").await.unwrap(), (200, "0123456789".to_owned()));
        assert_eq!(get(port, "/none").await.unwrap().0, 404);
        origin.put_cut("cut", b"0123456789".to_vec());
        assert!(get(port, "/cut").await.is_err());
        origin.put_in_pieces("pieces", b"0123456789".to_vec(), 4);
        assert!(get(port, "/pieces").await.is_err());
        assert_eq!((origin.asked("pieces"), origin.asked("none")), (vec![0], Vec::new()));
    }
}
