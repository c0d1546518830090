//! Words for the fuzzer to put into texts, taken from the playbooks it begins with, so that they are always those of the
//! language as it is. Deliberately not written by hand: such a list would be forgotten with the next key.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

/// Beyond it a word is a text, which chance does not need whole.
const WORD_BYTES_MAX: usize = 32;

/// Writes the words of all playbooks in these folders as libFuzzer wants them: each in quotes on a line of its own.
///
/// # Errors
/// A folder or file cannot be read or written, or there is no word.
pub(super) fn write(folders: &[PathBuf], to: &Path) -> anyhow::Result<()> {
    let mut words = BTreeSet::new();
    for folder in folders {
        let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "yaml") {
                let text = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
                words.extend(words_of(&String::from_utf8_lossy(&text)));
            }
        }
    }
    ensure!(!words.is_empty(), "no playbook to begin with has a word");
    let lines: String = words.iter().map(|word| format!("\"{word}\"\n")).collect();
    fs::write(to, lines).with_context(|| format!("{} cannot be written", to.display()))
}

/// Without anything that would have to be escaped.
fn words_of(text: &str) -> impl Iterator<Item = String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "._%@/-".contains(c);
    let words = text.split(move |c| !part(c));
    let fits = |word: &&str| (2..=WORD_BYTES_MAX).contains(&word.len());
    words.filter(fits).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_playbooks_are_written_once_each_as_libfuzzer_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "uses: artifact/install@1\nsize: 10%\nname: \"it\\\"s ä\"\nsize: 1\n";
        fs::write(folder.path().join("a.yaml"), yaml).unwrap();
        fs::write(folder.path().join("a.expected"), "nothing of this").unwrap();
        let to = folder.path().join("words");
        write(&[folder.path().to_owned()], &to).unwrap();
        let wanted = "\"10%\"\n\"artifact/install@1\"\n\"it\"\n\"name\"\n\"size\"\n\"uses\"\n";
        assert_eq!(fs::read_to_string(&to).unwrap(), wanted);
        assert!(write(&[], &to).is_err());
    }
}
