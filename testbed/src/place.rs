//! Where a run keeps its files: one new folder, gone with the run unless it is to be kept. Deliberately never a folder
//! that was there before.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

/// A folder of this run's own.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    /// Removes it when dropped. None: it is kept.
    _removed: Option<TempDir>,
}

impl Place {
    /// A new one under the system's folder for temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(what: &str, keep: bool) -> anyhow::Result<Self> {
        let made = tempfile::Builder::new().prefix(&format!("echelon-{what}-")).tempdir();
        let made = made.context("no folder for temporary files can be made")?;
        let folder = made.path().to_owned();
        if keep {
            let _kept = made.keep();
            return Ok(Self { folder, _removed: None });
        }
        Ok(Self {
            folder,
            _removed: Some(made),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A new folder in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_gone_with_its_run_unless_kept() {
        let place = Place::new("test", false).unwrap();
        let path = place.folder("inside").unwrap();
        assert!(path.is_dir());
        drop(place);
        assert!(!path.exists());
        let kept = Place::new("test", true).unwrap();
        let path = kept.path().to_owned();
        drop(kept);
        assert!(path.is_dir());
        std::fs::remove_dir(path).unwrap();
    }
}
