//! The end of a log of this host, for somebody who cannot come by. Only files that the host's administrator has named, and
//! only what they are when they are open: a path is asked twice, once as it was written and once as the kernel gives it back
//! for the open file, so neither `..` nor a link nor an exchange in between leads to another file. No devices and pipes, no
//! file with a second name, nothing of the agent's own and no secret. Bounded in lines, bytes, rate and time.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, MetadataExt as _},
    },
    path::{Component, Path, PathBuf},
    time::{Duration, Instant},
};

use glob::{MatchOptions, Pattern};
use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
};
use tokio::{sync::mpsc, time};

use crate::order::{Answer, Tail};

/// Lines and bytes of the end that is shown at first.
const LINES_MAX: usize = 10_000;
const BYTES_MAX: u64 = 1024 * 1024;
/// One piece. With `PIECE_EVERY` a third of a MiB a second at most: a log that floods must not take the line.
const PIECE: usize = 16 * 1024;
const PIECE_EVERY: Duration = Duration::from_millis(50);
/// How often a file that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Somebody who has gone without a word is not told for ever.
const FOLLOW_FOR: Duration = Duration::from_secs(600);

/// `*` stands for no `/`, and for no name that begins with a dot.
const MATCH: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Which files may be seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// As people write them.
    asked: Vec<Pattern>,
    /// As the kernel calls them.
    real: Vec<Pattern>,
    /// Folders of which nothing is shown, whatever is named.
    never: Vec<PathBuf>,
}

impl Shown {
    /// By what the config names; without it the logs that apps keep in their own folders.
    pub(super) fn new(named: Option<&[Pattern]>, apps_dir: &Path, never: Vec<PathBuf>) -> Self {
        let logs = |apps: &Path| Pattern::new(&format!("{}/*/logs/*", Pattern::escape(&apps.to_string_lossy()))).ok();
        let (asked, real) = match named {
            Some(named) => (named.to_vec(), named.to_vec()),
            None => {
                let real = fs::canonicalize(apps_dir).unwrap_or_else(|_| apps_dir.to_owned());
                (logs(apps_dir).into_iter().collect(), logs(&real).into_iter().collect())
            }
        };
        Self { asked, real, never }
    }

    /// The file, open, if it may be seen. An error says no more than who asks may know.
    fn open(&self, path: &Path) -> Result<File, String> {
        let name = path.display();
        let is_plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let named = |patterns: &[Pattern], path: &Path| patterns.iter().any(|one| one.matches_path_with(path, MATCH));
        if !path.is_absolute() || !is_plain || !named(&self.asked, path) {
            return Err(format!(
                "{name} is not among the files that this host shows: name it under `[diagnostics]` `files` of its agent's config"
            ));
        }
        let io = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        // Opened only as a place at first: a device does nothing, a pipe waits for nobody.
        let place = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(|errno| io(&errno.desc()))?;
        let handle = format!("/proc/self/fd/{}", place.as_raw_fd());
        let real = fs::read_link(&handle).map_err(|error| io(&error))?;
        let hidden = self.never.iter().any(|folder| {
            let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.clone());
            real.starts_with(folder)
        });
        if hidden || !named(&self.real, &real) {
            return Err(format!("{name} leads to a file that this host does not show"));
        }
        let meta = File::from(place.try_clone().map_err(|error| io(&error))?)
            .metadata()
            .map_err(|error| io(&error))?;
        if !meta.is_file() {
            return Err(format!("{name} is not a regular file"));
        }
        if meta.nlink() != 1 {
            return Err(format!(
                "{name} has {} names, so it may be another's file",
                meta.nlink()
            ));
        }
        // The very same file, whatever the path leads to by now.
        File::open(&handle).map_err(|error| io(&error))
    }
}

/// Sends the end of the file, and what comes if it is to be followed.
pub(super) async fn tail(shown: Shown, wanted: Tail, answers: mpsc::Sender<Answer>) {
    let path = wanted.path.clone();
    let (lines, opening) = (wanted.lines.min(LINES_MAX), shown.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let file = opening.open(&path)?;
        let offset = beginning(&file, lines).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<_, String>((file, offset))
    });
    let (file, offset) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(why)) => return drop(answers.send(Answer::Refused(why)).await),
        // Only when the agent ends.
        Err(_) => return,
    };
    let mut reader = Reader {
        file,
        offset,
        left: BYTES_MAX,
        answers,
    };
    let until = Instant::now() + FOLLOW_FOR;
    loop {
        if !reader.send_all().await || !wanted.follow || Instant::now() >= until {
            return;
        }
        // Later pieces are bounded by their rate.
        reader.left = u64::MAX;
        time::sleep(LOOK_EVERY).await;
        reader = match reader.turn(&shown, &wanted.path).await {
            Some(reader) => reader,
            None => return,
        };
    }
}

