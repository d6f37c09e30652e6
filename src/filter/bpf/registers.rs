//! Values into the two registers: what is in them, and what stands in scratch memory, is known at every step.

use super::CompileError;
use crate::filter::graph::{Value, ValueId, Values};
use crate::filter::ir::{Local, Metadata, Operator, Width};
use crate::sys::classic_bpf::{Instruction, Known, Operation, opcode};

/// Words of scratch memory (`BPF_MEMWORDS`).
pub(super) const SLOTS: u32 = 16;

/// Values that are written to scratch memory when they have been calculated, with their slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Slot of each local.
    pub(super) locals: Vec<(Local, u32)>,
    /// Slot of each other value.
    pub(super) kept: Vec<(ValueId, u32)>,
}

/// What the registers and the memory hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) a: Option<ValueId>,
    pub(super) x: Option<ValueId>,
    stored: Vec<ValueId>,
}

impl State {
    /// What is so here and there.
    pub(super) fn meet(&mut self, other: &Self) {
        self.a = self.a.filter(|value| other.a == Some(*value));
        self.x = self.x.filter(|value| other.x == Some(*value));
        self.stored.retain(|value| other.stored.contains(value));
    }

    /// The local is something else now.
    pub(super) fn forget(&mut self, values: &Values, local: Local) {
        let stays = |value: &ValueId| !values.is_made_of(*value, Value::Local(local));
        self.a = self.a.filter(stays);
        self.x = self.x.filter(stays);
        self.stored.retain(stays);
    }
}

/// What a value needs X for while it is calculated in A.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UsesX {
    Not,
    /// For this value alone.
    For(ValueId),
    Freely,
}

/// Straight code under construction.
pub(super) struct Straight<'g> {
    pub(super) values: &'g Values,
    pub(super) places: &'g Places,
    pub(super) state: State,
    pub(super) code: Vec<Instruction>,
    /// Slots that nothing else uses here.
    pub(super) free: Vec<u32>,
}

