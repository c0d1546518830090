//! Where what takes long runs: on threads beside the runtime, or, in the real-stack simulation, where a thread would be a
//! second clock and a second source of chance, as tasks of the runtime.

use std::{future::Future, io, thread};

use tokio::{
    runtime::Handle,
    task::{JoinError, spawn_blocking},
};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The process.
    Threads,
    /// The real-stack simulation, whose disk is memory and whose time stands still meanwhile.
    Tasks,
}

impl Ground {
    /// Lets this run by itself. To be called within the runtime.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn settle(self, name: &str, life: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let runtime = Handle::current();
        match self {
            Self::Threads => drop(
                thread::Builder::new()
                    .name(name.into())
                    .spawn(move || runtime.block_on(life))?,
            ),
            Self::Tasks => drop(runtime.spawn(life)),
        }
        Ok(())
    }

    /// Does what would keep the runtime's threads, and waits for it.
    ///
    /// # Errors
    /// It panicked, or the runtime ends.
    pub async fn work<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        match self {
            Self::Threads => spawn_blocking(work).await,
            Self::Tasks => Ok(work()),
        }
    }
}
