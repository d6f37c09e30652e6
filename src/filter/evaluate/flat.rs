//! Decisions in a row of equal steps.

use super::plan::Word;
use crate::filter::graph::{Value, ValueId, Values, calculate};
use crate::filter::ir::{Metadata, Width};
use crate::frame::{Direction, Record};

/// The number of "not wanted", in place of a step's.
pub(super) const REJECT: u32 = 0;
/// The number of "wanted".
pub(super) const ACCEPT: u32 = 1;
/// Numbers below this are no steps'.
pub(super) const FIRST: u32 = 2;
/// Values that may be kept in mind for a frame.
pub(super) const LOCALS: usize = 256;

/// What a step looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Source {
    /// The four bytes at `at`; fewer are wanted where the mask has fewer, and then fewer need be there.
    Bytes,
    /// Likewise, that far behind the IPv4 header at `header`.
    BehindHeader,
    /// Length on the wire.
    Length,
    /// The value numbered `at`.
    Value,
    /// Whether the value numbered `at` is one of some numbers: those of the set `header`.
    Set,
    /// Whether the value numbered `at` is at least the one numbered `low`; the same if `span` is 0.
    Two,
    /// None: the value numbered `at` is kept as local `header`.
    Keep,
}

/// A step: `low <= (source & mask) <= low + span`, and where to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) at: u32,
    pub(super) mask: u32,
    pub(super) low: u32,
    pub(super) span: u32,
    /// Where to go if not, and if so: looked up, as no predictor knows which.
    pub(super) next: [u32; 2],
    pub(super) header: u32,
    pub(super) source: Source,
    /// Bytes that must be there, of the four.
    pub(super) width: u8,
}

const _: () = assert!(size_of::<Step>() == 32);

/// All steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Flat {
    pub(super) steps: Vec<Step>,
    pub(super) values: Values,
    /// Ascending numbers each.
    pub(super) sets: Vec<Vec<u32>>,
    /// Whether any value is kept in mind.
    pub(super) keeps: bool,
}

/// A frame while its decisions are made.
#[derive(Clone, Copy)]
pub(super) struct Frame<'f> {
    pub(super) data: &'f [u8],
    pub(super) record: &'f Record,
}

impl Flat {
    pub(super) fn len(&self) -> usize {
        self.steps.len() + FIRST as usize
    }

    /// Whether the frame is wanted, by the decisions that begin at step `at`.
    #[inline]
    pub(super) fn run(&self, at: u32, data: &[u8], record: &Record) -> bool {
        if at < FIRST { at == ACCEPT } else { self.walk(at, &Frame { data, record }) == Some(ACCEPT) }
    }

    /// `None` where something could not be read.
    fn walk(&self, mut at: u32, frame: &Frame<'_>) -> Option<u32> {
        while at >= FIRST {
            let step = self.steps.get((at - FIRST) as usize)?;
            let value = match step.source {
                Source::Bytes => frame.bytes(step.at as usize, step.width)?,
                Source::BehindHeader => {
                    frame.bytes((frame.header_length(step.header)? + step.at) as usize, step.width)?
                }
                Source::Length => frame.record.wire_length,
                // Room is cleared only where there is something to keep.
                _ if self.keeps => return self.walk_on(at, frame, &mut [0; LOCALS]),
                _ => return self.walk_on(at, frame, &mut []),
            };
            let holds = (value & step.mask).wrapping_sub(step.low) <= step.span;
            at = step.next[usize::from(holds)];
        }
        Some(at)
    }

