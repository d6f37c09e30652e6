//! What runs on which thread, and what one tells another.

use crate::memory::{Memory, Witness, mixed, udp};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};
use wharf::engine::{CoreProblem, Engine, Error, Snapshot};
use wharf::parse::Packet;
use wharf::sink::{self, Deliveries, Discard, InterfaceStatistics, Sink, each};

/// One who waits longer than this is stuck.
const LIMIT: Duration = Duration::from_secs(20);

/// The source is idle again only when the output has flushed.
#[test]
fn an_idle_source_flushes_the_outputs_each_time() {
    let (flushes, flushed) = channel();
    let at_flush = move || flushes.send(()).unwrap();
    let mut witness = Witness { at_flush: Some(Box::new(at_flush)), ..Witness::default() };
    let mut source = Memory::new(mixed());
    source.idle = 3;
    let mut fills = 0;
    source.at_fill = Box::new(move || {
        if (1..=3).contains(&fills) {
            flushed.recv_timeout(LIMIT).expect("a flush");
        }
        fills += 1;
    });
    // With room in the ring: where there is none, the output is busy and not asked.
    Engine::builder().source(source).rest(&mut witness).queue(8).run().unwrap();
    assert_eq!((witness.flushed, witness.seen.len()), (3, 1000));
}

/// While one flush lasts the source is idle thrice more: one will do for all of them.
#[test]
fn an_output_that_has_not_come_to_a_flush_is_not_asked_again() {
    let ((begins, begun), (ends, ended)) = (channel(), channel());
    let mut first = true;
    let at_flush = move || {
        if std::mem::take(&mut first) {
            begins.send(()).unwrap();
            ended.recv_timeout(LIMIT).expect("the end of idleness");
        }
    };
    let mut witness = Witness { at_flush: Some(Box::new(at_flush)), ..Witness::default() };
    let mut source = Memory::new(mixed());
    source.idle = 4;
    let mut fills = 0;
    source.at_fill = Box::new(move || {
        match fills {
            1 => begun.recv_timeout(LIMIT).expect("the first flush"),
            4 => ends.send(()).unwrap(),
            _ => {}
        }
        fills += 1;
    });
    Engine::builder().source(source).rest(&mut witness).queue(8).run().unwrap();
    assert_eq!((witness.flushed, witness.seen.len()), (2, 1000));
}

/// Remembers which threads wrote to it.
struct Placed {
    may_wait: bool,
    written_by: Vec<ThreadId>,
}

impl Sink for Placed {
    fn write(&mut self, _: Deliveries<'_>) -> Result<(), sink::Error> {
        self.written_by.push(thread::current().id());
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        Ok(())
    }

    fn may_wait(&self) -> bool {
        self.may_wait
    }
}

#[test]
fn the_worker_itself_writes_to_a_sink_that_never_waits_where_packets_come_live() {
    let one_cpu = allowed().len() == 1;
    for (live, may_wait, by_worker) in
        [(true, false, true), (true, true, false), (false, false, one_cpu), (false, true, one_cpu)]
    {
        let mut source = Memory::new(mixed());
        source.live = live;
        let (reads, read_by) = channel();
        source.at_fill = Box::new(move || reads.send(thread::current().id()).unwrap());
        let mut sink = Placed { may_wait, written_by: Vec::new() };
        let report = Engine::builder().source(source).rest(&mut sink).run().unwrap();
        assert_eq!(report.total.delivered, 1000);
        let worker = read_by.recv().unwrap();
        let same = sink.written_by.iter().all(|&by| by == worker);
        assert_eq!((same, sink.written_by.is_empty()), (by_worker, false), "{live} {may_wait}");
    }
}

#[test]
fn the_observer_sees_the_run_from_the_callers_thread() {
    let mut seen = Vec::new();
    let mut source = Memory::new(mixed());
    let mut fills = 0;
    source.at_fill = Box::new(move || {
        fills += 1;
        if fills == 3 {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let observer = |snapshot: Snapshot| seen.push(snapshot.packets);
    Engine::builder()
        .source(source)
        .rest(Witness::default())
        .observe(Duration::from_millis(10), observer)
        .run()
        .unwrap();
    assert!(seen.contains(&512), "{seen:?}");
    assert!(seen.is_sorted());
}

#[test]
fn an_observer_that_is_asked_for_all_the_time_leaves_the_processor_some() {
    let mut source = Memory::new(mixed());
    let mut fills = 0;
    source.at_fill = Box::new(move || {
        fills += 1;
        if fills == 3 {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let (mut calls, begun) = (0_u128, Instant::now());
    Engine::builder().source(source).rest(Discard).observe(Duration::ZERO, |_| calls += 1).run().unwrap();
    // And once at the end.
    assert!((10..=begun.elapsed().as_millis() + 2).contains(&calls), "{calls} in {:?}", begun.elapsed());
}

/// A source that has nothing for ever would keep the run, and with it the panic, if nobody told it to stop.
#[test]
fn a_panic_of_the_observer_ends_the_run() {
    let (ends, ended) = channel();
    thread::spawn(move || {
        let mut source = Memory::new(mixed());
        source.idle = usize::MAX;
        source.at_fill = Box::new(|| thread::sleep(Duration::from_millis(1)));
        let builder = Engine::builder().source(source).rest(Discard);
        let builder = builder.observe(Duration::from_millis(10), |_| panic!("of the observer"));
        let panic = catch_unwind(AssertUnwindSafe(|| builder.run().map(|_| ()))).unwrap_err();
        ends.send(panic.downcast_ref::<&str>().copied()).unwrap();
    });
    assert_eq!(ended.recv_timeout(LIMIT), Ok(Some("of the observer")));
}

fn allowed() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).collect()
}

#[test]
fn a_worker_runs_where_it_is_told_or_says_why_not() {
    let all = allowed();
    let (sender, receiver) = channel();
    let mut source = Memory::new([udp(1, 2)]);
    source.at_fill = Box::new(move || sender.send(allowed()).unwrap());
    let mut output_on = Vec::new();
    Engine::builder()
        .source(source)
        .rest(each(|_: &Packet<'_>| output_on = allowed()))
        .cores([all[0]])
        .run()
        .unwrap();
    assert!(receiver.iter().all(|cores| cores == [all[0]]));
    // The output keeps off that CPU where there are others.
    assert_eq!(output_on, if all.len() > 1 { &all[1..] } else { &all });

    for core in [1000, 100_000, usize::MAX] {
        let error = Engine::builder().source(Memory::new([])).rest(Discard).cores([core]).run().unwrap_err();
        assert!(
            matches!(error, Error::Core { core: named, problem: CoreProblem::Missing { .. } } if named == core),
            "{error}"
        );
        assert!(error.report().is_none());
    }
}
