//! Floods: what a meter does under more flows than it may keep, and a table under keys that somebody has chosen who knows the
//! code but not the seed. Beside friendly traffic, in one process, by turns.
//!
//! `cargo bench --bench flood` prints a row each; `perf/flood.sh` keeps them. As a test it runs with less, and asserts all but
//! the times.

#![expect(clippy::print_stdout, reason = "a table is what it makes")]

use std::process::Command;
use std::time::{Duration, Instant};
use wharf::build::{Ipv4, Stack, Tcp, Udp};
use wharf::flow::{Meter, MeterOptions, Seed, Table};
use wharf::frame::{Frame, LinkType, Timestamp};
use wharf::parse::{Layers, Packet, parse};

/// Packets handed over at a time.
const BATCH: usize = 256;
/// Where a bare IPv4 packet with a TCP segment has its source address, source port and flags.
const SOURCE: std::ops::Range<usize> = 12..16;
const PORT: std::ops::Range<usize> = 20..22;
const FLAGS: usize = 33;

/// How much of everything.
struct Size {
    flows: u32,
    packets: u32,
    rounds: usize,
    /// Bits that the crafted keys share in each half of their hash.
    few: (u32, usize),
    many: (u32, usize),
}

const WHOLE: Size =
    Size { flows: 1 << 20, packets: 10_000_000, rounds: 3, few: (12, 40), many: (5, 200_000) };
const BRIEF: Size = Size { flows: 1 << 12, packets: 40_000, rounds: 1, few: (8, 40), many: (3, 5_000) };

/// A numbering without a pattern, in which no number comes twice.
fn scattered(at: u32) -> u32 {
    let mixed = (at ^ at >> 16).wrapping_mul(0x7feb_352d);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x846c_a68b);
    mixed ^ mixed >> 16
}

/// Packets of a flow each, as a number says; time stands still but for a microsecond a packet.
struct Packets {
    bytes: Vec<Vec<u8>>,
    flags: u8,
}

impl Packets {
    fn new(flags: u16) -> Self {
        let mut stack = Stack::new();
        stack.message(b"").wrap(Tcp::new(1, 443).flags(flags)).wrap(Ipv4::new([0; 4], [192, 0, 2, 7]));
        assert_eq!(stack.bytes()[FLAGS], flags as u8);
        Self { bytes: vec![stack.bytes().to_vec(); BATCH], flags: flags as u8 }
    }

    /// Time in the meter for packets of these flows.
    fn send(
        &mut self,
        meter: &mut Meter,
        first: u32,
        flows: impl Fn(u32) -> u32,
        records: &mut u64,
    ) -> Duration {
        for (bytes, at) in self.bytes.iter_mut().zip(first..) {
            let flow = flows(at);
            bytes[SOURCE].copy_from_slice(&flow.to_be_bytes());
            bytes[PORT].copy_from_slice(&((flow >> 7) as u16 | 1024).to_be_bytes());
            bytes[FLAGS] = self.flags;
        }
        let frames = || self.bytes.iter().zip(first..).map(|(bytes, at)| frame(bytes, at));
        let layers: Vec<Layers> = frames().map(|frame| parse(&frame)).collect();
        let packets: Vec<Packet<'_>> =
            frames().zip(&layers).map(|(frame, layers)| Packet::new(frame, layers)).collect();
        let begun = Instant::now();
        meter.observe(packets, |_| *records += 1);
        begun.elapsed()
    }
}

/// A microsecond after the one before it.
fn frame(bytes: &[u8], at: u32) -> Frame<'_> {
    let mut frame = Frame::new(LinkType::RAW, bytes);
    frame.record.time = Some(Timestamp::new(i64::from(at / 1_000_000), at % 1_000_000 * 1_000));
    frame
}

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * 4096)
}

fn row(metric: &str, ours: f64, peer: f64, peers: &str, owed: f64) {
    println!("{metric}\t{ours:.3}\t{peer:.3}\t{peers}\t{:.2}\t{owed}", ours / peer);
}

