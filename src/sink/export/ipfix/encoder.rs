//! Messages made of records.

use super::template::Template;
use crate::flow::{FlowKey, FlowRecord, TunnelKind};
use crate::frame::Timestamp;
use crate::parse::{IpVersion, protocol};
use std::net::IpAddr;

/// RFC 7011 3.1.
const HEADER: usize = 16;
/// 255 says that two more bytes of length follow.
const MOST_OF_NAME: usize = 254;
/// Number of a set of templates (RFC 7011 3.3.2).
const TEMPLATES: u16 = 2;

/// Puts flow records into messages. What becomes of those is the caller's.
///
/// ```
/// use wharf::sink::IpfixEncoder;
/// let mut encoder = IpfixEncoder::new(1_400);
/// let message = encoder.message(); // Templates only: no record was pushed.
/// assert_eq!(u16::from_be_bytes([message[2], message[3]]) as usize, message.len());
/// ```
#[derive(Debug)]
pub struct IpfixEncoder {
    most: usize,
    message: Vec<u8>,
    /// Where the set that is being filled begins, and of which template it is.
    set: Option<(usize, Template)>,
    records: u64,
    /// Records in earlier messages (RFC 7011 3.1), modulo 2^32.
    sequence: u32,
    /// The last packet's time of all records: when this was exported, by the packets' own clock.
    time: u32,
}

