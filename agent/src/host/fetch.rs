//! An artifact from its source into the store: resumed where a broken download stopped, tried again while there is time, and
//! known by its SHA-256 and by nothing else. The store is a folder of files named by their digest; a name without `.part`
//! is whole and checked. Deliberately knows nothing of releases, and not how any one source is spoken to.

mod file;
mod pace;
pub(super) mod room;
mod s3;
mod source;
mod web;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use echelon_failpoint as failpoint;
use echelon_proto::Digest;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::Semaphore,
    time::{self, Instant},
};

use self::{
    pace::Pace,
    room::Shortage,
    source::{Answer, Body, Sources},
};
use crate::{ledger::sync_folder, order::Source};

/// Tries in a row that brought nothing new before the source is given up.
const TRIES: u32 = 6;
/// A source that sends nothing for so long is tried again.
const IDLE: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Longest pause that a server can ask for: whoever wants more is asked again meanwhile.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(60);
/// After so many bytes the disk is looked at again: others write to it too.
const LOOK_BYTES: u64 = 8 * 1024 * 1024;
/// What lies in the store unused for so long is taken away: prefetched for a rollout that never came.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);

/// How artifacts are fetched.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest artifact taken when the release does not say its size.
    pub bytes_max: u64,
    /// Downloads at once.
    pub max_parallel: NonZeroUsize,
    /// Bytes a second, of all downloads together. None: as fast as it goes.
    pub bandwidth: Option<NonZeroU64>,
    /// Bytes that stay free on the disk: nothing is fetched or unpacked beyond that.
    pub keep_free: u64,
    /// PEM file of authorities that are trusted besides the system's own.
    pub ca: Option<PathBuf>,
    /// For `s3://` sources.
    pub s3: S3,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bytes_max: 8 * 1024 * 1024 * 1024,
            max_parallel: const { NonZeroUsize::new(4).expect("it is not zero") },
            bandwidth: None,
            keep_free: 64 * 1024 * 1024,
            ca: None,
            s3: S3::default(),
        }
    }
}

/// Where buckets are, and as whom they are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3 {
    /// None: `us-east-1`.
    pub region: Option<String>,
    /// Of a store that is not Amazon's; buckets are then part of the path. None: Amazon's.
    pub endpoint: Option<String>,
    /// TOML file with `access_key_id`, `secret_access_key` and, if there is one, `session_token`. None: the role that the
    /// machine itself has.
    pub credentials: Option<PathBuf>,
}

/// Why an artifact is not in the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Asking again would not help.
    #[error("{url}: {why}")]
    Refused { url: String, why: String },
    /// It was tried several times.
    #[error("{url}: {why}; {have} bytes are kept and the next try goes on from there")]
    Broken { url: String, why: String, have: u64 },
    /// The bytes are not those of the release.
    #[error(
        "{url}: its sha256 is {got}, the release says {wanted}; nothing of it is kept: mend the release or the file"
    )]
    WrongDigest { url: String, wanted: Digest, got: Digest },
    /// The time was over.
    #[error("{url}: not fetched in time; {have} bytes are kept and the next try goes on from there")]
    TimedOut { url: String, have: u64 },
    /// There is not enough room for it.
    #[error("{url}: {shortage}")]
    NoRoom { url: String, shortage: Shortage },
    /// The disk refuses.
    #[error("the store {path}: {source}")]
    Disk { path: PathBuf, source: io::Error },
}

/// What one try came to.
enum Try {
    Whole,
    /// Not before so long, if the source says so.
    Again(String, Option<Duration>),
}

fn again(why: impl Into<String>) -> Try {
    Try::Again(why.into(), None)
}

/// The folder.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    sources: Sources,
    settings: Settings,
    pace: Pace,
    places: Semaphore,
    ahead: Semaphore,
    /// Two orders that want the same artifact must not write the same file.
    busy: Mutex<BTreeMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

