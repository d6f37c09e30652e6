//! # wharf: a multi-core packet engine for Linux
//!
//! ```text
//! source  ->  parse  ->  verify  ->  filter  ->  demux  ->  [ring]  ->  sink
//! AF_PACKET   headers    IP + L4     pcap-      port ->                text, JSON, pcap(ng),
//! AF_XDP      in place   checksum    filter(7)  output                 split files, counts
//! pcap(ng)               verdict     language   number
//! synthetic
//! ```
//!
//! Data moves one way, in batches of up to [`source::BATCH`] frames, and nothing is copied before a sink that must
//! keep bytes copies them once. The only way back is that of a [lease](source::Lease): memory returns to its source
//! when its last reader is done.
//!
//! | stage | module | what it does |
//! | --- | --- | --- |
//! | frame | [`frame`] | bytes as captured, with time, wire length and interface |
//! | source | [`source`] | where frames come from: capture files, a live interface, a generator |
//! | parse | [`parse`] | one walk over the headers; no copy, no panic |
//! | verify | [`verify`] | was each checksum right, absent, offloaded, or not to be told |
//! | parse + verify | [`batch`] | both for a whole batch at once: the way the engine goes |
//! | filter | [`filter`] | which packets are wanted, in the language of pcap-filter(7); here or in the kernel |
//! | demux | [`demux`] | a port map sends each packet to an output |
//! | flow | [`flow`] | conversations: who with whom, how much, how they fared, and what each end said |
//! | sink | [`sink`] | what becomes of a packet: a line, a record, a file, a count |
//! | ring | [`ring`] | from a worker to a sink that may block: batched, lock-free, asleep when idle |
//! | engine | [`engine`] | wires the stages and keeps the ledger; the only place that knows the order |
//!
//! Beside the line stand [`build`] (writes the headers that parse reads), [`checksum`] (the Internet
//! checksum and CRC32c), [`doctor`] (what on this host costs packets or misleads) and [`sys`] (the kernel's side:
//! sockets, mappings, namespaces), [`duration`] (times as text); and, on the same port rules, `proxy`, which passes on connections and datagrams
//! instead of frames.
//!
//! A whole run:
//!
//! ```
//! use wharf::engine::Engine;
//! use wharf::sink::{CaptureFileWriter, Count};
//! use wharf::source::synthetic::{Synthetic, Traffic};
//!
//! let directory = tempfile::tempdir()?;
//! let traffic = Traffic { frames: 1_000, ports: vec![53..=53, 443..=443], ..Traffic::default() };
//! let mut others = Count::new();
//! let report = Engine::builder()
//!     .source(Synthetic::new(&traffic)) // or CaptureFile::open(path)?, or Capture::on("eth0").open()?
//!     .output("any/53".parse()?, CaptureFileWriter::create(directory.path().join("dns.pcapng"))?)
//!     .rest(&mut others)
//!     .run()?;
//! assert_eq!(report.total.delivered, 1_000);
//! assert_eq!(report.outputs[0].ledger.delivered + others.table().packets, 1_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! And a part by itself, over bytes at hand:
//!
//! ```
//! use wharf::frame::{Frame, LinkType};
//! use wharf::parse::{Packet, parse};
//! use wharf::verify::{Verdict, verify};
//!
//! let bytes = b"\x45\0\0\x1d\0\0\0\0\x40\x11\0\0\x7f\0\0\x01\x7f\0\0\x02\x30\x39\0\x35\0\x09\0\0!";
//! let frame = Frame::new(LinkType::RAW, bytes);
//! let layers = parse(&frame);
//! let packet = Packet::new(frame, &layers);
//! let ip = packet.outer().expect("an IPv4 header");
//! assert_eq!((packet.ports(ip), packet.payload(ip)), (Some((12345, 53)), &b"!"[..]));
//! assert_eq!(verify(&packet).l4, Verdict::Absent);
//! ```
//!
//! ## Features
//!
//! `cli` (on by default) builds the `wharf` binary; a library user turns it off. `xdp` (on by default) has the AF_XDP
//! source and sender, `proxy` (on by default) the port-demux proxy; they need nothing that would not be built anyway.
//! `zstd` reads capture files that are compressed with Zstandard. `parquet` writes flow records to Parquet files;
//! `kafka` sends them to Kafka by librdkafka, which takes a C and a C++ compiler and make to build.
//!
//! ## Unsafe code
//!
//! Denied for the crate, allowed in islands. Each block there carries a proof; one of them rests on what the user is asked
//! for, that nobody writes in place to a capture file that is mapped ([`sys::file_mapping`]).
//!
//! | island | what for |
//! | --- | --- |
//! | [`sys`] | the kernel's interfaces and memory, the leases of its blocks ([`sys::block_ring`]) and chunks (`sys::xdp`), prefetching |
//! | `ring::slots` | the slots of the [`ring`], written and read without a lock |
//! | `checksum::x86_64`, `checksum::aarch64` | the vector kernels of [`checksum`], and its instruction for CRC32c |
//! | `batch::x86_64`, and the two calls of it in [`batch`], one for each set of instructions | several frames in the lanes of a vector register |
//! | `demux::x86_64` | ports looked up eight at a time, by gathers or by loads that are not checked a second time |
//! | `filter::evaluate::x86_64` | what a filter asks of frames, loaded by gather |

// For tests within that share files with those outside.
#[cfg(test)]
extern crate self as wharf;

pub mod batch;
pub mod build;
pub mod checksum;
pub mod demux;
pub mod doctor;
pub mod duration;
pub mod engine;
pub mod filter;
pub mod flow;
pub mod frame;
pub mod parse;
#[cfg(feature = "proxy")]
pub mod proxy;
mod recency;
pub mod ring;
pub mod sink;
pub mod source;
#[allow(unsafe_code)]
pub mod sys;
mod value;
pub mod verify;

pub use value::ValueError;

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