impl IpfixEncoder {
    /// Messages of at most so many bytes, at least 1,400 and at most 65,535. The first begins with the templates.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.clamp(1_400, 65_535);
        let mut encoder =
            Self { most, message: Vec::with_capacity(most), set: None, records: 0, sequence: 0, time: 0 };
        encoder.message.resize(HEADER, 0);
        encoder.repeat_templates();
        encoder
    }

    /// Puts the templates into this message too: whoever comes later, or has lost them, can read on. To be called before
    /// any record is pushed.
    pub fn repeat_templates(&mut self) {
        self.close_set();
        let at = self.message.len();
        self.message.extend(TEMPLATES.to_be_bytes());
        self.message.extend([0, 0]);
        Template::ALL.iter().for_each(|template| template.write(&mut self.message));
        self.set_length(at);
    }

    /// Whether a record has room in this message.
    #[must_use]
    pub fn fits(&self, record: &FlowRecord) -> bool {
        let template = template_of(record);
        let header = if self.set.is_some_and(|(_, of)| of == template) { 0 } else { 4 };
        self.message.len() + header + length_of(record, template) <= self.most
    }

    /// No record is in this message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How many are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Puts a record into this message; it should [fit](IpfixEncoder::fits).
    pub fn push(&mut self, record: &FlowRecord) {
        let template = template_of(record);
        if self.set.is_none_or(|(_, of)| of != template) {
            self.close_set();
            self.set = Some((self.message.len(), template));
            self.message.extend(template.id().to_be_bytes());
            self.message.extend([0, 0]);
        }
        let before = self.message.len();
        self.write(record, template);
        debug_assert_eq!(self.message.len() - before, length_of(record, template));
        self.records += 1;
        let seconds = record.last.map_or(0, |last| u32::try_from(last.seconds).unwrap_or(0));
        self.time = self.time.max(seconds);
    }

    /// The message as it is to be sent.
    #[must_use]
    pub fn message(&mut self) -> &[u8] {
        self.close_set();
        let length = u16::try_from(self.message.len()).unwrap_or(u16::MAX);
        // Version, length, export time, sequence number, observation domain.
        self.message[..2].copy_from_slice(&10_u16.to_be_bytes());
        self.message[2..4].copy_from_slice(&length.to_be_bytes());
        self.message[4..8].copy_from_slice(&self.time.to_be_bytes());
        self.message[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        self.message[12..16].copy_from_slice(&1_u32.to_be_bytes());
        &self.message
    }

    /// What another transport session begins with: the templates alone, exported when this message is.
    pub(super) fn beginning(&self) -> Self {
        Self { time: self.time, ..Self::new(self.most) }
    }

    /// The records of this message are the first of a transport session: their number is 0 (RFC 7011 3.1).
    pub fn begin_session(&mut self) {
        self.sequence = 0;
    }

    /// `octetDeltaCount` of both directions: octets from the IP header on. A record counts them from the link-layer header on and
    /// does not say how long that is: 14 octets of each packet, and 4 for each VLAN tag, are taken for Ethernet's. It is never less
    /// than the payload with the shortest headers. Padding of short frames is in it, and on links with shorter headers options of
    /// IP and TCP are not.
    #[must_use]
    pub fn octets(record: &FlowRecord) -> [u64; 2] {
        let key = &record.key;
        let link = 14 + 4 * key.vlans().into_iter().flatten().count() as u64;
        let ip = if key.ip_version() == IpVersion::V4 { 20 } else { 40 };
        let upper = match key.protocol() {
            protocol::TCP => 20,
            protocol::UDP | protocol::UDPLITE => 8,
            _ => 0,
        };
        std::array::from_fn(|side| {
            let (bytes, packets) = (record.bytes[side], record.packets[side]);
            let least = record.payload[side].saturating_add(packets.saturating_mul(ip + upper));
            bytes.saturating_sub(packets.saturating_mul(link)).max(least).min(bytes)
        })
    }

    /// Begins the next message.
    pub fn begin_next(&mut self) {
        self.message.clear();
        self.message.resize(HEADER, 0);
        self.set = None;
        self.sequence = self.sequence.wrapping_add(self.records as u32);
        self.records = 0;
    }

    fn close_set(&mut self) {
        if let Some((at, _)) = self.set.take() {
            self.set_length(at);
        }
    }

    fn set_length(&mut self, at: usize) {
        let length = u16::try_from(self.message.len() - at).unwrap_or(u16::MAX);
        self.message[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn write(&mut self, record: &FlowRecord, template: Template) {
        let out = &mut self.message;
        for time in [record.first, record.last] {
            out.extend(millis(time).to_be_bytes());
        }
        let ((source, from), (destination, to)) = (record.source(), record.destination());
        for address in [source, destination] {
            match address {
                IpAddr::V4(address) => out.extend(address.octets()),
                IpAddr::V6(address) => out.extend(address.octets()),
            }
        }
        let ports = if record.key.has_ports() { [from, to] } else { [0; 2] };
        for port in ports {
            out.extend(port.to_be_bytes());
        }
        out.extend([record.key.protocol(), record.end.ipfix()]);
        for vlan in record.key.vlans() {
            out.extend(vlan.unwrap_or(0).to_be_bytes());
        }
        out.extend(icmp(record).to_be_bytes());
        out.extend(segment(record).to_be_bytes());
        let directions = if template.both { 2 } else { 1 };
        for (side, octets) in Self::octets(record).into_iter().enumerate().take(directions) {
            out.extend(octets.to_be_bytes());
            out.extend(record.bytes[side].to_be_bytes());
            out.extend(record.packets[side].to_be_bytes());
            out.extend(record.tcp_flags[side].0.to_be_bytes());
            let (least, most) = record.ttl[side];
            out.extend([least, most]);
        }
        if template.named {
            for name in names_of(record) {
                out.push(name.len() as u8);
                out.extend(name.as_bytes());
            }
        }
    }
}

/// Bytes of a record.
fn length_of(record: &FlowRecord, template: Template) -> usize {
    let names = names_of(record).map(|name| 1 + name.len());
    template.length() + if template.named { names.iter().sum() } else { 0 }
}

/// The server's name, that of an HTTP request, and the application's protocol; empty where there is none.
fn names_of(record: &FlowRecord) -> [&str; 3] {
    let names = record.names.as_deref();
    let server = names.and_then(|names| names.server.as_deref()).unwrap_or_default();
    let http = names.is_some_and(|names| names.server_from == Some("http"));
    let application = names.and_then(|names| names.application.as_deref()).unwrap_or_default();
    [server, if http { server } else { "" }, application].map(short)
}

/// As much of a name as has a length of one byte (RFC 7011 7); none in use is longer (RFC 1035 2.3.4).
fn short(name: &str) -> &str {
    let mut end = name.len().min(MOST_OF_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

fn template_of(record: &FlowRecord) -> Template {
    let version = if record.key.ip_version() == IpVersion::V4 { IpVersion::V4 } else { IpVersion::V6 };
    Template { version, both: !record.is_one_way(), named: record.names.is_some() }
}

/// Type and code of the first end's messages; 0 of other protocols. Requests that have answers, and those, have code 0.
fn icmp(record: &FlowRecord) -> u16 {
    if !matches!(record.key.protocol(), protocol::ICMP | protocol::ICMPV6) {
        return 0;
    }
    let ((from, kind), (to, other)) = (record.source(), record.destination());
    // The other port is that of the answer, or else the code: what has an answer has the same key the other way round.
    let (key, _) = FlowKey::new((from, kind), (to, other), record.key.protocol());
    let (answer, _) = FlowKey::new((to, other), (from, kind), record.key.protocol());
    kind << 8 | if key == answer { 0 } else { other & 0xff }
}

/// `layer2SegmentId` (RFC 7133): the kind of network, 1 for VXLAN, in the upper octet; 0 of others, which have no number there.
fn segment(record: &FlowRecord) -> u64 {
    let tunnel = record.key.tunnel().filter(|tunnel| tunnel.kind == TunnelKind::Vxlan);
    tunnel.map_or(0, |tunnel| 1 << 56 | u64::from(tunnel.id))
}

/// Milliseconds since 1970; 0 where there is no time.
fn millis(time: Option<Timestamp>) -> u64 {
    let millis = |time: Timestamp| {
        u64::try_from(time.seconds).unwrap_or(0).saturating_mul(1_000) + u64::from(time.nanos / 1_000_000)
    };
    time.map_or(0, millis)
}
