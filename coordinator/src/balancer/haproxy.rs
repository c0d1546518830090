//! One HAProxy process, spoken to by its runtime API (`stats socket ... level admin`): a line of a command, an answer, the
//! end of the connection. Only what a rollout needs: drain a server, make it ready, see how it stands.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time,
};

/// Of one command, from the connection to the end of the answer: HAProxy answers from memory.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A line for each server of a backend; more is not HAProxy.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where its runtime API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `unix:/run/haproxy/admin.sock`
    Unix(PathBuf),
    /// `10.0.0.5:9999`: open to the coordinator alone, for it asks for no password.
    Tcp(SocketAddr),
}

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(format!("{text:?}: the path of a socket begins with /")),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| format!("{text:?} is neither unix:/path/of/socket nor address:port")),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// What came instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It cannot be reached, or does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// It says no: the backend or server is not there, or the socket is not `level admin`.
    #[error("answered {0:?}")]
    Refused(String),
    /// A name that would be a command of its own.
    #[error("{0:?} is no name of a backend or server")]
    Name(String),
}

impl Trouble {
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(_) | Self::Name(_) => false,
        }
    }
}

/// How a server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `UP`, `DRAIN`, `MAINT`, `DOWN`, `no check`, ...
    pub status: String,
    /// Sessions that it serves, and those that wait for it.
    pub sessions: u64,
}

impl Server {
    /// Whether it is given new sessions. `UP 1/3` is on its way down.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.status.as_str(), "UP" | "no check")
    }
}

/// One process.
#[derive(Debug, Clone)]
pub struct Haproxy {
    address: Address,
}

impl Haproxy {
    /// Not connected: each command has a connection of its own.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// No new sessions; those that are there go on.
    ///
    /// # Errors
    /// Any [`Trouble`].
    pub async fn drain(&self, backend: &str, server: &str) -> Result<(), Trouble> {
        self.set(backend, server, "drain").await
    }

    /// New sessions again, as soon as its health checks pass.
    ///
    /// # Errors
    /// Any [`Trouble`].
    pub async fn ready(&self, backend: &str, server: &str) -> Result<(), Trouble> {
        self.set(backend, server, "ready").await
    }

    async fn set(&self, backend: &str, server: &str, state: &str) -> Result<(), Trouble> {
        let (backend, server) = (name(backend)?, name(server)?);
        let answer = self
            .ask(&format!("set server {backend}/{server} state {state}"))
            .await?;
        match answer.trim() {
            "" => Ok(()),
            said => Err(refused(said)),
        }
    }

    /// How a server stands.
    ///
    /// # Errors
    /// Any [`Trouble`].
    pub async fn server(&self, backend: &str, server: &str) -> Result<Server, Trouble> {
        let (backend, server) = (name(backend)?, name(server)?);
        // 4: servers only; -1: all of them.
        let answer = self.ask(&format!("show stat {backend} 4 -1")).await?;
        if !answer.starts_with('#') {
            return Err(refused(answer.trim()));
        }
        read(&answer, server).ok_or_else(|| refused(&format!("No server {server} in {backend}.")))
    }

    async fn ask(&self, command: &str) -> Result<String, Trouble> {
        let asked = async {
            match &self.address {
                Address::Unix(path) => exchange(UnixStream::connect(path).await?, command).await,
                Address::Tcp(address) => exchange(TcpStream::connect(address).await?, command).await,
            }
        };
        match time::timeout(ANSWER_WITHIN, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Trouble::Unreachable(error.to_string())),
            Err(_) => Err(Trouble::Unreachable(format!(
                "no answer within {} s",
                ANSWER_WITHIN.as_secs()
            ))),
        }
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, command: &str) -> std::io::Result<String> {
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The columns have changed from version to version, so they are found by their names. Those we need stand before any that
/// can hold a comma.
fn read(answer: &str, server: &str) -> Option<Server> {
    let mut lines = answer.lines();
    let titles: Vec<_> = lines.next()?.trim_start_matches(['#', ' ']).split(',').collect();
    let column = |title: &str| titles.iter().position(|found| *found == title);
    let (named, status) = (column("svname")?, column("status")?);
    let (current, queued) = (column("scur")?, column("qcur")?);
    let row = lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .find(|row| row.get(named) == Some(&server))?;
    let count = |at: usize| row.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Some(Server {
        status: (*row.get(status)?).to_owned(),
        sessions: count(current) + count(queued),
    })
}

fn refused(said: &str) -> Trouble {
    Trouble::Refused(said.chars().take(200).filter(|c| !c.is_control()).collect())
}

/// A name with a blank, a line's end or `;` in it would be a second command.
fn name(text: &str) -> Result<&str, Trouble> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if !text.is_empty() && text.len() <= 256 && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(Trouble::Name(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_by_the_names_of_the_columns() {
        let answer =
            "# pxname,svname,qcur,qmax,scur,smax,status,weight,\nweb,h1,1,0,4,9,UP,1,\nweb,h2,0,0,0,0,DRAIN,1,\n";
        let first = read(answer, "h1").unwrap();
        assert_eq!((first.sessions, first.is_up()), (5, true));
        assert_eq!(read(answer, "h2").unwrap().status, "DRAIN");
        assert_eq!(read(answer, "h3"), None);
        assert_eq!(read("", "h1"), None);
    }

    #[test]
    fn a_server_on_its_way_down_is_not_up() {
        let server = |status: &str| Server {
            status: status.into(),
            sessions: 0,
        };
        assert!(server("UP").is_up() && server("no check").is_up());
        for status in ["UP 1/3", "DOWN", "DRAIN", "MAINT", "NOLB", ""] {
            assert!(!server(status).is_up(), "{status}");
        }
    }

    #[tokio::test]
    async fn a_name_cannot_bring_a_command_of_its_own() {
        let haproxy = Haproxy::new("127.0.0.1:1".parse().unwrap());
        for bad in ["web h1", "web;shutdown", "web\nshutdown", "", "a/b"] {
            let trouble = haproxy.drain("web", bad).await.unwrap_err();
            assert!(matches!(trouble, Trouble::Name(_)) && !trouble.is_passing(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_a_socket_or_a_port() {
        assert_eq!("unix:/run/a.sock".parse(), Ok(Address::Unix("/run/a.sock".into())));
        assert_eq!("127.0.0.1:9".parse::<Address>().unwrap().to_string(), "127.0.0.1:9");
        for bad in ["unix:run/a.sock", "localhost", "", "/run/a.sock"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
