//! Blocks in a row, with jumps that reach.

use crate::filter::graph::NodeId;
use crate::sys::classic_bpf::{Instruction, opcode};
use std::collections::HashMap;

/// How a block ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// A comparison, and where it leads.
    Jump { code: u16, constant: u32, yes: NodeId, no: NodeId },
    /// On.
    Next(NodeId),
}

/// Straight code and what follows.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) id: NodeId,
    pub(super) code: Vec<Instruction>,
    pub(super) end: End,
}

/// Farthest a comparison leads.
const REACH: usize = u8::MAX as usize;

/// The program: the blocks in this order, each before all that follow it, and last the two ends. What a comparison does not reach
/// it goes to by a jump behind it.
pub(super) fn lay_out(blocks: &[Block], root: NodeId, snap_length: u32) -> Vec<Instruction> {
    let end = |constant| Instruction { code: opcode::GIVE_CONSTANT, constant, ..Instruction::default() };
    if root.is_end() {
        return vec![end(if root == NodeId::ACCEPT { snap_length } else { 0 })];
    }
    // From the last instruction to the first, so that every target has its place before it is jumped to. A place is counted
    // from the end: the instruction at place 1 is the last one.
    let mut reversed = Vec::new();
    let mut places = HashMap::new();
    for (id, constant) in [(NodeId::REJECT, 0), (NodeId::ACCEPT, snap_length)] {
        let leads_there = |block: &Block| match block.end {
            End::Jump { yes, no, .. } => yes == id || no == id,
            End::Next(next) => next == id,
        };
        if blocks.iter().any(leads_there) {
            reversed.push(end(constant));
            places.insert(id, reversed.len());
        }
    }
    for block in blocks.iter().rev() {
        match block.end {
            End::Next(next) => jump(&mut reversed, places[&next]),
            End::Jump { code, constant, yes, no } => {
                let (yes, no) = (places[&yes], places[&no]);
                // With up to two jumps between.
                let far = |place: usize, reversed: &[_]| reversed.len() + 2 - place > REACH;
                let no = if far(no, &reversed) {
                    reversed.push(to(&reversed, no));
                    reversed.len()
                } else {
                    no
                };
                let yes = if far(yes, &reversed) {
                    reversed.push(to(&reversed, yes));
                    reversed.len()
                } else {
                    yes
                };
                let skip = |place: usize| (reversed.len() - place) as u8;
                reversed.push(Instruction { code, then: skip(yes), otherwise: skip(no), constant });
            }
        }
        reversed.extend(block.code.iter().rev());
        places.insert(block.id, reversed.len());
    }
    reversed.reverse();
    reversed
}

/// A jump to the place, unless it is what comes next.
fn jump(reversed: &mut Vec<Instruction>, place: usize) {
    if place != reversed.len() {
        let jump = to(reversed, place);
        reversed.push(jump);
    }
}

fn to(reversed: &[Instruction], place: usize) -> Instruction {
    Instruction { code: opcode::JUMP, constant: (reversed.len() - place) as u32, ..Instruction::default() }
}
