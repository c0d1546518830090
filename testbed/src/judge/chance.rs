//! Chance from a seed, and many canaries over all cores: each canary has a stream of its own, so neither their order nor
//! the number of cores changes a figure. Deliberately no clock in any seed.

use std::{
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Binomial, Distribution as _, Poisson, StandardNormal};

/// One stream.
pub(super) struct Chance(StdRng);

impl Chance {
    /// Of one canary of one row.
    pub(super) fn new(seed: u64, row: &str, canary: u64) -> Self {
        // FNV-1a, so that rows differ however close their seeds are.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
        for byte in row.bytes().chain(canary.to_le_bytes()).chain(seed.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(StdRng::seed_from_u64(hash))
    }

    pub(super) fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Evenly between 0 and 1.
    pub(super) fn part(&mut self) -> f64 {
        self.0.random()
    }

    /// Events where so many are to be expected.
    pub(super) fn events(&mut self, expected: f64) -> f64 {
        Poisson::new(expected).map_or(0.0, |poisson| poisson.sample(&mut self.0))
    }

    /// How many of so many, each with this chance.
    pub(super) fn hits(&mut self, of: f64, chance: f64) -> f64 {
        let binomial = Binomial::new(of as u64, chance.clamp(0.0, 1.0));
        binomial.map_or(0.0, |binomial| binomial.sample(&mut self.0) as f64)
    }

    /// A series that depends on its past by `rho`, with a standard deviation of `spread`.
    pub(super) fn series(&mut self, points: usize, rho: f64, spread: f64) -> Vec<f64> {
        let fresh = spread * rho.mul_add(-rho, 1.0).sqrt();
        let mut last = spread * self.normal();
        let mut series = Vec::with_capacity(points);
        for _ in 0..points {
            series.push(last);
            last = rho.mul_add(last, fresh * self.normal());
        }
        series
    }
}

/// What comes of each, in their order.
pub(super) fn each<T: Send>(count: u64, of: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return done;
            }
            done.push((at, of(at)));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut all: Vec<(u64, T)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let joined = workers
            .into_iter()
            .map(|worker| worker.join().expect("a canary was judged"));
        joined.flatten().collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, done)| done).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream_and_another_canary_another() {
        let draw = |seed, row, canary| Chance::new(seed, row, canary).normal();
        assert_eq!(draw(1, "a", 7), draw(1, "a", 7));
        assert_ne!(draw(1, "a", 7), draw(1, "a", 8));
        assert_ne!(draw(1, "a", 7), draw(2, "a", 7));
        assert_ne!(draw(1, "a", 7), draw(1, "b", 7));
    }

    #[test]
    fn a_series_depends_on_its_past_as_it_should() {
        let series = Chance::new(3, "series", 0).series(20_000, 0.8, 0.1);
        let squares: f64 = series.iter().map(|value| value * value).sum();
        let products: f64 = series.windows(2).map(|pair| pair[0] * pair[1]).sum();
        assert!((products / squares - 0.8).abs() < 0.02, "{}", products / squares);
        assert!(((squares / 20_000.0).sqrt() - 0.1).abs() < 0.005);
    }

    #[test]
    fn each_comes_back_in_its_place() {
        assert_eq!(each(100, |at| at * 2), (0..100).map(|at| at * 2).collect::<Vec<_>>());
    }
}
