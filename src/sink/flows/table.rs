//! Records as a table for people.

use super::story::{brief, flow_story};
use crate::flow::FlowRecord;
use crate::parse::{Transport, protocol, protocol_name};
use crate::sink::format::Put;
use crate::sink::services::Services;
use std::net::IpAddr;

/// Records gathered for a table.
#[derive(Debug)]
pub(super) struct Table {
    records: Vec<FlowRecord>,
    most: usize,
    /// Records for which there was no room, with their packets and bytes.
    beyond: [u64; 3],
}

impl Table {
    /// For at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { records: Vec::new(), most: most.max(1), beyond: [0; 3] }
    }

    /// How many were added.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.beyond[0] as usize
    }

    /// Takes in a record. When twice as many are there as there is room for, the smaller half goes.
    pub(super) fn add(&mut self, record: FlowRecord) {
        self.records.push(record);
        if self.records.len() >= 2 * self.most {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        if self.records.len() <= self.most {
            return;
        }
        let size = |record: &FlowRecord| (std::cmp::Reverse(record.bytes[0] + record.bytes[1]), record.first);
        self.records.sort_by_key(|record| (size(record), record.key));
        for small in self.records.drain(self.most..) {
            let sums = [1, small.all_packets(), small.bytes[0] + small.bytes[1]];
            self.beyond.iter_mut().zip(sums).for_each(|(all, more)| *all += more);
        }
    }

    /// Appends the lines: of `all` flows those that are here, by the time of their first packets.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, services: Option<&Services>, all: usize) {
        self.shrink();
        self.records.sort_by_key(|record| (record.first, record.key));
        let mut rows = vec![COLUMNS.map(str::to_owned)];
        rows.extend(self.records.iter().map(|record| row(record, services)));
        let widths: [usize; 8] =
            std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
        for row in &rows {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                let (before, after) = if NUMBERS[at] { (&*pad, "") } else { ("", &*pad) };
                line += &format!("{before}{cell}{after}  ");
            }
            out.text(line.trim_end());
            out.push(b'\n');
        }
        let here = self.records.len();
        if all > here {
            let more = all - here;
            out.text(&format!("and {more} smaller flow{}", if more == 1 { "" } else { "s" }));
            if let [1..=u64::MAX, packets, bytes] = self.beyond {
                out.text(&format!(" with {packets} packets and {bytes} bytes"));
            }
            out.push(b'\n');
        }
    }
}

const COLUMNS: [&str; 8] = ["proto", "from", "to", "packets", "back", "bytes", "time", "what became of it"];
const NUMBERS: [bool; 8] = [false, false, false, true, true, true, true, false];

fn row(record: &FlowRecord, services: Option<&Services>) -> [String; 8] {
    let key = &record.key;
    let name = protocol_name(key.protocol()).map_or_else(|| key.protocol().to_string(), str::to_owned);
    let name = key.vlans().iter().flatten().fold(name, |name, vlan| format!("{name} vlan {vlan}"));
    let name = match key.tunnel() {
        Some(tunnel) => format!("{name} in {} {}", tunnel.kind.key(), tunnel.id),
        None => name,
    };
    let names = record.names.as_deref().filter(|_| services.is_some());
    // Of the source or of the destination.
    let name_of =
        |source| names.filter(|names| names.of_source == source).and_then(|names| names.server.as_deref());
    let end = |(address, port): (IpAddr, u16), name: Option<&str>| {
        let host = match (name, address) {
            (Some(name), _) => name.to_owned(),
            (None, IpAddr::V6(address)) if key.has_ports() => format!("[{address}]"),
            (None, address) => address.to_string(),
        };
        if !key.has_ports() {
            return host;
        }
        let transport = transport_of(key.protocol());
        match services.and_then(|services| services.name(port, transport)) {
            Some(service) => format!("{host}:{service}"),
            None => format!("{host}:{port}"),
        }
    };
    [
        name,
        end(record.source(), name_of(true)),
        end(record.destination(), name_of(false)),
        record.packets[0].to_string(),
        record.packets[1].to_string(),
        (record.bytes[0] + record.bytes[1]).to_string(),
        brief(record.duration()),
        flow_story(record),
    ]
}

const fn transport_of(number: u8) -> Transport {
    match number {
        protocol::TCP => Transport::Tcp,
        protocol::UDP => Transport::Udp,
        protocol::UDPLITE => Transport::UdpLite,
        protocol::SCTP => Transport::Sctp,
        protocol::DCCP => Transport::Dccp,
        _ => Transport::None,
    }
}
