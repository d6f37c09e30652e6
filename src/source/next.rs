//! What a live source has next: gathered first, then handed out as a batch or as a chunk.

use super::Fill;
use crate::frame::Batch;

/// What gathering came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There are frames.
    Batch,
    /// None came for a while.
    Idle,
    /// Nothing more will come.
    End,
}

impl Next {
    /// As [`Source::fill`](super::Source::fill) says it, with the frames as a batch.
    pub(super) fn fill<'a>(self, frames: impl FnOnce() -> Batch<'a>) -> Fill<'a> {
        match self {
            Self::Batch => Fill::Batch(frames()),
            Self::Idle => Fill::Idle,
            Self::End => Fill::End,
        }
    }

    /// As [`ChunkSource::fill_chunk`](super::ChunkSource::fill_chunk) says it, once the frames are in the chunk.
    pub(super) fn fill_chunk(self, hand_over: impl FnOnce()) -> bool {
        if self == Self::Batch {
            hand_over();
        }
        self != Self::End
    }
}
