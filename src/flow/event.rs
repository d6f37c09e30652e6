//! What the meter needs to know of a packet: one line of memory, which may go to another thread.

use super::key::{FlowKey, layer_of};
use super::packed::{Packed, Seed};
use super::quoted::{self, Quoted};
use super::state::NEVER;
use super::tcp::{PackedOptions, Segment, SynOptions, may_be_cut};
use crate::batch::Summary;
use crate::frame::Record;
use crate::parse::{Fragment, IpLayer, IpVersion, Packet, TcpFlags, TcpHeader, Transport, protocol};

/// Something that a meter is to take in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Event {
    pub(super) key: Packed,
    /// Nanoseconds since 1970; [`NEVER`] where the source has none for it.
    pub(super) time: i64,
    pub(super) wire_length: u32,
    pub(super) payload: u32,
    /// Packets of a direction that have the same are the same packet; 0 where that is not to be told.
    pub(super) mark: u32,
    sequence: u32,
    acknowledgment: u32,
    options: PackedOptions,
    /// Where its key is, among those that are not whole; meant where [`Event::LONG`] is set.
    pub(super) long: u32,
    /// Its place among what was seen since the last hand-over.
    pub(super) order: u32,
    window: u16,
    flags: TcpFlags,
    /// Time to live or hop limit.
    pub(super) ttl: u8,
    /// What it is.
    is: u8,
}

const _: () = assert!(size_of::<Event>() == 64);

/// What there is beside an event of some packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    /// The key written out, where it is not whole.
    pub(super) long: Option<FlowKey>,
    /// It is an error that quotes a packet of another flow.
    pub(super) quoted: Option<Quoted>,
    /// So many packets were lost just before it, as its capture file says.
    pub(super) lost: bool,
}

impl Event {
    /// The upper end of the key sent it.
    const REVERSED: u8 = 1;
    /// A TCP segment.
    const TCP: u8 = 2;
    /// The key is not whole.
    const LONG: u8 = 4;
    /// An error that quotes a packet of this flow; `window` is its type and code.
    const QUOTES: u8 = 8;
    /// The capture has lost packets here.
    const LOSS: u8 = 16;
    /// A checksum is wrong.
    const WRONG: u8 = 32;

    const NOTHING: Self = Self {
        key: Packed(0),
        time: NEVER,
        wire_length: 0,
        payload: 0,
        mark: 0,
        sequence: 0,
        acknowledgment: 0,
        options: PackedOptions::NONE,
        long: 0,
        order: 0,
        window: 0,
        flags: TcpFlags(0),
        ttl: 0,
        is: 0,
    };

    /// The capture has lost packets: a gap in what comes next need not be the network's doing.
    pub(super) const fn loss(order: u32) -> Self {
        Self { is: Self::LOSS, order, ..Self::NOTHING }
    }

    /// An error quotes a packet of the flow with this key.
    pub(super) fn tie(quoted: &Quoted, key: Packed, order: u32) -> Self {
        let kind = u16::from(quoted.kind.0) << 8 | u16::from(quoted.kind.1);
        let is = Self::QUOTES | u8::from(quoted.reversed);
        Self { key, window: kind, is, order, ..Self::NOTHING }
    }

    /// A packet of the flow with this key.
    pub(super) fn is_packet(&self) -> bool {
        self.is & (Self::QUOTES | Self::LOSS) == 0
    }

    /// Type and code of an error that quotes a packet of this flow; `None` where packets were lost.
    pub(super) fn error(&self) -> Option<(u8, u8)> {
        (self.is & Self::QUOTES != 0).then_some(((self.window >> 8) as u8, self.window as u8))
    }

    #[inline(always)]
    pub(super) fn is_reversed(&self) -> bool {
        self.is & Self::REVERSED != 0
    }

    #[inline(always)]
    pub(super) fn is_long(&self) -> bool {
        self.is & Self::LONG != 0
    }

    /// The same packet; a checksum of it is wrong, or not.
    #[inline(always)]
    pub(super) fn judged(self, wrong: bool) -> Self {
        Self { is: self.is | if wrong { Self::WRONG } else { 0 }, ..self }
    }

    /// A checksum is wrong: its receiver throws it away.
    #[inline(always)]
    pub(super) fn is_wrong(&self) -> bool {
        self.is & Self::WRONG != 0
    }

    /// Its control bits, of a TCP segment.
    #[inline(always)]
    pub(super) fn flags(&self) -> TcpFlags {
        self.flags
    }

    /// The TCP segment, if it is one.
    #[inline(always)]
    pub(super) fn segment(&self) -> Option<Segment> {
        (self.is & Self::TCP != 0).then_some(Segment {
            sequence: self.sequence,
            acknowledgment: self.acknowledgment,
            length: self.payload,
            flags: self.flags,
            window: self.window,
            options: self.options.unpack(),
        })
    }

