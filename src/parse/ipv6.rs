//! IPv6 (RFC 8200) with its extension headers.

use super::ethernet::ether_type;
use super::ipv6_extension::{
    self as extension, DESTINATION_OPTIONS, ExtensionHeaders, HOP_BY_HOP, Ipv6Options, NO_NEXT_HEADER,
};
use super::walk::{Step, Visit, Walk, array, bad_version, be16, be32, clamp, head};
use super::{Fragment, IpLayer, IpVersion, Layer, Malformed, Reason};
use std::net::Ipv6Addr;

/// IPv6 header, RFC 8200 3, with the bytes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Header<'a> {
    fixed: &'a [u8; 40],
    rest: &'a [u8],
}

impl<'a> Ipv6Header<'a> {
    /// Bytes of the header without extensions.
    pub const LENGTH: usize = 40;

    /// # Errors
    /// When there are fewer than 40 bytes or the version is not 6.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; 40] = head(Layer::Ipv6, bytes)?;
        if fixed[0] >> 4 != 6 {
            return Err(bad_version(Layer::Ipv6, 6, (fixed[0] >> 4).into()));
        }
        Ok(Self { fixed, rest: &bytes[Self::LENGTH..] })
    }

    /// Traffic class: DSCP and ECN.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        (be16(self.fixed, 0) >> 4) as u8
    }

    /// Flow label, 20 bits (RFC 6437).
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        be32(self.fixed, 0) & 0x000f_ffff
    }

    /// Bytes after this header, extensions included; 0 for jumbograms and where segmentation was left
    /// to the device.
    #[must_use]
    pub fn payload_length(&self) -> u16 {
        be16(self.fixed, 4)
    }

    /// Number of the first extension header or of the upper layer.
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.fixed[6]
    }

    /// Hop limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.fixed[7]
    }

    /// Source address.
    #[must_use]
    pub fn source(&self) -> Ipv6Addr {
        Ipv6Addr::from(array::<16, 40>(self.fixed, 8))
    }

    /// Destination address.
    #[must_use]
    pub fn destination(&self) -> Ipv6Addr {
        Ipv6Addr::from(array::<16, 40>(self.fixed, 24))
    }

    /// The extension headers in order; a malformed one is the last item.
    #[must_use]
    pub fn extensions(&self) -> ExtensionHeaders<'a> {
        ExtensionHeaders::new(self.next_header(), self.rest)
    }
}

