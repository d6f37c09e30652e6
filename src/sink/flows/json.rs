//! A record as a JSON object.

use super::story;
use super::values::{has_ports, put_address, put_seconds, put_time};
use crate::flow::{FlowRecord, Gaps, TcpSide, TcpStory, Trouble};
use crate::frame::Timestamp;
use crate::parse::{IpVersion, protocol, protocol_name};
use crate::sink::format::Put;
use crate::sink::json::object::Object;
use crate::sink::streams::FlowStreams;
use std::time::Duration;

/// Appends the line of a record.
pub(super) fn write(line: &mut Vec<u8>, record: &FlowRecord, streams: Option<&FlowStreams>) {
    Object::write(line, |object| {
        members(object, record);
        if let Some(FlowStreams { names, gaps }) = streams {
            object.array("streams", names, |line, name| match name {
                // Addresses and numbers: nothing in it to be escaped.
                Some(name) => {
                    line.push(b'"');
                    line.text(name);
                    line.push(b'"');
                }
                None => line.text("null"),
            });
            pair(object, "gaps", *gaps);
        }
    });
    line.push(b'\n');
}

fn members(object: &mut Object<'_>, record: &FlowRecord) {
    let key = &record.key;
    let ((source, source_port), (destination, destination_port)) = (record.source(), record.destination());
    match protocol_name(key.protocol()) {
        Some(name) => object.plain("proto", |line| line.text(name)),
        None => object.display("proto", key.protocol()),
    }
    object.plain("src", |line| put_address(line, source));
    let port = |object: &mut Object<'_>, name: &str, port: u16| match (key.has_ports(), has_ports(record)) {
        (true, true) => object.number(name, port),
        (true, false) => object.null(name),
        (false, _) => {}
    };
    port(object, "sport", source_port);
    object.plain("dst", |line| put_address(line, destination));
    port(object, "dport", destination_port);
    if matches!(key.protocol(), protocol::ICMP | protocol::ICMPV6) {
        // A request and its answer, or an error's type and code.
        object.array("icmp", [source_port, destination_port], |line, number| line.decimal(number.into()));
    }
    let vlans = key.vlans();
    if vlans[0].is_some() {
        object.array("vlan", vlans.into_iter().flatten(), |line, vlan| line.decimal(vlan.into()));
    }
    if let Some(tunnel) = key.tunnel() {
        object.object("tunnel", |object| {
            object.text("kind", tunnel.kind.key());
            object.number("id", tunnel.id);
        });
    }
    let names = record.names.as_deref();
    if let Some(name) = names.and_then(|names| names.server.as_deref()) {
        object.text("name", name);
    }
    if let Some(from) = names.and_then(|names| names.server_from) {
        object.text("name_from", from);
    }
    if names.is_some_and(|names| names.of_source && names.server.is_some()) {
        object.text("name_of", "src");
    }
    if let Some(application) = names.and_then(|names| names.application.as_deref()) {
        object.text("application", application);
    }
    pair(object, "packets", record.packets);
    pair(object, "bytes", record.bytes);
    pair(object, "payload", record.payload);
    pair(object, "tcp_flags", record.tcp_flags.map(|flags| flags.0.into()));
    for (name, time) in [("first", record.first), ("last", record.last)] {
        time_member(object, name, time);
    }
    seconds(object, "duration", record.duration());
    object.plain("community_id", |line| line.extend_from_slice(&record.community_id.text()));
    object.plain("end", |line| line.text(record.end.key()));
    let ttl = if key.ip_version() == IpVersion::V4 { "ttl" } else { "hop_limit" };
    object.array(ttl, record.ttl, |line, (least, most)| {
        line.push(b'[');
        line.decimal(least.into());
        line.push(b',');
        line.decimal(most.into());
        line.push(b']');
    });
    for (name, counts) in [
        ("ttl_changes", record.ttl_changes),
        ("duplicates", record.duplicates),
        ("bad_checksums", record.bad_checksums),
        ("icmp_errors", record.icmp_errors),
    ] {
        if counts != [0; 2] {
            pair(object, name, counts.map(u64::from));
        }
    }
    if record.icmp_error != [None; 2] {
        object.array("icmp_error", record.icmp_error, |line, error| match error {
            Some((kind, code)) => {
                line.push(b'[');
                line.decimal(kind.into());
                line.push(b',');
                line.decimal(code.into());
                line.push(b']');
            }
            None => line.text("null"),
        });
    }
    if let Some(tcp) = &record.tcp {
        object.object("tcp", |object| tcp_members(object, tcp));
    }
    object.plain("story", |line| story::write(line, record));
}

fn tcp_members(object: &mut Object<'_>, tcp: &TcpStory) {
    object.plain("state", |line| line.text(tcp.state.key()));
    if let Some(handshake) = tcp.handshake {
        object.object("handshake", |object| {
            for (name, time) in
                [("answered_after", handshake.answered_after), ("confirmed_after", handshake.confirmed_after)]
            {
                if let Some(time) = time {
                    seconds(object, name, time);
                }
            }
            if handshake.simultaneous {
                object.boolean("simultaneous", true);
            }
        });
    }
    object.array("sides", &tcp.sides, |line, side| Object::write(line, |object| side_members(object, side)));
}

fn side_members(object: &mut Object<'_>, side: &TcpSide) {
    let TcpSide { mss, window_scale, sack, timestamps, round_trips, trouble, most_in_flight, finished } =
        side;
    if let Some(mss) = mss {
        object.number("mss", *mss);
    }
    if let Some(shift) = window_scale {
        object.number("window_scale", *shift);
    }
    for (name, value) in [("sack", *sack), ("timestamps", *timestamps), ("finished", *finished)] {
        if value {
            object.boolean(name, true);
        }
    }
    if round_trips.count > 0 {
        object.object("rtt", |object| {
            object.number("count", round_trips.count);
            seconds(object, "least", round_trips.least);
            seconds(object, "mean", round_trips.mean);
            seconds(object, "most", round_trips.most);
        });
    }
    object.number("most_in_flight", *most_in_flight);
    let Trouble {
        retransmissions,
        retransmitted_bytes,
        out_of_order,
        gaps: Gaps { lost, unseen, ours, bytes },
        duplicate_acks,
        zero_windows,
        keep_alives,
    } = *trouble;
    for (name, count) in [
        ("retransmissions", retransmissions.into()),
        ("retransmitted_bytes", retransmitted_bytes),
        ("out_of_order", out_of_order.into()),
        ("lost", u64::from(lost)),
        ("unseen", u64::from(unseen)),
        ("lost_by_capture", u64::from(ours)),
        ("missing_bytes", bytes),
        ("duplicate_acks", duplicate_acks.into()),
        ("zero_windows", zero_windows.into()),
        ("keep_alives", keep_alives.into()),
    ] {
        if count > 0 {
            object.number(name, count);
        }
    }
}

fn pair(object: &mut Object<'_>, name: &str, values: [u64; 2]) {
    object.array(name, values, |line, value| line.decimal(value));
}

fn time_member(object: &mut Object<'_>, name: &str, time: Option<Timestamp>) {
    match time {
        Some(time) => object.plain(name, |line| put_time(line, time)),
        None => object.null(name),
    }
}

/// Seconds as a number with nine digits behind the point.
fn seconds(object: &mut Object<'_>, name: &str, time: Duration) {
    object.raw(name, |line| put_seconds(line, time));
}
