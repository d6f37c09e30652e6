//! IPv6 extension headers (RFC 8200 4; registry: IANA "IPv6 Extension Header Types").

use super::walk::{array, bad_length, be16, be32, head, whole};
use super::{Layer, Malformed};
use std::net::Ipv6Addr;

pub(super) const HOP_BY_HOP: u8 = 0;
pub(super) const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
pub(super) const AUTHENTICATION: u8 = 51;
pub(super) const NO_NEXT_HEADER: u8 = 59;
pub(super) const DESTINATION_OPTIONS: u8 = 60;

/// Where a final destination stands that is put together from two places.
const NOT_IN_ONE_PIECE: usize = 1 << 30;

/// The extension header of that number; `None` for upper layers. ESP hides what follows and is one.
#[inline]
pub(super) const fn layer(next_header: u8) -> Option<Layer> {
    Some(match next_header {
        HOP_BY_HOP => Layer::HopByHop,
        ROUTING => Layer::Routing,
        FRAGMENT => Layer::Fragment,
        AUTHENTICATION => Layer::Authentication,
        DESTINATION_OPTIONS => Layer::DestinationOptions,
        135 => Layer::Mobility,
        139 => Layer::Hip,
        140 => Layer::Shim6,
        _ => return None,
    })
}

/// Bytes of a header whose second byte is `words`.
pub(super) const fn length(layer: Layer, words: u8) -> usize {
    match layer {
        Layer::Fragment => 8,
        // RFC 4302 2.2: in 4-byte words, less 2.
        Layer::Authentication => (words as usize + 2) * 4,
        // RFC 8200 4: in 8-byte words, less 1.
        _ => (words as usize + 1) * 8,
    }
}

/// The fewest bytes such a header can have.
pub(super) const fn least(layer: Layer) -> usize {
    if matches!(layer, Layer::Authentication) { 12 } else { 8 }
}

/// Offset in a destination options header of the Home Address (RFC 6275 6.3).
pub(super) fn home_address(header: &[u8]) -> Option<usize> {
    const HOME_ADDRESS: u8 = 0xc9;
    Ipv6Options::of(header).find_map(|option| match option {
        Ok((offset, option)) if option.kind == HOME_ADDRESS && option.data.len() == 16 => Some(offset + 2),
        _ => None,
    })
}

/// Offset in a routing header of the packet's final destination, where it has not been reached.
pub(super) fn final_destination(header: &[u8]) -> Option<usize> {
    let header = RoutingHeader { bytes: header };
    (header.segments_left() > 0).then(|| header.final_offset()).flatten()
}

/// One extension header of an IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionHeader<'a> {
    /// Which.
    pub layer: Layer,
    /// Number of the header that follows.
    pub next_header: u8,
    /// All its bytes.
    pub bytes: &'a [u8],
}

impl<'a> ExtensionHeader<'a> {
    /// Its options, where it is hop-by-hop or destination options; else none.
    pub fn options(&self) -> impl Iterator<Item = Result<Ipv6Option<'a>, Malformed>> + use<'a> {
        let has_options = matches!(self.layer, Layer::HopByHop | Layer::DestinationOptions);
        let bytes = if has_options { self.bytes } else { &[] };
        Ipv6Options::of(bytes).map(|option| option.map(|(_, option)| option))
    }
}

/// Iterator over the extension headers of an IPv6 packet. It ends at the upper layer, after a later
/// fragment's header, or with the first malformed one.
#[derive(Clone, Debug)]
pub struct ExtensionHeaders<'a> {
    next_header: u8,
    rest: &'a [u8],
}

impl<'a> ExtensionHeaders<'a> {
    pub(super) fn new(next_header: u8, rest: &'a [u8]) -> Self {
        Self { next_header, rest }
    }
}

impl<'a> Iterator for ExtensionHeaders<'a> {
    type Item = Result<ExtensionHeader<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let layer = layer(self.next_header)?;
        let header = one(layer, self.rest);
        self.next_header = NO_NEXT_HEADER;
        if let Ok(header) = header {
            self.rest = &self.rest[header.bytes.len()..];
            let later = layer == Layer::Fragment && be16(&[header.bytes[2], header.bytes[3]], 0) >> 3 != 0;
            if !later {
                self.next_header = header.next_header;
            }
        }
        Some(header)
    }
}

