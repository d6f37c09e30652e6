//! Capture files in page cache: taking the records out of them, and the whole pipeline behind it.
//!
//! The captures are written by wharf from synthetic traffic; with a path in CAPTURE, a pcap file, that one stands in place of the
//! synthetic mix. Every reader must find the same packets and bytes; the pipeline is asked for its counts by port and verdict.
//!
//! What a read costs depends on the folios that the page cache holds the file in, and these on how it came there. So each capture
//! is measured twice, all readers on the same file: as it is after 4 KiB writes, and read from the disk again.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use pcap_file::pcap::PcapReader;
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{LegacyPcapReader, PcapBlockOwned, PcapError};
use rustix::fs::{Advice, fadvise};
use wharf::engine::Engine;
use wharf::sink::{CaptureFileWriter, CaptureFormat, Count};
use wharf::source::synthetic::{Expected, Sizes, Synthetic, Traffic};
use wharf::source::{CaptureFile, Fill, Source};
use wharf::verify::Verdict;

use crate::capture_bound;
use crate::contest::{Better, Contest, Pinned, Setup};

/// Frames of the synthetic captures: 160 MB, and 250 MB of mix.
const SMALL: f64 = 2e6;
const MIXED: f64 = 6e5;

/// A reader: the packets in a file and how long they were on the wire.
type Reader = fn(&Path) -> (u64, u64);

/// How a file has come into the page cache.
#[derive(Clone, Copy)]
enum Cached {
    /// Written in pieces of 4 KiB, as capture programs do by way of the C library: in folios of a page or two.
    Written,
    /// Read from the disk, where the kernel reads ahead: in large folios.
    ReadIn,
}

impl Cached {
    const ALL: [Self; 2] = [Self::Written, Self::ReadIn];

    fn name(self) -> &'static str {
        match self {
            Self::Written => "as written",
            Self::ReadIn => "read in",
        }
    }
}

/// A capture file, and what is in it.
#[derive(Clone)]
struct Capture {
    path: PathBuf,
    /// Ours, to be removed at the end.
    made: bool,
    packets: u64,
    bytes: u64,
    /// Known of synthetic traffic only.
    expected: Option<Expected>,
}

