//! # wharf: a multi-core packet engine for Linux
//!
//! ```text
//! source  ->  parse  ->  verify  ->  demux  ->  sink
//! AF_PACKET   headers    IP + L4     port ->    text, JSON, pcap(ng),
//! pcap(ng)    in place   checksum    output     split files, counts
//! synthetic              verdict     number
//! ```
//!
//! Data moves one way, in batches of up to [`source::BATCH`] frames, and nothing is copied before a
//! sink that must keep bytes copies them once.
//!
//! | stage | module | what it does |
//! | --- | --- | --- |
//! | frame | [`frame`] | bytes as captured, with time, wire length and interface |
//! | source | [`source`] | where frames come from: capture files, a live interface, a generator |
//! | parse | [`parse`] | one walk over the headers; no copy, no panic |
//! | verify | [`verify`] | was each checksum right, absent, offloaded, or not to be told |
//! | demux | [`demux`] | a port map sends each packet to an output |
//! | sink | [`sink`] | what becomes of a packet: a line, a record, a file, a count |
//! | ring | [`ring`] | from a worker to a sink that may block: batched, lock-free, asleep when idle |
//! | engine | [`engine`] | wires the stages and keeps the ledger; the only place that knows the order |
//!
//! Beside the line stand [`build`] (the headers written instead of read), [`checksum`] (the Internet
//! checksum) and [`sys`] (the kernel's side: sockets, mappings, namespaces).
//!
//! ## Unsafe code
//!
//! Denied for the crate, allowed in islands: [`sys`] and the slots of the [`ring`]. Each block there carries a proof.

pub mod build;
pub mod checksum;
pub mod demux;
pub mod engine;
pub mod frame;
pub mod parse;
pub mod ring;
pub mod sink;
pub mod source;
#[allow(unsafe_code)]
pub mod sys;
pub mod verify;

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
