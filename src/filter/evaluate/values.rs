//! What is calculated of many frames' bytes.

use super::columns::{ALL, Frames, LANES, Machine, Numbers, bits, each, lanes_where};
use super::flat::{Flat, unused_bits};
use super::plan::{Ask, MOST_LOCALS, Planned, Word};
use crate::filter::graph::{Value, ValueId, calculate};
use crate::filter::ir::{Local, Operator, Width};

/// Values that are kept in mind.
pub(super) struct Locals([Numbers; MOST_LOCALS]);

impl Locals {
    pub(super) const NONE: Self = Self([Numbers::NONE; MOST_LOCALS]);

    /// Of which frames an uncommon step holds, and of which all that it asks for could be read; both meant of `lanes`.
    #[inline(never)]
    pub(super) fn ask<M: Machine>(
        &mut self,
        machine: M,
        flat: &Flat,
        step: &Planned,
        frames: &Frames<'_>,
        lanes: u64,
    ) -> (u64, u64) {
        let calculator = Calculator { machine, flat, frames };
        let Planned { mask, low, span, .. } = *step;
        let (mut left, mut right) = (Numbers::NONE, Numbers::NONE);
        match step.ask {
            // Asked elsewhere.
            Ask::Word { .. } | Ask::Length => (0, 0),
            Ask::Value(value) => {
                let read = calculator.value(self, value, lanes, &mut left);
                (bits(|lane| (left.0[lane] & mask).wrapping_sub(low) <= span), read)
            }
            Ask::Set(value, set) => {
                let read = calculator.value(self, value, lanes, &mut left);
                let Some(set) = flat.sets.get(set as usize) else { return (0, 0) };
                (lanes_where(lanes & read, |lane| set.binary_search(&left.0[lane]).is_ok()), read)
            }
            Ask::Same(value, other) | Ask::AtLeast(value, other) => {
                let read = calculator.value(self, value, lanes, &mut left);
                let read = read & calculator.value(self, other, lanes, &mut right);
                let holds = match step.ask {
                    Ask::Same(..) => bits(|lane| left.0[lane] == right.0[lane]),
                    _ => bits(|lane| left.0[lane] >= right.0[lane]),
                };
                (holds, read)
            }
            Ask::Keep(value, local) => {
                let read = calculator.value(self, value, lanes, &mut left);
                let kept = &mut self.0[usize::from(local) % MOST_LOCALS];
                each(lanes).for_each(|lane| kept.0[lane] = left.0[lane]);
                (ALL, read)
            }
        }
    }
}

/// What values are made of.
struct Calculator<'c, 'f, M> {
    machine: M,
    flat: &'c Flat,
    frames: &'c Frames<'f>,
}

impl<M: Machine> Calculator<'_, '_, M> {
    /// Puts the value of `lanes` into `numbers`; gives those of which it could be read.
    fn value(&self, locals: &Locals, id: ValueId, lanes: u64, numbers: &mut Numbers) -> u64 {
        let frames = self.frames;
        match self.flat.values.get(id) {
            Value::Constant(constant) => numbers.0 = [constant; LANES],
            Value::Length => frames.wire_lengths(numbers),
            Value::Metadata(metadata) => {
                each(lanes).for_each(|lane| numbers.0[lane] = frames.frame(lane).metadata(metadata));
            }
            Value::Local(Local(local)) => *numbers = locals.0[usize::from(local) % MOST_LOCALS],
            Value::HeaderLength { at } => {
                let read = self.load(Word { header: None, at }, Width::Byte, lanes, numbers);
                numbers.0.iter_mut().for_each(|number| *number = 4 * (*number & 15));
                return read;
            }
            Value::Load { from: None, at, width } => {
                return self.load(Word { header: None, at }, width, lanes, numbers);
            }
            Value::Load { from: Some(from), at, width } => {
                if let Value::HeaderLength { at: header } = self.flat.values.get(from) {
                    return self.load(Word { header: Some(header), at }, width, lanes, numbers);
                }
                let read = self.value(locals, from, lanes, numbers);
                let load = |lane, from: u32| frames.frame(lane).load(from.checked_add(at)?, width);
                return change_each(lanes & read, numbers, load);
            }
            Value::Negate(of) => {
                let read = self.value(locals, of, lanes, numbers);
                numbers.0.iter_mut().for_each(|number| *number = number.wrapping_neg());
                return read;
            }
            Value::Arithmetic(operator, left, right) => {
                let mut others = Numbers::NONE;
                let read = self.value(locals, left, lanes, numbers);
                let read = read & self.value(locals, right, lanes, &mut others);
                if let Operator::Divide | Operator::Remainder = operator {
                    let divide = |lane: usize, left| calculate(operator, left, others.0[lane]);
                    return change_each(lanes & read, numbers, divide);
                }
                join(operator, numbers, &others);
                return read;
            }
        }
        ALL
    }

    fn load(&self, word: Word, width: Width, lanes: u64, numbers: &mut Numbers) -> u64 {
        let mut read = self.machine.load(self.frames, word, lanes, numbers);
        if read != lanes {
            let cut = self.frames.have(word, width.bytes() as u8, lanes & !read);
            self.frames.load_parts(word, cut, numbers);
            read |= cut;
        }
        numbers.0.iter_mut().for_each(|number| *number >>= unused_bits(width));
        read
    }
}

/// An operation that never fails, on all frames.
fn join(operator: Operator, numbers: &mut Numbers, others: &Numbers) {
    /// One loop for each operation: there is no choice within it.
    fn with(numbers: &mut Numbers, others: &Numbers, operation: impl Fn(u32, u32) -> u32) {
        let both = numbers.0.iter_mut().zip(&others.0);
        both.for_each(|(number, other)| *number = operation(*number, *other));
    }
    match operator {
        Operator::Add => with(numbers, others, u32::wrapping_add),
        Operator::Subtract => with(numbers, others, u32::wrapping_sub),
        Operator::Multiply => with(numbers, others, u32::wrapping_mul),
        Operator::And => with(numbers, others, |a, b| a & b),
        Operator::Or => with(numbers, others, |a, b| a | b),
        Operator::Xor => with(numbers, others, |a, b| a ^ b),
        _ => with(numbers, others, |a, b| calculate(operator, a, b).unwrap_or_default()),
    }
}

/// Puts what `change` makes of each number into its place; gives those of which it made any.
fn change_each(lanes: u64, numbers: &mut Numbers, change: impl Fn(usize, u32) -> Option<u32>) -> u64 {
    lanes_where(lanes, |lane| match change(lane, numbers.0[lane]) {
        Some(number) => {
            numbers.0[lane] = number;
            true
        }
        None => false,
    })
}
