//! An artifact that is a file of this host already: a mounted share, a mirror that something else keeps. Copied into the
//! store like any other, because only there nobody changes it between the check and its use.

use std::{io, path::PathBuf};

use bytes::Bytes;
use nix::libc::O_NONBLOCK;
use reqwest::Url;
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};

use super::source::{Answer, Body, Pieces};

const PIECE_BYTES: usize = 256 * 1024;

pub(super) async fn ask(url: &Url, have: u64) -> Answer {
    let Ok(path) = url.to_file_path() else {
        return Answer::Never("it must be the whole path of a file of this host: file:///srv/web.tar.gz".to_owned());
    };
    match open(path, have).await {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Answer::Never("the file is not there".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Answer::Never(error.to_string()),
        // A share may come back.
        Err(error) => Answer::Again(error.to_string(), None),
    }
}

async fn open(path: PathBuf, have: u64) -> io::Result<Answer> {
    // A pipe must not be waited for.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
        .await?;
    let meta = file.metadata().await?;
    if !meta.is_file() {
        return Ok(Answer::Never("it is not a regular file".to_owned()));
    }
    if meta.len() < have {
        return Ok(Answer::Anew("it has fewer bytes than are here".to_owned()));
    }
    file.seek(io::SeekFrom::Start(have)).await?;
    Ok(Answer::Body(Body {
        from: have,
        announced: Some(meta.len()),
        pieces: Pieces::File(file),
    }))
}

/// None: that was all.
pub(super) async fn piece(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut buffer = vec![0; PIECE_BYTES];
    let read = file.read(&mut buffer).await?;
    buffer.truncate(read);
    Ok((read > 0).then(|| buffer.into()))
}
