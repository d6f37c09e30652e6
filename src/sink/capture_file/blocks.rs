//! One pcapng block being written: type, length, body, options, length again; little-endian.

use crate::frame::PacketOptions;
use crate::frame::pcapng::{KNOWN_FLAGS, block, option};

/// Bytes of an enhanced packet block before its data.
const HEAD: usize = 28;

/// A block at the end of a buffer. [`Block::end`] must follow, it writes the lengths.
pub(super) struct Block<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    options: bool,
}

impl<'a> Block<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>, kind: u32) -> Self {
        let start = out.len();
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        Self { out, start, options: false }
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.out.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.out.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A time in units: its upper half comes first.
    pub(super) fn time(self, units: u64) -> Self {
        self.u32((units >> 32) as u32).u32(units as u32)
    }

    /// Bytes, padded to a multiple of 4.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self.out.resize(self.out.len() + padding(bytes.len()), 0);
        self
    }

    /// An option of some bytes; what does not fit 16 bits of length is cut.
    pub(super) fn option(self, code: u16, value: &[u8]) -> Self {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        let mut block = self.u16(code).u16(value.len() as u16).bytes(value);
        block.options = true;
        block
    }

    /// The same, if there is a text.
    pub(super) fn text(self, code: u16, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.option(code, value.as_bytes()),
            None => self,
        }
    }

    /// A statistics option that holds a time.
    pub(super) fn time_option(self, code: u16, units: u64) -> Self {
        let mut block = self.u16(code).u16(8).time(units);
        block.options = true;
        block
    }

    /// The options of a packet as read, numbers made little-endian, with `flags` for what wharf knows of
    /// `epb_flags` and `lost` packets more in `epb_dropcount`. Custom options that must not be copied stay behind.
    pub(super) fn packet_options(mut self, options: PacketOptions<'_>, flags: u32, mut lost: u64) -> Self {
        let mut flags_due = flags != 0;
        for (code, value) in options.iter() {
            self = match code {
                option::EPB_FLAGS if value.len() == 4 => {
                    flags_due = false;
                    let mut bytes = [value[0], value[1], value[2], value[3]];
                    if options.big_endian {
                        bytes.reverse();
                    }
                    let merged = (u32::from_le_bytes(bytes) & !KNOWN_FLAGS) | flags;
                    self.option(code, &merged.to_le_bytes())
                }
                option::EPB_DROPCOUNT if value.len() == 8 && lost > 0 => {
                    let bytes = *value.first_chunk().unwrap_or(&[0; 8]);
                    let read = if options.big_endian { u64::from_be_bytes } else { u64::from_le_bytes };
                    self.option(code, &read(bytes).saturating_add(std::mem::take(&mut lost)).to_le_bytes())
                }
                code if option::CUSTOM_NOT_COPIED.contains(&code) => self,
                code if options.big_endian => self.turned_option(code, value),
                code => self.option(code, value),
            };
        }
        if flags_due {
            self = self.option(option::EPB_FLAGS, &flags.to_le_bytes());
        }
        if lost > 0 { self.option(option::EPB_DROPCOUNT, &lost.to_le_bytes()) } else { self }
    }

    /// An option from a big-endian section: the number in it, if it has one, turned round.
    fn turned_option(self, code: u16, value: &[u8]) -> Self {
        let number = match code {
            option::EPB_DROPCOUNT | option::EPB_PACKETID if value.len() == 8 => 0..8,
            option::EPB_QUEUE if value.len() == 4 => 0..4,
            // Types 1 and 2 are the 64-bit results of eBPF programs.
            option::EPB_VERDICT if matches!(value, [1 | 2, ..]) && value.len() == 9 => 1..9,
            code if option::CUSTOM.contains(&code) && value.len() >= 4 => 0..4,
            _ => 0..0,
        };
        let at = self.out.len() + 4 + number.start;
        let length = number.len();
        let block = self.option(code, value);
        block.out[at..at + length].reverse();
        block
    }

    /// Closes the block: end of options, both lengths.
    pub(super) fn end(mut self) {
        if self.options {
            self = self.u16(option::END).u16(0);
        }
        let length = (self.out.len() - self.start + 4) as u32;
        self.out[self.start + 4..self.start + 8].copy_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(&length.to_le_bytes());
    }
}

/// Writes an enhanced packet block that has no option, or but `epb_flags`: in few pieces what
/// [`Block::packet_options`] does in many.
#[inline]
pub(super) fn plain_packet(
    out: &mut Vec<u8>,
    interface: u32,
    units: u64,
    wire_length: u32,
    data: &[u8],
    flags: u32,
) {
    let options = if flags == 0 { 0 } else { 12 };
    let length = (HEAD + data.len() + padding(data.len()) + options + 4) as u32;
    let (upper, lower) = ((units >> 32) as u32, units as u32);
    let head = [block::ENHANCED_PACKET, length, interface, upper, lower, data.len() as u32, wire_length];
    out.reserve(length as usize);
    out.extend_from_slice(head.map(u32::to_le_bytes).as_flattened());
    out.extend_from_slice(data);
    out.extend_from_slice(&[0; 3][..padding(data.len())]);
    if flags != 0 {
        let flags = [u32::from(option::EPB_FLAGS) | 4 << 16, flags, u32::from(option::END)];
        out.extend_from_slice(flags.map(u32::to_le_bytes).as_flattened());
    }
    out.extend_from_slice(&length.to_le_bytes());
}

/// Bytes missing to a multiple of 4.
#[inline]
fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_packet_is_what_its_parts_make() {
        let data: Vec<u8> = (1..10).collect();
        for length in 0..data.len() {
            for flags in [0, 1, 0x0402] {
                let (data, units) = (&data[..length], 0x0123_4567_89ab_cdef);
                let (mut plain, mut parts) = (vec![7], vec![7]);
                plain_packet(&mut plain, 3, units, 99, data, flags);
                Block::begin(&mut parts, block::ENHANCED_PACKET)
                    .u32(3)
                    .time(units)
                    .u32(length as u32)
                    .u32(99)
                    .bytes(data)
                    .packet_options(PacketOptions::default(), flags, 0)
                    .end();
                assert_eq!(plain, parts, "{length} bytes, flags {flags}");
            }
        }
    }
}
