//! Secrets of a program: read from the host's folder of secrets, handed over as files in a folder of the program's own,
//! and taken away with it. This is the supervisor's side: it alone has them in its memory, to keep them out of the output.
//! They are in no argv, no environment, no ledger and no `spec.json`; deliberately nothing here is ever written elsewhere.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    unistd::{Gid, Uid, fchown},
};
use serde::{Deserialize, Serialize};

use super::{
    account::Account,
    redact::{Redactor, SECRET_BYTES_MIN},
};

/// Of one secret: a key or a bundle of certificates.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// Of others than owner and group.
const READ_BY_OTHERS: u32 = 0o004;

/// Which secrets a program is given, as its supervisor is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Secrets {
    /// The host's folder of secrets.
    pub(super) from: PathBuf,
    /// Name of the file that the program finds -> where the secret is below `from`.
    pub(super) names: BTreeMap<String, String>,
    /// The folder that is made for the program; the one above it is there.
    pub(super) into: PathBuf,
}

/// Secrets handed over. Gone from the disk when dropped.
#[derive(Debug)]
pub(super) struct HandedOver {
    folder: PathBuf,
    values: BTreeMap<String, Vec<u8>>,
}

impl Secrets {
    /// Reads them all and writes them where the program finds them; of none when one is not as it must be.
    pub(super) fn hand_over(&self, account: Option<&Account>) -> Result<HandedOver, String> {
        let mut values = BTreeMap::new();
        for (name, place) in &self.names {
            let value = read(&self.from, place).map_err(|why| format!("secret {name}: {why}"))?;
            values.insert(name.clone(), value);
        }
        let made = HandedOver {
            folder: self.into.clone(),
            values,
        };
        let folder = self.into.display();
        made.write(account)
            .map_err(|error| format!("secrets cannot be handed over in {folder}: {error}"))?;
        Ok(made)
    }
}

impl HandedOver {
    /// Takes them out of a stream of output.
    pub(super) fn redactor(&self) -> Redactor {
        let values = self.values.iter();
        Redactor::new(values.map(|(name, value)| (name.as_str(), trimmed(value).to_vec())))
    }

    fn write(&self, account: Option<&Account>) -> io::Result<()> {
        // Left by a supervisor that was killed before it began.
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&self.folder)?;
        let ids = account.map(|account| (account.uid, account.gid));
        for (name, value) in &self.values {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut file = options.open(self.folder.join(name))?;
            file.write_all(value)?;
            file.set_permissions(Permissions::from_mode(0o400))?;
            give(&file, ids)?;
        }
        // Last: until here it is nobody else's, so nothing in it can be put in another's place.
        give(&File::open(&self.folder)?, ids)
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        // What stays is taken away by the agent when it sees the end, or by the next one.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn give(file: &File, ids: Option<(Uid, Gid)>) -> io::Result<()> {
    match ids {
        Some((uid, gid)) => Ok(fchown(file, Some(uid), Some(gid))?),
        None => Ok(()),
    }
}

fn trimmed(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}

/// The bytes of one secret. An error says what is wrong with its file, and never what is in it.
fn read(from: &Path, place: &str) -> Result<Vec<u8>, String> {
    let path = from.join(place);
    let path = path.display();
    let file = open_beneath(from, place).map_err(|errno| match errno {
        Errno::EXDEV => format!(
            "{path} leads out of {}; only what is in that folder is a secret",
            from.display()
        ),
        Errno::ENOENT => format!("{path} is not there; put the secret there, mode 0600"),
        other => format!("{path}: {}", other.desc()),
    })?;
    let meta = file.metadata().map_err(|error| format!("{path}: {error}"))?;
    if !meta.is_file() {
        return Err(format!("{path} is not a regular file"));
    }
    if meta.permissions().mode() & READ_BY_OTHERS != 0 {
        return Err(format!("{path} can be read by every user of the host; chmod it 0600"));
    }
    let mut value = Vec::new();
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut value);
    read.map_err(|error| format!("{path}: {error}"))?;
    if value.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("{path} is longer than {SECRET_BYTES_MAX} bytes"));
    }
    if trimmed(&value).len() < SECRET_BYTES_MIN {
        return Err(format!(
            "{path} is shorter than {SECRET_BYTES_MIN} bytes, too short to be kept out of an output"
        ));
    }
    Ok(value)
}

/// Links are followed as long as they stay within the folder.
fn open_beneath(from: &Path, place: &str) -> Result<File, Errno> {
    let folder = File::open(from).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(&folder, place, how).map(File::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, value: &str, mode: u32) {
        fs::write(path, value).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_private_regular_file_in_the_folder_is_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        fs::create_dir_all(secrets.join("db")).unwrap();
        write(&secrets.join("db/password"), "hunter22\n", 0o600);
        write(&secrets.join("open"), "hunter22\n", 0o644);
        write(&secrets.join("short"), "abc\n", 0o600);
        write(&folder.path().join("outside"), "hunter22\n", 0o600);
        symlink("../outside", secrets.join("out")).unwrap();
        symlink("db/password", secrets.join("in")).unwrap();
        assert_eq!(read(&secrets, "db/password").unwrap(), b"hunter22\n");
        assert_eq!(read(&secrets, "in").unwrap(), b"hunter22\n");
        for (place, wanted) in [
            ("absent", "is not there; put the secret there"),
            ("open", "can be read by every user"),
            ("short", "too short"),
            ("out", "leads out of"),
            ("../outside", "leads out of"),
            ("db", "is not a regular file"),
        ] {
            let error = read(&secrets, place).unwrap_err();
            assert!(error.contains(wanted) && !error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn what_is_handed_over_is_private_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("key"), "hunter22\n", 0o600);
        let into = folder.path().join("run");
        fs::create_dir(&into).unwrap();
        fs::write(into.join("left over"), "old").unwrap();
        let secrets = Secrets {
            from: folder.path().to_owned(),
            names: BTreeMap::from([("key".to_owned(), "key".to_owned())]),
            into: into.clone(),
        };
        let handed = secrets.hand_over(None).unwrap();
        assert_eq!(fs::read(into.join("key")).unwrap(), b"hunter22\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&into), mode(&into.join("key"))), (0o700, 0o400));
        assert!(!into.join("left over").exists());
        drop(handed);
        assert!(!into.exists());
    }
}
