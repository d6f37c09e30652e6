//! A live interface through `AF_XDP`: frames come straight from its queues, before the host's own stack sees them.
//!
//! **They do not go on to it**: what this source takes, the host does not get. It is for ports that mirror traffic, for
//! machines that forward it, and for ports that are wharf's alone: with [`Options::ports`] only frames with these ports
//! are taken, by a look-up in the kernel, and all others go on up the host's stack as ever. For a tap that takes nothing
//! away there is [`packet`](super::packet).
//!
//! A small program is attached to the interface, one socket to each queue. Several workers share the queues, where there are as
//! many ([`Source::divide`]). Everything goes when the source is dropped,
//! and when the process dies, however it does. Frames are read where the kernel (or the device, where driver and
//! mode allow it) has put them, in runs of neighbouring chunks of the socket's memory. A [`Chunk`] takes a run with it,
//! leased; never more than half of the memory is out in this way, beyond that frames are copied.
//!
//! What it does not have: frames the host sends, and a time of arrival. A frame's time is that of the clock when its
//! batch was read. A VLAN tag that the device takes out of frames is lost, as it is not in their bytes.
//!
//! Frames of a virtual interface may bear a checksum that the sending host has left to a device which there is not, and
//! AF_XDP does not tell: a checksum that is exactly what the kernel leaves is called not ready, not bad
//! ([`Offload::checksum_unsure`]).
//!
//! ```no_run
//! use wharf::source::{Fill, Source, xdp::Capture};
//!
//! let mut capture = Capture::on("eth1").open()?;
//! while let Fill::Batch(batch) = capture.fill(256)? {
//!     println!("{} frames", batch.len());
//! }
//! # Ok::<(), wharf::source::Error>(())
//! ```

mod loss;
mod meter;
mod options;
mod problem;
mod queue;
mod usage;
mod waiting;

pub use crate::sys::bpf::AttachMode;
pub use crate::sys::xdp::ports::{PortProtocol, PortTable};
pub use crate::sys::xdp::{Copying, Statistics};
pub use meter::Meter;
pub use options::{DEFAULT_MEMORY, Modes, Options, Queues};
pub use waiting::Waiting;

use super::packet::problem::{GONE, Problem, WENT_DOWN};
use crate::frame::{Batch, Direction, Interface, InterfaceId, LinkType, Offload, Record, Timestamp};
use crate::source::{BATCH, Chunk, ChunkSource, Counters, Error, Fill, Lease, Next, RingUse, Source};
use crate::sys::link_watch::{State as LinkState, Watch};
use crate::sys::xdp::{Attachment, Damage};
use queue::Queue;
use std::sync::Arc;
use waiting::{Came, Patience};

/// Most frames in a chunk: what a run of neighbouring chunks of memory comes to at most.
const LONGEST_RUN: usize = 1024;

/// An interface being captured, or some queues of it.
#[derive(Debug)]
pub struct Capture {
    queues: Vec<Queue>,
    /// The queue that was read last.
    current: usize,
    attachment: Arc<Attachment>,
    watch: Arc<Watch>,
    interfaces: [Interface; 1],
    offload: Offload,
    records: Vec<Record>,
    /// Frames lost before the first record's.
    lost: u64,
    /// Frames handed out.
    handed: u64,
    patience: Patience,
    state: State,
    notes: Vec<String>,
}

/// How far a capture has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Nothing new comes; what is in the rings is handed out.
    Draining(Option<&'static str>),
    Ended,
}

impl Capture {
    /// Options for capturing on an interface.
    pub fn on(interface: impl Into<String>) -> Options {
        Options::new(interface.into())
    }

    /// Where the program stands that gives us the frames.
    #[must_use]
    pub fn mode(&self) -> AttachMode {
        self.attachment.mode()
    }

    /// Whether the device writes into our memory itself, on every queue.
    #[must_use]
    pub fn is_zero_copy(&self) -> bool {
        self.queues.iter().all(|queue| queue.socket().is_zero_copy().unwrap_or(false))
    }

