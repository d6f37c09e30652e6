//! How a run is doing, told while it lasts.

use crate::time::time_or_zero;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::mem::take;
use std::time::{Duration, Instant};
use wharf::engine::Snapshot;
use wharf::source::packet::{InterfaceLosses, Lost, RingState, Upstream, UpstreamLosses};

/// More often than this the telling would be a load of its own.
const LEAST: Duration = Duration::from_millis(10);

/// So long the ring's account may lag behind the interface's.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
#[command(next_help_heading = "Account")]
pub(crate) struct StatsArgs {
    /// Every so often (1s, 500ms) tell on standard error how the run is doing
    ///
    /// A line each time: packets and bits a second, how full the kernel's ring is, and what was dropped since the line
    /// before: by the kernel, by full outputs, and before the ring as far as the host tells.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    stats: Option<Duration>,

    /// Those lines as text or as JSON objects
    #[arg(long, value_name = "text|json", value_enum, default_value = "text")]
    #[arg(requires = "stats", hide_possible_values = true)]
    stats_format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Reads how often, or how long: not below what is [worth it](LEAST).
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    time_or_zero(text)
        .and_then(|time| if time < LEAST { Err(format!("less than {LEAST:?}")) } else { Ok(time) })
}

impl StatsArgs {
    /// Asks for it, unless something else was asked for.
    pub(crate) fn tell_every(&mut self, every: Duration) {
        self.stats.get_or_insert(every);
    }

    /// The teller, where one was asked for.
    pub(crate) fn teller(&self) -> Option<Stats> {
        Some(Stats {
            every: self.stats?,
            format: self.stats_format,
            wire: None,
            counted_twice: false,
            untold: 0,
            held: UpstreamLosses::default(),
            quiet_since: Duration::ZERO,
            begun: Instant::now(),
            last: (Duration::ZERO, Snapshot::default(), RingState::default()),
        })
    }
}

/// How the kernel's ring fares, by whom to ask.
type Meter = Box<dyn Fn() -> RingState + Send>;

/// Tells how a run is doing.
pub(crate) struct Stats {
    pub(crate) every: Duration,
    format: Format,
    wire: Option<(Meter, Option<Upstream>)>,
    /// The interface counts what finds no room in the ring as dropped, too.
    counted_twice: bool,
    /// Of those in the ring's account, which have not been left out of the interface's.
    untold: u64,
    /// What the interface's counters have told beyond the ring's account, which may follow: until then it is held back.
    held: UpstreamLosses,
    /// When that account last grew.
    quiet_since: Duration,
    begun: Instant,
    last: (Duration, Snapshot, RingState),
}

/// What happened between two lines.
struct Interval {
    at: Duration,
    /// Digits behind the point of `at` that tell one line from the next.
    digits: usize,
    time: Duration,
    packets: u64,
    bytes: u64,
    queued: u64,
    outputs_dropped: u64,
    ring: Option<Ring>,
    before: Option<UpstreamLosses>,
}

/// How the kernel's ring fares, and what was counted of it since the line before.
struct Ring {
    state: RingState,
    dropped: u64,
    freezes: u64,
}

impl Stats {
    /// Of a live capture there is more to tell.
    pub(crate) fn watch(
        &mut self,
        meter: impl Fn() -> RingState + Send + 'static,
        upstream: Option<Upstream>,
    ) {
        self.wire = Some((Box::new(meter), upstream));
    }

    /// The interface counts as dropped, too, what finds no room in the ring: so much of its drops is left out.
    #[cfg(feature = "xdp")]
    pub(crate) fn counted_twice(&mut self) {
        self.counted_twice = true;
    }

