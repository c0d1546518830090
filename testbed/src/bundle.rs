//! Releases as tar.gz files: the sample service with the scripts that start and stop it, and the hostile ones that an
//! agent must not unpack. Small on purpose: `bin/service` starts the testbed's own binary as the service.

use std::path::Path;

use anyhow::Context as _;
use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

const START: &str = include_str!("../demo/start.sh");
const STOP: &str = include_str!("../demo/stop.sh");
const STEP: &str = include_str!("../demo/step.sh");
const WARM: &str = include_str!("../demo/warm.sh");
const WARM_BROKEN: &str = include_str!("../python/warm-broken.sh");

/// A file in an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, as it is written into the archive, unchecked.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Its mode.
    pub mode: u32,
}

impl Entry {
    /// A file of text.
    #[must_use]
    pub fn file(name: &str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            content: content.into(),
            mode: 0o644,
        }
    }

    /// A program.
    #[must_use]
    pub fn program(name: &str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            mode: 0o755,
            ..Self::file(name, content)
        }
    }
}

/// The sample service in this version; `testbed` is the binary that serves.
#[must_use]
pub fn sample(version: &str, testbed: &Path) -> Vec<Entry> {
    let service = format!(
        "#!/bin/sh\nexec '{}' sample-service --release \"$ECHELON_RELEASE_DIR\" --port \"$PORT\"\n",
        testbed.display()
    );
    vec![
        Entry::file("VERSION", format!("{version}\n")),
        Entry::program("bin/service", service),
        Entry::program("bin/start", START),
        Entry::program("bin/stop", STOP),
        Entry::program("bin/warm", WARM),
    ]
}

/// The same with all that the shipped machines ask a release for: `configure`, `unconfigure`, `take-oos`, `take-is`.
#[must_use]
pub fn complete(version: &str, testbed: &Path) -> Vec<Entry> {
    let mut entries = sample(version, testbed);
    let steps = [
        ("configure", "echo \"port = $PORT\" >app.conf"),
        ("unconfigure", "rm -f app.conf"),
        ("take-oos", "rm -f in-service"),
        ("take-is", "touch in-service"),
    ];
    entries.extend(steps.map(|(name, does)| Entry::program(&format!("bin/{name}"), format!("{STEP}{does}\n"))));
    entries
}

/// The same, but packed without a file that its `bin/warm` reads: that program says so and ends with 3.
#[must_use]
pub fn broken(version: &str, testbed: &Path) -> Vec<Entry> {
    let mut entries = sample(version, testbed);
    entries.retain(|entry| entry.name != "bin/warm");
    entries.push(Entry::program("bin/warm", WARM_BROKEN));
    entries
}

/// Packs them. Names are written as they are: whoever unpacks has to look.
///
/// # Errors
/// A name is longer than a header of tar holds.
pub fn pack(entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for entry in entries {
        let mut header = Header::new_gnu();
        let name = entry.name.as_bytes();
        let field = header.as_old_mut().name.get_mut(..name.len());
        field
            .with_context(|| format!("{} is too long a name", entry.name))?
            .copy_from_slice(name);
        header.set_entry_type(EntryType::Regular);
        header.set_mode(entry.mode);
        header.set_size(u64::try_from(entry.content.len())?);
        header.set_mtime(0);
        header.set_cksum();
        archive.append(&header, entry.content.as_slice())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_release_holds_its_version_and_programs_that_can_run() {
        let packed = pack(&sample("1.1.0", Path::new("/bin/testbed"))).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(
                entry.header().mode().unwrap() & 0o111 != 0,
                name.starts_with("bin/"),
                "{name}"
            );
            if name == "VERSION" {
                assert_eq!(text, "1.1.0\n");
            }
            names.push(name);
        }
        assert_eq!(names, ["VERSION", "bin/service", "bin/start", "bin/stop", "bin/warm"]);
    }

    #[test]
    fn a_complete_release_has_each_program_once() {
        let mut names: Vec<_> = complete("1.1.0", Path::new("/bin/testbed"))
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(all, names.len());
        for name in ["configure", "unconfigure", "start", "stop", "take-oos", "take-is"] {
            assert!(names.contains(&format!("bin/{name}")), "{name}");
        }
    }

    #[test]
    fn a_hostile_name_is_written_as_it_is() {
        let packed = pack(&[Entry::file("../escaped", "x")]).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        let name = archive
            .entries()
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path_bytes()
            .into_owned();
        assert_eq!(name, b"../escaped");
    }
}
