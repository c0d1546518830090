//! Kinds of entries that no release has, modes that give rights, and what PAX, GNU and numbers can be made to say.

use super::{
    Case, refused, taken,
    tape::{Item, file, folder, link, long, pax, tar},
    unreadable,
};

/// Where the numbers are in a header.
const SIZE_AT: usize = 124;
const SUM_AT: usize = 148;
const MODE_AT: usize = 100;

pub(super) fn cases(canary: &str) -> Vec<Case> {
    [
        kinds(),
        modes(),
        pax_paths(canary),
        gnu_paths(canary),
        sizes(),
        malformed(),
        numbers(),
        sparse(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn kinds() -> Vec<Case> {
    let odd = |kind: u8, what: &str| {
        let item = Item::new(kind, "odd")
            .mode(0o666)
            .set(329, b"0000001\0")
            .set(337, b"0000003\0");
        refused(what, tar([item]), "odd", "a device, a pipe or of a kind")
    };
    vec![
        odd(b'3', "a character device"),
        odd(b'4', "a block device"),
        odd(b'6', "a pipe"),
        odd(b'V', "a volume's name"),
        odd(b'M', "the rest of a file of another volume"),
        odd(b'D', "a folder's listing"),
        odd(b'N', "GNU's old long names"),
        odd(b'A', "Solaris' access rights"),
        odd(b'X', "Sun's extended header"),
        odd(0xff, "a kind that is no letter"),
        taken(
            "a contiguous file",
            tar([Item::new(b'7', "f").data("x")]),
            &[("f", "x")],
        ),
        taken(
            "a file of the oldest tars",
            tar([Item::new(0, "f").data("x")]),
            &[("f", "x")],
        ),
    ]
}

fn modes() -> Vec<Case> {
    let capability: &[u8] = b"\x01\0\0\x02\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0";
    vec![
        taken("setuid", tar([file("su", "x").mode(0o4755)]), &[("su", "x")]),
        taken(
            "setgid, sticky and writable for all",
            tar([file("su", "x").mode(0o7777)]),
            &[("su", "x")],
        ),
        taken(
            "a folder with setgid",
            tar([folder("d").mode(0o2777), file("d/f", "x")]),
            &[("d/f", "x")],
        ),
        taken(
            "a folder that nobody may enter",
            tar([folder("d").mode(0), file("d/f", "x")]),
            &[("d/f", "x")],
        ),
        taken(
            "a file that nobody may read",
            tar([file("f", "x").mode(0)]),
            &[("f", "x")],
        ),
        taken(
            "a capability",
            tar([
                pax(b'x', &[("SCHILY.xattr.security.capability", capability)]),
                file("f", "x"),
            ]),
            &[("f", "x")],
        ),
        taken(
            "another owner",
            tar([pax(b'x', &[("uid", b"4294967294"), ("gid", b"1")]), file("f", "x")]),
            &[("f", "x")],
        ),
        refused(
            "a mode that is no number",
            tar([file("f", "x").set(MODE_AT, b"rwxr-x\0\0")]),
            "f",
            "cannot be unpacked",
        ),
    ]
}

fn pax_paths(canary: &str) -> Vec<Case> {
    let out = format!("{canary}/planted");
    let up: &[u8] = b"../planted";
    vec![
        refused(
            "PAX: another path",
            tar([pax(b'x', &[("path", up)]), file("f", "x")]),
            "../planted",
            "`..`",
        ),
        refused(
            "PAX: an absolute path",
            tar([pax(b'x', &[("path", out.as_bytes())]), file("f", "x")]),
            &out,
            "absolute path",
        ),
        refused(
            "PAX: another target",
            tar([pax(b'x', &[("linkpath", canary.as_bytes())]), link("l", "f")]),
            "l",
            "leads out",
        ),
        refused(
            "PAX: a path with an end in it",
            tar([pax(b'x', &[("path", b"a\0/../../planted")]), file("f", "x")]),
            "a\0/../../planted",
            "`..`",
        ),
        refused(
            "PAX: a file's name with an end in it",
            tar([pax(b'x', &[("path", b"a\0b")]), file("f", "x")]),
            "a\0b",
            "cannot be unpacked",
        ),
        taken(
            "PAX for all that follow is passed over",
            tar([pax(b'g', &[("path", up)]), file("f", "x")]),
            &[("f", "x")],
        ),
    ]
}

fn gnu_paths(canary: &str) -> Vec<Case> {
    let up: &[u8] = b"../planted";
    vec![
        refused(
            "GNU: another path",
            tar([long(b'L', up), file("f", "x")]),
            "../planted",
            "`..`",
        ),
        refused(
            "GNU: another target",
            tar([long(b'K', canary), link("l", "f")]),
            "l",
            "leads out",
        ),
        refused(
            "GNU over PAX",
            tar([pax(b'x', &[("path", b"good")]), long(b'L', up), file("f", "x")]),
            "../planted",
            "`..`",
        ),
        taken(
            "PAX under GNU: one of both, and inside",
            tar([long(b'L', "good"), pax(b'x', &[("path", up)]), file("f", "x")]),
            &[("good", "x")],
        ),
        refused(
            "a prefix of the old kind",
            tar([file("planted", "x").set(345, b"..")]),
            "../planted",
            "`..`",
        ),
        refused(
            "an absolute prefix",
            tar([file("planted", "x").set(345, b"/tmp")]),
            "/tmp/planted",
            "absolute path",
        ),
    ]
}

/// A file whose content is an entry: who takes another size for true reads it as one.
fn sizes() -> Vec<Case> {
    let hidden = file("../planted", "x").bytes();
    let says = |size: &str| pax(b'x', &[("size", size.as_bytes())]);
    vec![
        refused(
            "PAX: a smaller size than the header's uncovers an entry",
            tar([says("0"), Item::new(b'0', "f").data(hidden.clone())]),
            "../planted",
            "`..`",
        ),
        unreadable(
            "PAX: more than there is",
            tar([says("9000"), Item::new(b'0', "f").size(0).body(hidden)]),
            "",
        ),
        unreadable("PAX: 2^63", tar([says("9223372036854775808"), file("f", "x")]), ""),
        unreadable("PAX: 2^64 - 1", tar([says("18446744073709551615"), file("f", "x")]), ""),
        taken(
            "PAX: less than nothing is no size",
            tar([says("-1"), file("f", "x")]),
            &[("f", "x")],
        ),
        taken(
            "PAX: words are no size",
            tar([says("many"), file("f", "x")]),
            &[("f", "x")],
        ),
        unreadable("a size beyond the end", tar([Item::new(b'0', "f").size(1 << 32)]), ""),
        unreadable(
            "the largest size of eight",
            tar([Item::new(b'0', "f").set(SIZE_AT, b"777777777777")]),
            "",
        ),
        unreadable(
            "a folder with a terabyte in it",
            tar([Item::new(b'5', "d").size(1 << 33), file("f", "x")]),
            "",
        ),
        unreadable(
            "a link with content",
            tar([Item::new(b'2', "l").link("f").size(1 << 33), file("f", "x")]),
            "",
        ),
    ]
}

fn malformed() -> Vec<Case> {
    let raw = |text: &[u8]| Item::new(b'x', "PaxHeaders/x").data(text);
    let two = |one: Item, two: Item| tar([one, two, file("f", "x")]);
    let name = |name: &[u8]| pax(b'x', &[("path", name)]);
    vec![
        refused(
            "PAX: no length",
            tar([raw(b"path=../planted\n"), file("f", "x")]),
            "f",
            "malformed",
        ),
        refused(
            "PAX: a length that is no number",
            tar([raw(b"x path=a\n"), file("f", "x")]),
            "f",
            "malformed",
        ),
        refused(
            "PAX: a length beyond all",
            tar([raw(b"99999999999999999999999 path=a\n"), file("f", "x")]),
            "f",
            "malformed",
        ),
        unreadable(
            "PAX: twice for one entry",
            two(name(b"a"), name(b"../planted")),
            "two pax extensions",
        ),
        unreadable(
            "GNU: two long names for one entry",
            two(long(b'L', "a"), long(b'L', "../b")),
            "two long name",
        ),
        unreadable(
            "GNU: two long links for one entry",
            two(long(b'K', "a"), long(b'K', "../b")),
            "two long name",
        ),
        unreadable("PAX for no entry", tar([file("f", "x"), name(b"a")]), ""),
        unreadable("a long name for no entry", tar([file("f", "x"), long(b'L', "a")]), ""),
        unreadable(
            "GNU: a long name of 4 MiB",
            two(long(b'L', "n".repeat(4 << 20)), folder("d")),
            "names are too long",
        ),
        unreadable(
            "GNU: a long link of 4 MiB",
            two(long(b'K', "n".repeat(4 << 20)), folder("d")),
            "names are too long",
        ),
        unreadable(
            "PAX: a comment of 4 MiB",
            two(pax(b'x', &[("comment", &vec![b'c'; 4 << 20])]), folder("d")),
            "names are too long",
        ),
        unreadable(
            "PAX for all that follow: 4 MiB",
            two(pax(b'g', &[("comment", &vec![b'c'; 4 << 20])]), folder("d")),
            "names are too long",
        ),
    ]
}

fn numbers() -> Vec<Case> {
    let huge = [&[0x80][..], &[0xff; 11]].concat();
    vec![
        unreadable(
            "a size of base 256 beyond all",
            tar([Item::new(b'0', "f").set(SIZE_AT, &huge)]),
            "",
        ),
        unreadable(
            "a negative size of base 256",
            tar([Item::new(b'0', "f").set(SIZE_AT, &[0xff; 12])]),
            "",
        ),
        unreadable(
            "2^62 of base 256",
            tar([Item::new(b'0', "f").set(SIZE_AT, &[0x80, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0])]),
            "",
        ),
        unreadable(
            "a size that is no number",
            tar([Item::new(b'0', "f").set(SIZE_AT, b"zzzzzzzzzzz\0")]),
            "cannot be read",
        ),
        unreadable(
            "a negative size of eight",
            tar([Item::new(b'0', "f").set(SIZE_AT, b"-0000000001\0")]),
            "cannot be read",
        ),
        unreadable(
            "a wrong checksum",
            tar([file("f", "x").set(SUM_AT, b"000123\0 ")]),
            "checksum",
        ),
        unreadable(
            "a checksum that is no number",
            tar([file("f", "x").set(SUM_AT, b"checksum")]),
            "cannot be read",
        ),
    ]
}

fn sparse() -> Vec<Case> {
    let old = Item::new(b'S', "holes")
        .set(257, b"ustar  \0")
        .set(386, b"00000000000\0")
        .set(398, b"00000000000\0")
        .set(483, b"77777777777\0");
    let pax = |records: &[(&str, &[u8])]| tar([pax(b'x', records), file("GNUSparseFile.0/holes", "1\n0\n512\n")]);
    let name: (&str, &[u8]) = ("GNU.sparse.name", b"../planted");
    vec![
        unreadable("GNU: a file of holes", tar([old]), ""),
        refused(
            "PAX: a file of holes, in its first form",
            pax(&[("GNU.sparse.size", b"8589934592"), ("GNU.sparse.map", b"0,1")]),
            "GNUSparseFile.0/holes",
            "sparse",
        ),
        refused(
            "PAX: a file of holes, in its last form, with another name",
            pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), name]),
            "GNUSparseFile.0/holes",
            "sparse",
        ),
    ]
}
