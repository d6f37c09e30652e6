//! Extension headers of IPv6 (RFC 8200 section 4), and the authentication header of both versions.

use super::fields::Fields;
use super::{Content, Header, Stack};
use std::net::Ipv6Addr;

/// Most bytes of options that one of the headers here takes.
const OPTIONS: usize = 248;

/// Hop-by-hop options (RFC 8200 section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HopByHop<'a> {
    options: &'a [u8],
    jumbo: bool,
}

impl<'a> HopByHop<'a> {
    /// With options as they stand in the packet, at most 248 bytes; padding is added.
    #[must_use]
    pub fn new(options: &'a [u8]) -> Self {
        Self { options: &options[..options.len().min(OPTIONS)], jumbo: false }
    }

    /// With the jumbo payload option (RFC 2675) alone, whose length it finds out.
    #[must_use]
    pub const fn jumbo() -> Self {
        Self { options: &[], jumbo: true }
    }
}

impl Header for HopByHop<'_> {
    fn wrap(&self, stack: &mut Stack) {
        if self.jumbo {
            let length = u32::try_from(8 + stack.bytes().len()).unwrap_or(u32::MAX);
            let option = Fields::<6>::new().u8(0xc2).u8(4).u32(length);
            wrap_options(stack, option.as_bytes(), 0);
        } else {
            wrap_options(stack, self.options, 0);
        }
    }
}

/// Destination options (RFC 8200 section 4.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestinationOptions<'a> {
    options: &'a [u8],
    home: Option<Ipv6Addr>,
}

impl<'a> DestinationOptions<'a> {
    /// With options as they stand in the packet, at most 248 bytes; padding is added.
    #[must_use]
    pub fn new(options: &'a [u8]) -> Self {
        Self { options: &options[..options.len().min(OPTIONS)], home: None }
    }

    /// With the Home Address option (RFC 6275 section 6.3) alone: the address stands for the source in the
    /// pseudo header.
    #[must_use]
    pub const fn home_address(home: Ipv6Addr) -> Self {
        Self { options: &[], home: Some(home) }
    }
}

impl Header for DestinationOptions<'_> {
    fn wrap(&self, stack: &mut Stack) {
        let Some(home) = self.home else { return wrap_options(stack, self.options, 60) };
        // PadN of 4 bytes: the option's alignment is 8n+6.
        let options = Fields::<22>::new().put(&[1, 2, 0, 0, 0xc9, 16]).put(&home.octets());
        wrap_options(stack, options.as_bytes(), 60);
        stack.pseudo_source = Some(home);
    }
}

/// A header of options, filled up to a multiple of 8 bytes with Pad1 or PadN.
fn wrap_options(stack: &mut Stack, options: &[u8], own: u8) {
    let length = (2 + options.len()).next_multiple_of(8);
    let mut header =
        Fields::<256>::new().u8(stack.content().protocol()).u8((length / 8 - 1) as u8).put(options);
    header = match length - 2 - options.len() {
        0 => header,
        1 => header.u8(0),
        padding => header.u8(1).u8(padding as u8 - 2).pad(8),
    };
    stack.prepend(header.as_bytes(), Content::Transport(own));
}

/// A routing header (RFC 8200 section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing<'a> {
    kind: u8,
    segments_left: u8,
    addresses: &'a [Ipv6Addr],
}

impl<'a> Routing<'a> {
    /// Type 0 (deprecated by RFC 5095), 2 (RFC 6275 section 6.4) or 4 (segment routing, RFC 8754), with the
    /// addresses as the header lists them: at most 14. While segments are left, the final one of them (the last,
    /// for type 4 the first) stands for the destination in the pseudo header.
    #[must_use]
    pub fn new(kind: u8, segments_left: u8, addresses: &'a [Ipv6Addr]) -> Self {
        Self { kind, segments_left, addresses: &addresses[..addresses.len().min(14)] }
    }
}

impl Header for Routing<'_> {
    fn wrap(&self, stack: &mut Stack) {
        let segment_routing = self.kind == 4;
        let last_entry = if segment_routing { self.addresses.len().saturating_sub(1) as u8 } else { 0 };
        let mut header = Fields::<256>::new()
            .u8(stack.content().protocol())
            .u8(2 * self.addresses.len() as u8)
            .u8(self.kind)
            .u8(self.segments_left)
            .put(&[last_entry, 0, 0, 0]);
        for address in self.addresses {
            header = header.put(&address.octets());
        }
        stack.prepend(header.as_bytes(), Content::Transport(43));
        if self.segments_left > 0 {
            let last = if segment_routing { self.addresses.first() } else { self.addresses.last() };
            stack.pseudo_destination = last.copied();
        }
    }
}

/// A fragment header (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Fragment {
    identification: u32,
    place: u16,
    next_header: Option<u8>,
}

impl Ipv6Fragment {
    /// An atomic fragment (RFC 6946): the whole packet, until [`Ipv6Fragment::place`] says otherwise.
    #[must_use]
    pub const fn new(identification: u32) -> Self {
        Self { identification, place: 0, next_header: None }
    }

    /// Its place in bytes, a multiple of 8, and whether more fragments follow. A checksum of what it wraps is
    /// taken over this fragment alone; [`fragments`](super::fragments) cuts a whole packet.
    #[must_use]
    pub const fn place(self, offset: u16, more: bool) -> Self {
        Self { place: offset & !7 | more as u16, ..self }
    }

    /// Next header, whatever it wraps: later fragments carry data and name the first one's header.
    #[must_use]
    pub const fn next_header(self, next_header: u8) -> Self {
        Self { next_header: Some(next_header), ..self }
    }
}

impl Header for Ipv6Fragment {
    fn wrap(&self, stack: &mut Stack) {
        let next_header = self.next_header.unwrap_or(stack.content().protocol());
        let header = Fields::<8>::new().u8(next_header).u8(0).u16(self.place).u32(self.identification);
        stack.prepend(header.as_bytes(), Content::Transport(44));
    }
}

/// An authentication header (RFC 4302) with an integrity check value of 12 zero bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    parameters: u32,
    sequence: u32,
}

impl Authentication {
    /// Security parameters index and sequence number.
    #[must_use]
    pub const fn new(parameters: u32, sequence: u32) -> Self {
        Self { parameters, sequence }
    }
}

impl Header for Authentication {
    fn wrap(&self, stack: &mut Stack) {
        // Its length counts 4-byte units, minus 2.
        let header = Fields::<24>::new()
            .u8(stack.content().protocol())
            .u8(4)
            .u16(0)
            .u32(self.parameters)
            .u32(self.sequence)
            .put(&[0; 12]);
        stack.prepend(header.as_bytes(), Content::Transport(51));
    }
}
