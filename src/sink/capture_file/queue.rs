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
mod tests {
    use super::*;
    use crate::frame::{Frame, Interface, LinkType};
    use crate::sink::{CaptureFileWriter, CaptureFormat, Rotation, Sink};
    use std::io::{self, ErrorKind, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A disk that stands still until it is told to go on, then takes so many bytes before it is full.
    struct Disk {
        held: Receiver<()>,
        room: usize,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nobody holds it any more once the other end is gone.
            let _ = self.held.recv();
            let length = bytes.len().min(self.room);
            self.room -= length;
            self.taken.lock().unwrap().extend_from_slice(&bytes[..length]);
            if length == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(length) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const DATA: [u8; 984] = [7; 984];

    /// A file of pcap records of 1000 bytes, in pieces of four, of which eight may wait.
    fn writer(room: usize) -> (CaptureFileWriter, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (go_on, held) = channel();
        let taken = Arc::default();
        let disk = Disk { held, room, taken: Arc::clone(&taken) };
        let options = CaptureFileWriter::options().format(CaptureFormat::Pcap).buffer(4000).queue(8 * 4000);
        (options.write_to(disk, "a disk").unwrap(), go_on, taken)
    }

    fn write(writer: &mut CaptureFileWriter, packets: usize) -> Result<(), Error> {
        let interfaces = [Interface { link_type: LinkType::ETHERNET, ..Interface::default() }];
        let frame = Frame::new(LinkType::ETHERNET, &DATA);
        (0..packets).try_for_each(|_| writer.write_frame(&frame, &interfaces))
    }

    #[test]
    fn a_disk_that_stands_still_holds_up_nobody_until_the_queue_is_full() {
        let (mut writer, go_on, taken) = writer(usize::MAX);
        // Eight pieces, whatever the thread has of them.
        write(&mut writer, 32).unwrap();
        assert!(taken.lock().unwrap().is_empty());
        let strain = writer.strain().unwrap();
        assert_eq!((strain.queued_most, strain.queue), (32 * 1000 + 24, 32_000));
        assert_eq!(strain.waited, Duration::ZERO);
        drop(go_on);
        writer.finish(&[]).unwrap();
        assert_eq!((writer.kept(), taken.lock().unwrap().len()), (Some(32), 24 + 32 * 1000));
    }

    /// With `-U`, each batch comes by itself.
    #[test]
    fn small_pieces_fill_the_queue_by_their_bytes_alone() {
        let (go_on, held) = channel();
        let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
        let disk = Disk { held, room: usize::MAX, taken: Arc::clone(&taken) };
        let options = CaptureFileWriter::options().format(CaptureFormat::Pcap).buffer(4000).queue(8 * 4000);
        let mut writer = options.write_to(disk, "a disk").unwrap();
        for _ in 0..31 {
            write(&mut writer, 1).unwrap();
            writer.flush().unwrap();
        }
        let strain = writer.strain().unwrap();
        assert_eq!((strain.queued_most, strain.waited), (31_024, Duration::ZERO));
        let queue = writer.queue.clone().unwrap();
        // The thread has one, or perhaps none yet; the others have joined, four to a piece, and with one request to show them
        // each.
        assert!(queue.shared.line().jobs.len() <= 18, "{}", queue.shared.line().jobs.len());
        drop(go_on);
        writer.finish(&[]).unwrap();
        assert_eq!((writer.kept(), taken.lock().unwrap().len()), (Some(31), 24 + 31 * 1000));
    }

    #[test]
    fn beyond_the_queue_the_encoder_waits_and_nothing_is_lost() {
        let (mut writer, go_on, taken) = writer(usize::MAX);
        let slow = thread::spawn(move || {
            for _ in 0..100 {
                thread::sleep(Duration::from_millis(2));
                let _ = go_on.send(());
            }
        });
        write(&mut writer, 400).unwrap();
        let strain = writer.strain().unwrap();
        // Beside those that wait, one is being written and one waits for a place.
        assert!((32_000..=44_000).contains(&strain.queued_most), "{strain:?}");
        assert!(strain.longest_write >= Duration::from_millis(1), "{strain:?}");
        assert!(strain.waited >= Duration::from_millis(100), "{strain:?}");
        writer.finish(&[]).unwrap();
        slow.join().unwrap();
        assert_eq!((writer.kept(), taken.lock().unwrap().len()), (Some(400), 24 + 400 * 1000));
    }

    #[test]
    fn a_full_disk_is_told_once_with_what_it_holds() {
        for written in [20, 400] {
            let (mut writer, go_on, _) = writer(10_500);
            drop(go_on);
            let result = write(&mut writer, written).and_then(|()| writer.finish(&[]));
            let error = result.unwrap_err().to_string();
            assert!(error.starts_with("a disk: ") && error.contains("; 10 packets were written"), "{error}");
            assert_eq!(writer.kept(), Some(10));
            writer.finish(&[]).unwrap();
            assert_eq!(writer.kept(), Some(10));
        }
    }

    #[test]
    fn a_file_that_is_written_over_was_complete_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        let rotation = Rotation { packets: Some(10), files: Some(1), ..Rotation::default() };
        let options = CaptureFileWriter::options().rotation(rotation).buffer(4000).queue(1 << 20);
        let mut writer = options.create(&path).unwrap();
        write(&mut writer, 1003).unwrap();
        writer.finish(&[]).unwrap();
        assert_eq!((writer.files(), writer.kept()), (101, Some(1003)));
        assert_eq!(std::fs::metadata(directory.path().join("a.pcap0")).unwrap().len(), 24 + 3 * 1000);
    }

    #[test]
    fn a_file_that_cannot_be_opened_in_turn_ends_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        std::fs::create_dir(directory.path().join("a.pcap1")).unwrap();
        let rotation = Rotation { packets: Some(10), ..Rotation::default() };
        let options = CaptureFileWriter::options().rotation(rotation).buffer(4000).queue(1 << 20);
        let mut writer = options.create(&path).unwrap();
        let result = write(&mut writer, 25).and_then(|()| writer.finish(&[]));
        let error = result.unwrap_err().to_string();
        assert!(error.contains("a.pcap1: "), "{error}");
        assert_eq!(writer.kept(), Some(10));
    }

    #[test]
    fn one_that_is_given_up_ends_its_thread() {
        let (mut writer, go_on, taken) = writer(usize::MAX);
        write(&mut writer, 8).unwrap();
        let shared = Arc::downgrade(&taken);
        drop((writer, taken, go_on));
        while shared.strong_count() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
