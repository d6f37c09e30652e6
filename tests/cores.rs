//! Any number of workers gives the same results, down to the byte, and ends in the same way.

mod capture;
#[path = "support/oracles.rs"]
mod oracles;
#[path = "support/skip.rs"]
mod skip;

use capture::{BIG, LITTLE};
use skip::skip;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::tempdir;
use wharf::engine::{Builder, Engine, Error, Report, Shutdown};
use wharf::parse::Packet;
use wharf::sink::{
    self, CaptureFileWriter, Count, Deliveries, Discard, InterfaceStatistics, Sink, Tee, each,
};
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};
use wharf::source::{CaptureFile, Chunk, ChunkSource, Counters, Fill, Source};

/// CPUs this process may use, up to three. With one CPU there is nothing to share.
fn cores() -> Option<Vec<usize>> {
    let cores: Vec<usize> =
        core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).take(3).collect();
    if cores.len() < 2 {
        skip("only one CPU");
        return None;
    }
    Some(cores)
}

/// Traffic of all kinds, more than a few chunks of it, with checksums that are wrong.
fn traffic(frames: u64) -> Traffic {
    Traffic {
        frames,
        sizes: Sizes::Imix,
        ports: vec![53..=53, 80..=99, 443..=443],
        flows: 200,
        ipv6_percent: 30,
        vlan_percent: 20,
        tunnel_percent: 10,
        bad_percent: 7,
        ..Traffic::default()
    }
}

fn synthetic(path: &Path, frames: u64) {
    let writer = CaptureFileWriter::create(path).unwrap();
    let report = Engine::builder().source(Synthetic::new(&traffic(frames))).rest(writer).run().unwrap();
    assert_eq!(report.total.delivered, frames);
}

/// Sections in both byte orders; interfaces and annotations that come up between the packets; a packet larger than a
/// read, and malformed ones.
fn checkered() -> Vec<u8> {
    let mut file = Vec::new();
    for round in 0..40_u32 {
        let order = if round % 3 == 1 { BIG } else { LITTLE };
        file.extend(order.section());
        for interface in 0..=round % 4 {
            file.extend(order.interface(1, 0, &order.option(2, format!("if{round}.{interface}").as_bytes())));
            for index in 0..90 * (round % 5) {
                let mut data = vec![index as u8; (index as usize * 13) % 1500];
                data.splice(0..0, [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45 + (index % 7 == 0) as u8]);
                let wire = data.len() as u32;
                file.extend(order.enhanced(interface, u64::from(round * 1000 + index), &data, wire, &[]));
                if index % 70 == 69 {
                    file.extend(order.block(0xBAD, &[&order.u32(32_473)[..], b"note"].concat()));
                }
            }
        }
        if round == 20 {
            file.extend(order.section());
            // D-Bus: up to 128 MiB.
            file.extend(order.interface(231, 0, &[]));
            file.extend(order.enhanced(0, 1, &vec![7; 3 << 20], 3 << 20, &[]));
        }
    }
    file
}

/// What a run of the binary came to: exit code, both streams, and the files it wrote.
type Outcome = (Option<i32>, Vec<u8>, Vec<u8>, Vec<(PathBuf, Vec<u8>)>);

fn run(arguments: &[&str], input: &Path, cores: Option<&[usize]>) -> Outcome {
    let dir = tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.current_dir(dir.path()).env("TZ", "UTC").args(arguments).arg("-r").arg(input);
    if let Some(cores) = cores {
        let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
        command.args(["--cores", &cores.join(",")]);
    }
    let output = command.output().unwrap();
    let mut files: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    (output.status.code(), output.stdout, output.stderr, files)
}

const RUNS: &[&[&str]] = &[
    &["sniff", "-n"],
    &["sniff", "-nvve", "-c", "777"],
    &["sniff", "--json"],
    &["sniff", "--count"],
    &["sniff", "--count", "--json", "-c", "1001"],
    &["sniff", "-w", "copy.pcapng"],
    &["sniff", "-w", "part", "-C", "1", "-W", "2", "--print", "--count"],
    &["split", "--json", "--to", "tcp/80-90,443=web.pcap", "--to", "any/53=dns.pcapng"],
    &["split", "--each", "{proto}-{port}.pcapng"],
];

fn same_for_any_cores(input: &Path, runs: &[&[&str]], cores: &[usize]) {
    for arguments in runs {
        let alone = run(arguments, input, None);
        for cores in [&cores[..1], cores] {
            let outcome = run(arguments, input, Some(cores));
            let name = |what: &str| format!("{what} of {arguments:?} over {} on {cores:?}", input.display());
            assert_eq!(
                String::from_utf8_lossy(&outcome.2),
                String::from_utf8_lossy(&alone.2),
                "{}",
                name("stderr")
            );
            assert_eq!(outcome.0, alone.0, "{}", name("exit code"));
            assert!(outcome.1 == alone.1, "{}", name("stdout"));
            assert!(outcome.3 == alone.3, "{}", name("files"));
        }
    }
}