    fn with(self, segment: &Segment) -> Self {
        let Segment { sequence, acknowledgment, length: payload, flags, window, options } = *segment;
        let options = if flags.syn() { PackedOptions::pack(options) } else { PackedOptions::NONE };
        let is = self.is | Self::TCP;
        Self { sequence, acknowledgment, payload, flags, window, options, is, ..self }
    }

    /// Of any packet; `None` for one that is of no flow.
    pub(super) fn of(packet: &Packet<'_>, seed: &Seed) -> Option<(Self, Beside)> {
        let (ip, outer) = (&layer_of(packet)?, packet.outer()?);
        let (ip, (key, reversed, long)) = match Packed::of(packet, ip, seed) {
            Some(found) => (ip, found),
            None => (outer, Packed::of(packet, outer, seed)?),
        };
        let tcp = match ip.transport {
            Transport::Tcp | Transport::None => Segment::of(packet, ip),
            _ => None,
        };
        let quoted = match ip.transport {
            Transport::Icmp | Transport::Icmpv6 => quoted::of(packet, ip),
            _ => None,
        };
        let payload = match (&tcp, ip.transport) {
            (Some(segment), _) => segment.length,
            (None, Transport::Udp) => udp_payload(packet, ip),
            // The header is not whole, and where it would end is not known.
            (None, Transport::None) if ip.fragment != Fragment::Later && key_has_ports(ip) => 0,
            _ => packet.payload_length(ip),
        };
        let record = &packet.frame().record;
        let event = Self {
            key,
            time: time_of(record),
            wire_length: record.wire_length,
            payload,
            mark: mark_of(packet, ip),
            ttl: ttl_of(packet, ip),
            is: u8::from(reversed) | if long.is_some() { Self::LONG } else { 0 },
            ..Self::NOTHING
        };
        let event = tcp.map_or(event, |segment| event.with(&segment));
        let lost = packet.frame().options.lost().unwrap_or(0) > 0;
        Some((event, Beside { long, quoted, lost }))
    }

    /// Of a packet of a [common shape](crate::batch): the same, read where such a packet has it. `None` for what must be
    /// walked: ICMP but for pings, and what has options in its capture file. The key is written out where it is not whole.
    #[inline(always)]
    pub(super) fn of_common(
        record: &Record,
        data: &[u8],
        summary: Summary,
        seed: &Seed,
    ) -> Option<(Self, Option<FlowKey>)> {
        if record.options_length > 0 {
            return None;
        }
        let transport = summary.transport();
        let tag = (data.get(12..14)? == [0x81, 0]).then_some(()).and_then(|()| data.get(14..16));
        let vlan = tag.map_or(0, |tag| FlowKey::tagged(number(tag, 0)));
        let ip = data.get(if tag.is_some() { 18 } else { 14 }..)?;
        let (event, long, upper, length) = match ip.first()? >> 4 {
            4 => {
                let (head, upper) = ip.split_first_chunk::<20>()?;
                let (ports, checksum) = match transport {
                    Transport::Tcp => (summary.port_fields(), 16),
                    Transport::Udp => (summary.port_fields(), 6),
                    // A ping and its answer.
                    Transport::Icmp if matches!(upper.first()?, 0 | 8) => {
                        (FlowKey::icmp_ports(protocol::ICMP, *upper.first()?, 0), 2)
                    }
                    _ => return None,
                };
                let ends = (word(head, 12), word(head, 16));
                let (key, reversed) = Packed::of_ipv4(ends, ports, vlan, head[9]);
                let identification = u32::from(number(head, 4));
                let checksum = u32::from(number(upper, checksum));
                let mark = if identification == 0 { 0 } else { identification << 16 | checksum };
                let event = Self { key, mark, ttl: head[8], is: u8::from(reversed), ..Self::NOTHING };
                (event, None, upper, u32::from(number(head, 2)).saturating_sub(20))
            }
            _ if matches!(transport, Transport::Tcp | Transport::Udp) => {
                let (head, upper) = ip.split_first_chunk::<40>()?;
                let (key, reversed) = FlowKey::of_ipv6(head, summary.port_fields(), vlan);
                let packed = Packed::digest(&key, seed);
                let is = u8::from(reversed) | Self::LONG;
                let event = Self { key: packed, ttl: head[7], is, ..Self::NOTHING };
                (event, Some(key), upper, u32::from(number(head, 4)))
            }
            _ => return None,
        };
        let event = Self { time: time_of(record), wire_length: record.wire_length, ..event };
        // By the length fields, but no more than there was on the wire, whatever was captured.
        let before = (data.len() - upper.len()) as u32;
        let captured = length.min(upper.len() as u32);
        let length = length.min(record.wire_length.saturating_sub(before).max(captured));
        let event = match transport {
            Transport::Udp => Self { payload: u32::from(number(upper, 4)).saturating_sub(8), ..event },
            Transport::Icmp => Self { payload: length.saturating_sub(8), ..event },
            _ => event.with(&segment_of(upper, length)?),
        };
        Some((event, long))
    }
}

