//! Records as a table for people.

use super::columns::{self, Columns, width};
use super::story;
use super::values::{has_ports, put_address};
use crate::flow::{FlowKey, FlowRecord};
use crate::frame::Timestamp;
use crate::parse::{Transport, protocol, protocol_name};
use crate::sink::Error;
use crate::sink::format::Put;
use crate::sink::lines::Lines;
use crate::sink::services::Services;
use std::cmp::Reverse;
use std::io::Write;
use std::net::IpAddr;

/// Cells whose text a row has: all but its rate and its start.
const CELLS: usize = columns::COUNT - 2;
/// Where those two stand between them.
const BEFORE_RATE: usize = 7;
/// Bytes of lines that are written at a time.
const PIECE: usize = 1 << 16;
/// Most bytes of a row on average: most take less than half of it, some with long names more.
const EACH: usize = 512;
/// What all rows may take however few there may be.
const LEAST_BYTES: usize = 64 << 20;

/// Rows gathered for a table: some 200 bytes each.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Row>,
    most: usize,
    /// Bytes of the rows.
    held: usize,
    /// Records for which there was no room, with their packets and bytes.
    beyond: [u64; 3],
    /// The first packet's time of all, from which a flow's start counts.
    first: Option<Timestamp>,
}

/// What is shown of a record, and what its place goes by.
#[derive(Debug)]
pub(super) struct Row {
    first: Option<Timestamp>,
    key: FlowKey,
    /// How many were added before it: of records of a flow that begin at one time, the earlier one.
    number: usize,
    packets: u64,
    bytes: u64,
    /// Where each cell ends in the text.
    ends: [u16; CELLS],
    text: Box<[u8]>,
}

impl Table {
    /// For at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { rows: Vec::new(), most: most.max(1), held: 0, beyond: [0; 3], first: None }
    }

    /// How many were added.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.beyond[0] as usize
    }

    /// Takes in a row. When an eighth more are there than there is room for, the smallest flows go.
    pub(super) fn add(&mut self, mut row: Row) {
        row.number = self.len();
        self.first = [self.first, row.first].into_iter().flatten().min();
        self.held += row.memory();
        self.rows.push(row);
        if self.rows.len() > self.most + self.most / 8 {
            self.shrink(self.most);
        } else if self.held > self.most.saturating_mul(EACH).max(LEAST_BYTES) {
            self.shrink(self.rows.len() - self.rows.len() / 8);
        }
    }

    /// Leaves the largest flows.
    fn shrink(&mut self, most: usize) {
        if self.rows.len() <= most {
            return;
        }
        self.rows
            .select_nth_unstable_by_key(most, |row| (Reverse(row.bytes), row.first, row.key, row.number));
        for small in self.rows.drain(most..) {
            self.held -= small.memory();
            let sums = [1, small.packets, small.bytes];
            self.beyond.iter_mut().zip(sums).for_each(|(all, more)| *all += more);
        }
    }

    /// Writes all lines, by the time of the first packets: of `all` flows those that are here, within the width of a terminal
    /// if it is one.
    pub(super) fn write<W: Write>(
        &mut self,
        all: usize,
        terminal: Option<usize>,
        lines: &mut Lines<W>,
    ) -> Result<(), Error> {
        self.shrink(self.most);
        // Most are in that order already.
        self.rows.sort_by_key(|row| (row.first, row.key, row.number));
        let columns = Columns::of(self.widths(), false, terminal);
        columns.put_titles(&mut lines.buffer);
        let mut start = Vec::new();
        for row in &self.rows {
            row.put(&columns, self.first, b"", &mut start, &mut lines.buffer);
            if lines.buffer.len() >= PIECE {
                lines.write(0)?;
            }
        }
        self.tell_rest(all, &mut lines.buffer);
        Ok(())
    }

    /// How wide each column is.
    fn widths(&self) -> [usize; columns::COUNT] {
        let (mut widths, mut start) = ([0; columns::COUNT], Vec::new());
        // The last one begins last.
        self.rows.iter().rev().take(1).for_each(|row| row.put_start(self.first, &mut start));
        for row in &self.rows {
            row.widen(&mut widths, b"", &start);
        }
        widths
    }

    /// Appends how many of `all` flows are not here.
    fn tell_rest(&self, all: usize, out: &mut Vec<u8>) {
        let here = self.rows.len();
        if all > here {
            let more = all - here;
            out.text(&format!("and {more} smaller flow{}", if more == 1 { "" } else { "s" }));
            if let [1..=u64::MAX, packets, bytes] = self.beyond {
                let packet = if packets == 1 { "packet" } else { "packets" };
                out.text(&format!(" with {packets} {packet} and {bytes} bytes"));
            }
            out.push(b'\n');
        }
    }
}

impl Row {
    /// Of a record.
    pub(super) fn of(record: &FlowRecord, services: Option<&Services>) -> Self {
        let names = record.names.as_deref().filter(|_| services.is_some());
        // Of the source or of the destination.
        let name_of = |source| {
            names.filter(|names| names.of_source == source).and_then(|names| names.server.as_deref())
        };
        let bytes = record.bytes[0] + record.bytes[1];
        let mut text = Vec::with_capacity(160);
        let (mut ends, mut at) = ([0; CELLS], 0);
        let mut end = |text: &mut Vec<u8>| {
            // Names are the longest, of some hundred bytes.
            text.truncate(usize::from(u16::MAX));
            (ends[at], at) = (text.len() as u16, at + 1);
        };
        put_protocol(&mut text, record);
        end(&mut text);
        put_end(&mut text, record, record.source(), name_of(true), services);
        end(&mut text);
        put_end(&mut text, record, record.destination(), name_of(false), services);
        end(&mut text);
        for number in [record.packets[0], record.packets[1], record.bytes[0], record.bytes[1]] {
            text.decimal(number);
            end(&mut text);
        }
        story::put_brief(&mut text, record.duration());
        end(&mut text);
        story::write(&mut text, record);
        end(&mut text);
        let text = text.as_slice().into();
        let (first, key, packets) = (record.first, record.key, record.all_packets());
        Self { first, key, number: 0, packets, bytes, ends, text }
    }

