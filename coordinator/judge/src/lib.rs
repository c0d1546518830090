//! The judge: is the canary worse than the control? From numbers to a verdict that says why. It has no IO, no clock and no
//! chance, and knows neither rollouts nor playbooks; when to ask, and what to do on a verdict, is others' to say.
//!
//! It counts in floating point, as the engine must not. So that the same samples give the same verdict to the bit: sums
//! are taken in the order given or in the order of names, nothing is kept in a map without order, nothing is drawn, and
//! nothing is done in parallel. Logarithms are the C library's, which may differ in the last bit from one machine to
//! another; so a verdict that was reached is a fact to be kept, and whoever replays it does not judge again.
//!
//! The README has every formula with its source, and what the judge gets wrong, measured.

pub mod blame;
pub mod case;
pub mod count;
pub mod forecast;
pub mod gauge;
pub mod guard;
mod interval;
pub mod kayenta;
pub mod kept;
pub mod latency;
mod limits;
mod moments;
pub mod permutation;
pub mod quantile;
pub mod rank;
pub mod ratio;
pub mod score;
pub mod spending;
mod verdict;
pub mod welch;

pub use case::Case;
pub use interval::PASS_INTERVALS_MIN;
pub use kayenta::Label;
pub use spending::{Budget, METRICS_MAX};
pub use verdict::{Arms, Direction, LeftOut, Needed, Outcome, Verdict};
