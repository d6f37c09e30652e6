//! TCP options (RFC 9293 3.2; registry: IANA "TCP Option Kind Numbers").

use super::ipv4::next_option;
use super::walk::be32;
use super::{Layer, Malformed};

/// One TCP option. No-operation bytes are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpOption<'a> {
    /// Kind 2: the largest segment the sender takes, RFC 9293 3.7.1.
    MaximumSegmentSize(u16),
    /// Kind 3: how far windows are to be shifted, RFC 7323 2.
    WindowScale(u8),
    /// Kind 4: selective acknowledgments may be sent, RFC 2018 2.
    SackPermitted,
    /// Kind 5: what was received beyond the acknowledged, RFC 2018 3.
    Sack(SackBlocks<'a>),
    /// Kind 8: RFC 7323 3.
    Timestamps {
        /// The sender's clock.
        value: u32,
        /// The other side's clock as last seen, where ACK is set.
        echo: u32,
    },
    /// Kind 19: RFC 2385.
    Md5Signature(&'a [u8; 16]),
    /// Kind 30: RFC 8684; what follows kind and length.
    Mptcp(&'a [u8]),
    /// Kind 34: the cookie, empty where one is asked for, RFC 7413 4.1.1.
    FastOpen(&'a [u8]),
    /// Any other, and known ones whose length is not theirs.
    Other {
        /// Its number.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

/// Blocks of a selective acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SackBlocks<'a>(&'a [[u8; 8]]);

impl SackBlocks<'_> {
    /// Each block's first sequence number and the one after its last.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.0.iter().map(|block| (be32(block, 0), be32(block, 4)))
    }
}

/// Iterator over the options of a TCP header; a malformed one is the last item.
#[derive(Clone, Debug)]
pub struct TcpOptions<'a>(&'a [u8]);

impl<'a> TcpOptions<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = Result<TcpOption<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match next_option(Layer::Tcp, self.0)? {
                Ok((option, rest)) => {
                    self.0 = rest;
                    if option.kind != 1 {
                        return Some(Ok(decode(option.kind, option.data)));
                    }
                }
                Err(malformed) => {
                    self.0 = &[];
                    return Some(Err(malformed));
                }
            }
        }
    }
}

fn decode(kind: u8, data: &[u8]) -> TcpOption<'_> {
    let known = match kind {
        2 => data.try_into().ok().map(|bytes| TcpOption::MaximumSegmentSize(u16::from_be_bytes(bytes))),
        3 => data.try_into().ok().map(|[shift]: [u8; 1]| TcpOption::WindowScale(shift)),
        4 if data.is_empty() => Some(TcpOption::SackPermitted),
        5 => Some(data.as_chunks()).and_then(|(blocks, rest)| {
            (rest.is_empty() && !blocks.is_empty()).then_some(TcpOption::Sack(SackBlocks(blocks)))
        }),
        8 => data
            .try_into()
            .ok()
            .map(|bytes: &[u8; 8]| TcpOption::Timestamps { value: be32(bytes, 0), echo: be32(bytes, 4) }),
        19 => data.try_into().ok().map(TcpOption::Md5Signature),
        30 => Some(TcpOption::Mptcp(data)),
        34 => Some(TcpOption::FastOpen(data)),
        _ => None,
    };
    known.unwrap_or(TcpOption::Other { kind, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Result<TcpOption<'_>, Malformed>> {
        TcpOptions::new(bytes).collect()
    }

    #[test]
    fn every_kind_is_decoded() {
        let bytes = [
            2, 4, 0x05, 0xb4, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 30, 4, 0x10, 0, 34, 2, 99, 3,
            1,
        ];
        let expected = [
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::WindowScale(7),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: 1, echo: 2 },
            TcpOption::Mptcp(&[0x10, 0]),
            TcpOption::FastOpen(&[]),
            TcpOption::Other { kind: 99, data: &[1] },
        ];
        assert_eq!(all(&bytes), expected.map(Ok));
    }

    #[test]
    fn sack_blocks_are_pairs() {
        let bytes = [5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 9];
        let Ok(TcpOption::Sack(blocks)) = all(&bytes)[0] else { panic!("no SACK") };
        assert_eq!(blocks.iter().collect::<Vec<_>>(), [(1, 2), (5, 9)]);
        assert!(matches!(all(&[5, 6, 0, 0, 0, 1])[..], [Ok(TcpOption::Other { kind: 5, .. })]));
    }

    #[test]
    fn a_signature_has_sixteen_bytes() {
        let mut bytes = [7; 18];
        (bytes[0], bytes[1]) = (19, 18);
        assert_eq!(all(&bytes), [Ok(TcpOption::Md5Signature(&[7; 16]))]);
    }

    #[test]
    fn the_list_ends_at_its_end_mark() {
        assert_eq!(all(&[1, 1, 0, 2, 4, 5, 0xb4]), []);
    }

    #[test]
    fn a_malformed_list_ends_in_one_error() {
        for bytes in [&[4, 2, 8][..], &[4, 2, 8, 10, 0], &[4, 2, 8, 0], &[4, 2, 8, 1, 0]] {
            let options = all(bytes);
            assert!(matches!(options[..], [Ok(TcpOption::SackPermitted), Err(_)]), "{options:?}");
        }
    }
}
