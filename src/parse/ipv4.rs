//! IPv4 (RFC 791).

use super::ethernet::ether_type;
use super::ipv6_extension::AUTHENTICATION;
use super::walk::{Step, Visit, Walk, array, bad_length, bad_version, be16, clamp, head, whole};
use super::{Fragment, IpLayer, IpVersion, Layer, Malformed, Reason};
use std::net::Ipv4Addr;

/// IPv4 header with its options, RFC 791 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header<'a> {
    fixed: &'a [u8; 20],
    options: &'a [u8],
}

impl<'a> Ipv4Header<'a> {
    /// Bytes of the header without options.
    pub const LENGTH: usize = 20;

    /// # Errors
    /// When the bytes end within the header, the version is not 4 or the header length below 20.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; 20] = head(Layer::Ipv4, bytes)?;
        if fixed[0] >> 4 != 4 {
            return Err(bad_version(Layer::Ipv4, 4, (fixed[0] >> 4).into()));
        }
        let length = header_length(fixed);
        if length < Self::LENGTH {
            return Err(bad_length(Layer::Ipv4, Self::LENGTH, length));
        }
        Ok(Self { fixed, options: &whole(Layer::Ipv4, bytes, length)?[Self::LENGTH..] })
    }

    /// Bytes of the header with options: 20 to 60.
    #[must_use]
    pub fn header_length(&self) -> usize {
        Self::LENGTH + self.options.len()
    }

    /// Differentiated services code point, 6 bits (RFC 2474).
    #[must_use]
    pub fn dscp(&self) -> u8 {
        self.fixed[1] >> 2
    }

    /// Explicit congestion notification, 2 bits (RFC 3168).
    #[must_use]
    pub fn ecn(&self) -> u8 {
        self.fixed[1] & 3
    }

    /// Header and payload in bytes; 0 where segmentation was left to the device.
    #[must_use]
    pub fn total_length(&self) -> u16 {
        be16(self.fixed, 2)
    }

    /// Identification.
    #[must_use]
    pub fn id(&self) -> u16 {
        be16(self.fixed, 4)
    }

    /// The packet must not be fragmented.
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.fixed[6] & 0x40 != 0
    }

    /// More fragments follow.
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.fixed[6] & 0x20 != 0
    }

    /// Where the fragment belongs, in bytes.
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        (be16(self.fixed, 6) & 0x1fff) << 3
    }

    /// Time to live.
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// Protocol number of the payload.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.fixed[9]
    }

    /// Header checksum as it stands.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        be16(self.fixed, 10)
    }

    /// Source address.
    #[must_use]
    pub fn source(&self) -> Ipv4Addr {
        array(self.fixed, 12).into()
    }

    /// Destination address.
    #[must_use]
    pub fn destination(&self) -> Ipv4Addr {
        array(self.fixed, 16).into()
    }

    /// The options up to the end-of-list mark; a malformed one is the last item.
    pub fn options(&self) -> Ipv4Options<'a> {
        Ipv4Options(self.options)
    }
}

/// Iterator over the options of an IPv4 header.
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a>(&'a [u8]);

/// One IPv4 option, RFC 791 3.1; numbers: IANA's IP option registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// Copy flag, class and number in one byte: 1 no operation, 7 record route, 68 time stamp, 131 and 137
    /// loose and strict source route, 148 router alert.
    pub kind: u8,
    /// What follows kind and length.
    pub data: &'a [u8],
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<Ipv4Option<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let option = next_option(Layer::Ipv4, self.0)?;
        self.0 = option.map_or(&[], |(_, rest)| rest);
        Some(option.map(|(option, _)| option))
    }
}

/// The first option of a list as IPv4 and TCP write them, and the rest of the list: kind 0 ends it, kind 1
/// is one byte, all others have a length that counts kind and itself.
pub(super) fn next_option(layer: Layer, bytes: &[u8]) -> Option<Result<(Ipv4Option<'_>, &[u8]), Malformed>> {
    Some(match *bytes {
        [] | [0, ..] => return None,
        [1, ref rest @ ..] => Ok((Ipv4Option { kind: 1, data: &[] }, rest)),
        [_] => Err(bad_length(layer, 2, 1)),
        [kind, length, ref rest @ ..] => match usize::from(length).checked_sub(2) {
            None => Err(bad_length(layer, 2, length.into())),
            Some(length) => match rest.split_at_checked(length) {
                None => Err(bad_length(layer, length + 2, bytes.len())),
                Some((data, rest)) => Ok((Ipv4Option { kind, data }, rest)),
            },
        },
    })
}

fn header_length(fixed: &[u8; 20]) -> usize {
    usize::from(fixed[0] & 0x0f) * 4
}

#[inline]
fn fragment(flags_and_offset: u16) -> Fragment {
    match flags_and_offset & 0x3fff {
        0 => Fragment::Whole,
        0x2000 => Fragment::First,
        _ => Fragment::Later,
    }
}