/// Million packets a second, and the meter after them.
fn run(size: &Size, flags: u16, flows: impl Fn(u32) -> u32) -> (f64, Meter, u64, usize) {
    let options = MeterOptions { max_flows: size.flows as usize, ..MeterOptions::default() };
    let (mut meter, mut records) = (Meter::new(options), 0);
    let mut packets = Packets::new(flags);
    let (mut time, mut full) = (Duration::ZERO, 0);
    // What fills the table first is not timed.
    let sent = size.packets / BATCH as u32 * BATCH as u32;
    for first in (0..sent).step_by(BATCH) {
        let spent = packets.send(&mut meter, first, &flows, &mut records);
        if first >= size.flows {
            time += spent;
        }
        if first / BATCH as u32 == size.flows / BATCH as u32 + 1 {
            full = resident();
        }
    }
    let rate = f64::from(sent - size.flows) / time.as_secs_f64() / 1e6;
    assert_eq!(meter.counts().packets, u64::from(sent));
    (rate, meter, records, full)
}

fn meters(size: &Size) {
    let (mut friendly, mut flood, mut grown) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        // As many flows as there may be, in no order, without an end.
        let (rate, meter, records, _) = run(size, Tcp::ACK, |at| scattered(scattered(at) % size.flows));
        assert_eq!((records, meter.counts().evicted), (0, 0));
        assert!(meter.len() > size.flows as usize / 2);
        friendly.push(rate);
        drop(meter);
        // Each packet is a flow's first and last.
        let (rate, meter, records, full) = run(size, Tcp::SYN, scattered);
        let counts = meter.counts();
        assert_eq!(counts.most, u64::from(size.flows));
        assert_eq!((counts.evicted, records), (counts.packets - counts.most, counts.evicted));
        assert_eq!(meter.len() as u64, counts.most);
        flood.push(rate);
        grown.push(resident() as f64 / full as f64);
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    row(
        "SYN flood: meter, M packets/s",
        median(&mut flood),
        median(&mut friendly),
        "as many flows as fit",
        0.5,
    );
    let grown = median(&mut grown);
    row("SYN flood: resident memory at the end", grown, 1.0, "when the table was full", 1.1);
    assert!(grown < 1.1, "{grown}");
}

/// A packet of a flow.
#[derive(Clone, Copy)]
enum Sent {
    Datagram,
    /// The server sends it; flags, where both sides are, bytes.
    Segment(bool, u16, [u32; 2], usize),
    /// Nobody sends anything for some seconds.
    Silence(u32),
}

/// A handshake, a question and an answer in two parts, all of it acknowledged.
const CONVERSATION: [Sent; 9] = [
    Sent::Segment(false, Tcp::SYN, [0, 0], 0),
    Sent::Segment(true, Tcp::SYN | Tcp::ACK, [1, 0], 0),
    Sent::Segment(false, Tcp::ACK, [1, 1], 0),
    Sent::Segment(false, Tcp::ACK, [1, 1], 300),
    Sent::Segment(true, Tcp::ACK, [301, 1], 0),
    Sent::Segment(true, Tcp::ACK, [301, 1], 1_000),
    Sent::Segment(false, Tcp::ACK, [301, 1_001], 0),
    Sent::Segment(true, Tcp::ACK, [301, 1_001], 500),
    Sent::Segment(false, Tcp::ACK, [301, 1_501], 0),
];

/// A SYN whose answer is sent again, as it is never confirmed.
const HALF_OPEN: [Sent; 4] = [CONVERSATION[0], CONVERSATION[1], Sent::Silence(6), CONVERSATION[1]];

/// What flows have sent whose memory is told.
const KINDS: [(&str, &[Sent]); 6] = [
    ("UDP", &[Sent::Datagram]),
    ("a SYN", CONVERSATION.split_at(1).0),
    ("a SYN and its answer", CONVERSATION.split_at(2).0),
    ("a SYN and its answer, which comes again", &HALF_OPEN),
    ("TCP, open", CONVERSATION.split_at(3).0),
    ("TCP, a question and its answer", &CONVERSATION),
];
/// A process of its own tells how much resident memory so many flows of a kind take.
const RESIDENT: &str = "--resident";

