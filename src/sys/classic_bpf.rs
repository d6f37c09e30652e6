//! Classic BPF (`linux/bpf_common.h`, `linux/filter.h`, Linux 6.1): instructions, an assembler with labels, and a plain
//! interpreter as the reference for what was assembled.
//!
//! ```
//! use wharf::sys::classic_bpf::{Assembler, Seen, run};
//!
//! // Frames whose first byte is 7, cut at 96 bytes.
//! let mut code = Assembler::new();
//! let other = code.label();
//! code.load_byte(0);
//! code.unless_equal(7, other);
//! code.give(96);
//! code.place(other);
//! code.give(0);
//! let program = code.finish()?;
//! assert_eq!(run(&program, &Seen { bytes: &[7, 1], ..Seen::default() }), 96);
//! assert_eq!(run(&program, &Seen { bytes: &[6, 1], ..Seen::default() }), 0);
//! # Ok::<(), wharf::sys::classic_bpf::TooLong>(())
//! ```

use socket2::SockFilter;

/// Most instructions of a program (`BPF_MAXINSNS`).
pub const LONGEST: usize = 4096;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD_AT_X: u16 = 0x40;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_BYTE_AT_X: u16 = 0x50;
const LOAD_MEMORY: u16 = 0x60;
const LOAD_X_CONSTANT: u16 = 0x01;
const LOAD_X_MEMORY: u16 = 0x61;
const STORE: u16 = 0x02;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_SET: u16 = 0x45;
const GIVE_CONSTANT: u16 = 0x06;
const GIVE_A: u16 = 0x16;
const A_TO_X: u16 = 0x07;
const X_TO_A: u16 = 0x87;

/// What is done to A; with a constant, or with X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Operation {
    /// `BPF_ADD`, wrapping.
    Add = 0x04,
    /// `BPF_MUL`, wrapping.
    Multiply = 0x24,
    /// `BPF_AND`.
    And = 0x54,
    /// `BPF_LSH`.
    ShiftLeft = 0x64,
    /// `BPF_RSH`.
    ShiftRight = 0x74,
    /// `BPF_MOD`; by a constant that is not 0.
    Remainder = 0x94,
    /// `BPF_XOR`.
    Xor = 0xa4,
}

/// The bit of an operation that takes X, not the constant (`BPF_X`).
const BY_X: u16 = 0x08;

/// What the kernel knows of a frame beside its bytes (`SKF_AD_*`): loads at these offsets read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Known {
    /// The EtherType behind the tag the kernel took out.
    Protocol = libc::SKF_AD_PROTOCOL,
    /// `PACKET_HOST`, `PACKET_OUTGOING`…
    PacketType = libc::SKF_AD_PKTTYPE,
    /// Index of the interface.
    Interface = libc::SKF_AD_IFINDEX,
    /// Number of the device's receive queue.
    Queue = libc::SKF_AD_QUEUE,
    /// `ARPHRD_*` of the interface.
    Hardware = libc::SKF_AD_HATYPE,
    /// The CPU at work.
    Cpu = libc::SKF_AD_CPU,
    /// A random number.
    Random = libc::SKF_AD_RANDOM,
}

impl Known {
    const fn offset(self) -> u32 {
        (libc::SKF_AD_OFF + self as i32) as u32
    }
}

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instruction {
    /// `BPF_*`.
    pub code: u16,
    /// Instructions to skip if the condition holds.
    pub then: u8,
    /// Instructions to skip if not.
    pub otherwise: u8,
    /// The constant.
    pub constant: u32,
}

impl From<Instruction> for SockFilter {
    fn from(Instruction { code, then, otherwise, constant }: Instruction) -> Self {
        Self::new(code, then, otherwise, constant)
    }
}

/// A place in a program that is jumped to, always forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// The program is longer than the kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a program of {0} instructions: the kernel takes {LONGEST}")]
pub struct TooLong(pub usize);

