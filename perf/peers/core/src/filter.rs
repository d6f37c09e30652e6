//! Filters: twenty common expressions over the same frames, by wharf's evaluator and by libpcap's `bpf_filter` with the program
//! that libpcap compiles and optimises; and how long our programs are beside its.
//!
//! libpcap is opened at run time, as tests/filter does. All must want the same frames.

// The tests use more of it.
#[allow(dead_code)]
#[path = "../../../../tests/filter/libpcap.rs"]
mod libpcap;

use libpcap::Libpcap;
use std::rc::Rc;
use std::time::Instant;
use wharf::filter::Filter;
use wharf::filter::bpf::Program;
use wharf::filter::evaluate::Evaluator;
use wharf::frame::{Batch, LinkType};
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};

use crate::contest::{Better, Contest, Pinned, Setup};

const COMMON: [&str; 20] = [
    "ip",
    "tcp",
    "udp",
    "icmp or icmp6",
    "port 53",
    "tcp port 80",
    "tcp port 80 or tcp port 443",
    "udp port 53 or udp port 123",
    "host 10.0.0.1",
    "src host 10.0.0.1",
    "net 10.0.0.0/8",
    "not net 192.168.0.0/16",
    "host 10.0.0.1 and tcp port 443",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
    "tcp and not port 22",
    "tcp portrange 1000-2000",
    "ip6 and udp",
    "not arp and not icmp",
    "greater 1000",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
];

/// Frames of a pass: some 2 MB, so that memory is no part of it.
const FRAMES: usize = 8_192;
/// Passes of a round.
const PASSES: f64 = 12.0;

pub fn contests(setup: &Setup) -> Vec<Contest> {
    let Some(library) = Libpcap::open() else {
        eprintln!("SKIPPED: there is no libpcap.so.0.8 (Debian: libpcap0.8)");
        return Vec::new();
    };
    println!("{}", library.version());
    // Programs borrow it for as long as contests run.
    let library: &'static Libpcap = Box::leak(Box::new(library));
    let traffic = Traffic {
        frames: FRAMES as u64,
        distinct: FRAMES,
        sizes: Sizes::Fixed(200),
        ports: vec![53..=53, 80..=80, 443..=443, 1_000..=3_000],
        ipv6_percent: 20,
        ..Traffic::default()
    };
    let source = Rc::new(Synthetic::new(&traffic));
    let passes = ((PASSES * setup.scale) as usize).max(1);
    let core = setup.cores[1];
    let mut contests: Vec<Contest> =
        COMMON.into_iter().map(|expression| speed(expression, library, &source, passes, core)).collect();
    contests.push(lengths(library));
    contests
}

fn speed(
    expression: &'static str,
    library: &'static Libpcap,
    source: &Rc<Synthetic>,
    passes: usize,
    core: usize,
) -> Contest {
    let filter: Filter = expression.parse().expect(expression);
    let test = filter.test(LinkType::ETHERNET).expect(expression);
    let evaluator = Evaluator::new(&test, LinkType::ETHERNET).expect(expression);
    let theirs = library.compile(expression, LinkType::ETHERNET, true).expect(expression);
    let wanted = frames(source.table()).filter(|data| theirs.run(data, data.len() as u32)).count();
    let (ours, peers) = (Rc::clone(source), Rc::clone(source));
    let mut chosen = Vec::with_capacity(FRAMES);
    let by_us = move || {
        let pass = || {
            chosen.clear();
            evaluator.choose(ours.table(), &mut chosen);
            chosen.len()
        };
        timed(core, passes, wanted, pass)
    };
    let by_libpcap = move || {
        let pass = || frames(peers.table()).filter(|data| theirs.run(data, data.len() as u32)).count();
        timed(core, passes, wanted, pass)
    };
    Contest::new(format!("ns a frame: {expression}"), Better::Lower, by_us)
        .peer("libpcap bpf_filter", by_libpcap)
}

fn frames(batch: Batch<'_>) -> impl Iterator<Item = &[u8]> {
    let slab = batch.slab();
    batch.records().iter().map(move |record| &slab[record.offset as usize..][..record.captured as usize])
}

fn timed(core: usize, passes: usize, wanted: usize, mut pass: impl FnMut() -> usize) -> f64 {
    let _pinned = Pinned::to(core);
    let begun = Instant::now();
    for _ in 0..passes {
        assert_eq!(pass(), wanted);
    }
    begun.elapsed().as_secs_f64() * 1e9 / (passes * FRAMES) as f64
}

/// Our instructions to libpcap's, over the list that the tests hold against it.
fn lengths(library: &Libpcap) -> Contest {
    let list = include_str!("../../../../tests/filter/expressions.txt").lines();
    let mut ratios: Vec<f64> = list
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|expression| {
            let test = expression.parse::<Filter>().ok()?.test(LinkType::ETHERNET).ok()?;
            let ours = Program::compile(&test, 262_144).ok()?.instructions().len();
            let theirs = library.compile(expression, LinkType::ETHERNET, true).ok()?.instructions().len();
            Some(ours as f64 / theirs as f64)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let (median, count) = (ratios[ratios.len() / 2], ratios.len());
    Contest::new(format!("instructions, {count} programs"), Better::Lower, move || median).owed(
        "libpcap's, as 1",
        0.8,
        || 1.0,
    )
}