/// The segment with a whole header, of so many bytes with that.
#[inline(always)]
fn segment_of(upper: &[u8], length: u32) -> Option<Segment> {
    let head = upper.first_chunk::<20>()?;
    let flags = TcpFlags(number(head, 12) & 0x0fff);
    Some(Segment {
        sequence: word(head, 4),
        acknowledgment: word(head, 8),
        length: length.saturating_sub(u32::from(head[12] >> 4) * 4),
        flags,
        window: number(head, 14),
        options: if flags.syn() { options_of(upper) } else { SynOptions::default() },
    })
}

#[inline(never)]
fn options_of(segment: &[u8]) -> SynOptions {
    TcpHeader::parse(segment).map_or_else(|_| SynOptions::default(), |tcp| SynOptions::of(&tcp))
}

#[inline(always)]
fn time_of(record: &Record) -> i64 {
    record
        .time
        .map_or(NEVER, |time| time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into()))
}

/// The 16 bits at a place; 0 where there are none.
#[inline(always)]
fn number(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The 32 bits at a place; 0 where there are none.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// What a datagram brings by its own length: of a first fragment, more than is there (RFC 768; RFC 2675 4 for 0).
#[inline(always)]
fn udp_payload(packet: &Packet<'_>, ip: &IpLayer) -> u32 {
    let field = u16::from_be_bytes([byte(packet, ip.payload + 4), byte(packet, ip.payload + 5)]);
    if field == 0 { packet.payload_length(ip) } else { u32::from(field).saturating_sub(8) }
}

fn key_has_ports(ip: &IpLayer) -> bool {
    use protocol::{DCCP, SCTP, TCP, UDP, UDPLITE};
    matches!(ip.protocol, TCP | UDP | UDPLITE | SCTP | DCCP)
}

#[inline(always)]
fn byte(packet: &Packet<'_>, at: u32) -> u8 {
    packet.frame().data.get(at as usize).copied().unwrap_or(0)
}

fn ttl_of(packet: &Packet<'_>, ip: &IpLayer) -> u8 {
    byte(packet, ip.start + if ip.version == IpVersion::V4 { 8 } else { 7 })
}

/// The identification of an IPv4 packet, which a sender does not use again soon (RFC 6864), and the upper layer's checksum. 0 where
/// copies cannot be told.
#[inline(always)]
pub(crate) fn mark_of(packet: &Packet<'_>, ip: &IpLayer) -> u32 {
    let word = |at: u32| u16::from_be_bytes([byte(packet, at), byte(packet, at + 1)]);
    let checksum = match ip.transport {
        Transport::Tcp => ip.payload + 16,
        Transport::Udp => ip.payload + 6,
        Transport::Icmp => ip.payload + 2,
        Transport::None if may_be_cut(ip) => ip.payload + 16,
        _ => return 0,
    };
    match (ip.version, word(ip.start + 4)) {
        (IpVersion::V6, _) | (_, 0) => 0,
        (IpVersion::V4, identification) => u32::from(identification) << 16 | u32::from(word(checksum)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Findings;
    use crate::frame::Batch;
    use crate::parse::parse;
    use crate::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};

    /// Read where it stands or found by the walk, whole or cut, a packet tells the same.
    #[test]
    fn common_packets_tell_what_the_walk_finds() {
        let seed = Seed::random();
        let traffic = Traffic {
            distinct: 4_000,
            flows: 900,
            sizes: Sizes::Fixed(100),
            ipv6_percent: 30,
            vlan_percent: 30,
            protocols: vec![(Protocol::Tcp, 3), (Protocol::Udp, 2), (Protocol::Icmp, 1)],
            ..Traffic::default()
        };
        let source = Synthetic::new(&traffic);
        let table = source.table();
        let mut slab = [table.slab(), &[0; 128]].concat();
        let mut records = table.records().to_vec();
        for (at, record) in records.iter_mut().enumerate() {
            let start = record.offset as usize;
            // Some SYNs, all of whose options are no more than padding; some numbers; some cut behind the headers.
            if slab[start + 14] >> 4 == 4 && slab[start + 23] == 6 {
                slab[start + 47] = [2, 16, 18, 4][at % 4];
                slab[start + 18] = at as u8;
            }
            if at % 5 == 0 {
                record.captured -= 9;
                record.wire_length -= (at % 3) as u32;
            }
        }
        let batch = Batch::new(&slab, &records, table.interfaces());
        let mut findings = Findings::new();
        findings.read_unverified(batch);
        let mut common = 0;
        for (at, summary) in findings.summaries().iter().enumerate() {
            let frame = batch.frame(at);
            let ours = Event::of_common(&frame.record, frame.data, *summary, &seed);
            let layers = parse(&frame);
            let (walked, beside) = Event::of(&Packet::new(frame, &layers), &seed).expect("a flow");
            if let Some((event, long)) = ours.filter(|_| !summary.is_laid_out()) {
                assert_eq!((event, long), (walked, beside.long), "{layers:?}");
                assert!(beside.quoted.is_none() && !beside.lost);
                common += 1;
            }
        }
        assert!(common > 3_000, "{common} were common");
    }
}
