//! Who owns which block of a `TPACKET_V3` ring.
//!
//! The kernel fills blocks in turn and hands each over by setting [`STATUS_USER`] in its status word,
//! after its last write to the block (`prb_flush_block` in `net/packet/af_packet.c`). We give it back by
//! storing 0 there, after our last access. Between the two the block is ours alone.
//!
//! Of ours at most one is held, to be put right and read within the ring's own thread. It can be
//! [leased](BlockRing::lease): then it may be read anywhere, by any number of readers, and goes back when the last of
//! them has dropped its [`Lease`], in whatever order blocks are done with. The kernel takes them in turn all the
//! same: it goes on once the one it has come to is its own again.

use super::mapping::Mapping;
use super::packet_abi::{BlockDescriptor, RingRequest, STATUS_USER};
use super::packet_socket::PacketSocket;
use super::readers::Readers;
use crossbeam::utils::CachePadded;
use std::fmt;
use std::io;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use zerocopy::FromBytes;

/// Bytes at the head of a block that are not frames.
const DESCRIPTOR: usize = size_of::<BlockDescriptor>();

/// A ring of blocks, of which at most one at a time is held, and any number leased out.
#[derive(Debug)]
pub struct BlockRing {
    blocks: Arc<Blocks>,
    /// The block held, or the one to come next.
    current: usize,
    held: bool,
}

/// What the ring and its leases share. It is unmapped when all of them have gone.
struct Blocks {
    mapping: Mapping,
    block_size: usize,
    /// One for each block, each on lines of its own: readers of different blocks do not disturb each other.
    readers: Box<[CachePadded<Readers>]>,
    /// Blocks leased out.
    leased: CachePadded<AtomicUsize>,
}

/// A look at a ring from outside: how full it is. It keeps the ring's memory mapped.
#[derive(Debug)]
pub struct Watch(Arc<Blocks>);

impl Watch {
    /// Blocks in the ring.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.0.readers.len()
    }

    /// Of these, how many the kernel has handed over and not got back, at about this moment.
    #[must_use]
    pub fn in_use(&self) -> usize {
        // Relaxed: nothing is read by it.
        let is_ours = |index: &usize| self.0.status(*index).load(Ordering::Relaxed) & STATUS_USER != 0;
        (0..self.blocks()).filter(is_ours).count()
    }
}

/// The right to read a block's frames wherever the lease goes, beyond the ring's own life too. Dropping it is the
/// return: the block goes back to the kernel with the last lease of it.
pub struct Lease {
    blocks: Arc<Blocks>,
    index: usize,
}

