//! A capture as the source of batches and chunks that it is.

use super::Capture;
use super::counts::Totals;
use super::problem::Problem;
use super::ring::{Growth, Ring};
use crate::frame::{Batch, Interface, InterfaceStatistics};
use crate::source::{BATCH, Chunk, ChunkSource, Counters, Error, Fill, Lease, RingUse, Source};
use std::io;
use std::time::Duration;

impl Source for Capture {
    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, Error> {
        let next = self.prepare(limit.clamp(1, BATCH))?;
        Ok(next.fill(|| {
            let lost = self.rings[self.current].take_lost();
            let body = self.rings[self.current].blocks.body().unwrap_or_default();
            Batch::new(body, &self.records, &self.interfaces).after_loss(lost)
        }))
    }

    fn stop(&mut self) -> Result<(), Error> {
        if !self.stopping && !self.ended {
            self.drain(Duration::ZERO);
        }
        Ok(())
    }

    /// `received` and `dropped_ring` are the kernel's; frames of a direction that was not asked for are
    /// not among them.
    fn counters(&mut self) -> Counters {
        let mut counters = Counters::default();
        self.statistics.clear();
        self.statistics.resize(self.interfaces.len(), None);
        for ring in &mut self.rings {
            let unread = ring.unread();
            let Totals { packets, drops, freezes, .. } = ring.totals();
            counters.unread += unread;
            counters.received += packets;
            counters.dropped_ring += drops;
            counters.freezes += freezes;
            if let Some(known) = self.statistics.get_mut(ring.interface.0 as usize) {
                known.get_or_insert_default().merge(InterfaceStatistics {
                    received: packets,
                    dropped: drops,
                    accepted: Some(packets),
                    dropped_by_system: Some(drops),
                    delivered: Some(packets.saturating_sub(drops + unread)),
                });
            }
        }
        counters
    }

    /// What the kernel had counted when [`Source::counters`] was called last.
    fn statistics(&self) -> &[Option<InterfaceStatistics>] {
        &self.statistics
    }

    fn is_live(&self) -> bool {
        true
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        Some(self)
    }

    /// Where every interface has that many rings ([`Options::parts`](super::Options::parts)): to each part one of each.
    fn divide(&mut self, parts: usize) -> Option<Result<Vec<Box<dyn Source + Send>>, Error>> {
        let untouched = self.handed == 0 && !self.stopping && !self.ended;
        if !untouched || parts < 2 || self.rings.iter().any(|ring| ring.group.parts() != parts) {
            return None;
        }
        let mut shares: Vec<Vec<Ring>> = (0..parts).map(|_| Vec::new()).collect();
        self.rings.drain(..).for_each(|ring| shares[ring.part].push(ring));
        self.ended = true;
        let mut notes = std::mem::take(&mut self.notes);
        let part = |rings| {
            Self::over(rings, self.interfaces.clone(), std::mem::take(&mut notes))
                .map(|part| Box::new(part) as Box<dyn Source + Send>)
        };
        let shares: io::Result<Vec<_>> = shares.into_iter().map(part).collect();
        Some(shares.map_err(Problem::with("cannot share it among workers")).map_err(|problem| {
            let name = self.interfaces.first().and_then(|first| first.name.clone());
            Error::of_interface(name.unwrap_or_default(), problem)
        }))
    }

    fn ring_use(&self) -> Option<RingUse> {
        let mut all = RingUse { notes: self.notes.clone(), ..RingUse::default() };
        for ring in &self.rings {
            all.merge(ring.usage());
        }
        // A group's word once, by its first ring.
        for ring in self.rings.iter().filter(|ring| ring.part == 0 && ring.growth != Growth::Larger) {
            let (raised_from, notes) = ring.group.told();
            all.merge(RingUse { raised_from, notes, ..RingUse::default() });
        }
        (all.rings > 0).then_some(all)
    }
}

impl ChunkSource for Capture {
    /// What is left of a block, where it lies.
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error> {
        chunk.clear();
        let next = self.prepare(usize::try_from(limit).unwrap_or(usize::MAX).max(1))?;
        Ok(next.fill_chunk(|| self.hand_over(chunk)))
    }
}

impl Capture {
    /// The frames gathered, with the block they lie in; or a copy of them where the block has more, or too many are
    /// out.
    fn hand_over(&mut self, chunk: &mut Chunk) {
        let Self { rings, current, records, interfaces, .. } = self;
        let ring = &mut rings[*current];
        let is_over = ring.block_is_over();
        let may_lease = is_over && (ring.blocks.leased() + 1) * 2 <= ring.blocks.len();
        if let Some(lease) = may_lease.then(|| ring.blocks.lease()).flatten() {
            std::mem::swap(records, &mut chunk.records);
            chunk.cut_evenly(interfaces);
            chunk.lie_in(Lease::of_block(lease));
        } else {
            let body = ring.blocks.body().unwrap_or_default();
            records.chunks(BATCH).for_each(|records| chunk.push(Batch::new(body, records, interfaces)));
            if is_over {
                ring.blocks.release();
            }
        }
        chunk.lose(ring.take_lost());
        if is_over {
            ring.let_go();
        }
    }
}