    /// All cells, those of rate and start given.
    fn cells<'c>(&'c self, rate: &'c [u8], start: &'c [u8]) -> impl Iterator<Item = &'c [u8]> {
        let mut from = 0;
        let mut texts = self.ends.iter().map(move |&end| {
            let cell = &self.text[from..usize::from(end)];
            from = usize::from(end);
            cell
        });
        (0..columns::COUNT).filter_map(move |at| match at.checked_sub(BEFORE_RATE) {
            Some(0) => Some(rate),
            Some(1) => Some(start),
            _ => texts.next(),
        })
    }

    /// Makes columns wide enough.
    pub(super) fn widen(&self, widths: &mut [usize; columns::COUNT], rate: &[u8], start: &[u8]) {
        let cells = widths.iter_mut().zip(self.cells(rate, start));
        cells.for_each(|(widest, cell)| *widest = width(cell).max(*widest));
    }

    /// Appends its line; its start, from the first packet of all on, is put together in `start`.
    pub(super) fn put(
        &self,
        columns: &Columns,
        first: Option<Timestamp>,
        rate: &[u8],
        start: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        start.clear();
        self.put_start(first, start);
        columns.put(self.cells(rate, start), out);
    }

    /// Appends how many seconds after the first packet of all it began.
    pub(super) fn put_start(&self, first: Option<Timestamp>, out: &mut Vec<u8>) {
        let Some(since) = self.first.zip(first).map(|(own, first)| own.nanos_since(first)) else {
            return out.push(b'-');
        };
        let since = since.max(0).unsigned_abs() / 1_000_000;
        out.decimal(since / 1_000);
        out.push(b'.');
        out.decimal_padded(since % 1_000, 3);
    }

    /// What it takes: itself, its text and the allocator's own.
    fn memory(&self) -> usize {
        size_of::<Self>() + self.text.len() + 16
    }
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
    let has_ports = has_ports(record);
    match (name, address) {
        (Some(name), _) => text.text(name),
        (None, IpAddr::V6(_)) if has_ports => {
            text.push(b'[');
            put_address(text, address);
            text.push(b']');
        }
        (None, address) => put_address(text, address),
    }
    if has_ports {
        text.push(b':');
        let transport = transport_of(record.key.protocol());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Ipv4, Stack, Udp};
    use crate::flow::{Meter, MeterOptions};
    use crate::frame::{Frame, LinkType};
    use crate::parse::{Packet, parse};

    /// Rows of flows of which each has a byte more than the one before.
    fn rows(count: u16) -> Vec<Row> {
        let mut meter = Meter::new(MeterOptions::default());
        for at in 0..count {
            let mut stack = Stack::new();
            stack
                .message(&vec![0; at.into()])
                .wrap(Udp::new(1_000 + at, 9))
                .wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
            let frame = Frame::new(LinkType::RAW, stack.bytes());
            let layers = parse(&frame);
            meter.observe([Packet::new(frame, &layers)], |_| unreachable!("there is room"));
        }
        let mut rows = Vec::new();
        meter.finish(|record| rows.push(Row::of(&record, None)));
        rows
    }

    #[test]
    fn the_largest_are_kept_and_the_others_summed() {
        let mut table = Table::new(10);
        for row in rows(100) {
            table.add(row);
            assert!(table.rows.len() <= 11);
        }
        assert_eq!(table.held, table.rows.iter().map(Row::memory).sum::<usize>());
        let mut lines = Lines::new(std::io::sink());
        table.write(table.len(), None, &mut lines).unwrap();
        let text = String::from_utf8(lines.buffer).unwrap();
        let of_port = |port: &str| text.lines().any(|line| line.contains(&format!("10.0.0.1:{port} ")));
        assert!(of_port("1099") && of_port("1090") && !of_port("1089"), "{text}");
        // 28 bytes of headers.
        let bytes = (0..90).map(|at| 28 + at).sum::<u32>();
        assert!(
            text.ends_with(&format!("and 90 smaller flows with 90 packets and {bytes} bytes\n")),
            "{text}"
        );
    }

    /// Bytes are bounded by how many rows were asked for, not below that; records of a flow that begin together stay in order.
    #[test]
    fn as_many_rows_as_asked_for_have_room() {
        let mut table = Table::new(100);
        let of_one = |at: u8| {
            let mut row = rows(1).remove(0);
            let text = Box::from([at]);
            row.text = text;
            row.ends = [1; CELLS];
            row
        };
        (0..112).for_each(|at| table.add(of_one(at)));
        table.write(112, None, &mut Lines::new(std::io::sink())).unwrap();
        assert!(table.rows.iter().map(|row| row.text[0]).eq(0..100), "those that came first");
        let mut large = Table::new(1 << 20);
        for row in rows(1_000) {
            large.add(Row { text: vec![0; 300_000].into(), ends: [0; CELLS], ..row });
        }
        assert_eq!(
            (large.rows.len(), large.beyond),
            (1_000, [0; 3]),
            "300 MB of the 512 MiB of a million rows"
        );
        let mut small = Table::new(1_000);
        for row in rows(1_000) {
            small.add(Row { text: vec![0; 300_000].into(), ends: [0; CELLS], ..row });
            assert!(small.held <= LEAST_BYTES);
        }
        assert!(small.rows.len() > 100);
    }
}
