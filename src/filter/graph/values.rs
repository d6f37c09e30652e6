//! Values, each kept once: equal values have equal numbers, and what can be calculated ahead is.

use super::Facts;
use crate::filter::ir::{Local, Metadata, Operator, Width};
use std::collections::{HashMap, HashSet};

/// A value's number in its [`Values`]; what a value is made of has a smaller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ValueId(u32);

impl ValueId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }
}

/// As [`ir::Value`](crate::filter::ir::Value), with numbers for what is within; choices are made by the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Constant(u32),
    Length,
    Load { from: Option<ValueId>, at: u32, width: Width },
    HeaderLength { at: u32 },
    Arithmetic(Operator, ValueId, ValueId),
    Negate(ValueId),
    Metadata(Metadata),
    Local(Local),
}

/// All values of a graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    all: Vec<Value>,
    numbers: HashMap<Value, ValueId>,
}

impl Values {
    pub(crate) fn get(&self, id: ValueId) -> Value {
        self.all[id.index()]
    }

    /// The value with that [number](ValueId::number).
    pub(crate) const fn at(&self, number: u32) -> ValueId {
        ValueId(number)
    }

    pub(crate) fn constant_of(&self, id: ValueId) -> Option<u32> {
        match self.get(id) {
            Value::Constant(constant) => Some(constant),
            _ => None,
        }
    }

    pub(crate) fn constant(&mut self, constant: u32) -> ValueId {
        self.number(Value::Constant(constant))
    }

    /// The number of a value, after what can be said of it now.
    pub(crate) fn intern(&mut self, value: Value) -> ValueId {
        match value {
            Value::Load { from: Some(from), at, width } => match self.constant_of(from) {
                Some(start) => self.number(Value::Load { from: None, at: start.wrapping_add(at), width }),
                None => self.number(value),
            },
            Value::Negate(of) => match self.constant_of(of) {
                Some(constant) => self.constant(constant.wrapping_neg()),
                None => self.number(value),
            },
            Value::Arithmetic(operator, left, right) => self.join(operator, left, right),
            _ => self.number(value),
        }
    }

    fn join(&mut self, operator: Operator, left: ValueId, right: ValueId) -> ValueId {
        use Operator::{Add, And, Divide, Multiply, Or, ShiftLeft, ShiftRight, Subtract, Xor};
        match (self.constant_of(left), self.constant_of(right)) {
            (Some(a), Some(b)) => match calculate(operator, a, b) {
                Some(result) => self.constant(result),
                // A division by 0: happens when it is asked for.
                None => self.number(Value::Arithmetic(operator, left, right)),
            },
            (Some(_), None) if matches!(operator, Add | Multiply | And | Or | Xor) => {
                self.join(operator, right, left)
            }
            (_, Some(b)) => match (operator, b, self.get(left)) {
                (Add | Subtract | Or | Xor | ShiftLeft | ShiftRight, 0, _)
                | (Multiply | Divide, 1, _)
                | (And, u32::MAX, _) => left,
                // The kernel refuses such a shift. What is shifted may be beyond the frame's end all the same: it stays, as
                // for `* 0` and `& 0`.
                (ShiftLeft | ShiftRight, 32.., _) => {
                    let nothing = self.constant(0);
                    self.join(And, left, nothing)
                }
                // All bits the load can have.
                (And, _, Value::Load { width: Width::Byte, .. }) if b & 0xff == 0xff => left,
                (And, _, Value::Load { width: Width::Half, .. }) if b & 0xffff == 0xffff => left,
                (And, _, Value::Arithmetic(And, inner, mask)) if self.constant_of(mask).is_some() => {
                    let mask = self.constant_of(mask).unwrap_or_default() & b;
                    let mask = self.constant(mask);
                    self.join(And, inner, mask)
                }
                _ => self.number(Value::Arithmetic(operator, left, right)),
            },
            _ => self.number(Value::Arithmetic(operator, left, right)),
        }
    }

