//! Parse, verify both checksums, look up the ports, count for each output: frames in memory, one core.
//!
//! Every contestant does the whole job ([`job`]) over the same frames ([`frames`]), and must find what is in them, bad
//! checksums included, before its time counts. An array of places tells where frames lie, in ours the records of a batch.

mod frames;
mod job;

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use crate::contest::{Better, Contest, Pinned, Setup};
use frames::{Frames, Shape};
use job::{Contestant, Ours, PEERS, Tally};

/// Packets in one measurement.
const PACKETS: f64 = 1e6;

/// The working set in memory.
const DRAM: usize = 512 << 20;

/// A shape of traffic, and what ours owes to the peers that are crates and to DPDK.
struct Bar {
    name: &'static str,
    shape: Shape,
    crates: f64,
    dpdk: Option<f64>,
}

fn bars(setup: &Setup) -> [Bar; 4] {
    let dram = if setup.scale < 1.0 { 8 << 20 } else { DRAM };
    let small = |frames, bytes| Shape { sizes: 64..=64, frames, replies: true, bytes };
    // Some 789 bytes each: 1.5 MB.
    let mixed = |frames, bytes| Shape { sizes: 64..=1_514, frames, replies: true, bytes };
    // In memory more of them are distinct, lest branches be learnt by heart; not so many that the records fill a cache.
    [
        Bar { name: "64 B in L2", shape: small(4_096, 0), crates: 3.5, dpdk: Some(3.5) },
        Bar { name: "64-1514 B in L2", shape: mixed(1_900, 0), crates: 1.7, dpdk: None },
        Bar { name: "64 B in DRAM", shape: small(16_384, dram), crates: 3.5, dpdk: None },
        Bar { name: "64-1514 B in DRAM", shape: mixed(8_192, dram), crates: 1.6, dpdk: None },
    ]
}

/// Whole copies of the frames one after the other, about as many packets as asked for: M packets/s.
struct Walk {
    frames: Arc<Frames>,
    next: usize,
    copies: usize,
}

impl Walk {
    fn new(setup: &Setup, frames: &Arc<Frames>) -> Self {
        let copies = ((setup.scale * PACKETS) as usize / frames.places.len()).max(1);
        Self { frames: Arc::clone(frames), next: 0, copies }
    }

    /// Where the last run ended, so that memory comes from memory.
    fn run(&mut self, contestant: &mut dyn Contestant) -> f64 {
        let mut tally = Tally::default();
        let start = Instant::now();
        for _ in 0..self.copies {
            contestant.run(&self.frames, self.frames.copy(self.next), &mut tally);
            self.next = (self.next + 1) % self.frames.copies();
        }
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(tally, self.frames.expected.times(self.copies as u64));
        (self.copies * self.frames.places.len()) as f64 / seconds / 1e6
    }
}

/// One contestant on the second core.
fn measure(
    setup: &Setup,
    frames: &Arc<Frames>,
    mut contestant: Box<dyn Contestant>,
) -> impl FnMut() -> f64 + use<> {
    let (mut walk, core) = (Walk::new(setup, frames), setup.cores[1]);
    let mut tally = Tally::default();
    contestant.run(frames, frames.copy(0), &mut tally);
    assert_eq!(tally, frames.expected);
    move || {
        let _pinned = Pinned::to(core);
        walk.run(&mut *contestant)
    }
}

fn ours(setup: &Setup, frames: &Arc<Frames>) -> impl FnMut() -> f64 + use<> {
    measure(setup, frames, Box::new(Ours::default()))
}

/// What the line has to show.
pub fn contests(setup: &Setup) -> Vec<Contest> {
    let mut contests = Vec::new();
    for Bar { name, shape, crates, dpdk } in bars(setup) {
        let frames = Arc::new(Frames::new(&shape));
        let contest =
            Contest::new(format!("parse+verify+demux, {name}, M/s"), Better::Higher, ours(setup, &frames));
        contests.push(PEERS.iter().fold(contest, |contest, (name, is_crate, peer)| {
            let measured = measure(setup, &frames, peer());
            match if *is_crate { Some(crates) } else { dpdk } {
                Some(owed) => contest.owed(name, owed, measured),
                None => contest.peer(name, measured),
            }
        }));
    }
    let frames = Arc::new(Frames::new(&bars(setup)[0].shape));
    contests.push(Contest::new("64 B in L2, absolute, M/s", Better::Higher, ours(setup, &frames)).owed(
        "130 M packets/s",
        1.0,
        || 130.0,
    ));
    contests.push(Contest::new("64 B in L2, two cores, M/s", Better::Higher, two_cores(setup)).owed(
        "wharf, one core",
        1.9,
        ours(setup, &frames),
    ));
    contests
}

/// Two threads, each with frames of its own.
fn two_cores(setup: &Setup) -> impl FnMut() -> f64 + use<> {
    let frames = || Arc::new(Frames::new(&bars(setup)[0].shape));
    let mut walks = [(); 2].map(|()| Walk::new(setup, &frames()));
    let cores = setup.cores;
    move || {
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            let threads = walks.each_mut().map(|walk| walk).into_iter().zip(cores).map(|(walk, core)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut ours = Ours::default();
                    let _pinned = Pinned::to(core);
                    barrier.wait();
                    walk.run(&mut ours)
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().expect("a walk ends")).sum()
        })
    }
}

/// How little a figure may fall where the cost must not grow.
const FLAT: f64 = 0.95;

/// How the cost grows: not with port rules, in proportion with packets; with their size it is shown.
pub fn growth(setup: &Setup) -> Vec<Contest> {
    let frames = Arc::new(Frames::new(&Shape { sizes: 64..=64, frames: 4_096, replies: false, bytes: 0 }));
    let mut contests = Vec::new();
    for rules in [256, 4_096, 65_536] {
        let with = |rules| measure(setup, &frames, Box::new(Ours::with_rules(rules)));
        let contest = Contest::new(format!("growth, {rules} port rules, M/s"), Better::Higher, with(rules));
        contests.push(contest.owed("wharf, 16 port rules", FLAT, with(16)));
    }
    let more = Setup { scale: setup.scale * 8.0, ..*setup };
    contests.push(Contest::new("growth, 8 M packets, M/s", Better::Higher, ours(&more, &frames)).owed(
        "wharf, 1 M packets",
        FLAT,
        ours(setup, &frames),
    ));
    for size in [64, 128, 256, 512, 1_024, 1_514] {
        let shape =
            Shape { sizes: size..=size, frames: (1_500_000 / size).min(4_096), replies: true, bytes: 0 };
        let frames = Arc::new(Frames::new(&shape));
        let contest = Contest::new(format!("growth, {size} B, M/s"), Better::Higher, ours(setup, &frames));
        contests.push(
            PEERS.iter().fold(contest, |contest, (name, _, peer)| {
                contest.peer(name, measure(setup, &frames, peer()))
            }),
        );
    }
    contests
}
