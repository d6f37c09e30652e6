//! What became of a flow, in a few words.

use super::values::has_ports;
use crate::flow::{EndReason, FlowRecord, TcpSide, TcpState, TcpStory};
use crate::parse::{IpVersion, TcpFlags, protocol};
use crate::sink::format::Put;
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
    let mut line = Vec::new();
    write(&mut line, record);
    String::from_utf8(line).unwrap_or_default()
}

/// Appends it to a line: ASCII, and nothing in it but letters, digits, spaces, commas, points, colons and brackets.
pub(super) fn write(line: &mut Vec<u8>, record: &FlowRecord) {
    let start = line.len();
    let mut words = Words { line, start };
    match &record.tcp {
        _ if record.key.has_ports() && !has_ports(record) => words.say("no ports: fragments or cut headers"),
        Some(tcp) => connection(record, tcp, &mut words),
        None if record.is_one_way() && expects_answer(record) => words.say("no answer"),
        None => {}
    }
    for (at, whose) in ["", "the answer: "].into_iter().enumerate() {
        if let Some((kind, code)) = record.icmp_error[at] {
            words.say(whose);
            words.line.text(error_name(record.key.ip_version(), kind, code));
            words.line.text(" (ICMP, ");
            times(words.line, record.icmp_errors[at]);
            words.line.push(b')');
        }
    }
    let wrong = record.bad_checksums[0].saturating_add(record.bad_checksums[1]);
    words.count(wrong, " wrong checksum", " wrong checksums");
    let twice = record.duplicates[0].saturating_add(record.duplicates[1]);
    words.count(twice, " seen twice", " seen twice");
    let changes = record.ttl_changes[0].saturating_add(record.ttl_changes[1]);
    if changes > 0 {
        words.say("TTL changed ");
        times(words.line, changes);
    }
    match record.end {
        EndReason::Evicted => words.say("cut: table full"),
        EndReason::ActiveTimeout => words.say("goes on"),
        _ => {}
    }
}

/// Phrases in a line, with commas between them.
struct Words<'l> {
    line: &'l mut Vec<u8>,
    start: usize,
}

impl Words<'_> {
    fn say(&mut self, phrase: &str) {
        if self.line.len() > self.start {
            self.line.text(", ");
        }
        self.line.text(phrase);
    }

    /// So many of something, if there are any.
    fn count(&mut self, count: u32, one: &str, many: &str) {
        if count > 0 {
            self.say("");
            self.line.decimal(count.into());
            self.line.text(if count == 1 { one } else { many });
        }
    }
}