/// A program under construction. Conditions fall through where they do not jump; every jump may be as long as needed.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    /// Where each label stands, once it is placed.
    labels: Vec<usize>,
    /// Jumps and the labels they go to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Instructions so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }

    /// A label to be placed.
    pub fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    /// The label stands here.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = self.code.len();
    }

    /// A = the byte there.
    pub fn load_byte(&mut self, offset: u32) {
        self.push(LOAD_BYTE, offset);
    }

    /// A = the 16 bits there, big-endian.
    pub fn load_half(&mut self, offset: u32) {
        self.push(LOAD_HALF, offset);
    }

    /// A = what the kernel knows.
    pub fn load_known(&mut self, known: Known) {
        self.push(LOAD_WORD, known.offset());
    }

    /// A = the byte that far behind X.
    pub fn load_byte_at_x(&mut self, offset: u32) {
        self.push(LOAD_BYTE_AT_X, offset);
    }

    /// A = the 16 bits that far behind X.
    pub fn load_half_at_x(&mut self, offset: u32) {
        self.push(LOAD_HALF_AT_X, offset);
    }

    /// A = the 32 bits that far behind X.
    pub fn load_word_at_x(&mut self, offset: u32) {
        self.push(LOAD_WORD_AT_X, offset);
    }

    /// A = one of 16 words of memory.
    pub fn load(&mut self, place: u32) {
        self.push(LOAD_MEMORY, place);
    }

    /// X = one of 16 words of memory.
    pub fn load_x(&mut self, place: u32) {
        self.push(LOAD_X_MEMORY, place);
    }

    /// X = a constant.
    pub fn set_x(&mut self, constant: u32) {
        self.push(LOAD_X_CONSTANT, constant);
    }

    /// Puts A into memory.
    pub fn store(&mut self, place: u32) {
        self.push(STORE, place);
    }

    /// X = A.
    pub fn a_to_x(&mut self) {
        self.push(A_TO_X, 0);
    }

    /// A = X.
    pub fn x_to_a(&mut self) {
        self.push(X_TO_A, 0);
    }

    /// A = A op constant.
    pub fn apply(&mut self, operation: Operation, constant: u32) {
        self.push(operation as u16, constant);
    }

    /// A = A op X.
    pub fn apply_x(&mut self, operation: Operation) {
        self.push(operation as u16 | BY_X, 0);
    }

    /// Goes there.
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(JUMP, 0);
    }

    /// Goes there if A is that.
    pub fn if_equal(&mut self, constant: u32, label: Label) {
        self.skip_unless(JUMP_IF_EQUAL, constant, label);
    }

    /// Goes there if A is not that.
    pub fn unless_equal(&mut self, constant: u32, label: Label) {
        self.skip_if(JUMP_IF_EQUAL, constant, label);
    }

    /// Goes there if A is above that.
    pub fn if_greater(&mut self, constant: u32, label: Label) {
        self.skip_unless(JUMP_IF_GREATER, constant, label);
    }

    /// Goes there if A is not above that.
    pub fn unless_greater(&mut self, constant: u32, label: Label) {
        self.skip_if(JUMP_IF_GREATER, constant, label);
    }

    /// Goes there if A has any of these bits.
    pub fn if_set(&mut self, constant: u32, label: Label) {
        self.skip_unless(JUMP_IF_SET, constant, label);
    }

    /// Ends with a constant.
    pub fn give(&mut self, constant: u32) {
        self.push(GIVE_CONSTANT, constant);
    }

    /// Ends with A.
    pub fn give_a(&mut self) {
        self.push(GIVE_A, 0);
    }

    // A condition reaches 255 instructions, a jump all of them: so every condition stands before a jump.

    fn skip_unless(&mut self, code: u16, constant: u32, label: Label) {
        self.code.push(Instruction { code, then: 0, otherwise: 1, constant });
        self.jump(label);
    }

    fn skip_if(&mut self, code: u16, constant: u32, label: Label) {
        self.code.push(Instruction { code, then: 1, otherwise: 0, constant });
        self.jump(label);
    }

    fn push(&mut self, code: u16, constant: u32) {
        self.code.push(Instruction { code, constant, ..Instruction::default() });
    }

    /// The program.
    ///
    /// # Errors
    /// [`TooLong`] beyond [`LONGEST`].
    ///
    /// # Panics
    /// When a jump goes to a label that was not placed behind it: a defect of whoever assembles.
    pub fn finish(mut self) -> Result<Vec<Instruction>, TooLong> {
        if self.code.len() > LONGEST {
            return Err(TooLong(self.code.len()));
        }
        for (at, label) in self.jumps {
            let target = self.labels[label.0];
            assert!(target > at && target < self.code.len(), "a label that is not placed behind its jump");
            self.code[at].constant = (target - at - 1) as u32;
        }
        Ok(self.code)
    }
}

