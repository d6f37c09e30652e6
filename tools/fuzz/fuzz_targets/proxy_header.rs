//! A PROXY header: what is said of a prefix is never taken back, and what was read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use wharf::parse::Prefix;
use wharf::proxy::config::Transport;
use wharf::proxy::proxy_protocol::{Error, Header, MAX_LENGTH, MAX_WRITTEN, Version, decode, encode};

/// IPv4 in its IPv6 form is written as IPv4.
fn canonical(header: Header) -> Header {
    let of = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    match header {
        Header::Proxied { transport, source, destination } => {
            Header::Proxied { transport, source: of(source), destination: of(destination) }
        }
        other => other,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes);
    for end in 0..bytes.len().min(600) {
        match (decode(&bytes[..end]), &whole) {
            (Prefix::NeedMore { length }, _) => assert!(length > end, "{length} of {end}"),
            (Prefix::Complete(early), Prefix::Complete(late)) => assert_eq!(&early, late),
            (Prefix::Other(early), Prefix::Other(late)) => {
                assert_eq!(early == Error::Absent, *late == Error::Absent);
            }
            (early, late) => panic!("{early:?} at {end}, {late:?} at the end"),
        }
    }
    let Prefix::Complete((header, length)) = whole else { return };
    assert!(length <= bytes.len() && length <= MAX_LENGTH);
    for version in [Version::V1, Version::V2] {
        let mut out = [0; MAX_WRITTEN];
        let written = encode(&header, version, &mut out);
        let Prefix::Complete((again, read)) = decode(&out[..written]) else {
            panic!("{header:?} is written as {:?}", &out[..written])
        };
        assert_eq!(read, written);
        match (header, version) {
            (Header::Proxied { transport: Transport::Tcp, .. }, _)
            | (Header::Proxied { .. }, Version::V2) => {
                assert_eq!(canonical(again), canonical(header), "{version:?}")
            }
            // Version 1 has no word for datagrams.
            _ => assert!(!matches!(again, Header::Proxied { .. }), "{header:?} became {again:?}"),
        }
    }
});
