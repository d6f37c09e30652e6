//! Programs put together by hand.
//!
//! eBPF has [an assembler of its own](crate::sys::bpf::assembler). The two are alike in that labels are placed and jumps patched at the
//! end, which is ten lines; how far a jump reaches, which way, where an instruction keeps it, and so what can be wrong with it,
//! differ, as do the machines: what would be shared is less than what it would take to share it.

use super::opcode::{
    A_TO_X, BY_X, GIVE_A, GIVE_CONSTANT, JUMP, JUMP_IF_EQUAL, JUMP_IF_GREATER, JUMP_IF_SET, LOAD_BYTE,
    LOAD_BYTE_AT_X, LOAD_HALF, LOAD_HALF_AT_X, LOAD_MEMORY, LOAD_WORD, LOAD_WORD_AT_X, LOAD_X_CONSTANT,
    LOAD_X_MEMORY, STORE, X_TO_A,
};
use super::{Instruction, Known, LONGEST, Operation};

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
