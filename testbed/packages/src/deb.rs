//! The .deb: cargo-deb does it, by what the crate's manifest says. Deliberately no building here: what is packed is what
//! was built before, so that both formats hold the same bytes.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context as _, bail};
use cargo_deb::{
    BuildProfile, CargoDeb, CargoLockingFlags, OutputPath,
    compress::{CompressConfig, Format},
    config::{BuildOptions, DebConfigOverrides, DebugSymbolOptions, Multiarch},
    listener::Listener,
};

use crate::{Built, manual, product::Product};

/// Keeps what cargo-deb has to say until it is known whether anybody must hear it.
#[derive(Debug, Default)]
struct Words(Mutex<(Vec<String>, Vec<PathBuf>)>);

impl Words {
    fn with<T>(&self, how: impl FnOnce(&mut (Vec<String>, Vec<PathBuf>)) -> T) -> T {
        how(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Listener for Words {
    fn warning(&self, said: String) {
        self.with(|words| words.0.push(said));
    }

    fn info(&self, _: String) {}

    fn generated_archive(&self, path: &Path) {
        self.with(|words| words.1.push(path.to_owned()));
    }
}

/// Makes it, and gives its file.
pub(crate) fn pack(built: &Built, product: Product, out: &Path) -> anyhow::Result<PathBuf> {
    manual::generate(built, product)?;
    let manifest = product.folder().join("Cargo.toml");
    let words = Words::default();
    let packed = CargoDeb {
        options: options(built, &manifest),
        no_build: true,
        verbose_cargo_build: false,
        verbose: false,
        compress_config: CompressConfig {
            // What is packed to be tried out is not sent to thousands of hosts.
            fast: built.profile == "dev",
            compress_type: Format::Xz,
            compress_system: false,
            rsyncable: false,
        },
        deb_output: Some(OutputPath {
            path: out,
            is_dir: true,
        }),
        install: (false, false),
    }
    .process(&words);
    let (said, made) = words.with(std::mem::take);
    packed.with_context(|| format!("{} cannot be packed as .deb; {}", product.name(), said.join("; ")))?;
    match <[PathBuf; 1]>::try_from(made) {
        Ok([file]) => Ok(file),
        Err(other) => bail!("one .deb of {} was to be made, not {other:?}", product.name()),
    }
}

fn options<'a>(built: &Built, manifest: &'a Path) -> BuildOptions<'a> {
    BuildOptions {
        manifest_path: Some(manifest),
        selected_package_name: None,
        rust_target_triples: Vec::new(),
        config_variant: None,
        overrides: DebConfigOverrides::default(),
        build_profile: BuildProfile {
            profile_name: Some(built.profile.clone()),
            override_debug: None,
            override_lto: None,
        },
        debug: DebugSymbolOptions {
            strip_override: Some(true),
            ..DebugSymbolOptions::default()
        },
        cargo_locking_flags: CargoLockingFlags::default(),
        multiarch: Multiarch::None,
        cargo_build_cmd: None,
        cargo_build_flags: Vec::new(),
    }
}
