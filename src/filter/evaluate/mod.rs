//! Filters run here: the decisions laid out flat.
//!
//! **A batch** is asked step by step, and each step of 64 frames at once (`lanes`): which frames have come to it is a mask, and so
//! is what becomes of them. **A single frame** is walked through the steps. What a compiled BPF program asks first of nearly every one
//! (is it IPv4, without options, no later fragment, TCP) is asked once for all filters, in `kind`: the decisions are simplified ahead
//! for each answer, so that of `tcp port 80` two loads of a port are left, and of `udp` nothing. What a load reads is checked against
//! the frame's end each time; nothing is allocated.

mod columns;
mod flat;
mod kind;
mod lanes;
mod lay_out;
mod plan;
mod values;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86_64;

use super::graph::Problem;
use super::ir::Test;
use crate::frame::{Batch, Frame, LinkType};
use crate::parse::Packet;
use columns::Portable;
use flat::Flat;
use kind::Kinds;
use plan::Plan;

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

/// Fewer frames are walked one by one.
const FEW: usize = 8;

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
    /// For many frames at once; none where there are too many steps for it.
    plan: Option<Plan>,
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
        let plan = Plan::new(&flat, kinds.general());
        Ok(Self { flat, kinds, plan })
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
        match &self.plan {
            Some(plan) if batch.len() >= FEW => {
                #[cfg(target_arch = "x86_64")]
                if x86_64::choose(plan, &self.flat, batch, wanted) {
                    return;
                }
                lanes::choose(Portable, plan, &self.flat, batch, wanted);
            }
            _ => self.walk_each(batch, wanted),
        }
    }

    /// Frame by frame.
    fn walk_each(&self, batch: Batch<'_>, wanted: &mut Vec<u16>) {
        let slab = batch.slab();
        for (record, index) in batch.records().iter().zip(0..) {
            // Within the slab, as every batch promises; what is not there is an empty frame.
            let start = record.offset as usize;
            let data = slab.get(start..start + record.captured as usize).unwrap_or_default();
            if self.flat.run(self.kinds.entry(data), data, record) {
                wanted.push(index);
            }
        }
    }
}

#[cfg(test)]
mod tests;
