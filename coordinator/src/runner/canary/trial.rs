//! Looks without a rollout, for somebody who asks. Each costs a source as much as a look of a gate does, so few are under way
//! at once, and who comes then is told so instead of waiting.

use std::sync::Arc;

use echelon_engine::effect::Comparison;
use echelon_judge::kept::Kept;
use tokio::sync::Semaphore;

use super::look::look;
use crate::source::Sources;

/// Looks at once; the source's own bound is three questions, and gates of rollouts must have theirs.
const AT_ONCE: usize = 2;

/// Looks at what somebody asks for.
#[derive(Debug)]
pub struct Trials {
    sources: Arc<Sources>,
    places: Semaphore,
}

impl Trials {
    /// At these sources.
    #[must_use]
    pub fn new(sources: Arc<Sources>) -> Self {
        let places = Semaphore::new(AT_ONCE);
        Self { sources, places }
    }

    /// What a gate would say after its first `count` intervals; `None` while too many are looking.
    pub async fn look(&self, comparison: Comparison, count: usize) -> Option<Kept> {
        let _place = self.places.try_acquire().ok()?;
        Some(look(&self.sources, &Arc::new(comparison), count).await.kept)
    }
}
