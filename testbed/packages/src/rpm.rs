//! The .rpm, of the same files as the .deb. Its scripts do what systemd's own macros do: a unit is enabled as the host's
//! presets say, never started, and restarted after an upgrade if it ran. Deliberately no purge: an .rpm has none, and state
//! stays when it is erased.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rpm::{BuildConfig, CompressionType, Dependency, FileOptions, PackageBuilder};

use crate::{
    Built,
    manifest::{File, Manifest},
    manual,
    product::Product,
};

const POST: &str = include_str!("../rpm/post.sh");
const PREUN: &str = include_str!("../rpm/preun.sh");
const POSTUN: &str = include_str!("../rpm/postun.sh");

/// Makes it, and gives its file.
pub(crate) fn pack(built: &Built, product: Product, out: &Path) -> anyhow::Result<PathBuf> {
    manual::generate(built, product)?;
    let name = product.name();
    let manifest = Manifest::read(product)?;
    let files = manifest.files(built, product)?;
    let arch = std::env::consts::ARCH;
    let mut package = PackageBuilder::new(name, &manifest.version, &manifest.license, arch, &manifest.description);
    package
        .using_config(BuildConfig::v4().compression(CompressionType::Zstd))
        .release("1")
        .description(manifest.deb.extended_description.trim())
        .packager(&manifest.deb.maintainer);
    if let Some(other) = &manifest.deb.recommends {
        package.recommends(Dependency::any(other));
    }
    for file in files.iter().filter(|file| !file.to.ends_with("/changelog.Debian.gz")) {
        add(&mut package, file).with_context(|| format!("{} cannot be packed", file.from.display()))?;
        if let Some(version) = file
            .to
            .starts_with("/usr/bin/")
            .then(|| glibc(&file.from))
            .transpose()?
        {
            package.requires(Dependency::any(format!("libc.so.6({version})(64bit)")));
        }
    }
    if let Some(unit) = files.iter().find(|file| file.to.ends_with(".service")) {
        package.requires(Dependency::any("systemd"));
        scripts(&mut package, name, unit);
    }
    let path = out.join(format!("{name}-{}-1.{arch}.rpm", manifest.version));
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let built = package
        .build()
        .with_context(|| format!("{name} cannot be packed as .rpm"))?;
    built
        .write_file(&path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

fn add(package: &mut PackageBuilder, file: &File) -> Result<(), rpm::Error> {
    let options = FileOptions::new(&file.to).permissions(file.mode);
    let options = if file.is_config() {
        options.config().noreplace()
    } else if file.to.starts_with("/usr/share/doc/") || file.to.starts_with("/usr/share/man/") {
        options.doc()
    } else {
        options
    };
    package.with_file(&file.from, options).map(drop)
}

fn scripts(package: &mut PackageBuilder, name: &str, unit: &File) {
    let unit = unit.to.rsplit('/').next().unwrap_or_default();
    let script = |text: &str| text.replace("@UNIT@", unit).replace("@NAME@", name);
    package
        .post_install_script(script(POST))
        .pre_uninstall_script(script(PREUN))
        .post_uninstall_script(script(POSTUN));
}

/// The newest version of glibc of which the program wants something, as `GLIBC_2.34`.
fn glibc(program: &Path) -> anyhow::Result<String> {
    const MARK: &[u8] = b"GLIBC_2.";
    let bytes = fs::read(program).with_context(|| format!("{} cannot be read", program.display()))?;
    let numbers = bytes
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, window)| *window == MARK);
    let numbers = numbers.filter_map(|(at, _)| {
        let rest = &bytes[at + MARK.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse::<u32>().ok()
    });
    let newest = numbers
        .max()
        .with_context(|| format!("{} names no version of glibc", program.display()))?;
    Ok(format!("GLIBC_2.{newest}"))
}
