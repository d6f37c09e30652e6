//! What every run has in common: signals, progress, the summary, the outcome.

use crate::exit::{self, Outcome};
use crate::news::{self, News};
use crate::progress::{self, Progress};
use crate::stats::Stats;
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Write};
use wharf::engine::{self, Builder, DropReason, Ledger, Report};
use wharf::source::packet::{Upstream, UpstreamLosses};

/// Which losses `--strict` minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strict {
    /// From the capture's ring on: those the account names exactly.
    Ring,
    /// Also those before it; where the host does not tell of them, it may not be said that there were none.
    Host,
}

/// What is looked at beside the packets of a run.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) stats: Option<Stats>,
    /// What is told when it happens.
    pub(crate) news: Option<News>,
    /// Of a live capture, where the host tells.
    pub(crate) upstream: Option<Upstream>,
    /// Where the interface counts as dropped, too, what finds no room in the ring.
    pub(crate) counted_twice: bool,
    pub(crate) strict: Option<Strict>,
    /// So many matching packets are wanted of the sink, where a limit on what is read would not do.
    pub(crate) at_most: Option<u64>,
}

/// A run that is over, well or not.
pub(crate) struct Ended {
    result: Result<Report, engine::Error>,
    before_ring: Option<UpstreamLosses>,
    strict: Option<Strict>,
    /// What was made of packets and is known to be lost, or not known not to be.
    lost: u64,
}

/// The account of a run, for machines.
#[derive(Serialize)]
struct Account<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Of a live capture that several workers read, each a ring of its own; a file's account is the same for any
    /// number.
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<&'a [Ledger]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_ring: Option<&'a UpstreamLosses>,
}

/// Runs to the end or to a signal. `lines_on_stdout` says that packets are printed while it runs.
pub(crate) fn drive(builder: Builder<'_>, watched: Watched, lines_on_stdout: bool) -> Ended {
    let Watched { stats, mut news, upstream, counted_twice, strict, at_most: _ } = watched;
    let result = if let Some(mut stats) = stats {
        let every = stats.every;
        let show = move |snapshot| {
            news.iter_mut().for_each(News::tell);
            stats.show(snapshot);
        };
        builder.observe(every, show).run()
    } else if let Some(mut news) = news {
        builder.observe(news::EVERY, move |_| news.tell()).run()
    } else if let Some(mut progress) = Progress::new(lines_on_stdout) {
        builder.observe(progress::EVERY, move |snapshot| progress.show(snapshot)).run()
    } else {
        builder.run()
    };
    let mut ended = Ended { result, before_ring: None, strict, lost: 0 };
    ended.before_ring = upstream.map(|mut upstream| {
        let mut losses = upstream.since_begun();
        let told = ended.report().and_then(|report| report.total.dropped.get(&DropReason::KernelRingFull));
        losses.leave_out(if counted_twice { told.copied().unwrap_or(0) } else { 0 });
        losses
    });
    ended
}

impl Ended {
    /// The account of the run, whether it went well or not; none of one that never began.
    pub(crate) fn report(&self) -> Option<&Report> {
        match &self.result {
            Ok(report) => Some(report),
            Err(error) => error.report(),
        }
    }

    /// So much was lost on its way from here: to `--strict` that is as if packets were.
    pub(crate) fn with_lost(self, lost: u64) -> Self {
        Self { lost, ..self }
    }

    /// The account as a JSON object, with what was lost before the ring.
    pub(crate) fn json(&self) -> anyhow::Result<Option<String>> {
        let before_ring = self.before_ring.as_ref();
        let account = self.report().map(|report| Account { report, workers: report.shares(), before_ring });
        Ok(account.map(|account| serde_json::to_string(&account)).transpose()?)
    }

    /// Prints the ledger, whether the run went well or not, and says what the run came to.
    pub(crate) fn conclude(self) -> anyhow::Result<Outcome> {
        if let Some(report) = self.report() {
            let _ = writeln!(io::stderr(), "{report}");
            self.tell_before_ring();
            report.further_failures.iter().for_each(|failure| exit::tell(failure));
        }
        let Self { result, before_ring, strict, lost } = self;
        let (lost_on_the_way, closed) = match result {
            Ok(report) => (report.total.unwanted_losses(), None),
            Err(error) if error.output_closed() => {
                (error.report().map_or(0, lost_but_for_the_reader), Some(error))
            }
            Err(error) => return Err(error.into()),
        };
        let lost = lost_on_the_way + lost > 0;
        let lost_before = before_ring.as_ref().is_none_or(UpstreamLosses::any);
        let unseen = before_ring.is_none_or(|losses| !losses.unseen.is_empty());
        let outcome = match strict {
            Some(_) if lost => Outcome::Losses,
            Some(Strict::Host) if lost_before => Outcome::Losses,
            Some(Strict::Host) if unseen => {
                exit::tell("--strict=host: what is not to be seen may have been lost");
                Outcome::Losses
            }
            _ => Outcome::Done,
        };
        match closed {
            Some(error) if outcome == Outcome::Done => Err(error.into()),
            _ => Ok(outcome),
        }
    }

    /// The same where the results have been printed at last: when they could not be, the ledger comes all the same.
    pub(crate) fn conclude_after(self, printed: anyhow::Result<()>) -> anyhow::Result<Outcome> {
        let outcome = self.conclude()?;
        match printed {
            Err(error) if outcome == Outcome::Losses && exit::output_closed(&error) => Ok(outcome),
            printed => printed.map(|()| outcome),
        }
    }

