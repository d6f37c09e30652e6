//! Packets of several workers on their way to meters that any of them may run.
//!
//! ```text
//! worker --- chunk 4 --\                     /-- meter 0 --\    records of a chunk, once all
//!                       +-- chunks in order -+-- meter 1 ---+-- meters have passed it, in the
//! worker --- chunk 5 --/                     \-- ...      --/   order of the packets
//! ```
//!
//! A worker leaves there what its chunk tells, sorted by meter, and then runs meters: its own, and those of others where they
//! have fallen behind. A meter takes in chunks in their order, one worker at a time. So each meter sees what it would see
//! if there were but one worker, and nobody waits for anybody unless far ahead.

use super::sifted::Sifted;
use crate::flow::names::Notes;
use crate::flow::{FlowRecord, Shard, Shards, Window};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Chunks that a meter may be behind before a worker runs it whose it is not.
const BEHIND: u64 = 4;
/// Chunks under way before a worker waits.
const UNDER_WAY: u64 = 64;

/// Where workers leave what they have parsed.
pub(super) struct Exchange {
    meters: Vec<Mutex<Turn>>,
    state: Mutex<State>,
    /// Something has changed that somebody may wait for.
    changed: Condvar,
    /// To put the meters together again.
    rest: Mutex<Option<Shards>>,
    /// Like those that workers leave.
    empty: Window,
    /// How far chunks have been read.
    sifted: Sifted,
}

/// A meter, and which chunk is its next.
struct Turn {
    shard: Option<Shard>,
    next: u64,
}

#[derive(Default)]
struct State {
    /// Chunks from `first` on, where they have come.
    chunks: VecDeque<Option<Arc<Chunk>>>,
    /// All before have been collected.
    first: u64,
    /// For chunks without a number.
    unnumbered: u64,
    /// Parts that may still leave something.
    parts: usize,
    /// Those that have begun.
    workers: usize,
    /// Nobody collects any more, or a chunk will never come: what is left is for nobody.
    abandoned: bool,
    /// Windows to be used again.
    spare: Vec<Window>,
    without_flow: u64,
}

/// What a chunk told, and what came of it.
struct Chunk {
    window: Window,
    /// Records by meter.
    ended: Vec<Mutex<Vec<(u32, FlowRecord)>>>,
    /// Meters that have not passed it.
    left: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    pub(super) fn new(mut shards: Shards) -> Self {
        let empty = shards.window();
        let turn = |shard| Mutex::new(Turn { shard: Some(shard), next: 0 });
        Self {
            meters: shards.take_apart().into_iter().map(turn).collect(),
            state: Mutex::default(),
            changed: Condvar::new(),
            rest: Mutex::new(Some(shards)),
            empty,
            sifted: Sifted::default(),
        }
    }

    /// Somebody will leave chunks here until he [leaves](Exchange::leave) himself. His first window.
    pub(super) fn join(&self) -> Window {
        lock(&self.state).parts += 1;
        self.empty.alike()
    }

    /// A number for one who begins to.
    pub(super) fn begin(&self) -> usize {
        let mut state = lock(&self.state);
        state.workers += 1;
        state.workers - 1
    }

