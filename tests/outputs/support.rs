//! Sources and outputs that do what a test wants, when it wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::frame::Interface;
use wharf::sink::{self, Deliveries, InterfaceStatistics, Sink};
use wharf::source::synthetic::{Protocol, Synthetic, Traffic};
use wharf::source::{self, Chunk, ChunkSource, Counters, Fill, Source};

/// A test that waits longer than this is stuck.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "stuck: {what}");
        thread::sleep(Duration::from_micros(50));
    }
}

/// UDP datagrams, to ports 53 and 80 in equal parts.
pub(crate) fn traffic(frames: u64) -> Traffic {
    let protocols = vec![(Protocol::Udp, 1)];
    Traffic { frames, protocols, ports: vec![53..=53, 80..=80], ..Traffic::default() }
}

/// CPUs this process may use, up to three: one twice would be refused.
pub(crate) fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).take(3).collect()
}

/// Made-up frames, a chunk or a batch each time the test says so; live if it says so.
pub(crate) struct Paced {
    inner: Synthetic,
    /// Called before each reading, with the number of readings before.
    before: Box<dyn FnMut(u64) + Send>,
    readings: u64,
    pub(crate) live: bool,
    pub(crate) chunks: bool,
}

impl Paced {
    pub(crate) fn new(frames: u64, before: impl FnMut(u64) + Send + 'static) -> Self {
        let inner = Synthetic::new(&traffic(frames));
        Self { inner, before: Box::new(before), readings: 0, live: false, chunks: false }
    }

    fn pace(&mut self) {
        (self.before)(self.readings);
        self.readings += 1;
    }
}

impl Source for Paced {
    fn interfaces(&self) -> &[Interface] {
        self.inner.interfaces()
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, source::Error> {
        self.pace();
        self.inner.fill(limit)
    }

    fn stop(&mut self) -> Result<(), source::Error> {
        self.inner.stop()
    }

    fn counters(&mut self) -> Counters {
        self.inner.counters()
    }

    fn is_live(&self) -> bool {
        self.live
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        if self.chunks { Some(self) } else { None }
    }
}

impl ChunkSource for Paced {
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, source::Error> {
        self.pace();
        self.inner.fill_chunk(chunk, limit.min(256))
    }
}

/// What an output shows of itself while it runs.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) writes: AtomicU64,
    pub(crate) packets: AtomicU64,
    pub(crate) finished: AtomicU64,
}

/// Counts what it is given, and does what the test wants before.
pub(crate) struct Probe<F> {
    shown: Arc<Shown>,
    last: u64,
    act: F,
}

impl<F: FnMut(&Deliveries<'_>) -> Result<(), sink::Error>> Probe<F> {
    pub(crate) fn new(act: F) -> (Self, Arc<Shown>) {
        let shown = Arc::new(Shown::default());
        (Self { shown: Arc::clone(&shown), last: 0, act }, shown)
    }
}

impl<F: FnMut(&Deliveries<'_>) -> Result<(), sink::Error>> Sink for Probe<F> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
        for delivery in packets.iter() {
            let number = delivery.packet.frame().record.number;
            assert!(number > self.last, "in order");
            self.last = number;
        }
        (self.act)(&packets)?;
        self.shown.packets.fetch_add(packets.len() as u64, Ordering::SeqCst);
        self.shown.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        self.shown.finished.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Shown {
    pub(crate) fn packets(&self) -> u64 {
        self.packets.load(Ordering::SeqCst)
    }
}
