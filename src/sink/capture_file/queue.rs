//! A thread that writes, so that whoever encodes packets need not wait for a disk: between them stands a queue of
//! buffers, bounded in bytes.
//!
//! ```text
//! encoder ---[ pieces of whole records ]---> thread: open, write(2), close, the next file
//!    ^                                          |
//!    +------------[ empty buffers ]-------------+
//! ```
//!
//! Pieces may be small, as when each packet is to be written at once: what comes while another piece waits joins it, up to the
//! size of a piece, so that neither memory nor writes grow with their number.
//!
//! One thread writes all files of a rotation in turn, so that one which is written over is complete before. When a write
//! fails, what is queued behind it is lost, and counted as not kept; the encoder is told at its next piece.

use super::destination::{Destination, FileId, Manner};
use crate::sink::{Error, Strain};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Empty buffers that are kept for their next use.
const KEPT: usize = 4;
/// So many bytes of the limit a job is taken for whatever is in it: files that are no larger take more to open than to hold.
const LEAST_JOB: usize = 256;

/// A way to the thread; clones lead to the same. When the last is dropped, the thread ends with what it has.
#[derive(Clone)]
pub(super) struct Queue {
    /// Bytes that may be under way.
    limit: usize,
    /// Bytes of a piece.
    piece: usize,
    /// `None` before the first job, and after the end.
    running: Arc<Mutex<Option<Running>>>,
    shared: Arc<Shared>,
}

/// What the thread and the encoder both see.
#[derive(Default)]
struct Shared {
    /// A write has failed.
    failed: AtomicBool,
    /// How, until somebody has been told.
    error: Mutex<Option<Error>>,
    /// Packets kept in all files.
    kept: AtomicU64,
    /// What is to be done.
    line: Mutex<Line>,
    /// There is something to do, or will be no more.
    filled: Condvar,
    /// Something has been done.
    emptied: Condvar,
    /// Nanoseconds the longest write took.
    longest: AtomicU64,
    /// Empty buffers, the one used last on top: its memory is the likeliest to be in the cache still.
    empty: Mutex<Vec<Vec<u8>>>,
}

/// Jobs in their order.
#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// Nothing will be added any more.
    over: bool,
    /// Bytes handed over and not yet written.
    queued: usize,
    /// The most there ever were of those.
    queued_most: usize,
    /// How long it was waited for room.
    waited: Duration,
}

impl Line {
    /// Puts a piece behind the others, joined to one that waits where there is room in that; `buffer` is then emptied.
    /// Otherwise says that it has not.
    fn join(&mut self, buffer: &mut Vec<u8>, packets: u64, piece: usize) -> bool {
        // Showing what was written before can wait until this is written too.
        let flush = matches!(self.jobs.back(), Some(Job::Flush));
        if flush {
            self.jobs.pop_back();
        }
        let joined = match self.jobs.back_mut() {
            Some(Job::Write(waiting, count)) if waiting.len() + buffer.len() <= piece => {
                waiting.append(buffer);
                *count += packets;
                true
            }
            _ => false,
        };
        if flush {
            self.jobs.push_back(Job::Flush);
        }
        joined
    }
}

struct Running {
    /// Tells the thread that there is no more to come.
    _end: End,
    thread: JoinHandle<()>,
}

/// Whoever drops it has nothing more to do.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.line().over = true;
        self.0.filled.notify_one();
    }
}

enum Job {
    /// What comes goes here.
    Open(Box<Destination>),
    /// What comes goes to a file that is yet to be created.
    Create(PathBuf, Manner, Arc<[FileId]>),
    /// Whole records with so many packets.
    Write(Vec<u8>, u64),
    Flush,
    Close,
}

impl Queue {
    /// At most `limit` bytes wait, in pieces of `piece` bytes (and at least one of them).
    pub(super) fn new(limit: usize, piece: usize) -> Self {
        Self { limit, piece, running: Arc::default(), shared: Arc::default() }
    }

    pub(super) fn open(&self, destination: Destination) -> Result<(), Error> {
        self.send(Job::Open(Box::new(destination)))
    }

    pub(super) fn create(&self, path: &Path, manner: Manner, spared: Arc<[FileId]>) -> Result<(), Error> {
        self.send(Job::Create(path.to_owned(), manner, spared))
    }

    /// Hands over what is in `buffer`, which is then an empty one. Waits while there is too much under way.
    pub(super) fn write(&self, buffer: &mut Vec<u8>, packets: u64) -> Result<(), Error> {
        if buffer.is_empty() {
            return Ok(());
        }
        let mut line = self.line()?;
        let bytes = buffer.len();
        if !line.join(buffer, packets, self.piece) {
            // A large buffer for little would be memory that nobody counts.
            let full = if bytes * 2 < buffer.capacity() && !line.jobs.is_empty() {
                let copy = buffer.as_slice().to_vec();
                buffer.clear();
                copy
            } else {
                let empty = self.shared.empty().pop();
                std::mem::replace(buffer, empty.unwrap_or_else(|| Vec::with_capacity(buffer.capacity())))
            };
            line.jobs.push_back(Job::Write(full, packets));
        }
        line.queued += bytes;
        line.queued_most = line.queued_most.max(line.queued);
        drop(line);
        self.shared.filled.notify_one();
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), Error> {
        if matches!(self.shared.line().jobs.back(), Some(Job::Flush)) {
            return Ok(());
        }
        self.send(Job::Flush)
    }

    pub(super) fn close(&self) -> Result<(), Error> {
        self.send(Job::Close)
    }

