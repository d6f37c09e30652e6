//! A source shared by workers: whoever's turn it is takes the next chunk.

use super::Shutdown;
use super::config::BoxedSource;
use super::ending::Ending;
use crate::source::{self, BATCH, Chunk, Fill, Progress, ReadAhead};
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// How often a worker looks whether it is its turn before it sleeps; a look takes 10 to 50 ns.
const PATIENCE: u32 = 2048;

/// Hands the source from worker to worker. What one of them reads stays in the caches of its own CPU, where it is
/// parsed next. Where the source can be [read ahead](ReadAhead), each fetches the bytes of its chunk whenever it
/// likes, and only their walk, which tells where the next chunk begins, is done by one at a time; otherwise reading
/// is, too.
pub(super) struct Turns<'a> {
    ahead: Option<ReadAhead>,
    reading: Mutex<Reading<'a>>,
    /// The piece whose turn it is, for those who look before they sleep; the truth is in [`Reading`].
    turn: CachePadded<AtomicU64>,
    passed_on: Condvar,
    shutdown: &'a Shutdown,
    ending: &'a Ending,
}

/// A source and how far it has been read.
pub(super) struct Reading<'a> {
    source: BoxedSource<'a>,
    /// Packets up to the limit.
    pub(super) left: u64,
    /// Packets handed out.
    taken: u64,
    /// Chunks read.
    chunks: u64,
    /// Pieces that have had their turn.
    pieces: u64,
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
        mut source: BoxedSource<'a>,
        (workers, limit): (usize, Option<u64>),
        shutdown: &'a Shutdown,
        ending: &'a Ending,
    ) -> Self {
        let ahead = source.chunks().and_then(|source| source.ahead()).map(|ahead| ahead.among(workers));
        let reading = Reading::of(source, limit.unwrap_or(u64::MAX));
        let turn = CachePadded::new(AtomicU64::new(0));
        Self { ahead, reading: Mutex::new(reading), turn, passed_on: Condvar::new(), shutdown, ending }
    }

    /// Waits for its turn and takes the next chunk; `None` when there are no more, or a worker has panicked over it.
    pub(super) fn next(&self, chunk: &mut Chunk) -> Option<Turn> {
        let Some(ahead) = &self.ahead else {
            let turn = self.lock()?.next(chunk, self.shutdown, self.ending);
            chunk.finish();
            return turn;
        };
        loop {
            let baton = Baton { turns: self, piece: ahead.claim() };
            ahead.fetch(baton.piece, chunk);
            let mut reading = baton.wait()?;
            match reading.next(chunk, self.shutdown, self.ending) {
                // Empty where a large record covers the whole piece.
                Some(Turn::Idle) => {}
                turn => {
                    chunk.finish();
                    return turn;
                }
            }
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Reading<'a>>> {
        // A read takes some 50 us, and being woken from sleep nearly as long: it pays to look a while first.
        for _ in 0..PATIENCE {
            match self.reading.try_lock() {
                Ok(reading) => return Some(reading),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
                Err(TryLockError::Poisoned(_)) => return None,
            }
        }
        self.reading.lock().ok()
    }

    /// Settles with the source: nothing may come from here on that its counters would miss.
    pub(super) fn into_rest(self) -> Rest<'a> {
        self.reading.into_inner().unwrap_or_else(PoisonError::into_inner).into_rest()
    }
}

/// The duty to take a piece when its turn has come, and to pass the turn on, whatever happens.
struct Baton<'t, 'a> {
    turns: &'t Turns<'a>,
    piece: u64,
}

impl<'t, 'a> Baton<'t, 'a> {
    /// Waits for the turn, or for the end; `None` when a worker has panicked over its own.
    fn wait(&self) -> Option<MutexGuard<'t, Reading<'a>>> {
        let turns = self.turns;
        for _ in 0..PATIENCE {
            if turns.turn.load(Ordering::Relaxed) == self.piece {
                break;
            }
            std::hint::spin_loop();
        }
        let early = |reading: &mut Reading<'_>| reading.pieces != self.piece && !reading.ended;
        turns.passed_on.wait_while(turns.reading.lock().ok()?, early).ok()
    }
}

impl Drop for Baton<'_, '_> {
    fn drop(&mut self) {
        let mut reading = self.turns.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody can take the piece of one that panics: there is no more.
        reading.ended |= std::thread::panicking();
        reading.pieces = self.piece + 1;
        self.turns.turn.store(reading.pieces, Ordering::Relaxed);
        drop(reading);
        self.turns.passed_on.notify_all();
    }
}