fn one(layer: Layer, bytes: &[u8]) -> Result<ExtensionHeader<'_>, Malformed> {
    let &[next_header, words, ..] = head::<8>(layer, bytes)?;
    let length = length(layer, words);
    if length < least(layer) {
        return Err(bad_length(layer, least(layer), length));
    }
    Ok(ExtensionHeader { layer, next_header, bytes: whole(layer, bytes, length)? })
}

/// One option of a hop-by-hop or destination options header, RFC 8200 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Option<'a> {
    /// Option type; its top bits say what a node that does not know it must do.
    pub kind: u8,
    /// What follows type and length.
    pub data: &'a [u8],
}

/// The options of a header, each with its offset there; padding is left out.
pub(super) struct Ipv6Options<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Ipv6Options<'a> {
    pub(super) fn of(header: &'a [u8]) -> Self {
        Self { header, at: 2 }
    }
}

impl<'a> Iterator for Ipv6Options<'a> {
    type Item = Result<(usize, Ipv6Option<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.at;
            let rest = self.header.get(at..)?;
            let (&kind, rest) = rest.split_first()?;
            if kind == 0 {
                self.at += 1;
                continue;
            }
            let length = rest.first().map_or(0, |&length| usize::from(length));
            self.at += 2 + length;
            match rest.get(1..).and_then(|rest| rest.get(..length)) {
                Some(_) if kind == 1 => {}
                Some(data) => return Some(Ok((at, Ipv6Option { kind, data }))),
                None => {
                    self.at = self.header.len();
                    return Some(Err(bad_length(Layer::Ipv6, length + 2, rest.len() + 1)));
                }
            }
        }
    }
}

/// IPv6 fragment header, RFC 8200 4.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader<'a>(&'a [u8; 8]);

impl<'a> FragmentHeader<'a> {
    /// # Errors
    /// When there are fewer than 8 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::Fragment, bytes).map(Self)
    }

    /// Number of the first header in the fragmented part.
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.0[0]
    }

    /// Where the fragment belongs, in bytes.
    #[must_use]
    pub fn offset(&self) -> u16 {
        be16(self.0, 2) & 0xfff8
    }

    /// More fragments follow.
    #[must_use]
    pub fn more(&self) -> bool {
        self.0[3] & 1 != 0
    }

    /// Identification.
    #[must_use]
    pub fn id(&self) -> u32 {
        be32(self.0, 4)
    }
}

/// IPv6 routing header, RFC 8200 4.4; types: 0 (RFC 5095), 2 (RFC 6275), 3 (RFC 6554), 4 (RFC 8754).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingHeader<'a> {
    bytes: &'a [u8],
}

