//! `BPF_*` (`linux/bpf_common.h`): class, size and mode in one number.

pub(crate) const LOAD_CONSTANT: u16 = 0x00;
pub(crate) const LOAD_WORD: u16 = 0x20;
pub(crate) const LOAD_HALF: u16 = 0x28;
pub(crate) const LOAD_BYTE: u16 = 0x30;
pub(crate) const LOAD_WORD_AT_X: u16 = 0x40;
pub(crate) const LOAD_HALF_AT_X: u16 = 0x48;
pub(crate) const LOAD_BYTE_AT_X: u16 = 0x50;
pub(crate) const LOAD_MEMORY: u16 = 0x60;
pub(crate) const LOAD_LENGTH: u16 = 0x80;
pub(crate) const LOAD_X_CONSTANT: u16 = 0x01;
pub(crate) const LOAD_X_MEMORY: u16 = 0x61;
pub(crate) const LOAD_X_LENGTH: u16 = 0x81;
/// Four times the lower half of a byte.
pub(crate) const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
pub(crate) const STORE: u16 = 0x02;
pub(crate) const STORE_X: u16 = 0x03;
pub(crate) const NEGATE: u16 = 0x84;
pub(crate) const JUMP: u16 = 0x05;
pub(crate) const JUMP_IF_EQUAL: u16 = 0x15;
pub(crate) const JUMP_IF_GREATER: u16 = 0x25;
pub(crate) const JUMP_IF_AT_LEAST: u16 = 0x35;
pub(crate) const JUMP_IF_SET: u16 = 0x45;
pub(crate) const GIVE_CONSTANT: u16 = 0x06;
pub(crate) const GIVE_A: u16 = 0x16;
pub(crate) const A_TO_X: u16 = 0x07;
pub(crate) const X_TO_A: u16 = 0x87;

/// The bit of an operation or a comparison that takes X, not the constant (`BPF_X`).
pub(crate) const BY_X: u16 = 0x08;
/// The bits of the class.
pub(crate) const CLASS: u16 = 0x07;
/// The class of jumps.
pub(crate) const JUMPS: u16 = 0x05;
