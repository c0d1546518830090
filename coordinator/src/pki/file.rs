//! Key and certificate files: durable, keys for the owner alone, never half written under their name.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::Error;

/// For the owner alone.
pub(super) const PRIVATE: u32 = 0o600;
/// For all to read.
pub(super) const PUBLIC: u32 = 0o644;

/// Writes a file that must not exist yet, with mode 0600, durably.
///
/// # Errors
/// [`Error::Io`]: it exists (it is left alone), or the disk's.
pub fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    create(path, text, PRIVATE)?;
    sync_parent(path)
}

/// As [`write_private`], with this mode, and without making its name durable.
pub(super) fn create(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(io("create", path))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // What is half written must not stand in the way of the next try.
        let _ = fs::remove_file(path);
        io("write", path)(error)
    })
}

/// Puts a new file in the place of the old one, at once and durably.
pub(super) fn replace(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("remove", &new)(error)),
        _ => create(&new, text, mode)?,
    }
    fs::rename(&new, path).map_err(io("replace", path))?;
    sync_parent(path)
}

pub(super) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(io("read", path))
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io("make durable", folder))
}

pub(super) fn sync_parent(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
        _ => sync(Path::new(".")),
    }
}

pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}