    fn number(&mut self, value: Value) -> ValueId {
        if let Some(id) = self.numbers.get(&value) {
            return *id;
        }
        let id = ValueId(self.all.len() as u32);
        self.all.push(value);
        self.numbers.insert(value, id);
        id
    }

    /// The number of a value that is here already.
    pub(crate) fn find(&self, value: Value) -> Option<ValueId> {
        self.numbers.get(&value).copied()
    }

    /// The value with constants for those parts that are known.
    pub(crate) fn fill_in(&mut self, id: ValueId, given: &Facts) -> ValueId {
        if given.is_empty() {
            return id;
        }
        if let Some(number) = given.value(self, id) {
            return self.constant(number);
        }
        let filled = match self.get(id) {
            Value::Load { from: Some(from), at, width } => {
                Value::Load { from: Some(self.fill_in(from, given)), at, width }
            }
            Value::Negate(of) => Value::Negate(self.fill_in(of, given)),
            Value::Arithmetic(operator, left, right) => {
                Value::Arithmetic(operator, self.fill_in(left, given), self.fill_in(right, given))
            }
            value => value,
        };
        self.intern(filled)
    }

    /// Adds the locals a value is made of.
    pub(crate) fn locals(&self, id: ValueId, found: &mut HashSet<Local>) {
        match self.get(id) {
            Value::Local(local) => {
                found.insert(local);
            }
            _ => self.parts(id).into_iter().flatten().for_each(|part| self.locals(part, found)),
        }
    }

    /// A value and the bits asked of it, where it is no more than that.
    pub(crate) fn masked(&self, id: ValueId) -> Option<(ValueId, u32)> {
        match self.get(id) {
            Value::Arithmetic(Operator::And, of, mask) => Some((of, self.constant_of(mask)?)),
            _ => None,
        }
    }

    /// Whether the value is made of this one.
    pub(crate) fn is_made_of(&self, id: ValueId, part: Value) -> bool {
        let value = self.get(id);
        value == part || self.parts(id).into_iter().flatten().any(|inner| self.is_made_of(inner, part))
    }

    /// Whether it reads no more than so many bytes from the frame's beginning, and divides by nothing.
    pub(crate) fn is_within(&self, id: ValueId, bytes: u32) -> bool {
        match self.get(id) {
            Value::Constant(_) | Value::Length | Value::Metadata(_) | Value::Local(_) => true,
            Value::Load { from: Some(_), .. }
            | Value::Arithmetic(Operator::Divide | Operator::Remainder, ..) => false,
            Value::Load { from: None, at, width } => {
                at.checked_add(width.bytes()).is_some_and(|end| end <= bytes)
            }
            Value::HeaderLength { at } => at < bytes,
            Value::Negate(of) => self.is_within(of, bytes),
            Value::Arithmetic(_, left, right) => self.is_within(left, bytes) && self.is_within(right, bytes),
        }
    }

    /// What a value is directly made of.
    pub(crate) fn parts(&self, id: ValueId) -> [Option<ValueId>; 2] {
        match self.get(id) {
            Value::Load { from, .. } => [from, None],
            Value::Negate(of) => [Some(of), None],
            Value::Arithmetic(_, left, right) => [Some(left), Some(right)],
            Value::Constant(_)
            | Value::Length
            | Value::HeaderLength { .. }
            | Value::Metadata(_)
            | Value::Local(_) => [None, None],
        }
    }
}

/// What the operation gives; `None` for a division by 0.
pub(crate) const fn calculate(operator: Operator, a: u32, b: u32) -> Option<u32> {
    Some(match operator {
        Operator::Add => a.wrapping_add(b),
        Operator::Subtract => a.wrapping_sub(b),
        Operator::Multiply => a.wrapping_mul(b),
        Operator::Divide => return a.checked_div(b),
        Operator::Remainder => return a.checked_rem(b),
        Operator::And => a & b,
        Operator::Or => a | b,
        Operator::Xor => a ^ b,
        Operator::ShiftLeft => match a.checked_shl(b) {
            Some(result) => result,
            None => 0,
        },
        Operator::ShiftRight => match a.checked_shr(b) {
            Some(result) => result,
            None => 0,
        },
    })
}
