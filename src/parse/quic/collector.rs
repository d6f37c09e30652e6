//! From a flow's datagrams to the client's hello.

use super::crypto_stream::CryptoStream;
use super::frames::crypto_frames;
use super::initial::initials;
use super::keys::{CLIENT, Keys};
use super::{NotQuic, QuicVersion};
use crate::parse::Prefix;
use crate::parse::tls::ClientHello;

/// Most datagrams looked at for a hello: those of one that was sent again, and the server's between them.
const MAX_DATAGRAMS: u8 = 32;

/// Puts together the `ClientHello` of one flow from its datagrams, in the order they came, of either side.
///
/// Small until a hello takes more than one packet; at most [`MAX_CRYPTO`](super::MAX_CRYPTO) bytes and the pieces'
/// own size.
///
/// ```
/// use wharf::parse::quic::{HelloCollector, NotQuic};
/// let mut collector = HelloCollector::default();
/// assert_eq!(collector.push(b"\0\x01 no QUIC"), Err(NotQuic::NotInitial));
/// ```
#[derive(Clone, Debug, Default)]
pub struct HelloCollector {
    stream: CryptoStream,
    /// What the keys that opened a packet were made from: the client's later packets go to the id the server chose.
    origin: Option<(QuicVersion, Box<[u8]>)>,
    datagrams: u8,
}

impl HelloCollector {
    /// Takes the flow's next datagram (a UDP payload). `None` while the hello is not whole.
    ///
    /// # Errors
    /// When there will be no hello, whatever comes. The collector can be dropped then.
    pub fn push(&mut self, datagram: &[u8]) -> Result<Option<ClientHello<'_>>, NotQuic> {
        let first = self.datagrams == 0;
        self.datagrams = self.datagrams.saturating_add(1);
        let mut initial = false;
        for packet in initials(datagram) {
            initial = true;
            let opened = self.open(&packet);
            for piece in crypto_frames(opened.as_deref().unwrap_or_default()) {
                // A piece left out may leave the hello whole all the same.
                let _ = self.stream.push(piece);
            }
        }
        if first && !initial {
            return Err(NotQuic::NotInitial);
        }
        match ClientHello::read_unframed(self.stream.in_order()) {
            Prefix::Complete(hello) => Ok(Some(hello)),
            Prefix::Other(reason) => Err(reason.into()),
            Prefix::NeedMore { .. } if self.datagrams < MAX_DATAGRAMS => Ok(None),
            Prefix::NeedMore { .. } if self.origin.is_none() => Err(NotQuic::Sealed),
            Prefix::NeedMore { .. } => Err(NotQuic::TooLong),
        }
    }

    /// Bytes kept.
    #[must_use]
    pub fn held(&self) -> usize {
        self.stream.held()
    }

    /// Opens a packet with the keys that opened one before; else with those of its own destination, which are the
    /// right ones in a first packet, and again after a Retry (RFC 9001 5.2).
    fn open(&mut self, packet: &super::Initial<'_>) -> Option<Vec<u8>> {
        if let Some((version, id)) = &self.origin
            && let Some(opened) = packet.open(&Keys::derive(*version, id, CLIENT)?)
        {
            return Some(opened);
        }
        let opened = packet.open(&Keys::derive(packet.version, packet.destination, CLIENT)?)?;
        self.origin = Some((packet.version, packet.destination.into()));
        // After a Retry or in another version the client says its hello anew, with the same bytes or not.
        self.stream = CryptoStream::default();
        Some(opened)
    }
}
