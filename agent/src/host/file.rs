//! A file of the host, written whole or not at all: new beside the old one, synced, given its mode and owner, renamed. The
//! folder is opened once and everything is done in it, so nobody can put another in its place meanwhile; a path from the
//! app's folder cannot lead out of it. What stands as wanted is left alone, its time included.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use echelon_failpoint as failpoint;
use echelon_proto::Digest;
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat},
    sys::stat::{Mode, SFlag, fchmod, fstatat},
    unistd::{Gid, Group, Uid, UnlinkatFlags, User, fchown, unlinkat},
};
use tokio::time;

use super::{Host, ask::unhealthy, attempt::Attempt, template};
use crate::order::{self, Content, Order, Outcome, Probe};

/// Of a template.
const TEMPLATE_BYTES_MAX: u64 = 1024 * 1024;
/// Begin of the names of files that are not in their place yet.
const FRESH: &str = ".echelon-";
const PERMISSIONS: u32 = 0o7777;

/// One write at a time: another's new file must not be taken for one that was left behind.
pub(super) type Files = Mutex<()>;

impl Host {
    /// Makes the file stand as wanted.
    pub(super) async fn write(&self, order: &Order, file: &order::File, attempt: &Attempt) -> Outcome {
        let (job, files) = (Job::of(self, order, file), self.files.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _one = files.lock().unwrap_or_else(PoisonError::into_inner);
            job.write()
        });
        match time::timeout_at(attempt.until, work).await {
            Ok(Ok(Ok(()))) => Outcome::done(),
            Ok(Ok(Err(why))) => Outcome::failed(why),
            Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            Err(_) => attempt.timed_out(format!("{}: the disk does not answer", file.path)),
        }
    }

    /// Whether the file stands as wanted.
    pub(super) async fn file_stands(&self, order: &Order, file: &order::File) -> Probe {
        let job = Job::of(self, order, file);
        let message = format!("{} does not stand as wanted", file.path);
        match tokio::task::spawn_blocking(move || job.stands()).await {
            Ok(Ok(healthy)) => Probe { healthy, message },
            Ok(Err(why)) => unhealthy(why),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// All that is needed, apart from the session's threads.
struct Job {
    app_dir: PathBuf,
    file: order::File,
    variables: Arc<BTreeMap<String, String>>,
}

/// What is to stand.
struct Wanted {
    content: Vec<u8>,
    mode: u32,
    uid: Uid,
    gid: Gid,
}

/// A name in a folder that is open.
struct Place {
    folder: File,
    name: OsString,
    /// For people.
    path: PathBuf,
}

impl Job {
    fn of(host: &Host, order: &Order, file: &order::File) -> Self {
        Self {
            app_dir: host.app_dir(&order.app),
            file: file.clone(),
            variables: Arc::new(order.variables.clone()),
        }
    }

    fn stands(&self) -> Result<bool, String> {
        let (place, wanted) = self.look()?;
        place.stands(&wanted)
    }

    fn write(&self) -> Result<(), String> {
        let (place, wanted) = self.look()?;
        if place.stands(&wanted)? {
            return Ok(());
        }
        place.sweep();
        place.write(&wanted)
    }

    fn look(&self) -> Result<(Place, Wanted), String> {
        fs::create_dir_all(&self.app_dir).map_err(|error| format!("{}: {error}", self.app_dir.display()))?;
        let (uid, gid) = ids(self.file.owner.as_deref(), self.file.group.as_deref())?;
        let wanted = Wanted {
            content: self.content()?,
            mode: self.file.mode,
            uid,
            gid,
        };
        Ok((Place::find(&self.app_dir, &self.file.path)?, wanted))
    }

    fn content(&self) -> Result<Vec<u8>, String> {
        let path = match &self.file.content {
            Content::Text(text) => return Ok(text.clone().into_bytes()),
            Content::Template(path) => path,
        };
        let shown = self.app_dir.join(path);
        let said = |why: String| format!("the template {}: {why}", shown.display());
        let text = read_template(&self.app_dir, path).map_err(said)?;
        let filled = template::fill(&text, &self.variables);
        filled.map(String::into_bytes).map_err(|why| {
            let shown = shown.display();
            format!("the template {shown}, {why}")
        })
    }
}

fn read_template(app_dir: &Path, path: &str) -> Result<String, String> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = open(app_dir, Path::new(path), flags).map_err(|errno| said(errno, app_dir))?;
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let read = file.take(TEMPLATE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > TEMPLATE_BYTES_MAX {
        return Err(format!("is longer than {TEMPLATE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

/// Opens what an absolute path names, or what one from the app's folder names without leading out of it.
fn open(app_dir: &Path, path: &Path, flags: OFlag) -> Result<File, Errno> {
    let flags = flags | OFlag::O_CLOEXEC;
    if path.is_absolute() {
        return nix::fcntl::open(path, flags, Mode::empty()).map(File::from);
    }
    let app = File::open(app_dir).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(&app, path, OpenHow::new().flags(flags).resolve(resolve)).map(File::from)
}

fn said(errno: Errno, app_dir: &Path) -> String {
    match errno {
        Errno::EXDEV => format!("leads out of the app's folder {}", app_dir.display()),
        Errno::ENOENT => "is not there".to_owned(),
        other => other.desc().to_owned(),
    }
}

/// Who is to own the file. An error names who is not there.
fn ids(owner: Option<&str>, group: Option<&str>) -> Result<(Uid, Gid), String> {
    let (uid, mut gid) = match owner {
        None => (Uid::effective(), Gid::effective()),
        Some(name) => {
            let user = User::from_name(name).map_err(|errno| format!("user {name:?}: {}", errno.desc()))?;
            let user = user.ok_or_else(|| format!("there is no user {name:?} on this host to own the file"))?;
            (user.uid, user.gid)
        }
    };
    if let Some(name) = group {
        let group = Group::from_name(name).map_err(|errno| format!("group {name:?}: {}", errno.desc()))?;
        gid = group
            .ok_or_else(|| format!("there is no group {name:?} on this host to own the file"))?
            .gid;
    }
    Ok((uid, gid))
}

impl Place {
    fn find(app_dir: &Path, path: &str) -> Result<Self, String> {
        let shown = app_dir.join(path);
        let path = Path::new(path);
        if path.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(format!(
                "{} has `..`: name the file by the folder it is in",
                shown.display()
            ));
        }
        let raw = path.as_os_str().as_bytes();
        let name = path
            .file_name()
            .filter(|_| !raw.ends_with(b"/") && !raw.ends_with(b"/."));
        let name = name.ok_or_else(|| format!("{} names a folder, not a file", shown.display()))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = open(app_dir, parent.unwrap_or(Path::new(".")), OFlag::O_DIRECTORY).map_err(|errno| {
            let folder = shown.parent().unwrap_or(app_dir).display();
            format!(
                "{folder}, the folder of the file, {}; an earlier phase must make it",
                said(errno, app_dir)
            )
        })?;
        Ok(Self {
            folder,
            name: name.to_owned(),
            path: shown,
        })
    }

    fn trouble(&self, error: impl std::fmt::Display) -> String {
        format!("{}: {error}", self.path.display())
    }

    /// Whether it stands as wanted. An error when something stands there that must not be replaced.
    fn stands(&self, wanted: &Wanted) -> Result<bool, String> {
        let name = self.name.as_os_str();
        let kind = match fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT,
            Err(Errno::ENOENT) => return Ok(false),
            Err(errno) => return Err(self.trouble(errno.desc())),
        };
        // A link is replaced by the file: what it leads to is somebody else's.
        if kind == SFlag::S_IFLNK {
            return Ok(false);
        }
        if kind != SFlag::S_IFREG {
            return Err(self.trouble("something that is no file stands there; take it away first"));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        // What cannot be looked at is written anew.
        let Ok(file) = openat(&self.folder, name, flags, Mode::empty()).map(File::from) else {
            return Ok(false);
        };
        let is_as_wanted = wanted.is(file).map_err(|error| self.trouble(error))?;
        Ok(is_as_wanted)
    }

    /// Begin of the names of new files for this place. Short, whatever the file's own name.
    fn fresh(&self) -> String {
        format!("{FRESH}{}-", Digest::of(self.name.as_bytes()).short())
    }

    /// Takes away what a killed agent left beside it.
    fn sweep(&self) {
        let fresh = self.fresh();
        let open = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        for entry in fs::read_dir(open).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(fresh.as_bytes()) {
                let _ = unlinkat(&self.folder, entry.file_name().as_os_str(), UnlinkatFlags::NoRemoveDir);
            }
        }
    }

    fn write(&self, wanted: &Wanted) -> Result<(), String> {
        let fresh = OsString::from(format!("{}{:016x}", self.fresh(), rand::random::<u64>()));
        let put = self.make(&fresh, wanted).and_then(|()| {
            failpoint::pass("file", "synced");
            let renamed = renameat(&self.folder, fresh.as_os_str(), &self.folder, self.name.as_os_str());
            renamed.map_err(|errno| self.trouble(errno.desc()))
        });
        if let Err(why) = put {
            let _ = unlinkat(&self.folder, fresh.as_os_str(), UnlinkatFlags::NoRemoveDir);
            return Err(format!("{why}; what stood there still stands"));
        }
        failpoint::pass("file", "renamed");
        self.folder.sync_all().map_err(|error| self.trouble(error))
    }

    fn make(&self, fresh: &OsStr, wanted: &Wanted) -> Result<(), String> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, fresh, flags, Mode::from_bits_truncate(0o600));
        let mut file = File::from(file.map_err(|errno| self.trouble(errno.desc()))?);
        file.write_all(&wanted.content).map_err(|error| self.trouble(error))?;
        wanted.give(&file).map_err(|why| self.trouble(why))?;
        file.sync_all().map_err(|error| self.trouble(error))
    }
}

impl Wanted {
    fn is(&self, file: File) -> io::Result<bool> {
        let meta = file.metadata()?;
        let outside = (meta.uid(), meta.gid(), meta.mode() & PERMISSIONS, meta.len());
        let wanted = (
            self.uid.as_raw(),
            self.gid.as_raw(),
            self.mode,
            self.content.len() as u64,
        );
        if outside != wanted {
            return Ok(false);
        }
        let mut content = Vec::with_capacity(self.content.len());
        file.take(wanted.3 + 1).read_to_end(&mut content)?;
        Ok(content == self.content)
    }

    /// Owner before mode: until it is its owner's, nobody else may read it.
    fn give(&self, file: &File) -> Result<(), String> {
        let meta = file.metadata().map_err(|error| error.to_string())?;
        if (meta.uid(), meta.gid()) != (self.uid.as_raw(), self.gid.as_raw()) {
            fchown(file, Some(self.uid), Some(self.gid)).map_err(|errno| match errno {
                Errno::EPERM => format!(
                    "the agent runs as user id {} and cannot give the file to user id {}, group id {}: only root can",
                    Uid::effective(),
                    self.uid,
                    self.gid
                ),
                other => format!("its owner: {}", other.desc()),
            })?;
        }
        fchmod(file, Mode::from_bits_truncate(self.mode)).map_err(|errno| format!("its mode: {}", errno.desc()))
    }
}