    fn tell_before_ring(&self) {
        let Some(losses) = &self.before_ring else { return };
        let _ = writeln!(io::stderr(), "lost before the ring, as far as the host tells: {losses}");
        for unseen in losses.unseen_and_untold() {
            let _ = writeln!(io::stderr(), "not to be seen: {unseen}");
        }
        if losses.any() {
            exit::tell(
                "frames were lost before they came to the ring: they are not in the sum above; `wharf doctor IFACE` says \
                 what to change",
            );
        }
    }
}

/// What was lost of a run whose reader went away: what only that one did not take is not minded.
fn lost_but_for_the_reader(report: &Report) -> u64 {
    let lost = report.total.unwanted_losses();
    if report.further_failures.is_empty() {
        lost - report.total.dropped.get(&DropReason::OutputFailed).unwrap_or(&0)
    } else {
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::sink;

    fn ended(reason: DropReason, packets: u64, before: u64, strict: Option<Strict>) -> Ended {
        let dropped = [(reason, packets)].into_iter().filter(|(_, packets)| *packets > 0).collect();
        let mut report = Report::default();
        (report.total.received, report.total.dropped) = (packets, dropped);
        let before = UpstreamLosses { backlog_dropped: Some(before), ..UpstreamLosses::default() };
        Ended { result: Ok(report), before_ring: Some(before), strict, lost: 0 }
    }

    #[test]
    fn strict_minds_losses_but_not_what_a_limit_left_behind() {
        for (reason, strict, outcome) in [
            (DropReason::KernelRingFull, Some(Strict::Ring), Outcome::Losses),
            (DropReason::KernelRingFull, Some(Strict::Host), Outcome::Losses),
            (DropReason::KernelRingFull, None, Outcome::Done),
            (DropReason::OutputRingFull, Some(Strict::Ring), Outcome::Losses),
            (DropReason::LeftUnread, Some(Strict::Ring), Outcome::Done),
        ] {
            assert_eq!(ended(reason, 1, 0, strict).conclude().unwrap(), outcome, "{reason}");
        }
    }

    #[test]
    fn strict_minds_losses_also_where_the_reader_went_away() {
        let code = |result| format!("{:?}", exit::code(result));
        let exits = |number: u8| format!("{:?}", std::process::ExitCode::from(number));
        for (reason, strict, number) in [
            (DropReason::KernelRingFull, Some(Strict::Ring), 3),
            (DropReason::KernelRingFull, None, 0),
            (DropReason::LeftUnread, Some(Strict::Ring), 0),
            (DropReason::OutputFailed, Some(Strict::Ring), 0),
        ] {
            let mut run = ended(reason, 1, 0, strict);
            let report = Box::new(run.result.unwrap());
            let error = sink::Error::Closed;
            run.result = Err(engine::Error::Sink { output: "rest".to_owned(), error, report });
            assert_eq!(code(run.conclude()), exits(number), "{reason} {strict:?}, while it ran");
            if reason != DropReason::OutputFailed {
                let printed = Err(sink::Error::Closed.into());
                let run = ended(reason, 1, 0, strict);
                assert_eq!(
                    code(run.conclude_after(printed)),
                    exits(number),
                    "{reason} {strict:?}, at its end"
                );
            }
        }
        let run = ended(DropReason::KernelRingFull, 1, 0, Some(Strict::Ring));
        let printed = Err(anyhow::anyhow!("another failure"));
        assert_eq!(code(run.conclude_after(printed)), exits(1));
    }

    #[test]
    fn strict_minds_what_was_lost_behind_the_packets() {
        for (strict, outcome) in [(Some(Strict::Ring), Outcome::Losses), (None, Outcome::Done)] {
            let run = ended(DropReason::KernelRingFull, 0, 0, strict).with_lost(1);
            assert_eq!(run.conclude().unwrap(), outcome);
        }
    }

    #[test]
    fn what_the_host_lost_is_minded_only_where_that_is_asked_for() {
        for (before, strict, outcome) in [
            (1, None, Outcome::Done),
            (1, Some(Strict::Ring), Outcome::Done),
            (1, Some(Strict::Host), Outcome::Losses),
            (0, Some(Strict::Host), Outcome::Done),
        ] {
            let run = ended(DropReason::KernelRingFull, 0, before, strict);
            let account: serde_json::Value = serde_json::from_str(&run.json().unwrap().unwrap()).unwrap();
            assert_eq!(account["before_ring"]["backlog_dropped"], before);
            assert_eq!(account["received"], 0);
            assert_eq!(run.conclude().unwrap(), outcome, "{before} {strict:?}");
        }
    }

    #[test]
    fn what_is_not_to_be_seen_is_minded_only_where_that_is_asked_for() {
        for (strict, outcome) in [(Strict::Ring, Outcome::Done), (Strict::Host, Outcome::Losses)] {
            let mut run = ended(DropReason::KernelRingFull, 0, 0, Some(strict));
            run.before_ring.as_mut().unwrap().unseen.push("the other end".to_owned());
            assert_eq!(run.conclude().unwrap(), outcome);
            let run = Ended { before_ring: None, ..ended(DropReason::KernelRingFull, 0, 0, Some(strict)) };
            assert_eq!(run.conclude().unwrap(), outcome, "nobody looked");
        }
    }
}
