//! DNS messages: the member `dns`.

use super::has_port;
use super::object::{self, Object};
use crate::parse::dns::{
    DNS_PORT, DnsMessage, LLMNR_PORT, MDNS_PORT, Name, Question, Record, RecordData, RecordType,
};
use crate::parse::{IpLayer, Packet, Transport};
use crate::sink::format::Put;

/// The DNS message a packet carries: by UDP, mDNS and LLMNR too, or whole in one TCP segment.
pub(super) fn message<'a>(packet: &Packet<'a>, ip: &IpLayer) -> Option<DnsMessage<'a>> {
    let on = |port| has_port(ip, port);
    match ip.transport {
        Transport::Udp if on(DNS_PORT) || on(MDNS_PORT) || on(LLMNR_PORT) => {
            DnsMessage::parse(packet.payload(ip)).ok()
        }
        Transport::Tcp if on(DNS_PORT) => DnsMessage::from_tcp(packet.payload(ip)),
        _ => None,
    }
}

/// Writes the message as a member.
pub(super) fn write(object: &mut Object<'_>, message: &DnsMessage<'_>) {
    object.object("dns", |object| {
        object.number("id", message.id());
        object.boolean("response", message.is_response());
        object.number("opcode", message.opcode());
        object.number("rcode", message.extended_rcode());
        let question = |line: &mut Vec<u8>, question: Question<'_>| {
            Object::write(line, |object| {
                object.plain("name", |line| name(line, question.name));
                object.plain("type", |line| kind(line, question.kind));
            });
        };
        object.array("questions", message.questions().flatten(), question);
        let sections = [
            ("answer", message.answers()),
            ("authority", message.authority()),
            ("additional", message.additional()),
        ];
        let records = sections
            .into_iter()
            .flat_map(|(section, records)| records.flatten().map(move |record| (section, record)));
        object.array("answers", records, |line: &mut Vec<u8>, (section, record): (&str, Record<'_>)| {
            Object::write(line, |object| {
                object.text("section", section);
                object.plain("name", |line| name(line, record.name()));
                object.plain("type", |line| kind(line, record.kind()));
                object.number("ttl", record.ttl());
                object.plain("data", |line| data(line, &record.data()));
            });
        });
    });
}

/// A name; what is in most of them needs neither `core::fmt` nor escaping.
fn name(line: &mut Vec<u8>, name: Name<'_>) {
    let start = line.len();
    for (index, label) in name.labels().enumerate() {
        if index > 0 {
            line.push(b'.');
        }
        line.extend_from_slice(label);
    }
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\');
    // Without a way out: so it is done for many bytes at once.
    if !line[start..].iter().fold(true, |all, byte| all & plain(byte)) {
        line.truncate(start);
        object::display(line, name);
    }
}

fn kind(line: &mut Vec<u8>, kind: RecordType) {
    match kind.mnemonic() {
        Some(mnemonic) => line.text(mnemonic),
        None => object::display(line, kind),
    }
}

fn data(line: &mut Vec<u8>, data: &RecordData<'_>) {
    match data {
        RecordData::A(address) => line.ipv4(address.octets()),
        RecordData::Aaaa(address) => line.ipv6(address.octets()),
        RecordData::Name(target) => name(line, *target),
        other => object::display(line, other),
    }
}
