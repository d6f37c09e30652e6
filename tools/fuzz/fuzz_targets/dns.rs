//! DNS messages, alone and over TCP: every record of every section is read or refused, and there is an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf::parse::dns::{DnsMessage, TcpMessages};

fn read(bytes: &[u8]) {
    let Ok(message) = DnsMessage::parse(bytes) else { return };
    for question in message.questions().flatten() {
        let _ = question.name.to_string();
    }
    for record in message.answers().chain(message.authority()).chain(message.additional()).flatten() {
        let _ = format!("{} {} {}", record.name(), record.kind(), record.data());
    }
    let _ = message.extended_rcode();
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // As a stream, whole and in pieces: the same messages.
    let cut = |size: usize| {
        let (mut stream, mut messages) = (TcpMessages::default(), Vec::new());
        for slice in bytes.chunks(size) {
            stream.push(slice, |message| messages.push(message.to_vec()));
        }
        (messages, stream.pending())
    };
    let (messages, left) = cut(bytes.len().max(1));
    assert_eq!((&messages, left), (&cut(7).0, cut(7).1));
    assert_eq!(messages.iter().map(|message| message.len() + 2).sum::<usize>() + left, bytes.len());
    messages.iter().for_each(|message| read(message));
});
