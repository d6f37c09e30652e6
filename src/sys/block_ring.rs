//! Who owns which block of a `TPACKET_V3` ring.
//!
//! The kernel fills blocks in turn and hands each over by setting [`STATUS_USER`] in its status word,
//! after its last write to the block (`prb_flush_block` in `net/packet/af_packet.c`). We give it back by
//! storing 0 there, after our last access. Between the two the block is ours alone.

use super::mapping::Mapping;
use super::packet_abi::{BlockDescriptor, RingRequest, STATUS_USER};
use super::packet_socket::PacketSocket;
use std::io;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use zerocopy::FromBytes;

/// Bytes at the head of a block that are not frames.
const DESCRIPTOR: usize = size_of::<BlockDescriptor>();

/// A ring of blocks, of which at most one at a time is held.
#[derive(Debug)]
pub struct BlockRing {
    mapping: Mapping,
    block_size: usize,
    block_count: usize,
    /// The block held, or the one to come next.
    current: usize,
    held: bool,
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
        let block_count = mapping.len() / block_size;
        Ok(Self { mapping, block_size, block_count, current: 0, held: false })
    }

    /// Takes the next block if the kernel has handed it over. The one held so far must have been released.
    pub fn take(&mut self) -> bool {
        debug_assert!(!self.held, "release comes before take");
        // Acquire pairs with the kernel's barrier before it sets the status: what it wrote to the block
        // before is visible after.
        self.held = self.held || self.status().load(Ordering::Acquire) & STATUS_USER != 0;
        self.held
    }

    /// Gives the held block back to the kernel; without one, does nothing.
    pub fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            // Release: our reads of the block come before the kernel may write to it again.
            self.status().store(0, Ordering::Release);
            self.current = (self.current + 1) % self.block_count;
        }
    }

    /// What the kernel says of the held block.
    #[must_use]
    pub fn descriptor(&self) -> Option<BlockDescriptor> {
        let start = self.current * self.block_size;
        // SAFETY: a held block is ours until `release` (module text): nobody writes to it while this copy is made.
        let bytes = self.held.then(|| unsafe { self.mapping.slice(start..start + DESCRIPTOR) })?;
        BlockDescriptor::read_from_bytes(bytes).ok()
    }

    /// The held block behind its descriptor.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        // SAFETY: a held block is ours until `release`, which takes `&mut self` and so outlasts this borrow:
        // the kernel does not write to it meanwhile (module text), and what of ours writes takes `&mut self` too.
        self.held.then(|| unsafe { self.mapping.slice(self.current_body()) })
    }

    /// The held block behind its descriptor, to put bytes right within it.
    pub fn body_mut(&mut self) -> Option<&mut [u8]> {
        let range = self.current_body();
        // SAFETY: as in `body`; `&mut self` excludes every other borrow. Of a block that is not its own the kernel
        // reads the status word alone, which is not in the slice: no writer of it can give the block away.
        self.held.then(|| unsafe { self.mapping.slice_mut(range) })
    }

    fn current_body(&self) -> Range<usize> {
        let start = self.current * self.block_size;
        start + DESCRIPTOR..start + self.block_size
    }

    fn status(&self) -> &AtomicU32 {
        self.mapping.word(self.current * self.block_size + offset_of!(BlockDescriptor, status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 4096;

    /// What the kernel does: fills the block, then hands it over.
    fn fill(ring: &mut BlockRing, index: usize, byte: u8) {
        // SAFETY: nobody else knows of this memory, and no borrow of it lives.
        unsafe { ring.mapping.slice_mut(index * BLOCK + 48..(index + 1) * BLOCK) }.fill(byte);
        ring.mapping.word(index * BLOCK + 8).store(STATUS_USER, Ordering::Release);
    }

    fn owner(ring: &BlockRing, index: usize) -> u32 {
        ring.mapping.word(index * BLOCK + 8).load(Ordering::Acquire)
    }

    #[test]
    fn blocks_come_in_turn_and_go_back() {
        let mut ring = BlockRing::in_memory(BLOCK, 3).unwrap();
        assert!(!ring.take() && ring.body().is_none() && ring.body_mut().is_none());
        assert!(ring.descriptor().is_none());
        for turn in 0..7 {
            let index = turn % 3;
            fill(&mut ring, index, turn as u8);
            assert!(ring.take());
            assert_eq!(ring.body().unwrap(), [turn as u8; BLOCK - 48]);
            assert_eq!(ring.descriptor().unwrap().status, STATUS_USER);
            ring.body_mut().unwrap().fill(0);
            assert_eq!(owner(&ring, index), STATUS_USER, "held until released");
            ring.release();
            assert_eq!(owner(&ring, index), 0);
            assert!(ring.body().is_none() && !ring.take());
        }
    }

    #[test]
    fn a_block_out_of_turn_waits() {
        let mut ring = BlockRing::in_memory(BLOCK, 2).unwrap();
        fill(&mut ring, 1, 1);
        assert!(!ring.take());
        ring.release();
        fill(&mut ring, 0, 0);
        assert!(ring.take());
        ring.release();
        assert!(ring.take());
        assert_eq!(ring.body().unwrap()[0], 1);
    }

    #[test]
    fn geometries_that_cannot_be_are_refused() {
        for (size, count) in [(0, 4), (40, 100), (4097, 2), (usize::MAX, 2)] {
            assert!(BlockRing::in_memory(size, count).is_err(), "{size} x {count}");
        }
    }
}
