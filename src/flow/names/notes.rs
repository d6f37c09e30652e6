//! Packets that may tell of names, taken out of what a thread reads, to be looked at in order later.
//!
//! Few packets are such: questions and answers of DNS, first segments of connections, long headers of QUIC. What else a
//! segment brings matters only where an opening that came before it is not whole. Which those are is known when all that came
//! before has been [sifted](Sieve), by whatever thread.

use super::openings::is_incomplete;
use super::{Naming, service_of};
use crate::batch::Summary;
use crate::flow::key::layer_of;
use crate::frame::{Batch, Record, Timestamp};
use crate::parse::{Packet, TcpFlags, Transport, parse};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A second since 1970, and no other number is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Second(u32);

impl Second {
    /// Seconds after a connection's SYN in which its opening may begin with what is not its beginning.
    const SOON: u32 = 2;

    /// Of a time; what has none is always soon after what has one.
    #[inline(always)]
    pub(crate) fn of(time: Option<Timestamp>) -> Self {
        Self(time.map_or(1, |time| time.seconds.clamp(0, (u32::MAX - 2 * Self::SOON).into()) as u32 + 1))
    }

    #[inline(always)]
    pub(super) fn is_soon_after(self, other: Self) -> bool {
        self.0 <= other.0 + Self::SOON
    }
}

/// What a packet may have to do with names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint<'a> {
    /// Nothing.
    Nothing,
    /// It is to be looked at.
    Look,
    /// The same, as it opens a connection between these ports.
    Begin((u16, u16)),
    /// The same, and it looks like an opening between these ports, of which this has come.
    Opening((u16, u16), &'a [u8]),
    /// It goes on with an opening, if one between its ports is not whole.
    Rest((u16, u16)),
}

impl<'a> Hint<'a> {
    /// Of any packet.
    pub(crate) fn of(packet: &Packet<'a>) -> Self {
        let Some(ip) = layer_of(packet) else { return Self::Nothing };
        let ip = &ip;
        let ports = (ip.source_port, ip.destination_port);
        match ip.transport {
            Transport::Udp => Self::of_datagram(ports, packet.payload(ip)),
            Transport::Tcp => {
                let flags = packet.tcp(ip).map_or(TcpFlags::default(), |tcp| tcp.flags());
                Self::of_segment(ports, flags, packet.payload(ip))
            }
            _ => Self::Nothing,
        }
    }

    /// Of a packet of a [common shape](crate::batch), whose headers are not walked for that.
    #[inline(always)]
    pub(crate) fn of_common(data: &'a [u8], summary: Summary) -> Self {
        let transport = summary.transport();
        if !matches!(transport, Transport::Tcp | Transport::Udp) {
            return Self::Nothing;
        }
        let ports = summary.port_fields();
        Self::read(data, transport, ports).unwrap_or(Self::Look)
    }

    /// `None` for what is not as such a packet has it.
    #[inline(always)]
    fn read(data: &'a [u8], transport: Transport, ports: (u16, u16)) -> Option<Self> {
        let ip = data.get(if *data.get(12..14)? == [0x81, 0] { 18 } else { 14 }..)?;
        let field = |at: usize| Some(usize::from(u16::from_be_bytes([*ip.get(at)?, *ip.get(at + 1)?])));
        let (start, end) = if ip.first()? >> 4 == 4 { (20, field(2)?) } else { (40, 40 + field(4)?) };
        let upper = ip.get(start..end.min(ip.len()))?;
        Some(if transport == Transport::Udp {
            Self::of_datagram(ports, upper.get(8..).unwrap_or_default())
        } else {
            let flags = TcpFlags((*upper.get(13)?).into());
            Self::of_segment(ports, flags, upper.get(usize::from(upper[12] >> 4) * 4..).unwrap_or_default())
        })
    }

