//! What all lookups came to: the slowest, the failed, the unanswered.

use super::rows::{latency, name_of, result_of};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use wharf::flow::names::{Lookup, Outcome};

/// Lines of each table.
const SHOWN: usize = 10;
/// Names of which is kept how often they failed; more are counted together.
const MAX_NAMES: usize = 10_000;

/// Gathers lookups; bounded.
#[derive(Debug, Default)]
pub(super) struct Summary {
    answered: u64,
    total: Duration,
    /// The slowest first.
    slowest: Vec<(Duration, String)>,
    failed: Worst,
    unanswered: Worst,
}

/// How often what went wrong.
#[derive(Debug, Default)]
struct Worst {
    total: u64,
    by_name: HashMap<String, u64>,
}

/// It failed, was asked again, or was not answered. What is open at the capture's end is not known to be.
pub(super) fn is_trouble(lookup: &Lookup) -> bool {
    lookup.failed() || lookup.repeats > 0 || matches!(lookup.outcome, Outcome::Unanswered | Outcome::Evicted)
}

impl Summary {
    pub(super) fn add(&mut self, lookup: &Lookup) {
        let subject = || format!("{} {}", lookup.kind, name_of(lookup));
        match &lookup.outcome {
            Outcome::Answered(reply) => {
                self.answered += 1;
                self.total += reply.latency;
                if self.slowest.len() < SHOWN
                    || self.slowest.last().is_some_and(|(last, _)| *last < reply.latency)
                {
                    let at = self.slowest.partition_point(|(other, _)| *other >= reply.latency);
                    let by = format!("{} by {}", subject(), lookup.server.0);
                    self.slowest.insert(at, (reply.latency, by));
                    self.slowest.truncate(SHOWN);
                }
                if lookup.failed() {
                    self.failed.add(format!("{} {}", result_of(lookup), subject()));
                }
            }
            Outcome::Unanswered => self.unanswered.add(format!("{} of {}", subject(), lookup.server.0)),
            _ => {}
        }
    }
}

impl Worst {
    fn add(&mut self, name: String) {
        self.total += 1;
        if self.by_name.len() < MAX_NAMES || self.by_name.contains_key(&name) {
            *self.by_name.entry(name).or_default() += 1;
        }
    }

    /// The most frequent first; those alike by name.
    fn write(&self, f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
        if self.total == 0 {
            return Ok(());
        }
        writeln!(f, "\n{title}: {}", self.total)?;
        let mut worst: Vec<_> = self.by_name.iter().collect();
        worst.sort_by(|(name, count), (other, more)| more.cmp(count).then(name.cmp(other)));
        for (name, count) in worst.iter().take(SHOWN) {
            writeln!(f, "  {count:>6}  {name}")?;
        }
        let left = worst.len().saturating_sub(SHOWN);
        if left > 0 { writeln!(f, "          and {left} more") } else { Ok(()) }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.answered > 0 {
            let mean = Duration::from_nanos((self.total.as_nanos() / u128::from(self.answered)) as u64);
            writeln!(f, "\nslowest of {} answers ({} on average):", self.answered, latency(mean))?;
            for (time, name) in &self.slowest {
                writeln!(f, "  {:>8}  {name}", latency(*time))?;
            }
        }
        self.failed.write(f, "failed")?;
        self.unanswered.write(f, "unanswered")
    }
}
