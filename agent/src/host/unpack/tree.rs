//! What an archive makes of its folder, whatever its format: files, folders and links, each only inside. Symbolic links are
//! only noted down until everything else is there, so that nothing can be written through one, and then made if each of
//! them leads to something inside, whatever other links are on its way. Deliberately no formats.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
    },
    path::{Component, Path, PathBuf},
};

use super::{Error, Fault, fault, meter::Gauge, shown};
use crate::host::release::MARK;

/// Folders in folders: the deepest trees of real packages stay below 50, and taking a tree away again must not need more
/// open folders than a process has.
const DEPTH_MAX: usize = 100;
/// Of a path and of what a link says: the kernel takes no longer ones.
const PATH_BYTES_MAX: usize = 4095;
/// Paths and targets of all symbolic links, which are held in memory: a hundred thousand of usual ones.
const LINKS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a link costs beside its texts.
const LINK_BYTES: usize = 128;
/// Links on the way of one link, as the kernel has it.
const LINKS_MAX: usize = 40;

/// What a name means that comes a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It takes the place of the first, as `tar --append` has it.
    Replaces,
    /// Readers differ on which of both is meant.
    Refused,
}

/// The folder and what is in it so far.
pub(super) struct Tree<'a> {
    root: &'a Path,
    /// Symbolic links, made when everything else is there: where, and to what.
    links: BTreeMap<PathBuf, PathBuf>,
    links_bytes: usize,
    made: u64,
    made_max: u64,
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: &'a Path, made_max: u64) -> Self {
        Self {
            root,
            links: BTreeMap::new(),
            links_bytes: 0,
            made: 0,
            made_max,
        }
    }

    /// Folders that an entry only goes through count too: they take as much of the disk.
    fn count(&mut self) -> Result<(), Fault> {
        self.made += 1;
        if self.made > self.made_max {
            return fault(format!(
                "is beyond the {} entries that an archive may have",
                self.made_max
            ));
        }
        Ok(())
    }

    /// This folder and every one on the way to it, none of them a link or a file.
    pub(super) fn folder(&mut self, path: &Path) -> Result<(), Fault> {
        let mut folder = PathBuf::new();
        for part in path.components() {
            folder.push(part);
            if self.links.contains_key(&folder) {
                return fault(format!("goes through the link {:?}", told(&folder)));
            }
            let full = self.root.join(&folder);
            match fs::symlink_metadata(&full) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return fault(format!("goes through the file {:?}", told(&folder))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.count()?;
                    DirBuilder::new().mode(0o755).create(&full)?;
                    fs::set_permissions(&full, Permissions::from_mode(0o755))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes room for something of this name, whose folder is there then.
    fn place(&mut self, path: &Path, again: Again) -> Result<(), Fault> {
        self.count()?;
        self.folder(path.parent().unwrap_or(Path::new("")))?;
        let full = self.root.join(path);
        if again == Again::Refused {
            if self.links.contains_key(path) || fs::symlink_metadata(&full).is_ok() {
                return fault("has the name of an entry before it");
            }
            return Ok(());
        }
        // A name that comes again takes the place of what had it; a folder does not give way.
        self.links.remove(path);
        match fs::remove_file(full) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => fault("has the name of a folder before it"),
            result => Ok(result?),
        }
    }

    /// A file of `size` bytes, no more and no less.
    pub(super) fn file(
        &mut self,
        path: &Path,
        mode: u32,
        again: Again,
        content: &mut impl Read,
        size: u64,
    ) -> Result<(), Fault> {
        self.place(path, again)?;
        // Rights of the owner to read and write, never more than reading for others, nothing that gives rights.
        let mode = (mode & 0o755) | 0o600;
        let full = self.root.join(path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(full)?;
        let copied = io::copy(&mut content.by_ref().take(size.saturating_add(1)), &mut file)?;
        if copied != size {
            return fault(format!("says it has {size} bytes and has {}", amount(copied, size)));
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(())
    }

    /// A symbolic link; where it leads is looked at when all of them are known.
    pub(super) fn symlink(&mut self, path: PathBuf, target: &Path, again: Again) -> Result<(), Fault> {
        let bytes = target.as_os_str().len();
        if bytes > PATH_BYTES_MAX {
            return fault(format!(
                "is a link to a path of {bytes} bytes, at most {PATH_BYTES_MAX} are taken"
            ));
        }
        self.place(&path, again)?;
        self.links_bytes += path.as_os_str().len() + bytes + LINK_BYTES;
        if self.links_bytes > LINKS_BYTES_MAX {
            return fault("is one link too many");
        }
        self.links.insert(path, target.to_owned());
        Ok(())
    }

    /// A second name of a file that was written before.
    pub(super) fn hard_link(&mut self, path: &Path, target: &Path) -> Result<(), Fault> {
        let shown = told(target);
        let Ok(target) = inside(target) else {
            return fault(format!("is a link to {shown:?}, outside of the archive"));
        };
        if target == path {
            return fault("is a link to itself");
        }
        // No link is on the disk yet: each part of it is what it looks like.
        let is_file = fs::symlink_metadata(self.root.join(&target)).is_ok_and(|meta| meta.is_file());
        if !is_file || self.links.contains_key(&target) {
            return fault(format!("is a hard link to {shown:?}, which is no file before it"));
        }
        self.place(path, Again::Replaces)?;
        fs::hard_link(self.root.join(&target), self.root.join(path))?;
        Ok(())
    }

    /// Makes the symbolic links, now that it is known where each leads.
    pub(super) fn link(&self, gauge: &Gauge) -> Result<(), Error> {
        for (path, target) in &self.links {
            let of = |fault| Error::of(path.as_os_str().as_bytes(), fault);
            gauge.in_time().map_err(|error| of(error.into()))?;
            if !self.stays_inside(path, target) {
                let why = format!("is a link to {:?}, which leads out of the archive", told(target));
                return Err(of(Fault::Why(why)));
            }
        }
        for (path, target) in &self.links {
            let made = symlink(target, self.root.join(path));
            made.map_err(|error| Error::of(path.as_os_str().as_bytes(), error.into()))?;
        }
        Ok(())
    }

    /// Follows the link as the kernel would, links on its way included.
    fn stays_inside(&self, path: &Path, target: &Path) -> bool {
        let mut at: Vec<&OsStr> = path.parent().unwrap_or(Path::new("")).iter().collect();
        let mut ahead: Vec<Component<'_>> = target.components().rev().collect();
        let mut followed = 0;
        while let Some(component) = ahead.pop() {
            match component {
                Component::Prefix(_) | Component::RootDir => return false,
                Component::CurDir => {}
                Component::ParentDir => {
                    if at.pop().is_none() {
                        return false;
                    }
                }
                Component::Normal(name) => {
                    at.push(name);
                    let here: PathBuf = at.iter().collect();
                    let Some(further) = self.links.get(&here) else {
                        continue;
                    };
                    followed += 1;
                    if followed > LINKS_MAX {
                        return false;
                    }
                    at.pop();
                    ahead.extend(further.components().rev());
                }
            }
        }
        !target.as_os_str().is_empty()
    }
}

fn told(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

fn amount(copied: u64, size: u64) -> String {
    if copied > size {
        "more".to_owned()
    } else {
        copied.to_string()
    }
}

/// The path without `.`; a fault when it is none that an entry may have.
pub(super) fn inside(path: &Path) -> Result<PathBuf, Fault> {
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX {
        return fault(format!(
            "has a path of {bytes} bytes, at most {PATH_BYTES_MAX} are taken"
        ));
    }
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => return fault("has a `..` in its path"),
            Component::RootDir | Component::Prefix(_) => return fault("has an absolute path"),
        }
    }
    if clean.components().count() > DEPTH_MAX {
        return fault(format!("lies in more than {DEPTH_MAX} folders"));
    }
    if clean.starts_with(MARK) {
        return fault("has a name that the agent keeps for itself");
    }
    Ok(clean)
}
