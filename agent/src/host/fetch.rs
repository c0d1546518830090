//! An artifact from a URL into the store: resumed where a broken download stopped, tried again while there is time, and
//! known by its SHA-256 and by nothing else. The store is a folder of files named by their digest; a name without `.part`
//! is whole and checked. Deliberately knows nothing of releases.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use echelon_proto::Digest;
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_RANGE, RANGE},
};
use sha2::{Digest as _, Sha256};
use tokio::time::{self, Instant};

use super::check::cause;
use crate::{ledger::sync_folder, order::Source};

/// Tries in a row that brought nothing new before the source is given up.
const TRIES: u32 = 6;
/// A source that sends nothing for so long is tried again.
const IDLE: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// What lies in the store unused for so long is taken away when the agent starts.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);

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
    /// The disk refuses.
    #[error("the store {path}: {source}")]
    Disk { path: PathBuf, source: io::Error },
}

/// What one try came to.
enum Try {
    Whole,
    Again(String),
}

/// The folder.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    client: reqwest::Client,
    bytes_max: u64,
    /// Two orders that want the same artifact must not write the same file.
    busy: Mutex<BTreeMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

impl Store {
    pub(super) fn open(folder: PathBuf, client: reqwest::Client, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)?.flatten() {
            let age = entry
                .metadata()
                .and_then(|meta| meta.modified())
                .ok()
                .and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > UNUSED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self {
            folder,
            client,
            bytes_max,
            busy: Mutex::default(),
        })
    }

    /// Where the artifact is, whole and checked; fetched first if need be.
    pub(super) async fn get(&self, source: &Source, deadline: Instant) -> Result<PathBuf, Error> {
        let turn = self.turn(source.sha256);
        let timed_out = || self.timed_out(source);
        let _turn = time::timeout_at(deadline, turn.lock()).await.map_err(|_| timed_out())?;
        let path = self.folder.join(source.sha256.to_string());
        if path.exists() {
            return Ok(path);
        }
        time::timeout_at(deadline, self.fetch(source, &path))
            .await
            .map_err(|_| timed_out())??;
        Ok(path)
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
            let why = match self.attempt(source).await? {
                Try::Whole => return Ok(()),
                Try::Again(why) => why,
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
            time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self, source: &Source) -> Result<Try, Error> {
        let mut have = self.have(source);
        if source.size.is_some_and(|size| have > size) || have > self.bytes_max {
            self.forget(source)?;
            have = 0;
        }
        if source.size == Some(have) && have > 0 {
            return Ok(Try::Whole);
        }
        let mut request = self.client.get(&source.url);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let response = match time::timeout(IDLE, request.send()).await {
            Err(_) => return Ok(Try::Again("no answer".to_owned())),
            Ok(Err(error)) if error.is_builder() => return Err(refused(source, cause(error))),
            Ok(Err(error)) => return Ok(Try::Again(cause(error))),
            Ok(Ok(response)) => response,
        };
        match response.status() {
            StatusCode::OK => self.receive(source, response, 0).await,
            StatusCode::PARTIAL_CONTENT if have > 0 => match ranged(&response) {
                Some((from, _)) if from == have => self.receive(source, response, have).await,
                _ => {
                    self.forget(source)?;
                    Ok(Try::Again(
                        "it answered with another range than was asked for".to_owned(),
                    ))
                }
            },
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => match ranged(&response) {
                // All of it is here already.
                Some((_, Some(total))) if total == have => Ok(Try::Whole),
                _ => {
                    self.forget(source)?;
                    Ok(Try::Again("it has fewer bytes than are here".to_owned()))
                }
            },
            status if is_passing(status) => Ok(Try::Again(format!("it answered {status}"))),
            status => Err(refused(source, format!("it answered {status}"))),
        }
    }

    fn forget(&self, source: &Source) -> Result<(), Error> {
        match fs::remove_file(self.part(source.sha256)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.disk(error)),
            _ => Ok(()),
        }
    }

    /// Appends the body at `from`; a shorter file is what the next try goes on from.
    async fn receive(&self, source: &Source, mut response: Response, from: u64) -> Result<Try, Error> {
        let bytes_max = source.size.unwrap_or(self.bytes_max);
        let announced = response.content_length().map(|length| from.saturating_add(length));
        if let Some(announced) = announced.filter(|length| *length > bytes_max) {
            return Err(too_long(source, announced, bytes_max));
        }
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(self.part(source.sha256));
        let mut file = file.map_err(|error| self.disk(error))?;
        file.set_len(from).map_err(|error| self.disk(error))?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(from)).map_err(|error| self.disk(error))?;
        let mut have = from;
        loop {
            let chunk = match time::timeout(IDLE, response.chunk()).await {
                Err(_) => return Ok(Try::Again("it stopped sending".to_owned())),
                Ok(Err(error)) => return Ok(Try::Again(cause(error))),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(chunk))) => chunk,
            };
            have += chunk.len() as u64;
            if have > bytes_max {
                self.forget(source)?;
                return Err(too_long(source, have, bytes_max));
            }
            file.write_all(&chunk).map_err(|error| self.disk(error))?;
        }
        match source.size {
            Some(size) if have < size => Ok(Try::Again(format!("it ended after {have} of {size} bytes"))),
            _ => Ok(Try::Whole),
        }
    }

    /// Gives the part file its name if its bytes are the right ones, and takes it away if not.
    async fn check(&self, source: &Source, part: &Path, whole: &Path) -> Result<(), Error> {
        let (from, to, wanted) = (part.to_owned(), whole.to_owned(), source.sha256);
        let folder = self.folder.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let mut file = File::open(&from)?;
            let got = digest(&mut file)?;
            if got == wanted {
                file.sync_all()?;
                fs::rename(&from, &to)?;
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

/// Worth another try.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// First byte (0 when it names none) and total of a Content-Range.
fn ranged(response: &Response) -> Option<(u64, Option<u64>)> {
    parse_range(response.headers().get(CONTENT_RANGE)?.to_str().ok()?)
}

fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let from = match range.split_once('-') {
        Some((from, _)) => from.parse().ok()?,
        None if range == "*" => 0,
        None => return None,
    };
    Some((from, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_as_servers_write_it() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(parse_range("bytes */10"), Some((0, Some(10))));
        for bad in ["", "5-9/10", "bytes 5/10", "bytes x-9/10"] {
            assert_eq!(parse_range(bad), None, "{bad:?}");
        }
    }
}
