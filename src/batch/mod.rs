//! Parses and verifies a whole batch at once: the fast way to what [`parse`](crate::parse) and
//! [`verify`] find frame by frame.
//!
//! Most packets have a common shape: Ethernet, perhaps one VLAN tag, IPv4 without options or IPv6 without extension
//! headers, TCP, UDP or ICMP, no fragment. Of those a [`Summary`] of eight bytes is made, several at a time where the CPU
//! has [lanes](lanes()) for them and one by one elsewhere; where a checksum is wrong their [`Verdicts`] are kept. Every
//! other one goes the general way, and its [`Layers`] are kept too. Layers of a packet of a common shape are found by the
//! same general walk when somebody asks for them: what anybody sees is always what the walk says.
//!
//! ```
//! use wharf::batch::Findings;
//! use wharf::source::synthetic::{Synthetic, Traffic};
//! use wharf::verify::Verdict;
//!
//! let source = Synthetic::new(&Traffic { frames: 200, bad_percent: 0, ..Traffic::default() });
//! let batch = source.table();
//! let mut findings = Findings::new();
//! findings.read(batch);
//! assert_eq!(findings.summaries().len(), batch.len());
//! assert_eq!(findings.checksums().ip.of(Verdict::Good), batch.len() as u64);
//!
//! let layers = findings.layers(&batch.frame(7), 7);
//! assert_eq!(findings.summaries()[7].transport(), layers.outer.unwrap().transport);
//! ```

mod common;
mod summary;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86_64;

pub use crate::checksum::Lanes;
pub use summary::Summary;

use crate::checksum::{self, Kernel, Task};
use crate::frame::{Batch, Frame};
use crate::parse::{Layers, Malformed, Packet, parse, parse_into};
use crate::verify::{self, Checksums, Verdicts, verify_into};
use common::{Common, Seen};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The vectors in whose lanes packets are read, several at a time: AVX-512 or AVX2, as the CPU has them and by the same
/// choice by which [sums are taken](crate::checksum::Variant); `None` where they are read one by one.
#[must_use]
pub fn lanes() -> Option<Lanes> {
    struct Ask;
    impl Task for Ask {
        type Output = Option<Lanes>;

        #[inline(always)]
        fn run<K: Kernel>(self, _: K) -> Option<Lanes> {
            K::LANES
        }
    }
    checksum::run(Ask)
}

/// What is in the packets of one batch. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Findings {
    /// One for each frame.
    summaries: Vec<Summary>,
    /// At least one for each frame; meant where its summary says that it is laid out.
    layers: Vec<Layers>,
    /// Likewise, for frames that are not laid out: filled in when somebody asks.
    on_demand: Vec<OnceLock<Layers>>,
    /// At least one for each frame; meant only where its summary says that it is judged.
    verdicts: Vec<Verdicts>,
    /// Indices of the frames that do not keep their headers' promises, in order.
    malformed: Vec<u32>,
    /// Something has been filled in on demand.
    lent: AtomicBool,
    /// Checksums are left alone.
    unverified: bool,
    checksums: Checksums,
}

impl Findings {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses and verifies every frame of `batch`, in place of what was read before.
    pub fn read(&mut self, batch: Batch<'_>) {
        self.unverified = false;
        self.run(batch);
    }

    /// Parses every frame and verifies nothing: of no checksum anything is known then
    /// ([`Verdict::NotApplicable`](crate::verify::Verdict::NotApplicable)), and what is behind the headers is not touched.
    pub fn read_unverified(&mut self, batch: Batch<'_>) {
        self.unverified = true;
        self.run(batch);
    }

    fn run(&mut self, batch: Batch<'_>) {
        struct Read<'r, 'b>(&'r mut Findings, Batch<'b>);
        impl Task for Read<'_, '_> {
            type Output = ();

            #[inline(always)]
            fn run<K: Kernel>(self, kernel: K) {
                let Self(findings, batch) = self;
                findings.read_by(kernel, batch);
            }
        }
        self.begin(batch.len());
        checksum::run(Read(self, batch));
    }

    /// What somebody else has found in `batch`, one entry for each frame.
    ///
    /// # Panics
    /// When there are not as many of both as frames.
    #[must_use]
    pub fn given(batch: Batch<'_>, layers: &[Layers], verdicts: &[Verdicts]) -> Self {
        assert!(batch.len() == layers.len() && batch.len() == verdicts.len(), "one entry a frame");
        let mut findings = Self::default();
        findings.begin(batch.len());
        for index in 0..batch.len() {
            findings.layers[index] = layers[index];
            findings.verdicts[index] = verdicts[index];
            findings.keep(index);
        }
        findings
    }

    /// One for each frame, in order.
    #[must_use]
    pub fn summaries(&self) -> &[Summary] {
        &self.summaries
    }

