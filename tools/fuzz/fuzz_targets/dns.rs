//! DNS messages: every record of every section is read or refused, and there is an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf::parse::dns::DnsMessage;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = DnsMessage::parse(bytes) else { return };
    for question in message.questions().flatten() {
        let _ = question.name.to_string();
    }
    for record in message.answers().chain(message.authority()).chain(message.additional()).flatten() {
        let _ = format!("{} {} {}", record.name(), record.kind(), record.data());
    }
});
