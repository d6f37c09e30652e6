//! What a worker counts while it runs, and what others may read of it meanwhile.

use crate::batch::Findings;
use crate::frame::Batch;
use crate::parse::{Layer, Reason};
use crate::sink::InterfaceStatistics;
use crate::source::{Counters, Progress, Source};
use crate::verify::Checksums;
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Packets that workers are done with; those for outputs on threads of their own may be under way still.
    pub packets: u64,
    /// Their bytes, as captured.
    pub bytes: u64,
    /// How far the file has been read; `None` for a live source or a pipe.
    pub progress: Option<Progress>,
    /// Chunks on their way to outputs that run on threads of their own.
    pub queued: u64,
    /// Packets dropped because an output's ring was full.
    pub dropped: u64,
}

/// One worker's [`Snapshot`], readable from other threads. Only its worker writes to it, once a batch,
/// so plain stores do; readers may see the values of neighbouring batches mixed.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    packets: AtomicU64,
    bytes: AtomicU64,
    read: AtomicU64,
    /// 0 for no progress known.
    total: AtomicU64,
    queued: AtomicU64,
    dropped: AtomicU64,
}

impl Gauge {
    pub(super) fn publish(
        &self,
        (packets, bytes): (u64, u64),
        (queued, dropped): (u64, u64),
        progress: Option<Progress>,
    ) {
        self.packets.store(packets, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.queued.store(queued, Ordering::Relaxed);
        self.dropped.store(dropped, Ordering::Relaxed);
        if let Some(progress) = progress {
            self.read.store(progress.read, Ordering::Relaxed);
            self.total.store(progress.total, Ordering::Relaxed);
        }
    }
}

impl Snapshot {
    /// Merges what the workers show at this moment.
    pub(super) fn read(gauges: &[CachePadded<Gauge>]) -> Self {
        let sum = |field: fn(&Gauge) -> &AtomicU64| -> u64 {
            gauges.iter().map(|gauge| field(gauge).load(Ordering::Relaxed)).sum()
        };
        // The workers share one file: whoever read last knows how far it is.
        let last = |field: fn(&Gauge) -> &AtomicU64| -> u64 {
            gauges.iter().map(|gauge| field(gauge).load(Ordering::Relaxed)).max().unwrap_or(0)
        };
        let progress = Progress { read: last(|gauge| &gauge.read), total: last(|gauge| &gauge.total) };
        Self {
            packets: sum(|gauge| &gauge.packets),
            bytes: sum(|gauge| &gauge.bytes),
            queued: sum(|gauge| &gauge.queued),
            dropped: sum(|gauge| &gauge.dropped),
            progress: (progress.total > 0).then_some(progress),
        }
    }
}

/// One worker's counts. Plain numbers: nothing here is shared while the worker runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Packets taken from the source.
    pub(super) packets: u64,
    /// Their bytes, as captured.
    pub(super) bytes: u64,
    /// Packets for which there was no output.
    pub(super) unrouted: u64,
    pub(super) outputs: Vec<OutputTally>,
    pub(super) checksums: Checksums,
    pub(super) malformed: Malformations,
    /// Packets by interface id.
    pub(super) interfaces: Vec<u64>,
    /// What the source said at the end.
    pub(super) source: Counters,
}

/// One output's counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OutputTally {
    pub(super) delivered: u64,
    /// Handed to a sink that failed.
    pub(super) failed: u64,
    /// Handed to a sink that had all it wanted, or did not want it.
    pub(super) surplus: u64,
    /// Not handed over: the ring was full.
    pub(super) ring_full: u64,
    /// Captured bytes of those the sink accepted.
    pub(super) bytes: u64,
}

/// Corrects what the workers counted batch by batch for an output by what its sink says at the end: so many packets are
/// kept. Whose packets the lost ones were is not known; the first workers answer for them.
pub(super) fn settle(tallies: &mut [Tally], output: usize, kept: u64) {
    let delivered: u64 = tallies.iter().map(|tally| tally.outputs[output].delivered).sum();
    let (mut lost, mut found) = (delivered.saturating_sub(kept), kept.saturating_sub(delivered));
    for OutputTally { delivered, failed, .. } in tallies.iter_mut().map(|tally| &mut tally.outputs[output]) {
        let (more, fewer) = (found.min(*failed), lost.min(*delivered));
        (*delivered, *failed) = (*delivered + more - fewer, *failed + fewer - more);
        (found, lost) = (found - more, lost - fewer);
    }
}

