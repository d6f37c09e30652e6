//! The ledger: what became of every packet.

use super::stats::Tally;
use crate::parse::{Layer, Reason};
use crate::sink::Strain;
use crate::source::RingUse;
use crate::verify::{Checksums, Verdict};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes of the largest ring that can be asked for: the kernel counts them in 32 bits.
const MOST_RING: u64 = 4094 << 20;

/// What became of the packets that came to one place. Nothing is lost without a name:
///
/// ```text
/// received = delivered + filtered_out + dropped{reason}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ledger {
    /// Packets that came, as their giver counted them.
    pub received: u64,
    /// Accepted by a sink, and kept: what a sink had still buffered when it failed is not among them.
    pub delivered: u64,
    /// Left out on request: by the source, as far as it counts them (the kernel does not count what a direction
    /// filter leaves out, which is nowhere in the ledger), because no output was given for them, because they came to
    /// one of several outputs when it had all it wanted, or because the sink
    /// [found](crate::sink::Sink::passed_over) that it did not want them.
    pub filtered_out: u64,
    /// Lost, by reason; reasons that did not occur are absent.
    pub dropped: BTreeMap<DropReason, u64>,
}

/// Why packets were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The kernel had no room: the ring was full because we were too slow.
    KernelRingFull,
    /// Still in the kernel's ring when the run ended at its packet limit or by a failure.
    LeftUnread,
    /// Handed to an output that failed, and not kept by it.
    OutputFailed,
    /// Not handed to an output, because it was too slow and its ring full; see [`Policy`](super::Policy).
    OutputRingFull,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KernelRingFull => "kernel ring full",
            Self::LeftUnread => "left unread at the end",
            Self::OutputFailed => "output failed",
            Self::OutputRingFull => "output ring full",
        })
    }
}

impl Ledger {
    /// Packets lost for any reason.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Packets lost against everybody's will: all drops but those left unread, which is what a packet
    /// limit does to those that came after it.
    #[must_use]
    pub fn unwanted_losses(&self) -> u64 {
        self.lost() - self.dropped.get(&DropReason::LeftUnread).unwrap_or(&0)
    }

    /// Whether the equation holds.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.received == self.delivered + self.filtered_out + self.lost()
    }

    fn with_drops(mut self, drops: &[(DropReason, u64)]) -> Self {
        self.dropped = drops.iter().copied().filter(|(_, packets)| *packets > 0).collect();
        self
    }
}

/// `200000 received = 199000 delivered + 0 filtered out + 1000 dropped (1000 kernel ring full)`.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, delivered, filtered_out, dropped } = self;
        let equals = if self.balanced() { "=" } else { "IS NOT" };
        let lost = self.lost();
        write!(
            f,
            "{received} received {equals} {delivered} delivered + {filtered_out} filtered out + {lost} dropped"
        )?;
        for (index, (reason, packets)) in dropped.iter().enumerate() {
            write!(f, "{}{packets} {reason}", if index == 0 { " (" } else { ", " })?;
        }
        f.write_str(if dropped.is_empty() { "" } else { ")" })
    }
}

/// What became of every packet of a run. Printed, it is the equation in words; [`serde`] gives it as JSON.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The whole run, the kernel's losses included.
    #[serde(flatten)]
    pub total: Ledger,
    /// Captured bytes of the packets taken from the source.
    pub bytes: u64,
    /// Each worker's part. Not in the JSON, which is the same for any number of workers; where each has had a ring of its own,
    /// it is printed.
    #[serde(skip)]
    pub workers: Vec<Ledger>,
    /// Each output's part, in the order of declaration.
    pub outputs: Vec<OutputReport>,
    /// Verdicts over all packets. A wrong checksum that looks as the sending host leaves it to its device is among those that are
    /// [not ready](Verdict::NotReady), whatever the source says of it.
    pub checksums: Checksums,
    /// Packets that did not keep their own headers' promises or were cut within a header by the snapshot
    /// length, most frequent kind first.
    pub malformed: Vec<MalformedCount>,
    /// Times the kernel stopped filling the ring because it was full.
    pub ring_freezes: u64,
    /// Packets that the capture file which was read says were lost while it was written: they are in no ledger here.
    pub lost_earlier: u64,
    /// How the kernel's rings of a live source fared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rings: Option<RingUse>,
    /// What went wrong at the end beside the error that ended the run, such as a second output that
    /// could not be completed.
    pub further_failures: Vec<String>,
}

/// What became of the packets sent to one output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutputReport {
    /// The output's rule.
    pub rule: String,
    /// Its packets; the kernel's losses are in no output's ledger, as they were never demultiplexed.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Captured bytes of those its sink accepted, with what it lost when it failed.
    pub bytes: u64,
    /// How well its queue before the disk sufficed, if it has one; absent in the JSON without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strain: Option<Strain>,
}

