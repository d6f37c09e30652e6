//! A queue of an interface being received from.

use super::abi::{CONTINUED, Descriptor};
use super::ring::{Reader, Writer};
use super::socket::{Copying, Which, XdpSocket};
use super::umem::{Damage, Lease, Received, Umem};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Most free chunks that are kept back.
const LOT: usize = 64;

/// A socket that receives, with its memory. Frames come in runs: [`take`](Self::take) one, read
/// [`bytes`](Self::bytes), and [release](Self::release) or [lease](Self::lease) it.
#[derive(Debug)]
pub struct Receiver {
    socket: XdpSocket,
    frames: Frames,
}

/// The memory and the two rings through which frames come and chunks go back.
#[derive(Debug)]
struct Frames {
    umem: Umem,
    fill: Writer<u64>,
    rx: Reader<Descriptor>,
    /// Chunks are given to the kernel when so many are free: not one by one, and not so late that it runs out of them.
    lot: usize,
}

impl Frames {
    fn new(umem: Umem, fill: Writer<u64>, rx: Reader<Descriptor>) -> Self {
        let lot = LOT.min(umem.len() / 8);
        Self { umem, fill, rx, lot }
    }

    fn take(&mut self, limit: usize, mut each: impl FnMut(u32, u32)) -> Result<usize, Damage> {
        self.umem.release();
        if self.umem.free() >= self.lot || self.umem.is_lent() {
            self.refill();
        }
        let limit = limit.min(self.rx.available() as usize);
        let mut taken = 0;
        while let Some(Descriptor { address, length, options }) = self.rx.peek().filter(|_| taken < limit) {
            let found = match options & CONTINUED {
                0 => self.umem.receive(address, length),
                _ => Err(Damage("a frame in parts that nobody asked for")),
            };
            match found {
                Ok(Received::At(offset)) => each(offset, length),
                Err(damage) if taken == 0 => return Err(damage),
                // Damage is told once what lay before it has been read.
                Ok(Received::Elsewhere) | Err(_) => break,
            }
            self.rx.advance();
            taken += 1;
        }
        if taken > 0 {
            self.rx.publish();
        }
        Ok(taken)
    }

    fn refill(&mut self) {
        self.umem.collect();
        let Self { umem, fill, .. } = self;
        let room = fill.room(umem.free() as u32) as usize;
        if umem.give(room, |address| fill.write(address)) > 0 {
            fill.publish();
        }
    }
}

impl Receiver {
    /// Opens a socket on a queue of an interface, with `chunks` of `chunk` bytes. It receives what a program redirects
    /// to it.
    ///
    /// # Errors
    /// As `socket(2)`, `setsockopt(2)`, `mmap(2)` and `bind(2)`, by [`Step`]; see [`XdpSocket`].
    pub fn open(
        (interface, queue): (u32, u32),
        (chunk, chunks): (u32, u32),
        copying: Copying,
    ) -> Result<Self, (Step, io::Error)> {
        let at = |step: Step| move |error: io::Error| (step, error);
        let umem = Umem::new(chunk as usize, chunks as usize).map_err(at(Step::Memory))?;
        let socket = XdpSocket::open().map_err(at(Step::Open))?;
        socket.register(umem.mapping(), chunk).map_err(at(Step::Memory))?;
        // As many entries as chunks: neither ring is ever the first to be full.
        let entries = (umem.len() as u32).next_power_of_two();
        let rings = || {
            socket.make(Which::Fill, entries)?;
            // The kernel wants it even of who sends nothing.
            socket.make(Which::Completion, 1)?;
            socket.make(Which::Rx, entries)?;
            Ok((socket.writer(Which::Fill, entries)?, socket.reader(Which::Rx, entries)?))
        };
        let (fill, rx) = rings().map_err(at(Step::Rings))?;
        let mut frames = Frames::new(umem, fill, rx);
        frames.refill();
        socket.bind(interface, queue, copying).map_err(at(Step::Bind))?;
        Ok(Self { socket, frames })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &XdpSocket {
        &self.socket
    }

    /// Chunks in all, and how many of them are leased out.
    #[must_use]
    pub fn chunks(&self) -> (usize, usize) {
        (self.frames.umem.len(), self.frames.umem.leased())
    }

    /// Frames to be taken.
    pub fn pending(&mut self) -> u32 {
        self.frames.rx.look()
    }

    /// Bytes of a chunk.
    #[must_use]
    pub fn chunk(&self) -> usize {
        self.frames.umem.chunk()
    }

    /// Chunks that are the kernel's to put frames into.
    pub fn fillable(&mut self) -> u32 {
        self.frames.fill.pending()
    }

    /// Takes the next run of frames, at most `limit` of them: offset in [`Self::bytes`] and length of each go to `each`.
    /// Gives up the run before, unless that was leased. Gives the number of frames.
    ///
    /// # Errors
    /// [`Damage`] where the kernel's ring contradicts itself; what lay before has been taken.
    pub fn take(&mut self, limit: usize, each: impl FnMut(u32, u32)) -> Result<usize, Damage> {
        let taken = self.frames.take(limit, each);
        if self.frames.fill.needs_wakeup() {
            self.socket.wake_rx();
        }
        taken
    }

    /// The run taken last; empty once it is given up or leased.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.frames.umem.bytes()
    }

