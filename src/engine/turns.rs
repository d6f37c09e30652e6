//! A source shared by workers: whoever's turn it is reads the next chunk.

use super::Shutdown;
use super::config::BoxedSource;
use super::ending::Ending;
use crate::source::{self, BATCH, Chunk, Fill, Progress};
use std::sync::{Mutex, PoisonError, TryLockError};

/// How often a worker looks whether it is its turn before it sleeps; a look takes 10 to 50 ns.
const PATIENCE: u32 = 2048;

/// Hands the source from worker to worker. What one of them reads stays in the caches of its own CPU, where it is
/// parsed next; only reading itself is done by one at a time.
pub(super) struct Turns<'a> {
    reading: Mutex<Reading<'a>>,
    shutdown: &'a Shutdown,
    ending: &'a Ending,
}

struct Reading<'a> {
    source: BoxedSource<'a>,
    /// Packets up to the limit.
    left: u64,
    /// Packets handed out.
    taken: u64,
    /// Chunks read.
    chunks: u64,
    stopping: bool,
    ended: bool,
    error: Option<source::Error>,
    /// Bytes of the largest batch copied.
    largest: usize,
}

/// What a turn brought beside the chunk's contents.
#[derive(Clone, Copy)]
pub(super) enum Turn {
    Chunk {
        /// Chunks are numbered from 0 in the source's order.
        number: u64,
        progress: Option<Progress>,
    },
    /// Nothing came for a while.
    Idle,
}

/// The source when all is over.
pub(super) struct Rest<'a> {
    pub(super) source: BoxedSource<'a>,
    /// Packets handed out.
    pub(super) taken: u64,
    /// How it failed.
    pub(super) error: Option<source::Error>,
}

impl<'a> Turns<'a> {
    pub(super) fn new(
        source: BoxedSource<'a>,
        limit: Option<u64>,
        shutdown: &'a Shutdown,
        ending: &'a Ending,
    ) -> Self {
        let left = limit.unwrap_or(u64::MAX);
        let reading = Reading {
            source,
            left,
            taken: 0,
            chunks: 0,
            stopping: false,
            ended: false,
            error: None,
            largest: 0,
        };
        Self { reading: Mutex::new(reading), shutdown, ending }
    }

    /// Waits for its turn and reads the next chunk; `None` when there are no more, or a worker has panicked over it.
    pub(super) fn next(&self, chunk: &mut Chunk) -> Option<Turn> {
        // A read takes some 50 us, and being woken from sleep nearly as long: it pays to look a while first.
        for _ in 0..PATIENCE {
            match self.reading.try_lock() {
                Ok(mut reading) => return reading.next(chunk, self),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
                Err(TryLockError::Poisoned(_)) => return None,
            }
        }
        self.reading.lock().ok()?.next(chunk, self)
    }

    /// Settles with the source: nothing may come from here on that its counters would miss.
    pub(super) fn into_rest(self) -> Rest<'a> {
        let reading = self.reading.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Reading { mut source, taken, stopping, ended, mut error, .. } = reading;
        if !ended && !stopping {
            error = error.or(source.stop().err());
        }
        Rest { source, taken, error }
    }
}

impl Reading<'_> {
    fn next(&mut self, chunk: &mut Chunk, turns: &Turns<'_>) -> Option<Turn> {
        if self.ended || turns.ending.is_over() {
            return None;
        }
        match self.read(chunk, turns.shutdown) {
            Ok(true) if chunk.is_empty() => Some(Turn::Idle),
            Ok(true) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                self.taken += chunk.len() as u64;
                self.chunks += 1;
                Some(Turn::Chunk { number: self.chunks - 1, progress: self.source.progress() })
            }
            Ok(false) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                self.error = Some(error);
                None
            }
        }
    }

    /// False at the end: that of the source, or the limit.
    fn read(&mut self, chunk: &mut Chunk, shutdown: &Shutdown) -> Result<bool, source::Error> {
        if !self.stopping && (self.left == 0 || shutdown.requested()) {
            self.stopping = true;
            self.source.stop()?;
        }
        if self.left == 0 {
            return Ok(false);
        }
        match self.source.chunks() {
            Some(source) => source.fill_chunk(chunk, self.left),
            None => self.copy(chunk),
        }
    }

    /// A batch of a source whose frames cannot leave it.
    fn copy(&mut self, chunk: &mut Chunk) -> Result<bool, source::Error> {
        chunk.clear();
        match self.source.fill(usize::try_from(self.left).unwrap_or(BATCH).min(BATCH))? {
            Fill::Batch(batch) => {
                // Room for the largest so far: chunks that are used in turn need not each learn of it anew.
                self.largest = self.largest.max(Chunk::room_for(batch));
                chunk.make_room(self.largest);
                chunk.push(batch);
            }
            Fill::Idle => {}
            Fill::End => return Ok(false),
        }
        Ok(true)
    }
}