/// How many packets were malformed in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MalformedCount {
    /// Header the parser stopped in.
    #[serde(serialize_with = "layer_key")]
    pub layer: Layer,
    /// What was wrong with it.
    #[serde(serialize_with = "reason_key")]
    pub reason: Reason,
    /// How many.
    pub packets: u64,
}

fn layer_key<S: Serializer>(layer: &Layer, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(layer.key())
}

fn reason_key<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.key())
}

impl Report {
    /// Puts the workers' tallies together. `rules` names the outputs.
    pub(super) fn new(tallies: &[Tally], rules: Vec<String>) -> Self {
        let mut all = Tally::new(rules.len());
        tallies.iter().for_each(|tally| all.merge(tally));
        let outputs = rules.into_iter().zip(&all.outputs).map(|(rule, output)| {
            let ledger = Ledger {
                received: output.delivered + output.surplus + output.failed + output.ring_full,
                delivered: output.delivered,
                filtered_out: output.surplus,
                ..Ledger::default()
            };
            let drops =
                [(DropReason::OutputFailed, output.failed), (DropReason::OutputRingFull, output.ring_full)];
            OutputReport { rule, ledger: ledger.with_drops(&drops), bytes: output.bytes, strain: None }
        });
        Self {
            outputs: outputs.collect(),
            total: ledger_of(&all),
            bytes: all.bytes,
            workers: tallies.iter().map(ledger_of).collect(),
            checksums: all.checksums,
            ring_freezes: all.source.freezes,
            lost_earlier: all.source.lost_earlier,
            rings: None,
            malformed: (all.malformed.sorted().into_iter())
                .map(|(layer, reason, packets)| MalformedCount { layer, reason, packets })
                .collect(),
            further_failures: Vec::new(),
        }
    }

    /// Each worker's part where it tells something: of a live source that several have read, each a share of its own.
    #[must_use]
    pub fn shares(&self) -> Option<&[Ledger]> {
        let are_apart = self.rings.as_ref().is_some_and(|rings| rings.rings > 1);
        (are_apart && self.workers.len() > 1).then_some(&self.workers[..])
    }

    /// Whether every ledger's equation holds, and the outputs add up to the total.
    #[must_use]
    pub fn balanced(&self) -> bool {
        let outputs = self.outputs.iter().map(|output| &output.ledger);
        self.total.balanced()
            && self.workers.iter().all(Ledger::balanced)
            && outputs.clone().all(Ledger::balanced)
            && outputs.map(|ledger| ledger.delivered).sum::<u64>() == self.total.delivered
    }
}

/// The equation over one worker or all: what its source counted on one side, what it did on the other.
fn ledger_of(tally: &Tally) -> Ledger {
    let ledger = Ledger {
        received: tally.source.received,
        delivered: tally.outputs.iter().map(|output| output.delivered).sum(),
        filtered_out: tally.source.filtered
            + tally.unrouted
            + tally.outputs.iter().map(|output| output.surplus).sum::<u64>(),
        ..Ledger::default()
    };
    ledger.with_drops(&[
        (DropReason::KernelRingFull, tally.source.dropped_ring),
        (DropReason::LeftUnread, tally.source.unread),
        (DropReason::OutputFailed, tally.outputs.iter().map(|output| output.failed).sum()),
        (DropReason::OutputRingFull, tally.ring_full()),
    ])
}

