//! A record as a line of comma-separated values, RFC 4180.

use super::story::flow_story;
use crate::flow::{FlowRecord, Trouble};
use crate::parse::protocol_name;
use crate::sink::format::Put;
use crate::sink::json::object::display;

/// The names of the columns; `a` is what the source sent, `b` what the destination did.
const NAMES: &str = "proto,src,sport,dst,dport,vlan,tunnel,tunnel_id,packets_a,packets_b,bytes_a,bytes_b,payload_a,\
    payload_b,tcp_flags_a,tcp_flags_b,first,last,duration,community_id,end,tcp_state,handshake,retransmissions_a,\
    retransmissions_b,out_of_order_a,out_of_order_b,lost_a,lost_b,icmp_errors_a,icmp_errors_b,name,name_from,application,\
    story\r\n";

/// Appends the line of names.
pub(super) fn head(line: &mut Vec<u8>) {
    line.text(NAMES);
}

/// Appends the line of a record.
pub(super) fn write(line: &mut Vec<u8>, record: &FlowRecord) {
    let key = &record.key;
    let mut fields = Fields { line, first: true };
    match protocol_name(key.protocol()) {
        Some(name) => fields.text(name),
        None => fields.number(key.protocol().into()),
    }
    for (address, port) in [record.source(), record.destination()] {
        fields.display(address);
        if key.has_ports() { fields.number(port.into()) } else { fields.text("") }
    }
    match key.vlans() {
        [Some(outer), Some(inner)] => fields.text(&format!("{outer}.{inner}")),
        [Some(only), None] => fields.number(only.into()),
        _ => fields.text(""),
    }
    match key.tunnel() {
        Some(tunnel) => {
            fields.text(tunnel.kind.key());
            fields.number(tunnel.id.into());
        }
        None => ["", ""].iter().for_each(|empty| fields.text(empty)),
    }
    let flags = record.tcp_flags.map(|flags| u64::from(flags.0));
    for pair in [record.packets, record.bytes, record.payload, flags] {
        pair.iter().for_each(|&value| fields.number(value));
    }
    for time in [record.first, record.last] {
        match time {
            Some(time) => fields.display(time),
            None => fields.text(""),
        }
    }
    let duration = record.duration();
    fields.text(&format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos()));
    fields.display(record.community_id);
    fields.text(record.end.key());
    match record.tcp.as_deref() {
        Some(tcp) => {
            fields.text(tcp.state.key());
            let handshake = tcp.handshake;
            let whole = handshake.and_then(|steps| Some(steps.answered_after? + steps.confirmed_after?));
            fields.text(&whole.map_or(String::new(), |time| format!("{:.9}", time.as_secs_f64())));
            let columns: [fn(&Trouble) -> u32; 3] = [
                |trouble| trouble.retransmissions,
                |trouble| trouble.out_of_order,
                |trouble| trouble.gaps.lost,
            ];
            for column in columns {
                tcp.sides.iter().for_each(|side| fields.number(column(&side.trouble).into()));
            }
        }
        None => [""; 8].iter().for_each(|empty| fields.text(empty)),
    }
    record.icmp_errors.iter().for_each(|&errors| fields.number(errors.into()));
    let names = record.names.as_deref();
    for name in [
        names.and_then(|names| names.server.as_deref()),
        names.and_then(|names| names.server_from),
        names.and_then(|names| names.application.as_deref()),
    ] {
        fields.text(name.unwrap_or(""));
    }
    fields.text(&flow_story(record));
    line.text("\r\n");
}

struct Fields<'l> {
    line: &'l mut Vec<u8>,
    first: bool,
}

impl Fields<'_> {
    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.first, false) {
            self.line.push(b',');
        }
        self.line
    }

    fn number(&mut self, value: u64) {
        self.next().decimal(value);
    }

    /// Of which no character needs quotes.
    fn display(&mut self, value: impl std::fmt::Display) {
        display(self.next(), value);
    }

    /// In quotes where it has what would end the field.
    fn text(&mut self, text: &str) {
        let line = self.next();
        if text.contains([',', '"', '\r', '\n']) {
            line.push(b'"');
            line.text(&text.replace('"', "\"\""));
            line.push(b'"');
        } else {
            line.text(text);
        }
    }
}
