//! How a run ends before its source does.

use super::worker::Failure;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What the threads of a run tell each other of its end.
#[derive(Default)]
pub(super) struct Ending {
    over: AtomicBool,
    /// In the order in which they happened.
    failures: Mutex<Vec<Failure>>,
}

impl Ending {
    /// Lets nothing more be read.
    pub(super) fn end(&self) {
        // Relaxed: the flag carries no data with it, and a chunk more or less does not matter.
        self.over.store(true, Ordering::Relaxed);
    }

    /// The same, and says why.
    pub(super) fn fail(&self, failure: Failure) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        self.end();
    }

    /// Whether nothing more is to be read.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends the run when its thread panics: the others must not wait for what will never come.
pub(super) struct Watch<'e>(pub(super) &'e Ending);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}
