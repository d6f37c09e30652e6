//! Decisions left out where their answer is known: jump threading.
//!
//! A way into a question that was answered on every way to there goes on to what the answer leads to. No node is doubled by that,
//! so a graph never grows.

use super::{Facts, Graph, Is, Node, NodeId, Value, ValueId, Values};
use crate::filter::ir::Local;
use std::collections::HashSet;

/// Rounds after which what is left is left: a round mostly shows little to do for the next.
const ROUNDS: usize = 12;

impl Graph {
    /// The same decisions with fewer questions, for frames of which `given` is known.
    pub(crate) fn simplify(&mut self, given: &Facts) {
        for _ in 0..ROUNDS {
            let before = self.reached().len();
            let threaded = self.thread(given);
            self.rebuild(given);
            if !threaded && self.reached().len() == before {
                break;
            }
        }
    }

    /// Sends each way on past questions whose answer is known on it. Whether there was one.
    fn thread(&mut self, given: &Facts) -> bool {
        let mut facts: Vec<Option<Facts>> = vec![None; self.len()];
        let root = self.pass(self.root, given);
        let mut changed = root != self.root;
        self.root = root;
        facts[root.index()] = Some(given.clone());
        for index in (2..=root.index()).rev() {
            let Some(here) = facts[index].take() else { continue };
            match self.nodes[index] {
                Node::End(_) => {}
                Node::Branch { value, is, yes, no } => {
                    let mut then = here.clone();
                    then.learn(&self.values, value, is, true);
                    let mut otherwise = here;
                    otherwise.learn(&self.values, value, is, false);
                    let (to_yes, to_no) = (self.pass(yes, &then), self.pass(no, &otherwise));
                    changed |= (to_yes, to_no) != (yes, no);
                    self.nodes[index] = Node::Branch { value, is, yes: to_yes, no: to_no };
                    arrive(&mut facts, to_yes, then);
                    arrive(&mut facts, to_no, otherwise);
                }
                Node::Set { local, value, next } => {
                    let mut then = here;
                    set(&mut then, &self.values, local, value);
                    let to = self.pass(next, &then);
                    changed |= to != next;
                    self.nodes[index] = Node::Set { local, value, next: to };
                    arrive(&mut facts, to, then);
                }
            }
        }
        changed
    }

    /// Where a way leads in the end that goes to `to` with these facts.
    fn pass(&self, mut to: NodeId, facts: &Facts) -> NodeId {
        while let Node::Branch { value, is, yes, no } = self.node(to) {
            match facts.decide(&self.values, value, is) {
                Some(answer) => to = if answer { yes } else { no },
                None => break,
            }
        }
        to
    }

    /// Numbers what is reached anew: equal nodes become one, locals that nobody asks for are gone, and known parts of values
    /// are constants.
    pub(super) fn rebuild(&mut self, given: &Facts) {
        let reached = self.reached();
        let mut used = HashSet::new();
        for id in &reached {
            match self.node(*id) {
                Node::End(_) => {}
                Node::Branch { value, is, .. } => {
                    self.values.locals(value, &mut used);
                    if let Is::EqualTo(other) | Is::AtLeastThat(other) = is {
                        self.values.locals(other, &mut used);
                    }
                }
                Node::Set { value, .. } => self.values.locals(value, &mut used),
            }
        }
        let mut new = Self::new(std::mem::take(&mut self.values));
        new.certain = self.certain;
        let mut moved = vec![NodeId::REJECT; self.nodes.len().max(2)];
        moved[NodeId::ACCEPT.index()] = NodeId::ACCEPT;
        for id in reached.iter().rev() {
            moved[id.index()] = match self.node(*id) {
                Node::End(_) => *id,
                Node::Branch { value, is, yes, no } => {
                    let value = new.values.fill_in(value, given);
                    let is = match is {
                        Is::EqualTo(other) => Is::EqualTo(new.values.fill_in(other, given)),
                        Is::AtLeastThat(other) => Is::AtLeastThat(new.values.fill_in(other, given)),
                        is => is,
                    };
                    new.branch(value, is, moved[yes.index()], moved[no.index()])
                }
                Node::Set { local, value, next } if used.contains(&local) || !new.is_harmless(value) => {
                    let value = new.values.fill_in(value, given);
                    new.set(local, value, moved[next.index()])
                }
                Node::Set { next, .. } => moved[next.index()],
            };
        }
        new.root = moved[self.root.index()];
        *self = new;
    }
}

fn set(facts: &mut Facts, values: &Values, local: Local, value: ValueId) {
    let number = facts.value(values, value);
    facts.forget(values, Value::Local(local));
    if let (Some(number), Some(id)) = (number, values.find(Value::Local(local))) {
        facts.learn(values, id, Is::Equal(number), true);
    }
}

fn arrive(facts: &mut [Option<Facts>], at: NodeId, with: Facts) {
    if !at.is_end() {
        match &mut facts[at.index()] {
            Some(known) => known.meet(&with),
            none => *none = Some(with),
        }
    }
}
