//! Asks a frame by walking the tree: the plain reading of what [`ir`](super::ir) means.

use super::ir::{Local, Metadata, Operator, Relation, Test, Value, Width};
use crate::frame::{Direction, Frame};

/// `PACKET_OUTGOING` (`linux/if_packet.h`).
const OUTGOING: u32 = 4;

/// The frame is rejected as a whole.
struct Rejected;

struct Walk<'w> {
    frame: &'w Frame<'w>,
    locals: Vec<(Local, u32)>,
}

/// Whether the frame passes the test.
pub(super) fn holds(test: &Test, frame: &Frame<'_>) -> bool {
    Walk { frame, locals: Vec::new() }.test(test).unwrap_or(false)
}

impl Walk<'_> {
    fn test(&mut self, test: &Test) -> Result<bool, Rejected> {
        Ok(match test {
            Test::True => true,
            Test::False => false,
            Test::Not(test) => !self.test(test)?,
            Test::All(tests) => {
                for test in tests {
                    if !self.test(test)? {
                        return Ok(false);
                    }
                }
                true
            }
            Test::Any(tests) => {
                for test in tests {
                    if self.test(test)? {
                        return Ok(true);
                    }
                }
                false
            }
            Test::Compare { left, relation, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                match relation {
                    Relation::Equal => left == right,
                    Relation::NotEqual => left != right,
                    Relation::Greater => left > right,
                    Relation::GreaterOrEqual => left >= right,
                    Relation::Less => left < right,
                    Relation::LessOrEqual => left <= right,
                }
            }
            Test::Let { local, value, body } => {
                let value = self.value(value)?;
                self.locals.push((*local, value));
                let holds = self.test(body);
                self.locals.pop();
                holds?
            }
        })
    }

    fn value(&mut self, value: &Value) -> Result<u32, Rejected> {
        Ok(match value {
            Value::Constant(number) => *number,
            Value::Length => self.frame.record.wire_length,
            Value::Load { from, at, width } => {
                let from = from.as_ref().map_or(Ok(0), |from| self.value(from))?;
                self.load(from.wrapping_add(*at), *width)?
            }
            Value::HeaderLength { at } => (self.load(*at, Width::Byte)? & 15) * 4,
            Value::Arithmetic(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                match operator {
                    Operator::Add => left.wrapping_add(right),
                    Operator::Subtract => left.wrapping_sub(right),
                    Operator::Multiply => left.wrapping_mul(right),
                    Operator::Divide => left.checked_div(right).ok_or(Rejected)?,
                    Operator::Remainder => left.checked_rem(right).ok_or(Rejected)?,
                    Operator::And => left & right,
                    Operator::Or => left | right,
                    Operator::Xor => left ^ right,
                    Operator::ShiftLeft => left.checked_shl(right).unwrap_or(0),
                    Operator::ShiftRight => left.checked_shr(right).unwrap_or(0),
                }
            }
            Value::Negate(value) => self.value(value)?.wrapping_neg(),
            Value::Metadata(Metadata::PacketType) if self.frame.record.direction == Direction::Out => {
                OUTGOING
            }
            Value::Metadata(Metadata::Interface) => self.frame.record.interface.0,
            Value::Metadata(_) => 0,
            Value::Local(local) => {
                let known = self.locals.iter().rev().find(|(known, _)| known == local);
                known.map(|(_, value)| *value).ok_or(Rejected)?
            }
            Value::Choose { when, then, otherwise } => {
                if self.test(when)? {
                    self.value(then)?
                } else {
                    self.value(otherwise)?
                }
            }
        })
    }

    fn load(&self, at: u32, width: Width) -> Result<u32, Rejected> {
        let at = at as usize;
        let bytes = at.checked_add(width.bytes() as usize).and_then(|end| self.frame.data.get(at..end));
        let bytes = bytes.ok_or(Rejected)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }
}
