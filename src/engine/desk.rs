//! What a worker does with a chunk: every stage, into parts of sinks of its own and into the rings of the others.

use super::Policy;
use super::ending::{Ending, Watch};
use super::load::{Load, Parcel, Pool, Shared};
use super::router::Router;
use super::sender::{Sender, Sent};
use super::shares::Supply;
use super::sorter::Sorter;
use super::stats::{Gauge, Tally};
use super::turns::{Rest, Turn};
use super::worker::Failure;
use super::workers::Workers;
use crate::frame::Batch;
use crate::sink::{Chunked, Deliveries, Mark, Part, Sink};
use crate::source::{Chunk, Lease};
use std::sync::Arc;

/// A worker among others, or before outputs behind rings.
pub(super) struct Desk<'w> {
    worker: usize,
    router: &'w Router,
    /// Some sink asks for verdicts.
    verify: bool,
    gauge: &'w Gauge,
    sorter: Sorter,
    exits: Exits<'w>,
    tally: Tally,
    /// Packets taken, and their bytes.
    seen: (u64, u64),
}

/// Where packets go.
struct Exits<'w> {
    /// By output number: the parts of sinks that give out such.
    parts: Vec<Option<Box<dyn Part>>>,
    /// By output number: the ring of the others.
    rings: Vec<Option<usize>>,
    /// By ring.
    senders: Vec<Sender<'w>>,
    /// By ring: output numbers.
    outputs: &'w [usize],
    /// By ring: whether the output asks for the layers of its packets.
    wanting: Vec<bool>,
    /// The output behind the only ring says how much counts of what this worker has taken.
    sole: bool,
    /// Somebody waits for the number of each chunk.
    ordered: bool,
    /// Outputs read where the source has put the frames, even if it waits for that memory to come back.
    lends: bool,
}

/// What a worker comes back with.
pub(super) struct Done<'a> {
    pub(super) parts: Vec<Option<Box<dyn Part>>>,
    pub(super) tally: Tally,
    /// Its own part of the source, if it had one.
    pub(super) rest: Option<Rest<'a>>,
}

/// The batches of a chunk.
struct Pieces<'c>(&'c Chunk, Option<&'c Lease>);

impl Chunked for Pieces<'_> {
    fn batches(&self) -> Box<dyn Iterator<Item = Batch<'_>> + '_> {
        Box::new(self.0.batches_in(self.1))
    }
}

impl Exits<'_> {
    /// Tells all parts how far the source has come.
    fn mark(&mut self, mark: Mark, ending: &Ending) {
        for (output, part) in self.parts.iter_mut().enumerate() {
            let Some(part) = part else { continue };
            part.mark(mark).unwrap_or_else(|error| ending.fail(Failure::Sink { output, error }));
        }
    }

    /// Lets all parts look back at what they were given.
    fn look_back(&mut self, number: u64, batches: &dyn Chunked, ending: &Ending) {
        let number = self.ordered.then_some(number);
        for (output, part) in self.parts.iter_mut().enumerate() {
            let Some(part) = part else { continue };
            let looked = part.look_back(number, batches);
            looked.unwrap_or_else(|error| ending.fail(Failure::Sink { output, error }));
        }
    }

    /// The lease if it is to go with the load; otherwise the load has a copy of what it needs.
    fn lend(&self, load: &mut Load, lease: Option<Lease>) -> Option<Lease> {
        let lease = lease?;
        if self.lends || !lease.is_awaited() {
            return Some(lease);
        }
        if load.annotated || load.picks.iter().any(|picks| picks.len() > 0) {
            load.chunk.keep(&lease);
        }
        None
    }
}

impl<'w> Desk<'w> {
    pub(super) fn new(
        run: &'w Workers<'_>,
        worker: usize,
        parts: Vec<Option<Box<dyn Part>>>,
        (senders, outputs, sole): (Vec<Sender<'w>>, &'w [usize], bool),
        (wanting, verify): (Vec<bool>, bool),
        ordered: bool,
    ) -> Self {
        let rings = (0..parts.len()).map(|output| outputs.iter().position(|&behind| behind == output));
        Self {
            worker,
            router: run.router,
            verify,
            gauge: &run.gauges[worker],
            sorter: Sorter::new(parts.len() + 1),
            tally: Tally::new(parts.len()),
            exits: Exits {
                rings: rings.collect(),
                parts,
                senders,
                outputs,
                wanting,
                sole,
                ordered,
                lends: sole || run.policy == Policy::Wait,
            },
            seen: (0, 0),
        }
    }

