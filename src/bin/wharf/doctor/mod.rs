//! `wharf doctor`: what on this host will cost packets, or mislead who reads them.

mod selftest;
mod show;

use crate::colour;
use crate::exit::{Outcome, TABLE};
use crate::print::print;
use anyhow::Context;
use clap::Args;
use std::io::{IsTerminal, stdout};
use wharf::doctor::{Asked, Severity, ThisHost, examine};

/// Tell what on this host will cost a capture packets, or mislead: offloads, rings, queues, limits, permissions.
///
/// Each finding says how bad it is, what it means, and the command that changes it. Nothing is changed. Whoever asks
/// gets to see what is theirs to see; what could not be seen is told.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf doctor              the host, and a line for each interface that is up
  wharf doctor eth0         the host and one interface, in full
  wharf doctor --json | jq '.findings[] | select(.severity == \"warn\")'
  wharf doctor --selftest   what this host captures without loss

Severities:
  good  as it should be
  note  to be known; it costs nothing by itself
  warn  it may cost packets, or mislead
  bad   nothing can be captured so, or not what was on the wire

{TABLE}
  3  something is bad; with --selftest: packets were lost and not accounted for"))]
pub(crate) struct DoctorArgs {
    /// The interface to look at in full
    #[arg(value_name = "IFACE")]
    interface: Option<String>,

    /// Bytes that the capture will keep of each packet, as given to sniff -s; 0 for all
    #[arg(short, long, value_name = "BYTES", default_value_t = 0)]
    snapshot_length: u32,

    /// Print a JSON object: interfaces, findings, unseen
    #[arg(long)]
    json: bool,

    /// Show only what is at least as bad as this
    #[arg(long, value_name = "good|note|warn|bad", value_enum, default_value = "good")]
    #[arg(hide_possible_values = true)]
    least: Least,

    /// Find by trial how much this host captures without loss
    ///
    /// A private network (a user and a network namespace, a veth pair) is made, and a generator in it sends flat out
    /// at first, then midway between the highest rate that lost nothing and the lowest that lost some, again and
    /// again. Needs no root, takes some seconds, and no frame leaves the host.
    #[arg(long, conflicts_with_all = ["interface", "snapshot_length", "least"])]
    selftest: bool,
}

/// As [`Severity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Least {
    Good,
    Note,
    Warn,
    Bad,
}

impl From<Least> for Severity {
    fn from(least: Least) -> Self {
        match least {
            Least::Good => Self::Good,
            Least::Note => Self::Note,
            Least::Warn => Self::Warn,
            Least::Bad => Self::Bad,
        }
    }
}

pub(crate) fn run(arguments: DoctorArgs) -> anyhow::Result<Outcome> {
    let DoctorArgs { interface, snapshot_length, json, least, selftest } = arguments;
    if selftest {
        return selftest::run(json);
    }
    let host = ThisHost::new().context("cannot ask the kernel")?;
    let asked = Asked { interface, snap_length: snapshot_length };
    let mut diagnosis = examine(&host, &asked)?;
    let outcome = if diagnosis.count(Severity::Bad) > 0 { Outcome::Losses } else { Outcome::Done };
    let counts =
        [Severity::Good, Severity::Note, Severity::Warn, Severity::Bad].map(|one| diagnosis.count(one));
    diagnosis.findings.retain(|finding| finding.severity >= Severity::from(least));
    if json {
        print(serde_json::to_string(&diagnosis)? + "\n")?;
    } else {
        let colour = show::Colour(colour::wanted(stdout().is_terminal()));
        print(show::text(&diagnosis, counts, asked.interface.is_some(), colour))?;
    }
    Ok(outcome)
}
