//! Where the coordinator listens, told to scripts: `addresses.json` in the data folder. With port 0 only it knows.

use std::{fs, io::Write as _, net::SocketAddr, path::Path};

use serde::{Deserialize, Serialize};

use super::Error;

/// Where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// For agents.
    pub agents: SocketAddr,
    /// For people and CI.
    pub people: SocketAddr,
}

impl Addresses {
    /// Name of the file in the data folder.
    pub const FILE: &'static str = "addresses.json";

    /// Puts the file in place at once: a reader sees the old one or the new one. Not durable: it says nothing of the
    /// next process.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, data: &Path) -> Result<(), Error> {
        let path = data.join(Self::FILE);
        let new = data.join(format!("{}.new", Self::FILE));
        let write = || {
            let mut file = fs::File::create(&new)?;
            serde_json::to_writer(&mut file, self)?;
            file.write_all(b"\n")?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| Error::File {
            path: path.clone(),
            source,
        })
    }
}