struct Reader {
    file: File,
    offset: u64,
    /// Bytes that may still be sent.
    left: u64,
    answers: mpsc::Sender<Answer>,
}

impl Reader {
    /// All there is now. `false`: nobody wants it any more, or it cannot be read.
    async fn send_all(&mut self) -> bool {
        loop {
            let Ok(file) = self.file.try_clone() else { return false };
            let (offset, most) = (self.offset, PIECE.min(usize::try_from(self.left).unwrap_or(PIECE)));
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; most];
                let read = file.read_at(&mut piece, offset)?;
                piece.truncate(read);
                io::Result::Ok(piece)
            });
            match read.await {
                Ok(Ok(piece)) if piece.is_empty() => return true,
                Ok(Ok(piece)) => {
                    self.offset += piece.len() as u64;
                    self.left -= piece.len() as u64;
                    if self.answers.send(Answer::Data(piece)).await.is_err() {
                        return false;
                    }
                }
                _ => return false,
            }
            time::sleep(PIECE_EVERY).await;
        }
    }

    /// From the begin again if the file was cut short, or the next one if it was put away and another is in its place.
    async fn turn(mut self, shown: &Shown, path: &Path) -> Option<Self> {
        let (shown, path) = (shown.clone(), path.to_owned());
        let turned = tokio::task::spawn_blocking(move || {
            let old = self.file.metadata()?;
            if old.len() < self.offset {
                self.offset = 0;
            }
            // Between the old one's end and the new one's begin there is none, and that is no end.
            if let Ok(new) = shown.open(&path) {
                let meta = new.metadata()?;
                if (meta.dev(), meta.ino()) != (old.dev(), old.ino()) {
                    (self.file, self.offset) = (new, 0);
                }
            }
            io::Result::Ok(self)
        });
        turned.await.ok()?.ok()
    }
}

