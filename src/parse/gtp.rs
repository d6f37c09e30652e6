//! GTP user plane (3GPP TS 29.281; version 0: GSM 09.60).

use super::walk::{Step, Visit, Walk, bad_version, be16, be32, head};
use super::{Layer, Malformed, Reason};

/// Message type of a tunnelled packet.
const TUNNELLED: u8 = 255;
/// Flags whose presence brings four bytes: extension header, sequence number, N-PDU number.
const OPTIONAL: u8 = 0x07;
const EXTENSION: u8 = 0x04;
/// GTP and not GTP' (charging).
const PROTOCOL_TYPE: u8 = 0x10;

/// GTP version 1 header, TS 29.281 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GtpHeader<'a>(&'a [u8; 8]);

impl<'a> GtpHeader<'a> {
    /// Bytes of the header without optional fields.
    pub const LENGTH: usize = 8;

    /// # Errors
    /// When there are fewer than 8 bytes or the version is not 1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; 8] = head(Layer::Gtp, bytes)?;
        if fixed[0] >> 5 != 1 {
            return Err(bad_version(Layer::Gtp, 1, (fixed[0] >> 5).into()));
        }
        Ok(Self(fixed))
    }

    /// 255 for a tunnelled packet; 1 and 2 echo, 26 error indication, 254 end marker.
    #[must_use]
    pub fn message_type(&self) -> u8 {
        self.0[1]
    }

    /// Bytes after the first 8.
    #[must_use]
    pub fn length(&self) -> u16 {
        be16(self.0, 2)
    }

    /// Tunnel endpoint identifier.
    #[must_use]
    pub fn teid(&self) -> u32 {
        be32(self.0, 4)
    }

    /// Sequence number, N-PDU number and extension headers may follow: four bytes more at least.
    #[must_use]
    pub fn has_optional_fields(&self) -> bool {
        self.0[0] & OPTIONAL != 0
    }
}

impl<V: Visit> Walk<'_, V> {
    /// A GTP message; opened where it carries a packet.
    pub(super) fn gtp(&mut self, at: usize) -> Step {
        let header = self.fixed::<8>(Layer::Gtp, at)?;
        if header[0] & PROTOCOL_TYPE == 0 || header[1] != TUNNELLED {
            return Ok(());
        }
        let end = match header[0] >> 5 {
            0 => at + 20,
            1 => self.gtp_end(at, header[0])?,
            version => return Err(self.bad(Layer::Gtp, Reason::BadVersion, 1, version.into())),
        };
        self.bytes(Layer::Gtp, at, end - at)?;
        self.pass(Layer::Gtp, at, end)?;
        match self.peek::<1>(end).map(|first| first[0] >> 4) {
            Some(4) => self.ipv4(end),
            Some(6) => self.ipv6(end),
            _ if self.peek::<2>(end) == Some(&[0xff, 0x03]) => self.ppp(end),
            // 5G's Ethernet PDU sessions: nothing in the header tells them from PPP, so the type field has to.
            _ if self.looks_like_ethernet(end) => self.guess(|walk| walk.ethernet(end)),
            _ if self.peek::<14>(end).is_none() => Ok(()),
            _ => self.ppp(end),
        }
    }

    /// Past the optional fields and the chain of extension headers (TS 29.281 5.2.1: each has its length in
    /// 4-byte words first and the next one's type last).
    fn gtp_end(&mut self, at: usize, flags: u8) -> Result<usize, Malformed> {
        if flags & OPTIONAL == 0 {
            return Ok(at + 8);
        }
        let mut next = self.fixed::<12>(Layer::Gtp, at)?[11];
        let mut end = at + 12;
        while flags & EXTENSION != 0 && next != 0 {
            let &[words] = self.fixed::<1>(Layer::Gtp, end)?;
            if words == 0 {
                return Err(self.bad(Layer::Gtp, Reason::BadLength, 1, 0));
            }
            end += 4 * usize::from(words);
            next = self.fixed::<1>(Layer::Gtp, end - 1)?[0];
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_specification_draws_them() {
        let gtp = GtpHeader::parse(&[0x32, 255, 0, 46, 0, 0, 0, 7]).unwrap();
        assert_eq!((gtp.message_type(), gtp.length(), gtp.teid()), (255, 46, 7));
        assert!(gtp.has_optional_fields());
        assert_eq!(GtpHeader::parse(&[0x50; 8]).unwrap_err().reason, Reason::BadVersion);
    }
}