impl<'a> RoutingHeader<'a> {
    /// # Errors
    /// When the bytes end within the header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        one(Layer::Routing, bytes).map(|header| Self { bytes: header.bytes })
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    /// Number of the header that follows.
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.byte(0)
    }

    /// Routing type.
    #[must_use]
    pub fn routing_type(&self) -> u8 {
        self.byte(2)
    }

    /// Nodes still to be visited.
    #[must_use]
    pub fn segments_left(&self) -> u8 {
        self.byte(3)
    }

    /// The addresses as they stand: types 0 and 2 in the order of travel, type 4 backwards. None for others.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> + use<'a> {
        let (addresses, _) = self.list().as_chunks::<16>();
        addresses.iter().map(|bytes| Ipv6Addr::from(array::<16, 16>(bytes, 0)))
    }

    fn list(&self) -> &'a [u8] {
        let list = self.bytes.get(8..).unwrap_or_default();
        match self.routing_type() {
            0 | 2 => list,
            // RFC 8754 2: "last entry" counts from 0; optional TLVs follow.
            4 => list.get(..16 * (usize::from(self.byte(4)) + 1)).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Offset of the last address on the way.
    fn final_offset(&self) -> Option<usize> {
        match self.routing_type() {
            0 | 2 => (self.list().len() / 16).checked_sub(1).map(|last| 8 + 16 * last),
            4 => (self.list().len() >= 16).then_some(8),
            // RFC 6554 3: the last address, whole where CmprE is 0, before 4 bits' worth of padding. Compressed
            // it is nowhere in one piece: an offset beyond any header says so.
            3 => match (self.byte(4) & 0x0f, usize::from(self.byte(5) >> 4)) {
                (0, pad) => self.bytes.len().checked_sub(pad + 16).filter(|&offset| offset >= 8),
                _ => Some(NOT_IN_ONE_PIECE),
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(header: &[u8]) -> Vec<u16> {
        let header = RoutingHeader::parse(header).unwrap();
        header.addresses().map(|address| address.segments()[7]).collect()
    }

    fn routing(kind: u8, segments_left: u8) -> Vec<u8> {
        let mut header = vec![17, 4, kind, segments_left, 1, 0, 0, 0];
        for last in [1, 2] {
            header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        header
    }

    #[test]
    fn headers_are_listed_up_to_the_upper_layer() {
        let mut bytes = vec![60, 0, 5, 2, 0, 0, 1, 0];
        bytes.extend([43, 0, 1, 4, 0, 0, 0, 0]);
        bytes.extend(routing(0, 1));
        let headers: Vec<_> = ExtensionHeaders::new(HOP_BY_HOP, &bytes).map(Result::unwrap).collect();
        let layers: Vec<_> = headers.iter().map(|header| header.layer).collect();
        assert_eq!(layers, [Layer::HopByHop, Layer::DestinationOptions, Layer::Routing]);
        assert_eq!((headers[2].next_header, headers[2].bytes.len()), (17, 40));
        let options: Vec<_> = headers[0].options().map(Result::unwrap).collect();
        assert_eq!(options, [Ipv6Option { kind: 5, data: &[0, 0] }], "padding is left out");
        assert_eq!(headers[1].options().count(), 0);
    }

    #[test]
    fn a_header_that_is_not_whole_ends_the_list() {
        let header = routing(0, 1);
        let headers: Vec<_> = ExtensionHeaders::new(ROUTING, &header[..39]).collect();
        assert!(matches!(headers[..], [Err(Malformed { need: 40, have: 39, .. })]), "{headers:?}");
    }

    #[test]
    fn an_option_beyond_its_header_is_an_error() {
        let header = one(Layer::HopByHop, &[17, 0, 5, 9, 0, 0, 0, 0]).unwrap();
        assert!(matches!(header.options().collect::<Vec<_>>()[..], [Err(_)]));
    }

    #[test]
    fn a_later_fragment_ends_the_list() {
        let later = [HOP_BY_HOP, 0, 0, 9, 0, 0, 0, 7, 17, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(ExtensionHeaders::new(FRAGMENT, &later).count(), 1);
        let fragment = FragmentHeader::parse(&later).unwrap();
        assert_eq!((fragment.offset(), fragment.more(), fragment.id()), (8, true, 7));
    }

    #[test]
    fn authentication_counts_its_length_otherwise() {
        let mut bytes = [0; 24];
        (bytes[0], bytes[1]) = (6, 4);
        assert_eq!(one(Layer::Authentication, &bytes).unwrap().bytes.len(), 24);
        bytes[1] = 0;
        assert_eq!(one(Layer::Authentication, &bytes).unwrap_err().need, 12);
    }

    #[test]
    fn routing_types_know_their_end() {
        assert_eq!(addresses(&routing(0, 1)), [1, 2]);
        assert!(addresses(&routing(3, 1)).is_empty());
        assert_eq!(final_destination(&routing(0, 1)), Some(24));
        assert_eq!(final_destination(&routing(4, 1)), Some(8));
        assert_eq!(final_destination(&routing(0, 0)), None);
        assert_eq!(final_destination(&routing(3, 1)), Some(NOT_IN_ONE_PIECE), "CmprE is 1");
        let mut whole = routing(3, 1);
        whole[4] = 0;
        assert_eq!(final_destination(&whole), Some(24));
        whole[5] = 0xf0;
        assert_eq!(final_destination(&whole), Some(9), "padding comes last");
    }
}
