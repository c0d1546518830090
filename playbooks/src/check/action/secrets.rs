//! Secrets by reference: `secrets: { db-password: storefront/db }`. The playbook says where on the host a secret is and
//! under which name the program finds it; what it is, nobody writes here.

use std::collections::BTreeMap;

use super::super::{Lint, value::cut};
use crate::{fault::code, text::tree::Node};

const SECRETS_MAX: usize = 32;
const NAME_CHARS_MAX: usize = 128;
/// Folders below the agent's own, and the file.
const NAMES_MAX: usize = 8;

pub(super) fn secrets(lint: &mut Lint<'_>, node: &Node) -> Option<BTreeMap<String, String>> {
    let entries = lint.entries(node, "`secrets`", SECRETS_MAX)?;
    let mut secrets = BTreeMap::new();
    for (key, value) in entries {
        if !is_file_name(&key.text) {
            let message = format!("{:?} cannot be the name of a secret's file", cut(&key.text));
            let help =
                "letters, digits, `.`, `_` and `-`, the first no point: the program finds it in $CREDENTIALS_DIRECTORY";
            lint.fault(code::SECRET, key.at, message, help);
        } else if let Some(reference) = reference(lint, value, &key.text) {
            secrets.insert(key.text.clone(), reference);
        }
    }
    (secrets.len() == entries.len()).then_some(secrets)
}

/// Names joined by `/`, from the agent's folder of secrets downwards.
fn reference(lint: &mut Lint<'_>, node: &Node, name: &str) -> Option<String> {
    let what = format!("the secret `{}`", cut(name));
    let text = lint.words(node, &what)?;
    let names = text.split('/').count();
    if names <= NAMES_MAX && text.split('/').all(is_file_name) {
        return Some(text.to_owned());
    }
    let help = if text.starts_with('/') {
        "write it from the agent's folder of secrets downwards, without the first `/`: storefront/db"
    } else if text.contains("${{") {
        "a secret is named and never put together: write the name itself"
    } else {
        "write the names of folders and file below the agent's folder of secrets, joined by `/`: storefront/db"
    };
    // The text is not told again: it may be the secret itself.
    lint.fault(
        code::SECRET,
        node.at,
        format!("{what} does not name a secret of the host"),
        help,
    );
    None
}

fn is_file_name(text: &str) -> bool {
    let usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= NAME_CHARS_MAX && !text.starts_with('.') && text.bytes().all(usual)
}
