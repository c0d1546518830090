//! The lock that keeps a second coordinator off a journal's folder. It lasts as long as the process: a crash lets it go.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    path::Path,
};

use nix::fcntl::{Flock, FlockArg};

use super::{Error, io_error};

/// Takes the folder for this process, or says which one has it.
pub(super) fn lock(folder: &Path) -> Result<Flock<File>, Error> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0)
                .and_then(|()| lock.rewind())
                .and_then(|()| writeln!(lock, "{}", std::process::id()))
                .map_err(io_error("write", &path))?;
            Ok(lock)
        }
        Err((mut file, nix::Error::EWOULDBLOCK)) => {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            Err(Error::Locked {
                folder: folder.to_owned(),
                holder: if known {
                    holder.trim().to_owned()
                } else {
                    "unknown".into()
                },
            })
        }
        Err((_, errno)) => Err(io_error("lock", &path)(errno.into())),
    }
}
