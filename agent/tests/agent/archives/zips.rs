//! Zips whose names and links lead out, whose two headers differ, whose entries share bytes, and bombs.

use super::{
    Case,
    parcel::{End, file, folder, link, zip, zip_with},
    refused, taken, unreadable,
};

const ENCRYPTED: u16 = 1;
const STRONGLY: u16 = 1 << 6;
const MASKED: u16 = 1 << 13;
const BZIP2: u16 = 12;
/// Of the first entry's header when its name has one letter.
const HEADER_BYTES: u32 = 31;

pub(super) fn cases(canary: &str) -> Vec<Case> {
    [
        names(canary),
        clashes(),
        links(canary),
        kinds(),
        twofold(),
        shared(),
        sizes(),
        ends(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn names(canary: &str) -> Vec<Case> {
    let out = format!("{canary}/planted");
    let long = "n".repeat(5000);
    let deep = "d/".repeat(100) + "f";
    let cut = |name: &str| name.chars().take(120).collect::<String>() + "…";
    let one = |name: &str| zip(&[file(name, "x")]);
    vec![
        refused("zip: up", one("../planted"), "../planted", "`..`"),
        refused("zip: down and up", one("a/../../planted"), "a/../../planted", "`..`"),
        refused("zip: a folder above", zip(&[folder("../")]), "../", "`..`"),
        refused("zip: absolute", one(&out), &out, "absolute path"),
        refused(
            "zip: up with backslashes",
            one("..\\..\\planted"),
            "..\\..\\planted",
            "has a `\\`",
        ),
        refused("zip: a drive", one("C:\\planted"), "C:\\planted", "has a `\\`"),
        refused(
            "zip: another machine",
            one("\\\\host\\planted"),
            "\\\\host\\planted",
            "has a `\\`",
        ),
        refused(
            "zip: a name that is no text",
            zip(&[file(b"\xff\xfe", "x")]),
            "\u{fffd}\u{fffd}",
            "not UTF-8",
        ),
        refused("zip: an end in the name", one("a\0b"), "a\0b", "cannot be unpacked"),
        refused("zip: no name", one(""), "", "no name"),
        refused("zip: the folder itself", one("."), ".", "no name"),
        refused(
            "zip: the mark",
            one(".echelon-release"),
            ".echelon-release",
            "keeps for itself",
        ),
        refused("zip: a long name", one(&long), &cut(&long), "has a path of 5000 bytes"),
        refused("zip: deep", one(&deep), &cut(&deep), "more than 100 folders"),
    ]
}

fn clashes() -> Vec<Case> {
    vec![
        refused(
            "zip: twice",
            zip(&[file("f", "x"), file("f", "y")]),
            "f",
            "an entry before it",
        ),
        refused(
            "zip: twice under two spellings",
            zip(&[file("a/f", "x"), file("a/./f", "y")]),
            "a/./f",
            "an entry before it",
        ),
        refused(
            "zip: a file, then a folder",
            zip(&[file("f", "x"), folder("f/")]),
            "f/",
            "through the file",
        ),
        refused(
            "zip: a folder, then a file",
            zip(&[folder("f/"), file("f", "x")]),
            "f",
            "an entry before it",
        ),
        taken(
            "zip: names that differ in case",
            zip(&[folder("d/"), file("d/F", "one"), file("d/f", "two")]),
            &[("d/F", "one"), ("d/f", "two")],
        ),
    ]
}

fn links(canary: &str) -> Vec<Case> {
    vec![
        refused("zip: a link to the canary", zip(&[link("l", canary)]), "l", "leads out"),
        refused("zip: a link up", zip(&[link("a/l", "../../x")]), "a/l", "leads out"),
        refused("zip: a link to nothing", zip(&[link("l", "")]), "l", "leads out"),
        refused(
            "zip: a file through a link",
            zip(&[link("l", canary), file("l/planted", "x")]),
            "l/planted",
            "through the link",
        ),
        refused(
            "zip: a link, then a file",
            zip(&[link("l", canary), file("l", "x")]),
            "l",
            "an entry before it",
        ),
        refused(
            "zip: a very long link",
            zip(&[link("l", "x".repeat(5000))]),
            "l",
            "at most 4095",
        ),
        refused(
            "zip: a link that is a folder",
            zip(&[link("l/", "x")]),
            "l/",
            "the name of a folder",
        ),
        taken(
            "zip: a link inside",
            zip(&[file("f", "x"), link("l", "f")]),
            &[("f", "x")],
        ),
    ]
}

fn kinds() -> Vec<Case> {
    let odd = |mode: u32, what: &str| refused(what, zip(&[file("odd", "").mode(mode)]), "odd", "a device, a pipe");
    vec![
        odd(0o020_666, "zip: a character device"),
        odd(0o060_666, "zip: a block device"),
        odd(0o010_666, "zip: a pipe"),
        odd(0o140_777, "zip: a socket"),
        odd(0o170_777, "zip: of all kinds"),
        taken("zip: setuid", zip(&[file("su", "x").mode(0o106_755)]), &[("su", "x")]),
        taken(
            "zip: writable for all",
            zip(&[file("f", "x").mode(0o100_777)]),
            &[("f", "x")],
        ),
        taken("zip: no mode at all", zip(&[file("f", "x").mode(0)]), &[("f", "x")]),
        refused(
            "zip: a folder with content",
            zip(&[file("d/", "x").mode(0o040_755)]),
            "d/",
            "a folder with content",
        ),
        refused(
            "zip: a file that is a folder",
            zip(&[file("d/", "")]),
            "d/",
            "the name of a folder",
        ),
        refused(
            "zip: encrypted",
            zip(&[file("f", "x").both(|says| says.flags = ENCRYPTED)]),
            "f",
            "is encrypted",
        ),
        refused(
            "zip: encrypted, says the inner header alone",
            zip(&[file("f", "x").local(|says| says.flags = ENCRYPTED)]),
            "f",
            "is encrypted",
        ),
        refused(
            "zip: strongly encrypted",
            zip(&[file("f", "x").both(|says| says.flags = STRONGLY)]),
            "f",
            "is encrypted",
        ),
        refused(
            "zip: masked",
            zip(&[file("f", "x").both(|says| says.flags = MASKED)]),
            "f",
            "is encrypted",
        ),
        refused(
            "zip: packed in another way",
            zip(&[file("f", "x").both(|says| says.method = BZIP2)]),
            "f",
            "deflate, zstd and none are taken",
        ),
    ]
}

/// The directory says one thing, the entry's own header another.
fn twofold() -> Vec<Case> {
    let differs = |what: &str| format!("has one {what} in its own header and another");
    vec![
        refused(
            "zip: two names",
            zip(&[file("f", "x").local(|says| says.name = b"../g".to_vec())]),
            "f",
            &differs("name"),
        ),
        refused(
            "zip: two sizes",
            zip(&[file("f", "x").local(|says| says.size = 0)]),
            "f",
            &differs("size or checksum"),
        ),
        refused(
            "zip: two packed sizes",
            zip(&[file("f", "x").central(|says| says.packed = 0)]),
            "f",
            &differs("size or checksum"),
        ),
        refused(
            "zip: two checksums",
            zip(&[file("f", "x").local(|says| says.crc ^= 1)]),
            "f",
            &differs("size or checksum"),
        ),
        refused(
            "zip: two ways of packing",
            zip(&[file("f", "x").local(|says| says.method = 8)]),
            "f",
            &differs("compression"),
        ),
    ]
}

fn shared() -> Vec<Case> {
    let again = file("g", "x")
        .local(|says| says.name = b"f".to_vec())
        .central(|says| says.name = b"f".to_vec());
    // The second entry lies in the content of the first.
    let inner = file("i", "x");
    let within = zip(std::slice::from_ref(&inner));
    let outer = file("o", &within[..HEADER_BYTES as usize + 1]);
    vec![
        refused(
            "zip: two entries are one",
            zip(&[file("f", "x"), again.at(0)]),
            "f",
            "shares bytes with another",
        ),
        refused(
            "zip: one entry in another",
            zip(&[outer, inner.at(HEADER_BYTES)]),
            "i",
            "shares bytes with another",
        ),
        refused(
            "zip: an entry that goes on into the directory",
            zip(&[file("f", "x").both(|says| (says.packed, says.size) = (20, 20))]),
            "f",
            "shares bytes with another",
        ),
        refused(
            "zip: an entry that is elsewhere",
            zip(&[file("f", "x").at(7)]),
            "f",
            "is not where the archive says",
        ),
        refused(
            "zip: an entry beyond the end",
            zip(&[file("f", "x").at(1 << 30)]),
            "f",
            "is not where the archive says",
        ),
    ]
}

fn sizes() -> Vec<Case> {
    let zeros = || file("zeros", vec![0; 20 << 20]).deflated();
    vec![
        refused(
            "zip: a wrong checksum",
            zip(&[file("f", "x").both(|says| says.crc ^= 1)]),
            "f",
            "cannot be unpacked",
        ),
        refused(
            "zip: less than it says",
            zip(&[file("f", "some text").deflated().both(|says| says.size += 1)]),
            "f",
            "cannot be unpacked",
        ),
        refused(
            "zip: more than it says",
            zip(&[file("f", "some text").deflated().both(|says| says.size -= 1)]),
            "f",
            "cannot be unpacked",
        ),
        refused(
            "zip: damaged",
            zip(&[{
                let mut item = file("f", "some text that is long enough to be damaged").deflated();
                item.data[3] ^= 0xff;
                item
            }]),
            "f",
            "cannot be unpacked",
        ),
        refused("zip: a bomb", zip(&[zeros()]), "zeros", "it unpacks to more than"),
        refused(
            "zip: a bomb that says it is small",
            zip(&[zeros().both(|says| says.size = 100)]),
            "zeros",
            "cannot be unpacked",
        ),
    ]
}

fn ends() -> Vec<Case> {
    let whole = zip(&[file("f", "x"), file("g", "y")]);
    let with = |end: End| zip_with(&[file("f", "x"), file("g", "y")], end);
    let more = |more_entries: i32| End {
        more_entries,
        ..End::default()
    };
    // A directory of no bytes for 65,535 entries.
    let empty = [b"PK\x03\x04".to_vec(), zip_with(&[], more(65_535))].concat();
    vec![
        unreadable("zip: cut", whole[..whole.len() / 2].to_vec(), "is no zip"),
        unreadable("zip: cut in its end", whole[..whole.len() - 4].to_vec(), "is no zip"),
        unreadable("zip: only a beginning", b"PK\x03\x04".to_vec(), "is no zip"),
        unreadable(
            "zip: something behind it",
            [whole.clone(), b"more".to_vec()].concat(),
            "",
        ),
        unreadable("zip: says it has one more", with(more(1)), ""),
        unreadable("zip: says it has one less", with(more(-1)), ""),
        unreadable("zip: says it has far more", empty, ""),
        taken(
            "zip: the directory is said to be later, and is where it ends",
            with(End {
                directory_later: 9,
                ..End::default()
            }),
            &[("f", "x"), ("g", "y")],
        ),
        unreadable(
            "zip: the directory is beyond the end",
            with(End {
                directory_later: 1 << 30,
                ..End::default()
            }),
            "",
        ),
        taken(
            "zip: of two disks, with all of it here",
            with(End {
                disk: 1,
                ..End::default()
            }),
            &[("f", "x"), ("g", "y")],
        ),
        unreadable(
            "zip: something before it",
            [b"#!/bin/sh\n".to_vec(), whole].concat(),
            "neither tar",
        ),
    ]
}