impl Straight<'_> {
    pub(super) fn push(&mut self, code: u16, constant: u32) {
        self.code.push(Instruction { code, constant, ..Instruction::default() });
    }

    fn stored(&self, value: ValueId) -> Option<u32> {
        if let Value::Local(local) = self.values.get(value) {
            return self.places.locals.iter().find(|(known, _)| *known == local).map(|(_, slot)| *slot);
        }
        self.state.stored.contains(&value).then(|| self.kept(value)).flatten()
    }

    fn kept(&self, value: ValueId) -> Option<u32> {
        self.places.kept.iter().find(|(known, _)| *known == value).map(|(_, slot)| *slot)
    }

    /// A = value.
    pub(super) fn load_a(&mut self, value: ValueId) -> Result<(), CompileError> {
        if self.state.a == Some(value) {
            return Ok(());
        }
        if let Some(slot) = self.stored(value) {
            self.push(opcode::LOAD_MEMORY, slot);
            self.state.a = Some(value);
            return Ok(());
        }
        if self.state.x == Some(value) {
            self.push(opcode::X_TO_A, 0);
            self.state.a = Some(value);
            return Ok(());
        }
        match self.values.get(value) {
            Value::Constant(constant) => self.push(opcode::LOAD_CONSTANT, constant),
            Value::Length => self.push(opcode::LOAD_LENGTH, 0),
            Value::Metadata(metadata) => self.push(opcode::LOAD_WORD, offset_of(metadata)),
            Value::Load { from: None, at, width } => {
                let code = match width {
                    Width::Byte => opcode::LOAD_BYTE,
                    Width::Half => opcode::LOAD_HALF,
                    Width::Word => opcode::LOAD_WORD,
                };
                self.push(code, within_frames(at));
            }
            Value::Load { from: Some(from), at, width } => {
                self.load_x(from)?;
                let code = match width {
                    Width::Byte => opcode::LOAD_BYTE_AT_X,
                    Width::Half => opcode::LOAD_HALF_AT_X,
                    Width::Word => opcode::LOAD_WORD_AT_X,
                };
                self.push(code, within_frames(at));
            }
            Value::HeaderLength { .. } => {
                self.load_x(value)?;
                self.push(opcode::X_TO_A, 0);
            }
            Value::Negate(of) => {
                self.load_a(of)?;
                self.push(opcode::NEGATE, 0);
            }
            Value::Arithmetic(operator, left, right) => {
                if let Some(constant) = self.values.constant_of(right) {
                    self.load_a(left)?;
                    // A division by the constant 0 is refused by the kernel, so that X has to have it.
                    if constant == 0 && matches!(operator, Operator::Divide | Operator::Remainder) {
                        self.load_x(right)?;
                        self.push(operation(operator) | opcode::BY_X, 0);
                    } else {
                        self.push(operation(operator), constant);
                    }
                } else {
                    self.load_both(left, right, is_commutative(operator))?;
                    self.push(operation(operator) | opcode::BY_X, 0);
                }
            }
            // It has a slot from the moment it is set.
            Value::Local(_) => return Err(CompileError::TooManyValues),
        }
        self.state.a = Some(value);
        if let Some(slot) = self.kept(value) {
            self.push(opcode::STORE, slot);
            self.state.stored.push(value);
        }
        Ok(())
    }

    /// X = value; A may change.
    fn load_x(&mut self, value: ValueId) -> Result<(), CompileError> {
        if self.state.x == Some(value) {
            return Ok(());
        }
        match (self.stored(value), self.values.get(value)) {
            _ if self.state.a == Some(value) => self.push(opcode::A_TO_X, 0),
            (Some(slot), _) => self.push(opcode::LOAD_X_MEMORY, slot),
            (None, Value::Constant(constant)) => self.push(opcode::LOAD_X_CONSTANT, constant),
            (None, Value::Length) => self.push(opcode::LOAD_X_LENGTH, 0),
            (None, Value::HeaderLength { at }) => self.push(opcode::LOAD_X_HEADER_LENGTH, within_frames(at)),
            _ => {
                self.load_a(value)?;
                self.push(opcode::A_TO_X, 0);
            }
        }
        self.state.x = Some(value);
        Ok(())
    }

    /// A = `left` and X = `right`, or the other way round where that is as good and `either` way will do. Whether it is.
    pub(super) fn load_both(
        &mut self,
        left: ValueId,
        right: ValueId,
        either: bool,
    ) -> Result<bool, CompileError> {
        let fits = |uses: UsesX, other: ValueId| uses == UsesX::Not || uses == UsesX::For(other);
        let straight = fits(self.uses_x(left), right);
        let swapped = either && fits(self.uses_x(right), left);
        let swap = swapped && (!straight || self.state.x == Some(left));
        let (left, right) = if swap { (right, left) } else { (left, right) };
        if straight || swapped {
            self.load_x(right)?;
            self.load_a(left)?;
        } else {
            self.load_a(right)?;
            let slot = match self.stored(right) {
                Some(slot) => slot,
                None => {
                    let slot = self.free.pop().ok_or(CompileError::TooManyValues)?;
                    self.push(opcode::STORE, slot);
                    slot
                }
            };
            self.load_a(left)?;
            self.push(opcode::LOAD_X_MEMORY, slot);
            self.state.x = Some(right);
            if self.stored(right).is_none() {
                self.free.push(slot);
            }
        }
        Ok(swap)
    }

    fn uses_x(&self, value: ValueId) -> UsesX {
        if self.stored(value).is_some() {
            return UsesX::Not;
        }
        let join = |one: UsesX, other: UsesX| match (one, other) {
            (UsesX::Not, uses) | (uses, UsesX::Not) => uses,
            (one, other) if one == other => one,
            _ => UsesX::Freely,
        };
        match self.values.get(value) {
            Value::Constant(_)
            | Value::Length
            | Value::Metadata(_)
            | Value::Load { from: None, .. }
            | Value::Local(_) => UsesX::Not,
            Value::HeaderLength { .. } => UsesX::For(value),
            // To calculate it may take X for something else, unless it is there already.
            Value::Load { from: Some(from), .. } => UsesX::For(from),
            Value::Negate(of) => self.uses_x(of),
            Value::Arithmetic(_, left, right) if self.values.constant_of(right).is_some() => {
                self.uses_x(left)
            }
            Value::Arithmetic(_, left, right) => join(self.uses_x(left), UsesX::For(right)),
        }
    }
}

/// The kernel takes offsets below 0 for something else; no frame has as many bytes.
fn within_frames(at: u32) -> u32 {
    at.min(i32::MAX as u32)
}

fn is_commutative(operator: Operator) -> bool {
    use Operator::{Add, And, Multiply, Or, Xor};
    matches!(operator, Add | Multiply | And | Or | Xor)
}

fn operation(operator: Operator) -> u16 {
    (match operator {
        Operator::Add => Operation::Add,
        Operator::Subtract => Operation::Subtract,
        Operator::Multiply => Operation::Multiply,
        Operator::Divide => Operation::Divide,
        Operator::Remainder => Operation::Remainder,
        Operator::And => Operation::And,
        Operator::Or => Operation::Or,
        Operator::Xor => Operation::Xor,
        Operator::ShiftLeft => Operation::ShiftLeft,
        Operator::ShiftRight => Operation::ShiftRight,
    }) as u16
}

fn offset_of(metadata: Metadata) -> u32 {
    (match metadata {
        Metadata::VlanTagPresent => Known::VlanTagPresent,
        Metadata::VlanTag => Known::VlanTag,
        Metadata::VlanProtocol => Known::VlanProtocol,
        Metadata::PacketType => Known::PacketType,
        Metadata::Interface => Known::Interface,
        Metadata::Protocol => Known::Protocol,
    })
    .offset()
}