    /// Where the headers of the frame at `index` lie. Walked now, unless they have been before.
    ///
    /// # Panics
    /// When `index` is not that of a frame of the batch; `frame` must be the one there.
    #[inline]
    #[must_use]
    pub fn layers(&self, frame: &Frame<'_>, index: usize) -> &Layers {
        if self.summaries[index].is_laid_out() { &self.layers[index] } else { self.lend(frame, index) }
    }

    /// The same for the frame at `index` of `batch`, which is made only if it must be walked: a frame that has been lent
    /// to somebody has to be copied from there.
    #[inline(always)]
    pub(crate) fn layers_in(&self, batch: Batch<'_>, index: usize) -> &Layers {
        if self.summaries[index].is_laid_out() {
            &self.layers[index]
        } else {
            self.lend(&batch.frame(index), index)
        }
    }

    #[inline(never)]
    fn lend(&self, frame: &Frame<'_>, index: usize) -> &Layers {
        self.on_demand[index].get_or_init(|| {
            // Relaxed: it is read through an exclusive reference, which no other thread's shared one outlives.
            self.lent.store(true, Ordering::Relaxed);
            parse(frame)
        })
    }

    /// Finds the layers of the frames at these indices, of the batch that was read, for somebody who will ask for all
    /// of them.
    ///
    /// # Panics
    /// When an index is not that of a frame of the batch.
    pub fn lay_out(&mut self, batch: Batch<'_>, indices: &[u16]) {
        for &index in indices {
            let index = usize::from(index);
            if !self.summaries[index].is_laid_out() {
                let record = &batch.records()[index];
                parse_into(batch.data(record), record, &mut self.layers[index]);
                self.summaries[index] = self.summaries[index].laid_out();
            }
        }
    }

    /// The verdicts over the frame at `index`.
    ///
    /// # Panics
    /// When `index` is not that of a frame of the batch.
    #[must_use]
    pub fn verdicts(&self, index: usize) -> Verdicts {
        let summary = self.summaries[index];
        if summary.is_judged() { self.verdicts[index] } else { summary.verdicts() }
    }

    /// The verdicts over the frame at `index` of `batch`, of which what the sending host has left to its device is not called
    /// wrong; without keeping layers that nobody else may ask for.
    pub(crate) fn finished_verdicts(&self, batch: Batch<'_>, index: usize) -> Verdicts {
        let verdicts = self.verdicts(index);
        if !verdicts.any_bad() {
            return verdicts;
        }
        let frame = batch.frame(index);
        let layers = if self.summaries[index].is_laid_out() { self.layers[index] } else { parse(&frame) };
        verify::finished(&Packet::new(frame, &layers), verdicts)
    }

    /// The [verdicts](Self::checksums) over all frames of `batch`, of which what hosts have left to their devices is not called
    /// wrong.
    pub(crate) fn finished_checksums(&self, batch: Batch<'_>) -> Checksums {
        let mut checksums = self.checksums;
        if checksums.any_bad() {
            for index in 0..batch.len() {
                let was = self.verdicts(index);
                if was.any_bad() {
                    checksums.recount(&was, &self.finished_verdicts(batch, index));
                }
            }
        }
        checksums
    }

    /// The verdicts over all frames.
    #[must_use]
    pub fn checksums(&self) -> &Checksums {
        &self.checksums
    }

    /// What was wrong with those frames that do not keep their headers' promises.
    pub fn malformed(&self) -> impl Iterator<Item = Malformed> {
        self.malformed.iter().filter_map(|&index| self.layers[index as usize].malformed)
    }

    /// Forgets the last batch and makes room for one of `frames`.
    fn begin(&mut self, frames: usize) {
        if std::mem::take(self.lent.get_mut()) {
            self.on_demand.iter_mut().for_each(|layers| *layers = OnceLock::new());
        }
        self.malformed.clear();
        self.summaries.clear();
        self.make_room(frames);
        self.summaries.resize(frames, Summary::default());
        self.checksums = Checksums::default();
    }

    /// Makes room for a batch of `frames`, which will then be read without an allocation.
    pub(crate) fn make_room(&mut self, frames: usize) {
        if self.layers.len() < frames {
            // With some to spare: a batch a little larger than the last shall not allocate.
            let room = frames.next_power_of_two();
            self.summaries.reserve(room.saturating_sub(self.summaries.len()));
            self.malformed.reserve(room.saturating_sub(self.malformed.len()));
            self.layers.resize(room, Layers::default());
            self.on_demand.resize_with(room, OnceLock::new);
            self.verdicts.resize(room, Verdicts::default());
        }
    }

