//! Records as a table for people.

use super::story;
use super::values::put_address;
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

    /// Those that are here, by the time of their first packets.
    pub(super) fn sorted(&mut self) -> Vec<&FlowRecord> {
        self.shrink();
        let mut records: Vec<&FlowRecord> = self.records.iter().collect();
        // Most are in that order already.
        records.sort_by(|a, b| a.first.cmp(&b.first).then_with(|| a.key.cmp(&b.key)));
        records
    }

    /// Appends how many of `all` flows are not here.
    pub(super) fn tell_rest(&self, all: usize, out: &mut Vec<u8>) {
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

    /// Appends all lines: of `all` flows those that are here.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, services: Option<&Services>, all: usize) {
        let rows = [Rows::of(&self.sorted(), services)];
        let widths = Rows::widths(&rows);
        Rows::head(&widths, out);
        rows[0].write(&widths, out);
        self.tell_rest(all, out);
    }
}

const COLUMNS: [&str; 8] = ["proto", "from", "to", "packets", "back", "bytes", "time", "what became of it"];
const NUMBERS: [bool; 8] = [false, false, false, true, true, true, true, false];

/// Rows whose cells are made, and whose lines are not: how wide a column is all rows tell.
#[derive(Debug, Default)]
pub(super) struct Rows {
    text: Vec<u8>,
    /// Of each row: where each cell ends in the text, and how wide it is.
    cells: Vec<[(usize, u32); 8]>,
}

impl Rows {
    /// Of these records.
    pub(super) fn of(records: &[&FlowRecord], services: Option<&Services>) -> Self {
        let mut rows =
            Self { text: Vec::with_capacity(records.len() * 96), cells: Vec::with_capacity(records.len()) };
        records.iter().for_each(|record| rows.add(record, services));
        rows
    }

    /// How wide each column is.
    pub(super) fn widths(all: &[Self]) -> [usize; 8] {
        let cells = || all.iter().flat_map(|rows| &rows.cells);
        std::array::from_fn(|at| {
            cells().map(|row| row[at].1 as usize).fold(COLUMNS[at].len(), |widest, width| widest.max(width))
        })
    }

    /// Appends the names of the columns.
    pub(super) fn head(widths: &[usize; 8], out: &mut Vec<u8>) {
        let cells = COLUMNS.iter().map(|name| (name.as_bytes(), name.len()));
        put_line(cells, widths, out);
    }

    /// Appends the lines.
    pub(super) fn write(&self, widths: &[usize; 8], out: &mut Vec<u8>) {
        let mut start = 0;
        for row in &self.cells {
            let cells = row.iter().map(|&(end, width)| {
                let cell = &self.text[start..end];
                start = end;
                (cell, width as usize)
            });
            put_line(cells, widths, out);
        }
    }

    fn add(&mut self, record: &FlowRecord, services: Option<&Services>) {
        let names = record.names.as_deref().filter(|_| services.is_some());
        // Of the source or of the destination.
        let name_of = |source| {
            names.filter(|names| names.of_source == source).and_then(|names| names.server.as_deref())
        };
        let text = &mut self.text;
        let mut start = text.len();
        let mut cells = [(0, 0); 8];
        let mut at = 0;
        let mut end = |text: &mut Vec<u8>| {
            cells[at] = (text.len(), width(&text[start..]));
            (start, at) = (text.len(), at + 1);
        };
        put_protocol(text, record);
        end(text);
        put_end(text, record, record.source(), name_of(true), services);
        end(text);
        put_end(text, record, record.destination(), name_of(false), services);
        end(text);
        for number in [record.packets[0], record.packets[1], record.bytes[0] + record.bytes[1]] {
            text.decimal(number);
            end(text);
        }
        story::put_brief(text, record.duration());
        end(text);
        story::write(text, record);
        end(text);
        self.cells.push(cells);
    }
}

/// Characters of a cell.
fn width(cell: &[u8]) -> u32 {
    let characters = if cell.is_ascii() { cell.len() } else { String::from_utf8_lossy(cell).chars().count() };
    characters as u32
}

fn put_line<'c>(cells: impl Iterator<Item = (&'c [u8], usize)>, widths: &[usize; 8], out: &mut Vec<u8>) {
    for ((at, (cell, width)), most) in cells.enumerate().zip(widths) {
        let pad = most - width;
        if NUMBERS[at] {
            out.resize(out.len() + pad, b' ');
        }
        out.extend_from_slice(cell);
        out.resize(out.len() + if NUMBERS[at] { 2 } else { pad + 2 }, b' ');
    }
    while out.last() == Some(&b' ') {
        out.pop();
    }
    out.push(b'\n');
}

fn put_protocol(text: &mut Vec<u8>, record: &FlowRecord) {
    let key = &record.key;
    match protocol_name(key.protocol()) {
        Some(name) => text.text(name),
        None => text.decimal(key.protocol().into()),
    }
    for vlan in key.vlans().into_iter().flatten() {
        text.text(" vlan ");
        text.decimal(vlan.into());
    }
    if let Some(tunnel) = key.tunnel() {
        text.text(" in ");
        text.text(tunnel.kind.key());
        text.push(b' ');
        text.decimal(tunnel.id.into());
    }
}

fn put_end(
    text: &mut Vec<u8>,
    record: &FlowRecord,
    (address, port): (IpAddr, u16),
    name: Option<&str>,
    services: Option<&Services>,
) {
    let key = &record.key;
    match (name, address) {
        (Some(name), _) => text.text(name),
        (None, IpAddr::V6(_)) if key.has_ports() => {
            text.push(b'[');
            put_address(text, address);
            text.push(b']');
        }
        (None, address) => put_address(text, address),
    }
    if key.has_ports() {
        text.push(b':');
        let transport = transport_of(key.protocol());
        match services.and_then(|services| services.name(port, transport)) {
            Some(service) => text.text(service),
            None => text.decimal(port.into()),
        }
    }
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