    /// The same with everything there is, from where something uncommon was met.
    #[inline(never)]
    fn walk_on(&self, mut at: u32, frame: &Frame<'_>, locals: &mut [u32]) -> Option<u32> {
        while at >= FIRST {
            let step = self.steps.get((at - FIRST) as usize)?;
            let number = ValueNumber(step.at);
            let holds = match step.source {
                Source::Keep => {
                    *locals.get_mut(step.header as usize)? = self.value(number, frame, locals)?;
                    true
                }
                Source::Two => {
                    let value = self.value(number, frame, locals)?;
                    let other = self.value(ValueNumber(step.low), frame, locals)?;
                    if step.span == 0 { value == other } else { value >= other }
                }
                Source::Set => {
                    let value = self.value(number, frame, locals)?;
                    self.sets.get(step.header as usize)?.binary_search(&value).is_ok()
                }
                source => {
                    let value = match source {
                        Source::Bytes => frame.bytes(step.at as usize, step.width)?,
                        Source::BehindHeader => {
                            frame.bytes((frame.header_length(step.header)? + step.at) as usize, step.width)?
                        }
                        Source::Length => frame.record.wire_length,
                        _ => self.value(number, frame, locals)?,
                    };
                    (value & step.mask).wrapping_sub(step.low) <= step.span
                }
            };
            at = step.next[usize::from(holds)];
        }
        Some(at)
    }

    fn value(&self, number: ValueNumber, frame: &Frame<'_>, locals: &[u32]) -> Option<u32> {
        self.value_of(self.values.at(number.0), frame, locals)
    }

    fn value_of(&self, id: ValueId, frame: &Frame<'_>, locals: &[u32]) -> Option<u32> {
        Some(match self.values.get(id) {
            Value::Constant(constant) => constant,
            Value::Length => frame.record.wire_length,
            Value::Load { from, at, width } => {
                let from = from.map_or(Some(0), |from| self.value_of(from, frame, locals))?;
                frame.load(from.checked_add(at)?, width)?
            }
            Value::HeaderLength { at } => frame.header_length(at)?,
            Value::Arithmetic(operator, left, right) => {
                let left = self.value_of(left, frame, locals)?;
                calculate(operator, left, self.value_of(right, frame, locals)?)?
            }
            Value::Negate(of) => self.value_of(of, frame, locals)?.wrapping_neg(),
            Value::Metadata(metadata) => frame.metadata(metadata),
            Value::Local(local) => *locals.get(usize::from(local.0))?,
        })
    }
}

/// Number of a value, in a step.
#[derive(Clone, Copy)]
struct ValueNumber(u32);

/// Bits below those that a load of this width has, among 32.
pub(super) const fn unused_bits(width: Width) -> u32 {
    32 - 8 * width.bytes()
}

impl Frame<'_> {
    /// The `width` bytes there, at the upper end of a word; what is below them may be anything.
    #[inline(always)]
    pub(super) fn bytes(&self, at: usize, width: u8) -> Option<u32> {
        match self.data.get(at..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => Some(u32::from_be_bytes(*bytes)),
            None => self.last_bytes(at, width),
        }
    }

    /// The same, less than four bytes before the frame's end.
    #[cold]
    fn last_bytes(&self, at: usize, width: u8) -> Option<u32> {
        let left = self.data.get(at..).filter(|left| left.len() >= usize::from(width))?;
        let mut bytes = [0; 4];
        bytes.iter_mut().zip(left).for_each(|(to, from)| *to = *from);
        Some(u32::from_be_bytes(bytes))
    }

    /// The number there.
    #[inline]
    pub(super) fn load(&self, at: u32, width: Width) -> Option<u32> {
        Some(self.bytes(at as usize, width.bytes() as u8)? >> unused_bits(width))
    }

    /// The length of an IPv4 header there.
    #[inline(always)]
    pub(super) fn header_length(&self, at: u32) -> Option<u32> {
        Some(4 * (u32::from(*self.data.get(at as usize)?) & 15))
    }

    /// Where a word begins.
    #[inline(always)]
    pub(super) fn place(&self, word: Word) -> Option<usize> {
        let behind = word.header.map_or(Some(0), |header| self.header_length(header))?;
        (behind as usize).checked_add(word.at as usize)
    }

    pub(super) fn metadata(&self, metadata: Metadata) -> u32 {
        match metadata {
            Metadata::VlanTagPresent | Metadata::VlanTag | Metadata::VlanProtocol | Metadata::Protocol => 0,
            Metadata::PacketType => match self.record.direction {
                Direction::Out => libc::PACKET_OUTGOING.into(),
                Direction::In | Direction::Unknown => 0,
            },
            Metadata::Interface => self.record.interface.0,
        }
    }
}
