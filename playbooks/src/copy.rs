//! A playbook of one's own from one that is there: another name, version 1, everything else as it was written, comments
//! included. Deliberately an edit of the text: what is read knows no comments.

use echelon_proto::PlaybookName;

use crate::{
    check::read,
    fault::Faults,
    text::{Source, tree},
};

/// The file that the first line of a playbook names: the JSON Schema, beside it, as `echelon playbook schema -o` writes it.
pub const SCHEMA_FILE: &str = "echelon-playbook.schema.json";
/// What begins the line in which a file tells editors its schema.
const SCHEMA_MARK: &str = "# yaml-language-server: $schema=";

/// The text with this name and version 1, its first line naming the schema. What it extends is not looked at.
///
/// # Errors
///
/// What is wrong with a text that is no YAML, or that has no name and version.
pub fn copy(text: &str, name: &PlaybookName) -> Result<String, Faults> {
    let text = text.trim_start_matches('\u{feff}');
    let (root, faults) = tree::parse(&Source::new(text));
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let place = |key| root.as_ref().and_then(|root| root.get(key)).map(|node| node.at);
    let (Some(named), Some(version)) = (place("name"), place("version")) else {
        return Err(read(text).err().unwrap_or_default());
    };
    let mut edits = [(named, name.to_string()), (version, "1".to_owned())];
    // From the end, so that the places before stay what they are.
    edits.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut copy = text.to_owned();
    for (at, value) in edits {
        copy.replace_range(at.start..at.end, &value);
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let body = match copy.split_once('\n') {
        Some((first, rest)) if first.starts_with(SCHEMA_MARK) => rest,
        _ => &copy,
    };
    Ok(format!("{SCHEMA_MARK}{SCHEMA_FILE}{end}{body}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LIBRARY;

    fn named(text: &str) -> String {
        copy(text, &"checkout".parse().unwrap()).unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn a_copy_has_its_name_and_version_1_and_everything_else_as_it_was() {
        for (library, text) in LIBRARY {
            let copy = named(text);
            let playbook = read(&copy).unwrap().playbook;
            assert_eq!((playbook.name.as_str(), playbook.version), ("checkout", 1));
            let same = |line: &&str| !line.starts_with("name:") && !line.starts_with("version:");
            let body = |text: &str| -> Vec<String> {
                let lines = text.lines().filter(|line| !line.starts_with(SCHEMA_MARK));
                lines.filter(|line| same(line)).map(str::to_owned).collect()
            };
            assert_eq!(body(&copy), body(text), "{library}");
            assert!(copy.starts_with("# yaml-language-server: $schema=echelon-playbook.schema.json\n"));
        }
    }

    #[test]
    fn however_the_name_is_written_it_is_replaced_and_the_comment_beside_it_kept() {
        let smallest = include_str!("../tests/good/smallest.yaml");
        let text = smallest.replace(
            "name: web\nversion: 1\n",
            "version:   12   # of mine\n'name': \"store\\x66ront\" # what\n",
        );
        let copy = named(&text);
        assert!(
            copy.contains("version:   1   # of mine\n'name': checkout # what\n"),
            "{copy}"
        );
        let windows = named(&format!("\u{feff}{}", smallest.replace('\n', "\r\n")));
        assert!(!windows.contains('\u{feff}') && !windows.replace("\r\n", "").contains('\n'));
        assert_eq!(named(&copy), copy);
    }

    #[test]
    fn what_is_no_playbook_is_not_copied() {
        for text in ["name: [", "name: web", "", "- name"] {
            let faults = copy(text, &"checkout".parse().unwrap()).unwrap_err();
            assert!(!faults.0.is_empty(), "{text:?}");
        }
    }
}
