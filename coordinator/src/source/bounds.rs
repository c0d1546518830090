//! How much of an answer is taken, and how much of a text is shown. Deliberately the same for every kind of source.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, SeqAccess, Visitor},
};

/// 2,000 hosts with 600 samples each; the memory of a coordinator is for other things.
pub(super) const BODY_BYTES_MAX: usize = 32 << 20;
/// Ten times the hosts that one coordinator has. What gives more is not one series a host.
pub(super) const SERIES_MAX: usize = 20_000;

/// As much of it as a line of people's holds.
pub(super) fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(300) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}

/// So many series and no more: what comes after is not even read.
pub(super) fn series<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of series")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while all.len() < SERIES_MAX
                && let Some(series) = list.next_element()?
            {
                all.push(series);
            }
            if all.len() == SERIES_MAX && list.next_element::<IgnoredAny>()?.is_some() {
                return Err(de::Error::custom(format!("more than {SERIES_MAX} series")));
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Bounded(PhantomData))
}
