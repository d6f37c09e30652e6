//! What became of a flow, in a few words.

use crate::flow::{EndReason, FlowRecord, TcpState, TcpStory};
use crate::parse::{IpVersion, TcpFlags, protocol};
use std::time::Duration;

/// What became of a flow, in a few words: was it answered, how long did that take, what was lost on the way.
///
/// ```
/// use wharf::flow::{Meter, MeterOptions};
/// use wharf::build::{Ipv4, Stack, Tcp};
/// use wharf::parse::{Packet, parse};
/// use wharf::sink::flow_story;
///
/// let mut stack = Stack::new();
/// stack.message(&[]).wrap(Tcp::new(40_000, 80).flags(Tcp::SYN)).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
/// let layers = parse(&stack.frame());
/// let mut meter = Meter::new(MeterOptions::default());
/// meter.observe([Packet::new(stack.frame(), &layers)], |_| {});
/// meter.finish(|record| assert_eq!(flow_story(&record), "no answer to 1 SYN"));
/// ```
#[must_use]
pub fn flow_story(record: &FlowRecord) -> String {
    let mut words = Vec::new();
    match &record.tcp {
        Some(tcp) => connection(record, tcp, &mut words),
        None if record.is_one_way() && expects_answer(record) => words.push("no answer".to_owned()),
        None => {}
    }
    for (at, whose) in ["", "the answer: "].into_iter().enumerate() {
        if let Some((kind, code)) = record.icmp_error[at] {
            let what = error_name(record.key.ip_version(), kind, code);
            words.push(format!("{whose}{what} (ICMP, {})", times(record.icmp_errors[at])));
        }
    }
    let twice = record.duplicates[0] + record.duplicates[1];
    if twice > 0 {
        words.push(format!("{twice} seen twice"));
    }
    let changes = record.ttl_changes[0] + record.ttl_changes[1];
    if changes > 0 {
        words.push(format!("TTL changed {}", times(changes)));
    }
    match record.end {
        EndReason::Evicted => words.push("cut: table full".to_owned()),
        EndReason::ActiveTimeout => words.push("goes on".to_owned()),
        _ => {}
    }
    words.join(", ")
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// A question to one host: one to many, such as an announcement, wants none.
fn expects_answer(record: &FlowRecord) -> bool {
    let (to, kind) = record.destination();
    let many = match to {
        std::net::IpAddr::V4(to) => to.is_multicast() || to.is_broadcast() || to.octets()[3] == 255,
        std::net::IpAddr::V6(to) => to.is_multicast(),
    };
    let asks = match record.key.protocol() {
        protocol::UDP => true,
        // An echo, whose answer would be.
        protocol::ICMP => (record.source().1, kind) == (8, 0),
        protocol::ICMPV6 => (record.source().1, kind) == (128, 129),
        _ => false,
    };
    asks && !many
}

fn connection(record: &FlowRecord, tcp: &TcpStory, words: &mut Vec<String>) {
    let [here, there] = &tcp.sides;
    words.push(match tcp.state {
        TcpState::Attempt => {
            let count = record.packets[0];
            format!("no answer to {count} SYN{}", if count == 1 { "" } else { "s" })
        }
        TcpState::Refused => "refused".to_owned(),
        TcpState::HalfOpen => "answered, but never confirmed".to_owned(),
        TcpState::Underway => "seen from the middle on".to_owned(),
        TcpState::Established => "open".to_owned(),
        TcpState::Closing => "one side has finished".to_owned(),
        TcpState::Closed => "closed".to_owned(),
        TcpState::Reset if record.tcp_flags[1].contains(TcpFlags::RST) => {
            "reset by the answering side".to_owned()
        }
        TcpState::Reset => "reset by the first side".to_owned(),
    });
    if let Some(handshake) = tcp.handshake {
        if let (Some(answered), Some(confirmed)) = (handshake.answered_after, handshake.confirmed_after) {
            words.push(format!("handshake {}", brief(answered + confirmed)));
        }
        if handshake.simultaneous {
            words.push("opened by both at once".to_owned());
        }
    }
    let measured = [here, there].into_iter().filter(|side| side.round_trips.count > 0);
    // The far side is the slower one, wherever the capture is.
    if let Some(slower) = measured.max_by_key(|side| side.round_trips.mean) {
        words.push(format!("RTT {}", brief(slower.round_trips.mean)));
    }
    let sum = |of: fn(&crate::flow::Trouble) -> u32| of(&here.trouble) + of(&there.trouble);
    let ours = sum(|trouble| trouble.gaps.ours);
    let lost = sum(|trouble| trouble.gaps.lost + trouble.gaps.unseen).saturating_sub(ours);
    for (count, what) in [
        (lost, "lost on the way here"),
        (ours, "lost by this capture"),
        (sum(|trouble| trouble.retransmissions), "sent again"),
        (sum(|trouble| trouble.out_of_order), "out of order"),
        (sum(|trouble| trouble.duplicate_acks), "ACKs repeated"),
        (sum(|trouble| trouble.zero_windows), "zero windows"),
        (sum(|trouble| trouble.keep_alives), "keep-alives"),
    ] {
        if count > 0 {
            words.push(format!("{count} {what}"));
        }
    }
}

/// A time in three digits or so.
pub(super) fn brief(time: Duration) -> String {
    let micros = time.as_nanos() as f64 / 1_000.0;
    match micros {
        ..1_000.0 => format!("{micros:.0} us"),
        ..100_000.0 => format!("{:.1} ms", micros / 1e3),
        ..1_000_000.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

/// What an ICMP error says (RFC 792, 1812, 4443).
fn error_name(version: IpVersion, kind: u8, code: u8) -> &'static str {
    match (version, kind, code) {
        (IpVersion::V4, 3, 0) | (IpVersion::V6, 1, 0) => "network unreachable",
        (IpVersion::V4, 3, 1) | (IpVersion::V6, 1, 3) => "host unreachable",
        (IpVersion::V4, 3, 2) => "protocol unreachable",
        (IpVersion::V4, 3, 3) | (IpVersion::V6, 1, 4) => "port unreachable",
        (IpVersion::V4, 3, 4) | (IpVersion::V6, 2, _) => "packet too big",
        (IpVersion::V4, 3, 9 | 10 | 13) | (IpVersion::V6, 1, 1 | 5 | 6) => "administratively prohibited",
        (IpVersion::V4, 3, _) | (IpVersion::V6, 1, _) => "unreachable",
        (IpVersion::V4, 4, _) => "source quench",
        (IpVersion::V4, 5, _) => "redirected",
        (IpVersion::V4, 11, 0) | (IpVersion::V6, 3, 0) => "time to live exceeded",
        (IpVersion::V4, 11, _) | (IpVersion::V6, 3, _) => "reassembly time exceeded",
        (IpVersion::V4, 12, _) | (IpVersion::V6, 4, _) => "parameter problem",
        _ => "error",
    }
}
