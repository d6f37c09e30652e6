//! An assembler for eBPF (`Documentation/bpf/standardization/instruction-set.rst`).
//!
//! ```
//! use wharf::sys::bpf::assembler::{Assembler, Condition, Register::*, Size};
//!
//! // XDP_PASS for frames of 60 bytes or more, XDP_DROP for others.
//! let mut code = Assembler::new();
//! let short = code.label();
//! code.load(Size::Word, R2, R1, 0).load(Size::Word, R3, R1, 4);
//! code.add(R2, 60).jump(Condition::Greater, R2, R3, short);
//! code.set(R0, 2).exit();
//! code.place(short).set(R0, 1).exit();
//! assert_eq!(code.finish()?.len(), 8);
//! # Ok::<(), wharf::sys::bpf::assembler::Fault>(())
//! ```

use std::os::fd::{AsRawFd, RawFd};
use zerocopy::{Immutable, IntoBytes};

/// One of the machine's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Register {
    /// What a call gives, and what the program returns.
    R0,
    /// The first argument; at the start the context. Calls overwrite this and the next four.
    R1,
    /// The second argument.
    R2,
    /// The third.
    R3,
    /// The fourth.
    R4,
    /// The fifth.
    R5,
    /// Kept over calls, as the next three.
    R6,
    /// Kept over calls.
    R7,
    /// Kept over calls.
    R8,
    /// Kept over calls.
    R9,
    /// The end of the program's stack of 512 bytes, which lies below it. It cannot be written.
    R10,
}

/// How many bytes a load takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    /// Four.
    Word = 0x00,
    /// Two.
    Half = 0x08,
    /// One.
    Byte = 0x10,
}

/// What is done with two 64-bit values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// Their sum.
    Add = 0x00,
    /// Their difference.
    Subtract = 0x10,
    /// Bits in either.
    Or = 0x40,
    /// Bits in both.
    And = 0x50,
    /// The first moved left by the second.
    ShiftLeft = 0x60,
    /// The first moved right by the second, zeros coming in.
    ShiftRight = 0x70,
    /// The second.
    Move = 0xb0,
}

/// When to jump. Comparisons are of 64 bits without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Condition {
    /// Both are equal.
    Equal = 0x10,
    /// The first is greater.
    Greater = 0x20,
    /// They have a bit in common.
    AnyBit = 0x40,
    /// They differ.
    Unlike = 0x50,
    /// The first is less.
    Less = 0xa0,
}

/// The second of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// In a register.
    Register(Register),
    /// A number, extended with its sign.
    Number(i32),
}

impl From<Register> for Operand {
    fn from(register: Register) -> Self {
        Self::Register(register)
    }
}

impl From<i32> for Operand {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

/// `struct bpf_insn` of `linux/bpf.h`, Linux 6.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Immutable, IntoBytes)]
#[repr(C)]
pub struct Instruction {
    /// Class, operation and where the second value is.
    pub code: u8,
    /// Destination and source register, four bits each: the destination's are the lower ones on little-endian hosts.
    pub registers: u8,
    /// Of a memory access in bytes; of a jump in instructions, from the next one.
    pub offset: i16,
    /// The number in the instruction.
    pub immediate: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

/// `BPF_LDX | BPF_MEM`, `BPF_ALU64`, `BPF_JMP` and what goes with them.
const LOAD: u8 = 0x61;
/// `BPF_STX | BPF_MEM`.
const STORE: u8 = 0x63;
const ALU: u8 = 0x07;
const JUMP: u8 = 0x05;
const FROM_REGISTER: u8 = 0x08;
/// `BPF_ALU | BPF_END | BPF_TO_BE`.
const TO_BIG_ENDIAN: u8 = 0xdc;
/// `BPF_LD | BPF_IMM | BPF_DW`, in two slots; what the number is stands in place of the source register.
const LOAD_LONG: u8 = 0x18;
/// `BPF_PSEUDO_MAP_FD` and `BPF_PSEUDO_MAP_VALUE`.
const MAP: u8 = 1;
const MAP_VALUE: u8 = 2;
/// `BPF_JMP | BPF_CALL`, `BPF_JMP | BPF_EXIT`.
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// A place to jump to, of the assembler that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// What is wrong with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A jump goes to a label that was never placed.
    #[error("instruction {instruction} jumps to a label that has no place")]
    NoPlace {
        /// Its number, counted from 0.
        instruction: usize,
    },
    /// A jump is too far for its 16 bits.
    #[error("instruction {instruction} jumps too far")]
    TooFar {
        /// Its number, counted from 0.
        instruction: usize,
    },
}

/// A program being written.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    places: Vec<Option<usize>>,
    /// Which instruction jumps to which label.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A label, to be [placed](Self::place) before or after the jumps that name it.
    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// The label stands before the next instruction.
    pub fn place(&mut self, label: Label) -> &mut Self {
        self.places[label.0] = Some(self.code.len());
        self
    }

