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

mod assembler;
mod interpret;
pub(crate) mod opcode;

pub use assembler::{Assembler, Label, TooLong};
pub use interpret::{Seen, run, run_as_kernel};

use socket2::SockFilter;

/// Most instructions of a program (`BPF_MAXINSNS`).
pub const LONGEST: usize = 4096;

/// What is done to A; with a constant, or with X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Operation {
    /// `BPF_ADD`, wrapping.
    Add = 0x04,
    /// `BPF_SUB`, wrapping.
    Subtract = 0x14,
    /// `BPF_MUL`, wrapping.
    Multiply = 0x24,
    /// `BPF_DIV`; by a constant that is not 0.
    Divide = 0x34,
    /// `BPF_OR`.
    Or = 0x44,
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
    /// Mark of the packet (`SO_MARK`).
    Mark = libc::SKF_AD_MARK,
    /// Hash of its flow, as the device or the kernel has it.
    Hash = libc::SKF_AD_RXHASH,
    /// Control information of the VLAN tag the kernel took out.
    VlanTag = libc::SKF_AD_VLAN_TAG,
    /// 1 if it took one out.
    VlanTagPresent = libc::SKF_AD_VLAN_TAG_PRESENT,
    /// The EtherType of that tag.
    VlanProtocol = libc::SKF_AD_VLAN_TPID,
    /// Where the payload begins.
    PayloadOffset = libc::SKF_AD_PAY_OFFSET,
    /// A random number.
    Random = libc::SKF_AD_RANDOM,
}

impl Known {
    /// Everything a load can read.
    pub(crate) const ALL: [Self; 13] = [
        Self::Protocol,
        Self::PacketType,
        Self::Interface,
        Self::Mark,
        Self::Queue,
        Self::Hardware,
        Self::Hash,
        Self::Cpu,
        Self::VlanTag,
        Self::VlanTagPresent,
        Self::PayloadOffset,
        Self::Random,
        Self::VlanProtocol,
    ];

    /// The offset that means it.
    pub(crate) const fn offset(self) -> u32 {
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