    #[inline(always)]
    fn of_datagram(ports: (u16, u16), payload: &[u8]) -> Self {
        // A long header of QUIC (RFC 9000 17.2).
        let long = payload.first().is_some_and(|first| first & 0xc0 == 0xc0);
        if long || service_of(ports, true).is_some() { Self::Look } else { Self::Nothing }
    }

    #[inline(always)]
    fn of_segment(ports: (u16, u16), flags: TcpFlags, payload: &'a [u8]) -> Self {
        if service_of(ports, false).is_some() {
            return Self::Look;
        }
        let begins = flags.syn();
        match payload.first() {
            None if begins && flags.ack() => Self::Look,
            None if begins => Self::Begin(ports),
            None => Self::Nothing,
            // A TLS record of a handshake, or the letter of a method.
            Some(first) if begins || *first == 0x16 || first.is_ascii_uppercase() => {
                Self::Opening(ports, payload)
            }
            Some(_) => Self::Rest(ports),
        }
    }
}

/// Bits of a [`Sieve`].
const BITS: usize = 1 << 20;

/// Places of times of a [`Sieve`].
const TIMES: usize = 1 << 16;

/// Between which ports an opening was not whole, and when a connection began, as all threads have found by now: with some that
/// were others', and what has been is not forgotten, so that it errs on one side only.
#[derive(Debug)]
pub(crate) struct Sieve {
    open: Box<[AtomicU64]>,
    /// The latest second.
    begun: Box<[AtomicU32]>,
}

