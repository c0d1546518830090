//! Seeds, as `cargo test` runs them: a few, of a small fleet. More by `echelon-testbed sim`.

use echelon_sim::{Ran, Setup, run};

const SEEDS: u64 = 24;
const HOSTS: usize = 12;

fn seed(seed: u64) -> Ran {
    run(Setup {
        seed,
        hosts: HOSTS,
        told: false,
        until: None,
    })
}

#[test]
fn what_must_hold_holds_whatever_a_seed_brings() {
    for number in 1..=SEEDS {
        let ran = seed(number);
        assert!(ran.rollouts > 0, "seed {number} rolled nothing out");
        if let Some(violation) = ran.violation {
            panic!("{violation}: cargo run -p echelon-testbed -- sim --first {number} --seeds 1 --hosts {HOSTS}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_its_story_changes_nothing() {
    let (one, other) = (seed(3), seed(4));
    let told = run(Setup {
        seed: 3,
        hosts: HOSTS,
        told: true,
        until: None,
    });
    assert_eq!((one.hash, one.events), (told.hash, told.events));
    assert_ne!(one.hash, other.hash);
    assert!(one.lines.is_empty() && told.lines.len() > 100);
}