/// A frame as a program sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// What absolute loads read.
    pub bytes: &'a [u8],
    /// [`Known::Protocol`].
    pub protocol: u32,
    /// [`Known::PacketType`].
    pub packet_type: u32,
    /// [`Known::Interface`].
    pub interface: u32,
    /// [`Known::Hardware`].
    pub hardware: u32,
    /// [`Known::Queue`], [`Known::Cpu`] and [`Known::Random`].
    pub place: u32,
}

impl Seen<'_> {
    fn load(&self, size: usize, offset: u32) -> Option<u32> {
        for (known, value) in [
            (Known::Protocol, self.protocol),
            (Known::PacketType, self.packet_type),
            (Known::Interface, self.interface),
            (Known::Hardware, self.hardware),
            (Known::Queue, self.place),
            (Known::Cpu, self.place),
            (Known::Random, self.place),
        ] {
            if offset == known.offset() {
                return Some(value);
            }
        }
        let bytes = self.bytes.get(offset as usize..)?.get(..size)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }
}

/// What the program gives for a frame: as the kernel, 0 where it reads beyond the frame's end.
///
/// ```
/// use wharf::sys::classic_bpf::{Seen, run};
/// assert_eq!(run(&[], &Seen::default()), 0);
/// ```
#[must_use]
pub fn run(program: &[Instruction], seen: &Seen<'_>) -> u32 {
    interpret(program, seen).unwrap_or(0)
}

fn interpret(program: &[Instruction], seen: &Seen<'_>) -> Option<u32> {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0);
    loop {
        let Instruction { code, then, otherwise, constant } = *program.get(at)?;
        at += 1;
        let mut skip = |condition| at += usize::from(if condition { then } else { otherwise });
        match code {
            LOAD_WORD => a = seen.load(4, constant)?,
            LOAD_HALF => a = seen.load(2, constant)?,
            LOAD_BYTE => a = seen.load(1, constant)?,
            LOAD_WORD_AT_X => a = seen.load(4, x.checked_add(constant)?)?,
            LOAD_HALF_AT_X => a = seen.load(2, x.checked_add(constant)?)?,
            LOAD_BYTE_AT_X => a = seen.load(1, x.checked_add(constant)?)?,
            LOAD_MEMORY => a = *memory.get(constant as usize)?,
            LOAD_X_CONSTANT => x = constant,
            LOAD_X_MEMORY => x = *memory.get(constant as usize)?,
            STORE => *memory.get_mut(constant as usize)? = a,
            A_TO_X => x = a,
            X_TO_A => a = x,
            JUMP => at += constant as usize,
            JUMP_IF_EQUAL => skip(a == constant),
            JUMP_IF_GREATER => skip(a > constant),
            JUMP_IF_SET => skip(a & constant != 0),
            GIVE_CONSTANT => return Some(constant),
            GIVE_A => return Some(a),
            _ => a = calculate(code, a, if code & BY_X == 0 { constant } else { x })?,
        }
    }
}

fn calculate(code: u16, a: u32, b: u32) -> Option<u32> {
    let is = |operation: Operation| code & !BY_X == operation as u16;
    Some(match () {
        () if is(Operation::Add) => a.wrapping_add(b),
        () if is(Operation::Multiply) => a.wrapping_mul(b),
        () if is(Operation::And) => a & b,
        () if is(Operation::ShiftLeft) => a.checked_shl(b)?,
        () if is(Operation::ShiftRight) => a.checked_shr(b)?,
        () if is(Operation::Remainder) => a.checked_rem(b)?,
        () if is(Operation::Xor) => a ^ b,
        () => return None,
    })
}