impl<'a> Reading<'a> {
    pub(super) fn of(source: BoxedSource<'a>, left: u64) -> Self {
        let (taken, chunks, pieces, largest) = (0, 0, 0, 0);
        let (stopping, ended, error) = (false, false, None);
        Self { source, left, taken, chunks, pieces, stopping, ended, error, largest }
    }

    pub(super) fn into_rest(self) -> Rest<'a> {
        let Self { mut source, taken, stopping, ended, mut error, .. } = self;
        if !ended && !stopping {
            error = error.or(source.stop().err());
        }
        Rest { source, taken, error }
    }

    /// The next chunk, [to be finished](Chunk::finish).
    pub(super) fn next(&mut self, chunk: &mut Chunk, shutdown: &Shutdown, ending: &Ending) -> Option<Turn> {
        if self.ended || ending.is_over() {
            return None;
        }
        match self.read(chunk, shutdown) {
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
            Some(source) => source.claim_chunk(chunk, self.left),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Interface;
    use crate::source::{CaptureFile, ChunkSource, Counters, Source};
    use std::io::Write;
    use std::thread;

    const FRAMES: u64 = 20_000;

    /// A capture file of several pieces, of which the chunk that holds this frame makes it panic.
    struct Brittle(CaptureFile, u64);

    impl Source for Brittle {
        fn interfaces(&self) -> &[Interface] {
            self.0.interfaces()
        }

        fn fill(&mut self, limit: usize) -> Result<Fill<'_>, source::Error> {
            self.0.fill(limit)
        }

        fn stop(&mut self) -> Result<(), source::Error> {
            self.0.stop()
        }

        fn counters(&mut self) -> Counters {
            self.0.counters()
        }

        fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
            Some(self)
        }
    }

    impl ChunkSource for Brittle {
        fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, source::Error> {
            let more = self.0.fill_chunk(chunk, limit);
            assert!(self.0.counters().received < self.1, "on purpose");
            more
        }

        fn ahead(&self) -> Option<ReadAhead> {
            self.0.ahead()
        }
    }

    fn brittle(panics_at: u64) -> Brittle {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        file.write_all(&words(&[0xA1B2_C3D4, 0x0004_0002, 0, 0, 0, 1])).expect("room");
        let record = [words(&[1, 2, 84, 84]), vec![0; 84]].concat();
        file.write_all(&record.repeat(FRAMES as usize)).expect("room");
        Brittle(CaptureFile::open(file.path()).expect("a capture"), panics_at)
    }

    /// What three workers are given: each chunk's number, first frame and frames.
    fn share(turns: &Turns<'_>) -> Vec<thread::Result<Vec<(u64, u64, u64)>>> {
        let work = || {
            let (mut chunk, mut chunks) = (Chunk::default(), Vec::new());
            while let Some(turn) = turns.next(&mut chunk) {
                let Turn::Chunk { number, .. } = turn else { panic!("a file is never idle") };
                let first = chunk.batches().next().map_or(0, |batch| batch.frame(0).record.number);
                chunks.push((number, first, chunk.len() as u64));
            }
            chunks
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join()).collect()
        })
    }

    #[test]
    fn pieces_fetched_side_by_side_make_chunks_in_order() {
        let (shutdown, ending) = (Shutdown::default(), Ending::default());
        for limit in [None, Some(7_777)] {
            let turns = Turns::new(Box::new(brittle(u64::MAX)), (2, limit), &shutdown, &ending);
            assert!(turns.ahead.is_some());
            let mut chunks: Vec<_> =
                share(&turns).into_iter().flat_map(|chunks| chunks.expect("no panic")).collect();
            chunks.sort();
            let mut frames = 0;
            for (place, (number, first, length)) in (0..).zip(chunks) {
                assert_eq!((number, first), (place, frames + 1));
                frames += length;
            }
            assert_eq!(frames, limit.unwrap_or(FRAMES));
            assert!(turns.into_rest().error.is_none());
        }
    }

    #[test]
    fn a_panic_over_one_piece_ends_the_wait_for_the_next() {
        let (shutdown, ending) = (Shutdown::default(), Ending::default());
        let turns = Turns::new(Box::new(brittle(FRAMES / 2)), (1, None), &shutdown, &ending);
        let panics = share(&turns).iter().filter(|chunks| chunks.is_err()).count();
        assert_eq!(panics, 1);
    }
}
