//! Memory that frames are read in after their source has gone on.

use super::capture_file::Window;
use crate::sys::block_ring;
#[cfg(feature = "xdp")]
use crate::sys::xdp;
use std::sync::Arc;

/// The right to read frames where their source put them, beyond [`Source::fill`](super::Source::fill) and on any
/// thread.
///
/// It cannot be cloned: every reader has a lease of its own, [shared](Self::share) out, and returns it once, by
/// dropping it. Memory goes back when its last lease has, in whatever order leases of different memory do: a block of
/// the kernel's ring, or chunks of an AF_XDP socket's memory, to the kernel, to be filled again; the table of a
/// generator, which nobody writes to, when the generator has gone too. Frames of a capture file lie in memory that
/// their [`Chunk`](super::Chunk) owns, and need no lease, or in a mapping of the file, which lasts as long as its
/// leases.
#[derive(Debug)]
pub struct Lease(Memory);

#[derive(Debug)]
enum Memory {
    Block(block_ring::Lease),
    #[cfg(feature = "xdp")]
    Chunks(xdp::Lease),
    Table(Arc<[u8]>),
    Window(Window),
}

impl Lease {
    /// Whether the source waits for this memory to come back: it can go on for a while without, but not for ever.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !matches!(self.0, Memory::Table(_) | Memory::Window(_))
    }

    pub(super) fn of_block(block: block_ring::Lease) -> Self {
        Self(Memory::Block(block))
    }

    #[cfg(feature = "xdp")]
    pub(super) fn of_chunks(chunks: xdp::Lease) -> Self {
        Self(Memory::Chunks(chunks))
    }

    pub(super) fn of_window(window: Window) -> Self {
        Self(Memory::Window(window))
    }

    /// How far behind each of the bytes lies what its reader will read next; 0 where that is not known.
    pub(super) fn ahead(&self) -> u32 {
        if let Memory::Window(window) = &self.0 { window.ahead() } else { 0 }
    }

    pub(super) fn of_table(table: &Arc<[u8]>) -> Self {
        Self(Memory::Table(Arc::clone(table)))
    }

    /// The memory.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Memory::Block(block) => block.bytes(),
            #[cfg(feature = "xdp")]
            Memory::Chunks(chunks) => chunks.bytes(),
            Memory::Table(table) => table,
            Memory::Window(window) => window.bytes(),
        }
    }

    /// A lease of the same memory for one reader more.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(match &self.0 {
            Memory::Block(block) => Memory::Block(block.share()),
            #[cfg(feature = "xdp")]
            Memory::Chunks(chunks) => Memory::Chunks(chunks.share()),
            Memory::Table(table) => Memory::Table(Arc::clone(table)),
            Memory::Window(window) => Memory::Window(window.clone()),
        })
    }
}
