//! The packages of agent, coordinator and command, for Debian's and Red Hat's families of systems. What goes into them is
//! said once, in each crate's `[package.metadata.deb]`: cargo-deb reads it, and the .rpm is made from the same list.
//! Deliberately no signing and no repository: that is for who publishes them.

pub mod artifact;
pub mod deb;
pub mod manifest;
pub mod manual;
pub mod product;
pub mod rpm;

use std::path::{Path, PathBuf};

use product::Product;

/// Where the compiled programs are.
#[derive(Debug, Clone)]
pub struct Built {
    /// Cargo's target folder.
    pub target: PathBuf,
    /// The profile they were built with, as cargo takes it.
    pub profile: String,
}

/// A kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// Debian's and Ubuntu's
    Deb,
    /// Red Hat's, Fedora's and SUSE's
    Rpm,
    /// The agent's, which the playbook agent-upgrade rolls out
    Artifact,
}

impl Format {
    /// Whether there is one of this product.
    #[must_use]
    pub fn is_of(self, product: Product) -> bool {
        match self {
            Self::Deb | Self::Rpm => true,
            Self::Artifact => product == Product::Agent,
        }
    }
}

impl Built {
    /// Where cargo put them.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let name = if self.profile == "dev" { "debug" } else { &self.profile };
        self.target.join(name)
    }

    /// Where what is generated for a package goes: manuals, completions, a changelog.
    #[must_use]
    pub fn generated(&self, product: Product) -> PathBuf {
        self.folder().join("packaging").join(product.name())
    }

    /// Makes one package and gives its file.
    ///
    /// # Errors
    /// The program was not built, or something of the list is not there.
    pub fn pack(&self, product: Product, format: Format, out: &Path) -> anyhow::Result<PathBuf> {
        match format {
            Format::Deb => deb::pack(self, product, out),
            Format::Rpm => rpm::pack(self, product, out),
            Format::Artifact if format.is_of(product) => artifact::pack(self, out),
            Format::Artifact => anyhow::bail!("{} is not rolled out as an artifact", product.name()),
        }
    }
}
