//! Decisions: a filter as a graph of questions without a loop, which ends with "wanted" or "not wanted".
//!
//! Every node is kept once, so that equal tails are one. What follows a node has a smaller number than the node itself:
//! to go through them by falling number is to go along every path, and nothing here is recursive but values.

mod build;
mod facts;
mod order;
mod simplify;
mod values;

pub(crate) use build::{Problem, build};
pub(crate) use facts::Facts;
pub(crate) use values::{Value, ValueId, Values, calculate};

use super::ir::Local;
use std::collections::HashMap;

/// A node's number in its [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) const REJECT: Self = Self(0);
    pub(crate) const ACCEPT: Self = Self(1);

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn is_end(self) -> bool {
        self.0 < 2
    }
}

/// What is asked of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Is {
    Equal(u32),
    AtLeast(u32),
    EqualTo(ValueId),
    AtLeastThat(ValueId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// The frame is wanted or not.
    End(bool),
    /// A question, and where to go.
    Branch { value: ValueId, is: Is, yes: NodeId, no: NodeId },
    /// The local becomes that.
    Set { local: Local, value: ValueId, next: NodeId },
}

impl Node {
    /// Where it may go.
    pub(crate) fn next(self) -> impl Iterator<Item = NodeId> {
        let (one, other) = match self {
            Self::End(_) => (None, None),
            Self::Branch { yes, no, .. } => (Some(yes), Some(no)),
            Self::Set { next, .. } => (Some(next), None),
        };
        one.into_iter().chain(other)
    }
}

/// A filter as decisions.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) values: Values,
    nodes: Vec<Node>,
    numbers: HashMap<Node, NodeId>,
    pub(crate) root: NodeId,
    /// Where there is a number, a question without consequence is asked all the same unless it reads only so many bytes from the
    /// frame's beginning: it may reject a frame that ends before.
    pub(crate) certain: Option<u32>,
}

impl Graph {
    pub(crate) fn new(values: Values) -> Self {
        let mut graph =
            Self { values, nodes: Vec::new(), numbers: HashMap::new(), root: NodeId::REJECT, certain: None };
        graph.number(Node::End(false));
        graph.number(Node::End(true));
        graph
    }

    pub(crate) fn node(&self, id: NodeId) -> Node {
        self.nodes[id.index()]
    }

    /// One more than the largest number of a node.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn number(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.numbers.get(&node) {
            return *id;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.numbers.insert(node, id);
        id
    }

    pub(crate) fn set(&mut self, local: Local, value: ValueId, next: NodeId) -> NodeId {
        if next.is_end() && self.is_harmless(value) {
            next
        } else {
            self.number(Node::Set { local, value, next })
        }
    }

    /// Whether nobody will miss it if the value is not read.
    fn is_harmless(&self, value: ValueId) -> bool {
        self.certain.is_none_or(|bytes| self.values.is_within(value, bytes))
    }

    /// A question, in the one form each has; none where it makes no difference or has its answer.
    pub(crate) fn branch(&mut self, value: ValueId, is: Is, yes: NodeId, no: NodeId) -> NodeId {
        use super::ir::Operator::{Add, And, Subtract, Xor};
        if yes == no && self.is_harmless(value) {
            match is {
                Is::EqualTo(other) | Is::AtLeastThat(other) if !self.is_harmless(other) => {}
                _ => return yes,
            }
        }
        let constant = self.values.constant_of(value);
        match (constant, is) {
            (Some(a), Is::Equal(b)) => return if a == b { yes } else { no },
            (Some(a), Is::AtLeast(b)) => return if a >= b { yes } else { no },
            // Above 0.
            (_, Is::AtLeast(1)) => return self.branch(value, Is::Equal(0), no, yes),
            (_, Is::AtLeast(u32::MAX)) => return self.branch(value, Is::Equal(u32::MAX), yes, no),
            // Always, but it has to be there.
            (_, Is::EqualTo(other) | Is::AtLeastThat(other)) if other == value => {
                return self.branch(value, Is::AtLeast(0), yes, no);
            }
            (_, Is::EqualTo(other)) => {
                if let Some(constant) = self.values.constant_of(other) {
                    return self.branch(value, Is::Equal(constant), yes, no);
                }
                if let Some(constant) = constant {
                    return self.branch(other, Is::Equal(constant), yes, no);
                }
            }
            (_, Is::AtLeastThat(other)) => {
                if let Some(constant) = self.values.constant_of(other) {
                    return self.branch(value, Is::AtLeast(constant), yes, no);
                }
                // A constant that is at least the other: the other is not above it.
                match constant {
                    Some(u32::MAX) => return self.branch(other, Is::AtLeast(0), yes, no),
                    Some(constant) => return self.branch(other, Is::AtLeast(constant + 1), no, yes),
                    None => {}
                }
            }
            _ => {}
        }
        if let (Is::Equal(wanted), Value::Arithmetic(operator, left, right)) = (is, self.values.get(value))
            && let Some(constant) = self.values.constant_of(right)
        {
            match operator {
                Add => return self.branch(left, Is::Equal(wanted.wrapping_sub(constant)), yes, no),
                Subtract => return self.branch(left, Is::Equal(wanted.wrapping_add(constant)), yes, no),
                Xor => return self.branch(left, Is::Equal(wanted ^ constant), yes, no),
                // One bit is set, or it is not.
                And if wanted == constant && constant.is_power_of_two() => {
                    return self.branch(value, Is::Equal(0), no, yes);
                }
                _ => {}
            }
        }
        self.number(Node::Branch { value, is, yes, no })
    }

    /// Nodes that can be reached, the root first, each before what follows it.
    pub(crate) fn reached(&self) -> Vec<NodeId> {
        let mut seen = vec![false; self.root.index() + 1];
        seen[self.root.index()] = true;
        let mut reached = Vec::new();
        for index in (0..seen.len()).rev().filter(|index| *index > 1) {
            if seen[index] {
                let id = NodeId(index as u32);
                reached.push(id);
                self.node(id).next().for_each(|next| seen[next.index()] = true);
            }
        }
        reached
    }

    /// How many ways lead to each node, the root's beginning among them.
    pub(crate) fn ways(&self) -> Vec<u32> {
        let mut ways = vec![0; self.len()];
        ways[self.root.index()] = 1;
        for id in self.reached() {
            self.node(id).next().for_each(|next| ways[next.index()] += 1);
        }
        ways
    }
}