impl<V: Visit> Walk<'_, V> {
    /// An IPv6 packet and all within it.
    #[inline]
    pub(super) fn ipv6(&mut self, at: usize) -> Step {
        self.network(ether_type::IPV6, at);
        self.enter_ip(Layer::Ipv6)?;
        let Some(header) = self.peek::<40>(at) else { return Err(self.cut_ipv6(at)) };
        if header[0] >> 4 != 6 {
            return Err(self.bad(Layer::Ipv6, Reason::BadVersion, 6, (header[0] >> 4).into()));
        }
        self.visit.header(Layer::Ipv6, at, at + 40);
        let (length, next_header) = (usize::from(be16(header, 4)), header[6]);
        let declared_end = match length {
            0 if next_header == NO_NEXT_HEADER => at + 40,
            // A jumbogram, if its option comes (RFC 2675 2), or left to the device (BIG TCP).
            0 => self.limit,
            _ => at + 40 + length,
        };
        self.narrow(declared_end);

        let payload = at as u32 + 40;
        let mut ip = IpLayer {
            version: IpVersion::V6,
            protocol: next_header,
            start: at as u32,
            payload,
            data: payload,
            end: self.data.len() as u32,
            declared_end: clamp(declared_end),
            pseudo_source: at as u32 + 8,
            pseudo_destination: at as u32 + 24,
            ..IpLayer::default()
        };
        let result = if extension::layer(next_header).is_some() {
            self.extensions(&mut ip, length == 0)
        } else {
            Ok(())
        };
        let result = result.and_then(|()| self.transport(&mut ip));
        self.found_ip(ip);
        result?;
        self.tunnel(&ip)
    }

    /// As [`Walk::cut_ipv4`].
    #[cold]
    fn cut_ipv6(&mut self, at: usize) -> Malformed {
        let error = self.short(Layer::Ipv6, at, 40);
        if let Some(header) = self.peek::<24>(at).filter(|header| header[0] >> 4 == 6) {
            let declared_end = at + 40 + usize::from(be16(header, 4));
            let ip = IpLayer { version: IpVersion::V6, protocol: header[6], ..IpLayer::default() };
            self.found_cut_ip(ip, at, declared_end, [8, 24]);
        }
        error
    }

    /// Goes over the extension headers that start at `ip.payload`; `jumbo`: a jumbo length may come.
    #[inline(always)]
    pub(super) fn extensions(&mut self, ip: &mut IpLayer, jumbo: bool) -> Step {
        // A copy: were the address of `ip` taken, it would not stay in registers where no extension comes.
        let mut copy = *ip;
        let result = self.each_extension(&mut copy, jumbo);
        *ip = copy;
        result
    }

    #[inline(never)]
    fn each_extension(&mut self, ip: &mut IpLayer, mut jumbo: bool) -> Step {
        while let Some(layer) = extension::layer(ip.protocol) {
            let at = ip.payload as usize;
            let &[next_header, words, ..] = self.fixed::<8>(layer, at)?;
            let length = extension::length(layer, words);
            if length < extension::least(layer) {
                return Err(self.bad(layer, Reason::BadLength, extension::least(layer), length));
            }
            let bytes = self.bytes(layer, at, length)?;
            self.visit.header(layer, at, at + length);
            match ip.protocol {
                HOP_BY_HOP if jumbo => self.jumbo_length(ip, bytes),
                DESTINATION_OPTIONS => {
                    if let Some(offset) = extension::home_address(bytes) {
                        ip.pseudo_source = ip.payload + offset as u32;
                    }
                }
                extension::ROUTING => {
                    if let Some(offset) = extension::final_destination(bytes) {
                        ip.pseudo_destination = ip.payload.saturating_add(offset as u32);
                    }
                }
                extension::FRAGMENT => {
                    ip.fragment = match (be16(&[bytes[2], bytes[3]], 0) >> 3, bytes[3] & 1) {
                        (0, 0) => ip.fragment,
                        (0, _) => Fragment::First,
                        _ => Fragment::Later,
                    };
                }
                _ => {}
            }
            jumbo = false;
            ip.protocol = next_header;
            ip.payload += length as u32;
            ip.data = ip.payload;
            // In IPv4 the others' numbers are upper layers; in a later fragment comes the middle of something.
            let ends = ip.version == IpVersion::V4 && ip.protocol != extension::AUTHENTICATION;
            if ip.fragment == Fragment::Later || ends {
                break;
            }
        }
        Ok(())
    }

    /// RFC 2675 2: option 0xc2, allowed only for lengths that need it.
    fn jumbo_length(&mut self, ip: &mut IpLayer, header: &[u8]) {
        const JUMBO: u8 = 0xc2;
        let length = Ipv6Options::of(header).find_map(|option| match option {
            Ok((_, option)) if option.kind == JUMBO => option.data.try_into().ok().map(u32::from_be_bytes),
            _ => None,
        });
        if let Some(length @ 0x1_0000..) = length {
            let declared_end = ip.start as usize + 40 + length as usize;
            self.narrow(declared_end);
            ip.declared_end = clamp(declared_end);
            ip.end = self.data.len() as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_rfc_draws_them() {
        let mut bytes = [0; 42];
        bytes[..8].copy_from_slice(&[0x6a, 0xb1, 0x23, 0x45, 0, 2, 17, 64]);
        (bytes[23], bytes[39]) = (1, 2);
        let ip = Ipv6Header::parse(&bytes).unwrap();
        assert_eq!((ip.traffic_class(), ip.flow_label()), (0xab, 0x12345));
        assert_eq!((ip.payload_length(), ip.next_header(), ip.hop_limit()), (2, 17, 64));
        assert_eq!((ip.source().to_string(), ip.destination().to_string()), ("::1".into(), "::2".into()));
        assert_eq!(ip.extensions().count(), 0);
        assert_eq!(Ipv6Header::parse(&bytes[..39]).unwrap_err().have, 39);
        assert_eq!(Ipv6Header::parse(&[0x45; 40]).unwrap_err().reason, Reason::BadVersion);
    }
}
