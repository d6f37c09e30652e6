//! Paths of sockets in the file system, which go with the last process that listens there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Removes a socket's path when it is dropped.
#[derive(Debug)]
pub(in super::super) struct PathGuard {
    path: PathBuf,
    /// It is another process's by now.
    left: AtomicBool,
}

impl PathGuard {
    pub(in super::super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), left: AtomicBool::new(false) })
    }

    /// One that leaves the path where it is until it is [kept](Self::keep).
    pub(in super::super) fn leaving(path: &Path) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), left: AtomicBool::new(true) })
    }

    /// Leaves the path to another process.
    pub(in super::super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Takes care of the path from now on.
    pub(in super::super) fn keep(&self) {
        self.left.store(false, Ordering::Relaxed);
    }
}

impl Drop for PathGuard {
    fn drop(&mut self) {
        if !self.left.load(Ordering::Relaxed) {
            // Whoever removed it first has done the work.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
