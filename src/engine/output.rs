//! A sink that may block, on a thread of its own.

use super::config::BoxedSink;
use super::ending::{Ending, Watch};
use super::lanes::Lanes;
use super::load::{Load, Parcel};
use super::stats::{End, OutputTally, Tally};
use super::worker::Failure;
use crate::frame::Batch;
use crate::sink::{self, Deliveries};
use crate::source::Lease;

/// What an output's thread works on.
pub(super) struct Output<'s, 'a, 'r> {
    sink: &'s mut BoxedSink<'a>,
    /// Its number among the outputs.
    output: usize,
    /// Its number among those behind rings.
    ring: usize,
    lanes: Lanes<'r>,
    ending: &'r Ending,
    /// Its account decides how much of the input counts, as there is no other output.
    sole: bool,
    /// Workers verify.
    verified: bool,
    state: State,
    /// Packets lost since the last that the sink got.
    lost: u64,
    served: Served,
}

/// What an output's thread comes back with.
pub(super) struct Served {
    /// What became of the packets of each worker.
    pub(super) counts: Vec<OutputTally>,
    /// What each worker counted, up to where this output ended; only of a sole output.
    pub(super) taken: Vec<Tally>,
    /// A sole output has ended, and so many interfaces were known by then.
    pub(super) ended_at: Option<usize>,
}

/// How the sink fares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// It has all it wanted: what comes after is surplus.
    Complete,
    /// What comes after is lost.
    Failed,
}

impl<'s, 'a, 'r> Output<'s, 'a, 'r> {
    pub(super) fn new(
        sink: &'s mut BoxedSink<'a>,
        (output, ring): (usize, usize),
        lanes: Lanes<'r>,
        ending: &'r Ending,
        (workers, sole, verified): (usize, bool, bool),
    ) -> Self {
        let taken = if sole { vec![Tally::new(1); workers] } else { Vec::new() };
        let served = Served { counts: vec![OutputTally::default(); workers], taken, ended_at: None };
        Self { sink, output, ring, lanes, ending, sole, verified, state: State::Open, lost: 0, served }
    }

    /// Until the workers have gone and all they handed over is dealt with. After the sink has ended that is counted
    /// only, so that no worker waits for it.
    pub(super) fn run(mut self) -> Served {
        let _watch = Watch(self.ending);
        while let Some(parcel) = self.lanes.next() {
            match parcel {
                Parcel::Load { load, lease, lost } => {
                    self.lost += lost;
                    self.deliver(&load, lease.as_ref());
                }
                Parcel::Flush => self.act(|sink| sink.flush()),
                Parcel::Nothing { .. } | Parcel::Nudge => {}
            }
        }
        self.served
    }

    fn deliver(&mut self, load: &Load, lease: Option<&Lease>) {
        if self.sole && self.state != State::Open {
            // As if it had not been read.
            return;
        }
        let mut picks = load.picks[self.ring].iter().peekable();
        for (index, batch) in load.chunk.batches_in(lease).enumerate() {
            let mut end = None;
            self.act(|sink| batch.annotations().iter().try_for_each(|annotation| sink.annotate(annotation)));
            if let Some((_, chosen)) = picks.next_if(|(batch, _)| *batch == index) {
                let packets = Deliveries::new(batch, &load.findings[index], chosen);
                let packets = packets.after_loss(std::mem::take(&mut self.lost));
                let accepted = self.write(packets, chosen.len());
                let mut counted = chosen;
                if self.sole && self.state == State::Complete {
                    let reached = End::after(accepted.unwrap_or(0), chosen);
                    counted = &chosen[..reached.accepted];
                    end = Some(reached);
                }
                self.served.counts[load.worker].add(batch, counted, accepted);
            }
            if self.sole && self.state != State::Open {
                return self.end_within(load, lease, index, end);
            }
        }
        if self.sole {
            self.served.taken[load.worker].merge(&load.tally);
        }
    }

    /// How many of them the sink has accepted; `None` if it has failed.
    fn write(&mut self, packets: Deliveries<'_>, count: usize) -> Option<usize> {
        match self.state {
            State::Open => {}
            State::Complete => return Some(0),
            State::Failed => return None,
        }
        match self.sink.write(packets) {
            Ok(()) => Some(count),
            Err(sink::Error::Complete { accepted }) => {
                self.state = State::Complete;
                self.ending.end();
                Some(accepted)
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    fn act(&mut self, act: impl FnOnce(&mut BoxedSink<'a>) -> Result<(), sink::Error>) {
        if self.state == State::Open
            && let Err(error) = act(self.sink)
        {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: sink::Error) {
        self.state = State::Failed;
        self.ending.fail(Failure::Sink { output: self.output, error });
    }

    /// Counts what the run has taken of this load, which is its batches up to that index, and the last one up to where the sink
    /// has had all it wanted.
    fn end_within(&mut self, load: &Load, lease: Option<&Lease>, index: usize, end: Option<End>) {
        let tally = &mut self.served.taken[load.worker];
        let mut picked = load.picks[self.ring].iter().peekable();
        for (at, batch) in load.chunk.batches_in(lease).take(index + 1).enumerate() {
            if let (Some(end), true) = (end, at == index) {
                tally.take_up_to(end, batch, self.verified);
                break;
            }
            tally.take(batch, &load.findings[at]);
            let picked = picked.next_if(|(batch, _)| *batch == at).map_or(0, |(_, chosen)| chosen.len());
            tally.unrouted += (batch.len() - picked) as u64;
        }
        self.served.ended_at =
            load.chunk.batches_in(lease).nth(index).map(|batch: Batch<'_>| batch.interfaces().len());
    }
}
