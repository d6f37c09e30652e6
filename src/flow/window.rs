//! Packets on their way to meters: several of them share the flows.

use super::checked::is_wrong_common;
use super::event::Event;
use super::key::FlowKey;
use super::names::Notes;
use super::packed::{Packed, Seed};
use crate::batch::Summary;
use crate::frame::Record;
use crate::parse::Packet;

/// What one meter is to take in, in order.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) list: Vec<Event>,
    /// Keys that are not whole.
    pub(super) long: Vec<FlowKey>,
}

impl Events {
    pub(super) fn push(&mut self, mut event: Event, long: Option<FlowKey>) {
        event.long = self.long.len() as u32;
        self.long.extend(long);
        self.list.push(event);
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.long.clear();
    }
}

/// Which of several meters a flow belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// By its key alone: records come in the same order in every run.
    Known,
    /// By the seed as well: nobody outside can send flows that all belong to one.
    Secret,
}

/// What some packets tell, sorted by the meters that are to take it in.
#[derive(Debug)]
pub(crate) struct Window {
    seed: Seed,
    share: Share,
    /// By meter.
    pub(super) events: Vec<Events>,
    /// Packets that may tell of names.
    notes: Notes,
    /// Packets so far.
    order: u32,
    without_flow: u64,
}

impl Window {
    /// For so many meters, a power of two of at most 2^16.
    pub(super) fn new(meters: usize, seed: Seed, share: Share) -> Self {
        let events = (0..meters).map(|_| Events::default()).collect();
        Self { seed, share, events, notes: Notes::default(), order: 0, without_flow: 0 }
    }

    /// One that nothing is put into.
    pub(crate) fn none() -> Self {
        Self::new(0, Seed::fixed(0), Share::Known)
    }

    /// An empty one for the same meters.
    pub(crate) fn alike(&self) -> Self {
        Self::new(self.events.len(), self.seed, self.share)
    }

    /// How many packets it has taken in.
    pub(crate) fn len(&self) -> usize {
        self.order as usize
    }

    /// Packets of no flow.
    pub(crate) fn without_flow(&self) -> u64 {
        self.without_flow
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.events.iter_mut().for_each(Events::clear);
        self.notes.clear();
        (self.order, self.without_flow) = (0, 0);
    }

    /// Packets that may tell of names, among those it has taken in.
    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Copies the packet that it has taken in after so many others, as one that may tell of names.
    pub(crate) fn note(&mut self, record: &Record, data: &[u8], order: u32) {
        self.notes.push(record, data, order);
    }

    /// Brings what was copied into order, where some came late.
    pub(crate) fn sort_notes(&mut self) {
        self.notes.sort();
    }

    /// The capture has lost packets before the next one.
    pub(crate) fn loss(&mut self) {
        let order = self.order;
        self.events.iter_mut().for_each(|events| events.push(Event::loss(order), None));
    }

    /// Takes in a packet of a [common shape](crate::batch), if it is one that need not be walked; whether it was verified and a
    /// checksum of it is wrong.
    #[inline(always)]
    pub(crate) fn add_common(&mut self, record: &Record, data: &[u8], summary: Summary) -> Option<bool> {
        let (event, long) = Event::of_common(record, data, summary, &self.seed)?;
        let wrong = is_wrong_common(data, summary);
        self.push(event.judged(wrong), long);
        self.order += 1;
        Some(wrong)
    }

    /// Takes in a packet, a checksum of which is wrong or not.
    #[inline(never)]
    pub(crate) fn add(&mut self, packet: &Packet<'_>, wrong: bool) {
        match Event::of(packet, &self.seed) {
            Some((event, beside)) => {
                if beside.lost {
                    self.loss();
                }
                // What is damaged may quote anything.
                if let Some(quoted) = beside.quoted.as_ref().filter(|_| !wrong) {
                    let key = Packed::pack(&quoted.key, &self.seed);
                    let long = key.unpack().is_none().then_some(&quoted.key);
                    let events = self.events_of(key, long);
                    let order = self.order;
                    self.events[events].push(Event::tie(quoted, key, order), None);
                }
                self.push(event.judged(wrong), beside.long);
            }
            None => self.without_flow += 1,
        }
        self.order += 1;
    }

    #[inline(always)]
    fn push(&mut self, mut event: Event, long: Option<FlowKey>) {
        let events = self.events_of(event.key, long.as_ref());
        event.order = self.order;
        self.events[events].push(event, long);
    }

    /// The meter of a flow, by the upper bits of a number that is spread by a multiplication.
    #[inline(always)]
    fn events_of(&self, key: Packed, long: Option<&FlowKey>) -> usize {
        let spread = match (self.share, long) {
            (Share::Secret, _) => self.seed.share(key.0),
            (Share::Known, Some(key)) => key.spread(),
            (Share::Known, None) => key.spread(),
        };
        (spread >> 48) as usize & (self.events.len() - 1)
    }
}
