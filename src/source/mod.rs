//! Where frames come from, behind one trait: capture files, a live interface, a generator.

mod capture_file;
mod chunk;
mod lease;
mod next;
pub mod packet;
mod ring_use;
pub mod synthetic;
#[cfg(feature = "xdp")]
pub mod xdp;

pub use capture_file::{CaptureFile, ReadAhead};
pub use chunk::{Chunk, ChunkSource};
pub use lease::Lease;
pub use ring_use::{RingUse, Stamps};
pub use synthetic::Synthetic;

use crate::frame::{Batch, Interface, InterfaceStatistics};
use crate::sys::problem::Problem;
use next::Next;

/// Most frames in a batch.
pub const BATCH: usize = 256;

/// A stream of frames, handed out in batches that borrow from the source.
///
/// Contract, held by one battery over capture files and the synthetic source (`tests/source_contract.rs`) and by the live tests
/// over what comes off a wire:
/// frames are numbered from 1 without gaps; a batch holds at most `min(limit, BATCH)` frames; after
/// [`Fill::End`] or an error every later call gives [`Fill::End`]; an error comes only after every
/// frame that lay before it was handed out.
pub trait Source {
    /// Interfaces met so far, in order of appearance. The list only grows.
    fn interfaces(&self) -> &[Interface];

    /// The next frames, at most `limit` (at least 1) of them.
    ///
    /// # Errors
    /// When the input is damaged or the interface is gone; what came before has been handed out.
    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, Error>;

    /// Asks for an orderly end: no new frames are accepted from outside, those already accepted
    /// are still handed out, then [`Fill::End`]. A file simply ends here.
    ///
    /// # Errors
    /// When the kernel refuses; the source is then at its end.
    fn stop(&mut self) -> Result<(), Error>;

    /// Asked once, when all frames that were handed out have been dealt with: whether they were what they seemed.
    ///
    /// # Errors
    /// When bytes of some of them were gone before they were looked at: the source lent its frames, and whoever has their memory
    /// took it back.
    fn settle(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Counters up to now. Exact once the source has ended.
    fn counters(&mut self) -> Counters;

    /// What the input itself says about each of its [interfaces](Self::interfaces), as far as it does. Complete once the source
    /// has ended.
    fn statistics(&self) -> &[Option<InterfaceStatistics>] {
        &[]
    }

    /// Bytes read and in all, for a progress display; `None` for a live source or a pipe.
    fn progress(&self) -> Option<Progress> {
        None
    }

    /// Frames come whether we are ready or not, and are lost where there is no room: an interface, not a file or a
    /// pipe.
    fn is_live(&self) -> bool {
        false
    }

    /// The source as one whose frames may be read on other threads, and that several workers may share; `None` where
    /// frames cannot leave it: they are then copied for whoever reads them elsewhere.
    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        None
    }

    /// The source come apart into so many (at least 2) of their own, to be read side by side by as many workers, each
    /// without regard to the others: every frame will come from one of them, and it is they who count. This one is
    /// then at its end. Each part knows all interfaces, numbers its frames from 1, and lends its memory if this
    /// source does. `None` where there is no such way; then nothing has changed.
    ///
    /// Only for a source of which nothing has been read.
    fn divide(&mut self, parts: usize) -> Option<Result<Vec<Box<dyn Source + Send>>, Error>> {
        let _ = parts;
        None
    }

    /// How the kernel's rings fared up to now; `None` for a source without.
    fn ring_use(&self) -> Option<RingUse> {
        None
    }
}

/// A source chosen at run time.
impl<S: Source + ?Sized> Source for Box<S> {
    fn interfaces(&self) -> &[Interface] {
        (**self).interfaces()
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, Error> {
        (**self).fill(limit)
    }

    fn stop(&mut self) -> Result<(), Error> {
        (**self).stop()
    }

    fn settle(&mut self) -> Result<(), Error> {
        (**self).settle()
    }

    fn counters(&mut self) -> Counters {
        (**self).counters()
    }

    fn statistics(&self) -> &[Option<InterfaceStatistics>] {
        (**self).statistics()
    }

    fn progress(&self) -> Option<Progress> {
        (**self).progress()
    }

    fn is_live(&self) -> bool {
        (**self).is_live()
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        (**self).chunks()
    }

    fn divide(&mut self, parts: usize) -> Option<Result<Vec<Box<dyn Source + Send>>, Error>> {
        (**self).divide(parts)
    }

    fn ring_use(&self) -> Option<RingUse> {
        (**self).ring_use()
    }
}

/// What [`Source::fill`] brought.
#[derive(Debug)]
pub enum Fill<'a> {
    /// Frames (or annotations alone).
    Batch(Batch<'a>),
    /// A live source or a pipe waited a while (at most 100 ms) and nothing came.
    Idle,
    /// Nothing more will come.
    End,
}

/// How many frames a source received, and what became of those it did not hand out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that were for us: handed out, dropped, filtered or left unread.
    pub received: u64,
    /// Dropped by the kernel: the ring was full (`tp_drops`), or there was no memory for the frame (AF_XDP).
    pub dropped_ring: u64,
    /// Left out by the source on request (direction).
    pub filtered: u64,
    /// Still in the ring when the source was given up before its end.
    pub unread: u64,
    /// Times the kernel froze the ring's queue because it was full (`tp_freeze_q_cnt`).
    pub freezes: u64,
    /// Lost while the capture file was written that is read here, by what it says itself: none of ours.
    pub lost_earlier: u64,
}

/// How far a file has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file consumed, compressed where the file is.
    pub read: u64,
    /// Length of the file in bytes.
    pub total: u64,
}

/// Why a source failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// File, or `standard input`.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// Not a capture file at all.
    #[error("{path}: {reason}")]
    NotACapture {
        /// File, or `standard input`.
        path: String,
        /// What was found instead, and what is read.
        reason: String,
    },
    /// The file is damaged; every frame before the damage was handed out.
    #[error("{path}: damaged at byte {offset}, after {frames} packets: {reason}")]
    Damaged {
        /// File, or `standard input`.
        path: String,
        /// Where the damaged record or block begins, in the uncompressed file.
        offset: u64,
        /// Frames handed out before.
        frames: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The interface cannot be opened, or has gone.
    #[error("{interface}: {reason}")]
    Interface {
        /// Its name.
        interface: String,
        /// What happened and what to do.
        reason: String,
        /// The system's word, where it was the system that said so.
        source: Option<std::io::Error>,
    },
}

impl Error {
    pub(crate) fn of_interface(interface: String, problem: impl Into<Problem>) -> Self {
        let Problem { reason, cause } = problem.into();
        Self::Interface { interface, reason, source: cause }
    }
}
