//! Questions about one value brought together, so that it is loaded once.
//!
//! `host a or host b` asks for source, destination, source, destination; it may as well ask twice for the source and then
//! twice for the destination. Frames that end before what is asked for later may come out differently by that, as they do
//! with libpcap, which reorders alike.

use super::{Facts, Graph, Node, NodeId, ValueId};
use std::collections::HashMap;

/// Longest run of questions that is looked through at once.
const LONGEST: usize = 4_096;

/// A question of a run, without where it leads.
type Question = (ValueId, super::Is);

impl Graph {
    /// Sorts runs of questions that all lead to one place if they hold (or all do if they do not) by their values, in the order of
    /// the values' first appearance.
    pub(crate) fn bring_together(&mut self) {
        let ways = self.ways();
        let mut within = vec![false; self.len()];
        let mut runs: HashMap<NodeId, (Vec<Question>, bool, NodeId, NodeId)> = HashMap::new();
        for id in self.reached() {
            if within[id.index()] {
                continue;
            }
            let runs_of = [true, false].map(|on_no| (self.run(id, on_no, &ways), on_no));
            let Some((run, on_no)) = runs_of.into_iter().max_by_key(|(run, _)| run.len()) else { continue };
            let Some((&last, sorted)) = run.last().zip(self.sorted(&run)) else { continue };
            run[1..].iter().for_each(|id| within[id.index()] = true);
            let Node::Branch { yes, no, .. } = self.node(last) else { continue };
            let (out, on) = if on_no { (yes, no) } else { (no, yes) };
            runs.insert(id, (sorted, on_no, out, on));
        }
        if runs.is_empty() {
            return;
        }
        self.replace_runs(&runs);
    }

    /// Questions from `first` on that lead to the same node as it if they hold (`on_no`: else on to the next), and that are reached in
    /// no other way.
    fn run(&self, first: NodeId, on_no: bool, ways: &[u32]) -> Vec<NodeId> {
        let split = |id: NodeId| match self.node(id) {
            Node::Branch { yes, no, .. } => Some(if on_no { (yes, no) } else { (no, yes) }),
            _ => None,
        };
        let mut run = vec![first];
        let Some((out, mut next)) = split(first) else { return run };
        while run.len() < LONGEST
            && ways[next.index()] == 1
            && let Some((also_out, on)) = split(next)
            && also_out == out
        {
            run.push(next);
            next = on;
        }
        run
    }

    /// The questions sorted by value, if they are not yet.
    fn sorted(&self, run: &[NodeId]) -> Option<Vec<Question>> {
        let mut first_seen = HashMap::new();
        let mut questions = Vec::new();
        for (at, id) in run.iter().enumerate() {
            let Node::Branch { value, is, .. } = self.node(*id) else { return None };
            // What is masked of a value is of that value.
            let of = self.values.masked(value).map_or(value, |(of, _)| of);
            questions.push((*first_seen.entry(of).or_insert(at), (value, is)));
        }
        if questions.is_sorted_by_key(|(group, _)| *group) {
            return None;
        }
        questions.sort_by_key(|(group, _)| *group);
        Some(questions.into_iter().map(|(_, question)| question).collect())
    }

    fn replace_runs(&mut self, runs: &HashMap<NodeId, (Vec<Question>, bool, NodeId, NodeId)>) {
        let reached = self.reached();
        let mut new = Self::new(std::mem::take(&mut self.values));
        let mut moved = vec![NodeId::REJECT; self.len()];
        moved[NodeId::ACCEPT.index()] = NodeId::ACCEPT;
        for id in reached.into_iter().rev() {
            moved[id.index()] = match (runs.get(&id), self.node(id)) {
                (Some((questions, on_no, out, on)), _) => {
                    let (out, on) = (moved[out.index()], moved[on.index()]);
                    questions.iter().rev().fold(on, |on, (value, is)| {
                        let (yes, no) = if *on_no { (out, on) } else { (on, out) };
                        new.branch(*value, *is, yes, no)
                    })
                }
                (None, Node::End(_)) => id,
                (None, Node::Branch { value, is, yes, no }) => {
                    new.branch(value, is, moved[yes.index()], moved[no.index()])
                }
                (None, Node::Set { local, value, next }) => new.set(local, value, moved[next.index()]),
            };
        }
        new.root = moved[self.root.index()];
        *self = new;
        // What was within a run is reached no more.
        self.rebuild(&Facts::default());
    }
}
