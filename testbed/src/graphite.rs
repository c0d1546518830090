//! A real Graphite, of Debian's packages: carbon, which takes lines of text and keeps two seconds apart, and the web
//! application behind its render API, both on the loopback address with their files in a folder of the run. Deliberately
//! without a database: nothing here is tagged.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{process::Command, time};

use crate::{place::Place, ports, process::Process, visit::page};

/// Debian's own: its packages are for no other.
const PYTHON: &str = "/usr/bin/python3";
const CARBON: &str = "/usr/bin/carbon-cache";
/// Django and twisted are loaded, on a machine that does other things too.
const START_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running Graphite; killed when dropped.
#[derive(Debug)]
pub struct Graphite {
    /// Where lines of `name value seconds` are taken.
    pub lines: SocketAddr,
    carbon: Process,
    web: Process,
}

impl Graphite {
    /// Starts it, with its render API at this address.
    ///
    /// # Errors
    /// It is not installed, or does not come up.
    pub async fn start(place: &Place, address: SocketAddr) -> anyhow::Result<Self> {
        let folder = place.folder("graphite")?;
        for sub in ["whisper", "log", "run"] {
            place.folder(&format!("graphite/{sub}"))?;
        }
        let [lines, pickles, queries] = ports::claim()?;
        configure(&folder, [lines, pickles, queries])?;
        let mut command = Command::new(CARBON);
        command.arg(format!("--config={}", folder.join("carbon.conf").display()));
        command.args(["--nodaemon", "start"]);
        let carbon = Process::start("carbon", command, &folder.join("carbon.log"));
        let carbon = carbon.context("apt-get install graphite-carbon")?;
        let mut command = Command::new(PYTHON);
        command
            .args(["-m", "twisted", "web", "--wsgi=graphite.wsgi.application"])
            .arg(format!("--port=tcp:{}:interface={}", address.port(), address.ip()))
            .env("PYTHONPATH", &folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DJANGO_SETTINGS_MODULE", "graphite.settings")
            .env("GRAPHITE_SETTINGS_MODULE", "of_this_run")
            .current_dir(&folder);
        let web = Process::start("graphite-web", command, &folder.join("web.log"));
        let web = web.context("apt-get install graphite-web")?;
        let lines = SocketAddr::from(([127, 0, 0, 1], lines));
        let mut graphite = Self { lines, carbon, web };
        graphite.until_ready(address).await?;
        Ok(graphite)
    }

    async fn until_ready(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let render = format!("http://{address}/render?target=nothing&format=json");
        let ready = async {
            while !page(&render).await.is_ok_and(|(status, _)| status == 200) {
                self.carbon.must_live()?;
                self.web.must_live()?;
                time::sleep(LOOK_EVERY).await;
            }
            anyhow::Ok(())
        };
        match time::timeout(START_WITHIN, ready).await {
            Ok(ready) => ready,
            Err(_) => bail!(
                "graphite is not ready within {START_WITHIN:?}:\n{}",
                self.web.last_words()
            ),
        }
    }

    /// Ends it. Nobody reads its files afterwards, so it is not asked to write them out first, which takes it from no time to
    /// more than anybody waits.
    ///
    /// # Errors
    /// It does not end.
    pub async fn kill(self) -> anyhow::Result<()> {
        let (web, carbon) = (self.web.kill().await, self.carbon.kill().await);
        web.and(carbon)
    }
}

/// The ports: of lines, of pickles, of what is not written yet.
fn configure(folder: &Path, [lines, pickles, queries]: [u16; 3]) -> anyhow::Result<()> {
    let at = folder.display();
    let carbon = format!(
        "[cache]\nSTORAGE_DIR = {at}\nLOCAL_DATA_DIR = {at}/whisper/\nCONF_DIR = {at}\nLOG_DIR = {at}/log/\nPID_DIR = \
         {at}/run/\nENABLE_LOGROTATION = False\nENABLE_TAGS = False\nUSER =\nMAX_UPDATES_PER_SECOND = \
         inf\nMAX_CREATES_PER_MINUTE = inf\nLINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = \
         {lines}\nPICKLE_RECEIVER_INTERFACE = 127.0.0.1\nPICKLE_RECEIVER_PORT = {pickles}\nCACHE_QUERY_INTERFACE = \
         127.0.0.1\nCACHE_QUERY_PORT = {queries}\n"
    );
    let web = format!(
        "SECRET_KEY = 'of this run'\nGRAPHITE_ROOT = '/usr/share/graphite-web'\nCONF_DIR = '{at}'\nSTORAGE_DIR = \
         '{at}'\nLOG_DIR = '{at}/log'\nINDEX_FILE = '{at}/index'\nWHISPER_DIR = '{at}/whisper'\nSTANDARD_DIRS = \
         ['{at}/whisper']\nCARBONLINK_HOSTS = ['127.0.0.1:{queries}:a']\nMEMCACHE_HOSTS = []\nFUNCTION_PLUGINS = \
         []\nDATABASES = {{'default': {{'NAME': '{at}/graphite.db', 'ENGINE': 'django.db.backends.sqlite3'}}}}\n"
    );
    for (name, text) in [
        ("carbon.conf", carbon.as_str()),
        ("of_this_run.py", &web),
        ("storage-schemas.conf", "[all]\npattern = .*\nretentions = 2s:1h\n"),
        (
            "storage-aggregation.conf",
            "[all]\npattern = .*\nxFilesFactor = 0\naggregationMethod = last\n",
        ),
    ] {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
