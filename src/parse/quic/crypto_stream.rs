//! Handshake bytes put in order.

use super::MAX_CRYPTO;
use super::frames::Crypto;

/// Most pieces kept ahead of a gap: clients that shuffle their hello send some twenty.
const MAX_AHEAD: usize = 64;

/// Bytes from the handshake's first on without a gap, and pieces beyond one. Holds no more than [`MAX_CRYPTO`] bytes,
/// and no more than came.
#[derive(Clone, Debug, Default)]
pub(super) struct CryptoStream {
    in_order: Vec<u8>,
    ahead: Vec<(usize, Box<[u8]>)>,
}

/// A piece for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl CryptoStream {
    /// Takes a piece. Bytes sent twice are the same (RFC 9000 2.2); where they are not, either may stay.
    pub(super) fn push(&mut self, piece: Crypto<'_>) -> Result<(), NoRoom> {
        let end =
            piece.offset.checked_add(piece.data.len()).filter(|end| *end <= MAX_CRYPTO).ok_or(NoRoom)?;
        if end <= self.in_order.len() {
            return Ok(());
        }
        if piece.offset > self.in_order.len() {
            return self.keep(piece);
        }
        self.append(piece.offset, piece.data);
        // Each round takes out one at least.
        while let Some(next) = self.ahead.iter().position(|(offset, _)| *offset <= self.in_order.len()) {
            let (offset, data) = self.ahead.swap_remove(next);
            self.append(offset, &data);
        }
        Ok(())
    }

    /// The bytes without a gap.
    pub(super) fn in_order(&self) -> &[u8] {
        &self.in_order
    }

    pub(super) fn held(&self) -> usize {
        self.in_order.len() + self.ahead.iter().map(|(_, data)| data.len()).sum::<usize>()
    }

    fn append(&mut self, offset: usize, data: &[u8]) {
        let known = self.in_order.len() - offset;
        self.in_order.extend_from_slice(data.get(known..).unwrap_or_default());
    }

    fn keep(&mut self, piece: Crypto<'_>) -> Result<(), NoRoom> {
        let same =
            |(offset, data): &(usize, Box<[u8]>)| *offset == piece.offset && data.len() >= piece.data.len();
        // Sent again.
        if self.ahead.iter().any(same) {
            return Ok(());
        }
        if self.ahead.len() >= MAX_AHEAD || self.held() + piece.data.len() > MAX_CRYPTO {
            return Err(NoRoom);
        }
        self.ahead.push((piece.offset, piece.data.into()));
        Ok(())
    }
}