impl Drop for Capture {
    fn drop(&mut self) {
        if self.made {
            // A file in the directory for temporary ones that stays is no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Capture {
    fn synthetic(name: &str, frames: f64, sizes: Sizes) -> Self {
        let traffic = Traffic {
            frames: frames as u64,
            sizes,
            distinct: 1 << 16,
            ports: vec![53..=53, 80..=80, 443..=443, 8000..=8999],
            flows: 4096,
            bad_percent: 1,
            ..Traffic::default()
        };
        let path = std::env::temp_dir().join(format!("wharf-peers-{}-{name}.pcap", std::process::id()));
        let source = Synthetic::new(&traffic);
        let expected = source.expected();
        let writer = CaptureFileWriter::options().format(CaptureFormat::Pcap).create(&path);
        let writer = writer.unwrap_or_else(|error| panic!("{error}"));
        let run = Engine::builder().source(source).rest(writer).run();
        run.unwrap_or_else(|error| panic!("{error}"));
        let (packets, bytes) = (expected.total.frames, expected.total.bytes);
        Self { path, made: true, packets, bytes, expected: Some(expected) }
    }

    /// A file that is there; ours says what is in it, and every peer is held to that.
    fn existing(path: PathBuf) -> Self {
        let (packets, bytes) = ours(&path);
        Self { path, made: false, packets, bytes, expected: None }
    }

    /// A copy of it that is in the page cache in this way.
    fn cached(&self, how: Cached) -> Self {
        let bytes = fs::read(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("wharf-peers-{}-{stem}-{}.pcap", std::process::id(), how.name());
        let path = std::env::temp_dir().join(name);
        let copy = Self { path, made: true, expected: self.expected.clone(), ..*self };
        let mut file =
            File::create(&copy.path).unwrap_or_else(|error| panic!("{}: {error}", copy.path.display()));
        bytes
            .chunks(4096)
            .for_each(|piece| file.write_all(piece).expect("there is room for captures in TMPDIR"));
        // Of what is still to be written the disk is told now, and not while others read.
        file.sync_all().expect("it can be written");
        if let Cached::ReadIn = how {
            fadvise(&file, 0, None, Advice::DontNeed).expect("it is a file");
            assert_eq!(bare(&copy.path), bytes.len());
        }
        copy
    }
}

fn open(path: &Path) -> CaptureFile {
    CaptureFile::open(path).unwrap_or_else(|error| panic!("{error}"))
}

fn ours(path: &Path) -> (u64, u64) {
    let mut file = open(path);
    let (mut packets, mut bytes) = (0, 0);
    while let Fill::Batch(batch) = file.fill(256).unwrap_or_else(|error| panic!("{error}")) {
        packets += batch.len() as u64;
        bytes += batch.records().iter().map(|record| u64::from(record.wire_length)).sum::<u64>();
    }
    (packets, bytes)
}

/// Large reads and nothing else: what nobody who reads can be faster than. Gives the bytes.
fn bare(path: &Path) -> usize {
    let mut file = File::open(path).expect("it was there");
    let (mut memory, mut total) = (vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut memory).expect("it can be read") {
            0 => return total,
            length => total += length,
        }
    }
}

/// The least there is to do: large reads, and from one record to the next.
fn walk(path: &Path) -> (u64, u64) {
    let mut file = File::open(path).expect("it was there");
    let mut memory = vec![0; 1 << 18];
    let (mut at, mut end) = (24, 0);
    let (mut packets, mut bytes) = (0, 0);
    loop {
        let length = file.read(&mut memory[end..]).expect("it can be read");
        if length == 0 {
            return (packets, bytes);
        }
        end += length;
        while let Some(header) = memory[..end].get(at..at + 16) {
            let field = |at| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
            if at + 16 + field(8) as usize > end {
                break;
            }
            packets += 1;
            bytes += u64::from(field(12));
            at += 16 + field(8) as usize;
        }
        memory.copy_within(at..end, 0);
        (at, end) = (0, end - at);
    }
}

fn pcap_file(path: &Path) -> (u64, u64) {
    let mut reader = PcapReader::new(File::open(path).expect("it was there")).expect("a pcap file");
    let (mut packets, mut bytes) = (0, 0);
    while let Some(packet) = reader.next_raw_packet() {
        packets += 1;
        bytes += u64::from(packet.expect("a packet").orig_len);
    }
    (packets, bytes)
}

fn pcap_parser(path: &Path) -> (u64, u64) {
    let file = File::open(path).expect("it was there");
    let mut reader = LegacyPcapReader::new(1 << 18, file).expect("a pcap file");
    let (mut packets, mut bytes) = (0, 0);
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let PcapBlockOwned::Legacy(packet) = block {
                    packets += 1;
                    bytes += u64::from(packet.origlen);
                }
                reader.consume(length);
            }
            Err(PcapError::Eof) => return (packets, bytes),
            Err(PcapError::Incomplete(_)) => reader.refill().expect("it can be read"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[cfg(pcap)]
mod libpcap {
    use std::ffi::{CStr, CString, c_char};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    // SAFETY: declared as in pcap.c. The paths are strings that end with a zero, the counts are ours alone.
    unsafe extern "C" {
        fn peer_pcap_next_ex(path: *const c_char, bytes: *mut u64) -> u64;
        fn peer_pcap_loop(path: *const c_char, bytes: *mut u64) -> u64;
        safe fn peer_pcap_version() -> *const c_char;
    }

    fn read(path: &Path, reader: unsafe extern "C" fn(*const c_char, *mut u64) -> u64) -> (u64, u64) {
        let path = CString::new(path.as_os_str().as_bytes()).expect("no zero in a path");
        let mut bytes = 0;
        // SAFETY: both live until the call returns.
        let packets = unsafe { reader(path.as_ptr(), &mut bytes) };
        (packets, bytes)
    }

    pub fn next_ex(path: &Path) -> (u64, u64) {
        read(path, peer_pcap_next_ex)
    }

    pub fn run_loop(path: &Path) -> (u64, u64) {
        read(path, peer_pcap_loop)
    }

    pub fn version() -> String {
        // SAFETY: libpcap gives a string that lives as long as the program.
        unsafe { CStr::from_ptr(peer_pcap_version()) }.to_string_lossy().into_owned()
    }
}

/// How ours reads a file.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// As it does unless told otherwise.
    Own,
    /// Never mapped.
    Unmapped,
}

/// The whole line: read, parsed, both checksums verified, sent to an output by port, counted by port.
fn count(capture: &Capture, cores: &[usize], way: Way) {
    let (mut web, mut rest) = (Count::new(), Count::new());
    let file = open(&capture.path);
    let report = Engine::builder()
        .source(if way == Way::Unmapped { file.without_mapping() } else { file })
        .output("any/80,443".parse().expect("a rule"), &mut web)
        .rest(&mut rest)
        .cores(cores.iter().copied())
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(report.balanced());
    let (web, rest) = (web.table(), rest.table());
    assert_eq!((web.packets + rest.packets, web.bytes + rest.bytes), (capture.packets, capture.bytes));
    let Some(expected) = &capture.expected else { return };
    let ports = expected.ports.iter().filter(|((_, port), _)| matches!(port, 80 | 443));
    assert_eq!(web.packets, ports.map(|(_, tally)| tally.frames).sum::<u64>());
    let rows = || web.rows.iter().chain(&rest.rows);
    let bad = Verdict::Bad { found: 0, expected: 0 };
    assert_eq!(rows().map(|row| row.checksums.of(bad)).sum::<u64>(), expected.bad);
    assert_eq!(
        rows().map(|row| row.checksums.of(Verdict::Good)).sum::<u64>(),
        capture.packets - expected.bad
    );
    assert_eq!(rows().map(|row| row.bad_ip_checksums).sum::<u64>(), 0);
}

/// Million packets a second.
fn rate(capture: &Capture, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    capture.packets as f64 / start.elapsed().as_secs_f64() / 1e6
}

fn reading(setup: &Setup, capture: &Rc<Capture>, reader: Reader) -> impl FnMut() -> f64 + 'static {
    let (core, capture) = (setup.cores[1], capture.clone());
    move || {
        let _pinned = Pinned::to(core);
        rate(&capture, || assert_eq!(reader(&capture.path), (capture.packets, capture.bytes)))
    }
}

fn counting(capture: &Rc<Capture>, cores: &[usize], way: Way) -> impl FnMut() -> f64 + 'static {
    let (capture, cores) = (capture.clone(), cores.to_vec());
    move || rate(&capture, || count(&capture, &cores, way))
}

