//! A flow table beside hashbrown with foldhash, on the same keys of sixteen bytes: a million flows and ten million, each
//! packet of one at random; and how much memory a flow takes.

use std::rc::Rc;
use std::time::Instant;

use hashbrown::HashMap;
use wharf::flow::{Meter, MeterOptions, Seed, Table};
use wharf::frame::{Frame, LinkType, Timestamp};
use wharf::parse::{Packet, parse};

use crate::contest::{Better, Contest, Pinned, Setup};

/// What is kept of a flow: two directions of packets, bytes and payload, and a time. With the key a line.
type Counters = [u64; 6];
/// Updates of a round.
const UPDATES: usize = 8 << 20;
/// Keys handed over at a time: as many packets as a batch has.
const BATCH: usize = 256;

type Peer = HashMap<u128, Counters, foldhash::fast::RandomState>;

/// A flow's key: two addresses, two ports and a protocol, as a real one has them.
fn key(flow: u64) -> u128 {
    let (client, port) = (flow / 50_000, 1_024 + flow % 50_000);
    let addresses = 0x0a00_0000_c0a8_0000 + (client << 32) + flow % 251;
    u128::from(port << 48 | 443 << 32 | 0x0601) << 64 | u128::from(addresses)
}

/// The keys of packets, each of a flow at random.
fn packets(flows: u64, count: usize) -> Rc<Vec<u128>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % flows
    };
    Rc::new((0..count).map(|_| key(next())).collect())
}

fn update(counters: &mut Counters, at: usize) {
    counters[0] += 1;
    counters[1] += 64;
    counters[5] = at as u64;
}

fn ours(flows: u64) -> Table<Counters> {
    let mut table = Table::new(Seed::random());
    let keys: Vec<u128> = (0..flows).map(key).collect();
    table.update(&keys, |at, counters| update(counters, at));
    assert_eq!(table.len() as u64, flows);
    table
}

fn theirs(flows: u64) -> Peer {
    let mut map = Peer::with_hasher(foldhash::fast::RandomState::default());
    (0..flows).for_each(|flow| update(map.entry(key(flow)).or_default(), 0));
    map
}

/// Millions of updates a second; the sum of packets must come out.
fn rate(core: usize, keys: &[u128], mut pass: impl FnMut(&[u128]) -> u64) -> f64 {
    let _pinned = Pinned::to(core);
    let begun = Instant::now();
    let updated: u64 = keys.chunks(BATCH).map(&mut pass).sum();
    let time = begun.elapsed().as_secs_f64();
    assert_eq!(updated, keys.len() as u64);
    keys.len() as f64 / time / 1e6
}

fn by_us(
    core: usize,
    table: Rc<std::cell::RefCell<Table<Counters>>>,
    keys: Rc<Vec<u128>>,
) -> impl FnMut() -> f64 {
    move || {
        let mut table = table.borrow_mut();
        let flows = table.len();
        let rate = rate(core, &keys, |keys| {
            let mut updated = 0;
            table.update(keys, |at, counters| {
                update(counters, at);
                updated += u64::from(counters[1] == 64 * counters[0]);
            });
            updated
        });
        assert_eq!(table.len(), flows);
        rate
    }
}

fn by_hashbrown(core: usize, mut map: Peer, keys: Rc<Vec<u128>>) -> impl FnMut() -> f64 {
    move || {
        rate(core, &keys, |keys| {
            let mut updated = 0;
            for (at, key) in keys.iter().enumerate() {
                let counters = map.entry(*key).or_default();
                update(counters, at);
                updated += u64::from(counters[1] == 64 * counters[0]);
            }
            updated
        })
    }
}