    /// Lends the run out, to be read anywhere; `None` without one.
    pub fn lease(&mut self) -> Option<Lease> {
        self.frames.umem.lease()
    }

    /// Gives the run up and lets the kernel have all that is free.
    pub fn release(&mut self) {
        self.frames.umem.release();
        self.frames.refill();
    }
}

/// Where opening came to a halt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The socket itself.
    Open,
    /// The memory of its frames.
    Memory,
    /// Its rings.
    Rings,
    /// The queue.
    Bind,
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring::Layout;
    use super::super::ring::tests::{map, memory};
    use super::*;

    /// The kernel, as far as two rings show it: it takes chunks as they were given and reports a frame in each.
    struct Kernel {
        fill: Reader<u64>,
        rx: Writer<Descriptor>,
    }

    impl Kernel {
        /// Receives up to so many frames, each of the length that `length` gives for its chunk's address.
        fn receive(&mut self, frames: usize, length: impl Fn(u64) -> u32) -> usize {
            let frames = frames.min(self.fill.look() as usize);
            for _ in 0..frames {
                let chunk = self.fill.peek().expect("just counted");
                self.fill.advance();
                assert!(self.rx.room(1) > 0, "the rx ring has room for every chunk");
                self.rx.write(Descriptor { address: chunk + 256, length: length(chunk), options: 0 });
            }
            self.fill.publish();
            self.rx.publish();
            frames
        }
    }

    fn pair(chunks: u32) -> (Frames, Kernel) {
        let (fill, rx) = (memory(), memory());
        let umem = Umem::new(2048, chunks as usize).unwrap();
        let kernel = Kernel {
            fill: Reader::new(map(&fill), Layout::PLAIN, chunks).unwrap(),
            rx: Writer::new(map(&rx), Layout::PLAIN, chunks).unwrap(),
        };
        let fill = Writer::new(map(&fill), Layout::PLAIN, chunks).unwrap();
        let mut frames = Frames::new(umem, fill, Reader::new(map(&rx), Layout::PLAIN, chunks).unwrap());
        frames.refill();
        (frames, kernel)
    }

    /// A length that tells where the frame lies.
    fn length(chunk: u64) -> u32 {
        (chunk / 2048) as u32 + 1
    }

    #[test]
    fn every_frame_is_taken_once_over_many_rounds() {
        let (mut frames, mut kernel) = pair(256);
        let (mut sent, mut taken) = (0, 0);
        for round in 0..1000 {
            sent += kernel.receive(1 + round * 7 % 100, length);
            while taken < sent {
                let (mut last, mut found) = (None, 0);
                let run = frames.take(64, |offset, length| {
                    assert_eq!(offset % 2048, 256);
                    assert_eq!(offset / 2048, found, "side by side");
                    assert!(last.is_none_or(|last| length == last + 1), "in the kernel's order");
                    (last, found) = (Some(length), found + 1);
                });
                taken += run.unwrap();
                assert_eq!(frames.umem.bytes().len(), found as usize * 2048);
                assert!((1..=64).contains(&found));
            }
        }
        assert_eq!((frames.take(64, |_, _| ()), sent), (Ok(0), taken));
    }

    #[test]
    fn leased_runs_are_not_filled_again_until_they_come_back() {
        let (mut frames, mut kernel) = pair(128);
        let mut leases = Vec::new();
        while kernel.receive(32, length) > 0 {
            assert_eq!(frames.take(32, |_, _| ()), Ok(32));
            leases.push(frames.umem.lease().unwrap());
        }
        assert_eq!(leases.len(), 4);
        assert_eq!(frames.take(32, |_, _| ()), Ok(0));
        assert_eq!(kernel.receive(32, length), 0, "all are out");
        drop(leases.swap_remove(1));
        assert_eq!(frames.take(32, |_, _| ()), Ok(0));
        assert_eq!(kernel.receive(64, length), 32);
        drop(leases);
        let mut first = None;
        assert_eq!(frames.take(64, |_, length| first = first.or(Some(length))), Ok(32));
        assert_eq!(first, Some(33), "those that came back");
        frames.umem.release();
        frames.refill();
        assert_eq!(kernel.receive(1000, length), 128, "all are there again");
    }

    #[test]
    fn damage_is_told_once_what_lay_before_it_was_taken() {
        for (address, length, options) in [(0, 60, 0), (1 << 40, 60, 0), (2048 + 256, 60, CONTINUED)] {
            let (mut frames, mut kernel) = pair(64);
            kernel.receive(1, |_| 60);
            kernel.rx.write(Descriptor { address, length, options });
            kernel.rx.publish();
            assert_eq!(frames.take(64, |_, _| ()), Ok(1));
            assert!(frames.take(64, |_, _| ()).is_err());
            assert!(frames.take(64, |_, _| ()).is_err(), "it stays");
        }
    }
}
