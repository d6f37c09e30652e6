//! From decisions to steps.

use super::EvaluateError;
use super::flat::{ACCEPT, FIRST, Flat, LOCALS, REJECT, Source, Step, unused_bits};
use crate::filter::graph::{Graph, Is, Node, NodeId, Value, ValueId};
use crate::filter::ir::Local;
use std::collections::HashMap;

/// Fewest numbers that are looked up rather than compared one by one.
const FEWEST_IN_SET: usize = 5;
/// Levels of values within one another.
const DEEPEST: u32 = 2_000;

/// Adds the graph's steps; gives where they begin.
pub(super) fn lay_out(graph: &Graph, flat: &mut Flat) -> Result<u32, EvaluateError> {
    let mut steps: HashMap<NodeId, u32> = HashMap::from([(NodeId::REJECT, REJECT), (NodeId::ACCEPT, ACCEPT)]);
    let mut layout = Layout { graph, flat, moved: HashMap::new(), locals: HashMap::new() };
    // What follows is there already.
    for id in graph.reached().into_iter().rev() {
        let number = match graph.node(id) {
            Node::End(_) => continue,
            Node::Set { local, value, next } => {
                let header = layout.local(local)?.into();
                layout.flat.keeps = true;
                let at = layout.value(value, 0)?.number();
                layout.push(Step { source: Source::Keep, at, header, ..to(steps[&next], steps[&next]) })
            }
            Node::Branch { value, is: Is::EqualTo(other), yes, no } => {
                let (at, low) = (layout.value(value, 0)?.number(), layout.value(other, 0)?.number());
                layout.push(Step { source: Source::Two, at, low, ..to(steps[&yes], steps[&no]) })
            }
            Node::Branch { value, is: Is::AtLeastThat(other), yes, no } => {
                let (at, low) = (layout.value(value, 0)?.number(), layout.value(other, 0)?.number());
                layout.push(Step { source: Source::Two, at, low, span: 1, ..to(steps[&yes], steps[&no]) })
            }
            Node::Branch { value, is: Is::Equal(number), yes, no } => {
                let (set, on) = equal_run(graph, id);
                if set.len() >= FEWEST_IN_SET {
                    let at = layout.value(value, 0)?.number();
                    layout.flat.sets.push(set);
                    let header = layout.flat.sets.len() as u32 - 1;
                    layout.push(Step { source: Source::Set, at, header, ..to(steps[&yes], steps[&on]) })
                } else {
                    layout.range(value, number, number, steps[&yes], steps[&no])?
                }
            }
            Node::Branch { value, is: Is::AtLeast(low), yes, no } => match graph.node(yes) {
                // And not above something.
                Node::Branch { value: same, is: Is::AtLeast(above), yes: out, no: within }
                    if same == value && out == no && above > low =>
                {
                    layout.range(value, low, above - 1, steps[&within], steps[&out])?
                }
                _ => layout.range(value, low, u32::MAX, steps[&yes], steps[&no])?,
            },
        };
        steps.insert(id, number);
    }
    Ok(steps[&graph.root])
}

/// The numbers of a run of questions whether one value is this or that, ascending; and where it leads if it is none.
fn equal_run(graph: &Graph, first: NodeId) -> (Vec<u32>, NodeId) {
    let (mut numbers, mut at) = (Vec::new(), first);
    let Node::Branch { value, yes, .. } = graph.node(first) else { return (numbers, first) };
    while let Node::Branch { value: same, is: Is::Equal(number), yes: also, no } = graph.node(at)
        && same == value
        && also == yes
    {
        numbers.push(number);
        at = no;
    }
    numbers.sort_unstable();
    numbers.dedup();
    (numbers, at)
}

fn to(yes: u32, no: u32) -> Step {
    Step {
        at: 0,
        mask: u32::MAX,
        low: 0,
        span: 0,
        next: [no, yes],
        header: 0,
        source: Source::Value,
        width: 4,
    }
}

struct Layout<'l> {
    graph: &'l Graph,
    flat: &'l mut Flat,
    /// Values of the graph by their numbers here.
    moved: HashMap<ValueId, ValueId>,
    locals: HashMap<Local, u16>,
}

impl Layout<'_> {
    fn push(&mut self, step: Step) -> u32 {
        self.flat.steps.push(step);
        self.flat.steps.len() as u32 - 1 + FIRST
    }

    /// A question whether the value lies in a range.
    fn range(
        &mut self,
        value: ValueId,
        low: u32,
        high: u32,
        yes: u32,
        no: u32,
    ) -> Result<u32, EvaluateError> {
        let values = &self.graph.values;
        let (of, mask) = values.masked(value).unwrap_or((value, u32::MAX));
        let source = match values.get(of) {
            Value::Load { from: None, at, width } => Some((Source::Bytes, at, 0, width)),
            Value::Load { from: Some(from), at, width } if at < 1 << 31 => match values.get(from) {
                Value::HeaderLength { at: header } => Some((Source::BehindHeader, at, header, width)),
                _ => None,
            },
            _ => None,
        };
        let step = to(yes, no);
        let step = match source {
            Some((source, at, header, width)) => {
                let bits = unused_bits(width);
                // The bytes stand at the upper end of a word, and so do mask and range.
                let most = u32::MAX >> bits;
                let (mask, low, span) = match low > most {
                    // It never is: but it is loaded.
                    true => (0, 1, 0),
                    false => (mask << bits, low << bits, (high.min(most) - low) << bits),
                };
                let width = width.bytes() as u8;
                Step { source, at, header, mask, low, span, width, ..step }
            }
            None if values.get(value) == Value::Length => {
                Step { source: Source::Length, low, span: high - low, ..step }
            }
            None => Step { at: self.value(value, 0)?.number(), low, span: high - low, ..step },
        };
        Ok(self.push(step))
    }

    /// The value among those that are kept for running.
    fn value(&mut self, id: ValueId, depth: u32) -> Result<ValueId, EvaluateError> {
        if let Some(moved) = self.moved.get(&id) {
            return Ok(*moved);
        }
        if depth > DEEPEST {
            return Err(EvaluateError::TooLarge);
        }
        let value = match self.graph.values.get(id) {
            Value::Load { from: Some(from), at, width } => {
                Value::Load { from: Some(self.value(from, depth + 1)?), at, width }
            }
            Value::Negate(of) => Value::Negate(self.value(of, depth + 1)?),
            Value::Arithmetic(operator, left, right) => {
                Value::Arithmetic(operator, self.value(left, depth + 1)?, self.value(right, depth + 1)?)
            }
            Value::Local(local) => Value::Local(Local(self.local(local)?)),
            value => value,
        };
        let moved = self.flat.values.intern(value);
        self.moved.insert(id, moved);
        Ok(moved)
    }

    fn local(&mut self, local: Local) -> Result<u16, EvaluateError> {
        let next = self.locals.len();
        let number = *self.locals.entry(local).or_insert(next as u16);
        if usize::from(number) < LOCALS { Ok(number) } else { Err(EvaluateError::TooLarge) }
    }
}
