//! How much this host captures without loss, found by trial, and what gives first.

use crate::exit::Outcome;
use crate::print::print;
use anyhow::{Context, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;
use std::fmt::Write;
use std::io;
use std::num::NonZeroU64;
use std::thread;
use std::time::Duration;
use wharf::engine::{DropReason, Engine, Report, Shutdown};
use wharf::sink::Count;
use wharf::sink::transmit::{Pace, Rate, Sent, Transmit};
use wharf::source::packet::{Capture, Upstream, UpstreamLosses};
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};
use wharf::source::{Fill, Source};
use wharf::sys::{Lab, namespace};

/// Lengths of frames, without their check sequence.
const SIZES: [u16; 2] = [60, 1514];
/// How long each rate is tried, and the one that is told in the end.
const TRIAL: Duration = Duration::from_millis(400);
const LAST: Duration = Duration::from_millis(1_500);
/// Times the distance between what went well and what did not is halved.
const HALVINGS: u32 = 5;
/// What was sent a moment ago is still on its way.
const LINGER: Duration = Duration::from_millis(50);

/// What came to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Sender,
    Backlog,
    VethRing,
    KernelRing,
    Output,
    Unknown,
}

impl Stage {
    fn told(self) -> &'static str {
        match self {
            Self::Sender => "the sender: this host generates no more",
            Self::Backlog => "the backlog of the receiving CPU (net.core.netdev_max_backlog)",
            Self::VethRing => "the veth's receive ring: frames vanish into the sender's tx_dropped",
            Self::KernelRing => "the capture's ring in the kernel: the worker that reads it does not keep up",
            Self::Output => "the worker's output",
            Self::Unknown => "something that nobody counts",
        }
    }
}

/// One rate, tried for a while.
#[derive(Clone, Debug, Serialize)]
struct Trial {
    /// Frames a second that were asked for; `None` for as many as go.
    wanted: Option<u64>,
    /// Frames a second that the kernel took from the sender.
    rate: f64,
    sent: u64,
    received: u64,
    delivered: u64,
    kernel_ring_full: u64,
    output_ring_full: u64,
    /// Given up by the sender's end of the veth.
    sender_tx_dropped: u64,
    /// Dropped by CPUs' backlogs, of the whole host.
    backlog_dropped: u64,
    /// Sent, and neither received nor named anywhere.
    unaccounted: u64,
    /// First in the line of those that lost something.
    gave: Option<Stage>,
}

/// What came of one size.
#[derive(Debug, Serialize)]
struct Verdict {
    frame_bytes: u16,
    /// The highest rate that lost nothing, in frames a second as they were sent; `None` where each lost some.
    loss_free: Option<f64>,
    first_to_give: Stage,
    trials: Vec<Trial>,
}

/// Where the two ends run.
#[derive(Clone, Copy)]
struct Places {
    capture: Option<usize>,
    sender: Option<usize>,
}

pub(super) fn run(json: bool) -> anyhow::Result<Outcome> {
    // First of all: a process with threads cannot change its user namespace.
    namespace::enter_private()?;
    let places = places()?;
    let lab = Lab::new().and_then(Lab::with_static_neighbours).context("cannot make a network")?;
    if !json {
        print(introduction(places))?;
    }
    let mut verdicts = Vec::new();
    for size in SIZES {
        let verdict = find(|rate, time| trial(&lab, places, size, rate, time), size)?;
        if !json {
            print(told(&verdict))?;
        }
        verdicts.push(verdict);
    }
    if json {
        print(serde_json::to_string(&verdicts)? + "\n")?;
    }
    let unaccounted = verdicts.iter().flat_map(|verdict| &verdict.trials).any(|trial| trial.unaccounted > 0);
    Ok(if unaccounted { Outcome::Losses } else { Outcome::Done })
}

/// A CPU for each end, where there are two.
fn places() -> anyhow::Result<Places> {
    let set = sched_getaffinity(None).context("which CPUs may be used")?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu));
    Ok(match (cpus.next(), cpus.next()) {
        (Some(first), Some(second)) => Places { capture: Some(first), sender: Some(second) },
        _ => Places { capture: None, sender: None },
    })
}

fn introduction(places: Places) -> String {
    let on = |cpu: Option<usize>| cpu.map_or_else(String::new, |cpu| format!(" on CPU {cpu}"));
    format!(
        "A generator{} sends over a veth pair to a capture{}, which parses every packet,\n\
         verifies its checksums and counts it by port.\n",
        on(places.sender),
        on(places.capture)
    )
}