/// Where the last so many lines begin, within the last so many bytes.
fn beginning(file: &File, lines: usize) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(BYTES_MAX);
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut end)?;
    let body = end.strip_suffix(b"\n").unwrap_or(&end);
    if lines == 0 {
        return Ok(from + end.len() as u64);
    }
    let ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let before = ends.map(|(at, _)| at + 1).nth(lines - 1);
    Ok(from + before.unwrap_or(0) as u64)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["logs", "state", "secrets", "logs/deep"] {
                fs::create_dir(folder.path().join(name)).unwrap();
            }
            Self { folder }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.at(name), text).unwrap();
        }

        fn shown(&self) -> Shown {
            let all = |name: &str| Pattern::new(self.at(name).to_str().unwrap()).unwrap();
            let named = [all("logs/*.log"), all("state/*"), all("secrets/*")];
            Shown::new(
                Some(&named),
                &self.at("apps"),
                vec![self.at("state"), self.at("secrets")],
            )
        }

        fn refused(&self, path: &Path, why: &str) {
            let error = self.shown().open(path).map(drop).unwrap_err();
            assert!(error.contains(why), "{}: {error}", path.display());
        }
    }

    #[test]
    fn no_way_leads_to_a_file_that_is_not_named() {
        let place = Place::new();
        for name in [
            "logs/a.log",
            "logs/.hidden.log",
            "logs/deep/b.log",
            "logs/c.txt",
            "state/ledger",
            "secrets/key",
        ] {
            place.write(name, "x\n");
        }
        assert!(place.shown().open(&place.at("logs/a.log")).is_ok());
        symlink("a.log", place.at("logs/link.log")).unwrap();
        assert!(
            place.shown().open(&place.at("logs/link.log")).is_ok(),
            "to another that is shown"
        );
        let unnamed = "is not among the files that this host shows";
        for name in [
            "logs/c.txt",
            "logs/.hidden.log",
            "logs/deep/b.log",
            "logs/../logs/a.log",
            "logs/./../logs/a.log",
        ] {
            place.refused(&place.folder.path().join(name), unnamed);
        }
        place.refused(Path::new("logs/a.log"), unnamed);
        place.refused(Path::new("/etc/shadow"), unnamed);
        let elsewhere = "leads to a file that this host does not show";
        for (link, to) in [
            ("logs/1.log", "/etc/passwd"),
            ("logs/2.log", "../secrets/key"),
            ("logs/3.log", "c.txt"),
        ] {
            symlink(to, place.at(link)).unwrap();
            place.refused(&place.at(link), elsewhere);
        }
        symlink("deep", place.at("logs/4.log")).unwrap();
        place.refused(&place.at("logs/4.log"), elsewhere);
        place.refused(&place.at("state/ledger"), elsewhere);
        place.refused(&place.at("secrets/key"), elsewhere);
        place.refused(&place.at("logs/none.log"), "No such file");
    }

    #[test]
    fn what_is_no_plain_file_of_one_name_is_not_shown() {
        let place = Place::new();
        nix::unistd::mkfifo(&place.at("logs/pipe.log"), Mode::S_IRWXU).unwrap();
        place.refused(&place.at("logs/pipe.log"), "is not a regular file");
        fs::create_dir(place.at("logs/folder.log")).unwrap();
        place.refused(&place.at("logs/folder.log"), "is not a regular file");
        place.write("other", "x\n");
        fs::hard_link(place.at("other"), place.at("logs/hard.log")).unwrap();
        place.refused(&place.at("logs/hard.log"), "has 2 names");
    }

    #[test]
    fn apps_show_what_is_in_their_logs_when_nothing_is_named() {
        let place = Place::new();
        fs::create_dir_all(place.at("apps/web/logs")).unwrap();
        place.write("apps/web/logs/a", "x\n");
        place.write("apps/web/config", "x\n");
        let shown = Shown::new(None, &place.at("apps"), Vec::new());
        assert!(shown.open(&place.at("apps/web/logs/a")).is_ok());
        assert!(shown.open(&place.at("apps/web/config")).is_err());
        fs::remove_dir_all(place.at("apps/web/logs")).unwrap();
        symlink("..", place.at("apps/web/logs")).unwrap();
        place.write("apps/shadow", "x\n");
        assert!(
            shown.open(&place.at("apps/web/logs/shadow")).is_err(),
            "its own folder leads out"
        );
    }

    #[test]
    fn the_last_lines_are_found_also_when_the_last_has_no_end() {
        let place = Place::new();
        let last = |text: &str, lines: usize| {
            place.write("logs/a.log", text);
            let file = File::open(place.at("logs/a.log")).unwrap();
            text[usize::try_from(beginning(&file, lines).unwrap()).unwrap()..].to_owned()
        };
        assert_eq!(last("1\n2\n3\n", 2), "2\n3\n");
        assert_eq!(last("1\n2\n3", 2), "2\n3");
        assert_eq!(last("1\n2\n", 9), "1\n2\n");
        assert_eq!((last("1\n2\n", 0), last("", 5)), (String::new(), String::new()));
        let long = "x".repeat(3 * 1024 * 1024);
        assert_eq!(last(&long, 1).len() as u64, BYTES_MAX);
    }

    #[tokio::test]
    async fn a_file_is_followed_when_it_grows_is_cut_short_and_is_put_away() {
        let place = Place::new();
        place.write("logs/a.log", "one\ntwo\n");
        let (tx, mut rx) = mpsc::channel(1);
        let wanted = Tail {
            path: place.at("logs/a.log"),
            lines: 1,
            follow: true,
        };
        let tailing = tokio::spawn(tail(place.shown(), wanted, tx));
        let mut next = async || match time::timeout(Duration::from_secs(30), rx.recv()).await.unwrap() {
            Some(Answer::Data(data)) => String::from_utf8(data).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(next().await, "two\n");
        let mut file = fs::File::options().append(true).open(place.at("logs/a.log")).unwrap();
        io::Write::write_all(&mut file, b"three\n").unwrap();
        assert_eq!(next().await, "three\n");
        place.write("logs/a.log", "new\n");
        assert_eq!(next().await, "new\n");
        fs::rename(place.at("logs/a.log"), place.at("logs/a.log.1")).unwrap();
        place.write("logs/a.log", "turned\n");
        assert_eq!(next().await, "turned\n");
        // Put in its place is not enough to be shown.
        fs::remove_file(place.at("logs/a.log")).unwrap();
        symlink("/etc/passwd", place.at("logs/a.log")).unwrap();
        assert!(time::timeout(Duration::from_secs(2), next()).await.is_err());
        drop(rx);
        tailing.abort();
    }
}
