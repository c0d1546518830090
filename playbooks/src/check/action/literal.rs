//! Secrets that somebody has written out: `DB_PASSWORD: hunter2`, `--token=abc`. A guess from names, so only a warning;
//! deliberately no guess from values, which would call every digest a secret.

use super::super::Lint;
use crate::{
    fault::code,
    text::tree::{Node, Value},
};

/// Words of a name whose value is a secret.
const SECRETS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
];
/// Pairs of words, the second of which means nothing alone.
const SECRET_PAIRS: [(&str, &str); 3] = [("api", "key"), ("private", "key"), ("access", "key")];
/// Last words of names whose value only belongs to a secret.
const ABOUT_SECRETS: [&str; 13] = [
    "file",
    "path",
    "dir",
    "directory",
    "name",
    "id",
    "url",
    "ttl",
    "timeout",
    "limit",
    "length",
    "policy",
    "type",
];

/// Variables of an `env`.
pub(super) fn report_env(lint: &mut Lint<'_>, env: &Node) {
    let Value::Map(entries) = &env.value else { return };
    for (key, value) in entries {
        if let Some(text) = scalar(value)
            && names_secret(&key.text)
            && is_literal(text)
        {
            report(lint, value, &key.text);
        }
    }
}

/// Options of an `argv`: `--token=abc`, and `--token` with `abc` after it.
pub(super) fn report_argv(lint: &mut Lint<'_>, argv: &Node) {
    let Value::List(words) = &argv.value else { return };
    for (at, word) in words.iter().enumerate() {
        let Some(option) = scalar(word).filter(|text| text.starts_with("--")) else {
            continue;
        };
        let next = || {
            words
                .get(at + 1)
                .map(|next| (option, next, scalar(next).unwrap_or_default()))
        };
        let given = option
            .split_once('=')
            .map(|(name, value)| (name, word, value))
            .or_else(next);
        if let Some((name, node, value)) = given
            && names_secret(name)
            && !value.starts_with('-')
            && is_literal(value)
        {
            report(lint, node, name.trim_start_matches('-'));
        }
    }
}

fn report(lint: &mut Lint<'_>, node: &Node, name: &str) {
    let message = format!("the value of `{name}` looks like a secret, and everybody can read a playbook");
    let help = "keep it on the hosts: `secrets: { NAME: app/NAME }` beside `argv`; the program reads $CREDENTIALS_DIRECTORY/NAME";
    lint.fault(code::SECRET_WRITTEN_OUT, node.at, message, help);
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) => Some(&scalar.text),
        Value::List(_) | Value::Map(_) | Value::Broken => None,
    }
}

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(['_', '-', '.']).filter(|word| !word.is_empty()).collect();
    let about = words.last().is_some_and(|last| ABOUT_SECRETS.contains(last));
    let pair = |pair: &[&str]| SECRET_PAIRS.contains(&(pair[0], pair[1]));
    !about && (words.iter().any(|word| SECRETS.contains(word)) || words.windows(2).any(pair))
}

/// Neither nothing, nor a switch, nor where the secret is, nor a variable.
fn is_literal(text: &str) -> bool {
    let elsewhere = text.starts_with('/') || text.starts_with("./") || text.contains("${{") || text.contains('$');
    !elsewhere && !matches!(text, "" | "true" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name() {
        for name in [
            "DB_PASSWORD",
            "TOKEN",
            "--api-key",
            "AWS_SECRET_ACCESS_KEY",
            "client-secret",
            "PRIVATE_KEY_PEM",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in [
            "TOKEN_FILE",
            "PASSWORD_POLICY",
            "AWS_ACCESS_KEY_ID",
            "KEY",
            "SECRETARY",
            "api-url",
            "",
        ] {
            assert!(!names_secret(name), "{name}");
        }
    }

    #[test]
    fn where_a_secret_is_and_whether_it_is_used_is_no_secret() {
        for text in [
            "",
            "true",
            "/run/secrets/db",
            "${{ host.labels.token }}",
            "$CREDENTIALS_DIRECTORY/db",
        ] {
            assert!(!is_literal(text), "{text}");
        }
        assert!(is_literal("hunter2"));
    }
}
