//! From several workers to sinks that want every packet in order.
//!
//! A chunk belongs to one worker. With what was found in it, it goes to the sinks' thread on that worker's ring, and
//! comes home on another one: there are never more under way than the rings have room for, and a worker whose
//! chunks are all out waits, so that a slow sink slows down the reading and nothing is dropped. The sinks see what one
//! worker would have shown them: the same batches, in the same order, up to the same end.

use super::Error;
use super::config::BoxedSink;
use super::cores::confine;
use super::outlets::Outlets;
use super::parallel::{Handled, Parallel};
use super::stats::Tally;
use super::turns::Turns;
use crate::batch::Findings;
use crate::demux::OutputId;
use crate::ring::{self, Consumer, Producer, spsc};
use crate::source::Chunk;

/// Chunks of each worker: one it works on, one the sinks work on, and some to even out the difference.
const CHUNKS: usize = 4;

/// A chunk and what was found in it; empty, the room for it.
#[derive(Default)]
struct Load {
    chunk: Chunk,
    /// Place in the source's order.
    number: u64,
    /// Whose it is.
    worker: usize,
    /// One for each batch, and perhaps more that are not in use.
    findings: Vec<Findings>,
    /// The output of each packet.
    outputs: Vec<OutputId>,
    /// What the worker counted.
    tally: Tally,
}

/// A worker's ends of its rings.
struct Loop {
    /// Chunks to be filled.
    empty: Consumer<Box<Load>>,
    /// Chunks for the sinks; `None` in place of one that will never come, because the worker has panicked.
    full: Producer<Option<Box<Load>>>,
}

impl Drop for Loop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // There is room for it; and where nobody listens any more, nobody waits either.
            let _ = self.full.push(None);
        }
    }
}

/// Runs the workers, and the sinks on this thread.
pub(super) fn run(
    run: &Parallel<'_>,
    turns: &Turns<'_>,
    sinks: &mut [BoxedSink<'_>],
) -> Result<Handled, Error> {
    confine(run.cores)?;
    let (mut loops, mut homes, mut arrivals) = (Vec::new(), Vec::new(), Vec::new());
    for worker in 0..run.cores.len() {
        let (mut home, empty) = spsc(CHUNKS);
        home.push_iter(&mut (0..CHUNKS).map(|_| Box::new(Load { worker, ..Load::default() })));
        let (full, arriving) = spsc(CHUNKS + 1);
        loops.push(Loop { empty, full });
        homes.push(home);
        arrivals.push(arriving);
    }
    let tallies = run.cores.iter().map(|_| Tally::new(sinks.len())).collect();
    let collecting = Collecting { homes, outlets: Outlets::new(sinks), tallies, ended_at: None };
    let work = |worker, ends| work(run, worker, turns, ends);
    run.spawn_beside(turns, loops, work, || collecting.run(arrivals)).map(|(_, handled)| handled)
}

/// One worker: reads, parses, verifies and demultiplexes, until there is no more or the sinks have ended.
fn work(run: &Parallel<'_>, worker: usize, turns: &Turns<'_>, mut ends: Loop) {
    let mut all = Tally::new(0);
    while ends.empty.wait().is_ok() {
        let Some(mut load) = ends.empty.pop() else { continue };
        let Some(turn) = turns.next(&mut load.chunk) else { break };
        load.number = turn.number;
        load.read(run);
        all.packets += load.tally.packets;
        all.bytes += load.tally.bytes;
        run.gauges[worker].publish(&all, turn.progress);
        if ends.full.push(Some(load)).is_err() {
            break;
        }
    }
}

impl Load {
    fn read(&mut self, run: &Parallel<'_>) {
        let Self { chunk, findings, outputs, tally, .. } = self;
        tally.clear();
        tally.source.received = chunk.len() as u64;
        outputs.clear();
        let batches = chunk.batches();
        if findings.len() < batches.len() {
            findings.resize_with(batches.len(), Findings::default);
        }
        for (batch, findings) in batches.zip(findings) {
            findings.read(batch);
            tally.take(batch, findings);
            outputs.extend(run.map.outputs(findings.summaries()));
        }
    }
}

/// The sinks' side.
struct Collecting<'s, S> {
    /// The way home for the chunks of each worker.
    homes: Vec<Producer<Box<Load>>>,
    outlets: Outlets<'s, S>,
    /// What became of the packets of each worker.
    tallies: Vec<Tally>,
    ended_at: Option<usize>,
}

impl Collecting<'_, BoxedSink<'_>> {
    /// Until all that was read is delivered, the sinks end the run, or a worker has panicked.
    fn run(mut self, mut arrivals: Vec<Consumer<Option<Box<Load>>>>) -> Handled {
        // Chunks that came before their turn. Of those under way no two have the same place.
        let places = self.homes.len() * CHUNKS;
        let mut early: Vec<Option<Box<Load>>> = (0..places).map(|_| None).collect();
        let place = |number: u64| (number % places as u64) as usize;
        let mut next = 0;
        'run: while ring::wait_any(&mut arrivals, None).is_ok() {
            for arriving in &mut arrivals {
                while let Some(load) = arriving.pop() {
                    let Some(load) = load else { break 'run };
                    let at = place(load.number);
                    early[at] = Some(load);
                }
            }
            while let Some(load) = early[place(next)].take() {
                self.deliver(load);
                if self.ended_at.is_some() {
                    break 'run;
                }
                next += 1;
            }
        }
        let Self { outlets, tallies, ended_at, .. } = self;
        Handled { tallies, failures: outlets.failures, ended_at }
    }

    fn deliver(&mut self, load: Box<Load>) {
        let Self { outlets, homes, tallies, ended_at } = self;
        let tally = &mut tallies[load.worker];
        let mut outputs = load.outputs.iter().copied();
        for (index, (batch, findings)) in load.chunk.batches().zip(&load.findings).enumerate() {
            outlets.choose(outputs.by_ref().take(batch.len()));
            outlets.deliver(batch, findings, tally);
            if outlets.ended() {
                *ended_at = Some(batch.interfaces().len());
                // What was read beyond is as if it had not been.
                for (batch, findings) in load.chunk.batches().zip(&load.findings).take(index + 1) {
                    tally.take(batch, findings);
                    tally.source.received += batch.len() as u64;
                }
                return;
            }
        }
        tally.merge(&load.tally);
        // There is room for it; a worker that has gone wants it no more.
        let _ = homes[load.worker].push(load);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_worker_that_panics_ends_the_wait_for_its_chunk() {
        let (full, arriving) = spsc(2);
        let (other, arriving_from_other) = spsc(2);
        let broken = thread::spawn(move || {
            let _ends = Loop { empty: spsc(1).1, full };
            panic!("on purpose");
        });
        let mut sinks = [];
        let outlets = Outlets::new(&mut sinks);
        let collecting =
            Collecting { homes: vec![spsc(1).0, spsc(1).0], outlets, tallies: Vec::new(), ended_at: None };
        // The other worker is still there, and waits for what only the sinks could send.
        collecting.run(vec![arriving, arriving_from_other]);
        assert!(other.is_closed());
        assert!(broken.join().is_err());
    }
}
