//! From decisions to instructions.

use super::layout::{Block, End, lay_out};
use super::registers::{Places, SLOTS, State, Straight};
use super::{CompileError, Instruction};
use crate::filter::graph::{Graph, Is, Node, NodeId, Value, ValueId};
use crate::filter::ir::Local;
use crate::sys::classic_bpf::opcode;
use std::collections::HashMap;

/// Values that may be worth a place in memory are tried one by one: no more than these, in graphs no larger than that.
const CANDIDATES: usize = 12;
const LARGEST_TRIED: usize = 300;

/// The shortest program found for the graph; it gives `snap_length` for a frame that is wanted.
pub(super) fn compile(graph: &Graph, snap_length: u32) -> Result<Vec<Instruction>, CompileError> {
    let order = graph.reached();
    // A node takes one instruction at least: what is far too long is not laid out first.
    if order.len() > crate::sys::classic_bpf::LONGEST * 2 {
        return Err(CompileError::TooLong { instructions: order.len() });
    }
    let mut kept = Vec::new();
    let mut best = emit(graph, &order, &kept, snap_length)?;
    if order.len() <= LARGEST_TRIED {
        for candidate in candidates(graph, &order) {
            kept.push(candidate);
            match emit(graph, &order, &kept, snap_length) {
                Ok(program) if program.len() < best.len() => best = program,
                Ok(_) | Err(_) => {
                    kept.pop();
                }
            }
        }
    }
    if best.len() > crate::sys::classic_bpf::LONGEST {
        return Err(CompileError::TooLong { instructions: best.len() });
    }
    Ok(best)
}

/// Values that take more than one instruction and are part of several nodes, the most costly first.
fn candidates(graph: &Graph, order: &[NodeId]) -> Vec<ValueId> {
    let mut uses: HashMap<ValueId, (usize, usize)> = HashMap::new();
    for id in order {
        for value in asked(graph.node(*id)).into_iter().flatten() {
            count(graph, value, &mut uses, 0);
        }
    }
    let mut candidates: Vec<_> =
        uses.into_iter().filter(|(_, (uses, cost))| *uses > 1 && *cost > 1).collect();
    candidates.sort_by_key(|(value, (uses, cost))| (std::cmp::Reverse((uses - 1) * (cost - 1)), *value));
    candidates.into_iter().map(|(value, _)| value).take(CANDIDATES).collect()
}

/// Counts a use of the value and of its parts; gives its cost in instructions.
fn count(graph: &Graph, value: ValueId, uses: &mut HashMap<ValueId, (usize, usize)>, depth: u32) -> usize {
    let cost = match graph.values.get(value) {
        Value::Constant(_) => 0,
        _ if depth > 32 => 1,
        _ => {
            let parts = graph.values.parts(value).into_iter().flatten();
            1 + parts.map(|part| count(graph, part, uses, depth + 1)).sum::<usize>()
        }
    };
    uses.entry(value).or_insert((0, cost)).0 += 1;
    cost
}

/// The values a node looks at.
fn asked(node: Node) -> [Option<ValueId>; 2] {
    match node {
        Node::End(_) => [None, None],
        Node::Set { value, .. } => [Some(value), None],
        Node::Branch { value, is: Is::EqualTo(other) | Is::AtLeastThat(other), .. } => {
            [Some(value), Some(other)]
        }
        Node::Branch { value, .. } => [Some(value), None],
    }
}

/// From the first to the last node (by place in the order) that has to do with something.
type Lifetime = (usize, usize);

