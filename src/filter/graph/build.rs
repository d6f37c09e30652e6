//! From tests to decisions.

use super::{Graph, Is, NodeId, Value, ValueId, Values};
use crate::filter::ir::{self, Local, Relation, Test};
use std::collections::HashMap;

/// Most nodes a filter may have.
const MOST: usize = 1 << 20;

/// Why there is no graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// More than [`MOST`] decisions.
    TooLarge,
    /// A local is used outside of what it is defined for: a defect of whoever built the tree.
    UnknownLocal(Local),
}

/// The decisions of a test.
pub(crate) fn build(test: &Test) -> Result<Graph, Problem> {
    let mut builder =
        Builder { graph: Graph::new(Values::default()), known: HashMap::new(), made: 0, choices: Vec::new() };
    builder.graph.root = builder.test(test, NodeId::ACCEPT, NodeId::REJECT)?;
    Ok(builder.graph)
}

/// A choice that is to be made before a value can be.
struct Choice<'t> {
    local: Local,
    when: &'t Test,
    then: &'t ir::Value,
    otherwise: &'t ir::Value,
}

struct Builder<'t> {
    graph: Graph,
    /// What each local stands for.
    known: HashMap<Local, ValueId>,
    /// Locals of choices so far; they have numbers of their own.
    made: u16,
    /// Choices the value in hand needs, innermost last.
    choices: Vec<Choice<'t>>,
}

impl<'t> Builder<'t> {
    fn test(&mut self, test: &'t Test, yes: NodeId, no: NodeId) -> Result<NodeId, Problem> {
        if self.graph.len() > MOST {
            return Err(Problem::TooLarge);
        }
        Ok(match test {
            Test::True => yes,
            Test::False => no,
            Test::Not(test) => self.test(test, no, yes)?,
            Test::All(tests) => tests.iter().rev().try_fold(yes, |yes, test| self.test(test, yes, no))?,
            Test::Any(tests) => tests.iter().rev().try_fold(no, |no, test| self.test(test, yes, no))?,
            Test::Compare { left, relation, right } => {
                let outer = std::mem::take(&mut self.choices);
                let (left, right) = (self.value(left)?, self.value(right)?);
                let node = self.compare(left, *relation, right, yes, no);
                let choices = std::mem::replace(&mut self.choices, outer);
                self.choose_before(choices, node)?
            }
            Test::Let { local, value, body } => {
                let outer = std::mem::take(&mut self.choices);
                let value = self.value(value)?;
                let choices = std::mem::replace(&mut self.choices, outer);
                let before = self.known.insert(*local, value);
                let node = self.test(body, yes, no)?;
                match before {
                    Some(before) => self.known.insert(*local, before),
                    None => self.known.remove(local),
                };
                self.choose_before(choices, node)?
            }
        })
    }

    /// The choices, made in their order, and then `node`.
    fn choose_before(&mut self, choices: Vec<Choice<'t>>, node: NodeId) -> Result<NodeId, Problem> {
        choices.into_iter().rev().try_fold(node, |node, choice| {
            let then = self.set(choice.local, choice.then, node)?;
            let otherwise = self.set(choice.local, choice.otherwise, node)?;
            self.test(choice.when, then, otherwise)
        })
    }

    fn set(&mut self, local: Local, value: &'t ir::Value, next: NodeId) -> Result<NodeId, Problem> {
        let outer = std::mem::take(&mut self.choices);
        let value = self.value(value)?;
        let choices = std::mem::replace(&mut self.choices, outer);
        let node = self.graph.set(local, value, next);
        self.choose_before(choices, node)
    }

    fn compare(
        &mut self,
        left: ValueId,
        relation: Relation,
        right: ValueId,
        yes: NodeId,
        no: NodeId,
    ) -> NodeId {
        let graph = &mut self.graph;
        match relation {
            Relation::Equal => graph.branch(left, Is::EqualTo(right), yes, no),
            Relation::NotEqual => graph.branch(left, Is::EqualTo(right), no, yes),
            Relation::GreaterOrEqual => graph.branch(left, Is::AtLeastThat(right), yes, no),
            Relation::Less => graph.branch(left, Is::AtLeastThat(right), no, yes),
            Relation::LessOrEqual => graph.branch(right, Is::AtLeastThat(left), yes, no),
            Relation::Greater => graph.branch(right, Is::AtLeastThat(left), no, yes),
        }
    }

    fn value(&mut self, value: &'t ir::Value) -> Result<ValueId, Problem> {
        let value = match value {
            ir::Value::Constant(constant) => Value::Constant(*constant),
            ir::Value::Length => Value::Length,
            ir::Value::Load { from, at, width } => {
                let from = from.as_deref().map(|from| self.value(from)).transpose()?;
                Value::Load { from, at: *at, width: *width }
            }
            ir::Value::HeaderLength { at } => Value::HeaderLength { at: *at },
            ir::Value::Arithmetic(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                Value::Arithmetic(*operator, left, right)
            }
            ir::Value::Negate(of) => Value::Negate(self.value(of)?),
            ir::Value::Metadata(metadata) => Value::Metadata(*metadata),
            ir::Value::Local(local) => {
                return self.known.get(local).copied().ok_or(Problem::UnknownLocal(*local));
            }
            ir::Value::Choose { when, then, otherwise } => {
                let local = Local(self.made);
                self.made = self.made.checked_add(1).ok_or(Problem::TooLarge)?;
                self.choices.push(Choice { local, when, then, otherwise });
                Value::Local(local)
            }
        };
        Ok(self.graph.values.intern(value))
    }
}
