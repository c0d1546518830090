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

/// Writes all of it into the folder of generated files.
///
/// # Errors
/// The folder cannot be written.
pub fn generate(built: &Built, product: Product) -> anyhow::Result<()> {
    let folder = built.generated();
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut command = product.command();
    clap_mangen::generate_to(command.clone(), &folder)?;
    if product == Product::Cli {
        let name = command.get_name().to_owned();
        let mut file = File::create(folder.join("echelon.bash"))?;
        clap_complete::generate(Shell::Bash, &mut command, name, &mut file);
    }
    changelog(&folder, product)
}

/// One entry, of the last change: a distribution's maintainers keep a longer one of their own.
fn changelog(folder: &Path, product: Product) -> anyhow::Result<()> {
    let manifest = Manifest::read(product)?;
    let name = product.name();
    let text = format!(
        "{name} ({version}-1) stable; urgency=medium\n\n  * {version}, as it is in the repository.\n\n -- {maintainer}  {date}\n",
        version = manifest.version,
        maintainer = manifest.deb.maintainer,
        date = changed(),
    );
    let file = File::create(folder.join(format!("{name}.changelog.gz")))?;
    let mut file = GzEncoder::new(file, Compression::best());
    file.write_all(text.as_bytes())?;
    file.finish()?;
    Ok(())
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
