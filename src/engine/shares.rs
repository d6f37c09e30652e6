//! A source that has come apart: each worker takes from its own part.

use super::Shutdown;
use super::config::BoxedSource;
use super::ending::Ending;
use super::turns::{Reading, Rest, Turn, Turns};
use crate::source::Chunk;
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// The packets that a run may take, and the numbers of those that workers have taken from parts of its source.
///
/// One atomic addition for each chunk is all that such workers have in common.
pub(super) struct Quota {
    limit: u64,
    numbered: CachePadded<AtomicU64>,
}

impl Quota {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit: limit.unwrap_or(u64::MAX), numbered: CachePadded::default() }
    }

    fn is_used_up(&self) -> bool {
        self.numbered.load(Ordering::Relaxed) >= self.limit
    }

    /// Numbers the packets of a chunk, and cuts off those beyond the limit.
    fn claim(&self, chunk: &mut Chunk) {
        let first = self.numbered.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let granted = self.limit.saturating_sub(first).min(chunk.len() as u64);
        chunk.truncate(granted as usize);
        chunk.number_from(first + 1);
    }
}

/// One worker's part of a source that has come apart.
pub(super) struct Share<'a> {
    reading: Reading<'a>,
    quota: &'a Quota,
    shutdown: &'a Shutdown,
    ending: &'a Ending,
}

impl<'a> Share<'a> {
    pub(super) fn new(
        source: BoxedSource<'a>,
        quota: &'a Quota,
        shutdown: &'a Shutdown,
        ending: &'a Ending,
    ) -> Self {
        Self { reading: Reading::of(source, u64::MAX), quota, shutdown, ending }
    }

    /// The next chunk; `None` when there are no more.
    pub(super) fn next(&mut self, chunk: &mut Chunk) -> Option<Turn> {
        if self.quota.is_used_up() {
            self.reading.left = 0;
        }
        let turn = self.reading.next(chunk, self.shutdown, self.ending)?;
        chunk.finish();
        if let Turn::Chunk { .. } = turn {
            self.quota.claim(chunk);
            // All of it may be beyond the limit. Then the next call ends.
            return Some(if chunk.is_empty() { Turn::Idle } else { turn });
        }
        Some(turn)
    }

    /// Settles with the source.
    pub(super) fn into_rest(self) -> Rest<'a> {
        self.reading.into_rest()
    }
}

/// Where a worker's chunks come from.
pub(super) enum Supply<'t, 'a> {
    Turns(&'t Turns<'a>),
    Share(Share<'a>),
}

impl<'a> Supply<'_, 'a> {
    /// The next chunk; `None` when there are no more.
    pub(super) fn next(&mut self, chunk: &mut Chunk) -> Option<Turn> {
        match self {
            Self::Turns(turns) => turns.next(chunk),
            Self::Share(share) => share.next(chunk),
        }
    }

    /// Settles with the source, where it is the worker's own.
    pub(super) fn into_rest(self) -> Option<Rest<'a>> {
        match self {
            Self::Turns(_) => None,
            Self::Share(share) => Some(share.into_rest()),
        }
    }
}
