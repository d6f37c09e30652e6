//! What a program gives for a frame.

use super::opcode::{
    A_TO_X, BY_X, CLASS, GIVE_A, GIVE_CONSTANT, JUMP, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, JUMP_IF_GREATER,
    JUMP_IF_SET, JUMPS, LOAD_BYTE, LOAD_BYTE_AT_X, LOAD_CONSTANT, LOAD_HALF, LOAD_HALF_AT_X, LOAD_LENGTH,
    LOAD_MEMORY, LOAD_WORD, LOAD_WORD_AT_X, LOAD_X_CONSTANT, LOAD_X_HEADER_LENGTH, LOAD_X_LENGTH,
    LOAD_X_MEMORY, NEGATE, STORE, STORE_X, X_TO_A,
};
use super::{Instruction, Known, Operation};

/// A frame as a program sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// What absolute loads read.
    pub bytes: &'a [u8],
    /// Length on the wire; `None` for that of `bytes`.
    pub wire_length: Option<u32>,
    /// Where the network header begins, for loads relative to it (`SKF_NET_OFF`).
    pub network: u32,
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
    /// EtherType and control information of the VLAN tag the kernel took out: [`Known::VlanProtocol`], [`Known::VlanTag`] and
    /// [`Known::VlanTagPresent`].
    pub vlan: Option<(u16, u16)>,
    /// [`Known::Mark`].
    pub mark: u32,
    /// [`Known::Hash`].
    pub hash: u32,
    /// [`Known::PayloadOffset`].
    pub payload: u32,
}

impl Seen<'_> {
    #[inline]
    fn absolute<const N: usize>(&self, offset: u32) -> Option<u32> {
        match self.bytes.get(offset as usize..).and_then(|bytes| bytes.first_chunk()) {
            Some(bytes) => Some(number::<N>(*bytes)),
            None => self.beyond::<N>(offset),
        }
    }

    /// Offsets below 0: what the kernel knows, and bytes relative to a header.
    #[cold]
    fn beyond<const N: usize>(&self, offset: u32) -> Option<u32> {
        const NETWORK: u32 = libc::SKF_NET_OFF as u32;
        const LINK: u32 = libc::SKF_LL_OFF as u32;
        if offset >= libc::SKF_AD_OFF as u32 {
            let known = Known::ALL.into_iter().find(|known| known.offset() == offset)?;
            return Some(self.known(known));
        }
        match offset {
            NETWORK.. => self.relative::<N>(self.network, offset - NETWORK),
            LINK.. => self.relative::<N>(0, offset - LINK),
            _ => None,
        }
    }

    #[inline]
    fn relative<const N: usize>(&self, from: u32, offset: u32) -> Option<u32> {
        let at = from.checked_add(offset)?;
        Some(number::<N>(*self.bytes.get(at as usize..)?.first_chunk()?))
    }

    /// At X and a constant.
    #[inline]
    fn calculated<const N: usize, const AS_KERNEL: bool>(&self, x: u32, constant: u32) -> Option<u32> {
        const NEGATIVE: u32 = 1 << 31;
        const NETWORK: u32 = libc::SKF_NET_OFF as u32;
        const LINK: u32 = libc::SKF_LL_OFF as u32;
        match x.wrapping_add(constant) {
            _ if !AS_KERNEL => self.relative::<N>(x, constant),
            offset @ ..NEGATIVE => self.relative::<N>(0, offset),
            offset @ NETWORK.. => self.relative::<N>(self.network, offset - NETWORK),
            offset @ LINK.. => self.relative::<N>(0, offset - LINK),
            _ => None,
        }
    }

    fn known(&self, known: Known) -> u32 {
        match known {
            Known::Protocol => self.protocol,
            Known::PacketType => self.packet_type,
            Known::Interface => self.interface,
            Known::Hardware => self.hardware,
            Known::Queue | Known::Cpu | Known::Random => self.place,
            Known::Mark => self.mark,
            Known::Hash => self.hash,
            Known::VlanTag => self.vlan.map_or(0, |(_, tag)| tag.into()),
            Known::VlanTagPresent => self.vlan.is_some().into(),
            Known::VlanProtocol => self.vlan.map_or(0, |(protocol, _)| protocol.into()),
            Known::PayloadOffset => self.payload,
        }
    }

    fn length(&self) -> u32 {
        self.wire_length.unwrap_or(self.bytes.len() as u32)
    }
}

