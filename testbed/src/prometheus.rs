//! A real Prometheus, of Debian's package, that scrapes services on the loopback address twice a second and keeps what it
//! scraped in a folder of the run. Deliberately as a site would have it, but for the haste.

use std::{fmt::Write as _, fs, net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{process::Command, time};

use crate::{place::Place, process::Process, visit::get};

const PROGRAM: &str = "prometheus";
const START_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running Prometheus; killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
}

impl Prometheus {
    /// Starts it at this address, to scrape services at these ports.
    ///
    /// # Errors
    /// It is not installed, or does not come up.
    pub async fn start(place: &Place, address: SocketAddr, ports: &[u16]) -> anyhow::Result<Self> {
        let folder = place.folder("prometheus")?;
        let mut config = String::from(
            "global: { scrape_interval: 500ms, scrape_timeout: 500ms }\nscrape_configs:\n  - job_name: work\n    \
             static_configs:\n      - targets:\n",
        );
        for port in ports {
            writeln!(config, "          - 127.0.0.1:{port}")?;
        }
        let file = folder.join("prometheus.yml");
        fs::write(&file, config)?;
        let mut command = Command::new(PROGRAM);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let process = Process::start("prometheus", command, &folder.join("prometheus.log"));
        let process = process.context("apt-get install prometheus")?;
        let mut prometheus = Self { process };
        prometheus.until_ready(address.port()).await?;
        Ok(prometheus)
    }

    async fn until_ready(&mut self, port: u16) -> anyhow::Result<()> {
        let ready = async {
            while !get(port, "/-/ready").await.is_ok_and(|(status, _)| status == 200) {
                self.process.must_live()?;
                time::sleep(LOOK_EVERY).await;
            }
            anyhow::Ok(())
        };
        match time::timeout(START_WITHIN, ready).await {
            Ok(ready) => ready,
            Err(_) => bail!("prometheus is not ready within {START_WITHIN:?}"),
        }
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await.map(drop)
    }
}
