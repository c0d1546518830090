//! A zip as no packer would write it: each of the two headers of an entry can say anything.

use std::io::Write as _;

const DEFLATE: u16 = 8;
/// Made by Unix, so that the upper half of the attributes is a mode.
const MADE_BY_UNIX: u16 = 3 << 8 | 20;

/// What one of the two headers says.
#[derive(Clone)]
pub(super) struct Says {
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u32,
    pub(super) size: u32,
}

/// One entry.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) local: Says,
    pub(super) central: Says,
    pub(super) mode: u32,
    pub(super) data: Vec<u8>,
    /// Where the directory says that it is. None: where it is.
    pub(super) at: Option<u32>,
}

impl Item {
    /// Changes what both headers say.
    pub(super) fn both(mut self, change: impl Fn(&mut Says)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    pub(super) fn local(mut self, change: impl Fn(&mut Says)) -> Self {
        change(&mut self.local);
        self
    }

    pub(super) fn central(mut self, change: impl Fn(&mut Says)) -> Self {
        change(&mut self.central);
        self
    }

    pub(super) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub(super) fn at(self, at: u32) -> Self {
        Self { at: Some(at), ..self }
    }

    pub(super) fn deflated(mut self) -> Self {
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&self.data).unwrap();
        self.data = packer.finish().unwrap();
        let packed = u32::try_from(self.data.len()).unwrap();
        self.both(|says| (says.method, says.packed) = (DEFLATE, packed))
    }
}

pub(super) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Item {
    let data = data.as_ref().to_vec();
    let bytes = u32::try_from(data.len()).unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(&data);
    let says = Says {
        name: name.as_ref().to_vec(),
        flags: 0,
        method: 0,
        crc: crc.sum(),
        packed: bytes,
        size: bytes,
    };
    Item {
        local: says.clone(),
        central: says,
        mode: 0o100_644,
        data,
        at: None,
    }
}

pub(super) fn folder(name: &str) -> Item {
    file(name, "").mode(0o040_755)
}

pub(super) fn link(name: &str, target: impl AsRef<[u8]>) -> Item {
    file(name, target).mode(0o120_777)
}

/// The end of a zip, and whatever it says.
#[derive(Clone, Copy, Default)]
pub(super) struct End {
    pub(super) more_entries: i32,
    pub(super) disk: u16,
    pub(super) directory_later: u32,
}

pub(super) fn zip(items: &[Item]) -> Vec<u8> {
    zip_with(items, End::default())
}

pub(super) fn zip_with(items: &[Item], end: End) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for item in items {
        let at = item.at.unwrap_or(u32::try_from(bytes.len()).unwrap());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(20_u16.to_le_bytes());
        bytes.extend(shared(&item.local));
        bytes.extend(&item.local.name);
        bytes.extend(&item.data);
        directory.extend(b"PK\x01\x02");
        directory.extend(MADE_BY_UNIX.to_le_bytes());
        directory.extend(20_u16.to_le_bytes());
        directory.extend(shared(&item.central));
        // No comment, first disk, no inner attributes.
        directory.extend([0; 6]);
        directory.extend((item.mode << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(&item.central.name);
    }
    let entries = u16::try_from(i32::try_from(items.len()).unwrap() + end.more_entries).unwrap();
    let at = u32::try_from(bytes.len()).unwrap() + end.directory_later;
    let length = u32::try_from(directory.len()).unwrap();
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06");
    bytes.extend(end.disk.to_le_bytes());
    bytes.extend(end.disk.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

/// From the flags to the lengths of name and extra field.
fn shared(says: &Says) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(says.flags.to_le_bytes());
    bytes.extend(says.method.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(says.crc.to_le_bytes());
    bytes.extend(says.packed.to_le_bytes());
    bytes.extend(says.size.to_le_bytes());
    bytes.extend(u16::try_from(says.name.len()).unwrap().to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}
