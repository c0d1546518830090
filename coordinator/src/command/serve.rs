//! `echelon-coordinator serve`: the coordinator itself, until SIGTERM or SIGINT.

use std::io::Write as _;

use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::Error;
use crate::{
    config::{Config, Flags},
    serve::{self, Addresses},
};

/// Blocking work (output files, signatures, the replay) at once: the disk does no more in parallel, and 2,000 agents
/// must not mean 2,000 threads.
const BLOCKING_THREADS_MAX: usize = 16;

/// Runs the coordinator
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// What differs from the config file.
    #[command(flatten)]
    pub flags: Flags,
}

impl Serve {
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Serve`].
    pub fn run(&self) -> Result<(), Error> {
        let config = Config::load(&self.flags)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let stop = async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tell(NotifyState::Stopping);
            };
            Ok(serve::serve(config, stop, announce).await?)
        })
    }
}

fn announce(addresses: &Addresses) {
    let Addresses { agents, people } = addresses;
    // Nobody may be reading: the same is in the file.
    let _read = writeln!(
        std::io::stdout(),
        "echelon-coordinator: agents {agents}, people {people}"
    );
    tell(NotifyState::Ready);
}

/// Tells systemd; without it this does nothing.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
