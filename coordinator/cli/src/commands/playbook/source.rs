//! Where the text of a playbook comes from: a file, what is piped in, the library, the coordinator. What it says is
//! read by `reader`.

use std::{fs, io, path::Path};

use echelon_playbooks::{Faults, LIBRARY, Playbook};
use echelon_proto::limits::PLAYBOOK_BYTES_MAX;

use super::{fetch, reader::Reader};
use crate::{
    args::{Global, Reading},
    commands::connect,
    console::Console,
    error::Error,
    exit::Exit,
};

/// How the text that is piped in is called.
pub(super) const INPUT: &str = "<stdin>";

/// A playbook as it is named on the command line.
pub(super) struct Source {
    /// As it is shown.
    pub(super) name: String,
    pub(super) text: String,
    /// The coordinator has it, and what it extends.
    remote: bool,
}

/// The text of `-`, of a file, of `library/NAME`, or of `web@3` at the coordinator, which is only asked for the last.
pub(super) async fn open(named: &str, global: &Global, console: &mut Console) -> Result<Source, Error> {
    let path = Path::new(named);
    let name = shown(path);
    let here = |text| Source {
        name: name.clone(),
        text,
        remote: false,
    };
    if named == "-" || path.exists() {
        return Ok(here(read(path, console)?));
    }
    if let Some(text) = named.strip_prefix("library/").and_then(library) {
        return Ok(here(text.to_owned()));
    }
    let is_file = named.contains('/') || [".yaml", ".yml"].iter().any(|end| named.ends_with(end));
    if is_file {
        return Ok(here(read(path, console)?));
    }
    let mut session = connect(global, console).await.map_err(|error| {
        // Most often a file was meant.
        error.detail(format!(
            "there is no file {named:?} here, so the coordinator was to be asked for it"
        ))
    })?;
    let text = fetch(named, &mut session).await?.text;
    Ok(Source {
        name,
        text,
        remote: true,
    })
}

/// What [`open`] finds, and how it is read: one of the coordinator's with the base that the coordinator has.
async fn readable(
    named: &str,
    reading: &Reading,
    global: &Global,
    console: &mut Console,
) -> Result<(Source, Reader), Error> {
    let source = open(named, global, console).await?;
    let mut reader = Reader::new(reading)?;
    if let Some(base) = source.remote.then(|| reader.lacking(&source.text)).flatten() {
        let mut session = connect(global, console).await?;
        let text = fetch(&base.to_string(), &mut session).await?.text;
        reader.add(&base, text);
    }
    Ok((source, reader))
}

/// The playbook of what [`open`] finds; what is wrong with it goes beside the output.
pub(super) async fn checked(
    named: &str,
    reading: &Reading,
    global: &Global,
    console: &mut Console,
) -> Result<Playbook, Error> {
    let (source, reader) = readable(named, reading, global, console).await?;
    playbook(&source, &reader, console)
}

/// Two playbooks that are to be compared: of the values each gets those that it has parameters for.
pub(super) async fn pair(
    named: [&str; 2],
    reading: &Reading,
    global: &Global,
    console: &mut Console,
) -> Result<[Playbook; 2], Error> {
    let (old, mut old_reader) = readable(named[0], reading, global, console).await?;
    let (new, mut new_reader) = readable(named[1], reading, global, console).await?;
    let unknown = (old_reader.drop_unknown(&old.text), new_reader.drop_unknown(&new.text));
    if let Some(param) = unknown.0.intersection(&unknown.1).next() {
        let what = format!("neither {} nor {} has a parameter `{param}`", old.name, new.name);
        return Err(Error::usage(what));
    }
    Ok([
        playbook(&old, &old_reader, console)?,
        playbook(&new, &new_reader, console)?,
    ])
}

fn playbook(source: &Source, reader: &Reader, console: &mut Console) -> Result<Playbook, Error> {
    match reader.read(&source.text) {
        Ok(checked) => Ok(checked.playbook),
        Err(faults) => Err(told(&source.name, &faults, console)?),
    }
}

/// The same as a playbook of its own: it extends nothing, and no parameter is left.
pub(in crate::commands) async fn flat(
    named: &str,
    reading: &Reading,
    global: &Global,
    console: &mut Console,
) -> Result<Playbook, Error> {
    let (source, reader) = readable(named, reading, global, console).await?;
    let flat = reader.flatten(&source.text);
    match flat.and_then(|text| echelon_playbooks::read(&text)) {
        Ok(checked) => Ok(checked.playbook),
        Err(faults) => Err(told(&source.name, &faults, console)?),
    }
}

/// The faults are told; what is left is the number.
pub(in crate::commands) fn told(name: &str, faults: &Faults, console: &mut Console) -> io::Result<Error> {
    console.complaint(&format!("{}\n", faults.in_file(name)))?;
    Ok(Error::silent(Exit::Usage))
}

/// The text of a playbook of the library.
pub(super) fn library(name: &str) -> Option<&'static str> {
    LIBRARY.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// As it is shown.
pub(super) fn shown(file: &Path) -> String {
    if file == Path::new("-") {
        INPUT.to_owned()
    } else {
        file.display().to_string()
    }
}

/// The text of a file, or of what is piped in.
pub(in crate::commands) fn read(file: &Path, console: &mut Console) -> Result<String, Error> {
    if file != Path::new("-") {
        return of_file(file);
    }
    // One byte more shows that there is more.
    let bytes = console.read_input(PLAYBOOK_BYTES_MAX as u64 + 1);
    let bytes = bytes.map_err(|error| unread(INPUT, Exit::Error, &error.to_string()))?;
    if bytes.len() > PLAYBOOK_BYTES_MAX {
        return Err(too_large(INPUT, bytes.len() as u64));
    }
    utf8(INPUT, bytes)
}

pub(super) fn of_file(file: &Path) -> Result<String, Error> {
    let name = shown(file);
    let failed = |error: io::Error| unread(&name, Exit::Error, &error.to_string());
    let size = fs::metadata(file).map_err(failed)?.len();
    if size > PLAYBOOK_BYTES_MAX as u64 {
        return Err(too_large(&name, size));
    }
    utf8(&name, fs::read(file).map_err(failed)?)
}

fn utf8(name: &str, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| unread(name, Exit::Usage, &format!("it is not UTF-8: {error}")))
}

fn too_large(name: &str, size: u64) -> Error {
    let why = format!("{size} bytes are more than a playbook may have ({PLAYBOOK_BYTES_MAX})");
    unread(name, Exit::Usage, &why)
}

fn unread(name: &str, exit: Exit, why: &str) -> Error {
    Error::new(exit, format!("cannot read {name}: {why}"))
}
