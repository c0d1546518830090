//! How fast all downloads together may be. What was taken puts off when the next may be: no bursts are saved up, and a
//! server is slowed by the kernel's own full buffers. Deliberately not fair between downloads.

use std::{
    num::NonZeroU64,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{self, Instant};

#[derive(Debug)]
pub(super) struct Pace {
    /// None: no bound.
    bytes_per_second: Option<NonZeroU64>,
    /// When what was taken so far is paid for.
    paid: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self {
            bytes_per_second,
            paid: Mutex::new(Instant::now()),
        }
    }

    /// Waits until these bytes are paid for.
    pub(super) async fn took(&self, bytes: usize) {
        let Some(rate) = self.bytes_per_second else { return };
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(rate.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let until = {
            let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
            *paid = (*paid).max(Instant::now()) + cost;
            *paid
        };
        time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_together_are_as_fast_as_it_says_and_without_a_bound_nothing_waits() {
        let pace = Pace::new(NonZeroU64::new(1000));
        let began = Instant::now();
        tokio::join!(pace.took(1000), pace.took(2000), pace.took(500));
        assert_eq!(began.elapsed().as_millis() / 10, 350);
        // What was not used while nothing came is not saved up.
        time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        pace.took(1000).await;
        assert_eq!(began.elapsed().as_millis() / 10, 100);

        let began = Instant::now();
        Pace::new(None).took(usize::MAX).await;
        assert!(began.elapsed().is_zero());
    }
}
