//! A real HAProxy in front of a few servers: one backend `web`, checked five times a second, with its runtime API on a
//! socket. Deliberately as a site would have it, but for the haste of the checks.

use std::{fmt::Write as _, fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{net::TcpStream, process::Command, time};

use crate::{place::Place, ports, process::Process};

/// Debian's package puts it where only root's PATH looks.
const PROGRAM: &str = "/usr/sbin/haproxy";
const START_WITHIN: Duration = Duration::from_secs(10);
/// The name of its backend.
pub const BACKEND: &str = "web";

/// A running HAProxy; killed when dropped.
#[derive(Debug)]
pub struct Haproxy {
    /// Where requests are taken.
    pub frontend: SocketAddr,
    /// Its runtime API.
    pub socket: PathBuf,
    process: Process,
}

impl Haproxy {
    /// Starts it in front of these servers. `check`: a path that each must answer with 200 to be given requests.
    ///
    /// # Errors
    /// It is not installed, or does not come up.
    pub async fn start(place: &Place, servers: &[(String, SocketAddr)], check: &str) -> anyhow::Result<Self> {
        let folder = place.folder("haproxy")?;
        let socket = folder.join("admin.sock");
        let [port] = ports::claim()?;
        let frontend = SocketAddr::from(([127, 0, 0, 1], port));
        let mut config = format!(
            "global\n  stats socket {} mode 600 level admin\ndefaults\n  mode http\n  timeout connect 2s\n  \
             timeout client 30s\n  timeout server 30s\nfrontend all\n  bind {frontend}\n  default_backend {BACKEND}\n\
             backend {BACKEND}\n  option httpchk GET {check}\n  default-server check inter 200ms fall 2 rise 2\n",
            socket.display()
        );
        for (name, address) in servers {
            writeln!(config, "  server {name} {address}")?;
        }
        let file = folder.join("haproxy.cfg");
        fs::write(&file, config)?;
        let mut command = Command::new(PROGRAM);
        command.arg("-f").arg(&file).arg("-db");
        let process = Process::start("haproxy", command, &folder.join("haproxy.log"));
        let process = process.context("apt-get install haproxy")?;
        let mut haproxy = Self {
            frontend,
            socket,
            process,
        };
        haproxy.until_open().await?;
        Ok(haproxy)
    }

    async fn until_open(&mut self) -> anyhow::Result<()> {
        let open = async {
            while TcpStream::connect(self.frontend).await.is_err() {
                self.process.must_live()?;
                time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        match time::timeout(START_WITHIN, open).await {
            Ok(opened) => opened,
            Err(_) => bail!("haproxy does not open {} within {START_WITHIN:?}", self.frontend),
        }
    }
}
