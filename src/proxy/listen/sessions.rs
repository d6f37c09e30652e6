//! How many UDP sessions there are at a place: as long as there is one, its sockets stay.

use super::super::shared::Endpoint;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many UDP sessions there are at a place, of all workers.
#[derive(Debug, Default)]
pub(in super::super) struct Sessions(AtomicUsize);

impl Sessions {
    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// A session's place among those.
#[derive(Debug)]
pub(in super::super) struct Present(Arc<Sessions>);

impl Present {
    pub(in super::super) fn at(endpoint: &Endpoint) -> Self {
        endpoint.sessions.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&endpoint.sessions))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
