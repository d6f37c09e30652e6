//! The counts as people and programs read them.

use super::{Counts, Key, PORT_PROTOCOLS};
use crate::frame::Timestamp;
use crate::parse::{self, ether_type};
use crate::sink::format::{counted, scaled};
use crate::sink::services::Services;
use crate::sink::text::date_and_time;
use crate::verify::{Verdict, VerdictCounts};
use serde::{Serialize, Serializer};
use std::fmt;

/// Counts by port at one moment. Printed it is a table; [`serde`] gives it as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CountTable {
    /// All packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// From the earliest packet to the latest; `None` when no packet has a time.
    pub seconds: Option<f64>,
    /// When the earliest packet was captured, in seconds since 1970; `None` when no packet has a time.
    #[serde(serialize_with = "as_text")]
    pub first: Option<Timestamp>,
    /// When the latest one was.
    #[serde(serialize_with = "as_text")]
    pub last: Option<Timestamp>,
    /// Most packets first; then most bytes, then by protocol and port.
    pub rows: Vec<Row>,
}

/// As packets have it in JSON: a text that loses no digit.
fn as_text<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

/// One protocol and port.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// `tcp`, `udp`, an IP protocol's name or number, `arp`, an EtherType as `0x88cc`; of what has none `stp`, `cdp`, `pvst` or `llc`
    /// by its 802.2 header, `802.3` without one, `malformed` where no header beyond the link's could be read, or `other`.
    pub protocol: String,
    /// The smaller of the two ports; `None` for what has none, and for later fragments.
    pub port: Option<u16>,
    /// The port's name in `/etc/services`.
    pub service: Option<String>,
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Share of all packets, 0 to 1.
    pub share: f64,
    /// Packets a second over the whole capture; `None` when that took no time.
    pub packets_per_second: Option<f64>,
    /// Bits on the wire a second, likewise.
    pub bits_per_second: Option<f64>,
    /// IPv4 headers with a wrong checksum; one of 0, as a host leaves it to its device, is none.
    pub bad_ip_checksums: u64,
    /// Checksums of the layer above IP; wrong ones that look as a host leaves them to its device are not ready.
    pub checksums: VerdictCounts,
}

impl CountTable {
    pub(super) fn new(mut counts: Vec<(Key, Counts)>, span: Option<(Timestamp, Timestamp)>) -> Self {
        counts.sort_by_key(|(key, counts)| (std::cmp::Reverse((counts.packets, counts.bytes)), *key));
        let packets = counts.iter().map(|(_, counts)| counts.packets).sum();
        let seconds = span.map(|(first, last)| last.nanos_since(first) as f64 / 1e9);
        let rate =
            |amount: u64| seconds.filter(|&seconds| seconds > 0.0).map(|seconds| amount as f64 / seconds);
        let services = Services::system();
        let rows = counts.iter().map(|(key, counts)| Row {
            protocol: protocol_of(*key),
            port: if let Key::Port(_, port) = key { Some(*port) } else { None },
            service: service_of(*key, &services),
            packets: counts.packets,
            bytes: counts.bytes,
            share: counts.packets as f64 / packets as f64,
            packets_per_second: rate(counts.packets),
            bits_per_second: rate(counts.bytes.saturating_mul(8)),
            bad_ip_checksums: counts.bad_ip,
            checksums: counts.l4,
        });
        Self {
            packets,
            bytes: counts.iter().map(|(_, counts)| counts.bytes).sum(),
            seconds,
            first: span.map(|(first, _)| first),
            last: span.map(|(_, last)| last),
            rows: rows.collect(),
        }
    }
}

fn protocol_of(key: Key) -> String {
    match key {
        Key::Port(protocol, _) => PORT_PROTOCOLS[protocol].1.to_owned(),
        Key::Ip(number) => parse::protocol_name(number).map_or_else(|| format!("ip-{number}"), str::to_owned),
        Key::EtherType(ether_type::ARP) => "arp".to_owned(),
        Key::EtherType(0x8035) => "rarp".to_owned(),
        // Only what is no IP layer at all: the version, or the length, was wrong.
        Key::EtherType(ether_type::IPV4) => "ipv4".to_owned(),
        Key::EtherType(ether_type::IPV6) => "ipv6".to_owned(),
        Key::EtherType(other) => format!("0x{other:04x}"),
        Key::Other(name) => name.to_owned(),
    }
}

fn service_of(key: Key, services: &Services) -> Option<String> {
    let Key::Port(protocol, port) = key else { return None };
    services.name(port, PORT_PROTOCOLS[protocol].0).map(str::to_owned)
}

/// Titles of the columns; the first two are aligned left.
const TITLES: [&str; 12] = [
    "protocol",
    "port",
    "packets",
    "share",
    "bytes",
    "packets/s",
    "bit/s",
    "good",
    "bad",
    "offloaded",
    "unverified",
    "bad ip",
];

impl Row {
    fn cells(&self) -> [String; TITLES.len()] {
        let port = match (self.port, &self.service) {
            (Some(port), Some(service)) => format!("{port} {service}"),
            (Some(port), None) => port.to_string(),
            (None, _) => "-".to_owned(),
        };
        let checksums = |kinds: &[Verdict]| kinds.iter().map(|&kind| self.checksums.of(kind)).sum::<u64>();
        [
            self.protocol.clone(),
            port,
            self.packets.to_string(),
            format!("{:.1} %", self.share * 100.0),
            self.bytes.to_string(),
            self.packets_per_second.map_or_else(|| "-".to_owned(), scaled),
            self.bits_per_second.map_or_else(|| "-".to_owned(), scaled),
            checksums(&[Verdict::Good, Verdict::Vouched]).to_string(),
            checksums(&[Verdict::Bad { found: 0, expected: 0 }]).to_string(),
            checksums(&[Verdict::NotReady]).to_string(),
            checksums(&[Verdict::Absent, Verdict::Fragment, Verdict::Truncated]).to_string(),
            self.bad_ip_checksums.to_string(),
        ]
    }
}

/// A line for each row under a line of titles, and the sum below, with the times of the first and the last packet in the zone
/// of the system.
///
/// The columns of checksums are those above IP, of which a packet has one: found right (by us or the kernel), wrong, offloaded
/// (not computed yet when captured), and not to be told (none sent, a fragment, or cut). Wrong ones of IPv4 headers, whatever
/// is behind them, have a column of their own.
impl fmt::Display for CountTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.rows.iter().map(Row::cells).collect();
        let titles = TITLES.map(str::to_owned);
        let widths: [usize; TITLES.len()] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([titles[column].len()]).max().unwrap_or(0)
        });
        for row in std::iter::once(&titles).chain(&rows) {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                match column {
                    0 => write!(f, "{cell:width$}")?,
                    1 => write!(f, "  {cell:width$}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        write!(f, "{}, {}", counted(self.packets, "packet"), counted(self.bytes, "byte"))?;
        if let Some(seconds) = self.seconds {
            write!(f, ", {seconds:.6} s")?;
        }
        match (self.first, self.last) {
            (Some(first), Some(last)) => {
                write!(f, ", from {} to {}", date_and_time(first), date_and_time(last))
            }
            _ => Ok(()),
        }
    }
}
