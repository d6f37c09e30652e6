//! A queue of an interface being sent to.

use super::abi::Descriptor;
use super::receiver::Step;
use super::ring::{Reader, Writer};
use super::socket::{Copying, Statistics, Which, XdpSocket};
use crate::sys::mapping::Mapping;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// A socket that sends, with its memory: frames are copied in, and go out in the order given.
///
/// ```no_run
/// use std::time::Duration;
/// use wharf::sys::{link, xdp::{Copying, Sender}};
///
/// let interface = link::index_of("eth0")?;
/// let mut sender = Sender::open((interface, 0), (2048, 1024), Copying::Auto).map_err(|(_, error)| error)?;
/// let frame = [0; 60];
/// let mut left = &[&frame[..]; 1000][..];
/// while !left.is_empty() {
///     let sent = sender.send_batch(left)?;
///     left = &left[sent..];
/// }
/// assert_eq!(sender.flush(Duration::from_secs(1))?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Sender {
    socket: XdpSocket,
    /// The kernel copies frames: then it tells of those that the device throws away.
    copies: bool,
    frames: Frames,
    counts: Counts,
}

/// What became of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Put into the tx ring.
    pub queued: u64,
    /// Given back by the kernel: sent, or thrown away by the device.
    pub completed: u64,
    /// Of these, thrown away by the device, as far as it tells: in copy mode (`NET_XMIT_DROP`, which comes as `EBUSY`).
    pub refused: u64,
    /// Calls that had the kernel go on.
    pub wakeups: u64,
}

/// The memory and the two rings through which frames go and chunks come back.
#[derive(Debug)]
struct Frames {
    mapping: Mapping,
    /// Bytes of a chunk.
    chunk: usize,
    /// Chunks that may be written to.
    free: Vec<u32>,
    /// By chunk: the kernel may be reading it.
    in_flight: Box<[bool]>,
    tx: Writer<Descriptor>,
    completion: Reader<u64>,
}

impl Frames {
    fn new(mapping: Mapping, chunk: usize, tx: Writer<Descriptor>, completion: Reader<u64>) -> Self {
        let chunks = mapping.len() / chunk;
        let free = (0..chunks as u32).rev().collect();
        Self { mapping, chunk, free, in_flight: vec![false; chunks].into(), tx, completion }
    }

    /// Takes back what the kernel has done with; gives how many.
    fn reap(&mut self) -> u64 {
        let mut reaped = 0;
        for _ in 0..self.completion.look() {
            let Some(address) = self.completion.peek() else { break };
            self.completion.advance();
            let chunk = address as usize / self.chunk;
            // What we have not given cannot come back, whatever the ring says.
            if self.in_flight.get_mut(chunk).is_some_and(std::mem::take) {
                self.free.push(chunk as u32);
                reaped += 1;
            }
        }
        self.completion.publish();
        reaped
    }

    /// Copies frames in, as many as there is room for, and lets the kernel see them.
    fn queue(&mut self, frames: &[&[u8]]) -> usize {
        let room = self.tx.room(frames.len() as u32) as usize;
        let frames = &frames[..frames.len().min(room).min(self.free.len())];
        for frame in frames {
            let Some(chunk) = self.free.pop() else { break };
            let start = chunk as usize * self.chunk;
            // SAFETY: a free chunk is ours alone: the kernel reads those in flight only, of which this was none until
            // now (`reap` puts back what the kernel has completed, after an Acquire), and no slice of it is kept.
            // Longer frames were refused before.
            unsafe { self.mapping.slice_mut(start..start + frame.len()) }.copy_from_slice(frame);
            self.in_flight[chunk as usize] = true;
            self.tx.write(Descriptor { address: start as u64, length: frame.len() as u32, options: 0 });
        }
        self.tx.publish();
        frames.len()
    }

    fn in_flight(&self) -> usize {
        self.in_flight.len() - self.free.len()
    }
}

impl Sender {
    /// Opens a socket on a queue of an interface, with `chunks` (a power of two) of `chunk` bytes (a power of two from
    /// 2048 to a page): so many frames of so many bytes may be under way.
    ///
    /// # Errors
    /// As [`Receiver::open`](super::Receiver::open).
    pub fn open(
        (interface, queue): (u32, u32),
        (chunk, chunks): (u32, u32),
        copying: Copying,
    ) -> Result<Self, (Step, io::Error)> {
        let at = |step: Step| move |error: io::Error| (step, error);
        let mapping = Mapping::anonymous(chunk as usize * chunks as usize).map_err(at(Step::Memory))?;
        let socket = XdpSocket::open().map_err(at(Step::Open))?;
        socket.register(&mapping, chunk).map_err(at(Step::Memory))?;
        let rings = || {
            // The kernel wants it even of who receives nothing.
            socket.make(Which::Fill, 1)?;
            socket.make(Which::Completion, chunks)?;
            socket.make(Which::Tx, chunks)?;
            Ok((socket.writer(Which::Tx, chunks)?, socket.reader(Which::Completion, chunks)?))
        };
        let (tx, completion) = rings().map_err(at(Step::Rings))?;
        socket.raise_tx_budget(chunks);
        socket.bind(interface, queue, copying).map_err(at(Step::Bind))?;
        let frames = Frames::new(mapping, chunk as usize, tx, completion);
        let copies = !socket.is_zero_copy().unwrap_or(false);
        Ok(Self { socket, copies, frames, counts: Counts::default() })
    }