    /// Until there is no more to read, or the run has ended. Dropped with it are the rings, which tells the outputs.
    pub(super) fn work<'a>(mut self, mut supply: Supply<'_, 'a>, ending: &Ending) -> Done<'a> {
        let _watch = Watch(ending);
        let mut pool = Pool::default();
        loop {
            let place = pool.free();
            let load = pool.open(place);
            let Some(turn) = supply.next(&mut load.chunk) else { break };
            let progress = match turn {
                Turn::Idle => {
                    self.exits.senders.iter_mut().for_each(Sender::flush);
                    None
                }
                Turn::Chunk { number, progress } => {
                    load.begin(number, self.worker, self.exits.senders.len());
                    let lease = load.chunk.take_lease();
                    self.read(load, lease.as_ref(), ending);
                    self.exits.look_back(number, &Pieces(&load.chunk, lease.as_ref()), ending);
                    self.exits.mark(Mark::Chunk(self.exits.ordered.then_some(number)), ending);
                    let lease = self.exits.lend(load, lease);
                    self.hand_over(pool.at(place), lease, ending);
                    progress
                }
            };
            let queued = self.exits.senders.iter().map(|sender| sender.queued() as u64).sum();
            self.gauge.publish(self.seen, (queued, self.tally.ring_full()), progress);
        }
        self.exits.mark(Mark::End, ending);
        Done { parts: self.exits.parts, tally: self.tally, rest: supply.into_rest() }
    }

    /// Every stage. What is for outputs behind rings is noted in the load.
    fn read(&mut self, load: &mut Load, lease: Option<&Lease>, ending: &Ending) {
        let Self {
            router,
            verify,
            sorter,
            exits: Exits { parts, rings, senders, wanting, sole, .. },
            tally,
            seen,
            ..
        } = self;
        let Load { chunk, findings, picks, annotated, tally: own, .. } = load;
        for (index, batch) in chunk.batches_in(lease).enumerate() {
            // Kept for the outputs; where there are none, the same few lines of cache do for every batch.
            let findings = &mut findings[if senders.is_empty() { 0 } else { index }];
            if *verify {
                findings.read(batch);
            } else {
                findings.read_unverified(batch);
            }
            let taken = if *sole { &mut *own } else { &mut *tally };
            let before = taken.bytes;
            taken.take(batch, findings);
            *seen = (seen.0 + batch.len() as u64, seen.1 + taken.bytes - before);
            if !batch.annotations().is_empty() {
                *annotated = true;
                for (output, part) in parts.iter_mut().enumerate() {
                    let Some(part) = part else { continue };
                    let annotated = batch.annotations().iter().try_for_each(|block| part.annotate(block));
                    annotated.unwrap_or_else(|error| ending.fail(Failure::Sink { output, error }));
                }
            }
            sorter.sort(router, batch, findings);
            sorter.drain(|output, chosen| match (rings.get(output), parts.get_mut(output)) {
                (Some(Some(ring)), _) => {
                    if wanting[*ring] {
                        findings.lay_out(batch, chosen);
                    }
                    picks[*ring].add(index, chosen);
                }
                (_, Some(Some(part))) => {
                    let written = part.write(Deliveries::new(batch, findings, chosen));
                    let accepted = written.map(|()| chosen.len());
                    let accepted = accepted.map_err(|error| ending.fail(Failure::Sink { output, error }));
                    taken.outputs[output].add(batch, chosen, accepted.ok());
                }
                _ => taken.unrouted += chosen.len() as u64,
            });
        }
    }

    fn hand_over(&mut self, load: &Shared, lease: Option<Lease>, ending: &Ending) {
        let Self { exits: Exits { senders, outputs, sole, ordered, .. }, tally, .. } = self;
        for (ring, sender) in senders.iter_mut().enumerate() {
            let packets = load.picks[ring].len() as u64;
            // The next parcel tells of all since the last.
            let lost = sender.lost + load.chunk.lost();
            let parcel = if packets > 0 || load.annotated || *sole {
                sender.lost = 0;
                Parcel::Load { load: Arc::clone(load), lease: lease.as_ref().map(Lease::share), lost }
            } else if *ordered {
                sender.lost = lost;
                Parcel::Nothing { number: load.number }
            } else {
                sender.lost = lost;
                continue;
            };
            match sender.send(load.number, parcel) {
                Sent::Taken => {}
                Sent::Dropped => {
                    sender.lost = lost + packets;
                    tally.outputs[outputs[ring]].ring_full += packets;
                    if *sole {
                        tally.merge(&load.tally);
                    }
                }
                Sent::Closed => ending.end(),
            }
        }
    }
}
