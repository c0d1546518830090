//! Where an artifact comes from, by the scheme of its URL: `http`, `https`, `file` or `s3`. Each is asked for what follows
//! the bytes that are here already and answers in the same few ways. Deliberately nothing of files that are written.

use std::{io, time::Duration};

use bytes::Bytes;
use reqwest::Url;

use super::{Settings, file, s3::Buckets, web::Web};

/// What a source says when it is asked.
pub(super) enum Answer {
    /// Here it comes.
    Body(Body),
    /// There is nothing more than what is here.
    Whole,
    /// Perhaps later, and not before so long.
    Again(String, Option<Duration>),
    /// What is here is not of it: from the begin.
    Anew(String),
    /// Asking again would not help.
    Never(String),
}

/// What a source sends.
pub(super) struct Body {
    /// Where its first byte belongs.
    pub(super) from: u64,
    /// Length of the whole artifact, if the source says it.
    pub(super) announced: Option<u64>,
    pub(super) pieces: Pieces,
}

/// The bytes, as they come.
pub(super) enum Pieces {
    Web(reqwest::Response),
    File(tokio::fs::File),
}

impl Pieces {
    /// None: that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        match self {
            Self::Web(response) => response.chunk().await.map_err(super::super::check::cause),
            Self::File(file) => file::piece(file).await.map_err(|error| error.to_string()),
        }
    }
}

/// All kinds of sources.
#[derive(Debug)]
pub(super) struct Sources {
    web: Web,
    buckets: Buckets,
}

impl Sources {
    pub(super) fn new(settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            web: Web::new(settings.ca.as_deref())?,
            buckets: Buckets::new(settings.s3.clone()),
        })
    }

    /// Asks for everything from this byte on.
    pub(super) async fn ask(&self, url: &str, have: u64) -> Answer {
        let parsed = match Url::parse(url) {
            Ok(parsed) => parsed,
            Err(error) => return Answer::Never(format!("this is no URL: {error}")),
        };
        match parsed.scheme() {
            "http" | "https" => self.web.ask(parsed, have).await,
            "file" => file::ask(&parsed, have).await,
            "s3" => match self.buckets.signed(url).await {
                Ok(signed) => self.web.ask(signed, have).await,
                Err(answer) => answer,
            },
            other => Answer::Never(format!(
                "{other} is no source of artifacts; http, https, file and s3 are"
            )),
        }
    }
}
