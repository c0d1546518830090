//! How an entry or a snapshot lies in a store whose values are small: cut into pieces, each with its own checksum. It
//! does no IO.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | crc32 over the key and all that follows |
//! | 4 | pieces of the whole, from 1 |
//! | 8 | mark: of an entry, the last sequence known durable when it was written; of a snapshot, its sequence |
//! | rest | the piece's part |
//!
//! The key is in the checksum, so a piece that turns up under another key is damage and not somebody else's data. The
//! mark tells, after a crash, which entries may be torn (those beyond it) and which must be there.

/// Part of one piece. sled puts a *page* of more than 128 KiB less 20 bytes (a quarter of its segment) into a file of
/// its own that it never fsyncs. A leaf page holds up to 16 values before it splits, one more while it does, and up to
/// 3 more when it merges with a neighbour: 20 values of 6 KiB with head and key are 123,660 bytes. 8 KiB would not fit.
pub(super) const PART_BYTES_MAX: usize = 6 * 1024;

const HEAD_BYTES: usize = 16;

/// A piece as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) pieces: u32,
    pub(super) mark: u64,
    pub(super) part: &'a [u8],
}

/// The parts of a whole; one empty part for an empty whole.
pub(super) fn parts(whole: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> {
    let count = whole.len().div_ceil(PART_BYTES_MAX).max(1);
    (0..count).map(move |index| {
        let start = index * PART_BYTES_MAX;
        &whole[start..whole.len().min(start + PART_BYTES_MAX)]
    })
}

/// The value to store under this key.
pub(super) fn encode(key: &[u8], piece: &Piece<'_>) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD_BYTES + piece.part.len());
    value.extend_from_slice(&[0; 4]);
    value.extend_from_slice(&piece.pieces.to_be_bytes());
    value.extend_from_slice(&piece.mark.to_be_bytes());
    value.extend_from_slice(piece.part);
    let sum = checksum(key, &value[4..]);
    value[..4].copy_from_slice(&sum.to_be_bytes());
    value
}

/// The piece under this key; none when it is damaged.
pub(super) fn decode<'a>(key: &[u8], value: &'a [u8]) -> Option<Piece<'a>> {
    let (sum, rest) = value.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*sum) != checksum(key, rest) {
        return None;
    }
    let (pieces, rest) = rest.split_first_chunk::<4>()?;
    let (mark, part) = rest.split_first_chunk::<8>()?;
    Some(Piece {
        pieces: u32::from_be_bytes(*pieces),
        mark: u64::from_be_bytes(*mark),
        part,
    })
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_is_the_sum_of_its_parts() {
        for length in [0, 1, PART_BYTES_MAX, PART_BYTES_MAX + 1, 3 * PART_BYTES_MAX] {
            let whole: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_eq!(parts(&whole).collect::<Vec<_>>().concat(), whole);
            assert_eq!(parts(&whole).len(), length.div_ceil(PART_BYTES_MAX).max(1));
        }
    }

    #[test]
    fn one_changed_bit_or_another_key_is_damage() {
        let piece = Piece {
            pieces: 1,
            mark: 7,
            part: b"opened",
        };
        let value = encode(b"e1", &piece);
        assert_eq!(decode(b"e1", &value), Some(piece));
        assert_eq!(decode(b"e2", &value), None);
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert_eq!(decode(b"e1", &changed), None, "byte {at}");
        }
        for length in 0..value.len() {
            assert_eq!(decode(b"e1", &value[..length]), None, "cut to {length}");
        }
    }
}
