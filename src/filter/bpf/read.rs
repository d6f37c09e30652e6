//! Programs as numbers in text.

use super::{Invalid, Program};
use crate::sys::classic_bpf::{Instruction, LONGEST};

/// Why a text is no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The first line is not the number of instructions.
    #[error(
        "no number of instructions (1 to {LONGEST}) at the beginning: expected what `tcpdump -ddd` prints"
    )]
    Count,
    /// There are more or fewer than it says.
    #[error("{stated} instructions announced, {found} there")]
    Mismatch {
        /// By the first line.
        stated: usize,
        /// By count.
        found: usize,
    },
    /// An instruction is not four numbers, or one is too large.
    #[error("line {line}: an instruction is four numbers (code, jt, jf, k), not {text:?}")]
    Numbers {
        /// From 1; the count is in line 1.
        line: usize,
        /// As it stands there, shortened.
        text: String,
    },
    /// The kernel would refuse it.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Whether a text is a program, or means to be one: a number alone, and a number behind it in the next line or behind a comma. In no
/// expression does a number follow a number.
pub(super) fn is_program(text: &str) -> bool {
    let mut lines = text.split(['\n', ',']).map(str::trim).filter(|line| !line.is_empty());
    let is_count = |line: &str| line.bytes().all(|byte| byte.is_ascii_digit());
    lines.next().is_some_and(is_count)
        && lines.next().is_some_and(|line| line.starts_with(|first: char| first.is_ascii_digit()))
}

pub(super) fn read(text: &str) -> Result<Program, ReadError> {
    let mut lines = text.split(['\n', ',']).map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let count = lines.next().and_then(|(_, line)| line.parse::<usize>().ok());
    let stated = count.filter(|count| (1..=LONGEST).contains(count)).ok_or(ReadError::Count)?;
    let mut instructions = Vec::with_capacity(stated);
    let mut found = 0;
    for (at, line) in lines {
        found += 1;
        if found > stated {
            continue;
        }
        let instruction = instruction(line)
            .ok_or_else(|| ReadError::Numbers { line: at + 1, text: line.chars().take(40).collect() })?;
        instructions.push(instruction);
    }
    if found != stated {
        return Err(ReadError::Mismatch { stated, found });
    }
    Ok(Program::new(instructions)?)
}

fn instruction(line: &str) -> Option<Instruction> {
    let mut numbers = line.split_ascii_whitespace();
    let instruction = Instruction {
        code: numbers.next()?.parse().ok()?,
        then: numbers.next()?.parse().ok()?,
        otherwise: numbers.next()?.parse().ok()?,
        constant: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some(instruction)
}
