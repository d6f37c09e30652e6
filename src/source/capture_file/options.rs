//! Option lists of pcapng blocks.

use super::step::Order;
use crate::frame::pcapng::{option, read_flags};
use crate::frame::{Direction, Offload, PacketOptions};

/// The list at the end of a block's body, once every option is known to lie within it.
pub(super) fn check_options(raw: &[u8], order: Order) -> Result<PacketOptions<'_>, String> {
    let mut rest = raw;
    while !rest.is_empty() {
        if rest.len() < 4 {
            return Err(format!("{} bytes where an option should begin", rest.len()));
        }
        let (code, length) = (order.u16(rest, 0), order.u16(rest, 2));
        let Some(next) = rest.get(4 + usize::from(length).next_multiple_of(4)..) else {
            return Err(format!("option {code} says it is {length} bytes long, the block is shorter"));
        };
        if code == option::END {
            break;
        }
        rest = next;
    }
    Ok(PacketOptions { raw, big_endian: order.big_endian })
}

/// What the option list of a packet says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PacketNotes {
    pub(super) direction: Direction,
    pub(super) offload: Offload,
    /// Packets lost before it.
    pub(super) lost: u64,
}

pub(super) fn packet_notes(raw: &[u8], order: Order) -> Result<PacketNotes, String> {
    let mut notes = PacketNotes::default();
    for (code, value) in check_options(raw, order)?.iter() {
        match code {
            option::EPB_FLAGS if value.len() == 4 => {
                (notes.direction, notes.offload) = read_flags(order.u32(value, 0));
            }
            option::EPB_DROPCOUNT if value.len() == 8 => notes.lost = order.u64(value, 0),
            _ => {}
        }
    }
    Ok(notes)
}
