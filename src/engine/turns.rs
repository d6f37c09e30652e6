//! A source shared by workers: whoever's turn it is reads the next chunk.

use super::Shutdown;
use super::config::BoxedSource;
use crate::source::{self, Chunk, Progress};
use std::sync::{Mutex, PoisonError, TryLockError};

/// How often a worker looks whether it is its turn before it sleeps; a look takes 10 to 50 ns.
const PATIENCE: u32 = 2048;

/// Hands the source from worker to worker. What one of them reads stays in the caches of its own CPU, where it is
/// parsed next; only reading itself is done by one at a time.
pub(super) struct Turns<'a> {
    reading: Mutex<Reading<'a>>,
    shutdown: &'a Shutdown,
}

struct Reading<'a> {
    source: BoxedSource<'a>,
    /// Packets up to the limit.
    left: u64,
    /// Chunks read.
    chunks: u64,
    stopping: bool,
    ended: bool,
    error: Option<source::Error>,
}

/// What a turn brought beside the chunk's contents.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// Chunks are numbered from 0 in the source's order.
    pub(super) number: u64,
    pub(super) progress: Option<Progress>,
}

impl<'a> Turns<'a> {
    pub(super) fn new(source: BoxedSource<'a>, limit: Option<u64>, shutdown: &'a Shutdown) -> Self {
        let left = limit.unwrap_or(u64::MAX);
        let reading = Reading { source, left, chunks: 0, stopping: false, ended: false, error: None };
        Self { reading: Mutex::new(reading), shutdown }
    }

    /// Waits for its turn and reads the next chunk; `None` when there are no more, or a worker has panicked over it.
    pub(super) fn next(&self, chunk: &mut Chunk) -> Option<Turn> {
        // A read takes some 50 us, and being woken from sleep nearly as long: it pays to look a while first.
        for _ in 0..PATIENCE {
            match self.reading.try_lock() {
                Ok(mut reading) => return reading.next(chunk, self.shutdown),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
                Err(TryLockError::Poisoned(_)) => return None,
            }
        }
        self.reading.lock().ok()?.next(chunk, self.shutdown)
    }

    /// Lets nothing more be read.
    pub(super) fn end(&self) {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
    }

    /// The source, and how it failed.
    pub(super) fn into_source(self) -> (BoxedSource<'a>, Option<source::Error>) {
        let reading = self.reading.into_inner().unwrap_or_else(PoisonError::into_inner);
        (reading.source, reading.error)
    }
}

impl Reading<'_> {
    fn next(&mut self, chunk: &mut Chunk, shutdown: &Shutdown) -> Option<Turn> {
        while !self.ended {
            match self.read(chunk, shutdown) {
                // Silence.
                Ok(true) if chunk.is_empty() => {}
                Ok(true) => {
                    self.left = self.left.saturating_sub(chunk.len() as u64);
                    self.chunks += 1;
                    return Some(Turn { number: self.chunks - 1, progress: self.source.progress() });
                }
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    self.error = Some(error);
                }
            }
        }
        None
    }

    /// False at the end: that of the source, or the limit.
    fn read(&mut self, chunk: &mut Chunk, shutdown: &Shutdown) -> Result<bool, source::Error> {
        if !self.stopping && (self.left == 0 || shutdown.requested()) {
            self.stopping = true;
            self.source.stop()?;
        }
        match self.source.chunks() {
            Some(source) if self.left > 0 => source.fill_chunk(chunk, self.left),
            _ => Ok(false),
        }
    }
}
