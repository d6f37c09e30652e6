//! The stages of the line as a worker runs them, one batch after the other.

use super::shape::{Promise, SLOTS};
use std::array;
use std::hint::black_box;
use wharf::batch::Findings;
use wharf::demux::{OutputId, PortMap};
use wharf::frame::{Batch, Record};
use wharf::source::synthetic::Tally;
use wharf::verify::{Checksums, Verdict};

/// A worker's stages, with what they have counted.
pub(super) struct Line<'m> {
    map: &'m PortMap,
    findings: Findings,
    outputs: Vec<OutputId>,
    counts: Counts,
    checksums: Checksums,
}

impl<'m> Line<'m> {
    pub(super) fn new(map: &'m PortMap) -> Self {
        let (findings, outputs) = (Findings::new(), Vec::new());
        Self { map, findings, outputs, counts: Counts::default(), checksums: Checksums::default() }
    }

    /// Parse and verify.
    #[inline]
    pub(super) fn read(&mut self, batch: Batch<'_>) {
        self.findings.read(batch);
        self.checksums.merge(self.findings.checksums());
        black_box(self.findings.summaries());
    }

    /// Parse, verify, demultiplex, count.
    #[inline]
    pub(super) fn all(&mut self, batch: Batch<'_>) {
        self.read(batch);
        self.map.route(self.findings.summaries(), &mut self.outputs);
        self.counts.add(&self.outputs, batch.records());
    }

    /// What was found in the batch read last, and where it went.
    pub(super) fn last(&self) -> (&Findings, &[OutputId]) {
        (&self.findings, &self.outputs)
    }

    /// What `read` has counted since the last time: right and wrong checksums over what IP carries.
    pub(super) fn take_checksums(&mut self) -> (u64, u64) {
        let l4 = std::mem::take(&mut self.checksums).l4;
        (l4.of(Verdict::Good), l4.of(Verdict::Bad { found: 0, expected: 0 }))
    }

    /// What `all` has counted since the last time.
    pub(super) fn take(&mut self) -> Promise {
        let (good, bad) = self.take_checksums();
        let outputs = std::mem::take(&mut self.counts).outputs();
        let sum = |value: fn(&Tally) -> u64| outputs.iter().map(value).sum();
        let total = Tally { frames: sum(|tally| tally.frames), bytes: sum(|tally| tally.bytes) };
        Promise { total, good, bad, outputs }
    }
}

/// Packets and bytes by output.
#[derive(Default)]
pub(super) struct Counts {
    /// In four copies taken in turn: an addition to the same place would wait for the one before to come through.
    copies: [[Tally; SLOTS]; 4],
}

impl Counts {
    #[inline]
    pub(super) fn add(&mut self, outputs: &[OutputId], records: &[Record]) {
        let add = |slots: &mut [Tally; SLOTS], output: OutputId, record: &Record| {
            let tally = &mut slots[usize::from(output.0) % SLOTS];
            tally.frames += 1;
            tally.bytes += u64::from(record.wire_length);
        };
        let (fours, record_fours) = (outputs.chunks_exact(4), records.chunks_exact(4));
        let rest = fours.remainder().iter().zip(record_fours.remainder());
        for (outputs, records) in fours.zip(record_fours) {
            for at in 0..4 {
                add(&mut self.copies[at], outputs[at], &records[at]);
            }
        }
        rest.for_each(|(output, record)| add(&mut self.copies[0], *output, record));
    }

    pub(super) fn outputs(&self) -> [Tally; SLOTS] {
        array::from_fn(|output| {
            let copies = self.copies.iter().map(|copy| copy[output]);
            copies.fold(Tally::default(), |sum, tally| Tally {
                frames: sum.frames + tally.frames,
                bytes: sum.bytes + tally.bytes,
            })
        })
    }
}
