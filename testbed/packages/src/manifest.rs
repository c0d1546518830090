//! What a crate's manifest says of its package: what is in it, where that comes from, and where it goes. Deliberately only
//! what the .rpm needs: cargo-deb reads the rest by itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::{
    Built,
    product::{Product, repository},
};

/// Of a crate.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Of the workspace.
    pub version: String,
    /// SPDX.
    pub license: String,
    /// One line.
    pub description: String,
    /// `[package.metadata.deb]`
    pub deb: Deb,
}

/// `[package.metadata.deb]`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deb {
    /// Who answers for it.
    pub maintainer: String,
    /// A few lines.
    pub extended_description: String,
    /// Packages it can do without; both families call them the same.
    pub recommends: Option<String>,
    /// From, to, mode.
    assets: Vec<[String; 3]>,
}

/// A file of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is now.
    pub from: PathBuf,
    /// Where it goes, absolute.
    pub to: String,
    /// Permissions.
    pub mode: u16,
}

impl File {
    /// Whether it is the administrator's once it is installed.
    #[must_use]
    pub fn is_config(&self) -> bool {
        self.to.starts_with("/etc/")
    }
}

#[derive(Debug, Deserialize)]
struct Crate {
    package: Package,
}

#[derive(Debug, Deserialize)]
struct Package {
    description: String,
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    deb: Deb,
}

#[derive(Debug, Deserialize)]
struct Workspace {
    workspace: Shared,
}

#[derive(Debug, Deserialize)]
struct Shared {
    package: SharedPackage,
}

#[derive(Debug, Deserialize)]
struct SharedPackage {
    version: String,
    license: String,
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} does not say what a package needs", path.display()))
}

impl Manifest {
    /// Reads it, and the workspace's.
    ///
    /// # Errors
    /// One of them does not say what is needed.
    pub fn read(product: Product) -> anyhow::Result<Self> {
        let own: Crate = read(&product.folder().join("Cargo.toml"))?;
        let all: Workspace = read(&repository().join("Cargo.toml"))?;
        Ok(Self {
            version: all.workspace.package.version,
            license: all.workspace.package.license,
            description: own.package.description,
            deb: own.package.metadata.deb,
        })
    }

    /// Every file, with what cargo-deb finds by its name: unit, tmpfiles.d, sysusers.d.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn files(&self, built: &Built, product: Product) -> anyhow::Result<Vec<File>> {
        let mut files = Vec::new();
        for [from, to, mode] in &self.deb.assets {
            let mode = u16::from_str_radix(mode, 8).with_context(|| format!("{mode} is no mode"))?;
            let sources = sources(built, product, from)?;
            if sources.is_empty() {
                bail!("there is no {from}: build it first");
            }
            for from in sources {
                let name = from.file_name().unwrap_or_default().to_string_lossy();
                let to = if to.ends_with('/') {
                    format!("/{to}{name}")
                } else {
                    format!("/{to}")
                };
                files.push(File { from, to, mode });
            }
        }
        let name = product.name();
        for (kind, folder, ending) in [
            ("service", "/usr/lib/systemd/system", "service"),
            ("tmpfile", "/usr/lib/tmpfiles.d", "conf"),
            ("sysusers", "/usr/lib/sysusers.d", "conf"),
        ] {
            let from = product.folder().join(format!("packaging/{name}.{kind}"));
            if from.is_file() {
                let to = format!("{folder}/{name}.{ending}");
                files.push(File { from, to, mode: 0o644 });
            }
        }
        Ok(files)
    }
}

/// The files that one line names, which may have one `*`.
fn sources(built: &Built, product: Product, from: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = match from.strip_prefix("target/release/") {
        Some(rest) => built.folder().join(rest),
        None => product.folder().join(from),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((begin, end)) = name.split_once('*') else {
        return Ok(if path.is_file() { vec![path] } else { Vec::new() });
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
    };
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_meant).collect();
    found.sort();
    Ok(found)
}