#[test]
fn a_large_file_gives_the_same_to_the_byte() {
    let Some(cores) = cores() else { return };
    let dir = tempdir().unwrap();
    let path = dir.path().join("large.pcapng");
    synthetic(&path, 20_000);
    assert!(fs::metadata(&path).unwrap().len() > 6 << 20, "several chunks");
    same_for_any_cores(&path, RUNS, &cores);
}

#[test]
fn sections_interfaces_and_annotations_in_any_place() {
    let Some(cores) = cores() else { return };
    let dir = tempdir().unwrap();
    let path = dir.path().join("checkered.pcapng");
    let file = checkered();
    fs::write(&path, &file).unwrap();
    same_for_any_cores(&path, RUNS, &cores);

    // Damaged, and compressed.
    fs::write(&path, &file[..file.len() * 3 / 4]).unwrap();
    same_for_any_cores(&path, &RUNS[2..6], &cores);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&file).unwrap();
    fs::write(&path, encoder.finish().unwrap()).unwrap();
    same_for_any_cores(&path, &RUNS[2..6], &cores);
}

#[test]
fn every_file_of_the_corpus() {
    let Some(cores) = cores() else { return };
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        oracles::missing("WHARF_CORPUS is not set");
        return;
    };
    let mut folders = vec![Path::new(&corpus).join("captures")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            for arguments in [&["sniff", "-n"][..], &["sniff", "--json"], &["sniff", "--count"]] {
                let name = format!("{arguments:?} {}", path.display());
                let alone = run(arguments, &path, None);
                assert!(run(arguments, &path, Some(&cores[..2])) == alone, "{name}");
            }
        }
    }
    assert!(files > 0, "no file found under WHARF_CORPUS");
}

/// A run over a file, on these CPUs.
fn over<'a>(path: &Path, cores: &[usize]) -> Builder<'a> {
    Engine::builder().source(CaptureFile::open(path).unwrap()).cores(cores.iter().copied())
}

/// Fails, or has enough, in the batch with this packet.
#[derive(Clone, Default)]
struct Fussy {
    seen: Vec<u64>,
    fail_at: Option<u64>,
    enough_at: Option<u64>,
    statistics: Vec<InterfaceStatistics>,
}

impl Sink for Fussy {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
        for (accepted, delivery) in packets.iter().enumerate() {
            let number = delivery.packet.frame().record.number;
            if self.enough_at == Some(number) {
                return Err(sink::Error::Complete { accepted });
            }
            if self.fail_at == Some(number) {
                return Err(sink::Error::Closed);
            }
            self.seen.push(number);
        }
        Ok(())
    }

    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        self.statistics = statistics.to_vec();
        Ok(())
    }
}

fn account(result: &Result<Report, Error>) -> String {
    let report = match result {
        Ok(report) => report,
        Err(error) => error.report().unwrap(),
    };
    assert!(report.balanced(), "{report}");
    format!("{:?} {}", result.as_ref().err().map(ToString::to_string), serde_json::to_string(report).unwrap())
}

#[test]
fn limits_failures_and_complete_outputs_end_at_the_same_packet() {
    let Some(cores) = cores() else { return };
    let dir = tempdir().unwrap();
    let path = dir.path().join("ends.pcapng");
    synthetic(&path, 20_000);
    let at = |number| (Some(number), None);
    for ((fail_at, enough_at), limit) in
        [(at(1), 30_000), (at(9_999), 30_000), (at(20_000), 30_000), ((None, Some(12_345)), 30_000)]
            .into_iter()
            .chain([1, 255, 256, 257, 5_000, 19_999, 20_000].map(|limit| ((None, None), limit)))
    {
        let fussy = Fussy { fail_at, enough_at, ..Fussy::default() };
        let (mut alone, mut other) = (fussy.clone(), Vec::new());
        let expected = account(&over(&path, &cores[..1]).limit(limit).rest(&mut alone).run());
        assert!(alone.seen.iter().copied().eq(1..=alone.seen.len() as u64));
        for cores in [&cores[..2], &cores] {
            let mut fussy = fussy.clone();
            other.clear();
            let numbers = each(|packet: &Packet<'_>| other.push(packet.frame().record.number));
            let result = over(&path, cores).limit(limit).rest(Tee(&mut fussy, numbers)).run();
            assert_eq!(account(&result), expected, "{fail_at:?} {enough_at:?} {limit}");
            assert_eq!((fussy.seen, &fussy.statistics), (alone.seen.clone(), &alone.statistics));
        }
    }
}

#[test]
fn counts_are_made_on_the_workers_and_merged() {
    let Some(cores) = cores() else { return };
    let dir = tempdir().unwrap();
    let path = dir.path().join("counts.pcapng");
    synthetic(&path, 20_000);
    let expected = Synthetic::new(&traffic(20_000)).expected();
    let (mut web, mut rest) = (Count::new(), Count::new());
    let report =
        over(&path, &cores).output("any/80-99".parse().unwrap(), &mut web).rest(&mut rest).run().unwrap();
    assert!(report.balanced(), "{report}");
    assert_eq!(report.workers.len(), cores.len());
    assert_eq!(web.table().packets + rest.table().packets, expected.total.frames);
    assert_eq!(web.table().bytes + rest.table().bytes, expected.total.bytes);
    let (mut alone, mut all) = (Count::new(), Count::new());
    over(&path, &cores[..1]).rest(&mut alone).run().unwrap();
    over(&path, &cores).rest(Tee(&mut all, Discard)).run().unwrap();
    assert_eq!(all.table(), alone.table());
}

#[test]
fn a_stop_request_delivers_what_was_read_and_finishes() {
    let Some(cores) = cores() else { return };
    let dir = tempdir().unwrap();
    let path = dir.path().join("stop.pcapng");
    synthetic(&path, 100_000);
    let (shutdown, mut fussy) = (Shutdown::default(), Fussy::default());
    let handle = shutdown.clone();
    let stop = each(move |packet: &Packet<'_>| {
        if packet.frame().record.number == 300 {
            handle.request();
        }
    });
    let report = over(&path, &cores).rest(Tee(&mut fussy, stop)).shutdown(shutdown).run().unwrap();
    assert!(report.balanced(), "{report}");
    let delivered = report.total.delivered;
    assert!((300..100_000).contains(&delivered), "{report}");
    assert!(fussy.seen.iter().copied().eq(1..=delivered), "in order, without a gap");
    assert_eq!(fussy.statistics, [InterfaceStatistics { received: delivered, ..Default::default() }]);
}

