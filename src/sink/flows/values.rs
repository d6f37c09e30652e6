//! Addresses and times as records have them, straight into a line.

use crate::flow::FlowRecord;
use crate::frame::Timestamp;
use crate::sink::format::{Put, digits};
use std::net::IpAddr;
use std::time::Duration;

/// An address, as it is displayed.
pub(super) fn put_address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => line.ipv4(address.octets()),
        IpAddr::V6(address) => line.ipv6(address.octets()),
    }
}

/// Whether the record's packets have ports: later fragments, and what was cut before them, have none, though it is of a protocol
/// that has. They have the key of port 0 on both sides, which nobody uses but with the bits of TCP.
#[inline]
pub(in crate::sink) fn has_ports(record: &FlowRecord) -> bool {
    let any = record.source().1 | record.destination().1 != 0;
    record.key.has_ports() && (any || record.tcp_flags.iter().any(|flags| flags.0 != 0))
}

/// Seconds since 1970, as a [`Timestamp`] is displayed.
pub(super) fn put_time(line: &mut Vec<u8>, time: Timestamp) {
    if time.seconds < 0 {
        line.push(b'-');
    }
    line.decimal(time.seconds.unsigned_abs());
    put_nanos(line, time.nanos);
}

/// A point and nine digits.
#[inline]
fn put_nanos(line: &mut Vec<u8>, nanos: u32) {
    let mut text = *b".000000000";
    text[1..9].copy_from_slice(&digits::padded(nanos / 10));
    text[9] += (nanos % 10) as u8;
    line.extend_from_slice(&text);
}

/// Seconds as a number with nine digits behind the point.
pub(super) fn put_seconds(line: &mut Vec<u8>, time: Duration) {
    line.decimal(time.as_secs());
    put_nanos(line, time.subsec_nanos());
}
