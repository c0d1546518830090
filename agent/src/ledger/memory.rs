//! A ledger on a made-up disk, for the real-stack simulation: a [`Disk`] outlives the agent that is simulated, is slow when
//! told to be and fails when told to. It is never durable.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time;

use super::{Error, Ledger, damaged, decode, encode};

/// What survives an agent. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    text: Option<String>,
    full: bool,
    takes: Duration,
}

impl Disk {
    /// Whether every save fails.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// How long a save takes. In the middle of it the new ledger takes the place of the old one.
    pub fn set_takes(&self, takes: Duration) {
        self.lock().takes = takes;
    }

    /// What is on it; an empty disk holds an empty ledger.
    ///
    /// # Errors
    /// [`Error::Damaged`]
    pub fn load(&self) -> Result<Ledger, Error> {
        match &self.lock().text {
            Some(text) => decode(text).map_err(|why| damaged(&name(), why)),
            None => Ok(Ledger::default()),
        }
    }

    pub(super) async fn save(&self, ledger: &Ledger) -> Result<(), Error> {
        let takes = self.lock().takes;
        let text = encode(ledger);
        if !takes.is_zero() {
            time::sleep(takes / 2).await;
        }
        {
            let mut platter = self.lock();
            if platter.full {
                return Err(Error::Io {
                    path: name(),
                    doing: "written",
                    source: io::ErrorKind::StorageFull.into(),
                });
            }
            platter.text = Some(text);
        }
        if !takes.is_zero() {
            time::sleep(takes / 2).await;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name() -> PathBuf {
    PathBuf::from("a made-up disk")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Store;

    #[tokio::test]
    async fn what_is_saved_is_there_for_the_next_agent_and_a_full_disk_keeps_the_old() {
        let disk = Disk::default();
        let ledger = Ledger {
            term: 7,
            ..Ledger::default()
        };
        Store::Disk(disk.clone()).save(&ledger).await.unwrap();
        disk.set_full(true);
        let newer = Ledger {
            term: 8,
            ..Ledger::default()
        };
        assert!(Store::Disk(disk.clone()).save(&newer).await.is_err());
        assert_eq!(Store::Disk(disk).load().unwrap(), ledger);
    }
}
