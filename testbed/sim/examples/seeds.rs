//! `seeds HOSTS FIRST SEEDS [THREADS]`: seeds of the simulation by themselves, as `echelon-testbed sim` runs them, for who works on
//! it: this builds in a fraction of the time. With the feature `planted`: the first seed that finds each known mistake.

use std::{env, time::Instant};

use echelon_sim::Set;
use mimalloc::MiMalloc;

/// Half of what a seed does is to make small things and throw them away.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[expect(clippy::print_stdout, reason = "it is a program for people")]
fn main() {
    let words: Vec<u64> = env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let word = |at: usize, usual: u64| words.get(at).copied().unwrap_or(usual);
    let set = Set {
        hosts: usize::try_from(word(0, 12)).unwrap_or(12),
        first: word(1, 1),
        seeds: word(2, 100),
        threads: usize::try_from(word(3, 2)).unwrap_or(2),
        only_first: false,
    };
    let began = Instant::now();
    #[cfg(feature = "planted")]
    for plant in echelon_proto::planted::Plant::ALL {
        if env::args().skip(1).any(|word| word.parse::<u64>().is_err()) && !env::args().any(|word| word == plant.name())
        {
            continue;
        }
        match echelon_sim::garden::look(set, *plant).by {
            Some((seed, violation)) => println!("{}: seed {seed}: {violation}", plant.name()),
            None => println!("{}: NOT FOUND in {} seeds", plant.name(), set.seeds),
        }
    }
    #[cfg(not(feature = "planted"))]
    {
        let sum = set.run();
        for (seed, violation) in &sum.broken {
            println!("seed {seed}: {violation}");
        }
        let seconds = began.elapsed().as_secs_f64();
        let pace = sum.seeds as f64 / seconds;
        println!(
            "{} seeds of {} hosts: {} rollouts, {} events, {seconds:.1} s, {pace:.2} seeds a second",
            sum.seeds, set.hosts, sum.rollouts, sum.events
        );
        println!("not reached: {}", sum.missed().join(", "));
    }
    println!("{:.1} s", began.elapsed().as_secs_f64());
}
