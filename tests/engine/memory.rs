//! Sources and sinks in memory that do as a test wants.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use wharf::frame::{Annotation, Batch, Interface, LinkType, Record};
use wharf::sink::{self, Deliveries, InterfaceStatistics, Sink};
use wharf::source::{self, BATCH, Counters, Fill, Source};

/// An Ethernet frame with a UDP datagram of no bytes.
pub(crate) fn udp(source: u16, destination: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0x66, 0xcf, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(source.to_be_bytes().into_iter().chain(destination.to_be_bytes()));
    frame.extend([0, 8, 0, 0]);
    frame
}

/// Frames from memory, with the losses and the end a test wants.
pub(crate) struct Memory {
    pub(crate) frames: VecDeque<Vec<u8>>,
    pub(crate) slab: Vec<u8>,
    pub(crate) records: Vec<Record>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) counters: Counters,
    /// After `stop`, frames beyond this many are not handed out: they had not been accepted yet.
    pub(crate) accepted_at_stop: usize,
    /// This many calls find nothing.
    pub(crate) idle: usize,
    pub(crate) damaged: bool,
    pub(crate) live: bool,
    pub(crate) ended: bool,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    /// Called at each fill, on the worker's thread.
    pub(crate) at_fill: Box<dyn FnMut() + Send>,
}

impl Memory {
    pub(crate) fn new(frames: impl IntoIterator<Item = Vec<u8>>) -> Self {
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
            live: false,
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
        self.idle = 0;
        self.frames.truncate(self.accepted_at_stop);
        Ok(())
    }

    fn is_live(&self) -> bool {
        self.live
    }

    fn counters(&mut self) -> Counters {
        let Counters { received, dropped_ring, filtered, .. } = self.counters;
        let unread = self.frames.len() as u64;
        Counters { received: received + dropped_ring + filtered + unread, unread, ..self.counters }
    }
}

/// Remembers what it was told, and fails when told to.
#[derive(Default)]
pub(crate) struct Witness {
    /// Packet numbers, and annotation kinds as negative ones, in order.
    pub(crate) seen: Vec<i64>,
    pub(crate) flushed: u64,
    /// Called at each flush, before it counts.
    pub(crate) at_flush: Option<Box<dyn FnMut() + Send>>,
    pub(crate) finished: Vec<Vec<InterfaceStatistics>>,
    pub(crate) fail_at: Option<usize>,
    pub(crate) fail_finish: bool,
    pub(crate) complete_at: Option<usize>,
}

pub(crate) fn failure() -> sink::Error {
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
        if let Some(at_flush) = &mut self.at_flush {
            at_flush();
        }
        self.flushed += 1;
        Ok(())
    }

    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        self.finished.push(statistics.to_vec());
        if self.fail_finish { Err(failure()) } else { Ok(()) }
    }
}

/// 1000 datagrams: numbers 1, 4, 7, … to port 53, 2, 5, 8, … from port 80, the others neither.
pub(crate) fn mixed() -> impl Iterator<Item = Vec<u8>> {
    (0..1000).map(|n| match n % 3 {
        0 => udp(40_000, 53),
        1 => udp(80, 40_000),
        _ => udp(40_000, 40_001),
    })
}
