//! What the kernel demands of a program (`bpf_check_classic` in net/core/filter.c, Linux 6.1), and that each scratch word is written
//! before it is read.

use crate::sys::classic_bpf::{Instruction, Known, LONGEST, Operation, opcode};

/// Why a program is none. Instructions count from 0, as they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// There are none, or more than the kernel takes.
    #[error("{0} instructions: a program has 1 to {LONGEST}")]
    Length(usize),
    /// There is no such instruction.
    #[error("instruction {at}: there is none with code 0x{code:x}")]
    Opcode {
        /// Where.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// A jump leads out of the program.
    #[error("instruction {0}: a jump beyond the program's end")]
    Jump(usize),
    /// A division by the constant 0.
    #[error("instruction {0}: a division by 0")]
    Division(usize),
    /// A shift by more than 31.
    #[error("instruction {0}: a shift by more than 31 bits")]
    Shift(usize),
    /// There are 16 words of memory.
    #[error("instruction {at}: no word {word} of memory, there are 16")]
    Memory {
        /// Where.
        at: usize,
        /// The word.
        word: u32,
    },
    /// A word of memory is read on a way on which it was not written.
    #[error("instruction {at}: word {word} of memory is read before it is written")]
    Unwritten {
        /// Where.
        at: usize,
        /// The word.
        word: u32,
    },
    /// A load at an offset with a meaning of its own that is not known here, such as netlink's attributes.
    #[error("instruction {at}: an offset of 0x{offset:x} means nothing here")]
    Offset {
        /// Where.
        at: usize,
        /// The offset.
        offset: u32,
    },
    /// The last instruction is not one that ends the program.
    #[error("the last instruction does not end the program (ret)")]
    NoEnd,
}

/// What an instruction of that code demands.
enum Demand {
    Nothing,
    Word,
    Offset,
    Divisor,
    Shift,
    Jump,
    Branch,
}

fn demand(code: u16) -> Option<Demand> {
    use opcode::{
        A_TO_X, BY_X, GIVE_A, GIVE_CONSTANT, JUMP, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, JUMP_IF_GREATER,
        JUMP_IF_SET, LOAD_BYTE, LOAD_BYTE_AT_X, LOAD_CONSTANT, LOAD_HALF, LOAD_HALF_AT_X, LOAD_LENGTH,
        LOAD_MEMORY, LOAD_WORD, LOAD_WORD_AT_X, LOAD_X_CONSTANT, LOAD_X_HEADER_LENGTH, LOAD_X_LENGTH,
        LOAD_X_MEMORY, NEGATE, STORE, STORE_X, X_TO_A,
    };
    const DIVISIONS: [u16; 2] = [Operation::Divide as u16, Operation::Remainder as u16];
    const SHIFTS: [u16; 2] = [Operation::ShiftLeft as u16, Operation::ShiftRight as u16];
    const OTHERS: [u16; 6] = [
        Operation::Add as u16,
        Operation::Subtract as u16,
        Operation::Multiply as u16,
        Operation::And as u16,
        Operation::Or as u16,
        Operation::Xor as u16,
    ];
    Some(match code {
        LOAD_WORD | LOAD_HALF | LOAD_BYTE => Demand::Offset,
        LOAD_MEMORY | LOAD_X_MEMORY | STORE | STORE_X => Demand::Word,
        LOAD_CONSTANT | LOAD_WORD_AT_X | LOAD_HALF_AT_X | LOAD_BYTE_AT_X | LOAD_LENGTH | LOAD_X_CONSTANT
        | LOAD_X_LENGTH | LOAD_X_HEADER_LENGTH | NEGATE | A_TO_X | X_TO_A | GIVE_CONSTANT | GIVE_A => {
            Demand::Nothing
        }
        JUMP => Demand::Jump,
        _ => match code & !BY_X {
            JUMP_IF_EQUAL | JUMP_IF_GREATER | JUMP_IF_AT_LEAST | JUMP_IF_SET => Demand::Branch,
            _ if DIVISIONS.contains(&code) => Demand::Divisor,
            _ if SHIFTS.contains(&code) => Demand::Shift,
            plain if OTHERS.contains(&plain) || DIVISIONS.contains(&plain) || SHIFTS.contains(&plain) => {
                Demand::Nothing
            }
            _ => return None,
        },
    })
}

pub(super) fn check(program: &[Instruction]) -> Result<(), Invalid> {
    if program.is_empty() || program.len() > LONGEST {
        return Err(Invalid::Length(program.len()));
    }
    // A bit for each word of memory that is written on every way to an instruction; all, where none leads.
    let mut written = vec![u16::MAX; program.len()];
    written[0] = 0;
    for (at, Instruction { code, then, otherwise, constant }) in program.iter().copied().enumerate() {
        let mut here = written[at];
        let mut arrive = |target: usize, here: u16| match written.get_mut(target) {
            Some(known) => {
                *known &= here;
                Ok(())
            }
            None => Err(Invalid::Jump(at)),
        };
        match demand(code).ok_or(Invalid::Opcode { at, code })? {
            Demand::Word if constant >= 16 => return Err(Invalid::Memory { at, word: constant }),
            Demand::Word if code == opcode::STORE || code == opcode::STORE_X => here |= 1 << constant,
            Demand::Word if here & 1 << constant == 0 => {
                return Err(Invalid::Unwritten { at, word: constant });
            }
            Demand::Offset if !is_offset(code, constant) => {
                return Err(Invalid::Offset { at, offset: constant });
            }
            Demand::Divisor if constant == 0 => return Err(Invalid::Division(at)),
            Demand::Shift if constant >= 32 => return Err(Invalid::Shift(at)),
            Demand::Jump => {
                let target = usize::try_from(constant).ok().and_then(|by| (at + 1).checked_add(by));
                arrive(target.ok_or(Invalid::Jump(at))?, here)?;
                continue;
            }
            Demand::Branch => {
                arrive(at + 1 + usize::from(then), here)?;
                arrive(at + 1 + usize::from(otherwise), here)?;
                continue;
            }
            _ => {}
        }
        let ends = matches!(code, opcode::GIVE_CONSTANT | opcode::GIVE_A);
        match at + 1 == program.len() {
            true if ends => {}
            true => return Err(Invalid::NoEnd),
            false if ends => {}
            false => arrive(at + 1, here)?,
        }
    }
    Ok(())
}

/// Whether an absolute load can mean that.
fn is_offset(code: u16, offset: u32) -> bool {
    let first = libc::SKF_AD_OFF as u32;
    let xor = (libc::SKF_AD_OFF + libc::SKF_AD_ALU_XOR_X) as u32;
    offset < first
        || Known::ALL.iter().any(|known| known.offset() == offset)
        || (code == opcode::LOAD_BYTE && offset == xor)
}