fn number<const N: usize>(bytes: [u8; N]) -> u32 {
    bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// What the program gives for a frame: 0 where it reads beyond the frame's end or divides by 0.
///
/// As libpcap has it, where the kernel differs: a shift by more than 31 gives 0, and offsets that a program calculates (X and a
/// constant) are not taken as negative: beyond 32 bits it gives 0. An instruction that is none gives 0 too.
///
/// ```
/// use wharf::sys::classic_bpf::{Seen, run};
/// assert_eq!(run(&[], &Seen::default()), 0);
/// ```
#[must_use]
pub fn run(program: &[Instruction], seen: &Seen<'_>) -> u32 {
    interpret::<false>(program, seen).unwrap_or(0)
}

/// The same as the kernel has it (`net/core/filter.c`, `kernel/bpf/core.c`, Linux 6.1): a shift by X is one by X modulo 32, and an offset
/// that a program calculates wraps at 32 bits and is taken as negative from 2^31 on, where it may be one in a header
/// (`SKF_LL_OFF`, `SKF_NET_OFF`).
///
/// ```
/// use wharf::sys::classic_bpf::{Instruction, Seen, run, run_as_kernel};
///
/// // X = 33, A = 1 << X.
/// let instruction = |code, constant| Instruction { code, constant, ..Instruction::default() };
/// let program = [instruction(0x01, 33), instruction(0x00, 1), instruction(0x6c, 0), instruction(0x16, 0)];
/// let seen = Seen::default();
/// assert_eq!((run(&program, &seen), run_as_kernel(&program, &seen)), (0, 2));
/// ```
#[must_use]
pub fn run_as_kernel(program: &[Instruction], seen: &Seen<'_>) -> u32 {
    interpret::<true>(program, seen).unwrap_or(0)
}

fn interpret<const AS_KERNEL: bool>(program: &[Instruction], seen: &Seen<'_>) -> Option<u32> {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0_usize);
    loop {
        let Instruction { code, then, otherwise, constant } = *program.get(at)?;
        at += 1;
        match code {
            LOAD_CONSTANT => a = constant,
            LOAD_WORD => a = seen.absolute::<4>(constant)?,
            LOAD_HALF => a = seen.absolute::<2>(constant)?,
            LOAD_BYTE if constant == XOR_X => a ^= x,
            LOAD_HALF_AT_X => a = seen.calculated::<2, AS_KERNEL>(x, constant)?,
            LOAD_BYTE => a = seen.absolute::<1>(constant)?,
            LOAD_WORD_AT_X => a = seen.calculated::<4, AS_KERNEL>(x, constant)?,
            LOAD_BYTE_AT_X => a = seen.calculated::<1, AS_KERNEL>(x, constant)?,
            LOAD_MEMORY => a = *memory.get(constant as usize)?,
            LOAD_LENGTH => a = seen.length(),
            LOAD_X_CONSTANT => x = constant,
            LOAD_X_MEMORY => x = *memory.get(constant as usize)?,
            LOAD_X_LENGTH => x = seen.length(),
            LOAD_X_HEADER_LENGTH => x = 4 * (seen.absolute::<1>(constant)? & 15),
            STORE => *memory.get_mut(constant as usize)? = a,
            STORE_X => *memory.get_mut(constant as usize)? = x,
            NEGATE => a = a.wrapping_neg(),
            A_TO_X => x = a,
            X_TO_A => a = x,
            // Never back, so that every program ends.
            JUMP => at = at.saturating_add(constant as usize),
            GIVE_CONSTANT => return Some(constant),
            GIVE_A => return Some(a),
            _ => {
                let operand = if code & BY_X == 0 { constant } else { x };
                if code & CLASS == JUMPS {
                    let holds = compare(code & !BY_X, a, operand)?;
                    at += usize::from(if holds { then } else { otherwise });
                } else {
                    // A constant is checked when the program is loaded.
                    let is_shift = [Operation::ShiftLeft, Operation::ShiftRight]
                        .map(|shift| shift as u16 | BY_X)
                        .contains(&code);
                    a = calculate(code, a, if AS_KERNEL && is_shift { operand % 32 } else { operand })?;
                }
            }
        }
    }
}

/// The offset of a load that is no load (`SKF_AD_ALU_XOR_X`).
const XOR_X: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_ALU_XOR_X) as u32;

fn compare(code: u16, a: u32, b: u32) -> Option<bool> {
    Some(match code {
        JUMP_IF_EQUAL => a == b,
        JUMP_IF_GREATER => a > b,
        JUMP_IF_AT_LEAST => a >= b,
        JUMP_IF_SET => a & b != 0,
        _ => return None,
    })
}

fn calculate(code: u16, a: u32, b: u32) -> Option<u32> {
    let is = |operation: Operation| code & !BY_X == operation as u16;
    Some(match () {
        () if is(Operation::Add) => a.wrapping_add(b),
        () if is(Operation::Subtract) => a.wrapping_sub(b),
        () if is(Operation::Multiply) => a.wrapping_mul(b),
        () if is(Operation::Divide) => a.checked_div(b)?,
        () if is(Operation::Or) => a | b,
        () if is(Operation::And) => a & b,
        () if is(Operation::ShiftLeft) => a.checked_shl(b).unwrap_or(0),
        () if is(Operation::ShiftRight) => a.checked_shr(b).unwrap_or(0),
        () if is(Operation::Remainder) => a.checked_rem(b)?,
        () if is(Operation::Xor) => a ^ b,
        () => return None,
    })
}