impl Lease {
    /// The block behind its descriptor.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: this lease is a reader of the block, so it is not given back, and the kernel does not write to it
        // (module text), while `self` is borrowed. Of ours, only `BlockRing::body_mut` writes, to the block held; a
        // leased one is not held, and `take` does not come to hold it before its readers are gone.
        unsafe { self.blocks.mapping.slice(self.blocks.body(self.index)) }
    }

    /// A lease of the same block for one reader more.
    #[must_use]
    pub fn share(&self) -> Self {
        self.blocks.readers[self.index].share();
        Self { blocks: Arc::clone(&self.blocks), index: self.index }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.blocks.readers[self.index].leave(|| {
            self.blocks.give_back(self.index);
            // Relaxed: a rough count is enough for who asks.
            self.blocks.leased.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("block", &self.index).finish_non_exhaustive()
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("block_size", &self.block_size)
            .field("blocks", &self.readers.len())
            .field("leased", &self.leased)
            .finish_non_exhaustive()
    }
}

impl Blocks {
    fn body(&self, index: usize) -> Range<usize> {
        let start = index * self.block_size;
        start + DESCRIPTOR..start + self.block_size
    }

    fn status(&self, index: usize) -> &AtomicU32 {
        self.mapping.word(index * self.block_size + offset_of!(BlockDescriptor, status))
    }

    fn give_back(&self, index: usize) {
        // Release: our reads of the block come before the kernel may write to it again.
        self.status(index).store(0, Ordering::Release);
    }
}

impl BlockRing {
    /// Asks the kernel for a ring of version 3 and maps it.
    ///
    /// # Errors
    /// As `setsockopt(PACKET_VERSION)`, `setsockopt(PACKET_RX_RING)` and `mmap(2)`: `InvalidInput` for a
    /// geometry the kernel does not take, `OutOfMemory` when it has no such memory, `ResourceBusy` when the
    /// socket has a ring.
    pub fn of_socket(socket: &PacketSocket, request: &RingRequest) -> io::Result<Self> {
        let (block_size, block_count) = (request.block_size as usize, request.block_count as usize);
        let length = block_size.checked_mul(block_count).ok_or(io::ErrorKind::InvalidInput)?;
        socket.set_version_3()?;
        // Refused for as long as a ring of the socket is mapped, by this or by leases of it: there is no second mapping.
        socket.set_ring(request)?;
        Self::new(Mapping::shared(socket, length)?, block_size)
    }

    /// A ring in plain memory, with nobody who fills it: for tests.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub fn in_memory(block_size: usize, block_count: usize) -> io::Result<Self> {
        let length = block_size.checked_mul(block_count).ok_or(io::ErrorKind::InvalidInput)?;
        Self::new(Mapping::anonymous(length)?, block_size)
    }

    fn new(mapping: Mapping, block_size: usize) -> io::Result<Self> {
        if block_size < DESCRIPTOR || !block_size.is_multiple_of(8) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let readers = (0..mapping.len() / block_size).map(|_| CachePadded::new(Readers::none())).collect();
        let blocks = Blocks { mapping, block_size, readers, leased: CachePadded::default() };
        Ok(Self { blocks: Arc::new(blocks), current: 0, held: false })
    }

    /// Takes the next block if the kernel has handed it over. The one held so far must have been released or leased.
    pub fn take(&mut self) -> bool {
        debug_assert!(!self.held, "release comes before take");
        // A block that is leased still bears the kernel's mark of the last time: in this order it is not taken twice.
        // Acquire pairs with the kernel's barrier before it sets the status: what it wrote to the block
        // before is visible after.
        self.held = self.held
            || self.blocks.readers[self.current].is_free()
                && self.blocks.status(self.current).load(Ordering::Acquire) & STATUS_USER != 0;
        self.held
    }

    /// A look at how full the ring is, for another thread.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.blocks))
    }

    /// Lends the held block out, to be read anywhere: it is held no longer. `None` without one.
    pub fn lease(&mut self) -> Option<Lease> {
        if !std::mem::take(&mut self.held) {
            return None;
        }
        let index = self.current;
        self.blocks.readers[index].begin();
        self.blocks.leased.fetch_add(1, Ordering::Relaxed);
        self.current = (self.current + 1) % self.len();
        Some(Lease { blocks: Arc::clone(&self.blocks), index })
    }

    /// Blocks in the ring.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a ring without blocks cannot be made")]
    pub fn len(&self) -> usize {
        self.blocks.readers.len()
    }

    /// Bytes in a block.
    #[must_use]
    pub fn block_size(&self) -> usize {
        self.blocks.block_size
    }

    /// Blocks handed over by the kernel that wait here, the held one among them.
    #[must_use]
    pub fn filled(&self) -> usize {
        let is_ours = |ahead: usize| {
            let index = (self.current + ahead) % self.len();
            self.blocks.readers[index].is_free()
                && self.blocks.status(index).load(Ordering::Relaxed) & STATUS_USER != 0
        };
        // They come in turn, so the first that is not ours ends them: double the steps, then halve.
        let (mut ours, mut step) = (0, 1);
        if !is_ours(0) {
            return 0;
        }
        while ours + step < self.len() && is_ours(ours + step) {
            ours += step;
            step *= 2;
        }
        let mut not_ours = (ours + step).min(self.len());
        while not_ours - ours > 1 {
            let middle = ours.midpoint(not_ours);
            if is_ours(middle) { ours = middle } else { not_ours = middle }
        }
        ours + 1
    }

    /// Blocks leased out: that many at most, as some may be coming back.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.blocks.leased.load(Ordering::Relaxed)
    }

    /// Gives the held block back to the kernel; without one, does nothing.
    pub fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            self.blocks.give_back(self.current);
            self.current = (self.current + 1) % self.len();
        }
    }

    /// What the kernel says of the held block.
    #[must_use]
    pub fn descriptor(&self) -> Option<BlockDescriptor> {
        let start = self.current * self.blocks.block_size;
        // SAFETY: a held block is ours until `release` or a lease's end (module text): nobody writes to it while this
        // copy is made.
        let bytes = self.held.then(|| unsafe { self.blocks.mapping.slice(start..start + DESCRIPTOR) })?;
        BlockDescriptor::read_from_bytes(bytes).ok()
    }

    /// The held block behind its descriptor.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        // SAFETY: a held block is ours until `release` or `lease`, which take `&mut self` and so outlast this borrow:
        // the kernel does not write to it meanwhile (module text), and what of ours writes takes `&mut self` too.
        self.held.then(|| unsafe { self.blocks.mapping.slice(self.blocks.body(self.current)) })
    }

    /// The held block behind its descriptor, to put bytes right within it.
    pub fn body_mut(&mut self) -> Option<&mut [u8]> {
        let range = self.blocks.body(self.current);
        // SAFETY: as in `body`; `&mut self` excludes every other borrow through the ring, and there is no lease of a
        // held block: `take` found it without readers, and `lease`, which makes one, ends the holding. Of a block
        // that is not its own the kernel reads the status word alone, which is not in the slice: no writer of it can
        // give the block away.
        self.held.then(|| unsafe { self.blocks.mapping.slice_mut(range) })
    }

    /// What the kernel does with a block that is its own: fills it and hands it over.
    #[cfg(test)]
    pub(crate) fn fill_as_kernel(&mut self, index: usize, bytes: &[u8]) {
        let start = index * self.blocks.block_size;
        assert_eq!(self.blocks.status(index).load(Ordering::Acquire) & STATUS_USER, 0, "it is ours");
        // SAFETY: the block is the kernel's, whom this function plays: no borrow of it lives.
        unsafe { self.blocks.mapping.slice_mut(start..start + self.blocks.block_size) }
            .copy_from_slice(bytes);
        self.blocks.status(index).store(STATUS_USER, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
