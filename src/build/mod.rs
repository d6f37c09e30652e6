//! The same headers written: message -> segment or datagram -> packet -> frame.