/// From as fast as goes down to what loses nothing.
fn find(
    mut trial: impl FnMut(Option<u64>, Duration) -> anyhow::Result<Trial>,
    size: u16,
) -> anyhow::Result<Verdict> {
    let mut trials = vec![trial(None, TRIAL)?];
    let (mut good, mut bad) = (0, trials[0].rate as u64);
    if trials[0].gave.is_none() {
        // All that can be sent arrives. Once more for longer, to be sure of it.
        let last = trial(None, LAST)?;
        let (rate, gave) = (last.rate, last.gave);
        trials.push(last);
        if gave.is_none() {
            return Ok(Verdict {
                frame_bytes: size,
                loss_free: Some(rate),
                first_to_give: Stage::Sender,
                trials,
            });
        }
    }
    for _ in 0..HALVINGS {
        let rate = u64::midpoint(good, bad).max(1);
        let next = trial(Some(rate), TRIAL)?;
        if next.gave.is_none() {
            good = rate
        } else {
            bad = rate
        }
        trials.push(next);
    }
    // The one told must hold for longer; a little less each time that it does not.
    let mut loss_free = None;
    for tenths in [10, 9, 8, 6, 4] {
        let rate = good / 10 * tenths;
        if rate == 0 {
            break;
        }
        let last = trial(Some(rate), LAST)?;
        let went_well = last.gave.is_none();
        let sent = last.rate;
        trials.push(last);
        if went_well {
            loss_free = Some(sent);
            break;
        }
    }
    let lowest = trials.iter().filter(|trial| trial.gave.is_some()).min_by(|a, b| a.rate.total_cmp(&b.rate));
    let first_to_give = lowest.and_then(|trial| trial.gave).unwrap_or(Stage::Sender);
    Ok(Verdict { frame_bytes: size, loss_free, first_to_give, trials })
}

fn trial(lab: &Lab, places: Places, size: u16, rate: Option<u64>, time: Duration) -> anyhow::Result<Trial> {
    let interface = lab.server.interface;
    let (capture, mut upstream) = lab.server.namespace.run(|| {
        let capture = Capture::on(interface).open();
        Ok((capture, Upstream::of([interface])?))
    })?;
    let capture = capture?;
    let sender = lab.client.interface;
    let pace = rate.and_then(NonZeroU64::new).map_or(Pace::FlatOut, |rate| Pace::Rate(Rate::Packets(rate)));
    let shutdown = Shutdown::default();
    let ending = shutdown.clone();
    let (report, sent) = thread::scope(|scope| {
        let mut count = Count::new();
        let wire = scope.spawn(move || {
            Engine::builder().source(capture).shutdown(ending).cores(places.capture).rest(&mut count).run()
        });
        let sent = lab.client.namespace.run(|| Ok(send(sender, places.sender, size, pace, time)));
        thread::sleep(LINGER);
        shutdown.request();
        let report = wire.join().map_err(|_| anyhow!("the capture ended early"))??;
        anyhow::Ok((report, sent??))
    })?;
    Ok(account(rate, &sent, &report, &upstream.since_begun()))
}

fn send(interface: &str, cpu: Option<usize>, size: u16, pace: Pace, time: Duration) -> anyhow::Result<Sent> {
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set).map_err(io::Error::from).context("cannot choose a CPU")?;
    }
    let traffic = Traffic { frames: u64::MAX, sizes: Sizes::Fixed(size), flows: 256, ..Traffic::default() };
    let mut source = Synthetic::new(&traffic);
    let mut wire = Transmit::on(interface).pace(pace).duration(time).open()?;
    while let Fill::Batch(batch) = source.fill(256)? {
        if !wire.send(batch)? {
            break;
        }
    }
    Ok(wire.sent().clone())
}

fn account(wanted: Option<u64>, sent: &Sent, report: &Report, upstream: &UpstreamLosses) -> Trial {
    let dropped = |reason| report.total.dropped.get(&reason).copied().unwrap_or(0);
    let (kernel_ring_full, output_ring_full) =
        (dropped(DropReason::KernelRingFull), dropped(DropReason::OutputRingFull));
    let tx_dropped =
        upstream.interfaces.iter().filter_map(|one| one.peer.as_ref()).map(|lost| lost.frames).sum();
    let backlog_dropped = upstream.backlog_dropped.unwrap_or(0);
    let rate = sent.packet_rate();
    let missing = sent.frames.saturating_sub(report.total.received);
    // What a backlog drops the sender's end of the veth counts too.
    let unaccounted = missing.saturating_sub(tx_dropped);
    let mut trial = Trial {
        wanted,
        rate,
        sent: sent.frames,
        received: report.total.received,
        delivered: report.total.delivered,
        kernel_ring_full,
        output_ring_full,
        sender_tx_dropped: tx_dropped,
        backlog_dropped,
        unaccounted,
        gave: None,
    };
    trial.gave = if unaccounted > 0 {
        Some(Stage::Unknown)
    } else if missing > 0 {
        trial.pressed()
    } else if kernel_ring_full > 0 {
        Some(Stage::KernelRing)
    } else if output_ring_full > 0 {
        Some(Stage::Output)
    } else {
        // Not lost, but not sent either.
        let short = wanted.is_some_and(|wanted| rate < wanted as f64 * 0.97);
        short.then(|| trial.pressed().unwrap_or(Stage::Sender))
    };
    trial
}

impl Trial {
    /// What had no room for frames of the sender before they came to the ring: they were lost, or, where the sender was
    /// told so, sent again.
    fn pressed(&self) -> Option<Stage> {
        match (self.sender_tx_dropped, self.backlog_dropped) {
            (0, _) => None,
            (_, 0) => Some(Stage::VethRing),
            _ => Some(Stage::Backlog),
        }
    }
}