/// Bytes of resident memory that come to a process by so many flows when each has had these packets.
fn resident_with(flows: u32, sent: &[Sent]) -> usize {
    let mut meter = Meter::new(MeterOptions { max_flows: flows as usize, ..MeterOptions::default() });
    let (mut stack, mut at, message) = (Stack::new(), 0, [0; 1_000]);
    let before = resident();
    for packet in sent {
        if let Sent::Silence(seconds) = packet {
            at += seconds * 1_000_000;
            continue;
        }
        for flow in 0..flows {
            let client = (scattered(flow).to_be_bytes(), (flow >> 7) as u16 | 1024);
            let server = ([192, 0, 2, 7], 443);
            match *packet {
                Sent::Silence(_) => {}
                Sent::Datagram => {
                    stack
                        .message(b"12345678")
                        .wrap(Udp::new(client.1, 443))
                        .wrap(Ipv4::new(client.0, server.0));
                }
                Sent::Segment(by_server, flags, [client_at, server_at], length) => {
                    let (from, to) = if by_server { (server, client) } else { (client, server) };
                    let (sequence, acknowledged) =
                        if by_server { (server_at, client_at) } else { (client_at, server_at) };
                    let acknowledged = if flags & Tcp::ACK == 0 { 0 } else { acknowledged };
                    let tcp = Tcp::new(from.1, to.1).flags(flags).sequence(sequence);
                    let ip = Ipv4::new(from.0, to.0);
                    stack.message(&message[..length]).wrap(tcp.acknowledgment(acknowledged)).wrap(ip);
                }
            }
            let frame = frame(stack.bytes(), at);
            at += 1;
            let layers = parse(&frame);
            meter.observe([Packet::new(frame, &layers)], |record| panic!("{record:?}"));
        }
    }
    assert_eq!(meter.len(), flows as usize);
    resident() - before
}

fn memory(size: &Size) {
    let program = std::env::current_exe().unwrap();
    for (number, (what, _)) in KINDS.iter().enumerate() {
        let arguments = [RESIDENT, &number.to_string(), &size.flows.to_string()];
        let told = Command::new(&program).args(arguments).output().unwrap().stdout;
        let bytes: f64 = String::from_utf8(told).unwrap().trim().parse().unwrap();
        row(&format!("resident bytes a flow: {what}"), bytes / f64::from(size.flows), 160.0, "the bar", 1.0);
    }
}

/// Keys of which both halves of the hash begin with the same bits under this seed: whoever knows it looks for them.
fn crafted(seed: &Seed, (bits, count): (u32, usize)) -> Vec<u128> {
    let begins = |hash: u64| (hash as u32 >> (32 - bits), (hash >> 24) as u32 >> (32 - bits));
    let keys = (1_u128..).map(|at| at << 64 | 0x0a00_0001_c000_0201);
    let wanted = begins(seed.hash(1 << 64 | 0x0a00_0001_c000_0201));
    keys.filter(|key| begins(seed.hash(*key)) == wanted).take(count).collect()
}

fn tables(size: &Size) {
    type Counters = [u64; 6];
    let (known, unknown) = (Seed::fixed(7), Seed::random());
    // What the attack does to a table whose seed is known: else this would show nothing.
    let few = crafted(&known, size.few);
    let bytes = |seed: Seed| {
        let mut table = Table::<Counters>::new(seed);
        table.update(&few, |_, counters| counters[0] += 1);
        table.bytes() as f64
    };
    let (broken, whole) = (bytes(known), bytes(unknown));
    assert!(broken > 8.0 * whole, "{broken} {whole}");
    row("crafted keys: bytes of a table of 40, seed unknown", whole, broken, "seed known", 0.125);
    let many = crafted(&known, size.many);
    let random: Vec<u128> =
        (0..many.len() as u128).map(|at| (at * 0x9e37_79b9_7f4a_7c15) << 32 | 5).collect();
    let (mut times, mut sizes) = ([Vec::new(), Vec::new()], [0.0; 2]);
    for _ in 0..size.rounds.max(5) {
        for (which, keys) in [&many, &random].into_iter().enumerate() {
            let mut table = Table::<Counters>::new(Seed::random());
            let begun = Instant::now();
            for _ in 0..3 {
                table.update(keys, |_, counters| counters[0] += 1);
            }
            times[which].push(3e-6 * keys.len() as f64 / begun.elapsed().as_secs_f64());
            sizes[which] = table.bytes() as f64;
            assert_eq!(table.len(), keys.len());
        }
    }
    let [ours, peer] = times.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    row("crafted keys: table, M updates/s", ours, peer, "keys without a pattern", 0.5);
    row("crafted keys: bytes of the table", sizes[0], sizes[1], "keys without a pattern", 1.5);
    assert!(sizes[0] <= 1.5 * sizes[1], "{sizes:?}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, kind, flows] = &arguments[..]
        && flag == RESIDENT
    {
        let (_, sent) = KINDS[kind.parse::<usize>().unwrap()];
        println!("{}", resident_with(flows.parse().unwrap(), sent));
        return;
    }
    let size = if arguments.iter().any(|argument| argument == "--bench") { &WHOLE } else { &BRIEF };
    println!("metric\tours\tpeer\tpeer's name\tratio\towed");
    memory(size);
    meters(size);
    tables(size);
}