impl Default for Sieve {
    fn default() -> Self {
        Self {
            open: (0..BITS / 64).map(|_| AtomicU64::new(0)).collect(),
            begun: (0..TIMES).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

impl Sieve {
    #[inline(always)]
    fn time_of((source, destination): (u16, u16)) -> usize {
        let ports = u32::from(source) << 16 | u32::from(destination);
        (ports.wrapping_mul(0x9e37_79b1) >> 16) as usize
    }

    /// A connection between these ports begins.
    pub(crate) fn begin(&self, ports: (u16, u16), second: Second) {
        // Relaxed, as below.
        self.begun[Self::time_of(ports)].fetch_max(second.0, Ordering::Relaxed);
    }

    /// Whether one has begun so lately that its opening may be still to come.
    #[inline(always)]
    pub(crate) fn has_begun(&self, ports: (u16, u16), second: Second) -> bool {
        match self.begun[Self::time_of(ports)].load(Ordering::Relaxed) {
            0 => false,
            begun => second.is_soon_after(Second(begun)),
        }
    }

    #[inline(always)]
    fn place((source, destination): (u16, u16)) -> (usize, u64) {
        let ports = u32::from(source) << 16 | u32::from(destination);
        let at = (ports.wrapping_mul(0x9e37_79b1) >> 12) as usize;
        (at / 64, 1 << (at % 64))
    }

    /// An opening between these ports has come so far: if that is not all, what comes there is to be looked at.
    pub(crate) fn open(&self, ports: (u16, u16), payload: &[u8]) {
        if !is_incomplete(payload) {
            return;
        }
        let (word, bit) = Self::place(ports);
        // Relaxed: whoever is to see it waits for this thread by other means.
        self.open[word].fetch_or(bit, Ordering::Relaxed);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.open.iter_mut().for_each(|word| *word.get_mut() = 0);
        self.begun.iter_mut().for_each(|second| *second.get_mut() = 0);
    }

    /// Whether it is.
    #[inline(always)]
    pub(crate) fn is_open(&self, ports: (u16, u16)) -> bool {
        let (word, bit) = Self::place(ports);
        self.open[word].load(Ordering::Relaxed) & bit != 0
    }
}

/// Copies of packets, each with its place among all of a window.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    slab: Vec<u8>,
    records: Vec<Record>,
    orders: Vec<u32>,
}

impl Notes {
    /// Copies a packet.
    pub(in crate::flow) fn push(&mut self, record: &Record, data: &[u8], order: u32) {
        let offset = self.slab.len() as u32;
        self.slab.extend_from_slice(data);
        self.records.push(Record { offset, options_length: 0, options_offset: 0, ..*record });
        self.orders.push(order);
    }

    /// Brings them into order, after some were pushed late.
    pub(in crate::flow) fn sort(&mut self) {
        if self.orders.is_sorted() {
            return;
        }
        let mut places: Vec<usize> = (0..self.orders.len()).collect();
        places.sort_by_key(|&at| self.orders[at]);
        self.records = places.iter().map(|&at| self.records[at]).collect();
        self.orders.sort_unstable();
    }

    /// Bytes of the copies.
    pub(crate) fn bytes(&self) -> usize {
        self.slab.len()
    }

    pub(in crate::flow) fn clear(&mut self) {
        self.slab.clear();
        self.records.clear();
        self.orders.clear();
    }
}

impl Naming {
    /// Looks at packets from the one at `from` on, up to and with the one that has this place in the window; where the next is.
    pub(crate) fn follow(&mut self, notes: &Notes, from: usize, order: u32) -> usize {
        let beyond = from + notes.orders[from..].partition_point(|&place| place <= order);
        // Called for each record that ends: a batch is checked whole, so that it is made of these only.
        if beyond > from {
            for frame in Batch::new(&notes.slab, &notes.records[from..beyond], &[]).frames() {
                let layers = parse(&frame);
                self.observe(&Packet::new(frame, &layers));
            }
        }
        beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Findings;
    use crate::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};

    /// Read where it stands or found by the walk, a packet has the same to do with names.
    #[test]
    fn hints_are_the_same_for_the_walked() {
        let traffic = Traffic {
            distinct: 4_000,
            flows: 900,
            sizes: Sizes::Imix,
            ipv6_percent: 30,
            vlan_percent: 30,
            ports: vec![50..=60, 5_350..=5_356],
            protocols: vec![(Protocol::Tcp, 3), (Protocol::Udp, 3), (Protocol::Icmp, 1)],
            ..Traffic::default()
        };
        let source = Synthetic::new(&traffic);
        let table = source.table();
        let mut slab = table.slab().to_vec();
        for (at, record) in table.records().iter().enumerate().filter(|(at, _)| at % 3 == 0) {
            // Something that opens, or does not, at the first byte behind a TCP header and all others that may be.
            let bytes = &mut slab[record.offset as usize..][34..record.captured as usize];
            bytes.iter_mut().skip(20).for_each(|byte| *byte = [0x16, b'G', 0xc3, 0][at / 3 % 4]);
        }
        let batch = Batch::new(&slab, table.records(), table.interfaces());
        let mut findings = Findings::new();
        findings.read_unverified(batch);
        let (mut common, mut looks, mut rests) = (0, 0, 0);
        for (at, summary) in findings.summaries().iter().enumerate() {
            let frame = batch.frame(at);
            let layers = parse(&frame);
            let walked = Hint::of(&Packet::new(frame, &layers));
            if !summary.is_laid_out() {
                assert_eq!(Hint::of_common(frame.data, *summary), walked, "{layers:?}");
                common += 1;
            }
            looks += usize::from(matches!(walked, Hint::Look | Hint::Begin(_) | Hint::Opening(..)));
            rests += usize::from(matches!(walked, Hint::Rest(_)));
        }
        assert!(common > 3_000, "{common} were common");
        assert!(looks > 300 && rests > 300, "{looks} looks, {rests} rests");
    }

    #[test]
    fn notes_come_in_order_whenever_they_were_taken() {
        let mut notes = Notes::default();
        for (order, byte) in [(0, b'a'), (7, b'c'), (3, b'b')] {
            notes.push(&Record { captured: 1, ..Record::default() }, &[byte], order);
        }
        notes.sort();
        let batch = Batch::new(&notes.slab, &notes.records, &[]);
        let bytes: Vec<u8> = batch.frames().map(|frame| frame.data[0]).collect();
        assert_eq!((bytes.as_slice(), &notes.orders[..]), (&b"abc"[..], &[0, 3, 7][..]));
    }
}
