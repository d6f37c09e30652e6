//! A header's fields, put down in the order in which the RFCs draw them.

/// A header of at most `N` bytes under way. Fields beyond `N` are a defect of the caller and panic.
pub(super) struct Fields<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Fields<N> {
    pub(super) fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.put(&[value])
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.put(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.put(&value.to_be_bytes())
    }

    pub(super) fn put(mut self, bytes: &[u8]) -> Self {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
        self
    }

    /// Zeroes up to the next multiple of `unit` bytes.
    pub(super) fn pad(mut self, unit: usize) -> Self {
        self.length = self.length.next_multiple_of(unit);
        self
    }

    /// Bytes left before `N`.
    pub(super) fn room(&self) -> usize {
        N - self.length
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A length as a 16-bit field; 0 where it does not fit, as jumbograms and frames before segmentation have it.
pub(super) fn length_field(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(0)
}
