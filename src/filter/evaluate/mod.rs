//! Filters run here: the decisions laid out flat, for each common kind of frame those that are left of them.
//!
//! What a compiled BPF program asks first of nearly every frame (is it IPv4, without options, no later fragment, TCP) is asked once
//! for all filters, in `kind`: the decisions are simplified ahead for each answer, so that of `tcp port 80` two loads of a port
//! are left, and of `udp` nothing. What a load reads is checked against the frame's end each time; nothing is allocated.

mod flat;
mod kind;
mod lay_out;

use super::graph::Problem;
use super::ir::Test;
use crate::frame::{Batch, Frame, LinkType};
use crate::parse::Packet;
use flat::Flat;
use kind::Kinds;

/// Why a test cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// More decisions, or values to be kept in mind, than are looked at.
    #[error("the filter is too large")]
    TooLarge,
    /// A local outside of its definition: a defect of whoever made the tree.
    #[error("the filter's form is broken: a local without a value")]
    Broken,
}

impl From<Problem> for EvaluateError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::TooLarge => Self::TooLarge,
            Problem::UnknownLocal(_) => Self::Broken,
        }
    }
}

/// A test made ready for frames of one link type.
///
/// ```
/// use wharf::filter::evaluate::Evaluator;
/// use wharf::filter::ir::Value;
/// use wharf::frame::{Frame, LinkType};
///
/// let is_arp = Evaluator::new(&Value::half(12).is(0x0806), LinkType::ETHERNET)?;
/// let mut bytes = [0; 60];
/// bytes[12..14].copy_from_slice(&[8, 6]);
/// assert!(is_arp.matches_frame(&Frame::new(LinkType::ETHERNET, &bytes)));
/// assert!(!is_arp.matches_frame(&Frame::new(LinkType::ETHERNET, &bytes[..13])));
/// # Ok::<(), wharf::filter::evaluate::EvaluateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Evaluator {
    flat: Flat,
    kinds: Kinds,
}

impl Evaluator {
    /// Makes a test ready that was lowered for frames of this link type.
    ///
    /// # Errors
    /// [`EvaluateError`].
    pub fn new(test: &Test, link_type: LinkType) -> Result<Self, EvaluateError> {
        let graph = super::bpf::optimised(test)?;
        let mut flat = Flat::default();
        let kinds = Kinds::new(graph, link_type, &mut flat)?;
        Ok(Self { flat, kinds })
    }

    /// Whether the packet is wanted.
    #[inline]
    #[must_use]
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        self.matches_frame(packet.frame())
    }

    /// Whether the frame is wanted.
    #[inline]
    #[must_use]
    pub fn matches_frame(&self, frame: &Frame<'_>) -> bool {
        self.flat.run(self.kinds.entry(frame.data), frame.data, &frame.record)
    }

    /// Adds to `wanted` the indices of those frames of a batch that are, in order.
    ///
    /// # Panics
    /// When the batch has more than 65,536 frames; no source hands out as many.
    pub fn choose(&self, batch: Batch<'_>, wanted: &mut Vec<u16>) {
        assert!(batch.len() <= 1 << 16, "a batch of {} frames", batch.len());
        let slab = batch.slab();
        let before = wanted.len();
        // Every index is written, and the wanted ones stay: whether a frame is wanted is what no branch predictor knows.
        wanted.resize(before + batch.len(), 0);
        let mut end = before;
        for (index, record) in batch.records().iter().enumerate() {
            // Within the slab, as every batch promises; what is not there is an empty frame.
            let start = record.offset as usize;
            let data = slab.get(start..start + record.captured as usize).unwrap_or_default();
            wanted[end] = index as u16;
            end += usize::from(self.flat.run(self.kinds.entry(data), data, record));
        }
        wanted.truncate(end);
    }
}

#[cfg(test)]
mod tests;
