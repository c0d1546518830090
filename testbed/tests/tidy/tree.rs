//! The repository as git knows it. Deliberately no walk over folders: what is not tracked is not the repository.

use std::{fs, path::Path, process::Command};

use super::source::Source;

/// The repository's top folder.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A tracked file.
#[derive(Debug, Clone)]
pub(crate) struct Tracked {
    /// From the top of the repository.
    pub(crate) path: String,
    /// As text; what is no UTF-8 is told by [`Tracked::is_binary`].
    pub(crate) text: String,
    pub(crate) is_binary: bool,
}

/// All that is tracked and not just being removed.
pub(crate) fn tracked() -> Vec<Tracked> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(top()).output();
    let listed = listed.expect("git is needed: the rules are about what is tracked");
    assert!(
        listed.status.success(),
        "git: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let paths = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<_> = paths.split_terminator('\0').filter_map(read).collect();
    assert!(
        files.len() > 100,
        "git knows only {} files: the rules would prove nothing",
        files.len()
    );
    files
}

fn read(path: &str) -> Option<Tracked> {
    let bytes = fs::read(top().join(path)).ok()?;
    let is_binary = bytes.contains(&0);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Some(Tracked {
        path: path.to_owned(),
        text,
        is_binary,
    })
}

/// Every tracked Rust file.
pub(crate) fn sources() -> Vec<Source> {
    let files = tracked();
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    let sources: Vec<_> = rust.map(|file| Source::read(&file.path, &file.text)).collect();
    assert!(sources.len() > 50, "only {} Rust files were found", sources.len());
    sources
}

/// Every tracked manifest but the workspace's.
pub(crate) fn manifests() -> Vec<Tracked> {
    let found = tracked().into_iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    found.collect()
}