fn times(line: &mut Vec<u8>, count: u32) {
    if count == 1 {
        return line.text("once");
    }
    line.decimal(count.into());
    line.text(" times");
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

fn connection(record: &FlowRecord, tcp: &TcpStory, words: &mut Words<'_>) {
    let [here, there] = &tcp.sides;
    match tcp.state {
        TcpState::Attempt => {
            let repeated = |side: &TcpSide| side.trouble.retransmissions + side.trouble.out_of_order;
            // The first is counted in the record that tells of the handshake; where packets have no time, none does.
            let first = u32::from(tcp.handshake.is_some() || record.first.is_none());
            let syns = (first + repeated(here) + repeated(there)).max(1);
            words.say("no answer to ");
            words.line.decimal(syns.into());
            words.line.text(if syns == 1 { " SYN" } else { " SYNs" });
        }
        TcpState::Refused => words.say("refused"),
        TcpState::HalfOpen => words.say("answered, but never confirmed"),
        TcpState::Underway => words.say("seen from the middle on"),
        TcpState::Established => words.say("open"),
        TcpState::Closing => words.say("one side has finished"),
        TcpState::Closed => words.say("closed"),
        // Where both have sent one, it is not told here whose was believed; where neither has, it is in the record before.
        TcpState::Reset => words.say(match record.tcp_flags.map(|flags| flags.contains(TcpFlags::RST)) {
            [true, false] => "reset by the first side",
            [false, true] => "reset by the answering side",
            _ => "reset",
        }),
    }
    if let Some(handshake) = tcp.handshake {
        if let (Some(answered), Some(confirmed)) = (handshake.answered_after, handshake.confirmed_after) {
            words.say("handshake ");
            put_brief(words.line, answered + confirmed);
        }
        if handshake.simultaneous {
            words.say("opened by both at once");
        }
    }
    let measured = [here, there].into_iter().filter(|side| side.round_trips.count > 0);
    // The far side is the slower one, wherever the capture is.
    if let Some(slower) = measured.max_by_key(|side| side.round_trips.mean) {
        words.say("RTT ");
        put_brief(words.line, slower.round_trips.mean);
    }
    let sum = |of: fn(&crate::flow::Trouble) -> u32| of(&here.trouble) + of(&there.trouble);
    let ours = sum(|trouble| trouble.gaps.ours);
    let lost = sum(|trouble| trouble.gaps.lost + trouble.gaps.unseen).saturating_sub(ours);
    for (count, one, many) in [
        (lost, " lost on the way here", " lost on the way here"),
        (ours, " lost by this capture", " lost by this capture"),
        (sum(|trouble| trouble.retransmissions), " sent again", " sent again"),
        (sum(|trouble| trouble.out_of_order), " out of order", " out of order"),
        (sum(|trouble| trouble.duplicate_acks), " repeated ACK", " repeated ACKs"),
        (sum(|trouble| trouble.zero_windows), " zero window", " zero windows"),
        (sum(|trouble| trouble.keep_alives), " keep-alive", " keep-alives"),
    ] {
        words.count(count, one, many);
    }
}

/// Appends a time in three digits or so to a line.
pub(super) fn put_brief(line: &mut Vec<u8>, time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    // The nearest of so many nanoseconds, of two the even one.
    let round = |unit: u64| {
        let (whole, rest) = (nanos / unit, nanos % unit);
        whole + u64::from(rest > unit / 2 || rest == unit / 2 && whole % 2 == 1)
    };
    // Each up to what rounds to the next unit.
    let (unit, tenths, name) = match nanos {
        0..999_500 => (1_000, false, " us"),
        999_500..99_950_000 => (100_000, true, " ms"),
        99_950_000..999_500_000 => (1_000_000, false, " ms"),
        _ => (100_000_000, true, " s"),
    };
    let rounded = round(unit);
    line.decimal(if tenths { rounded / 10 } else { rounded });
    if tenths {
        line.push(b'.');
        line.decimal(rounded % 10);
    }
    line.text(name);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Ipv4, Stack, Tcp};
    use crate::flow::{Meter, MeterOptions};
    use crate::parse::{Packet, parse};

    #[test]
    fn times_are_rounded_into_the_next_unit() {
        let brief = |nanos| {
            let mut text = Vec::new();
            put_brief(&mut text, Duration::from_nanos(nanos));
            String::from_utf8(text).unwrap()
        };
        let times =
            [999_499, 999_500, 1_040_000, 99_949_999, 99_950_000, 999_499_999, 999_500_000, 1_050_000_001];
        assert_eq!(
            times.map(brief),
            ["999 us", "1.0 ms", "1.0 ms", "99.9 ms", "100 ms", "999 ms", "1.0 s", "1.1 s"]
        );
    }

    /// Later fragments have no ports, and nobody answers them.
    #[test]
    fn fragments_are_called_that() {
        let mut meter = Meter::new(MeterOptions::default());
        let mut stack = Stack::new();
        let later = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]).fragment(24, false).protocol(protocol::UDP);
        stack.message(&[7; 16]).wrap(later);
        let layers = parse(&stack.frame());
        meter.observe([Packet::new(stack.frame(), &layers)], |_| {});
        let mut records = Vec::new();
        meter.finish(|record| records.push(record));
        assert_eq!(flow_story(&records[0]), "no ports: fragments or cut headers");
        let mut line = Vec::new();
        super::super::json::write(&mut line, &records[0], None);
        let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert!(object["sport"].is_null() && object["dport"].is_null(), "{object}");
        line.clear();
        super::super::csv::write(&mut line, &records[0]);
        assert!(line.starts_with(b"udp,10.0.0.1,,10.0.0.2,,"), "{line:?}");
    }

    #[test]
    fn syns_are_counted_and_what_follows_an_answer_is_none() {
        let story = |segments: &[(u16, u32)]| {
            let (mut meter, mut stories) = (Meter::new(MeterOptions::default()), Vec::new());
            for (flags, sequence) in segments {
                let tcp = Tcp::new(40_000, 80).flags(*flags).sequence(*sequence).acknowledgment(7);
                let mut stack = Stack::new();
                stack.message(&[]).wrap(tcp).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
                let layers = parse(&stack.frame());
                meter.observe([Packet::new(stack.frame(), &layers)], |_| {});
            }
            meter.finish(|record| stories.push(flow_story(&record)));
            stories.concat()
        };
        assert_eq!(
            story(&[(Tcp::SYN, 1), (Tcp::SYN, 1), (Tcp::SYN, 1)]),
            "no answer to 3 SYNs, 2 sent again"
        );
        // What is no SYN is not one.
        assert_eq!(story(&[(Tcp::SYN, 1), (0, 2), (0, 2)]), "no answer to 1 SYN");
        assert_eq!(story(&[(Tcp::SYN, 1), (Tcp::ACK, 2)]), "open");
        let acks = [(Tcp::SYN, 1), (Tcp::ACK, 2), (Tcp::ACK, 2), (Tcp::ACK, 1), (Tcp::ACK, 2)];
        assert_eq!(story(&acks[..3]), "open, 1 repeated ACK");
        assert_eq!(story(&acks), "open, 2 repeated ACKs, 1 keep-alive");
    }
}