/// Capture files beside libpcap and two crates.
pub fn contests(setup: &Setup) -> Vec<Contest> {
    let small = Capture::synthetic("64", SMALL * setup.scale, Sizes::Fixed(64));
    let (mix, mixed) = match std::env::var_os("CAPTURE") {
        Some(path) => {
            let path = PathBuf::from(path);
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, Capture::existing(path))
        }
        None => ("imix".to_owned(), Capture::synthetic("imix", MIXED * setup.scale, Sizes::Imix)),
    };
    #[cfg(pcap)]
    println!("{}", libpcap::version());
    // Of libpcap's bare loop.
    [("64 B".to_owned(), small, 3.0), (mix, mixed, 1.5)]
        .into_iter()
        .flat_map(|(name, capture, owed)| {
            Cached::ALL.map(|how| (format!("{name} {}", how.name()), capture.cached(how), owed))
        })
        .flat_map(|(name, capture, owed)| of_capture(setup, &name, &Rc::new(capture), owed))
        .collect()
}

fn of_capture(setup: &Setup, name: &str, capture: &Rc<Capture>, owed: f64) -> Vec<Contest> {
    let (one, two) = (&setup.cores[1..], &setup.cores[..]);
    let read = |reader| reading(setup, capture, reader);
    let records = Contest::new(format!("records, {name}, M/s"), Better::Higher, read(ours))
        .peer("read + walk", read(walk))
        .peer("pcap-file", read(pcap_file))
        .peer("pcap-parser", read(pcap_parser));
    let alone = {
        let (core, capture) = (setup.cores[1], capture.clone());
        let size = fs::metadata(&capture.path).expect("it was there").len();
        move || {
            let _pinned = Pinned::to(core);
            rate(&capture, || assert_eq!(bare(&capture.path) as u64, size))
        }
    };
    let counted =
        Contest::new(format!("count by port, {name}, M/s"), Better::Higher, counting(capture, one, Way::Own))
            .peer("wharf, not mapped", counting(capture, one, Way::Unmapped))
            .peer("large reads alone", alone)
            .peer("summed only, read", read(capture_bound::read))
            .peer("summed only, mapped", read(capture_bound::mapped));
    #[cfg(pcap)]
    let records =
        records.peer("libpcap next_ex", read(libpcap::next_ex)).peer("libpcap loop", read(libpcap::run_loop));
    #[cfg(pcap)]
    let counted = counted.owed("libpcap next_ex", owed, read(libpcap::next_ex));
    #[cfg(not(pcap))]
    println!("SKIPPED: no libpcap to be {owed} times as fast as (libpcap-dev, pkg-config)");
    let scaling = Contest::new(
        format!("the same on 2 cores, {name}, M/s"),
        Better::Higher,
        counting(capture, two, Way::Own),
    )
    .owed("wharf on 1 core", 1.6, counting(capture, one, Way::Own))
    .peer("wharf, not mapped", counting(capture, two, Way::Unmapped));
    let mut contests = vec![records, scaling];
    if cfg!(pcap) {
        contests.insert(1, counted);
    }
    contests
}
