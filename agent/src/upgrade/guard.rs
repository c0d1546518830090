//! The guard of a trial: a process of the package's own version, in a unit of its own, so that it outlives the agent that
//! runs before the switch and the one that runs after it. It is started again with the agent when the host reboots in the
//! middle of a trial. Deliberately without network: a host that cannot be reached must help itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Error, Upgrade, record::Trial};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two tries to have the unit restarted.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

impl Upgrade {
    /// Stays until the trial is decided, and takes it back when its time is over and it has not shown that it can be reached.
    ///
    /// # Errors
    /// The record cannot be read or written: systemd then starts the guard again.
    pub fn guard(&self) -> Result<(), Error> {
        let mut watched: Option<(Trial, Instant)> = None;
        while let Some(trial) = self.record()?.trial {
            let until = match &watched {
                Some((known, until)) if *known == trial => *until,
                _ => {
                    let until = Instant::now() + trial.within.duration();
                    watched = Some((trial.clone(), until));
                    until
                }
            };
            if Instant::now() < until {
                thread::sleep(LOOK_EVERY);
            } else if self.is_proven(&trial.of) {
                // It can be reached: whoever ordered it says what becomes of it.
                break;
            } else {
                self.taken_back(&trial)?;
            }
        }
        // Also one that a guard before this one could not ask for. Whoever told the version to give way asks for it himself.
        while self.record()?.is_return_owed() {
            if self.restart_if_owed().is_err() {
                thread::sleep(AGAIN_AFTER);
            } else {
                self.changed(|record| {
                    record.restart_owed = false;
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn taken_back(&self, trial: &Trial) -> Result<(), Error> {
        self.changed(|record| {
            // It may have been proven or decided on in the last moment.
            if record.trial.as_ref() == Some(trial) && !self.is_proven(&trial.of) {
                record.take_back(format!(
                    "within {} it was not welcomed by the coordinator with its ledger read",
                    trial.within
                ));
                record.restart_owed = true;
            }
            Ok(())
        })
    }
}
