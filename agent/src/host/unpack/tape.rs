//! A tar, entry by entry. What one reader takes for the end and another does not is where things are hidden, so a tar has an
//! end mark and nothing after it, and its compression is read to its end, checksums included. Deliberately no sparse files.

use std::{
    borrow::Cow,
    ffi::OsStr,
    io::{self, Read},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    rc::Rc,
};

use tar::{Archive, Entry, EntryType};

use super::{
    Error, Fault, fault,
    meter::{Gauge, Metered},
    tree::{Again, Tree, inside},
};

/// How a PAX header says that the file is sparse, whatever its type says.
const PAX_SPARSE: &[u8] = b"GNU.sparse.";

/// All entries of an unpacked tar.
pub(super) fn unpack(reader: impl Read, tree: &mut Tree<'_>, gauge: &Rc<Gauge>) -> Result<(), Error> {
    let mut archive = Archive::new(Metered::new(reader, gauge));
    let mut entries = archive.entries().map_err(|error| Error::unreadable(&error))?;
    loop {
        gauge.names_only(true);
        let Some(entry) = entries.next() else { break };
        gauge.names_only(false);
        let mut entry = entry.map_err(|error| Error::unreadable(&error))?;
        let name = entry.path_bytes().into_owned();
        take(tree, &mut entry).map_err(|fault| Error::of(&name, fault))?;
    }
    if gauge.is_at_end() {
        return Err(Error::Archive("has no end mark: it is cut".to_owned()));
    }
    gauge.names_only(false);
    nothing_follows(archive.into_inner()).map_err(|error| Error::unreadable(&error))
}

/// After the end mark come zeros, as many as the one who packed it likes.
fn nothing_follows(mut rest: impl Read) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(()),
            n if buffer[..n].iter().all(|byte| *byte == 0) => {}
            _ => return Err(io::Error::other("something follows its end mark")),
        }
    }
}

fn take<R: Read>(tree: &mut Tree<'_>, entry: &mut Entry<'_, R>) -> Result<(), Fault> {
    if entry.header().entry_type() == EntryType::XGlobalHeader {
        return Ok(());
    }
    let path = inside(&entry.path()?)?;
    let kind = match entry.header().entry_type() {
        // As tar wrote folders before it had a type for them.
        EntryType::Regular if entry.path_bytes().ends_with(b"/") => EntryType::Directory,
        kind => kind,
    };
    if path.as_os_str().is_empty() {
        // The folder itself, as `tar -C folder .` writes it.
        return if kind == EntryType::Directory {
            Ok(())
        } else {
            fault("has no name")
        };
    }
    if is_sparse(entry)? {
        // Its holes would be written out: a few bytes could fill the disk.
        return fault("is a sparse file; pack the archive without --sparse");
    }
    match kind {
        EntryType::Directory => tree.folder(&path),
        EntryType::Regular | EntryType::Continuous => {
            let (mode, size) = (entry.header().mode()?, entry.size());
            tree.file(&path, mode, Again::Replaces, entry, size)
        }
        EntryType::Symlink => {
            let target = target(entry);
            tree.symlink(path, Path::new(OsStr::from_bytes(&target)), Again::Replaces)
        }
        EntryType::Link => {
            let target = target(entry);
            tree.hard_link(&path, Path::new(OsStr::from_bytes(&target)))
        }
        _ => fault("is a device, a pipe or of a kind that no release has"),
    }
}

/// The bytes as they stand: the tar crate refuses some and says less.
fn target<R: Read>(entry: &Entry<'_, R>) -> Vec<u8> {
    entry.link_name_bytes().map_or_else(Vec::new, Cow::into_owned)
}

fn is_sparse<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<bool> {
    if entry.header().entry_type() == EntryType::GNUSparse {
        return Ok(true);
    }
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(false);
    };
    for extension in extensions {
        if extension?.key_bytes().starts_with(PAX_SPARSE) {
            return Ok(true);
        }
    }
    Ok(false)
}
