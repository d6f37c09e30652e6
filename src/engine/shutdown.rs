//! The stop flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a run to end in good order: the source accepts nothing new, what it had accepted is still
/// delivered, and every sink is finished.
///
/// Clones share one flag. Workers look at it between batches.
///
/// ```
/// use wharf::engine::Shutdown;
/// let shutdown = Shutdown::default();
/// let handle = shutdown.clone();
/// std::thread::spawn(move || handle.request()).join().unwrap();
/// assert!(shutdown.requested());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    flag: Arc<AtomicBool>,
}

impl Shutdown {
    /// Asks for the end. May be called any number of times, from any thread.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn requested(&self) -> bool {
        // Relaxed: the flag carries no data with it, and a batch more or less does not matter.
        self.flag.load(Ordering::Relaxed)
    }

    /// The flag itself, for whoever can only set one, such as a signal handler.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}