    /// Waits until all is written. The failure, unless it has been told.
    pub(super) fn finish(&self) -> Result<(), Error> {
        if let Some(Running { _end: end, thread }) = self.lock().take() {
            drop(end);
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        self.shared.take_error().map_or(Ok(()), Err)
    }

    /// Packets in the files, of those that have been written by now.
    pub(super) fn kept(&self) -> u64 {
        self.shared.kept.load(Ordering::Acquire)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    pub(super) fn strain(&self) -> Strain {
        let line = self.shared.line();
        Strain {
            queued_most: line.queued_most as u64,
            queue: self.limit as u64,
            waited: line.waited,
            longest_write: Duration::from_nanos(self.shared.longest.load(Ordering::Relaxed)),
        }
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        self.line()?.jobs.push_back(job);
        self.shared.filled.notify_one();
        Ok(())
    }

    /// What is to be done, as soon as there is room for more.
    fn line(&self) -> Result<MutexGuard<'_, Line>, Error> {
        if self.has_failed() {
            // Told already, perhaps: whoever goes on all the same hears that it is over.
            return Err(self.shared.take_error().unwrap_or(Error::Closed));
        }
        let mut running = self.lock();
        if running.is_none() {
            *running = Some(self.start()?);
        }
        drop(running);
        let is_full = |line: &Line| {
            !line.over
                && !line.jobs.is_empty()
                && (line.queued >= self.limit || line.jobs.len() >= (self.limit / LEAST_JOB).max(4))
        };
        let mut line = self.shared.line();
        if is_full(&line) {
            let begun = Instant::now();
            let room = self.shared.emptied.wait_while(line, |line| is_full(line));
            line = room.unwrap_or_else(PoisonError::into_inner);
            line.waited += begun.elapsed();
        }
        // The thread goes on until we are gone, whatever happens to it but a panic.
        if line.over { Err(Error::Closed) } else { Ok(line) }
    }

    /// Starts the thread where its first job comes from: it may run where that may.
    fn start(&self) -> Result<Running, Error> {
        self.shared.line().over = false;
        let mut worker = Worker { shared: Arc::clone(&self.shared), current: None };
        let thread = thread::Builder::new().name("wharf-write".to_owned());
        let thread = thread.spawn(move || {
            // After a panic, whoever waits for room is not to wait for ever.
            let shared = Arc::clone(&worker.shared);
            let _gone = Gone(&shared);
            while let Some(job) = shared.next() {
                if let Some(buffer) = worker.act(job) {
                    shared.keep(buffer);
                }
            }
        });
        let end = End(Arc::clone(&self.shared));
        let path = "a thread to write on".to_owned();
        Ok(Running { _end: end, thread: thread.map_err(|source| Error::Io { path, source })? })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, once there is one; `None` when there will be no more.
    fn next(&self) -> Option<Job> {
        let nothing = |line: &mut Line| line.jobs.is_empty() && !line.over;
        let mut line = self.filled.wait_while(self.line(), nothing).unwrap_or_else(PoisonError::into_inner);
        let job = line.jobs.pop_front();
        drop(line);
        self.emptied.notify_one();
        job
    }

    /// So many bytes wait no more.
    fn done(&self, bytes: usize) {
        self.line().queued -= bytes;
        self.emptied.notify_one();
    }

    fn empty(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.empty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an empty buffer for its next use, unless there are enough: what a stall has taken goes back after it.
    fn keep(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut empty = self.empty();
        if empty.len() < KEPT {
            empty.push(buffer);
        }
    }

    fn take_error(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The thread ends.
struct Gone<'s>(&'s Shared);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.line().over = true;
        self.0.emptied.notify_all();
    }
}

/// What the thread has.
struct Worker {
    shared: Arc<Shared>,
    current: Option<Destination>,
}

impl Worker {
    /// Does what is to be done, unless something has failed; gives a buffer back.
    fn act(&mut self, job: Job) -> Option<Vec<u8>> {
        let lost = self.shared.failed.load(Ordering::Relaxed);
        let (result, buffer) = match job {
            Job::Write(buffer, packets) => {
                let result = if lost { Ok(()) } else { self.write(&buffer, packets) };
                self.shared.done(buffer.len());
                (result, Some(buffer))
            }
            _ if lost => (Ok(()), None),
            Job::Open(destination) => {
                self.current = Some(*destination);
                (Ok(()), None)
            }
            Job::Create(path, manner, spared) => {
                let created = Destination::create(&path, manner, &spared);
                (created.map(|destination| self.current = Some(destination)), None)
            }
            Job::Flush => (self.current.as_mut().map_or(Ok(()), Destination::flush), None),
            Job::Close => (self.current.take().map_or(Ok(()), |mut current| current.close()), None),
        };
        if let Err(error) = result {
            self.current = None;
            *self.shared.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            self.shared.failed.store(true, Ordering::Release);
        }
        buffer
    }

    fn write(&mut self, piece: &[u8], packets: u64) -> Result<(), Error> {
        let Some(current) = &mut self.current else { return Err(Error::Closed) };
        let (begun, before) = (Instant::now(), current.packets());
        let result = current.write(piece, packets);
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.shared.longest.fetch_max(took, Ordering::Relaxed);
        // Fewer than before where a file was cut back.
        let kept = self.shared.kept.load(Ordering::Relaxed);
        self.shared.kept.store((kept + current.packets()).saturating_sub(before), Ordering::Release);
        result
    }
}

#[cfg(test)]
mod tests;
