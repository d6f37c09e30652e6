//! Steps made ready for many frames at once: loads of neighbouring bytes brought together in words.

use super::flat::{FIRST, Flat, Source, Step};
use crate::filter::graph::{Value, ValueId};

/// Steps that fit; what follows a step has a smaller number.
pub(super) const MOST_STEPS: usize = 256;
/// Words of a frame that are loaded.
pub(super) const MOST_WORDS: usize = 32;
/// Values that are kept in mind.
pub(super) const MOST_LOCALS: usize = 4;
/// Levels of values within one another.
const DEEPEST: u32 = 24;

/// Four bytes of a frame, of which as many are there as it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Word {
    /// The IPv4 header behind which it is counted, if not from the frame's beginning.
    pub(super) header: Option<u32>,
    pub(super) at: u32,
}

/// What a step asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// The word of that number, of which the first `bytes` bytes must be there.
    Word { number: u8, bytes: u8 },
    /// Length on the wire.
    Length,
    /// A value.
    Value(ValueId),
    /// Whether a value is in that set.
    Set(ValueId, u32),
    /// Whether both are the same.
    Same(ValueId, ValueId),
    /// Whether the first is at least the second.
    AtLeast(ValueId, ValueId),
    /// Nothing: the value is kept.
    Keep(ValueId, u8),
}

/// A step: for the first three `low <= (what is asked & mask) <= low + span`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) ask: Ask,
    pub(super) mask: u32,
    pub(super) low: u32,
    pub(super) span: u32,
    /// Where to go if not, and if so.
    pub(super) next: [u32; 2],
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// By number, less [`FIRST`].
    pub(super) steps: Vec<Planned>,
    pub(super) words: Vec<Word>,
    /// Where the decisions begin.
    pub(super) entry: u32,
    /// Whether anything of a frame is asked for but its length.
    pub(super) reads_bytes: bool,
}

impl Plan {
    /// For the decisions that begin at `entry`, and are all that stand before it. `None` where they are too many.
    pub(super) fn new(flat: &Flat, entry: u32) -> Option<Self> {
        let count = (entry + 1).saturating_sub(FIRST) as usize;
        let steps = flat.steps.get(..count).filter(|steps| steps.len() <= MOST_STEPS)?;
        let words = words(steps);
        if words.len() > MOST_WORDS {
            return None;
        }
        let steps: Vec<_> = steps.iter().map(|step| planned(flat, step, &words)).collect::<Option<_>>()?;
        let reads_bytes = steps.iter().any(|step| !matches!(step.ask, Ask::Length));
        Some(Self { steps, words, entry, reads_bytes })
    }
}

/// The words in which everything lies that steps load, as few as there can be.
fn words(steps: &[Step]) -> Vec<Word> {
    let mut loads: Vec<(Word, u8)> =
        steps.iter().filter_map(|step| Some((place(step)?, step.width))).collect();
    loads.sort_unstable();
    let mut words: Vec<Word> = Vec::new();
    for (load, width) in loads {
        if words.last().is_none_or(|word| within(*word, load, width).is_none()) {
            words.push(load);
        }
    }
    words
}

fn place(step: &Step) -> Option<Word> {
    match step.source {
        Source::Bytes => Some(Word { header: None, at: step.at }),
        Source::BehindHeader => Some(Word { header: Some(step.header), at: step.at }),
        _ => None,
    }
}

/// Where in a word the bytes stand, if all of them do.
fn within(word: Word, load: Word, width: u8) -> Option<u32> {
    let skipped = load.at.checked_sub(word.at)?;
    (word.header == load.header && skipped + u32::from(width) <= 4).then_some(skipped)
}

fn planned(flat: &Flat, step: &Step, words: &[Word]) -> Option<Planned> {
    let Step { at, mask, low, span, next, header, source, width } = *step;
    let value = |number: u32| {
        let id = flat.values.at(number);
        is_shallow(flat, id, DEEPEST).then_some(id)
    };
    let same = Planned { ask: Ask::Length, mask, low, span, next };
    Some(match source {
        Source::Length => same,
        Source::Value => Planned { ask: Ask::Value(value(at)?), ..same },
        Source::Set => Planned { ask: Ask::Set(value(at)?, header), ..same },
        Source::Two if span == 0 => Planned { ask: Ask::Same(value(at)?, value(low)?), ..same },
        Source::Two => Planned { ask: Ask::AtLeast(value(at)?, value(low)?), ..same },
        Source::Keep => {
            let local = u8::try_from(header).ok().filter(|local| usize::from(*local) < MOST_LOCALS)?;
            Planned { ask: Ask::Keep(value(at)?, local), ..same }
        }
        Source::Bytes | Source::BehindHeader => {
            let load = place(step)?;
            let find = |(number, word): (usize, &Word)| Some((number, within(*word, load, width)?));
            let (number, skipped) = words.iter().enumerate().find_map(find)?;
            // Bytes that stand at the upper end of a word in a step stand further down in this one.
            let bits = 8 * skipped;
            let ask = Ask::Word { number: number as u8, bytes: skipped as u8 + width };
            // A range that nothing lies in may begin below what is moved.
            let low = if mask == 0 { low } else { low >> bits };
            Planned { ask, mask: mask >> bits, low, span: span >> bits, next }
        }
    })
}

/// Whether a value is no more than so many levels deep and keeps to few locals.
fn is_shallow(flat: &Flat, id: ValueId, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let few = match flat.values.get(id) {
        Value::Local(local) => usize::from(local.0) < MOST_LOCALS,
        _ => true,
    };
    few && flat.values.parts(id).into_iter().flatten().all(|part| is_shallow(flat, part, depth))
}