    fn push(&mut self, code: u8, to: Register, from: u8, offset: i16, immediate: i32) -> &mut Self {
        let (to, from) =
            if cfg!(target_endian = "little") { (to as u8, from << 4) } else { ((to as u8) << 4, from) };
        self.code.push(Instruction { code, registers: to | from, offset, immediate });
        self
    }

    /// `to = *(from + offset)`, the rest 0.
    pub fn load(&mut self, size: Size, to: Register, from: Register, offset: i16) -> &mut Self {
        self.push(LOAD | size as u8, to, from as u8, offset, 0)
    }

    /// `*(to + offset) = from`.
    pub fn store(&mut self, size: Size, to: Register, offset: i16, from: Register) -> &mut Self {
        self.push(STORE | size as u8, to, from as u8, offset, 0)
    }

    /// `to = to OPERATION by`.
    pub fn compute(&mut self, operation: Operation, to: Register, by: impl Into<Operand>) -> &mut Self {
        match by.into() {
            Operand::Register(from) => self.push(ALU | operation as u8 | FROM_REGISTER, to, from as u8, 0, 0),
            Operand::Number(number) => self.push(ALU | operation as u8, to, 0, 0, number),
        }
    }

    /// `to = value`.
    pub fn set(&mut self, to: Register, value: impl Into<Operand>) -> &mut Self {
        self.compute(Operation::Move, to, value)
    }

    /// `to = to + value`.
    pub fn add(&mut self, to: Register, value: impl Into<Operand>) -> &mut Self {
        self.compute(Operation::Add, to, value)
    }

    /// The two low bytes of a register, loaded as they stand in a frame, as a number.
    pub fn from_network_half(&mut self, register: Register) -> &mut Self {
        self.push(TO_BIG_ENDIAN, register, 0, 0, 16)
    }

    /// Goes on at `to` when `a CONDITION b`.
    pub fn jump(&mut self, condition: Condition, a: Register, b: impl Into<Operand>, to: Label) -> &mut Self {
        self.jumps.push((self.code.len(), to));
        match b.into() {
            Operand::Register(from) => self.push(JUMP | condition as u8 | FROM_REGISTER, a, from as u8, 0, 0),
            Operand::Number(number) => self.push(JUMP | condition as u8, a, 0, 0, number),
        }
    }

    /// Goes on at `to`.
    pub fn go(&mut self, to: Label) -> &mut Self {
        self.jumps.push((self.code.len(), to));
        self.push(JUMP, Register::R0, 0, 0, 0)
    }

    /// The map, as helpers take it. It stands in the program by its descriptor, which is to be open when it is loaded.
    pub fn map(&mut self, to: Register, map: &impl AsRawFd) -> &mut Self {
        self.long(to, MAP, map.as_raw_fd(), 0)
    }

    /// The address of byte `offset` of an array's only value; the array as in [`Self::map`].
    pub fn map_value(&mut self, to: Register, map: &impl AsRawFd, offset: i32) -> &mut Self {
        self.long(to, MAP_VALUE, map.as_raw_fd(), offset)
    }

    fn long(&mut self, to: Register, kind: u8, map: RawFd, second: i32) -> &mut Self {
        self.push(LOAD_LONG, to, kind, 0, map).push(0, Register::R0, 0, 0, second)
    }

    /// Calls the helper of that number (`enum bpf_func_id`).
    pub fn call(&mut self, helper: i32) -> &mut Self {
        self.push(CALL, Register::R0, 0, 0, helper)
    }

    /// Returns R0.
    pub fn exit(&mut self) -> &mut Self {
        self.push(EXIT, Register::R0, 0, 0, 0)
    }

