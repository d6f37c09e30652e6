//! One hash for every instance of a fleet: it knows no key, no machine and no version of a library.

/// 64 bits of `bytes`: FNV-1a, its offset stirred with `seed`, finished as MurmurHash3 finishes so that every bit of
/// the input moves every bit of the result. Not for keeping out those who choose the bytes.
pub(super) fn hash(bytes: &[u8], seed: u64) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let sum = |state: u64, &byte: &u8| (state ^ u64::from(byte)).wrapping_mul(PRIME);
    stir(bytes.iter().fold(OFFSET ^ stir(seed), sum))
}

/// The finish of MurmurHash3's 64-bit variant: a bijection.
pub(super) fn stir(mut value: u64) -> u64 {
    value = (value ^ value >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    value = (value ^ value >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ value >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it gave when the first fleet was set up: an instance that hashes otherwise would send clients elsewhere.
    #[test]
    fn stays_what_it_is() {
        assert_eq!(stir(1), 0xb456_bcfc_34c2_cb2c);
        assert_eq!(hash(b"", 0), stir(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash(b"a", 0), stir(0xaf63_dc4c_8601_ec8c));
        assert_ne!(hash(b"a", 1), hash(b"a", 0));
    }
}
