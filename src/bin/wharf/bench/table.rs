//! The report as people read it.

use super::machine;
use super::one_core::{Case, Place};
use super::report::{self, Report};
use super::scaling::Growth;
use super::timing::{Figure, ROUNDS, RUNS, UNSTEADY};
use crate::cores;
use std::fmt::Write;
use wharf::batch::Lanes;
use wharf::checksum::Variant;

// Writing to a string cannot fail: results of it are of no interest here.
pub(super) fn of(report: &Report) -> String {
    let mut text = heading(report);
    let _ = write!(
        text,
        "
one core (CPU {}): ns a packet, median of {ROUNDS} rounds ± spread
{:12}{:8}{:>12}{:>14}{:>12}{:>12}{:>13}{:>8}{:>9}
",
        report.cores[0],
        "frames",
        "in",
        "hand-over",
        "parse+verify",
        "demux",
        "count",
        "all",
        "Mpps",
        "Gbit/s",
    );
    report.one_core.iter().for_each(|case| row(&mut text, case));
    let _ = write!(
        text,
        "
{}; whole runs of the engine, median of {RUNS}
{:12}{:8}{:>7}{:>14}{:>9}{:>8}
",
        if report.cores.len() > 1 { "several cores, each with frames of its own" } else { "one core" },
        "frames",
        "in",
        "cores",
        "Mpps",
        "Gbit/s",
        "ratio",
    );
    report.scaling.iter().for_each(|growth| rows(&mut text, growth));
    text += "
Frames are named by their length on the wire. Gbit/s is the line rate that so many of them are, with 8 bytes
of preamble and 12 of gap each; 10 Gbit/s are 14.88 Mpps of 64 B. In L2: the same few frames again and again.
";
    if report.is_unsteady() {
        let _ = write!(
            text,
            "
NOT TO BE TRUSTED: figures with a ? were spread by more than {UNSTEADY:.0} %. This machine is busy with other work, or shared
with others: measure again when it is not, or for longer (--seconds).
"
        );
    }
    text
}

fn heading(report: &Report) -> String {
    let mebibytes = |bytes: usize| format!("{} MiB", bytes.div_ceil(1 << 20));
    let machine = &report.machine;
    let most = |place| {
        let cases = report.one_core.iter().filter(|case| case.place == place);
        mebibytes(cases.map(|case| case.bytes).max().unwrap_or_default())
    };
    let mut text = String::new();
    if cfg!(debug_assertions) {
        text += "NOT AN OPTIMISED BUILD: the figures say nothing (cargo build --release)\n";
    }
    let _ = write!(
        text,
        "\
machine    {}; CPUs {}; {} L2, {} last level
checksums  {}: {}
headers    {}
frames     {} flows; up to {} of frames in L2, {} in memory, for a core
rules      {} of a port each
",
        machine.cpu.as_deref().unwrap_or(std::env::consts::ARCH),
        cores::text(&report.cores),
        mebibytes(machine.l2),
        mebibytes(machine.last_level),
        Variant::chosen(),
        machine::why_this_variant(),
        match wharf::batch::lanes() {
            Some(Lanes::Avx512) => "eight packets at a time in AVX-512 lanes; uncommon packets one by one",
            Some(_) => "eight packets at a time in AVX2 lanes; uncommon packets one by one",
            None => "one by one: reading several at a time takes the avx2 or the avx512 variant",
        },
        report.flows,
        most(Place::Cache),
        most(Place::Memory),
        report.rules,
    );
    text
}

fn row(text: &mut String, case: &Case) {
    let stages = &case.stages;
    let mpps = 1_000.0 / stages.all.median;
    let _ = writeln!(
        text,
        "{:12}{:8}{:>12}{:>14}{:>12}{:>12}{:>13}{mpps:>8.1}{:>9.1}",
        case.shape,
        report::name(Some(case.place)),
        with_spread(stages.hand_over, 2),
        with_spread(stages.read, 2),
        with_spread(stages.demux, 2),
        with_spread(stages.count, 2),
        with_spread(stages.all, 2),
        case.promise.line_rate(mpps),
    );
}

fn rows(text: &mut String, growth: &Growth) {
    for step in &growth.steps {
        let mpps = with_spread(step.mpps, 1);
        let rate = growth.promise.line_rate(step.mpps.median);
        let place = report::name(growth.place);
        let ratio = step.ratio.median;
        let _ =
            writeln!(text, "{:12}{place:8}{:>7}{mpps:>14}{rate:>9.1}{ratio:>7.2}x", growth.shape, step.cores);
    }
}

/// `6.14±2%`, and with a `?` where that says little.
fn with_spread(figure: Figure, decimals: usize) -> String {
    let doubt = if figure.is_unsteady() { "?" } else { "" };
    format!("{:.decimals$}±{:.0}%{doubt}", figure.median, figure.percent())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_spread_is_marked() {
        let of = |spread| with_spread(Figure { median: 10.0, spread }, 2);
        assert_eq!(
            (of(2.0), of(2.1), of(39.0)),
            ("10.00±20%".into(), "10.00±21%?".into(), "10.00±390%?".into())
        );
    }
}
