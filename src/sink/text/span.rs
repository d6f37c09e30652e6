//! A stretch of a frame as a printer sees it: what was captured of it and how long it says it is.

/// Bytes of one layer. Reading beyond what was captured gives `None`; printers pass it up with `?` and
/// the line ends in `[|name]` there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    /// What was captured, never more than `length`.
    pub(super) bytes: &'a [u8],
    /// Bytes the layer has on the wire, by the length fields around it.
    pub(super) length: usize,
    /// Offset of the first byte in the frame.
    pub(super) start: usize,
}

impl<'a> Span<'a> {
    /// A whole frame: `bytes` captured of `length`.
    pub(super) fn frame(bytes: &'a [u8], length: usize) -> Self {
        Self { bytes, length: length.max(bytes.len()), start: 0 }
    }

    /// What follows the first `count` bytes.
    pub(super) fn skip(self, count: usize) -> Self {
        Self {
            bytes: self.bytes.get(count..).unwrap_or_default(),
            length: self.length.saturating_sub(count),
            start: self.start.saturating_add(count),
        }
    }

    /// The same, ending after `length` bytes at most.
    pub(super) fn limit(self, length: usize) -> Self {
        let length = length.min(self.length);
        Self { bytes: &self.bytes[..length.min(self.bytes.len())], length, ..self }
    }

    pub(super) fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk::<N>().copied()
    }

    pub(super) fn slice(self, at: usize, count: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..)?.get(..count)
    }

    pub(super) fn u8(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }
}
