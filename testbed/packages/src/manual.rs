//! What is generated for a package: a page of manual for the program and one for each of its verbs, the completions of a
//! shell, and Debian's changelog. All of it from the programs' own command lines. Deliberately no prose of its own.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
};

use anyhow::Context as _;
use clap_complete::Shell;
use flate2::{Compression, write::GzEncoder};

use crate::{
    Built,
    manifest::Manifest,
    product::{Product, repository},
};

/// Writes all of it into the folder of generated files, with nothing that an earlier version had.
///
/// # Errors
/// The folder cannot be written.
pub fn generate(built: &Built, product: Product) -> anyhow::Result<()> {
    let folder = built.generated(product);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    let pages = folder.join("pages");
    fs::create_dir_all(&pages).with_context(|| format!("{} cannot be made", pages.display()))?;
    let mut command = product.command();
    clap_mangen::generate_to(command.clone(), &pages)?;
    for page in fs::read_dir(&pages)? {
        let page = page?;
        let name = page.file_name().to_string_lossy().into_owned();
        compress(&folder.join(format!("{name}.gz")), &fs::read(page.path())?)?;
    }
    if product == Product::Cli {
        let name = command.get_name().to_owned();
        let mut file = File::create(folder.join("echelon.bash"))?;
        clap_complete::generate(Shell::Bash, &mut command, name, &mut file);
    }
    compress(&folder.join("changelog.gz"), changelog(product)?.as_bytes())
}

/// Without a time in it: the same is packed again as the same bytes.
fn compress(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
    let mut file = GzEncoder::new(file, Compression::best());
    file.write_all(content)?;
    file.finish()?;
    Ok(())
}

/// One entry, of the last change: a distribution's maintainers keep a longer one of their own.
fn changelog(product: Product) -> anyhow::Result<String> {
    let manifest = Manifest::read(product)?;
    let (name, version, maintainer) = (product.name(), &manifest.version, &manifest.deb.maintainer);
    let date = changed();
    Ok(format!(
        "{name} ({version}-1) stable; urgency=medium\n\n  * {version}, as it is in the repository.\n\n -- {maintainer}  {date}\n"
    ))
}

/// When the repository was last changed. Of what came without its history that is not known.
fn changed() -> String {
    let mut log = Command::new("git");
    log.arg("-C").arg(repository()).args(["log", "-1", "--format=%aD"]);
    let said = log.output().ok().filter(|output| output.status.success());
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let said = said.filter(|date| !date.is_empty());
    said.unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned())
}
