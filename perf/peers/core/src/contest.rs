//! Ours and the peers in turns, round after round, and the table of what came of it.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

/// How to measure.
pub struct Setup {
    /// Where the threads go; a contest of one thread takes the second.
    pub cores: [usize; 2],
    pub rounds: usize,
    /// Of the usual amount of work.
    pub scale: f64,
}

/// How often a measuring thread had to give up its core to somebody else.
static DISTURBANCES: AtomicU64 = AtomicU64::new(0);

/// Tries to get a round without a disturbance before taking it as it is.
const TRIES: usize = 20;

/// The calling thread pinned to a core for a measurement.
pub struct Pinned {
    switches: u64,
}

impl Pinned {
    /// Pins the calling thread, or says that it could not.
    pub fn to(core: usize) -> Self {
        if !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
            eprintln!("warning: cannot pin to core {core}: expect noise");
        }
        Self { switches: involuntary_switches() }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        DISTURBANCES.fetch_add(involuntary_switches() - self.switches, Ordering::Relaxed);
    }
}

/// Of the calling thread, as proc(5) counts them; none where that cannot be read.
fn involuntary_switches() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let count = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Which way a figure is better.
#[derive(Clone, Copy, PartialEq)]
pub enum Better {
    /// A rate.
    Higher,
    /// A time.
    Lower,
}

struct Contestant {
    name: &'static str,
    /// How many times better ours must be; nothing owed to most.
    owed: Option<f64>,
    measure: Box<dyn FnMut() -> f64>,
    figures: Vec<f64>,
}

/// One metric, ours and the peers.
pub struct Contest {
    metric: String,
    better: Better,
    contestants: Vec<Contestant>,
}

impl Contest {
    /// `ours` does the work once, asserts its answer and returns a figure in the unit that `metric` names.
    pub fn new(metric: impl Into<String>, better: Better, ours: impl FnMut() -> f64 + 'static) -> Self {
        let ours = Contestant { name: "wharf", owed: None, measure: Box::new(ours), figures: Vec::new() };
        Self { metric: metric.into(), better, contestants: vec![ours] }
    }

    /// A peer, to be shown.
    pub fn peer(self, name: &'static str, measure: impl FnMut() -> f64 + 'static) -> Self {
        self.add(name, None, measure)
    }

    /// A peer that ours must beat by the factor `owed`.
    pub fn owed(self, name: &'static str, owed: f64, measure: impl FnMut() -> f64 + 'static) -> Self {
        self.add(name, Some(owed), measure)
    }

    fn add(mut self, name: &'static str, owed: Option<f64>, measure: impl FnMut() -> f64 + 'static) -> Self {
        self.contestants.push(Contestant { name, owed, measure: Box::new(measure), figures: Vec::new() });
        self
    }

    /// All in turns, so that what slows the machine down for a while slows down all; medians. A round in which a
    /// pinned thread lost its core is measured again.
    pub fn run(mut self, rounds: usize) -> Vec<Row> {
        for round in 0..rounds {
            // Who comes first changes: the one after a pause may find a warmer or a cooler core.
            let count = self.contestants.len();
            for turn in 0..count {
                let contestant = &mut self.contestants[(turn + round) % count];
                contestant.figures.push(undisturbed(&mut contestant.measure));
            }
        }
        let mut medians = self.contestants.iter_mut().map(|contestant| median(&mut contestant.figures));
        let ours = medians.next().expect("ours is always there");
        let peers: Vec<f64> = medians.collect();
        self.contestants[1..]
            .iter()
            .zip(peers)
            .map(|(contestant, peer)| Row {
                metric: self.metric.clone(),
                ours,
                peer,
                peer_name: contestant.name,
                ratio: if self.better == Better::Higher { ours / peer } else { peer / ours },
                owed: contestant.owed,
            })
            .collect()
    }
}

fn undisturbed(measure: &mut dyn FnMut() -> f64) -> f64 {
    let mut figure = 0.0;
    for _ in 0..TRIES {
        let before = DISTURBANCES.load(Ordering::Relaxed);
        figure = measure();
        if DISTURBANCES.load(Ordering::Relaxed) == before {
            break;
        }
    }
    figure
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Ours and one peer in one metric.
pub struct Row {
    metric: String,
    ours: f64,
    peer: f64,
    peer_name: &'static str,
    /// How many times better ours is, whichever way better is.
    ratio: f64,
    owed: Option<f64>,
}

impl Row {
    fn holds(&self) -> bool {
        self.owed.is_none_or(|owed| self.ratio >= owed)
    }

    fn owed(&self) -> String {
        self.owed.map_or_else(String::new, |owed| format!(">= {owed}"))
    }
}

/// All rows of a run.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn add(&mut self, rows: Vec<Row>) {
        self.0.extend(rows);
    }

    /// Adds a row with the median ratio of those whose metric begins so; their figures are medians too.
    pub fn sum_up(&mut self, beginning: &str, metric: &str, owed: f64) {
        let rows = || self.0.iter().filter(|row| row.metric.starts_with(beginning));
        let Some(peer_name) = rows().next().map(|row| row.peer_name) else { return };
        let middle = |figure: fn(&Row) -> f64| median(&mut rows().map(figure).collect::<Vec<_>>());
        let row = Row {
            metric: metric.to_owned(),
            ours: middle(|row| row.ours),
            peer: middle(|row| row.peer),
            peer_name,
            ratio: middle(|row| row.ratio),
            owed: Some(owed),
        };
        self.0.push(row);
    }

    /// Whether every owed ratio holds.
    pub fn holds(&self) -> bool {
        self.0.iter().all(Row::holds)
    }

    /// As perf/results keeps it.
    pub fn tsv(&self) -> String {
        let mut text = String::from("metric\tours\tpeer\tpeer_name\tratio\towed\n");
        for row in &self.0 {
            let Row { metric, ours, peer, peer_name, ratio, .. } = row;
            writeln!(text, "{metric}\t{ours:.2}\t{peer:.2}\t{peer_name}\t{ratio:.3}\t{}", row.owed())
                .expect("a string takes all");
        }
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<38} {:>9} {:>9}  {:<22} {:>7}  owed",
            "metric", "ours", "peer", "peer's name", "ratio"
        )?;
        for row in &self.0 {
            let Row { metric, ours, peer, peer_name, ratio, .. } = row;
            let verdict = if row.holds() { "" } else { "  MISSED" };
            writeln!(
                f,
                "{metric:<38} {ours:>9.2} {peer:>9.2}  {peer_name:<22} {ratio:>7.2}  {}{verdict}",
                row.owed()
            )?;
        }
        Ok(())
    }
}
