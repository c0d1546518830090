//! What is cut, damaged, followed by more, or far more than it looks.

use std::io::Write as _;

use super::{
    Case, refused, taken,
    tape::{Item, Tape, file, gzip, link, pax, tar, zstd},
    unreadable,
};

pub(super) fn cases() -> Vec<Case> {
    [plain(), gzipped(), zstandard(), bombs()]
        .into_iter()
        .flatten()
        .collect()
}

fn good() -> Vec<u8> {
    tar([file("a", "one"), file("b", &"two".repeat(400))])
}

fn plain() -> Vec<Case> {
    let whole = good();
    let followed = [good(), tar([file("../planted", "x")])].concat();
    let garbage = [good(), b"and more".to_vec()].concat();
    let padded = [tar([file("f", "x")]), vec![0; 20 * 512]].concat();
    vec![
        unreadable("nothing", Vec::new(), "neither tar"),
        unreadable("one byte", vec![b'x'], "neither tar"),
        unreadable(
            "a page that says no",
            b"<html>404 Not Found</html>".to_vec(),
            "neither tar",
        ),
        unreadable("zeros", vec![0; 10_240], "neither tar"),
        unreadable(
            "a script",
            [b"#!/bin/sh\n".to_vec(), vec![b' '; 600]].concat(),
            "neither tar",
        ),
        unreadable("cut in its first header", whole[..300].to_vec(), ""),
        unreadable("cut in a later header", whole[..1024 + 200].to_vec(), ""),
        refused(
            "cut in a file",
            whole[..2048].to_vec(),
            "b",
            "says it has 1200 bytes and has 512",
        ),
        unreadable("cut between two entries", whole[..1024].to_vec(), "no end mark"),
        unreadable("without its end mark", Tape::of([file("f", "x")]).open(), "no end mark"),
        unreadable("with a second archive behind it", followed, "something follows"),
        unreadable("with garbage behind it", garbage, "something follows"),
        taken("with the zeros of a tape behind it", padded, &[("f", "x")]),
    ]
}

fn gzipped() -> Vec<Case> {
    let whole = gzip(&good());
    let end = whole.len();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        bytes
    };
    let two = [gzip(&good()), gzip(&tar([file("../planted", "x")]))].concat();
    let halves = [gzip(&tar([file("f", "x")])[..700]), gzip(&tar([file("f", "x")])[700..])].concat();
    vec![
        unreadable("gzip: cut", whole[..end / 2].to_vec(), ""),
        unreadable("gzip: only a header", whole[..10].to_vec(), ""),
        unreadable(
            "gzip: cut before its checksum",
            whole[..end - 8].to_vec(),
            "cannot be read",
        ),
        unreadable("gzip: a wrong checksum", changed(end - 6), "cannot be read"),
        unreadable("gzip: a wrong length", changed(end - 2), "cannot be read"),
        unreadable(
            "gzip: garbage behind it",
            [whole.clone(), b"more".to_vec()].concat(),
            "cannot be read",
        ),
        unreadable("gzip: a second archive behind it", two, "something follows"),
        unreadable("gzip in gzip", gzip(&whole), ""),
        taken("gzip: in two members", halves, &[("f", "x")]),
    ]
}

fn zstandard() -> Vec<Case> {
    let whole = zstd(&good());
    let end = whole.len();
    let mut flipped = whole.clone();
    flipped[end - 1] ^= 0xff;
    // A frame whose window is 2 TiB, more than anybody unpacks.
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8][..], &[0; 600]].concat();
    vec![
        unreadable("zstd: cut", whole[..end / 2].to_vec(), ""),
        unreadable("zstd: only a magic number", whole[..4].to_vec(), ""),
        unreadable("zstd: a wrong checksum", flipped, "cannot be read"),
        unreadable(
            "zstd: garbage behind it",
            [whole.clone(), b"more".to_vec()].concat(),
            "cannot be read",
        ),
        unreadable("zstd: a window of terabytes", window, ""),
        unreadable("zstd in zstd", zstd(&whole), ""),
    ]
}

/// What makes who unpacks it large rather than his disk, each with what is said of it.
pub(super) fn memory_bombs() -> Vec<(Vec<u8>, &'static str)> {
    // What cannot be packed lets the rest pass for its share.
    let mut ballast = vec![0; 512 * 1024];
    rand::fill(&mut ballast[..]);
    let links = (0..6000).flat_map(|n| {
        let target = format!("{n}{}", "/x".repeat(2000));
        [
            pax(b'x', &[("linkpath", target.as_bytes())]),
            link(format!("l{n}"), "x"),
        ]
    });
    let links = tar([Item::new(b'0', "ballast").data(ballast)].into_iter().chain(links));
    let name = tar([super::tape::long(b'L', "n".repeat(64 << 20)), file("f", "x")]);
    let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
    wide.window_log(27).unwrap();
    wide.write_all(&tar([Item::new(b'0', "zeros").data(vec![0; 40 << 20])]))
        .unwrap();
    vec![
        (zstd(&links), "is one link too many"),
        (gzip(&name), "names are too long"),
        (wide.finish().unwrap(), "it unpacks to more than"),
    ]
}

fn bombs() -> Vec<Case> {
    let zeros = || Item::new(b'0', "zeros").data(vec![0; 20 << 20]);
    let links = (0..5000).map(|n| {
        let target = "x/".repeat(2000);
        [
            pax(b'x', &[("linkpath", target.as_bytes())]),
            link(format!("l{n}"), "x"),
        ]
    });
    vec![
        refused(
            "gzip: a bomb",
            gzip(&tar([zeros()])),
            "zeros",
            "it unpacks to more than",
        ),
        refused(
            "zstd: a bomb",
            zstd(&tar([zeros()])),
            "zeros",
            "it unpacks to more than",
        ),
        unreadable(
            "gzip: a bomb of zeros behind the end",
            gzip(&[good(), vec![0; 20 << 20]].concat()),
            "it unpacks to more than",
        ),
        unreadable("zstd: a bomb of links", zstd(&tar(links.flatten())), ""),
    ]
}
