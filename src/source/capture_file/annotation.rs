//! Blocks that a copy keeps: secrets, names, custom blocks. Their known numbers are made little-endian.

use super::options::check_options;
use super::step::Order;
use crate::frame::Annotation;
use crate::frame::pcapng::{block, option};

/// Reads the body of a block of one of the three kinds.
pub(super) fn read(kind: u32, section: u32, body: &[u8], order: Order) -> Result<Annotation, String> {
    let mut body = body.to_vec();
    let mut numbers = Numbers { body: &mut body, order };
    match kind {
        block::SECRETS => numbers.secrets(),
        block::NAMES => numbers.names(),
        _ => numbers.number(0, 4),
    }?;
    Ok(Annotation { kind, section, body })
}

/// A body whose numbers are turned round in place.
struct Numbers<'a> {
    body: &'a mut Vec<u8>,
    order: Order,
}

impl Numbers<'_> {
    /// Makes the number of `size` bytes at `at` little-endian.
    fn number(&mut self, at: usize, size: usize) -> Result<(), String> {
        let field = self.body.get_mut(at..at + size).ok_or("a block too short for its own fields")?;
        if self.order.big_endian {
            field.reverse();
        }
        Ok(())
    }

    /// 16 bits at `at`, made little-endian.
    fn u16(&mut self, at: usize) -> Result<usize, String> {
        self.number(at, 2)?;
        Ok(usize::from(Order::default().u16(self.body, at)))
    }

    /// Decryption secrets block: type, length, secrets padded to 32 bits, options.
    fn secrets(&mut self) -> Result<(), String> {
        self.number(0, 4)?;
        self.number(4, 4)?;
        let length = Order::default().u32(self.body, 4) as usize;
        self.options(8 + length.next_multiple_of(4))
    }

    /// Name resolution block: records of 16-bit type and length, ended by type 0, then options.
    fn names(&mut self) -> Result<(), String> {
        let mut at = 0;
        while at < self.body.len() {
            let (kind, length) = (self.u16(at)?, self.u16(at + 2)?);
            at += 4 + length.next_multiple_of(4);
            if kind == 0 {
                break;
            }
        }
        self.options(at)
    }

    /// Options: 16-bit code and length; custom ones begin with a 32-bit number.
    fn options(&mut self, mut at: usize) -> Result<(), String> {
        check_options(self.body.get(at..).ok_or("contents longer than their block")?, self.order)?;
        while at < self.body.len() {
            let (code, length) = (self.u16(at)?, self.u16(at + 2)?);
            if option::CUSTOM.contains(&(code as u16)) {
                self.number(at + 4, 4)?;
            }
            if code == usize::from(option::END) {
                break;
            }
            at += 4 + length.next_multiple_of(4);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: Order = Order { big_endian: true };

    #[test]
    fn secrets_of_a_big_endian_section() {
        let mut body = b"TLSK\0\0\0\x05abcde\0\0\0".to_vec();
        body.extend_from_slice(b"\0\x01\0\x02hi\0\0\x0b\xac\0\x05\0\0\0\x09x\0\0\0\0\0\0\0");
        let read = read(block::SECRETS, 3, &body, BIG).unwrap();
        assert_eq!(&read.body[..16], b"KSLT\x05\0\0\0abcde\0\0\0");
        assert_eq!(&read.body[16..], b"\x01\0\x02\0hi\0\0\xac\x0b\x05\0\x09\0\0\0x\0\0\0\0\0\0\0");
        assert_eq!(read.section, 3);
    }

    #[test]
    fn names_of_a_big_endian_section() {
        let body = b"\0\x01\0\x07\x7f\0\0\x01lo\0\0\0\0\0\0\0\x02\0\x01x\0\0\0".to_vec();
        let read = read(block::NAMES, 0, &body, BIG).unwrap();
        assert_eq!(read.body, b"\x01\0\x07\0\x7f\0\0\x01lo\0\0\0\0\0\0\x02\0\x01\0x\0\0\0");
    }

    #[test]
    fn contents_beyond_their_block_are_damage() {
        assert!(read(block::SECRETS, 0, b"TLSK\xff\0\0\0", Order::default()).is_err());
        assert!(read(block::NAMES, 0, b"\x01\0\xff\xff", Order::default()).is_err());
        assert!(read(block::CUSTOM, 0, b"\x01\0", Order::default()).is_err());
    }
}
