//! Programs as tcpdump prints them.

use crate::sys::classic_bpf::{Instruction, Operation, opcode};
use std::fmt::Write as _;

/// How a program is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `tcpdump -d`: assembly with line numbers.
    Assembly,
    /// `tcpdump -dd`: an initialiser in C.
    C,
    /// `tcpdump -ddd`: decimal numbers, their count first.
    Decimal,
}

pub(super) fn print(program: &[Instruction], form: Form) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    match form {
        Form::Assembly => {
            for (at, instruction) in program.iter().enumerate() {
                let _ = writeln!(text, "{}", assembly(at, *instruction));
            }
        }
        Form::C => {
            for Instruction { code, then, otherwise, constant } in program {
                let _ = writeln!(text, "{{ 0x{code:x}, {then}, {otherwise}, 0x{constant:08x} }},");
            }
        }
        Form::Decimal => {
            let _ = writeln!(text, "{}", program.len());
            for Instruction { code, then, otherwise, constant } in program {
                let _ = writeln!(text, "{code} {then} {otherwise} {constant}");
            }
        }
    }
    text
}

/// libpcap's `bpf_image`.
fn assembly(at: usize, instruction: Instruction) -> String {
    let Instruction { code, then, otherwise, constant } = instruction;
    // Signed, as there: negative offsets are the kernel's own.
    let signed = constant as i32;
    let (name, operand) = match code {
        opcode::GIVE_CONSTANT => ("ret", format!("#{signed}")),
        opcode::GIVE_A => ("ret", String::new()),
        opcode::LOAD_WORD => ("ld", format!("[{signed}]")),
        opcode::LOAD_HALF => ("ldh", format!("[{signed}]")),
        opcode::LOAD_BYTE => ("ldb", format!("[{signed}]")),
        opcode::LOAD_LENGTH => ("ld", "#pktlen".to_owned()),
        opcode::LOAD_WORD_AT_X => ("ld", format!("[x + {signed}]")),
        opcode::LOAD_HALF_AT_X => ("ldh", format!("[x + {signed}]")),
        opcode::LOAD_BYTE_AT_X => ("ldb", format!("[x + {signed}]")),
        opcode::LOAD_CONSTANT => ("ld", format!("#0x{constant:x}")),
        opcode::LOAD_X_CONSTANT => ("ldx", format!("#0x{constant:x}")),
        opcode::LOAD_X_HEADER_LENGTH => ("ldxb", format!("4*([{signed}]&0xf)")),
        opcode::LOAD_MEMORY => ("ld", format!("M[{signed}]")),
        opcode::LOAD_X_MEMORY => ("ldx", format!("M[{signed}]")),
        opcode::LOAD_X_LENGTH => ("ldx", "#pktlen".to_owned()),
        opcode::STORE => ("st", format!("M[{signed}]")),
        opcode::STORE_X => ("stx", format!("M[{signed}]")),
        opcode::JUMP => ("ja", (at as i64 + 1 + i64::from(signed)).to_string()),
        opcode::NEGATE => ("neg", String::new()),
        opcode::A_TO_X => ("tax", String::new()),
        opcode::X_TO_A => ("txa", String::new()),
        _ => {
            let by_x = code & opcode::BY_X != 0;
            match (comparison(code), operation(code)) {
                (Some(name), _) | (None, Some((name, true))) if by_x => (name, "x".to_owned()),
                (Some(name), _) | (None, Some((name, true))) => (name, format!("#0x{constant:x}")),
                (None, Some((name, false))) if by_x => (name, "x".to_owned()),
                (None, Some((name, false))) => (name, format!("#{signed}")),
                (None, None) => ("unimp", format!("0x{code:x}")),
            }
        }
    };
    if comparison(code).is_some() {
        let next = at + 1;
        let (then, otherwise) = (next + usize::from(then), next + usize::from(otherwise));
        format!("({at:03}) {name:<8} {operand:<16} jt {then}\tjf {otherwise}")
    } else {
        format!("({at:03}) {name:<8} {operand}")
    }
}

fn comparison(code: u16) -> Option<&'static str> {
    Some(match code & !opcode::BY_X {
        opcode::JUMP_IF_EQUAL => "jeq",
        opcode::JUMP_IF_GREATER => "jgt",
        opcode::JUMP_IF_AT_LEAST => "jge",
        opcode::JUMP_IF_SET => "jset",
        _ => return None,
    })
}

/// An operation's name, and whether its constant is written in hexadecimal.
fn operation(code: u16) -> Option<(&'static str, bool)> {
    let is = |operation: Operation| code & !opcode::BY_X == operation as u16;
    Some(match () {
        () if is(Operation::Add) => ("add", false),
        () if is(Operation::Subtract) => ("sub", false),
        () if is(Operation::Multiply) => ("mul", false),
        () if is(Operation::Divide) => ("div", false),
        () if is(Operation::Remainder) => ("mod", false),
        () if is(Operation::And) => ("and", true),
        () if is(Operation::Or) => ("or", true),
        () if is(Operation::Xor) => ("xor", true),
        () if is(Operation::ShiftLeft) => ("lsh", false),
        () if is(Operation::ShiftRight) => ("rsh", false),
        () => return None,
    })
}
