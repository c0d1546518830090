//! How long it takes to read each playbook of the library, everything checked: `cargo bench -p echelon-playbooks`. It prints
//! and judges nothing, because a machine that does something else besides would fail it.

use std::{
    hint::black_box,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use echelon_playbooks::{LIBRARY, read};

const READINGS: usize = 50;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (name, text) in LIBRARY {
        let mut times: Vec<Duration> = (0..READINGS).map(|_| time(text)).collect();
        times.sort_unstable();
        let (middle, last) = (times[READINGS / 2], times[READINGS - 1]);
        let bytes = text.len();
        writeln!(
            out,
            "{name:16} {bytes:6} bytes  {:>7.2} ms, at the most {:>7.2} ms",
            middle.as_secs_f64() * 1e3,
            last.as_secs_f64() * 1e3
        )?;
    }
    Ok(())
}

fn time(text: &str) -> Duration {
    let begun = Instant::now();
    let read = black_box(read(black_box(text)));
    let taken = begun.elapsed();
    drop(read);
    taken
}
