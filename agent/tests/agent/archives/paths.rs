//! Names and links that lead out, and names that clash.

use super::{
    Case, refused, taken,
    tape::{file, folder, gzip, hard, link, long, pax, tar, zstd},
};

pub(super) fn cases(canary: &str) -> Vec<Case> {
    [
        names(canary),
        long_names(),
        links(canary),
        through_links(canary),
        hard_links(canary),
        clashes(canary),
        pressed(canary),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn names(canary: &str) -> Vec<Case> {
    let out = format!("{canary}/planted");
    let told = [
        "../planted",
        "a/../../planted",
        "a/b/../../../planted",
        "./../planted",
        "a/..",
        "..",
        ".//..//canary/planted",
        "a/b/../c",
    ]
    .map(|name| refused(&format!("a file {name}"), tar([file(name, "x")]), name, "`..`"));
    let more = [
        refused("a folder above", tar([folder("../")]), "../", "`..`"),
        refused("an absolute name", tar([file(&out, "x")]), &out, "absolute path"),
        refused(
            "two slashes",
            tar([file(format!("/{out}"), "x")]),
            &format!("/{out}"),
            "absolute path",
        ),
        refused("an absolute folder", tar([folder(canary)]), canary, "absolute path"),
        refused(
            "no line and no colour in what is told",
            tar([file("a\n\x1b[2J/../../planted", "x")]),
            "a\n\x1b[2J/../../planted",
            "`..`",
        ),
        refused(
            "a name that is no text",
            tar([file(b"\xff/../../planted", "x")]),
            "\u{fffd}/../../planted",
            "`..`",
        ),
        refused("no name", tar([file("", "x")]), "", "no name"),
        refused("the folder itself as a file", tar([file(".", "x")]), ".", "no name"),
        refused(
            "the agent's mark",
            tar([file("./.echelon-release", "{}")]),
            "./.echelon-release",
            "keeps for itself",
        ),
        refused(
            "below the mark",
            tar([file(".echelon-release/x", "")]),
            ".echelon-release/x",
            "keeps for itself",
        ),
    ];
    told.into_iter().chain(more).collect()
}

fn long_names() -> Vec<Case> {
    let deep = "d/".repeat(100) + "f";
    let long_path = format!("{}f", "0123456789/".repeat(400));
    let cut = |name: &str| name.chars().take(120).collect::<String>() + "…";
    vec![
        refused(
            "a hundred and one folders",
            tar([pax(b'x', &[("path", deep.as_bytes())]), file("f", "x")]),
            &cut(&deep),
            "more than 100 folders",
        ),
        refused(
            "more than a path may be",
            tar([long(b'L', &long_path), file("f", "x")]),
            &cut(&long_path),
            "has a path of 4401 bytes",
        ),
        refused(
            "a name longer than the file system takes",
            tar([long(b'L', "n".repeat(300)), file("f", "x")]),
            &cut(&"n".repeat(300)),
            "name too long",
        ),
    ]
}

fn links(canary: &str) -> Vec<Case> {
    let secret = format!("{canary}/secret");
    vec![
        refused("a link to the canary", tar([link("l", &secret)]), "l", "leads out"),
        refused("a link up", tar([link("l", "../../../canary")]), "l", "leads out"),
        refused(
            "a link up from a folder",
            tar([link("a/l", "../../x")]),
            "a/l",
            "leads out",
        ),
        refused("a link to the root", tar([link("l", "/")]), "l", "leads out"),
        refused("by way of /proc", tar([link("l", "/proc/1/cwd/x")]), "l", "leads out"),
        refused(
            "two links, each of which looks inside",
            tar([link("x/y/up", "../.."), link("m", "x/y/up/../out")]),
            "m",
            "leads out",
        ),
        refused(
            "out and in again",
            tar([link("l", "../1.0/f"), file("f", "x")]),
            "l",
            "leads out",
        ),
        refused(
            "a loop",
            tar([link("loop", "pool"), link("pool", "loop")]),
            "loop",
            "leads out",
        ),
        refused("a link to itself", tar([link("l", "l")]), "l", "leads out"),
        refused("a link to nothing", tar([link("l", "")]), "l", "leads out"),
        refused(
            "more links than a kernel follows",
            tar((0..50).map(|n| link(format!("l{n:02}"), format!("l{:02}", n + 1)))),
            "l00",
            "leads out",
        ),
    ]
}

/// Names that go through links, and links in the place of other things.
fn through_links(canary: &str) -> Vec<Case> {
    let secret = format!("{canary}/secret");
    let long = "x/".repeat(2100);
    vec![
        refused(
            "a file through a link",
            tar([link("l", canary), file("l/planted", "x")]),
            "l/planted",
            "through the link \"l\"",
        ),
        refused(
            "a folder through a link",
            tar([link("l", ".."), folder("l/planted")]),
            "l/planted",
            "through the link",
        ),
        refused(
            "a link through a link",
            tar([link("l", ".."), link("l/m", "x")]),
            "l/m",
            "through the link",
        ),
        refused(
            "a folder that becomes a link",
            tar([folder("d"), link("d", canary), file("d/planted", "x")]),
            "d",
            "folder before it",
        ),
        refused(
            "a link that becomes a folder",
            tar([link("d", canary), folder("d"), file("d/planted", "x")]),
            "d",
            "through the link",
        ),
        refused(
            "a target longer than a path",
            tar([super::tape::long(b'K', &long), link("l", "x")]),
            "l",
            "a link to a path of 4200 bytes",
        ),
        taken(
            "a file that became a link and a file again",
            tar([file("f", "one"), link("f", &secret), file("f", "two")]),
            &[("f", "two")],
        ),
        taken(
            "links that stay inside",
            tar([
                file("a/f", "x"),
                link("l", "a/f"),
                link("a/up", "../l"),
                link("dangling", "a/later"),
            ]),
            &[("a/f", "x")],
        ),
    ]
}

fn hard_links(canary: &str) -> Vec<Case> {
    let secret = format!("{canary}/secret");
    vec![
        refused(
            "a hard link to the canary",
            tar([hard("h", &secret)]),
            "h",
            "outside of the archive",
        ),
        refused(
            "a hard link up",
            tar([hard("h", "../../../canary/secret")]),
            "h",
            "outside of the archive",
        ),
        refused(
            "a hard link to a link",
            tar([link("l", &secret), hard("h", "l")]),
            "h",
            "no file before it",
        ),
        refused(
            "a hard link by way of a link",
            tar([link("l", canary), hard("h", "l/secret")]),
            "h",
            "no file before it",
        ),
        refused(
            "a hard link to a folder",
            tar([folder("d"), hard("h", "d")]),
            "h",
            "no file before it",
        ),
        refused("a hard link to itself", tar([hard("h", "h")]), "h", "itself"),
        refused(
            "a hard link to what comes later",
            tar([hard("h", "f"), file("f", "x")]),
            "h",
            "no file before it",
        ),
        refused(
            "a hard link to the agent's mark",
            tar([hard("h", ".echelon-release")]),
            "h",
            "outside of the archive",
        ),
        taken(
            "a file written over a hard link leaves the other alone",
            tar([file("f", "one"), hard("h", "f"), file("h", "two")]),
            &[("f", "one"), ("h", "two")],
        ),
    ]
}

fn clashes(canary: &str) -> Vec<Case> {
    vec![
        taken(
            "a file twice",
            tar([file("f", "one"), file("f", "two")]),
            &[("f", "two")],
        ),
        taken(
            "a file twice under two spellings",
            tar([file("a/f", "one"), file("a//./f", "two")]),
            &[("a/f", "two")],
        ),
        taken(
            "names that differ in case are two names",
            tar([file("README", "one"), file("readme", "two")]),
            &[("README", "one"), ("readme", "two")],
        ),
        taken(
            "one letter in two forms is two names",
            tar([file("caf\u{e9}", "one"), file("cafe\u{301}", "two")]),
            &[("caf\u{e9}", "one"), ("cafe\u{301}", "two")],
        ),
        taken(
            "what only looks like dots and slashes is a name",
            tar([
                file("\u{2025}\u{2215}planted", "x"),
                file("\u{ff0e}\u{ff0e}\u{ff0f}y", "z"),
            ]),
            &[("\u{2025}\u{2215}planted", "x"), ("\u{ff0e}\u{ff0e}\u{ff0f}y", "z")],
        ),
        taken(
            "a backslash is a letter",
            tar([file("..\\..\\planted", "x")]),
            &[("..\\..\\planted", "x")],
        ),
        refused(
            "a file, then a folder",
            tar([file("f", "x"), folder("f")]),
            "f",
            "through the file",
        ),
        refused(
            "a file, then one below it",
            tar([file("f", "x"), file("f/g", "x")]),
            "f/g",
            "through the file",
        ),
        refused(
            "a folder, then a file",
            tar([folder("d"), file("d", "x")]),
            "d",
            "folder before it",
        ),
        refused(
            "a folder, then a link",
            tar([file("d/f", "x"), link("d", canary)]),
            "d",
            "folder before it",
        ),
        refused(
            "a folder, then a hard link",
            tar([file("d/f", "x"), hard("d", "d/f")]),
            "d",
            "folder before it",
        ),
    ]
}

/// The same again in what a tar comes in.
fn pressed(canary: &str) -> Vec<Case> {
    let up = || tar([file("../planted", "x")]);
    let through = || tar([link("l", canary), file("l/planted", "x")]);
    let hard = || tar([hard("h", format!("{canary}/secret"))]);
    let mut cases = Vec::new();
    for (packer, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        cases.extend([
            refused(&format!("`..` in {packer}"), pack(&up()), "../planted", "`..`"),
            refused(
                &format!("through a link in {packer}"),
                pack(&through()),
                "l/planted",
                "through the link",
            ),
            refused(
                &format!("a hard link out in {packer}"),
                pack(&hard()),
                "h",
                "outside of the archive",
            ),
        ]);
    }
    cases
}