/// Synthetic frames in chunks of a batch or two; panics, hides frames or fails when it is told to.
struct Odd {
    inner: Synthetic,
    panic_at: Option<u64>,
    hidden: u64,
}

impl Odd {
    fn new() -> Self {
        Self { inner: Synthetic::new(&traffic(20_000)), panic_at: None, hidden: 0 }
    }
}

impl Source for Odd {
    fn interfaces(&self) -> &[wharf::frame::Interface] {
        self.inner.interfaces()
    }

    fn fill(&mut self, _: usize) -> Result<Fill<'_>, wharf::source::Error> {
        panic!("chunks were asked for")
    }

    fn stop(&mut self) -> Result<(), wharf::source::Error> {
        self.inner.stop()
    }

    fn counters(&mut self) -> Counters {
        let counters = self.inner.counters();
        Counters { received: counters.received + self.hidden, ..counters }
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        Some(self)
    }
}

impl ChunkSource for Odd {
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, wharf::source::Error> {
        chunk.clear();
        if self.panic_at.is_some_and(|at| self.inner.counters().received >= at) {
            panic!("source");
        }
        for _ in 0..2 {
            let left = limit.saturating_sub(chunk.len() as u64).min(256) as usize;
            if left > 0
                && let Fill::Batch(batch) = self.inner.fill(left)?
            {
                chunk.push(batch);
            }
        }
        Ok(!chunk.is_empty())
    }
}

#[test]
fn any_source_may_give_chunks_and_none_may_hide_packets() {
    let Some(cores) = cores() else { return };
    for hidden in [0, 3] {
        let mut fussy = Fussy::default();
        let source = Odd { hidden, ..Odd::new() };
        let report = Engine::builder().source(source).cores(cores.clone()).rest(&mut fussy).run().unwrap();
        assert!(fussy.seen.into_iter().eq(1..=20_000));
        assert_eq!((report.total.received, report.balanced()), (20_000 + hidden, hidden == 0));
    }
}

#[test]
fn a_panic_is_passed_on_and_nobody_waits_for_ever() {
    let Some(cores) = cores() else { return };
    let panics = |run: &mut dyn FnMut() -> Result<Report, Error>| {
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
        panic.downcast_ref::<&str>().copied().map(str::to_owned)
    };
    let odd = || Engine::builder().source(Odd { panic_at: Some(9_000), ..Odd::new() }).cores(cores.clone());
    assert_eq!(panics(&mut || odd().rest(Fussy::default()).run()).as_deref(), Some("source"));
    assert_eq!(panics(&mut || odd().rest(Count::new()).run()).as_deref(), Some("source"));

    let fine = || Engine::builder().source(Odd::new()).cores(cores.clone());
    let sink = || {
        each(|packet: &Packet<'_>| {
            if packet.frame().record.number == 7_000 {
                panic!("sink")
            }
        })
    };
    assert_eq!(panics(&mut || fine().rest(sink()).run()).as_deref(), Some("sink"));
}

#[test]
fn cores_are_checked_before_anything_begins() {
    let Some(cores) = cores() else { return };
    let mut seen = 0;
    let mut run = |list: Vec<usize>| {
        let count = each(|_: &Packet<'_>| seen += 1);
        Engine::builder().source(Synthetic::new(&traffic(10))).rest(count).cores(list).run().unwrap_err()
    };
    assert!(matches!(run(vec![cores[0], 100_000]), Error::Core { core: 100_000, .. }));
    assert!(matches!(run(vec![cores[0], cores[1], cores[0]]), Error::CoreTwice { core } if core == cores[0]));
    assert_eq!(seen, 0);
}
