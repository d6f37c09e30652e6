//! What the first bytes of a stream tell.

/// Reading a message off the front of a stream of which more may come.
///
/// `T` is the message, `E` why the stream does not begin with one.
///
/// ```
/// use wharf::parse::Prefix;
/// use wharf::parse::tls::{ClientHello, NotTls};
///
/// assert!(matches!(ClientHello::read(b"\x16\x03\x01"), Prefix::NeedMore { .. }));
/// assert!(matches!(ClientHello::read(b"SSH-2.0-"), Prefix::Other(NotTls::NotARecord)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix<T, E> {
    /// All of it is there.
    Complete(T),
    /// Nothing so far speaks against it, but it is not whole.
    NeedMore {
        /// Bytes from the stream's first on, below which there is no point in reading again: more than
        /// were given.
        length: usize,
    },
    /// It is something else, whatever comes.
    Other(E),
}

impl<T, E> Prefix<T, E> {
    /// The message, if it is whole.
    #[must_use]
    pub fn complete(self) -> Option<T> {
        match self {
            Self::Complete(message) => Some(message),
            _ => None,
        }
    }

    /// Whether more bytes may change the answer.
    #[must_use]
    pub const fn needs_more(&self) -> bool {
        matches!(self, Self::NeedMore { .. })
    }
}
