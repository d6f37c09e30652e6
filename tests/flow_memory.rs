//! What flows may take of memory beside their meters: the table for people, and names.
#![allow(unsafe_code, reason = "a global allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use wharf::build::{DnsMessage, DnsRecord, DnsType, Header, Ipv4, Stack, Tcp, Udp};
use wharf::engine::Engine;
use wharf::flow::MeterOptions;
use wharf::flow::names::{NamesOptions, Naming};
use wharf::frame::{Frame, LinkType};
use wharf::parse::{Packet, parse};
use wharf::sink::{FlowFormat, Flows, FlowsOptions};
use wharf::source::CaptureFile;

/// The system's allocator, with the bytes that are in use, and the most that ever were.
struct Measuring;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// One test at a time, as all are measured together.
static ALONE: Mutex<()> = Mutex::new(());

fn grow(bytes: usize) {
    MOST.fetch_max(USED.fetch_add(bytes, Ordering::Relaxed) + bytes, Ordering::Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it is. Counting does not allocate.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps to the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Large blocks are moved by the kernel, which does not take both at a time.
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        grow(size);
        // SAFETY: the caller keeps to the contract of `realloc`, and `pointer` came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `dealloc`, and `pointer` came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

/// The most bytes that it took at a time.
fn most(work: impl FnOnce()) -> usize {
    let before = USED.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    work();
    MOST.load(Ordering::Relaxed) - before
}

fn packet(from: [u8; 4], to: [u8; 4], header: &dyn Header, payload: &[u8]) -> Vec<u8> {
    let mut stack = Stack::new();
    stack.message(payload).wrap(header).wrap(Ipv4::new(from, to));
    stack.bytes().to_vec()
}

const FLOWS: u32 = 1 << 17;

/// A capture file of so many flows, a packet each.
fn syns(path: &Path) {
    let mut file = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101_u32].map(u32::to_le_bytes).concat();
    for at in 0..FLOWS {
        let client = [10, 1, (at >> 8) as u8, at as u8];
        let syn =
            packet(client, [192, 0, 2, 7], &Tcp::new(1_024 + (at >> 16) as u16, 80).flags(Tcp::SYN), b"");
        let length = syn.len() as u32;
        file.extend([1_700_000_000, at, length, length].map(u32::to_le_bytes).concat());
        file.extend(syn);
    }
    std::fs::write(path, file).unwrap();
}

/// The most bytes that it takes to meter all of them, and whether they could be written.
fn metered(path: &Path, format: FlowFormat, writer: impl Write + Send) -> (usize, bool) {
    let mut written = false;
    let bytes = most(|| {
        let meter = MeterOptions { max_flows: FLOWS as usize, ..MeterOptions::default() };
        let options = FlowsOptions { meter, format, ..FlowsOptions::default() };
        let source = CaptureFile::open(path).unwrap();
        written = Engine::builder().source(source).rest(Flows::new(writer, options)).run().is_ok();
    });
    (bytes, written)
}

/// Whoever read it has gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_that_nobody_takes_are_not_kept() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("syns.pcap");
    syns(&path);
    let (taken, written) = metered(&path, FlowFormat::Json, io::sink());
    assert!(written);
    let (gone, written) = metered(&path, FlowFormat::Json, Gone);
    assert!(!written);
    // A line has some 600 bytes.
    assert!(gone < taken + FLOWS as usize * 100, "{gone} bytes, {taken} where they are taken");
}

#[test]
fn a_table_takes_some_two_hundred_bytes_a_flow() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("syns.pcap");
    syns(&path);
    let run = |format| {
        let (bytes, written) = metered(&path, format, io::sink());
        assert!(written);
        bytes
    };
    let (lines, table) = (run(FlowFormat::Json), run(FlowFormat::Table));
    let each = table.saturating_sub(lines) / FLOWS as usize;
    eprintln!("{lines} bytes with JSON, {table} with a table: {each} more a flow");
    assert!((1..300).contains(&each), "{each} bytes a flow");
}

/// A long name for every client, and connections that are tried again and again: what is kept of them has a bound in bytes.
#[test]
fn names_take_what_their_options_say() {
    /// A thirty-second of the default.
    const PART: usize = 32;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let default = NamesOptions::default();
    let options =
        NamesOptions { addresses: default.addresses / PART, flows: default.flows / PART, ..default };
    let (resolver, server) = ([10, 0, 0, 53], [192, 0, 2, 7]);
    let mut given_up = 0;
    let taken = most(|| {
        let mut naming = Naming::new(options);
        let mut observe = |bytes: &[u8]| {
            let frame = Frame::new(LinkType::RAW, bytes);
            let layers = parse(&frame);
            naming.observe(&Packet::new(frame, &layers));
        };
        for at in 0..(2 * options.flows) as u32 {
            let client = [10, 1, (at >> 8) as u8, at as u8];
            // Eight names of one address, and connections to it.
            for name in 0..8 {
                let label = "n".repeat(61);
                let name = format!("{label}.{label}.{label}.{at:05}-{name}.test");
                let query = DnsMessage::query(1, &name, DnsType::A).unwrap();
                let answer = DnsMessage::response(&query).answer(60, DnsRecord::A(server.into())).unwrap();
                observe(&packet(resolver, client, &Udp::new(53, 40_000), answer.bytes()));
                let syn = Tcp::new(40_000, 443).flags(Tcp::SYN).sequence(name.len() as u32 + at);
                observe(&packet(client, server, &syn, b""));
            }
        }
        given_up = naming.given_up();
    });
    eprintln!("{taken} bytes, {given_up} given up");
    // By the doc of the default.
    assert!(taken < 175_000_000 / PART, "{taken} bytes");
    assert!(given_up > options.flows as u64, "{given_up}");
}