    /// How many queues this one reads.
    #[must_use]
    pub fn queues(&self) -> usize {
        self.queues.len()
    }

    /// What a person should know of how it was opened, a sentence each: what was not to be had and why.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// A way to look at it from outside while it runs.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(self.queues.iter().map(|queue| Arc::clone(queue.shown())).collect())
    }

    /// A capture for each queue, to be read side by side, each without regard to the others. Nothing must have been
    /// read yet. Stopping one takes the program off for all of them.
    #[must_use]
    pub fn apart(mut self) -> Vec<Self> {
        self.share_out(self.queues.len())
    }

    /// As many captures, no more than there are queues, with a share of the queues each; none is left to this one.
    fn share_out(&mut self, parts: usize) -> Vec<Self> {
        let mut shares: Vec<Vec<Queue>> = (0..parts).map(|_| Vec::new()).collect();
        for (number, queue) in self.queues.drain(..).enumerate() {
            shares[number % parts].push(queue);
        }
        let state = std::mem::replace(&mut self.state, State::Ended);
        let one = |queues| Self {
            queues,
            current: 0,
            attachment: Arc::clone(&self.attachment),
            watch: Arc::clone(&self.watch),
            interfaces: self.interfaces.clone(),
            offload: self.offload,
            records: Vec::with_capacity(LONGEST_RUN),
            lost: 0,
            handed: 0,
            patience: self.patience.clone(),
            state,
            notes: self.notes.clone(),
        };
        shares.into_iter().map(one).collect()
    }

    /// What the kernel counts, over all queues.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let all = self.queues.iter().map(|queue| queue.socket().statistics().unwrap_or_default());
        all.fold(Statistics::default(), |sum, one| Statistics {
            rx_dropped: sum.rx_dropped + one.rx_dropped,
            rx_ring_full: sum.rx_ring_full + one.rx_ring_full,
            fill_ring_empty: sum.fill_ring_empty + one.fill_ring_empty,
            rx_invalid: sum.rx_invalid + one.rx_invalid,
            tx_invalid: sum.tx_invalid + one.tx_invalid,
            tx_ring_empty: sum.tx_ring_empty + one.tx_ring_empty,
        })
    }

    /// Gathers the records of the next run of frames, at most `limit` of them.
    fn prepare(&mut self, limit: usize) -> Result<Next, Error> {
        self.patience.begin();
        loop {
            if self.state == State::Ended {
                return Ok(Next::End);
            }
            if self.gather(limit)? {
                self.patience.came();
                return Ok(Next::Batch);
            }
            if let State::Draining(failed) = self.state {
                self.state = State::Ended;
                return failed.map_or(Ok(Next::End), |reason| Err(self.failed(reason)));
            }
            // Before a wait the kernel gets all it can have.
            self.queues.iter_mut().for_each(Queue::release);
            let came = self.patience.wait(self.queues.iter().map(Queue::socket));
            match came.map_err(|error| self.failed(Problem::with("cannot wait for frames")(error)))? {
                Came::Perhaps => {}
                Came::Nothing | Came::Failure => {
                    self.queues.iter_mut().for_each(Queue::look);
                    // A socket does not tell that its interface is switched off; that it has gone may come later.
                    match self.watch.state() {
                        LinkState::Up => return Ok(Next::Idle),
                        LinkState::Down => self.state = State::Draining(Some(WENT_DOWN)),
                        LinkState::Gone => self.state = State::Draining(Some(GONE)),
                    }
                }
                Came::Signal => return Ok(Next::Idle),
            }
        }
    }

    /// Fills `records` from the next queue that has any; false when none has.
    fn gather(&mut self, limit: usize) -> Result<bool, Error> {
        let Self { queues, records, lost, current, interfaces, offload, handed, .. } = self;
        records.clear();
        let count = queues.len();
        for place in (*current + 1..count).chain(0..(*current + 1).min(count)) {
            let mut record = Record {
                interface: InterfaceId(0),
                link_type: LinkType::ETHERNET,
                direction: Direction::In,
                offload: *offload,
                number: *handed,
                ..Record::default()
            };
            let most = match interfaces[0].snap_length {
                0 => u32::MAX,
                most => most,
            };
            let taken = queues[place].take(limit, |offset, length| {
                record.number += 1;
                records.push(Record { offset, captured: length.min(most), wire_length: length, ..record });
            });
            match taken {
                Ok(before) => *lost = before,
                Err(Damage(what)) => {
                    return Err(self.failed(format!("the kernel's ring contradicts itself: {what}")));
                }
            }
            if !records.is_empty() {
                *current = place;
                *handed += records.len() as u64;
                let time = Some(now());
                records.iter_mut().for_each(|record| record.time = time);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn failed(&mut self, problem: impl Into<Problem>) -> Error {
        self.state = State::Ended;
        Error::of_interface(self.interfaces[0].name.clone().unwrap_or_default(), problem)
    }
}

fn now() -> Timestamp {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Timestamp::new(now.tv_sec, now.tv_nsec as u32)
}

impl Source for Capture {
    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, Error> {
        let next = self.prepare(limit.clamp(1, BATCH))?;
        Ok(next.fill(|| {
            let batch = Batch::new(self.queues[self.current].bytes(), &self.records, &self.interfaces);
            batch.after_loss(self.lost)
        }))
    }

    fn stop(&mut self) -> Result<(), Error> {
        if self.state == State::Running {
            self.state = State::Draining(None);
            if let Err(error) = self.attachment.detach()
                && self.watch.state() != LinkState::Gone
            {
                return Err(self.failed(Problem::with("cannot take the XDP program off")(error)));
            }
        }
        Ok(())
    }

    /// Drops are those the sockets count; frames that the program has passed on to the host are nowhere.
    fn counters(&mut self) -> Counters {
        self.queues.iter_mut().for_each(Queue::look);
        let statistics = self.statistics();
        let unread: u64 = self.queues.iter_mut().map(|queue| u64::from(queue.pending())).sum();
        let dropped_ring = statistics.lost();
        Counters {
            received: self.handed + unread + dropped_ring,
            dropped_ring,
            filtered: 0,
            unread,
            freezes: 0,
            lost_earlier: 0,
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    /// Where there are as many queues or more.
    fn divide(&mut self, parts: usize) -> Option<Result<Vec<Box<dyn Source + Send>>, Error>> {
        let untouched = self.handed == 0 && self.state == State::Running;
        if !untouched || parts < 2 || parts > self.queues.len() {
            return None;
        }
        let boxed = |part| Box::new(part) as Box<dyn Source + Send>;
        Some(Ok(self.share_out(parts).into_iter().map(boxed).collect()))
    }

    fn ring_use(&self) -> Option<RingUse> {
        let mut all = RingUse::default();
        self.queues.iter().for_each(|queue| all.merge(queue.told()));
        Some(all)
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        Some(self)
    }
}

impl ChunkSource for Capture {
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error> {
        chunk.clear();
        let next = self.prepare(usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, LONGEST_RUN))?;
        Ok(next.fill_chunk(|| self.hand_over(chunk)))
    }
}

impl Capture {
    /// The run of frames, where it lies; or a copy, if too much memory is out.
    fn hand_over(&mut self, chunk: &mut Chunk) {
        chunk.lose(self.lost);
        let queue = &mut self.queues[self.current];
        let (all, out) = queue.chunks();
        if (out + self.records.len()) * 2 <= all
            && let Some(lease) = queue.lease()
        {
            std::mem::swap(&mut self.records, &mut chunk.records);
            chunk.cut_evenly(&self.interfaces);
            chunk.lie_in(Lease::of_chunks(lease));
        } else {
            let batches = self.records.chunks(BATCH);
            batches.for_each(|records| chunk.push(Batch::new(queue.bytes(), records, &self.interfaces)));
        }
    }
}