impl Store {
    pub(super) fn open(folder: PathBuf, settings: Settings) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let store = Self {
            folder,
            sources: Sources::new(&settings)?,
            pace: Pace::new(settings.bandwidth),
            places: Semaphore::new(settings.max_parallel.get().min(Semaphore::MAX_PERMITS)),
            ahead: Semaphore::new(1),
            settings,
            busy: Mutex::default(),
        };
        store.sweep();
        Ok(store)
    }

    /// Takes away what nobody came for.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let modified = entry.metadata().and_then(|meta| meta.modified()).ok();
            let age = modified.and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > UNUSED) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Where the artifact is, whole and checked; fetched first if need be.
    pub(super) async fn get(&self, source: &Source, deadline: Instant) -> Result<PathBuf, Error> {
        self.get_in(&self.places, source, deadline).await
    }

    /// The same for one that is not needed yet: one after the other, and never in the place of one that is.
    pub(super) async fn get_ahead(&self, source: &Source, deadline: Instant) -> Result<PathBuf, Error> {
        self.get_in(&self.ahead, source, deadline).await
    }

    async fn get_in(&self, places: &Semaphore, source: &Source, deadline: Instant) -> Result<PathBuf, Error> {
        let path = self.folder.join(source.sha256.to_string());
        if is_here(&path) {
            return Ok(path);
        }
        let fetched = async {
            // A place first: who only waits for one must not have the turn of who needs the artifact now. Never closed,
            // so this can only be a place.
            let _place = places.acquire().await;
            let turn = self.turn(source.sha256);
            let _turn = turn.lock().await;
            if is_here(&path) {
                return Ok(());
            }
            self.sweep();
            self.room(source, &[])?;
            self.fetch(source, &path).await
        };
        let in_time = time::timeout_at(deadline, fetched).await;
        in_time.map_err(|_| self.timed_out(source))??;
        Ok(path)
    }

    /// Whether there is room for what is still to be fetched, and for these bytes in these folders beside it.
    pub(super) fn room(&self, source: &Source, beside: &[(&Path, u64)]) -> Result<(), Error> {
        let is_here = self.folder.join(source.sha256.to_string()).exists();
        let missing = match source.size {
            Some(size) if !is_here => size.saturating_sub(self.have(source)),
            _ => 0,
        };
        let claims = [&[(self.folder.as_path(), missing)], beside].concat();
        room::look(&claims, self.settings.keep_free).map_err(|shortage| Error::NoRoom {
            url: source.url.clone(),
            shortage,
        })
    }

    /// It has been unpacked: the release is on the disk now, and the artifact would be there twice.
    pub(super) fn drop_artifact(&self, digest: Digest) {
        let _ = fs::remove_file(self.folder.join(digest.to_string()));
    }

    fn turn(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = busy.get(&digest).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        busy.insert(digest, Arc::downgrade(&turn));
        turn
    }

    fn part(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{digest}.part"))
    }

    fn have(&self, source: &Source) -> u64 {
        fs::metadata(self.part(source.sha256)).map_or(0, |meta| meta.len())
    }

    fn timed_out(&self, source: &Source) -> Error {
        Error::TimedOut {
            url: source.url.clone(),
            have: self.have(source),
        }
    }

    fn disk(&self, source: io::Error) -> Error {
        Error::Disk {
            path: self.folder.clone(),
            source,
        }
    }

    async fn fetch(&self, source: &Source, whole: &Path) -> Result<(), Error> {
        let part = self.part(source.sha256);
        // What is left of an earlier try may be of another file under the same URL; then one more try, from nothing.
        let mut resumed = self.have(source) > 0;
        loop {
            self.download(source).await?;
            match self.check(source, &part, whole).await {
                Err(Error::WrongDigest { .. }) if resumed => resumed = false,
                result => return result,
            }
        }
    }

    /// Tries until the part file is as long as it should be.
    async fn download(&self, source: &Source) -> Result<(), Error> {
        let (mut tries, mut pause, mut furthest) = (0, PAUSE_MIN, self.have(source));
        loop {
            let (why, asked) = match self.attempt(source).await? {
                Try::Whole => return Ok(()),
                Try::Again(why, asked) => (why, asked),
            };
            let have = self.have(source);
            if have > furthest {
                (tries, pause, furthest) = (0, PAUSE_MIN, have);
            } else {
                tries += 1;
            }
            tracing::debug!(url = source.url, why, tries, have, "the download is tried again");
            if tries >= TRIES {
                let url = source.url.clone();
                return Err(Error::Broken { url, why, have });
            }
            let asked = asked.unwrap_or_default().min(ASKED_PAUSE_MAX);
            time::sleep(pause.mul_f64(rand::random_range(0.5..1.0)).max(asked)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self, source: &Source) -> Result<Try, Error> {
        let mut have = self.have(source);
        if source.size.is_some_and(|size| have > size) || have > self.settings.bytes_max {
            self.forget(source)?;
            have = 0;
        }
        if source.size == Some(have) && have > 0 {
            return Ok(Try::Whole);
        }
        Ok(match time::timeout(IDLE, self.sources.ask(&source.url, have)).await {
            Err(_) => again("no answer"),
            Ok(Answer::Body(body)) => return self.receive(source, body).await,
            Ok(Answer::Whole) => Try::Whole,
            Ok(Answer::Again(why, pause)) => Try::Again(why, pause),
            Ok(Answer::Anew(why)) => {
                self.forget(source)?;
                again(why)
            }
            Ok(Answer::Never(why)) => return Err(refused(source, why)),
        })
    }

    fn forget(&self, source: &Source) -> Result<(), Error> {
        match fs::remove_file(self.part(source.sha256)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.disk(error)),
            _ => Ok(()),
        }
    }

    /// Appends the body where it begins; a shorter file is what the next try goes on from.
    async fn receive(&self, source: &Source, mut body: Body) -> Result<Try, Error> {
        let bytes_max = source.size.unwrap_or(self.settings.bytes_max);
        if let Some(announced) = body.announced.filter(|length| *length > bytes_max) {
            return Err(too_long(source, announced, bytes_max));
        }
        let mut file = self.part_from(source, body.from).map_err(|error| self.disk(error))?;
        let (mut have, mut looked) = (body.from, body.from);
        loop {
            let piece = match time::timeout(IDLE, body.pieces.next()).await {
                Err(_) => return Ok(again("it stopped sending")),
                Ok(Err(why)) => return Ok(again(why)),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(piece))) => piece,
            };
            have += piece.len() as u64;
            if have > bytes_max {
                self.forget(source)?;
                return Err(too_long(source, have, bytes_max));
            }
            let written = file.write_all(&piece).map_err(|error| self.disk(error));
            if written.is_err() || have - looked >= LOOK_BYTES {
                looked = have;
                // A download that nobody bounds must not take the ledger's room: it gives all of its own back.
                let room = written.and_then(|()| self.room(source, &[]));
                room.or_else(|error| self.forget(source).and(Err(error)))?;
            }
            self.pace.took(piece.len()).await;
        }
        match source.size {
            Some(size) if have < size => Ok(again(format!("it ended after {have} of {size} bytes"))),
            _ => Ok(Try::Whole),
        }
    }

    /// The part file, as long as what stays of it, to be written on.
    fn part_from(&self, source: &Source, from: u64) -> io::Result<File> {
        let mut options = File::options();
        let mut file = options
            .create(true)
            .write(true)
            .truncate(false)
            .open(self.part(source.sha256))?;
        file.set_len(from)?;
        file.seek(io::SeekFrom::Start(from))?;
        Ok(file)
    }

    /// Gives the part file its name if its bytes are the right ones, and takes it away if not.
    async fn check(&self, source: &Source, part: &Path, whole: &Path) -> Result<(), Error> {
        let (from, to, wanted) = (part.to_owned(), whole.to_owned(), source.sha256);
        let folder = self.folder.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let mut file = File::open(&from)?;
            let got = digest(&mut file)?;
            if got == wanted {
                failpoint::pass("artifact", "written");
                file.sync_all()?;
                fs::rename(&from, &to)?;
                failpoint::pass("artifact", "renamed");
            } else {
                fs::remove_file(&from)?;
            }
            sync_folder(&folder)?;
            Ok(got)
        });
        let got = checked
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| self.disk(error))?;
        if got == wanted {
            return Ok(());
        }
        let url = source.url.clone();
        Err(Error::WrongDigest { url, wanted, got })
    }
}

/// Whether the artifact is here; if so, it is wanted, and not swept away as one that nobody came for.
fn is_here(path: &Path) -> bool {
    let now = SystemTime::now();
    File::open(path).and_then(|file| file.set_modified(now)).is_ok() || path.exists()
}

fn digest(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(hasher.finalize().into())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn refused(source: &Source, why: String) -> Error {
    Error::Refused {
        url: source.url.clone(),
        why,
    }
}

fn too_long(source: &Source, length: u64, bytes_max: u64) -> Error {
    refused(
        source,
        format!("it has at least {length} bytes, the release allows {bytes_max}"),
    )
}