    /// The instructions, with jumps to where their labels were placed.
    ///
    /// # Errors
    /// [`Fault`] for a jump that cannot be made.
    pub fn finish(mut self) -> Result<Vec<Instruction>, Fault> {
        for (instruction, label) in self.jumps {
            let place = self.places[label.0].ok_or(Fault::NoPlace { instruction })?;
            let distance = place as i64 - instruction as i64 - 1;
            self.code[instruction].offset =
                i16::try_from(distance).map_err(|_| Fault::TooFar { instruction })?;
        }
        Ok(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::Register::*;
    use super::*;

    struct File(RawFd);

    impl AsRawFd for File {
        fn as_raw_fd(&self) -> RawFd {
            self.0
        }
    }

    /// Worked out by hand from the tables of the instruction set; beside each line what it says.
    #[test]
    #[cfg(target_endian = "little")]
    fn every_form_is_encoded_as_elsewhere() {
        let mut code = Assembler::new();
        let (back, end) = (code.label(), code.label());
        code.place(back)
            .load(Size::Word, R2, R1, 4) //                  r2 = *(u32 *)(r1 + 4)
            .load(Size::Half, R3, R7, 12) //                 r3 = *(u16 *)(r7 + 12)
            .load(Size::Byte, R0, R9, -1) //                 r0 = *(u8 *)(r9 - 1)
            .store(Size::Word, R7, 4, R2) //                 *(u32 *)(r7 + 4) = r2
            .set(R6, R1) //                                  r6 = r1
            .set(R0, 2) //                                   r0 = 2
            .add(R7, 14) //                                  r7 += 14
            .add(R7, R3) //                                  r7 += r3
            .compute(Operation::And, R3, 15) //              r3 &= 15
            .compute(Operation::ShiftLeft, R3, 2) //         r3 <<= 2
            .compute(Operation::ShiftRight, R4, R5) //       r4 >>= r5
            .from_network_half(R4) //                        r4 = be16 r4
            .jump(Condition::Greater, R7, R8, end) //        if r7 > r8 goto end
            .jump(Condition::Unlike, R3, 8, back) //         if r3 != 8 goto back
            .jump(Condition::AnyBit, R3, 0x1fff, end) //     if r3 & 0x1fff goto end
            .map(R1, &File(5)) //                            r1 = map 5
            .map_value(R2, &File(6), 8192) //                r2 = value of map 6 + 8192
            .call(51) //                                     call 51
            .go(end) //                                      goto end
            .place(end)
            .exit(); //                                      exit
        let bytes: Vec<u64> =
            code.finish().unwrap().iter().map(|one| zerocopy::transmute!(*one)).map(u64::to_be).collect();
        assert_eq!(
            bytes,
            [
                0x6112_0400_0000_0000,
                0x6973_0c00_0000_0000,
                0x7190_ffff_0000_0000,
                0x6327_0400_0000_0000,
                0xbf16_0000_0000_0000,
                0xb700_0000_0200_0000,
                0x0707_0000_0e00_0000,
                0x0f37_0000_0000_0000,
                0x5703_0000_0f00_0000,
                0x6703_0000_0200_0000,
                0x7f54_0000_0000_0000,
                0xdc04_0000_1000_0000,
                0x2d87_0800_0000_0000,
                0x5503_f2ff_0800_0000,
                0x4503_0600_ff1f_0000,
                0x1811_0000_0500_0000,
                0x0000_0000_0000_0000,
                0x1822_0000_0600_0000,
                0x0000_0000_0020_0000,
                0x8500_0000_3300_0000,
                0x0500_0000_0000_0000,
                0x9500_0000_0000_0000,
            ]
        );
    }

    #[test]
    fn jumps_that_cannot_be_made_are_faults() {
        let mut code = Assembler::new();
        let nowhere = code.label();
        code.set(R0, 0).go(nowhere);
        assert_eq!(code.finish(), Err(Fault::NoPlace { instruction: 1 }));

        let mut code = Assembler::new();
        let far = code.label();
        code.go(far);
        for _ in 0..40_000 {
            code.set(R0, 0);
        }
        code.place(far).exit();
        assert_eq!(code.finish(), Err(Fault::TooFar { instruction: 0 }));
    }
}
