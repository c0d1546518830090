//! The artifact of the playbook `agent-upgrade`: the agent's binary, and the script that its phases call. Named after the
//! version that the binary says of itself. Deliberately no unit and no config: those are the package's, which stays.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

use crate::{Built, product::Product};

const UPGRADE: &[u8] = include_bytes!("../artifact/upgrade.sh");

/// Makes it, and gives its file.
pub(crate) fn pack(built: &Built, out: &Path) -> anyhow::Result<PathBuf> {
    let name = Product::Agent.name();
    let binary = built.folder().join(name);
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let path = out.join(format!("{name}-{}.tar.gz", version(&binary)?));
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    let mut archive = Builder::new(GzEncoder::new(file, Compression::default()));
    let content = fs::read(&binary).with_context(|| format!("{} cannot be read", binary.display()))?;
    for (name, content) in [("bin/echelon-agent", content.as_slice()), ("bin/upgrade", UPGRADE)] {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content)?;
    }
    archive.into_inner()?.finish()?.sync_all()?;
    Ok(path)
}

fn version(binary: &Path) -> anyhow::Result<String> {
    let said = Command::new(binary).arg("--version").output();
    let said = said.with_context(|| format!("{} cannot be started", binary.display()))?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    match text.trim().strip_prefix("echelon-agent ") {
        Some(version) if !version.contains(['/', ' ']) => Ok(version.to_owned()),
        _ => bail!("{} says {text:?} of its version", binary.display()),
    }
}
