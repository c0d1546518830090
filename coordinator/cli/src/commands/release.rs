//! `release create`, `list`, `get`.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use echelon_proto::{
    Digest,
    wire::control::{CreateReleaseRequest, GetReleaseRequest, ListReleasesRequest},
};
use sha2::{Digest as _, Sha256};

use super::{Outcome, Session, pages, request_id, unanswered};
use crate::{
    args::{CreateRelease, ReleaseVerb},
    client::ask,
    error::Error,
    exit::Exit,
    line::{Line, Style},
};

pub(super) async fn run(verb: ReleaseVerb, mut session: Session<'_>) -> Outcome {
    match verb {
        ReleaseVerb::Create(args) => create(&args, session).await,
        ReleaseVerb::List { app, limit, output } => {
            let app = app.map(String::from).unwrap_or_default();
            let (releases, more) = pages!(
                session,
                limit.limit,
                list_releases,
                releases,
                ListReleasesRequest {
                    app: app.clone(),
                    ..ListReleasesRequest::default()
                }
            );
            session.list(
                &releases,
                more,
                output.output,
                "there are no releases yet: echelon release create",
            )
        }
        ReleaseVerb::Get { app, release, output } => {
            let request = ask(GetReleaseRequest {
                name: format!("apps/{app}/releases/{release}"),
            });
            let release = session.client.get_release(request).await;
            let list = format!("echelon release list {app}");
            let release = release
                .map_err(|status| Error::from(status).or_next(list))?
                .into_inner();
            session.thing(&release, output.output)
        }
    }
}

async fn create(args: &CreateRelease, mut session: Session<'_>) -> Outcome {
    let id = request_id(args.request_id.as_ref());
    let (sha256, size_bytes) = match (&args.file, args.sha256) {
        (Some(file), _) => {
            let (digest, size) = measure(file)
                .map_err(|error| Error::new(Exit::Error, format!("cannot read {}: {error}", file.display())))?;
            (digest.to_string(), size)
        }
        (None, Some(digest)) => (digest.to_string(), args.size.unwrap_or_default()),
        (None, None) => (String::new(), 0),
    };
    let request = CreateReleaseRequest {
        app: args.app.to_string(),
        release: args.release.to_string(),
        url: args.url.clone().unwrap_or_default(),
        sha256,
        size_bytes,
        request_id: id.clone(),
        validate_only: args.dry_run,
    };
    let created = session.client.create_release(ask(request)).await;
    let created = created.map_err(|status| unanswered(status.into(), &id))?.into_inner();
    if args.output.output.is_json() {
        session.console.json(&created, args.output.output)?;
        return Ok(Exit::Done);
    }
    let done = if args.dry_run {
        "could be created (dry run)"
    } else {
        "is created"
    };
    let line = Line::new().push(Style::Good, "✔ ");
    session
        .console
        .line(&line.plain(format!("release {} {} {done}", created.app, created.release)))?;
    Ok(Exit::Done)
}

/// SHA-256 and size in bytes.
fn measure(file: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(file)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((Digest::from_bytes(hasher.finalize().into()), size));
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}
