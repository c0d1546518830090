//! A server for tests that says what it is told to, or nothing, or half of it, or does not stop.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

/// What a connection is answered with.
#[derive(Clone)]
pub(crate) enum Says {
    /// Head and body.
    This(&'static str, String),
    /// Nothing.
    Silence,
    /// A head that promises more than this body.
    Half(String),
    /// A body that goes on as long as somebody reads.
    NoEnd,
}

/// More than any test asks.
const ASKED_MAX: usize = 1000;

pub(crate) struct Server {
    pub(crate) url: String,
    /// The first line of each request.
    pub(crate) asked: mpsc::Receiver<String>,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers connections in turn, the last answer for all that come after.
pub(crate) async fn server(answers: Vec<Says>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel(ASKED_MAX);
    let serving = tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let says = answers[at.min(answers.len() - 1)].clone();
            tasks.spawn(answer(stream, says, sender.clone()));
        }
    });
    Server { url, asked, serving }
}

async fn answer(mut stream: TcpStream, says: Says, asked: mpsc::Sender<String>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        let Ok(count @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        request.extend_from_slice(&buffer[..count]);
    }
    let request = String::from_utf8(request).unwrap();
    let _ = asked.try_send(request.lines().next().unwrap_or_default().to_owned());
    match says {
        Says::This(status, body) => {
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
        Says::Half(body) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len() + 1);
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
        Says::Silence => tokio::time::sleep(Duration::from_secs(60)).await,
        Says::NoEnd => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"success\",\"x\":\"")
                .await;
            while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
        }
    }
}
