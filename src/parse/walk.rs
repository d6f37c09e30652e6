//! The state of one walk: what is left of the frame, what was found, how much deeper it may go.

use super::{IpLayer, Layer, Layers, Malformed, Reason, Span};

/// `Err` stops the walk; what was found before stays.
pub(super) type Step = Result<(), Malformed>;

/// Most headers below and between IP layers (tags, labels, tunnel headers).
pub(super) const MAX_LINK_HEADERS: u8 = 64;
/// Most IP layers in one another.
const MAX_IP_LAYERS: u8 = 16;

/// Sees every header the walk passes. The walk of [`super::parse`] sees with `()`: nothing, at no cost.
pub(super) trait Visit {
    fn header(&mut self, layer: Layer, start: usize, end: usize);
    /// An IP layer was found; one is never taken back.
    #[inline(always)]
    fn ip(&mut self, _: &IpLayer) {}
    /// How many were seen; [`Visit::rewind`] forgets those after.
    fn mark(&self) -> usize;
    fn rewind(&mut self, mark: usize);
}

impl Visit for () {
    #[inline]
    fn header(&mut self, _: Layer, _: usize, _: usize) {}
    #[inline]
    fn mark(&self) -> usize {
        0
    }
    #[inline]
    fn rewind(&mut self, _: usize) {}
}

impl Visit for Vec<IpLayer> {
    fn header(&mut self, _: Layer, _: usize, _: usize) {}
    fn ip(&mut self, ip: &IpLayer) {
        self.push(*ip);
    }
    fn mark(&self) -> usize {
        self.len()
    }
    fn rewind(&mut self, mark: usize) {
        self.truncate(mark);
    }
}

impl Visit for Vec<Span> {
    fn header(&mut self, layer: Layer, start: usize, end: usize) {
        self.push(Span { layer, start: start as u32, end: end as u32 });
    }
    fn mark(&self) -> usize {
        self.len()
    }
    fn rewind(&mut self, mark: usize) {
        self.truncate(mark);
    }
}

/// One walk over one frame.
///
/// Each protocol's file adds its step; a step reads its header, tells the visitor, and calls the step
/// of what the header carries. The depth of those calls is bounded by the two budgets.
pub(super) struct Walk<'a, V> {
    /// The frame up to the end of the innermost header that bounds what it carries. At most `u32::MAX` bytes.
    pub(super) data: &'a [u8],
    /// Where `data` would end had nothing been cut by the snap length.
    pub(super) limit: usize,
    /// Filled in where the caller keeps it: a copy at the end would wait for the stores before it.
    pub(super) layers: &'a mut Layers,
    pub(super) visit: V,
    /// `layers.network` has been found.
    network_known: bool,
    link_headers_left: u8,
}

impl<'a, V: Visit> Walk<'a, V> {
    #[inline]
    pub(super) fn new(data: &'a [u8], wire_length: u32, layers: &'a mut Layers, visit: V) -> Self {
        let data = data.get(..u32::MAX as usize).unwrap_or(data);
        Self {
            data,
            limit: data.len().max(wire_length as usize),
            layers,
            visit,
            network_known: false,
            link_headers_left: MAX_LINK_HEADERS,
        }
    }