/// The equation, then a line for each output where there are several, and for each worker that had a ring of its own, and
/// what was amiss.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.total)?;
        if self.outputs.len() > 1 {
            let width = self.outputs.iter().map(|output| output.rule.len()).max().unwrap_or(0);
            for OutputReport { rule, ledger, .. } in &self.outputs {
                write!(f, "\n  {rule:width$}  {ledger}")?;
            }
        }
        for (number, ledger) in self.shares().unwrap_or_default().iter().enumerate() {
            write!(f, "\n  worker {number}  {ledger}")?;
        }
        let Checksums { ip, l4, inner_ip, inner_l4 } = &self.checksums;
        let bad = Verdict::Bad { found: 0, expected: 0 };
        let bad_ones = [
            ("in IPv4 headers", ip.of(bad) + inner_ip.of(bad)),
            ("in what IP carries (TCP, UDP, ...)", l4.of(bad) + inner_l4.of(bad)),
        ];
        list(f, "bad checksums", bad_ones.into_iter().filter(|(_, count)| *count > 0))?;
        // What the capture cut short is nobody's fault, and not called malformed.
        let (cut, malformed): (Vec<_>, Vec<_>) =
            self.malformed.iter().partition(|kind| kind.reason == Reason::Snapped);
        let named = malformed.iter().map(|kind| (format!("{} {}", kind.layer, kind.reason), kind.packets));
        list(f, "malformed", named)?;
        list(f, "headers cut by the snapshot length", cut.iter().map(|kind| (kind.layer, kind.packets)))?;
        match self.lost_earlier {
            0 => {}
            1 => f.write_str("\nthe file says that 1 packet was lost while it was written")?,
            lost => write!(f, "\nthe file says that {lost} packets were lost while it was written")?,
        }
        if self.ring_freezes > 0 {
            let times = if self.ring_freezes == 1 {
                "once".to_owned()
            } else {
                format!("{} times", self.ring_freezes)
            };
            write!(f, "\nthe kernel's ring was full {times}")?;
            // Where it was raised, that is what its note says.
            match &self.rings {
                Some(RingUse { raised_from: None, rings, bytes, .. }) if *rings > 0 => {
                    let each = bytes / *rings as u64;
                    if each < MOST_RING {
                        let more = (2 * each).min(MOST_RING).div_ceil(1 << 20);
                        let longer =
                            if 2 * each > MOST_RING { "longer stall" } else { "stall twice as long" };
                        write!(f, ": --ring {more}M has room for a {longer}; if it was none, ")?;
                    } else {
                        f.write_str(", and no kernel takes a larger one: ")?;
                    }
                    f.write_str("what comes takes more --cores, or less to do with each packet")?;
                }
                _ => {}
            }
        }
        if let Some(rings) = &self.rings {
            write!(f, "\n{rings}")?;
        }
        if [DropReason::OutputRingFull, DropReason::KernelRingFull]
            .iter()
            .any(|reason| self.total.dropped.contains_key(reason))
        {
            self.outputs.iter().try_for_each(|output| output.show_strain(f, self.outputs.len() > 1))?;
        }
        Ok(())
    }
}

impl OutputReport {
    /// What to do about a disk that was too slow, if all that may wait for it did.
    fn show_strain(&self, f: &mut fmt::Formatter<'_>, named: bool) -> fmt::Result {
        let Some(Strain { queued_most, waited, longest_write, .. }) = self.strain else { return Ok(()) };
        if waited.is_zero() {
            return Ok(());
        }
        let name = if named { format!(" for {}", self.rule) } else { String::new() };
        let most = queued_most >> 20;
        let [waited, longest] = [waited, longest_write].map(|time| time.as_secs_f64());
        write!(
            f,
            "\nthe disk{name} was slow: {most} MiB waited to be written, all that may, and what came then had to wait for \
             {waited:.3} s; the longest write took {longest:.3} s"
        )?;
        f.write_str(": a larger --write-queue outlasts longer stalls, a faster disk more traffic")
    }
}

/// A line `title: 3 this, 1 that`, or nothing.
fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    items: impl Iterator<Item = (T, u64)>,
) -> fmt::Result {
    for (index, (item, count)) in items.enumerate() {
        match index {
            0 => write!(f, "\n{title}: {count} {item}")?,
            _ => write!(f, ", {count} {item}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(rings: usize, mebibytes: u64) -> Report {
        let rings = Some(RingUse { rings, bytes: rings as u64 * (mebibytes << 20), ..RingUse::default() });
        Report { ring_freezes: 1, rings, ..Report::default() }
    }

    #[test]
    fn no_ring_is_advised_that_cannot_be_had() {
        let advice = |rings, mebibytes| full(rings, mebibytes).to_string().lines().nth(1).unwrap().to_owned();
        let more = "what comes takes more --cores, or less to do with each packet";
        assert_eq!(
            advice(2, 64),
            format!(
                "the kernel's ring was full once: --ring 128M has room for a stall twice as long; if it was none, {more}"
            )
        );
        assert!(advice(1, 2047).contains(": --ring 4094M has room for a stall twice as long; "));
        assert!(advice(1, 2048).contains(": --ring 4094M has room for a longer stall; "));
        let last = format!("the kernel's ring was full once, and no kernel takes a larger one: {more}");
        assert_eq!(advice(1, 4094), last);
    }

    #[test]
    fn workers_are_told_where_each_had_a_ring_of_its_own() {
        let worker = |received| Ledger { received, delivered: received, ..Ledger::default() };
        let mut report = Report { workers: vec![worker(7), worker(5)], ..full(2, 64) };
        let lines =
            "\n  worker 0  7 received = 7 delivered + 0 filtered out + 0 dropped\n  worker 1  5 received = ";
        assert!(report.to_string().contains(lines), "{report}");
        assert_eq!(report.shares().map(<[_]>::len), Some(2));
        // Turns at one file, or at one ring, say nothing.
        for rings in [None, full(1, 64).rings] {
            report.rings = rings;
            assert!(!report.to_string().contains("worker") && report.shares().is_none(), "{report}");
        }
    }
}