fn emit(
    graph: &Graph,
    order: &[NodeId],
    kept: &[ValueId],
    snap_length: u32,
) -> Result<Vec<Instruction>, CompileError> {
    let (places, busy) = place(graph, order, kept)?;
    let mut states: HashMap<NodeId, State> = HashMap::new();
    let mut blocks = Vec::with_capacity(order.len());
    for (at, id) in order.iter().enumerate() {
        let in_use =
            |slot: &u32| busy.iter().any(|((from, to), used)| used == slot && (*from..=*to).contains(&at));
        let mut straight = Straight {
            values: &graph.values,
            places: &places,
            state: states.remove(id).unwrap_or_default(),
            code: Vec::new(),
            free: (0..SLOTS).rev().filter(|slot| !in_use(slot)).collect(),
        };
        let end = match graph.node(*id) {
            Node::End(_) => continue,
            Node::Set { local, value, next } => {
                straight.load_a(value)?;
                let slot = places.locals.iter().find(|(known, _)| *known == local);
                let (_, slot) = slot.ok_or(CompileError::TooManyValues)?;
                straight.push(opcode::STORE, *slot);
                straight.state.forget(&graph.values, local);
                straight.state.a = graph.values.find(Value::Local(local));
                End::Next(next)
            }
            Node::Branch { value, is, yes, no } => branch(&mut straight, value, is, yes, no)?,
        };
        let Straight { state, code, .. } = straight;
        for next in graph.node(*id).next() {
            states.entry(next).and_modify(|known| known.meet(&state)).or_insert_with(|| state.clone());
        }
        blocks.push(Block { id: *id, code, end });
    }
    Ok(lay_out(&blocks, graph.root, snap_length))
}

/// Loads what is asked for; gives the jump.
fn branch(
    straight: &mut Straight<'_>,
    value: ValueId,
    is: Is,
    yes: NodeId,
    no: NodeId,
) -> Result<End, CompileError> {
    let jump = |code, constant, yes, no| End::Jump { code, constant, yes, no };
    Ok(match is {
        Is::Equal(0) if straight.state.a != Some(value) && straight.values.masked(value).is_some() => {
            let (of, mask) = straight.values.masked(value).unwrap_or((value, u32::MAX));
            straight.load_a(of)?;
            jump(opcode::JUMP_IF_SET, mask, no, yes)
        }
        Is::Equal(constant) => {
            straight.load_a(value)?;
            jump(opcode::JUMP_IF_EQUAL, constant, yes, no)
        }
        Is::AtLeast(constant) => {
            straight.load_a(value)?;
            jump(opcode::JUMP_IF_AT_LEAST, constant, yes, no)
        }
        Is::EqualTo(other) => {
            straight.load_both(value, other, true)?;
            jump(opcode::JUMP_IF_EQUAL | opcode::BY_X, 0, yes, no)
        }
        // It is at least the other if the other is not above it.
        Is::AtLeastThat(other) => match straight.load_both(value, other, true)? {
            false => jump(opcode::JUMP_IF_AT_LEAST | opcode::BY_X, 0, yes, no),
            true => jump(opcode::JUMP_IF_GREATER | opcode::BY_X, 0, no, yes),
        },
    })
}

/// A slot for each local and each kept value, shared by those that do not live at the same time.
fn place(
    graph: &Graph,
    order: &[NodeId],
    kept: &[ValueId],
) -> Result<(Places, Vec<(Lifetime, u32)>), CompileError> {
    let mut lifetimes: Vec<(Result<Local, ValueId>, Lifetime)> = Vec::new();
    let mut index: HashMap<Result<Local, ValueId>, usize> = HashMap::new();
    let mut lives = |what, at| {
        let index = *index.entry(what).or_insert_with(|| {
            lifetimes.push((what, (at, at)));
            lifetimes.len() - 1
        });
        lifetimes[index].1.1 = at;
    };
    for (at, id) in order.iter().enumerate() {
        let node = graph.node(*id);
        if let Node::Set { local, .. } = node {
            lives(Ok(local), at);
        }
        for value in asked(node).into_iter().flatten() {
            let mut locals = std::collections::HashSet::new();
            graph.values.locals(value, &mut locals);
            locals.into_iter().for_each(|local| lives(Ok(local), at));
            for kept in kept.iter().filter(|kept| graph.values.is_made_of(value, graph.values.get(**kept))) {
                lives(Err(*kept), at);
            }
        }
    }
    lifetimes.sort_by_key(|(_, lifetime)| *lifetime);
    let (mut places, mut busy): (Places, Vec<(Lifetime, u32)>) = (Places::default(), Vec::new());
    for (what, lifetime) in lifetimes {
        // One that ends where the other begins does not do: the new one may be written before the old is read.
        let taken = |slot: u32| busy.iter().any(|((_, to), used)| *used == slot && *to >= lifetime.0);
        let slot = (0..SLOTS).find(|slot| !taken(*slot)).ok_or(CompileError::TooManyValues)?;
        busy.push((lifetime, slot));
        match what {
            Ok(local) => places.locals.push((local, slot)),
            Err(value) => places.kept.push((value, slot)),
        }
    }
    Ok((places, busy))
}