    /// Summarises what has a common shape, and walks the others.
    #[inline(always)]
    fn read_by<K: Kernel>(&mut self, kernel: K, batch: Batch<'_>) {
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = K::LANES {
            #[allow(unsafe_code)]
            return match lanes {
                // SAFETY: a value of a kernel with these lanes exists only where the CPU has what `read` is compiled for.
                Lanes::Avx2 => unsafe { x86_64::avx2::read(kernel, self, batch) },
                // SAFETY: likewise.
                Lanes::Avx512 => unsafe { x86_64::avx512::read(kernel, self, batch) },
            };
        }
        let (mut seen, verified) = (Seen::default(), !self.unverified);
        for (index, record) in batch.records().iter().enumerate() {
            match seen.read(kernel, batch.slab(), record, verified) {
                Some(Common::Right(summary)) => self.summaries[index] = summary,
                Some(Common::Wrong(summary)) => {
                    let verdicts = &mut self.verdicts[index];
                    common::judge(kernel, batch.data(record), record, summary, verdicts);
                    self.summaries[index] = summary.judged(verdicts.ip, verdicts.l4);
                    self.checksums.add(verdicts);
                }
                None => self.walk(kernel, batch, index),
            }
        }
        if verified {
            seen.settle(&mut self.checksums);
        }
    }

    /// Reads a frame the general way.
    #[inline(never)]
    fn walk<K: Kernel>(&mut self, kernel: K, batch: Batch<'_>, index: usize) {
        let record = &batch.records()[index];
        let data = batch.data(record);
        let (layers, verdicts) = (&mut self.layers[index], &mut self.verdicts[index]);
        parse_into(data, record, layers);
        if self.unverified {
            *verdicts = Verdicts::default();
            self.summaries[index] = Summary::walked(layers, verdicts);
            self.note_malformed(index);
        } else {
            verify_into(kernel, data, record.offload, layers, verdicts);
            self.keep(index);
        }
    }

    #[inline]
    fn note_malformed(&mut self, index: usize) {
        if self.layers[index].malformed.is_some() {
            self.malformed.push(index as u32);
        }
    }

    /// Keeps what was found in a frame of a common shape, a checksum of which is wrong.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn judge(&mut self, index: usize, summary: Summary, verdicts: Verdicts) {
        self.summaries[index] = summary.judged(verdicts.ip, verdicts.l4);
        self.checksums.add(&verdicts);
        self.verdicts[index] = verdicts;
    }

    /// Sums up a frame whose layers and verdicts are there already.
    #[inline]
    fn keep(&mut self, index: usize) {
        let verdicts = &self.verdicts[index];
        self.summaries[index] = Summary::walked(&self.layers[index], verdicts);
        self.checksums.add(verdicts);
        self.note_malformed(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Record;
    use crate::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};
    use crate::verify::Verdict;

    /// Were they walked, nobody would notice but who waits.
    #[test]
    fn common_packets_are_not_walked() {
        // From where a header is all there is, to beyond where a length in bits has more than 16 of them.
        let lengths = (42..220).chain([576, 1_514]).chain((8_180..8_290).step_by(6)).chain([40_000]);
        for (length, icmp) in lengths.flat_map(|length| [(length, false), (length, true)]) {
            let mut protocols = vec![(Protocol::Tcp, 2), (Protocol::Udp, 2)];
            protocols.extend(icmp.then_some((Protocol::Icmp, 1)));
            let traffic = Traffic {
                frames: 96,
                distinct: 96,
                sizes: Sizes::Fixed(length),
                // ICMPv6 is not common.
                ipv6_percent: if icmp { 0 } else { 40 },
                vlan_percent: 40,
                bad_percent: 0,
                protocols,
                ..Traffic::default()
            };
            let source = Synthetic::new(&traffic);
            let table = source.table();
            let mut records = table.records().to_vec();
            records.iter_mut().step_by(5).for_each(|record| record.offload.checksum_valid = true);
            // Behind the last frame lies enough to load whole lines.
            let mut slab = [table.slab(), &[0; 128]].concat();
            let read = |slab: &[u8], records: &[Record]| {
                let mut findings = Findings::new();
                findings.read(Batch::new(slab, records, table.interfaces()));
                let walked = findings.summaries().iter().filter(|summary| summary.is_laid_out()).count();
                // By chance a payload looks like a packet of IPv6, and by chance only a packet itself tells what is right.
                assert!(walked <= 1, "{walked} of {length} bytes");
                findings
            };
            read(&slab, &records);
            // Some wrong, and some not captured to their ends.
            for record in records.iter().step_by(3) {
                slab[(record.offset + record.captured) as usize - 1] ^= 1;
            }
            let cut = if length < 82 { 0 } else { 1 };
            records.iter_mut().skip(1).step_by(3).for_each(|record| record.captured -= cut);
            let findings = read(&slab, &records);
            let Checksums { l4, .. } = findings.checksums();
            assert!(l4.of(Verdict::Bad { found: 0, expected: 0 }) > 20);
            assert!(cut == 0 || l4.of(Verdict::Truncated) > 20);
        }
    }
}