    pub(crate) fn show(&mut self, snapshot: Snapshot) {
        let interval = self.next(self.begun.elapsed(), snapshot);
        let line = match self.format {
            Format::Text => interval.text(),
            Format::Json => interval.json().to_string(),
        };
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn next(&mut self, at: Duration, snapshot: Snapshot) -> Interval {
        let (then, earlier, counted) = self.last;
        let before = self.wire.as_mut().and_then(|(_, upstream)| Some(upstream.as_mut()?.since_last()));
        let ring = self.wire.as_ref().map(|(meter, _)| {
            let state = meter();
            let since = |now: u64, then: u64| now.saturating_sub(then);
            Ring {
                state,
                dropped: since(state.dropped, counted.dropped),
                freezes: since(state.freezes, counted.freezes),
            }
        });
        let before = before.map(|mut losses| {
            if self.counted_twice {
                let dropped = ring.as_ref().map_or(0, |ring| ring.dropped);
                self.hold_back(&mut losses, dropped, at);
            }
            losses
        });
        self.last = (at, snapshot, ring.as_ref().map_or(counted, |ring| ring.state));
        Interval {
            at,
            digits: digits(self.every),
            time: at.saturating_sub(then),
            packets: snapshot.packets.saturating_sub(earlier.packets),
            bytes: snapshot.bytes.saturating_sub(earlier.bytes),
            queued: snapshot.queued,
            outputs_dropped: snapshot.dropped.saturating_sub(earlier.dropped),
            ring,
            before,
        }
    }

    /// Keeps what the interface has counted until the ring has told of it, `dropped` since the line before: its account is as
    /// of the last time that frames were fetched. What it has not told of a second after it last told of any was lost
    /// elsewhere.
    fn hold_back(&mut self, losses: &mut UpstreamLosses, dropped: u64, at: Duration) {
        self.held.interfaces.resize_with(losses.interfaces.len(), InterfaceLosses::default);
        for (held, now) in self.held.interfaces.iter_mut().zip(&mut losses.interfaces) {
            add(&mut held.kernel, take(&mut now.kernel));
            add(&mut held.driver, take(&mut now.driver));
        }
        self.untold += dropped;
        let left_out = self.held.leave_out(self.untold);
        self.untold -= left_out;
        if dropped > 0 || left_out > 0 || !self.held.any() {
            self.quiet_since = at;
        } else if at.saturating_sub(self.quiet_since) >= PATIENCE {
            for (held, now) in self.held.interfaces.iter_mut().zip(&mut losses.interfaces) {
                (now.kernel, now.driver) = (take(&mut held.kernel), take(&mut held.driver));
            }
        }
    }
}

/// So many decimals of a second does an interval have, of three.
fn digits(every: Duration) -> usize {
    match every.as_millis() {
        millis if millis.is_multiple_of(100) => 1,
        millis if millis.is_multiple_of(10) => 2,
        _ => 3,
    }
}

/// Adds counters to those of the same names.
fn add(counters: &mut Vec<Lost>, more: Vec<Lost>) {
    for lost in more {
        match counters.iter_mut().find(|known| known.counter == lost.counter) {
            Some(known) => known.frames += lost.frames,
            None => counters.push(lost),
        }
    }
}

impl Interval {
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.time.as_secs_f64().max(1e-9)
    }

    fn text(&self) -> String {
        let (packets, bits) = (self.per_second(self.packets), self.per_second(self.bytes * 8));
        let at = self.at.as_secs_f64();
        let digits = self.digits;
        let mut line = format!("{at:8.digits$} s  {packets:9.0} packets/s  {:10.3} Mbit/s", bits / 1e6);
        // Writing to a string cannot fail.
        if let Some(Ring { state, dropped, freezes }) = &self.ring {
            let percent = (state.in_use * 100).div_ceil(state.blocks.max(1));
            let times = if *freezes == 1 { "time " } else { "times" };
            let _ = write!(
                line,
                "  ring {percent:3} %  kernel dropped {dropped:8}  ring full {freezes:4} {times}"
            );
        }
        let chunks = if self.queued == 1 { "chunk  queued" } else { "chunks queued" };
        let _ = write!(line, "  outputs: {:4} {chunks}, {:8} dropped", self.queued, self.outputs_dropped);
        if let Some(before) = &self.before {
            let _ = write!(line, "  before the ring: {before}");
        }
        line
    }

