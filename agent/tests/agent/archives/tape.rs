//! A tar as no packer would write it: every field can be set to anything. The tar crate refuses to write what attackers do.

use std::io::Write as _;

const BLOCK: usize = 512;

/// The entries so far, without an end.
#[derive(Default)]
pub(super) struct Tape(Vec<u8>);

/// One header, and what follows it.
pub(super) struct Item {
    header: [u8; BLOCK],
    data: Vec<u8>,
}

impl Item {
    pub(super) fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        let mut header = [0; BLOCK];
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let item = Self {
            header,
            data: Vec::new(),
        };
        item.set(0, name.as_ref()).mode(0o644).size(0)
    }

    /// These bytes there.
    pub(super) fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(super) fn link(self, target: impl AsRef<[u8]>) -> Self {
        self.set(157, target.as_ref())
    }

    pub(super) fn mode(self, mode: u32) -> Self {
        self.set(100, format!("{mode:07o}\0").as_bytes())
    }

    /// What it says, whatever it has.
    pub(super) fn size(self, size: u64) -> Self {
        self.set(124, format!("{size:011o}\0").as_bytes())
    }

    pub(super) fn data(self, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        let item = self.size(data.len() as u64);
        Self { data, ..item }
    }

    /// The data as it is, and the size as it was.
    pub(super) fn body(self, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        Self { data, ..self }
    }

    pub(super) fn bytes(mut self) -> Vec<u8> {
        let is_given = self.header[148] != 0;
        if !is_given {
            self.header[148..156].copy_from_slice(b"        ");
            let sum: u32 = self.header.iter().map(|byte| u32::from(*byte)).sum();
            self.header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let mut bytes = self.header.to_vec();
        bytes.extend(&self.data);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }
}

pub(super) fn file(name: impl AsRef<[u8]>, text: &str) -> Item {
    Item::new(b'0', name).data(text)
}

pub(super) fn folder(name: impl AsRef<[u8]>) -> Item {
    Item::new(b'5', name).mode(0o755)
}

pub(super) fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
    Item::new(b'2', name).link(target)
}

pub(super) fn hard(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
    Item::new(b'1', name).link(target)
}

/// What a PAX header (`x`, or `g` for all that follow) says of the next entry.
pub(super) fn pax(kind: u8, records: &[(&str, &[u8])]) -> Item {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length.to_string().len() + rest != length {
            length = length.to_string().len() + rest;
        }
        write!(data, "{length} {key}=").unwrap();
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    Item::new(kind, "PaxHeaders/x").data(data)
}

/// GNU's long name (`L`) or link (`K`) of the next entry.
pub(super) fn long(kind: u8, text: impl AsRef<[u8]>) -> Item {
    let text = [text.as_ref(), b"\0"].concat();
    Item::new(kind, "././@LongLink").data(text)
}

impl Tape {
    pub(super) fn of(items: impl IntoIterator<Item = Item>) -> Self {
        Self(items.into_iter().flat_map(Item::bytes).collect())
    }

    /// Without an end mark.
    pub(super) fn open(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 2 * BLOCK]);
        self.0
    }
}

/// The whole archive.
pub(super) fn tar(items: impl IntoIterator<Item = Item>) -> Vec<u8> {
    Tape::of(items).end()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// With its checksum, as the command writes it.
pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut packer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    packer.include_checksum(true).unwrap();
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}