    /// The `N` bytes of a fixed header at `at`.
    #[inline]
    pub(super) fn fixed<const N: usize>(&self, layer: Layer, at: usize) -> Result<&'a [u8; N], Malformed> {
        match self.data.get(at..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => Ok(bytes),
            None => Err(self.short(layer, at, N)),
        }
    }

    /// The `length` bytes of a header at `at`.
    #[inline]
    pub(super) fn bytes(&self, layer: Layer, at: usize, length: usize) -> Result<&'a [u8], Malformed> {
        match self.data.get(at..).and_then(|rest| rest.get(..length)) {
            Some(bytes) => Ok(bytes),
            None => Err(self.short(layer, at, length)),
        }
    }

    /// The first `N` bytes at `at`, where a guess wants to look before it decides.
    #[inline]
    pub(super) fn peek<const N: usize>(&self, at: usize) -> Option<&'a [u8; N]> {
        self.data.get(at..)?.first_chunk()
    }

    /// Why `need` bytes at `at` are not there.
    #[cold]
    pub(super) fn short(&self, layer: Layer, at: usize, need: usize) -> Malformed {
        let reason = if at.saturating_add(need) <= self.limit { Reason::Snapped } else { Reason::TooShort };
        let have = self.data.len().saturating_sub(at);
        Malformed { layer, reason, need: clamp(need), have: clamp(have) }
    }

    /// A header that is wrong in itself.
    #[cold]
    pub(super) fn bad(&self, layer: Layer, reason: Reason, need: usize, have: usize) -> Malformed {
        Malformed { layer, reason, need: clamp(need), have: clamp(have) }
    }

    /// Passes a header below or between IP layers, from `start` to `end`.
    #[inline]
    pub(super) fn pass(&mut self, layer: Layer, start: usize, end: usize) -> Step {
        let Some(left) = self.link_headers_left.checked_sub(1) else {
            let depth = usize::from(MAX_LINK_HEADERS);
            return Err(self.bad(layer, Reason::TooDeep, depth, depth + 1));
        };
        self.link_headers_left = left;
        self.visit.header(layer, start, end);
        Ok(())
    }

    /// The outermost link layer ends here and carries `ether_type` (0 where it has no such number).
    #[inline]
    pub(super) fn network(&mut self, ether_type: u16, at: usize) {
        if !self.network_known {
            self.network_known = true;
            self.layers.ether_type = ether_type;
            self.layers.network = at as u32;
        }
    }

    /// What follows ends at `end` at the latest, by a length field.
    #[inline]
    pub(super) fn narrow(&mut self, end: usize) {
        self.limit = self.limit.min(end);
        self.data = self.data.get(..end).unwrap_or(self.data);
    }

    /// Room for one more IP layer?
    #[inline]
    pub(super) fn enter_ip(&self, layer: Layer) -> Step {
        if self.layers.ip_depth < MAX_IP_LAYERS {
            return Ok(());
        }
        Err(self.bad(layer, Reason::TooDeep, MAX_IP_LAYERS.into(), usize::from(MAX_IP_LAYERS) + 1))
    }

    /// Records an IP layer, read as far as it could be.
    #[inline(always)]
    pub(super) fn found_ip(&mut self, ip: IpLayer) {
        self.layers.ip_depth += 1;
        self.visit.ip(&ip);
        // Field by field from registers: collected on the stack and copied from there, it would wait for its own stores.
        if self.layers.outer.is_none() {
            self.layers.outer = Some(ip);
        } else {
            self.layers.inner = Some(ip);
        }
    }

    /// Records an IP layer whose fixed header at `start` the data's end cuts; its addresses stand at those
    /// offsets.
    #[cold]
    pub(super) fn found_cut_ip(
        &mut self,
        ip: IpLayer,
        start: usize,
        declared_end: usize,
        addresses: [u32; 2],
    ) {
        let (start, end) = (start as u32, self.data.len() as u32);
        self.found_ip(IpLayer {
            start,
            payload: end,
            data: end,
            end,
            declared_end: clamp(declared_end).max(end),
            pseudo_source: start + addresses[0],
            pseudo_destination: start + addresses[1],
            ..ip
        });
    }

    /// Tries `open` on bytes that only look like a tunnel. When it fails before it finds an IP header,
    /// the guess was wrong: all is as before.
    pub(super) fn guess(&mut self, open: impl FnOnce(&mut Self) -> Step) -> Step {
        let (layers, data, limit) = (*self.layers, self.data, self.limit);
        let (mark, left, known) = (self.visit.mark(), self.link_headers_left, self.network_known);
        let result = open(self);
        if result.is_ok() || self.layers.ip_depth > layers.ip_depth {
            return result;
        }
        (*self.layers, self.data, self.limit) = (layers, data, limit);
        (self.link_headers_left, self.network_known) = (left, known);
        self.visit.rewind(mark);
        Ok(())
    }
}

/// An offset or a length for a report.
pub(super) fn clamp(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Big-endian 16 bits at a constant place of a fixed header.
#[inline]
pub(super) const fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Big-endian 32 bits at a constant place of a fixed header.
#[inline]
pub(super) const fn be32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// `N` bytes at a constant place of a fixed header.
#[inline]
pub(super) fn array<const M: usize, const N: usize>(bytes: &[u8; N], at: usize) -> [u8; M] {
    std::array::from_fn(|index| bytes[at + index])
}

/// The fixed part of a header for a view: the first `N` bytes.
#[inline]
pub(super) fn head<const N: usize>(layer: Layer, bytes: &[u8]) -> Result<&[u8; N], Malformed> {
    bytes.first_chunk().ok_or_else(|| too_short(layer, N, bytes.len()))
}

/// A header for a view, `need` bytes by its own length field.
#[inline]
pub(super) fn whole(layer: Layer, bytes: &[u8], need: usize) -> Result<&[u8], Malformed> {
    bytes.get(..need).ok_or_else(|| too_short(layer, need, bytes.len()))
}

#[cold]
fn too_short(layer: Layer, need: usize, have: usize) -> Malformed {
    Malformed { layer, reason: Reason::TooShort, need: clamp(need), have: clamp(have) }
}

/// A length field in a view that contradicts its header.
#[cold]
pub(super) fn bad_length(layer: Layer, need: usize, have: usize) -> Malformed {
    Malformed { layer, reason: Reason::BadLength, need: clamp(need), have: clamp(have) }
}

/// A version field in a view that is not the header's.
#[cold]
pub(super) fn bad_version(layer: Layer, need: usize, have: usize) -> Malformed {
    Malformed { layer, reason: Reason::BadVersion, need: clamp(need), have: clamp(have) }
}
