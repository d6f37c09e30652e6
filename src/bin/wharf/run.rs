//! What every run has in common: signals, progress, the summary, the outcome.

use crate::exit::{self, Outcome};
use crate::progress::{self, Progress};
use std::io::{self, Write};
use wharf::engine::{self, Builder, Report};

/// Runs to the end or to a signal. `lines_on_stdout` says that packets are printed while it runs.
pub(crate) fn drive(
    builder: Builder<'_>,
    lines_on_stdout: bool,
) -> anyhow::Result<Result<Report, engine::Error>> {
    Ok(match Progress::new(lines_on_stdout) {
        Some(mut progress) => builder.observe(progress::EVERY, move |snapshot| progress.show(snapshot)).run(),
        None => builder.run(),
    })
}

/// The account of a run, whether it went well or not; none of one that never began.
pub(crate) fn report_of(result: &Result<Report, engine::Error>) -> Option<&Report> {
    match result {
        Ok(report) => Some(report),
        Err(error) => error.report(),
    }
}

/// Prints the ledger, whether the run went well or not, and says what the run came to.
pub(crate) fn conclude(result: Result<Report, engine::Error>, strict: bool) -> anyhow::Result<Outcome> {
    if let Some(report) = report_of(&result) {
        let _ = writeln!(io::stderr(), "{report}");
        report.further_failures.iter().for_each(|failure| exit::tell(failure));
    }
    let lost = result?.total.unwanted_losses() > 0;
    Ok(if strict && lost { Outcome::Losses } else { Outcome::Done })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::engine::{DropReason, Ledger};

    #[test]
    fn strict_minds_losses_but_not_what_a_limit_left_behind() {
        for (reason, strict, outcome) in [
            (DropReason::KernelRingFull, true, Outcome::Losses),
            (DropReason::KernelRingFull, false, Outcome::Done),
            (DropReason::OutputRingFull, true, Outcome::Losses),
            (DropReason::LeftUnread, true, Outcome::Done),
        ] {
            let total = Ledger { received: 1, dropped: [(reason, 1)].into(), ..Ledger::default() };
            let report = Report { total, ..Report::default() };
            assert_eq!(conclude(Ok(report), strict).unwrap(), outcome, "{reason}");
        }
    }
}