fn told(verdict: &Verdict) -> String {
    let Verdict { frame_bytes, loss_free, first_to_give, trials } = verdict;
    let mut text = format!("\n{frame_bytes}-byte frames\n");
    for trial in trials {
        let wanted = trial.wanted.map_or_else(|| "flat out".to_owned(), |rate| rate.to_string());
        let lost = [
            (trial.sent.saturating_sub(trial.received + trial.unaccounted), "into the sender's tx_dropped"),
            (trial.kernel_ring_full, "kernel ring full"),
            (trial.output_ring_full, "output ring full"),
            (trial.unaccounted, "unaccounted for"),
        ];
        let named: Vec<_> = lost
            .iter()
            .filter(|(frames, _)| *frames > 0)
            .map(|(frames, what)| format!("{frames} {what}"))
            .collect();
        let what = match (named.is_empty(), trial.gave) {
            (true, None) => "nothing lost".to_owned(),
            (true, Some(_)) => "nothing lost, but no more could be sent".to_owned(),
            (false, _) => format!("lost: {}", named.join(", ")),
        };
        let refused = match trial.sender_tx_dropped {
            0 => String::new(),
            times => format!(
                "; refused on the way {times} times (backlogs of this host {})",
                trial.backlog_dropped
            ),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {wanted:>9}  sent {:>9.0} packets/s  {what}{refused}", trial.rate);
    }
    let _ = match loss_free {
        Some(rate) => {
            let gbit = rate * f64::from(*frame_bytes) * 8.0 / 1e9;
            writeln!(text, "  without loss: {rate:.0} packets/s ({gbit:.2} Gbit/s)")
        }
        None => writeln!(text, "  no rate was without loss"),
    };
    let _ = writeln!(text, "  first to give: {}", first_to_give.told());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::source::packet::{InterfaceLosses, Lost};

    fn made_up(sent: u64, received: u64, ring: u64, peer: u64, backlog: u64) -> Trial {
        let dropped =
            [(DropReason::KernelRingFull, ring)].into_iter().filter(|(_, frames)| *frames > 0).collect();
        let mut report = Report::default();
        (report.total.received, report.total.delivered) = (received, received - ring);
        report.total.dropped = dropped;
        let lost = Lost { counter: "client tx_dropped".into(), frames: peer };
        let peer = (peer > 0).then_some(lost);
        let upstream = UpstreamLosses {
            interfaces: vec![InterfaceLosses { peer, ..InterfaceLosses::default() }],
            backlog_dropped: Some(backlog),
            ..UpstreamLosses::default()
        };
        let sent = Sent { frames: sent, elapsed: Duration::from_secs(1), ..Sent::default() };
        account(Some(1_000), &sent, &report, &upstream)
    }

    #[test]
    fn the_stage_that_gave_is_the_first_that_lost() {
        for (trial, gave) in [
            (made_up(1_001, 1_001, 0, 0, 0), None),
            (made_up(1_001, 1_001, 5, 0, 0), Some(Stage::KernelRing)),
            (made_up(1_001, 990, 5, 11, 0), Some(Stage::VethRing)),
            (made_up(1_001, 990, 0, 11, 11), Some(Stage::Backlog)),
            (made_up(1_001, 990, 0, 10, 0), Some(Stage::Unknown)),
            (made_up(901, 901, 0, 0, 0), Some(Stage::Sender)),
            // Refused, and sent again until there was room: nothing is missing, but it took too long.
            (made_up(901, 901, 0, 50, 0), Some(Stage::VethRing)),
            (made_up(1_001, 1_001, 0, 50, 0), None),
        ] {
            assert_eq!(trial.gave, gave, "{trial:?}");
        }
        assert_eq!(made_up(1_001, 990, 0, 10, 0).unaccounted, 1);
    }

    #[test]
    fn the_highest_rate_without_loss_is_found_and_held() {
        let limit = 600_000;
        let verdict = find(
            |wanted, _| {
                let rate = wanted.unwrap_or(1_000_000);
                let lost = rate > limit;
                let ring = u64::from(lost);
                Ok(Trial {
                    wanted,
                    rate: rate as f64,
                    gave: lost.then_some(Stage::KernelRing),
                    ..made_up(1, 1, ring, 0, 0)
                })
            },
            60,
        );
        let verdict = verdict.unwrap();
        let found = verdict.loss_free.unwrap() as u64;
        assert!(found <= limit && limit - found <= 1_000_000 / 32, "{found}");
        assert_eq!(verdict.first_to_give, Stage::KernelRing);
        let text = told(&verdict);
        assert!(text.contains("   flat out  sent   1000000 packets/s  lost: 1 kernel ring full"), "{text}");
        assert!(text.contains("without loss: 593750 packets/s"), "{text}");
    }

    #[test]
    fn a_sender_that_is_too_slow_for_us_gives_first() {
        let verdict =
            find(|wanted, _| Ok(Trial { wanted, gave: None, ..made_up(1, 1, 0, 0, 0) }), 60).unwrap();
        assert_eq!((verdict.first_to_give, verdict.trials.len()), (Stage::Sender, 2));
    }
}
