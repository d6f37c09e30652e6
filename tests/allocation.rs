//! Once a run is warm, nothing is allocated for a packet: not by sources, stages, nor sinks.
//!
//! With `WHARF_CORPUS` set, every frame of the captures there is replayed too.
#![allow(unsafe_code, reason = "a global allocator that counts cannot be written without")]

mod capture;
#[path = "support/oracles.rs"]
mod oracles;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use wharf::engine::Engine;
use wharf::frame::{Batch, Frame, Interface, InterfaceId, LinkType, Record};
use wharf::parse::{Packet, parse};
use wharf::sink::text::Dump;
use wharf::sink::{
    CaptureFileWriter, CaptureFormat, Count, Deliveries, Discard, Error, InterfaceStatistics, Json, Sink,
    Tee, Text, TextOptions,
};
use wharf::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};
use wharf::source::{self, BATCH, CaptureFile, Counters, Fill, Source};

/// The system's allocator, with a count of what all threads ask of it: workers, and outputs behind rings.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The warm packets have been through: a run may come to its end, which is not free of allocations.
static MEASURED: AtomicBool = AtomicBool::new(false);

/// One test at a time, as all are counted together.
static ALONE: Mutex<()> = Mutex::new(());

fn count_one() {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it is. Counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps to the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps to the contract of `realloc`, and `pointer` came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`, and `pointer` came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads the count once the packets of `warm` begin, and after each batch of them. Until then it is slow, so that all
/// memory between workers and outputs comes into use.
struct Probe {
    warm: Range<u64>,
    packets: u64,
    first: Option<u64>,
    last: u64,
}

impl Sink for Probe {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        self.packets += packets.len() as u64;
        if self.warm.contains(&self.packets) {
            self.last = ALLOCATIONS.load(Ordering::Relaxed);
            self.first.get_or_insert(self.last);
        } else if self.packets < self.warm.start {
            std::thread::sleep(Duration::from_micros(500));
        } else {
            MEASURED.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        Ok(())
    }
}

/// Allocations in the third quarter of a run of `packets`.
fn allocations(source: impl Source + Send, sink: impl Sink + Send, packets: u64) -> u64 {
    MEASURED.store(false, Ordering::Relaxed);
    let mut probe = Probe { warm: packets / 2..packets * 3 / 4, packets: 0, first: None, last: 0 };
    let report = Engine::builder()
        .source(source)
        // Short rings are soon full once: then all there is between worker and output has been in use.
        .queue(2)
        .output("udp/1".parse().unwrap(), Discard)
        .rest(Tee(sink, &mut probe))
        .run()
        .unwrap();
    assert_eq!(report.total.delivered, packets, "{report}");
    probe.last - probe.first.expect("a warm quarter")
}

/// Every kind of packet there is to make, again and again: a quarter of a run is many rounds.
fn traffic() -> Traffic {
    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp];
    Traffic {
        frames: 40_000,
        distinct: 2_000,
        sizes: Sizes::Imix,
        protocols: protocols.map(|protocol| (protocol, 1)).to_vec(),
        ports: vec![53..=53, 80..=80, 443..=443, 2_000..=2_100],
        ipv6_percent: 30,
        vlan_percent: 20,
        tunnel_percent: 20,
        bad_percent: 5,
        ..Traffic::default()
    }
}

/// What a sink writes to: nobody.
fn sinks() -> Vec<(&'static str, Box<dyn Sink + Send>)> {
    let text = |verbosity, link_header, dump| {
        let options = TextOptions { verbosity, link_header, dump, ..TextOptions::default() };
        Box::new(Text::new(std::io::sink(), options)) as Box<dyn Sink + Send>
    };
    let file = |format, name| {
        let options = CaptureFileWriter::options().format(format);
        Box::new(options.write_to(std::io::sink(), name).unwrap()) as Box<dyn Sink + Send>
    };
    vec![
        ("count", Box::new(Count::new())),
        ("text", text(0, false, Dump::None)),
        ("text in full", text(2, true, Dump::HexAndText { link_header: true })),
        ("JSON", Box::new(Json::new(std::io::sink()))),
        ("pcap", file(CaptureFormat::Pcap, "nowhere")),
        ("pcapng", file(CaptureFormat::PcapNg, "nowhere")),
        ("pcapng.gz", file(CaptureFormat::PcapNg, "nowhere.gz")),
    ]
}

#[test]
fn made_up_frames() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, sink) in sinks() {
        assert_eq!(allocations(Synthetic::new(&traffic()), sink, 40_000), 0, "{name}");
    }
}

/// Reads the count whenever the next frames are asked for, in the third quarter of a run.
struct Metered<'m, S> {
    source: S,
    warm: Range<u64>,
    done: u64,
    /// The first count and the last.
    counts: &'m Mutex<Option<(u64, u64)>>,
}

impl<S: Source> Source for Metered<'_, S> {
    fn interfaces(&self) -> &[Interface] {
        self.source.interfaces()
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, source::Error> {
        if self.warm.contains(&self.done) {
            let count = ALLOCATIONS.load(Ordering::Relaxed);
            self.counts.lock().unwrap().get_or_insert((count, count)).1 = count;
        }
        let filled = self.source.fill(limit)?;
        if let Fill::Batch(batch) = &filled {
            self.done += batch.len() as u64;
        }
        Ok(filled)
    }

    fn stop(&mut self) -> Result<(), source::Error> {
        self.source.stop()
    }

    fn counters(&mut self) -> Counters {
        self.source.counters()
    }
}

/// Where nothing blocks: fill, parse, verify, route and count on one thread, without rings.
#[test]
fn run_to_completion() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = Mutex::new(None);
    let source = Synthetic::new(&traffic());
    let report = Engine::builder()
        .source(Metered { source, warm: 20_000..30_000, done: 0, counts: &counts })
        .output("tcp/443".parse().unwrap(), Count::new())
        .output("udp/0-1000".parse().unwrap(), Discard)
        .rest(Count::new())
        .run()
        .unwrap();
    assert_eq!(report.total.delivered, 40_000, "{report}");
    let (first, last) = counts.into_inner().unwrap().expect("a warm quarter");
    assert_eq!(last - first, 0);
}

/// Where a worker counts some packets in a part of its own and hands the others over.
#[test]
fn counts_beside_rings() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |probe: &mut Probe| {
        let report = Engine::builder()
            .source(Synthetic::new(&traffic()))
            .output("tcp/0-65535".parse().unwrap(), Count::new())
            .rest(probe)
            .run()
            .unwrap();
        report.outputs[1].ledger.delivered
    };
    let packets = run(&mut Probe { warm: 0..0, packets: 0, first: None, last: 0 });
    assert!((10_000..35_000).contains(&packets), "{packets} are not TCP");
    let mut probe = Probe { warm: packets / 2..packets * 3 / 4, packets: 0, first: None, last: 0 };
    assert_eq!(run(&mut probe), packets);
    assert_eq!(probe.last - probe.first.expect("a warm quarter"), 0);
}

#[test]
fn capture_files() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.pcap", "a.pcapng", "a.pcapng.gz"] {
        let path = directory.path().join(name);
        let copy = CaptureFileWriter::create(&path).unwrap();
        Engine::builder().source(Synthetic::new(&traffic())).rest(copy).run().unwrap();
        for (sink_name, sink) in sinks() {
            let source = CaptureFile::open(&path).unwrap();
            assert_eq!(allocations(source, sink, 40_000), 0, "{name} to {sink_name}");
        }
    }
}

/// All numbers of a replay have as many digits: no line is longer than in the round before.
const FIRST: u64 = 1_000_000_000;

/// How often a replay hands out a capture's frames.
const ROUNDS: u64 = 24;

/// Frames handed out again and again.
struct Replay {
    slab: Vec<u8>,
    records: Vec<Record>,
    interfaces: Vec<Interface>,
    batch: Vec<Record>,
    done: u64,
    total: u64,
}

impl Source for Replay {
    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, source::Error> {
        self.batch.clear();
        if self.done < self.total {
            // A batch ends where the round does: every round is cut alike.
            let rest = self.records[self.done as usize % self.records.len()..].iter().take(limit.min(BATCH));
            self.batch
                .extend(rest.zip(FIRST + self.done..).map(|(record, number)| Record { number, ..*record }));
            self.done += self.batch.len() as u64;
        }
        if self.batch.is_empty() && !MEASURED.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_micros(500));
            return Ok(Fill::Idle);
        }
        if self.batch.is_empty() {
            return Ok(Fill::End);
        }
        Ok(Fill::Batch(Batch::new(&self.slab, &self.batch, &self.interfaces)))
    }

    fn stop(&mut self) -> Result<(), source::Error> {
        self.total = self.done;
        Ok(())
    }

    fn counters(&mut self) -> Counters {
        Counters { received: self.done, ..Counters::default() }
    }
}

/// A capture's frames, as of one interface for each link type; `None` when there is none.
fn replay(path: &Path) -> Option<Replay> {
    let frames = capture::take(&mut CaptureFile::open(path).ok()?, BATCH).frames;
    let mut interfaces: Vec<Interface> = Vec::new();
    let (mut slab, mut records) = (Vec::new(), Vec::new());
    for frame in frames {
        let link_type = frame.link_type;
        if carries_another(&frame.data, link_type) {
            continue;
        }
        let known = interfaces.iter().position(|interface| interface.link_type == link_type);
        let interface = known.unwrap_or(interfaces.len());
        if known.is_none() {
            interfaces.push(Interface { link_type, ..Interface::default() });
        }
        records.push(Record {
            offset: slab.len() as u32,
            captured: frame.data.len() as u32,
            wire_length: frame.wire_length,
            time: frame.time,
            link_type,
            interface: InterfaceId(interface as u32),
            ..Record::default()
        });
        slab.extend(frame.data);
    }
    let total = ROUNDS * records.len() as u64;
    let batch = Vec::with_capacity(BATCH);
    (!records.is_empty()).then_some(Replay { slab, records, interfaces, batch, done: 0, total })
}

/// JSON shows such a packet, and inflates or copies it for that: the one exception.
fn carries_another(data: &[u8], link_type: LinkType) -> bool {
    let frame = Frame::new(link_type, data);
    Packet::new(frame, &parse(&frame)).carried().is_some()
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn captured_frames() {
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        oracles::missing("WHARF_CORPUS is not set");
        return;
    };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut paths = Vec::new();
    files(Path::new(&corpus), &mut paths);
    let mut replayed = 0;
    for path in &paths {
        for wanted in ["text in full", "JSON"] {
            let Some(source) = replay(path) else { continue };
            let (_, sink) = sinks().into_iter().find(|(name, _)| *name == wanted).expect("such a sink");
            let packets = source.total;
            let found = allocations(source, sink, packets);
            assert!(found == 0, "{} to {wanted}: {found} allocations", path.display());
            replayed += 1;
        }
    }
    assert!(replayed > 0, "no capture found under WHARF_CORPUS");
}

/// A proxy's worker asks for no memory for what it passes on, once it has been through it.
#[cfg(feature = "proxy")]
mod proxy {
    use super::{ALLOCATIONS, ALONE};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::sync::PoisonError;
    use std::sync::atomic::Ordering;
    use std::thread;
    use std::time::Duration;
    use wharf::proxy::config::{Config, Listener, Server, Upstream};
    use wharf::proxy::{ListenPlace, Proxy};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Echoes what two clients say, and datagrams, with memory of its own.
    fn servers() -> (SocketAddr, SocketAddr) {
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let places = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        for _ in 0..2 {
            let tcp = tcp.try_clone().unwrap();
            thread::spawn(move || {
                let (mut stream, _) = tcp.accept().unwrap();
                let mut bytes = [0; 1 << 16];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    stream.write_all(&bytes[..length]).unwrap();
                }
            });
        }
        thread::spawn(move || {
            let mut bytes = [0; 2_048];
            while let Ok((length, from)) = udp.recv_from(&mut bytes) {
                udp.send_to(&bytes[..length], from).unwrap();
            }
        });
        places
    }

    #[test]
    fn events() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (tcp, udp) = servers();
        let upstream = |server: SocketAddr| Upstream {
            servers: vec![Server::at(server.to_string().parse().unwrap())],
            ..Upstream::default()
        };
        let config = Config {
            listeners: vec![
                Listener::on("127.0.0.1:tcp/0".parse().unwrap(), 0),
                Listener::on("127.0.0.1:udp/0".parse().unwrap(), 1),
            ],
            upstreams: vec![upstream(tcp), upstream(udp)],
            cores: vec![0],
            ..Config::default()
        };
        let proxy = Proxy::bind(&config).unwrap();
        let places: Vec<_> = proxy
            .places()
            .map(|(_, place)| match place {
                ListenPlace::Internet(address) => *address,
                other => panic!("{other}"),
            })
            .collect();
        let proxy = proxy.start().unwrap();
        let mut small = TcpStream::connect(places[0]).unwrap();
        let mut bulky = TcpStream::connect(places[0]).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        datagrams.connect(places[1]).unwrap();
        small.set_read_timeout(Some(PATIENCE)).unwrap();
        bulky.set_read_timeout(Some(PATIENCE)).unwrap();
        datagrams.set_read_timeout(Some(PATIENCE)).unwrap();
        let (block, mut room) = (vec![7; 256 << 10], vec![0; 256 << 10]);
        let mut round = || {
            let mut answer = [0; 64];
            for _ in 0..200 {
                small.write_all(&[1; 64]).unwrap();
                small.read_exact(&mut answer).unwrap();
                datagrams.send(&[2; 64]).unwrap();
                datagrams.recv(&mut answer).unwrap();
            }
            for _ in 0..20 {
                bulky.write_all(&block).unwrap();
                bulky.read_exact(&mut room).unwrap();
            }
        };
        // Buffers, pipes and lists come into use.
        (0..3).for_each(|_| round());
        // The rest of the process may ask for some at any time, but not each time.
        let fewest = (0..3)
            .map(|_| {
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                (0..5).for_each(|_| round());
                ALLOCATIONS.load(Ordering::Relaxed) - before
            })
            .min();
        assert_eq!(fewest, Some(0));
        let totals = proxy.totals();
        assert!(totals.tcp.bytes_up > 8 * 20 * (256 << 10) && totals.udp.sent >= 2 * 8 * 200, "{totals}");
        assert!(totals.tcp.bytes_spliced > 0, "{totals}");
    }
}
