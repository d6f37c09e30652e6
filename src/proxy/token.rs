//! What an event is about, in the one word that the kernel keeps for us.

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Somebody wants the worker to look up.
    Waker,
    /// A socket that takes connections, by its place among the worker's.
    Listening(u32),
    /// A socket that takes datagrams, likewise.
    Datagrams(u32),
    /// The client's side of a connection.
    Client(u32),
    /// The server's side of a connection.
    Server(u32),
    /// A UDP session's socket.
    Session(u32),
}

/// The kind stands above the number.
const SHIFT: u32 = 32;

impl From<Token> for mio::Token {
    fn from(token: Token) -> Self {
        let (kind, number) = match token {
            Token::Waker => (0, 0),
            Token::Listening(number) => (1, number),
            Token::Client(number) => (2, number),
            Token::Server(number) => (3, number),
            Token::Session(number) => (4, number),
            Token::Datagrams(number) => (5, number),
        };
        Self((kind << SHIFT) | number as usize)
    }
}

impl From<mio::Token> for Token {
    fn from(token: mio::Token) -> Self {
        let number = token.0 as u32;
        match token.0 >> SHIFT {
            1 => Self::Listening(number),
            2 => Self::Client(number),
            3 => Self::Server(number),
            4 => Self::Session(number),
            5 => Self::Datagrams(number),
            _ => Self::Waker,
        }
    }
}

// A word has room for both.
const _: () = assert!(usize::BITS == 64, "the proxy needs a 64-bit host");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_there_and_back() {
        for number in [0, 1, u32::MAX] {
            for token in [
                Token::Waker,
                Token::Listening(number),
                Token::Datagrams(number),
                Token::Client(number),
                Token::Server(number),
                Token::Session(number),
            ] {
                assert_eq!(Token::from(mio::Token::from(token)), token);
            }
        }
    }
}
