//! CRC32c (Castagnoli), the checksum of SCTP (RFC 9260 appendix A), eight bytes a step: by the CPU's instruction for it, or
//! else by table.

/// The reflected polynomial 0x1edc6f41.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[k][b]`: what byte `b` contributes with `k` bytes after it in a step of eight.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut step = 1;
    while step < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[step - 1][byte];
            tables[step][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        step += 1;
    }
    tables
}

/// The CRC32c of `bytes`. SCTP carries it with the least significant byte first.
///
/// ```
/// // The check value of the CRC catalogue, and RFC 3720 appendix B.4: 32 bytes of zeroes.
/// assert_eq!(wharf::checksum::crc32c(b"123456789"), 0xe306_9283);
/// assert_eq!(wharf::checksum::crc32c(&[0; 32]), 0x8a91_36aa);
/// ```
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::new().add(bytes).value()
}

/// A CRC32c under way: over the bytes added so far, in order.
///
/// ```
/// use wharf::checksum::{Crc32c, crc32c};
/// assert_eq!(Crc32c::new().add(b"12345").add(b"6789").value(), crc32c(b"123456789"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c(u32);

impl Crc32c {
    /// The CRC of no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self(u32::MAX)
    }

    /// The CRC with `bytes` appended.
    #[expect(clippy::should_implement_trait, reason = "appends bytes rather than adding two of a kind")]
    #[must_use]
    pub fn add(self, bytes: &[u8]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(instruction) = super::x86_64::Crc::new() {
            return Self(instruction.add(self.0, bytes));
        }
        Self(by_table(self.0, bytes))
    }

    /// The CRC of all bytes so far.
    #[must_use]
    pub const fn value(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

/// What the register holds after `bytes`, from what it held before them.
fn by_table(register: u32, bytes: &[u8]) -> u32 {
    let (steps, tail) = bytes.as_chunks::<8>();
    let register = steps.iter().fold(register, |register, step| {
        let mixed = u64::from_le_bytes(*step) ^ u64::from(register);
        mixed
            .to_le_bytes()
            .iter()
            .zip(TABLES.iter().rev())
            .fold(0, |register, (byte, table)| register ^ table[usize::from(*byte)])
    });
    tail.iter().fold(register, |register, byte| register >> 8 ^ TABLES[0][usize::from(register as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_gives_what_the_polynomial_says() {
        let bytes: Vec<u8> = (0..300_u32).map(|at| (at * at / 7 + at) as u8).collect();
        for (start, end) in (0..9).flat_map(|start| (start..200).map(move |end| (start, end))) {
            let bytes = &bytes[start..end];
            let bit_by_bit = bytes.iter().fold(u32::MAX, |register, byte| {
                (0..8).fold(register ^ u32::from(*byte), |register, _| {
                    register >> 1 ^ if register & 1 == 1 { POLYNOMIAL } else { 0 }
                })
            });
            assert_eq!(by_table(u32::MAX, bytes), bit_by_bit, "{start}..{end} by table");
            assert_eq!(Crc32c::new().add(bytes).0, bit_by_bit, "{start}..{end}");
        }
    }
}
