//! CRC32c (Castagnoli), the checksum of SCTP (RFC 9260 appendix A), eight bytes a step.

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
        let (steps, tail) = bytes.as_chunks::<8>();
        let crc = steps.iter().fold(self.0, |crc, step| {
            let mixed = u64::from_le_bytes(*step) ^ u64::from(crc);
            mixed
                .to_le_bytes()
                .iter()
                .zip(TABLES.iter().rev())
                .fold(0, |crc, (byte, table)| crc ^ table[usize::from(*byte)])
        });
        Self(tail.iter().fold(crc, |crc, byte| crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ byte)]))
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