    fn json(&self) -> Value {
        let mut object = json!({
            "seconds": self.at.as_secs_f64(),
            "packets": self.packets,
            "bytes": self.bytes,
            "packets_per_second": self.per_second(self.packets),
            "bits_per_second": self.per_second(self.bytes * 8),
            "queued_chunks": self.queued,
            "dropped": { "output_ring_full": self.outputs_dropped },
        });
        if let Some(Ring { state, dropped, freezes }) = &self.ring {
            object["ring"] = json!({
                "blocks": state.blocks,
                "in_use": state.in_use,
                "freezes": freezes,
                "raised": state.raised,
            });
            object["dropped"]["kernel_ring_full"] = json!(dropped);
        }
        if let Some(before) = &self.before {
            object["before_ring"] = json!(before);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!((interval("10ms"), interval("1h")), (Ok(LEAST), Ok(Duration::from_secs(3_600))));
        for text in ["", "0", "9ms", "-1s"] {
            assert!(interval(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_line_tells_of_its_interval_alone() {
        let arguments = StatsArgs { stats: Some(Duration::from_secs(1)), stats_format: Format::Text };
        let mut stats = arguments.teller().unwrap();
        let at = |packets, dropped| {
            let mut at = Snapshot::default();
            (at.packets, at.bytes, at.dropped) = (packets, packets * 125, dropped);
            at
        };
        stats.next(Duration::from_secs(1), at(1_000, 5));
        let interval = stats.next(Duration::from_millis(1_500), at(3_000, 7));
        let line = interval.text();
        assert_eq!(
            line,
            "     1.5 s       4000 packets/s       4.000 Mbit/s  outputs:    0 chunks queued,        2 dropped"
        );
        let object = interval.json();
        assert_eq!((&object["packets"], &object["dropped"]["output_ring_full"]), (&json!(2_000), &json!(2)));
        assert!(object.get("ring").is_none(), "a file has none");
    }

    #[test]
    fn what_the_ring_tells_later_is_not_told_before() {
        let arguments = StatsArgs { stats: Some(Duration::from_secs(1)), stats_format: Format::Text };
        let mut stats = arguments.teller().unwrap();
        let mut line = |frames: u64, dropped: u64, millis: u64| {
            let lost = |counter: &str| Lost { counter: counter.into(), frames };
            let of = |counter| if frames > 0 { vec![lost(counter)] } else { Vec::new() };
            let (kernel, driver) = (of("rx_dropped"), of("rx_queue_0_drops"));
            let interface = InterfaceLosses { name: "eth0".into(), kernel, driver, peer: None };
            let mut losses = UpstreamLosses { interfaces: vec![interface], ..UpstreamLosses::default() };
            stats.hold_back(&mut losses, dropped, Duration::from_millis(millis));
            losses.interfaces[0].kernel.iter().map(|lost| lost.frames).sum::<u64>()
        };
        assert_eq!(line(9, 7, 100), 0, "the ring has told of seven");
        assert_eq!(
            [line(5, 0, 200), line(0, 0, 1_000), line(0, 7, 1_050)],
            [0; 3],
            "and later of the others"
        );
        assert_eq!([line(3, 0, 1_100), line(0, 0, 2_000)], [0; 2]);
        assert_eq!(line(0, 0, 2_101), 3, "of these it never will");
        assert_eq!(line(0, 0, 9_000), 0, "that was told");
    }

    #[test]
    fn the_ring_is_told_where_there_is_one() {
        let before = UpstreamLosses { backlog_dropped: Some(4), ..UpstreamLosses::default() };
        let state = RingState { blocks: 64, in_use: 3, received: 9, dropped: 8, freezes: 2, raised: 1 };
        let interval = Interval {
            at: Duration::from_secs(2),
            digits: digits(Duration::from_millis(50)),
            time: Duration::from_secs(1),
            packets: 1,
            bytes: 60,
            queued: 1,
            outputs_dropped: 0,
            ring: Some(Ring { state, dropped: 8, freezes: 1 }),
            before: Some(before),
        };
        let line = interval.text();
        assert!(line.starts_with("    2.00 s "), "{line}");
        assert!(
            line.contains(
                "ring   5 %  kernel dropped        8  ring full    1 time   outputs:    1 chunk  queued, "
            ),
            "{line}"
        );
        assert!(
            line.ends_with("before the ring: backlog of the CPUs, all interfaces of this host: 4 dropped"),
            "{line}"
        );
        assert_eq!(interval.json()["before_ring"]["backlog_dropped"], 4);
        let ring = json!({ "blocks": 64, "in_use": 3, "freezes": 1, "raised": 1 });
        assert_eq!(interval.json()["ring"], ring);
    }
}
