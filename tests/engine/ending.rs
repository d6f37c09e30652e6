//! However a run ends, what was accepted is delivered and every output is finished.

use crate::memory::{Memory, Witness, mixed};
use std::sync::Arc;
use wharf::engine::{DropReason, Engine, Error, Ledger, Shutdown};
use wharf::sink::{Discard, Tee};

#[test]
fn the_limit_takes_no_more_from_the_source_than_is_left() {
    let mut source = Memory::new(mixed());
    source.accepted_at_stop = 12;
    let log = Arc::clone(&source.log);
    let report = Engine::builder().source(source).rest(Discard).limit(300).run().unwrap();
    assert_eq!(*log.lock().unwrap(), ["fill 256", "fill 44", "stop"]);
    assert!(report.balanced());
    assert_eq!(report.total.dropped, [(DropReason::LeftUnread, 12)].into());
    assert_eq!(
        report.to_string(),
        "312 received = 300 delivered + 0 filtered out + 12 dropped (12 left unread at the end)"
    );
}

#[test]
fn a_stop_request_delivers_what_was_accepted_and_finishes() {
    let shutdown = Shutdown::default();
    let mut source = Memory::new(mixed());
    source.accepted_at_stop = 300;
    let log = Arc::clone(&source.log);
    let mut last = Witness::default();
    let handle = shutdown.clone();
    source.at_fill = Box::new(move || handle.request());
    let report = Engine::builder().source(source).rest(&mut last).shutdown(shutdown).run().unwrap();
    assert_eq!(*log.lock().unwrap(), ["fill 256", "stop", "fill 256", "fill 256", "fill 256"]);
    assert!(report.balanced());
    assert_eq!(report.total.delivered, 556);
    assert_eq!((last.seen.len(), last.finished.len()), (556, 1));
}

#[test]
fn a_failing_output_ends_the_run_and_the_others_are_finished() {
    let mut failing = Witness { fail_at: Some(100), fail_finish: true, ..Witness::default() };
    let (mut other, mut source) = (Witness::default(), Memory::new((0..100).flat_map(|_| mixed())));
    source.accepted_at_stop = 40;
    let error = Engine::builder()
        .source(source)
        .output("udp/53".parse().unwrap(), &mut failing)
        .rest(&mut other)
        .run()
        .unwrap_err();

    assert_eq!(error.to_string(), "out: No space left on device (os error 28)");
    assert!(matches!(&error, Error::Sink { output, .. } if output == "udp/53"));
    assert!(!error.output_closed());
    let report = error.report().unwrap();
    assert!(report.balanced(), "{report}");
    // The second batch fails: 86 packets of the first are delivered, all others that were read are not.
    let Ledger { received, delivered, .. } = report.outputs[0].ledger;
    assert_eq!((delivered, failing.seen.len()), (86, 86 + 85));
    let dropped = [(DropReason::OutputFailed, received - 86), (DropReason::LeftUnread, 40)];
    assert_eq!(report.total.dropped, dropped.into());
    assert!(report.total.received < 10_000, "soon after: {report}");
    assert_eq!(report.further_failures, [""; 0], "the same failure is not told twice");
    assert_eq!((failing.finished.len(), other.finished.len()), (1, 1));
    // The other one gets all the rest of what had been read by then.
    assert_eq!(other.seen.len() as u64, report.total.received - received - 40);
    assert!(other.seen.is_sorted());
}

#[test]
fn an_output_that_cannot_be_completed_fails_the_run() {
    let mut first = Witness { fail_finish: true, ..Witness::default() };
    let mut second = Witness { fail_finish: true, ..Witness::default() };
    let error = Engine::builder()
        .source(Memory::new(mixed()))
        .output("udp/53".parse().unwrap(), &mut first)
        .rest(&mut second)
        .run()
        .unwrap_err();
    assert_eq!(error.report().unwrap().further_failures, ["out: No space left on device (os error 28)"]);
}

#[test]
fn an_output_that_has_all_it_wanted_ends_the_run_well() {
    let mut wanting = Witness { complete_at: Some(300), ..Witness::default() };
    let mut other = Witness::default();
    let report =
        Engine::builder().source(Memory::new(mixed())).rest(Tee(&mut wanting, &mut other)).run().unwrap();
    assert!(report.balanced());
    assert_eq!(report.to_string(), "300 received = 300 delivered + 0 filtered out + 0 dropped");
    assert_eq!((wanting.seen.len(), other.seen.len()), (300, 300));
    assert_eq!((wanting.finished.len(), other.finished.len()), (1, 1));
}

#[test]
fn damage_comes_after_everything_before_it() {
    let mut witness = Witness::default();
    let mut source = Memory::new(mixed());
    source.damaged = true;
    let error = Engine::builder().source(source).rest(&mut witness).run().unwrap_err();
    assert_eq!(error.to_string(), "memory: damaged at byte 99, after 1000 packets: torn");
    let report = error.report().unwrap();
    assert!(report.balanced());
    assert_eq!(report.total.delivered, 1000);
    assert_eq!((witness.seen.len(), witness.finished.len()), (1000, 1));
}