pub fn contests(setup: &Setup) -> Vec<Contest> {
    let (core, scale) = (setup.cores[1], setup.scale);
    let million = ((1_000_000.0 * scale) as u64).max(1_000);
    let updates = ((UPDATES as f64 * scale) as usize).max(BATCH);
    let few = packets(million, updates);
    let table = Rc::new(std::cell::RefCell::new(ours(million)));
    let [resident, udp, tcp] = KINDS.map(|kind| resident_elsewhere(kind, million));
    let mut contests = vec![
        Contest::new(
            "updates, 1 M flows, M/s",
            Better::Higher,
            by_us(core, Rc::clone(&table), Rc::clone(&few)),
        )
        .owed("hashbrown + foldhash", 1.5, by_hashbrown(core, theirs(million), Rc::clone(&few)))
        .owed("a bar of 40", 1.0, || 40.0),
        Contest::new("bytes a flow, table", Better::Lower, move || resident).owed(
            "a bar of 160",
            1.0,
            || 160.0,
        ),
        Contest::new("bytes a flow, meter, UDP", Better::Lower, move || udp).owed(
            "a bar of 160",
            1.0,
            || 160.0,
        ),
        Contest::new("bytes a flow, meter, TCP", Better::Lower, move || tcp).owed(
            "a bar of 160",
            1.0,
            || 160.0,
        ),
    ];
    let many = packets(10 * million, updates);
    let large = Rc::new(std::cell::RefCell::new(ours(10 * million)));
    contests.push(
        Contest::new("updates, 10 M flows, M/s", Better::Higher, by_us(core, large, Rc::clone(&many)))
            .owed("ours at 1 M", 1.0 / 1.5, by_us(core, table, few))
            .peer("hashbrown + foldhash", by_hashbrown(core, theirs(10 * million), many)),
    );
    contests
}

/// A meter with so many flows of a packet each, over IPv4, of TCP (a SYN) or UDP.
fn meter(flows: u64, protocol: u8) -> Meter {
    let options = MeterOptions { max_flows: flows as usize, ..MeterOptions::default() };
    let mut meter = Meter::new(options);
    let mut bytes = [0; 60];
    bytes[12..24].copy_from_slice(&[8, 0, 0x45, 0, 0, 46, 0, 1, 0, 0, 64, protocol]);
    // UDP's length; TCP's header length and SYN.
    bytes[38..40].copy_from_slice(&if protocol == 17 { [0, 26] } else { [0, 0] });
    bytes[46..48].copy_from_slice(&[0x50, 2]);
    for flow in 0..flows {
        let (client, port) = (flow / 50_000, 1_024 + flow % 50_000);
        bytes[26..30].copy_from_slice(&(0x0a00_0000 + client as u32).to_be_bytes());
        bytes[30..34].copy_from_slice(&(0xc0a8_0000 + (flow % 251) as u32).to_be_bytes());
        bytes[34..38].copy_from_slice(&[(port >> 8) as u8, port as u8, 1, 187]);
        let mut frame = Frame::new(LinkType::ETHERNET, &bytes);
        frame.record.time = Some(Timestamp::new(1_700_000_000, flow as u32 % 1_000));
        let layers = parse(&frame);
        meter.observe([Packet::new(frame, &layers)], |_| panic!("no flow ends"));
    }
    assert_eq!(meter.len() as u64, flows);
    meter
}

/// The first argument of a process of its own that tells what flows take of its resident memory; then what has them, and how many.
pub const RESIDENT: &str = "--resident";

/// What has flows whose memory is told.
const KINDS: [&str; 3] = ["table", "UDP", "TCP"];

/// Bytes of resident memory that come to this process by so many flows in a table alone, or in a meter.
pub fn resident(kind: &str, flows: u64) -> u64 {
    let bytes = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
    };
    let before = bytes();
    let with = match kind {
        "table" => {
            let table = ours(flows);
            (bytes(), table.len())
        }
        _ => {
            let meter = meter(flows, if kind == "UDP" { 17 } else { 6 });
            (bytes(), meter.len())
        }
    };
    assert_eq!(with.1 as u64, flows);
    with.0.saturating_sub(before)
}

/// The same of a process that has done nothing else, by flow.
fn resident_elsewhere(kind: &str, flows: u64) -> f64 {
    let this = std::env::current_exe().expect("this program has a path");
    let output = std::process::Command::new(this).args([RESIDENT, kind, &flows.to_string()]).output();
    let said = String::from_utf8(output.expect("this program starts").stdout).unwrap_or_default();
    let bytes: u64 =
        said.trim().parse().unwrap_or_else(|_| panic!("{kind}: what is resident is not told: {said}"));
    bytes as f64 / flows as f64
}
