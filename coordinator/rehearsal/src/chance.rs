//! What is left to chance, drawn from the seed and from what it is drawn for: a failure made up on one host changes
//! nothing on another. Deliberately no sequence that draws would be taken from in turn.

/// A number that looks drawn: always the same for the same seed and parts.
pub(crate) fn draw(seed: u64, parts: &[&str], number: u32) -> u64 {
    // FNV-1a over the parts, each with its end, so that ("ab", "c") and ("a", "bc") differ.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    for byte in bytes.chain(number.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mixed(hash ^ mixed(seed))
}

/// The finaliser of splitmix64: close inputs give numbers far apart.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_all_that_it_is_drawn_for_and_on_nothing_else() {
        let drawn = draw(1, &["web-1", "install"], 1);
        assert_eq!(drawn, draw(1, &["web-1", "install"], 1));
        for other in [
            draw(2, &["web-1", "install"], 1),
            draw(1, &["web-2", "install"], 1),
            draw(1, &["web-1", "start"], 1),
            draw(1, &["web-1", "install"], 2),
            draw(1, &["web-1i", "nstall"], 1),
        ] {
            assert_ne!(drawn, other);
        }
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut tens = [0_u32; 10];
        for number in 0..10_000 {
            tens[usize::try_from(draw(7, &["web-1"], number) % 10).unwrap()] += 1;
        }
        assert!(tens.iter().all(|count| (850..1150).contains(count)), "{tens:?}");
    }
}
