//! Releases: created, looked up, listed.

use echelon_engine::{
    command::{Artifact, Command},
    state::Release,
};
use echelon_proto::{App, Person, ReleaseName, limits::ARTIFACT_SCHEMES, wire::control as wire};
use tonic::Status;

use super::{Control, convert, field, page::Page, status};

/// A URL, in characters.
const URL_CHARS_MAX: usize = 2048;

pub(super) async fn create(
    control: &Control,
    by: Person,
    request: wire::CreateReleaseRequest,
) -> Result<wire::Release, Status> {
    field::request_id(&request.request_id)?;
    let artifact = artifact(&request)?;
    let (app, release) = (artifact.app.clone(), artifact.release.clone());
    let (_, state) = control
        .wish(by, Command::CreateRelease(artifact), request.validate_only)
        .await?;
    let created = state.release(&app, &release);
    created
        .map(to_wire)
        .ok_or_else(|| Status::internal("the release is not there although it was created"))
}

fn artifact(request: &wire::CreateReleaseRequest) -> Result<Artifact, Status> {
    field::chars("url", &request.url, URL_CHARS_MAX)?;
    let sha256 = field::optional("sha256", &request.sha256)?;
    let url = request.url.as_str();
    match (url.is_empty(), sha256) {
        (false, None) => {
            return Err(status::invalid(
                "sha256",
                "is empty; an artifact needs it, as `sha256sum` prints it",
            ));
        }
        (true, Some(_)) => return Err(status::invalid("url", "is empty although there is a sha256")),
        (true, None) | (false, Some(_)) => {}
    }
    if !url.is_empty() && !ARTIFACT_SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        let why = format!("must begin with one of {}", ARTIFACT_SCHEMES.join(", "));
        return Err(status::invalid("url", &why));
    }
    Ok(Artifact {
        app: field::parsed("app", App::new(&request.app))?,
        release: field::parsed("release", ReleaseName::new(&request.release))?,
        url: request.url.clone(),
        sha256,
        size_bytes: request.size_bytes,
    })
}

pub(super) fn get(control: &Control, request: &wire::GetReleaseRequest) -> Result<wire::Release, Status> {
    let [app, release] = field::resource("apps/{app}/releases/{release}", &request.name)?;
    let app = field::parsed("name", App::new(app))?;
    let release = field::parsed("name", ReleaseName::new(release))?;
    let (state, _) = control.latest();
    let found = state.release(&app, &release).map(to_wire);
    found.ok_or_else(|| status::not_found(&format!("app {app} has no release {release}")))
}

pub(super) fn list(
    control: &Control,
    request: &wire::ListReleasesRequest,
) -> Result<wire::ListReleasesResponse, Status> {
    let page = Page::new(request.page_size, &request.page_token)?;
    let app: Option<App> = field::optional("app", &request.app)?;
    let (state, _) = control.latest();
    let apps = state
        .releases
        .iter()
        .filter(|(of, _)| app.as_ref().is_none_or(|app| app == *of));
    let all = apps.flat_map(|(_, releases)| releases.values());
    let rest = all.filter(|release| page.after.as_ref().is_none_or(|after| key(release) > *after));
    let (releases, next_page_token) = page.take(rest, |release| key(release));
    Ok(wire::ListReleasesResponse {
        releases: releases.into_iter().map(to_wire).collect(),
        next_page_token,
    })
}

/// In the order of the state: a name holds no NUL, which sorts before all that it holds.
fn key(release: &Release) -> String {
    format!("{}\u{0}{}", release.artifact.app, release.artifact.release)
}

fn to_wire(release: &Release) -> wire::Release {
    let Artifact {
        app,
        release: name,
        url,
        sha256,
        size_bytes,
    } = &release.artifact;
    wire::Release {
        name: format!("apps/{app}/releases/{name}"),
        app: app.to_string(),
        release: name.to_string(),
        url: url.clone(),
        sha256: convert::text(sha256.as_ref()),
        size_bytes: *size_bytes,
        create_time: Some(convert::stamp(release.at)),
        created_by: release.by.to_string(),
    }
}
