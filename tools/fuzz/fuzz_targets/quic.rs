//! QUIC: headers of any bytes, up to the seal, which no mutation gets right: what is behind it, unit tests try.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf::parse::quic::{HelloCollector, MAX_CRYPTO, initials};

fuzz_target!(|bytes: &[u8]| {
    for initial in initials(bytes) {
        assert!(initial.destination.len() <= 20 && initial.source.len() <= 20);
    }
    // The same flow's datagrams, each behind a byte of length; a version is put in for most.
    let mut collector = HelloCollector::default();
    let mut rest = bytes;
    while let Some((&length, tail)) = rest.split_first() {
        let (datagram, tail) = tail.split_at((4 * usize::from(length)).min(tail.len()));
        let mut datagram = datagram.to_vec();
        if let (true, Some(head)) = (length & 7 > 0, datagram.first_chunk_mut::<6>()) {
            *head = [0xc0 | head[0], 0, 0, 0, 1, 8];
        }
        if collector.push(&datagram).is_err() {
            break;
        }
        assert!(collector.held() <= 2 * MAX_CRYPTO);
        rest = tail;
    }
});
