//! Where the text of a playbook comes from: a file, or what is piped in. What it says is read by `reader`.

use std::{fs, io, path::Path};

use echelon_proto::limits::PLAYBOOK_BYTES_MAX;

use crate::{console::Console, error::Error, exit::Exit};

/// How the text that is piped in is called.
pub(super) const INPUT: &str = "<stdin>";

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