/// So many of what was handed to an output its sink did not want, as it found out. Of which workers' packets they were is
/// not known; the first answer for them.
pub(super) fn pass_over(tallies: &mut [Tally], output: usize, mut packets: u64) {
    for OutputTally { delivered, surplus, .. } in tallies.iter_mut().map(|tally| &mut tally.outputs[output]) {
        let fewer = packets.min(*delivered);
        (*delivered, *surplus, packets) = (*delivered - fewer, *surplus + fewer, packets - fewer);
    }
}

impl OutputTally {
    /// Adds what was counted elsewhere.
    pub(super) fn merge(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.surplus += other.surplus;
        self.ring_full += other.ring_full;
        self.bytes += other.bytes;
    }

    /// Counts what was chosen from a batch for this output: `accepted` of it, or nothing because the sink failed.
    pub(super) fn add(&mut self, batch: Batch<'_>, chosen: &[u16], accepted: Option<usize>) {
        let Some(accepted) = accepted else {
            self.failed += chosen.len() as u64;
            return;
        };
        let (taken, surplus) = chosen.split_at(accepted.min(chosen.len()));
        self.delivered += taken.len() as u64;
        self.surplus += surplus.len() as u64;
        self.bytes += if taken.len() == batch.len() {
            batch.captured()
        } else {
            taken.iter().map(|&index| u64::from(batch.records()[usize::from(index)].captured)).sum()
        };
    }
}

/// Where in a batch a sole output has ended: nothing behind that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// So many packets of the batch are before it.
    pub(super) packets: usize,
    /// And so many of them the sink has accepted.
    pub(super) accepted: usize,
}

impl End {
    /// Behind the last of the `chosen` that was accepted; if none was, before the first.
    pub(super) fn after(accepted: usize, chosen: &[u16]) -> Self {
        let accepted = accepted.min(chosen.len());
        let packets = match accepted {
            0 => chosen.first().map_or(0, |&index| usize::from(index)),
            accepted => usize::from(chosen[accepted - 1]) + 1,
        };
        Self { packets, accepted }
    }
}

/// Malformed packets by layer and reason: a short list, because both come from small sets.
#[derive(Clone, Debug)]
pub(super) struct Malformations {
    counts: Vec<(Layer, Reason, u64)>,
}

impl Default for Malformations {
    fn default() -> Self {
        // Room for what one run can show, so that counting does not allocate.
        Self { counts: Vec::with_capacity(64) }
    }
}

impl Malformations {
    fn add(&mut self, layer: Layer, reason: Reason, packets: u64) {
        match self.counts.iter_mut().find(|(l, r, _)| (*l, *r) == (layer, reason)) {
            Some((_, _, count)) => *count += packets,
            None => self.counts.push((layer, reason, packets)),
        }
    }

    /// Most frequent first; ties in the order of declaration, as no worker knows who was first.
    pub(super) fn sorted(mut self) -> Vec<(Layer, Reason, u64)> {
        let key = |&(layer, reason, count): &_| (std::cmp::Reverse(count), layer as u8, reason as u8);
        self.counts.sort_by_key(key);
        self.counts
    }
}

impl Tally {
    pub(super) fn new(outputs: usize) -> Self {
        Self { outputs: vec![OutputTally::default(); outputs], ..Self::default() }
    }

    /// Forgets everything, for the next use.
    pub(super) fn clear(&mut self) {
        let Self { packets, bytes, unrouted, outputs, checksums, malformed, interfaces, source } = self;
        (*packets, *bytes, *unrouted) = (0, 0, 0);
        (*checksums, *source) = (Checksums::default(), Counters::default());
        outputs.fill(OutputTally::default());
        malformed.counts.clear();
        interfaces.clear();
    }

    /// Packets dropped on the way to any output.
    pub(super) fn ring_full(&self) -> u64 {
        self.outputs.iter().map(|output| output.ring_full).sum()
    }

    /// The same of a batch within which a sole output has ended: only of the packets up to where it did.
    pub(super) fn take_up_to(&mut self, end: End, batch: Batch<'_>, verified: bool) {
        let (batch, mut findings) = (batch.first(end.packets), Findings::new());
        if verified {
            findings.read(batch);
        } else {
            findings.read_unverified(batch);
        }
        self.take(batch, &findings);
        self.unrouted += (end.packets - end.accepted) as u64;
    }

