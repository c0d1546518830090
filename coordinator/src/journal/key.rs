//! Under which keys a journal lies in a store whose keys are in order. It does no IO.
//!
//! | key | value |
//! |---|---|
//! | `e` sequence piece | a piece of an entry |
//! | `s` generation piece | a piece of a snapshot |
//! | `m/format`, `m/term`, `m/first` | a number, 8 bytes |
//! | `m/snapshot` | generation, sequence, pieces, bytes; 8 bytes each |
//!
//! Numbers in keys and values are big-endian, so the row of keys is the row of entries.

use super::Error;

pub(super) const FORMAT: &[u8] = b"m/format";
pub(super) const TERM: &[u8] = b"m/term";
pub(super) const FIRST: &[u8] = b"m/first";
pub(super) const SNAPSHOT_NOW: &[u8] = b"m/snapshot";
pub(super) const ENTRY: u8 = b'e';
pub(super) const SNAPSHOT: u8 = b's';

/// Which snapshot is the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer {
    /// Grows with each snapshot, so that a new one never overwrites the pieces of the current one.
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) pieces: u64,
    pub(super) bytes: u64,
}

impl Pointer {
    pub(super) fn encode(&self) -> Vec<u8> {
        [self.generation, self.sequence, self.pieces, self.bytes]
            .map(u64::to_be_bytes)
            .concat()
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, Error> {
        let [generation, sequence, pieces, bytes] = numbers(value)?;
        Ok(Self {
            generation,
            sequence,
            pieces,
            bytes,
        })
    }
}

fn key(kind: u8, number: u64, piece: u32) -> [u8; 13] {
    let mut key = [kind; 13];
    key[1..9].copy_from_slice(&number.to_be_bytes());
    key[9..].copy_from_slice(&piece.to_be_bytes());
    key
}

pub(super) fn entry_key(sequence: u64, piece: u32) -> [u8; 13] {
    key(ENTRY, sequence, piece)
}

pub(super) fn snapshot_key(generation: u64, piece: u32) -> [u8; 13] {
    key(SNAPSHOT, generation, piece)
}

/// Number and piece of a key; a key that is none of ours is before all others, so it shows as a gap.
pub(super) fn split(key: &[u8]) -> (u64, u32) {
    let number = key.get(1..9).and_then(|part| part.try_into().ok());
    let piece = key.get(9..13).and_then(|part| part.try_into().ok());
    match (number, piece) {
        (Some(number), Some(piece)) => (u64::from_be_bytes(number), u32::from_be_bytes(piece)),
        _ => (0, 0),
    }
}

pub(super) fn numbers<const N: usize>(value: &[u8]) -> Result<[u64; N], Error> {
    let (chunks, rest) = value.as_chunks::<8>();
    let numbers: Vec<u64> = chunks.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
    match numbers.try_into() {
        Ok(numbers) if rest.is_empty() => Ok(numbers),
        _ => Err(Error::Database {
            doing: "read its head",
            text: "a number is damaged".into(),
        }),
    }
}