impl<V: Visit> Walk<'_, V> {
    /// An IPv4 packet and all within it.
    ///
    /// A total length beyond what holds the packet does not stop the walk: what is there is read.
    #[inline]
    pub(super) fn ipv4(&mut self, at: usize) -> Step {
        self.network(ether_type::IPV4, at);
        self.enter_ip(Layer::Ipv4)?;
        let Some(header) = self.peek::<20>(at) else { return Err(self.cut_ipv4(at)) };
        if header[0] >> 4 != 4 {
            return Err(self.bad(Layer::Ipv4, Reason::BadVersion, 4, (header[0] >> 4).into()));
        }
        let length = header_length(header);
        if length < 20 {
            return Err(self.bad(Layer::Ipv4, Reason::BadLength, 20, length));
        }
        let declared_end = match usize::from(be16(header, 2)) {
            // Left to the device (TSO): the frame is the packet.
            0 => self.limit,
            total if total < length => return Err(self.bad(Layer::Ipv4, Reason::BadLength, length, total)),
            total => at + total,
        };
        self.narrow(declared_end);

        let payload = (at + length).min(self.data.len()) as u32;
        let mut ip = IpLayer {
            version: IpVersion::V4,
            fragment: fragment(be16(header, 6)),
            protocol: header[9],
            start: at as u32,
            payload,
            data: payload,
            end: self.data.len() as u32,
            declared_end: clamp(declared_end),
            pseudo_source: at as u32 + 12,
            pseudo_destination: at as u32 + 16,
            ..IpLayer::default()
        };
        let mut result =
            if length == 20 { Ok(()) } else { self.ipv4_options(at, length, &mut ip.pseudo_destination) };
        if result.is_ok() {
            self.visit.header(Layer::Ipv4, at, at + length);
            if ip.protocol == AUTHENTICATION && ip.fragment != Fragment::Later {
                result = self.extensions(&mut ip, false);
            }
        }
        let result = result.and_then(|()| self.transport(&mut ip));
        self.found_ip(ip);
        result?;
        self.tunnel(&ip)
    }

    /// Whether all of a header with options is there, and where the last address of its source route is.
    #[inline(always)]
    fn ipv4_options(&mut self, at: usize, length: usize, destination: &mut u32) -> Step {
        self.bytes(Layer::Ipv4, at, length)?;
        if let Some(last) = self.source_route(at, length) {
            *destination = last;
        }
        Ok(())
    }

    /// A fixed header that is not all there: what stands before the cut is recorded from the source address on.
    #[cold]
    fn cut_ipv4(&mut self, at: usize) -> Malformed {
        let error = self.short(Layer::Ipv4, at, 20);
        if let Some(header) = self.peek::<16>(at).filter(|header| header[0] >> 4 == 4) {
            let fragment = fragment(be16(header, 6));
            let declared_end = at + usize::from(be16(header, 2)).max(20);
            let ip = IpLayer { version: IpVersion::V4, fragment, protocol: header[9], ..IpLayer::default() };
            self.found_cut_ip(ip, at, declared_end, [12, 16]);
        }
        error
    }

    /// A source route that has not reached its end (pointer within its length) has the packet's destination
    /// last; the header's is but the next stop (RFC 791 3.1, RFC 1122 4.2.3.8 on the pseudo header).
    #[cold]
    fn source_route(&self, start: usize, header_length: usize) -> Option<u32> {
        const LOOSE_OR_STRICT: [u8; 2] = [131, 137];
        let mut rest = self.data.get(start + 20..start + header_length)?;
        while let Some(Ok((option, after))) = next_option(Layer::Ipv4, rest) {
            let at = start + header_length - rest.len();
            if let (true, [pointer, route @ ..]) = (LOOSE_OR_STRICT.contains(&option.kind), option.data)
                && usize::from(*pointer) <= route.len() + 3
                && route.len() >= 4
            {
                return Some((at + 3 + route.len() / 4 * 4 - 4) as u32);
            }
            rest = after;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 791's header with loose source route, no operation and router alert.
    const HEADER: [u8; 36] = [
        0x49, 0xb9, 0, 40, 0x12, 0x34, 0x60, 3, 64, 17, 0xab, 0xcd, 192, 0, 2, 1, 198, 51, 100, 2, 131, 7, 4,
        203, 0, 113, 9, 1, 148, 4, 0, 0, 0, 9, 9, 9,
    ];

    #[test]
    fn fields_are_where_the_rfc_draws_them() {
        let ip = Ipv4Header::parse(&HEADER).unwrap();
        assert_eq!((ip.header_length(), ip.total_length(), ip.id()), (36, 40, 0x1234));
        assert_eq!((ip.dscp(), ip.ecn(), ip.ttl(), ip.protocol()), (46, 1, 64, 17));
        assert_eq!((ip.dont_fragment(), ip.more_fragments(), ip.fragment_offset()), (true, true, 24));
        assert_eq!((ip.source(), ip.destination()), ([192, 0, 2, 1].into(), [198, 51, 100, 2].into()));
        assert_eq!(ip.checksum(), 0xabcd);
        let kinds: Vec<_> = ip.options().map(|option| option.unwrap().kind).collect();
        assert_eq!(kinds, [131, 1, 148], "up to the end-of-list mark");
    }

    #[test]
    fn options_end_with_the_first_malformed_one() {
        let mut bytes = HEADER;
        bytes[29] = 9;
        let options: Vec<_> = Ipv4Header::parse(&bytes).unwrap().options().collect();
        assert_eq!(options.len(), 3);
        assert_eq!(options[2].unwrap_err().reason, Reason::BadLength);
    }

    #[test]
    fn the_header_must_be_whole_and_of_version_4() {
        assert_eq!(Ipv4Header::parse(&HEADER[..35]).unwrap_err().need, 36);
        assert_eq!(Ipv4Header::parse(&[0x60; 40]).unwrap_err().reason, Reason::BadVersion);
        assert_eq!(Ipv4Header::parse(&[0x44; 40]).unwrap_err().reason, Reason::BadLength);
    }
}