    /// Counts the packets of a batch as taken from the source.
    pub(super) fn take(&mut self, batch: Batch<'_>, findings: &Findings) {
        self.packets += batch.len() as u64;
        self.bytes += batch.captured();
        self.checksums.merge(&findings.finished_checksums(batch));
        findings.malformed().for_each(|malformed| self.malformed.add(malformed.layer, malformed.reason, 1));
        if batch.interfaces().len() <= 1 {
            self.take_from(0, batch.len() as u64);
        } else {
            batch.records().iter().for_each(|record| self.take_from(record.interface.0 as usize, 1));
        }
    }

    fn take_from(&mut self, interface: usize, packets: u64) {
        if self.interfaces.len() <= interface {
            self.interfaces.resize(interface + 1, 0);
        }
        self.interfaces[interface] += packets;
    }

    /// Adds what another worker counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.unrouted += other.unrouted;
        for (output, more) in self.outputs.iter_mut().zip(&other.outputs) {
            output.merge(more);
        }
        self.checksums.merge(&other.checksums);
        for &(layer, reason, packets) in &other.malformed.counts {
            self.malformed.add(layer, reason, packets);
        }
        if self.interfaces.len() < other.interfaces.len() {
            self.interfaces.resize(other.interfaces.len(), 0);
        }
        for (interface, more) in self.interfaces.iter_mut().zip(&other.interfaces) {
            *interface += more;
        }
        self.source.received += other.source.received;
        self.source.dropped_ring += other.source.dropped_ring;
        self.source.filtered += other.source.filtered;
        self.source.unread += other.source.unread;
        self.source.freezes += other.source.freezes;
        self.source.lost_earlier += other.source.lost_earlier;
    }

    /// What the sinks are told about each interface at the end: what a capture file says of them, or what has been counted.
    pub(super) fn interface_statistics(&self, said: &Said) -> Vec<InterfaceStatistics> {
        let Counters { received, dropped_ring, unread, .. } = self.source;
        let taken = |id: usize| self.interfaces.get(id).copied().unwrap_or(0);
        let of = |id: usize| match (said.interfaces.get(id).copied().flatten(), said.known) {
            // What of it was beyond the end of the run, the kernel does not know.
            (Some(known), _) if said.live => InterfaceStatistics { delivered: Some(taken(id)), ..known },
            (Some(known), _) => known,
            (None, 1) if said.live => InterfaceStatistics {
                received,
                dropped: dropped_ring,
                accepted: Some(received),
                dropped_by_system: Some(dropped_ring),
                delivered: Some(received.saturating_sub(dropped_ring + unread)),
            },
            (None, 1) => {
                InterfaceStatistics { received, dropped: dropped_ring, ..InterfaceStatistics::default() }
            }
            (None, _) => InterfaceStatistics { received: taken(id), ..InterfaceStatistics::default() },
        };
        (0..said.known).map(of).collect()
    }
}

/// What a source says of its interfaces at the end.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// So many are known.
    pub(super) known: usize,
    pub(super) live: bool,
    interfaces: Vec<Option<InterfaceStatistics>>,
}

impl Said {
    /// By a source, whose counters have been read.
    pub(super) fn by(source: &dyn Source) -> Self {
        let (known, live) = (source.interfaces().len(), source.is_live());
        Self { known, live, interfaces: source.statistics().to_vec() }
    }

    /// Takes in what another part of the same source says: each has counted frames of its own.
    pub(super) fn merge(&mut self, part: Self) {
        let Self { known, live, interfaces } = part;
        (self.known, self.live) = (self.known.max(known), self.live || live);
        self.interfaces.resize(self.interfaces.len().max(interfaces.len()), None);
        for (all, more) in self.interfaces.iter_mut().zip(interfaces) {
            let Some(more) = more else { continue };
            all.get_or_insert_default().merge(more);
        }
    }
}

/// The statistics for one output: what did not come to it because its ring was full is lost like what did not come to
/// wharf. Of which of several interfaces that was is not known.
pub(super) fn as_seen_by(
    output: usize,
    statistics: &[InterfaceStatistics],
    tallies: &[Tally],
) -> Vec<InterfaceStatistics> {
    let mut statistics = statistics.to_vec();
    if let [only] = &mut statistics[..] {
        let ring_full: u64 = tallies.iter().map(|tally| tally.outputs[output].ring_full).sum();
        only.dropped += ring_full;
        only.delivered = only.delivered.map(|delivered| delivered.saturating_sub(ring_full));
    }
    statistics
}
