//! The engine over sources and sinks in memory: every packet is accounted for, however the run ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wharf::engine::{CoreProblem, DropReason, Engine, Error, Ledger, Shutdown, Snapshot};
use wharf::frame::{Annotation, Batch, Interface, LinkType, Record};
use wharf::parse::Packet;
use wharf::sink::{self, Deliveries, Discard, InterfaceStatistics, Sink, Tee, each};
use wharf::source::{self, BATCH, Counters, Fill, Source};

/// An Ethernet frame with a UDP datagram of no bytes.
fn udp(source: u16, destination: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0x66, 0xcf, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(source.to_be_bytes().into_iter().chain(destination.to_be_bytes()));
    frame.extend([0, 8, 0, 0]);
    frame
}

/// Frames from memory, with the losses and the end a test wants.
struct Memory {
    frames: VecDeque<Vec<u8>>,
    slab: Vec<u8>,
    records: Vec<Record>,
    interfaces: Vec<Interface>,
    annotations: Vec<Annotation>,
    counters: Counters,
    /// After `stop`, frames beyond this many are not handed out: they had not been accepted yet.
    accepted_at_stop: usize,
    /// This many calls find nothing.
    idle: usize,
    damaged: bool,
    ended: bool,
    log: Arc<Mutex<Vec<String>>>,
    /// Called at each fill, on the worker's thread.
    at_fill: Box<dyn FnMut() + Send>,
}

impl Memory {
    fn new(frames: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            frames: frames.into_iter().collect(),
            slab: Vec::new(),
            records: Vec::new(),
            interfaces: vec![Interface { link_type: LinkType::ETHERNET, ..Interface::default() }],
            annotations: Vec::new(),
            counters: Counters::default(),
            accepted_at_stop: 0,
            idle: 0,
            damaged: false,
            ended: false,
            log: Arc::default(),
            at_fill: Box::new(|| ()),
        }
    }

    fn say(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }
}

impl Source for Memory {
    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, source::Error> {
        assert!(limit >= 1);
        self.say(format!("fill {limit}"));
        (self.at_fill)();
        if self.idle > 0 {
            self.idle -= 1;
            return Ok(Fill::Idle);
        }
        self.slab.clear();
        self.records.clear();
        let already = self.counters.received;
        for bytes in self.frames.drain(..limit.min(BATCH).min(self.frames.len())) {
            let length = u32::try_from(bytes.len()).unwrap();
            self.records.push(Record {
                offset: u32::try_from(self.slab.len()).unwrap(),
                captured: length,
                wire_length: length,
                number: already + self.records.len() as u64 + 1,
                link_type: LinkType::ETHERNET,
                ..Record::default()
            });
            self.slab.extend(bytes);
        }
        self.counters.received += self.records.len() as u64;
        if !self.records.is_empty() {
            let batch = Batch::new(&self.slab, &self.records, &self.interfaces);
            return Ok(Fill::Batch(batch.with_annotations(&self.annotations)));
        }
        match (std::mem::replace(&mut self.ended, true), self.damaged) {
            (false, true) => Err(source::Error::Damaged {
                path: "memory".into(),
                offset: 99,
                frames: already,
                reason: "torn".into(),
            }),
            _ => Ok(Fill::End),
        }
    }

    fn stop(&mut self) -> Result<(), source::Error> {
        self.say("stop".into());
        self.frames.truncate(self.accepted_at_stop);
        Ok(())
    }

    fn counters(&mut self) -> Counters {
        let Counters { received, dropped_ring, filtered, .. } = self.counters;
        let unread = self.frames.len() as u64;
        Counters { received: received + dropped_ring + filtered + unread, unread, ..self.counters }
    }
}

/// Remembers what it was told, and fails when told to.
#[derive(Default)]
struct Witness {
    /// Packet numbers, and annotation kinds as negative ones, in order.
    seen: Vec<i64>,
    flushed: u64,
    finished: Vec<Vec<InterfaceStatistics>>,
    fail_at: Option<usize>,
    fail_finish: bool,
    complete_at: Option<usize>,
}

fn failure() -> sink::Error {
    sink::Error::Io { path: "out".into(), source: std::io::Error::from_raw_os_error(28) }
}

impl Sink for Witness {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
        assert!(!packets.is_empty() && packets.len() <= BATCH);
        if let Some(wanted) = self.complete_at.map(|at| at - self.seen.len())
            && wanted < packets.len()
        {
            self.complete_at = None;
            self.write(packets.first(wanted))?;
            return Err(sink::Error::Complete { accepted: wanted });
        }
        let numbers = packets.iter().map(|delivery| delivery.packet.frame().record.number);
        self.seen.extend(numbers.map(|number| i64::try_from(number).unwrap()));
        match self.fail_at {
            Some(limit) if self.seen.len() > limit => Err(failure()),
            _ => Ok(()),
        }
    }

    fn annotate(&mut self, annotation: &Annotation) -> Result<(), sink::Error> {
        self.seen.push(-i64::from(annotation.kind));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), sink::Error> {
        self.flushed += 1;
        Ok(())
    }

    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        self.finished.push(statistics.to_vec());
        if self.fail_finish { Err(failure()) } else { Ok(()) }
    }
}