    /// Longest frame in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.frames.chunk
    }

    /// Frames that are queued and not given back yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.frames.in_flight()
    }

    /// What became of frames so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What the kernel counts.
    ///
    /// # Errors
    /// As [`XdpSocket::statistics`].
    pub fn statistics(&self) -> io::Result<Statistics> {
        self.socket.statistics()
    }

    /// Queues frames, as many as there is room for, and has the kernel send them. Gives how many were taken, the first
    /// ones; 0 when all memory is under way and the device takes no more.
    ///
    /// # Errors
    /// `InvalidInput`, and nothing is taken, when one of them is empty or longer than [`Self::longest`]. `ENETDOWN` and
    /// the like from the interface; frames queued before that are not sent.
    pub fn send_batch(&mut self, frames: &[&[u8]]) -> io::Result<usize> {
        if frames.iter().any(|frame| frame.is_empty() || frame.len() > self.frames.chunk) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a frame that does not fit its chunk"));
        }
        self.reap();
        let mut taken = self.frames.queue(frames);
        self.go()?;
        if taken == 0 && !frames.is_empty() {
            // There was no room, and now there may be.
            self.reap();
            taken = self.frames.queue(frames);
            self.go()?;
        }
        self.counts.queued += taken as u64;
        Ok(taken)
    }

    /// Waits until the kernel has given everything back, so long at most. Gives how many frames it has not.
    ///
    /// # Errors
    /// As [`Self::send_batch`].
    pub fn flush(&mut self, time: Duration) -> io::Result<usize> {
        let until = Instant::now() + time;
        loop {
            self.go()?;
            self.reap();
            let left = self.in_flight();
            if left == 0 || Instant::now() >= until {
                return Ok(left);
            }
            std::thread::yield_now();
        }
    }

    fn reap(&mut self) {
        self.counts.completed += self.frames.reap();
    }

    /// Has the kernel send what is queued, as far as it does.
    fn go(&mut self) -> io::Result<()> {
        let mut pending = self.frames.tx.pending();
        while pending > 0 && self.frames.tx.needs_wakeup() {
            self.counts.wakeups += 1;
            match self.socket.wake_tx() {
                Ok(()) => return Ok(()),
                // The device has thrown one away (`xsk_generic_xmit`): the next one may go.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    self.counts.refused += u64::from(self.copies);
                }
                // One call sends so many, and no more.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS)) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            let left = self.frames.tx.pending();
            if left == pending {
                // No progress: it takes no more until something has been given back.
                self.reap();
                return Ok(());
            }
            pending = left;
        }
        Ok(())
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring::Layout;
    use super::super::ring::tests::{map, memory};
    use super::*;

    /// The kernel, as far as two rings show it.
    struct Kernel {
        tx: Reader<Descriptor>,
        completion: Writer<u64>,
    }

    fn pair(chunks: u32) -> (Frames, Kernel) {
        let (tx, completion) = (memory(), memory());
        let kernel = Kernel {
            tx: Reader::new(map(&tx), Layout::PLAIN, chunks).unwrap(),
            completion: Writer::new(map(&completion), Layout::PLAIN, chunks).unwrap(),
        };
        let mapping = Mapping::anonymous(chunks as usize * 2048).unwrap();
        let tx = Writer::new(map(&tx), Layout::PLAIN, chunks).unwrap();
        let completion = Reader::new(map(&completion), Layout::PLAIN, chunks).unwrap();
        (Frames::new(mapping, 2048, tx, completion), kernel)
    }

    #[test]
    fn frames_go_in_order_and_their_chunks_come_back() {
        let (mut frames, mut kernel) = pair(16);
        let (mut queued, mut sent) = (0_u32, 0_u32);
        for _round in 0..100 {
            let batch: Vec<_> = (queued..queued + 10).map(|number| number.to_be_bytes().repeat(15)).collect();
            let batch: Vec<_> = batch.iter().map(|frame| &frame[..]).collect();
            queued += frames.queue(&batch) as u32;
            assert!(frames.in_flight() <= 16);
            for _ in 0..kernel.tx.look().min(7) {
                let found = kernel.tx.peek().unwrap();
                kernel.tx.advance();
                let (start, length) = (found.address as usize, found.length as usize);
                // SAFETY: the chunk is in flight: nobody writes to it.
                let bytes = unsafe { frames.mapping.slice(start..start + length) };
                assert_eq!(bytes, sent.to_be_bytes().repeat(15));
                sent += 1;
                assert!(kernel.completion.room(1) > 0);
                kernel.completion.write(found.address);
            }
            kernel.tx.publish();
            kernel.completion.publish();
            frames.reap();
        }
        assert!(sent >= 690 && queued - sent == frames.in_flight() as u32, "{queued} {sent}");
    }

    #[test]
    fn what_was_not_sent_does_not_come_back() {
        let (mut frames, mut kernel) = pair(4);
        assert_eq!(frames.queue(&[&[1; 60][..]; 9]), 4);
        for address in [0, 0, 1 << 40, 2048] {
            kernel.completion.write(address);
        }
        kernel.completion.publish();
        assert_eq!((frames.reap(), frames.in_flight()), (2, 2));
    }
}
