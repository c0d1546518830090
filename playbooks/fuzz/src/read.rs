//! The reader of playbooks under libFuzzer: what `tests/hostile` holds it to must hold of every text that chance, led by
//! the branches that were reached, comes upon. `cargo verify` runs it for a while, `echelon-testbed fuzz --hours 8` for
//! long. Deliberately no promise of its own: one place says what the reader promises.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

#[path = "../../tests/hostile/hold.rs"]
mod hold;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    // Other bytes never come to the reader, so they are not worth keeping.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    drop(hold::hold(text));
    Corpus::Keep
});