/// 1000 datagrams: numbers 1, 4, 7, … to port 53, 2, 5, 8, … from port 80, the others neither.
fn mixed() -> impl Iterator<Item = Vec<u8>> {
    (0..1000).map(|n| match n % 3 {
        0 => udp(40_000, 53),
        1 => udp(80, 40_000),
        _ => udp(40_000, 40_001),
    })
}

#[test]
fn every_packet_goes_to_one_output_in_order() {
    let (mut dns, mut web, mut rest) = (Witness::default(), Witness::default(), Witness::default());
    let mut source = Memory::new(mixed());
    source.counters = Counters { dropped_ring: 7, filtered: 5, freezes: 2, ..Counters::default() };
    let report = Engine::builder()
        .source(source)
        .output("udp/53".parse().unwrap(), &mut dns)
        .output("any/80,8080".parse().unwrap(), &mut web)
        .rest(&mut rest)
        .run()
        .unwrap();

    for (first, count, witness) in [(1, 334, dns), (2, 333, web), (3, 333, rest)] {
        assert_eq!(witness.seen, (0..count).map(|n| n * 3 + first).collect::<Vec<_>>());
        assert_eq!(
            witness.finished,
            [[InterfaceStatistics { received: 1012, dropped: 7, ..Default::default() }]]
        );
    }
    assert!(report.balanced());
    assert_eq!(report.workers, std::slice::from_ref(&report.total));
    assert_eq!(
        report.to_string(),
        "1012 received = 1000 delivered + 5 filtered out + 7 dropped (7 kernel ring full)\n  \
         udp/53       334 received = 334 delivered + 0 filtered out + 0 dropped\n  \
         any/80,8080  333 received = 333 delivered + 0 filtered out + 0 dropped\n  \
         rest         333 received = 333 delivered + 0 filtered out + 0 dropped\n\
         the kernel's ring was full 2 times"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["received"], 1012);
    assert_eq!(json["dropped"]["kernel_ring_full"], 7);
    assert_eq!(json["outputs"][1]["rule"], "any/80,8080");
    assert_eq!(json["checksums"]["l4"]["absent"], 1000);
}

#[test]
fn a_source_that_hides_packets_unbalances_the_report() {
    let mut source = Memory::new(mixed());
    // Counted as received before, never handed out, not named.
    source.counters.received = 1;
    let report = Engine::builder().source(source).rest(Discard).run().unwrap();
    assert!(!report.balanced());
    assert_eq!(report.to_string(), "1001 received IS NOT 1000 delivered + 0 filtered out + 0 dropped");
}

#[test]
fn without_a_rest_output_the_rest_is_filtered_out() {
    let report = Engine::builder()
        .source(Memory::new(mixed()))
        .output("udp/53".parse().unwrap(), Discard)
        .run()
        .unwrap();
    assert!(report.balanced());
    assert_eq!((report.total.delivered, report.total.filtered_out), (334, 666));
}

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
    assert_eq!(report.to_string(), "512 received = 300 delivered + 212 filtered out + 0 dropped");
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

#[test]
fn annotations_reach_every_output_before_the_packets_they_precede() {
    let (mut dns, mut rest) = (Witness::default(), Witness::default());
    let mut source = Memory::new([udp(1, 53), udp(1, 2)]);
    source.annotations = vec![Annotation { kind: 10, section: 0, body: Vec::new() }];
    let builder = Engine::builder().source(source);
    builder.output("udp/53".parse().unwrap(), &mut dns).rest(&mut rest).run().unwrap();
    assert_eq!((dns.seen, rest.seen), (vec![-10, 1], vec![-10, 2]));
}

#[test]
fn an_idle_source_flushes_the_outputs() {
    let mut witness = Witness::default();
    let mut source = Memory::new(mixed());
    source.idle = 3;
    // With room in the ring for all of it: where there is none, the output is busy and not asked. It is asked once where
    // it has not come to it when the source is idle again.
    Engine::builder().source(source).rest(&mut witness).queue(8).run().unwrap();
    assert!((1..=3).contains(&witness.flushed), "{}", witness.flushed);
    assert_eq!(witness.seen.len(), 1000);
}

#[test]
fn the_observer_sees_the_run_from_the_callers_thread() {
    let mut seen = Vec::new();
    let mut source = Memory::new(mixed());
    let mut fills = 0;
    source.at_fill = Box::new(move || {
        fills += 1;
        if fills == 3 {
            std::thread::sleep(Duration::from_millis(200));
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

fn allowed() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).collect()
}

#[test]
fn a_worker_runs_where_it_is_told_or_says_why_not() {
    let all = allowed();
    let (sender, receiver) = std::sync::mpsc::channel();
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

#[test]
fn a_run_needs_a_source() {
    assert!(matches!(Engine::builder().rest(Discard).run(), Err(Error::NoSource)));
}