    /// Leaves no more; after a panic there is a chunk that nobody is to wait for.
    pub(super) fn leave(&self) {
        let mut state = lock(&self.state);
        state.parts -= 1;
        state.abandoned |= std::thread::panicking();
        if state.abandoned {
            self.sifted.abandon();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A chunk has been read; waits until all before it have been, too.
    pub(super) fn sifted(&self, number: Option<u64>) {
        if let Some(number) = number {
            self.sifted.pass(number);
            self.sifted.wait_for_all_before(number);
        }
    }

    /// How many have begun.
    pub(super) fn workers(&self) -> usize {
        lock(&self.state).workers.max(1)
    }

    /// Somebody has left a chunk.
    pub(super) fn was_used(&self) -> bool {
        lock(&self.state).unnumbered > 0
    }

    /// Leaves what a chunk told, and an empty window in its place; `number` as its source has it, `None` where it has no order.
    /// Waits where the chunks before are far behind.
    pub(super) fn put(&self, number: Option<u64>, window: &mut Window) {
        let ended = self.meters.iter().map(|_| Mutex::default()).collect();
        let mut state = lock(&self.state);
        let spare = state.spare.pop().unwrap_or_else(|| self.empty.alike());
        let window = std::mem::replace(window, spare);
        state.without_flow += window.without_flow();
        let number = number.unwrap_or(state.unnumbered);
        state.unnumbered = state.unnumbered.max(number + 1);
        let chunk = Arc::new(Chunk { window, ended, left: AtomicUsize::new(self.meters.len()) });
        let at = number.saturating_sub(state.first) as usize;
        while state.chunks.len() <= at {
            state.chunks.push_back(None);
        }
        state.chunks[at] = Some(chunk);
        let far = |state: &mut State| number >= state.first + UNDER_WAY && !state.abandoned;
        if far(&mut state) {
            drop(state);
            // Perhaps it is for us to go on.
            self.run(0, true);
            drop(self.changed.wait_while(lock(&self.state), far));
        }
    }

    /// Runs the meters that are this worker's, and those that have fallen behind; `all` of them to the end of what is there.
    pub(super) fn run(&self, worker: usize, all: bool) {
        let workers = lock(&self.state).workers.max(1);
        let mut passed = false;
        for number in 0..self.meters.len() {
            let number = (number + worker) % self.meters.len();
            let meter = &self.meters[number];
            let mut turn = match (all, meter.try_lock()) {
                (_, Ok(turn)) => turn,
                (true, Err(_)) => lock(meter),
                (false, Err(_)) => continue,
            };
            let others = number % workers != worker % workers;
            while let Some(chunk) = self.chunk(turn.next, if others && !all { BEHIND } else { 0 }) {
                let Turn { shard, next } = &mut *turn;
                if let Some(shard) = shard {
                    let mut ended = lock(&chunk.ended[number]);
                    shard.take_in(&chunk.window, &mut |order, record| ended.push((order, record)));
                }
                *next += 1;
                passed |= chunk.left.fetch_sub(1, Ordering::AcqRel) == 1;
            }
        }
        if passed {
            self.changed.notify_all();
        }
    }

    /// The chunk with this number, if it is there and so many beyond it.
    fn chunk(&self, number: u64, beyond: u64) -> Option<Arc<Chunk>> {
        let state = lock(&self.state);
        let at = number.checked_sub(state.first)? as usize;
        let behind = at + beyond as usize;
        state.chunks.get(behind).and_then(Option::as_ref)?;
        state.chunks.get(at).cloned().flatten()
    }

    /// Waits for chunks that all meters have passed and gives them to `out`, in order: what may tell of names there, and the
    /// records that have ended, each with its place, in no order. False when there will be none any more.
    pub(super) fn collect(&self, mut out: impl FnMut(&Notes, &mut Vec<(u32, FlowRecord)>)) -> bool {
        let done = |chunk: &Option<Arc<Chunk>>| {
            chunk.as_ref().is_some_and(|chunk| chunk.left.load(Ordering::Acquire) == 0)
        };
        let wait = |state: &mut State| {
            state.parts > 0 && !state.abandoned && !state.chunks.front().is_some_and(done)
        };
        let state = lock(&self.state);
        let mut state = self.changed.wait_while(state, wait).unwrap_or_else(PoisonError::into_inner);
        let mut ready = Vec::new();
        while state.chunks.front().is_some_and(done) {
            ready.extend(state.chunks.pop_front().flatten());
            state.first += 1;
        }
        drop(state);
        if ready.is_empty() {
            return false;
        }
        self.changed.notify_all();
        let mut ended = Vec::new();
        for mut chunk in ready {
            for records in &chunk.ended {
                ended.append(&mut lock(records));
            }
            out(chunk.window.notes(), &mut ended);
            ended.clear();
            // Whoever passed it last may still hold it for a moment.
            if let Some(chunk) = Arc::get_mut(&mut chunk) {
                let mut window = std::mem::replace(&mut chunk.window, Window::none());
                window.clear();
                lock(&self.state).spare.push(window);
            }
        }
        true
    }

    /// Nobody collects any more.
    pub(super) fn abandon(&self) {
        lock(&self.state).abandoned = true;
        self.changed.notify_all();
    }

    /// The meters together, once all parts have gone.
    pub(super) fn shards(&self) -> Option<Shards> {
        let meters = self.meters.iter().filter_map(|meter| lock(meter).shard.take());
        let without_flow = std::mem::take(&mut lock(&self.state).without_flow);
        let mut shards = lock(&self.rest).take()?;
        shards.put_together(meters, without_flow);
        Some(shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Findings;
    use crate::flow::MeterOptions;
    use crate::flow::in_order;
    use crate::sink::flows::part::FlowsPart;
    use crate::sink::flows::see::see;
    use crate::sink::{Deliveries, Mark, Sink};
    use crate::source::synthetic::{Synthetic, Traffic};
    use std::thread;

    const CHUNK: usize = 50;

    fn options(max_flows: usize) -> MeterOptions {
        MeterOptions { max_flows, ..MeterOptions::default() }
    }

    fn source() -> Synthetic {
        Synthetic::new(&Traffic { distinct: 16_000, flows: 4_000, ipv6_percent: 20, ..Traffic::default() })
    }

    /// Indices of chunks of packets, of which some have none.
    fn chunks(packets: usize) -> Vec<Vec<u16>> {
        let all: Vec<u16> = (0..packets as u16).collect();
        let chunks = all.chunks(CHUNK).map(<[u16]>::to_vec);
        chunks
            .enumerate()
            .flat_map(|(at, chunk)| if at % 7 == 0 { vec![vec![], chunk] } else { vec![chunk] })
            .collect()
    }

    fn alone(source: &Synthetic, max_flows: usize) -> (Vec<FlowRecord>, usize) {
        let mut findings = Findings::new();
        findings.read_unverified(source.table());
        let (mut shards, mut records) = (Shards::new(options(max_flows)), Vec::new());
        let mut window = shards.window();
        for chunk in chunks(source.table().len()) {
            see(&mut window, Deliveries::new(source.table(), &findings, &chunk), None);
            shards.take_in(&window, &mut |_, record| records.push(record.clone()));
            window.clear();
        }
        (records, shards.len())
    }

    /// Whoever brings what chunk when, the records are the same and in one order. With room for few flows, there are many.
    #[test]
    fn workers_together_find_what_one_finds() {
        let source = source();
        for max_flows in [1_000, 1 << 16] {
            let (expected, left) = alone(&source, max_flows);
            assert!(
                left >= 900 && (expected.len() > 1_000 || max_flows > 1_000),
                "{} {left}",
                expected.len()
            );
            let exchange = Arc::new(Exchange::new(Shards::new(options(max_flows))));
            // Asked for and not used.
            drop(FlowsPart::new(Arc::clone(&exchange), None));
            let parts: Vec<_> = (0..3).map(|_| FlowsPart::new(Arc::clone(&exchange), None)).collect();
            let (next, chunks) = (AtomicUsize::new(0), chunks(source.table().len()));
            let mut records = Vec::new();
            thread::scope(|scope| {
                for mut part in parts {
                    let (next, chunks, source) = (&next, &chunks, &source);
                    scope.spawn(move || {
                        let mut findings = Findings::new();
                        findings.read_unverified(source.table());
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            let Some(chunk) = chunks.get(number) else { break };
                            if number % 5 == 3 {
                                thread::yield_now();
                            }
                            part.write(Deliveries::new(source.table(), &findings, chunk)).unwrap();
                            part.mark(Mark::Chunk(Some(number as u64))).unwrap();
                        }
                        part.mark(Mark::End).unwrap();
                    });
                }
                while exchange
                    .collect(|_, ended| in_order(ended, &mut |_, record| records.push(record.clone())))
                {
                }
            });
            assert!(exchange.was_used() && exchange.workers() == 3);
            let shards = exchange.shards().unwrap();
            assert_eq!(shards.len(), left);
            assert_eq!(shards.counts().packets as usize, source.table().len());
            assert!(records == expected, "{max_flows}: {} and {}", records.len(), expected.len());
        }
    }

    /// The chunk of a worker that has panicked will not come: nobody waits for it, however many follow.
    #[test]
    fn nobody_waits_for_a_worker_that_has_gone() {
        let exchange = Arc::new(Exchange::new(Shards::new(options(1 << 16))));
        let part = || FlowsPart::new(Arc::clone(&exchange), None);
        let (gone, mut other) = (part(), part());
        let panicked = thread::spawn(move || {
            let _part = gone;
            panic!("on purpose, with chunk 0");
        });
        let worker = thread::spawn(move || {
            (1..3 * UNDER_WAY).for_each(|number| other.mark(Mark::Chunk(Some(number))).unwrap());
            other.mark(Mark::End).unwrap();
        });
        while exchange.collect(|_, _| {}) {}
        assert!(panicked.join().is_err() && worker.join().is_ok());
    }
}
