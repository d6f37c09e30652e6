//! Only flows that had trouble, as the command line says it.

use crate::counted::counted;
use crate::{args, stats};
use clap::Args;
use std::time::Duration;
use wharf::sink::{TroubleCounts, TroubleKind, TroubleKinds, TroubleOptions};

#[derive(Args, Debug)]
#[command(next_help_heading = "Trouble")]
pub(crate) struct TroubleArgs {
    /// Write (-w) only packets of flows that had trouble: some of loss, reset, checksum, unanswered
    ///
    /// loss: TCP sent bytes again, or some are missing that this capture has not lost itself. reset: TCP was cut off.
    /// checksum: one was wrong, and not left to the sending host's device. unanswered: a SYN, a DNS query or a ping
    /// had no answer within
    /// --before. What a packet with a wrong checksum says is not believed. Other packets count as filtered out.
    #[arg(long, value_name = "KINDS", requires = "write", conflicts_with = "print")]
    trouble: Option<TroubleKinds>,

    /// How much of the flow before the trouble to write too: so long all packets are kept in memory
    #[arg(long, value_name = "TIME", value_parser = stats::interval, default_value = "5s")]
    #[arg(requires = "trouble", conflicts_with = "print")]
    before: Duration,

    /// How much of it after the trouble
    #[arg(long, value_name = "TIME", value_parser = stats::interval, default_value = "5s")]
    #[arg(requires = "trouble", conflicts_with = "print")]
    after: Duration,

    /// How much memory that may take: million bytes (or 64k, 16m, 1g); beyond it the oldest packets are decided on
    /// early
    #[arg(long, value_name = "SIZE", value_parser = args::file_size, default_value = "256m")]
    #[arg(requires = "trouble", conflicts_with = "print")]
    trouble_memory: u64,
}

impl TroubleArgs {
    /// What to write, if that is not everything.
    pub(crate) fn options(&self) -> Option<TroubleOptions> {
        let Self { trouble, before, after, trouble_memory } = *self;
        let memory = usize::try_from(trouble_memory).unwrap_or(usize::MAX);
        trouble.map(|kinds| TroubleOptions { kinds, before, after, memory })
    }
}

/// What trouble there was, in a line.
pub(crate) fn account(counts: &TroubleCounts) -> String {
    let TroubleCounts { found, written, early, forgotten, .. } = counts;
    let kinds = TroubleKind::ALL.into_iter().zip(found).filter(|(_, count)| **count > 0);
    let kinds: Vec<_> = kinds.map(|(kind, count)| format!("{kind} {}", counted(*count, "time"))).collect();
    let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    let mut line = format!("trouble: {kinds}; {} written", counted(*written, "packet"));
    if *early > 0 {
        let early = counted(*early, "packet");
        line += &format!("; memory was full (--trouble-memory): {early} decided on early");
    }
    if *forgotten > 0 {
        line += &format!("; too many flows: {forgotten} forgotten");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_names_what_there_was() {
        let counts = TroubleCounts { found: [2, 0, 0, 1], written: 9, ..TroubleCounts::default() };
        assert_eq!(account(&counts), "trouble: loss 2 times, unanswered 1 time; 9 packets written");
        let counts = TroubleCounts { early: 3, forgotten: 4, ..TroubleCounts::default() };
        let line = "trouble: none; 0 packets written; memory was full (--trouble-memory): 3 packets decided on early; \
                    too many flows: 4 forgotten";
        assert_eq!(account(&counts), line);
    }
}
