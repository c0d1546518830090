//! A file of the host, written whole: where, what is in it, whose it is.

use super::{
    super::{
        Lint,
        fields::{Fields, Shape},
        value::cut,
    },
    run::account,
};
use crate::{
    fault::code,
    model::{Content, FileSpec},
    template::Template,
    text::tree::Node,
};

/// An order carries it, and the agent holds it in memory while it writes.
const CONTENT_BYTES_MAX: usize = 256 * 1024;
const MODE: u32 = 0o644;
const WRITABLE_BY_ALL: u32 = 0o002;

const FILE: Shape = Shape {
    what: "`file`",
    required: &[("path", "path: \"conf/app.properties\"")],
    optional: &["content", "template", "mode", "owner", "group"],
    later: &[],
    elsewhere: &[
        ("text", "what is in it is `content`"),
        ("source", "the file that it is made from is `template`"),
        ("src", "the file that it is made from is `template`"),
        ("dest", "where it is written is `path`"),
        ("user", "whose it is is `owner`"),
        ("permissions", "write them as `mode: \"0644\"`"),
    ],
};

pub(super) fn file(lint: &mut Lint<'_>, node: &Node) -> Option<FileSpec> {
    let fields = lint.fields(node, &FILE)?;
    let path = fields.get("path").and_then(|node| path(lint, node, "path"));
    let content = content(lint, &fields);
    let mode = fields.or("mode", MODE, |node| mode(lint, node));
    let owner = fields.or("owner", None, |node| account(lint, node, "owner").map(Some));
    let group = fields.or("group", None, |node| account(lint, node, "group").map(Some));
    let (path, content) = (path?, content?);
    if let (Content::Template(template), Some(node)) = (&content, fields.get("template"))
        && *template == path
    {
        let help = "written once, its variables are gone: keep the template beside it, under another name";
        lint.fault(code::PATH, node.at, "the file would be its own template", help);
        return None;
    }
    Some(FileSpec {
        path,
        content,
        mode: mode?,
        owner: owner?,
        group: group?,
    })
}

/// Its text, or the file that it is made from: exactly one.
fn content(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<Content> {
    match (fields.get("content"), fields.get("template")) {
        (Some(text), None) => self::text(lint, text).map(Content::Text),
        (None, Some(from)) => path(lint, from, "template").map(Content::Template),
        (Some(_), Some(from)) => {
            let at = fields.key("template").unwrap_or(from.at);
            let help = "keep `content` if its text stands here, `template` if it is made from another file of the host";
            lint.fault(code::ONE_CONTENT, at, "`file` has both `content` and `template`", help);
            None
        }
        (None, None) => {
            let help = "add `content: \"...\"`, or `template: current/conf/app.template`";
            lint.fault(
                code::ONE_CONTENT,
                fields.at,
                "`file` says nothing of what is in it",
                help,
            );
            None
        }
    }
}

fn text(lint: &mut Lint<'_>, node: &Node) -> Option<Template> {
    let text = lint.long_text(node, "content")?;
    if text.len() > CONTENT_BYTES_MAX {
        let message = format!("content has {} bytes, more than {CONTENT_BYTES_MAX}", text.len());
        let help = "put it into the artifact, and write it from there by `template`";
        lint.fault(code::TOO_LARGE, node.at, message, help);
        return None;
    }
    lint.template_of(text, node.at, "content")
}

/// A path of a file, absolute or from the app's folder, that goes straight down.
fn path(lint: &mut Lint<'_>, node: &Node, what: &str) -> Option<Template> {
    let text = lint.words(node, what)?;
    let template = lint.template(node, what)?;
    let last = text.rsplit('/').next().unwrap_or(text);
    let help = if text.split('/').any(|part| part == "..") {
        "write it without `..`: from the root of the host, or from the app's folder"
    } else if matches!(last, "" | ".") {
        "name the file, not the folder that it is in"
    } else if text.starts_with('~') {
        "no shell reads it: write it from the root of the host, or from the app's folder"
    } else if text.contains(char::is_control) {
        "write it in one line, without control characters"
    } else {
        return Some(template);
    };
    let message = format!("{what}: {:?} is no path of a file", cut(text));
    lint.fault(code::PATH, node.at, message, help);
    None
}

/// Three octal digits, with or without a leading zero: no bits beyond those of owner, group and others.
fn mode(lint: &mut Lint<'_>, node: &Node) -> Option<u32> {
    let text = lint.text(node, "mode")?;
    let digits = text.strip_prefix('0').unwrap_or(text);
    let octal = digits.len() == 3 && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
    let Some(mode) = octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten() else {
        let set_id = digits.len() == 4 && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
        let help = if set_id {
            "a file of a playbook is never setuid, setgid or sticky: write \"0755\" for a program"
        } else {
            "write octal digits as chmod reads them, in quotes: \"0644\""
        };
        let message = format!("mode: {:?} is no mode of a file", cut(text));
        lint.fault(code::FILE_MODE, node.at, message, help);
        return None;
    };
    if mode & WRITABLE_BY_ALL != 0 {
        let message = format!("with mode {mode:04o} everybody on the host can change the file");
        let help = format!(
            "write \"{:04o}\", and name its `owner` or `group`",
            mode & !WRITABLE_BY_ALL
        );
        lint.fault(code::WRITABLE_BY_ALL, node.at, message, help);
    }
    Some(mode)
}
