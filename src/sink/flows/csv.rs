//! A record as a line of comma-separated values, RFC 4180.

use super::story;
use super::values::{has_ports, put_address, put_seconds, put_time};
use crate::flow::{FlowRecord, Trouble};
use crate::parse::protocol_name;
use crate::sink::format::Put;

/// The names of the columns; `a` is what the source sent, `b` what the destination did.
const NAMES: &str = "proto,src,sport,dst,dport,vlan,tunnel,tunnel_id,packets_a,packets_b,bytes_a,bytes_b,payload_a,\
    payload_b,tcp_flags_a,tcp_flags_b,first,last,duration,community_id,end,tcp_state,handshake,retransmissions_a,\
    retransmissions_b,out_of_order_a,out_of_order_b,lost_a,lost_b,icmp_errors_a,icmp_errors_b,bad_checksums_a,bad_checksums_b,name,name_from,application,\
    story\r\n";

/// Appends the line of names.
pub(super) fn head(line: &mut Vec<u8>) {
    line.text(NAMES);
}

/// Appends the line of a record.
pub(super) fn write(line: &mut Vec<u8>, record: &FlowRecord) {
    let key = &record.key;
    match protocol_name(key.protocol()) {
        Some(name) => line.text(name),
        None => line.decimal(key.protocol().into()),
    }
    for (address, port) in [record.source(), record.destination()] {
        line.push(b',');
        put_address(line, address);
        line.push(b',');
        if has_ports(record) {
            line.decimal(port.into());
        }
    }
    line.push(b',');
    if let [Some(outer), inner] = key.vlans() {
        line.decimal(outer.into());
        if let Some(inner) = inner {
            line.push(b'.');
            line.decimal(inner.into());
        }
    }
    match key.tunnel() {
        Some(tunnel) => {
            line.push(b',');
            line.text(tunnel.kind.key());
            number(line, tunnel.id.into());
        }
        None => line.text(",,"),
    }
    let flags = record.tcp_flags.map(|flags| u64::from(flags.0));
    for pair in [record.packets, record.bytes, record.payload, flags] {
        pair.iter().for_each(|&value| number(line, value));
    }
    for time in [record.first, record.last] {
        line.push(b',');
        time.into_iter().for_each(|time| put_time(line, time));
    }
    line.push(b',');
    put_seconds(line, record.duration());
    line.push(b',');
    line.extend_from_slice(&record.community_id.text());
    line.push(b',');
    line.text(record.end.key());
    match record.tcp.as_deref() {
        Some(tcp) => {
            line.push(b',');
            line.text(tcp.state.key());
            line.push(b',');
            let whole = tcp.handshake.and_then(|steps| Some(steps.answered_after? + steps.confirmed_after?));
            whole.into_iter().for_each(|time| put_seconds(line, time));
            let columns: [fn(&Trouble) -> u32; 3] = [
                |trouble| trouble.retransmissions,
                |trouble| trouble.out_of_order,
                |trouble| trouble.gaps.lost,
            ];
            for column in columns {
                tcp.sides.iter().for_each(|side| number(line, column(&side.trouble).into()));
            }
        }
        None => line.text(",,,,,,,,"),
    }
    for pair in [record.icmp_errors, record.bad_checksums] {
        pair.iter().for_each(|&count| number(line, count.into()));
    }
    let names = record.names.as_deref();
    for name in [
        names.and_then(|names| names.server.as_deref()),
        names.and_then(|names| names.server_from),
        names.and_then(|names| names.application.as_deref()),
    ] {
        text(line, |line| name.into_iter().for_each(|name| line.text(name)));
    }
    put_story(line, record);
    line.text("\r\n");
}

/// A story has commas mostly, and nothing else that would end the field.
fn put_story(line: &mut Vec<u8>, record: &FlowRecord) {
    line.push(b',');
    let start = line.len();
    line.push(b'"');
    story::write(line, record);
    if line[start..].contains(&b',') {
        line.push(b'"');
    } else {
        line.remove(start);
    }
}

fn number(line: &mut Vec<u8>, value: u64) {
    line.push(b',');
    line.decimal(value);
}

/// In quotes where it has what would end the field.
fn text(line: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    line.push(b',');
    let start = line.len();
    write(line);
    if line[start..].iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        let quotes = line[start..].iter().filter(|&&byte| byte == b'"').count();
        if quotes > 0 {
            let doubled = line.split_off(start);
            doubled
                .iter()
                .for_each(|&byte| line.extend(std::iter::repeat_n(byte, 1 + usize::from(byte == b'"'))));
        }
        line.insert(start, b'"');
        line.push(b'"');
    }
}
