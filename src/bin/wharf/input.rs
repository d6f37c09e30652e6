//! Where packets come from, as the command line says it.

use crate::cores::{self, CoreList};
use crate::exit;
use crate::run::{Strict, Watched};
use crate::signals;
use crate::stats::StatsArgs;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use wharf::engine::{Builder, Engine, Policy, Shutdown, check_cores};
use wharf::frame::Interface;
use wharf::source::packet::{Capture, Directions, Upstream};
use wharf::source::{CaptureFile, Source};

/// Most bytes a frame can have: tcpdump's greatest snapshot length.
const WHOLE: u32 = 262_144;

#[derive(Args, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Capture live on this interface; `any` for all of them
    #[arg(short, long, value_name = "IF", conflicts_with = "read")]
    interface: Option<String>,

    /// Read packets from a capture file; `-` for standard input
    ///
    /// pcap and pcapng in every variant, also compressed with gzip.
    #[arg(short, long, value_name = "FILE")]
    read: Option<PathBuf>,

    /// Stop after N packets
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Keep at most BYTES of each packet, 0 for all (live capture)
    #[arg(short, long, value_name = "BYTES", default_value_t = 0, hide_default_value = true)]
    snapshot_length: u32,

    /// Only packets that come in, that go out, or both (live capture)
    #[arg(
        short = 'Q',
        long,
        value_name = "in|out|inout",
        default_value = "inout",
        hide_default_value = true
    )]
    #[arg(conflicts_with = "read")]
    direction: Directions,

    /// Size of the kernel's ring in KiB (live capture)
    #[arg(short = 'B', long, value_name = "KIB", value_parser = clap::value_parser!(u64).range(1..))]
    buffer_size: Option<u64>,

    /// Do not ask the device for packets that are addressed to others (live capture)
    #[arg(short = 'p', long)]
    no_promiscuous_mode: bool,

    /// Run on these CPUs, such as 2 or 0-3,5
    ///
    /// A worker on each shares in the input; the result is the same for any number of them. Packets are printed and
    /// written on other CPUs, if there are any.
    #[arg(long, value_name = "LIST", value_parser = cores::list)]
    cores: Option<CoreList>,

    /// What to do when an output is too slow: drop packets, and count them, or wait
    ///
    /// A live capture drops unless it is told to wait; a file or a pipe waits unless it is told to drop. Where a live
    /// capture waits, it is the kernel that drops. Either way the account at the end says how many, and --strict makes
    /// that exit code 3.
    #[arg(long, value_name = "drop|wait", value_enum, hide_possible_values = true)]
    when_full: Option<WhenFull>,

    /// Exit with code 3 when packets were dropped; with =host also when they were lost before the ring
    #[arg(long, value_name = "ring|host", value_enum, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "ring", hide_possible_values = true)]
    strict: Option<Strict>,

    #[command(flatten)]
    stats: StatsArgs,
}

/// What to do when an output is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhenFull {
    Drop,
    Wait,
}

impl InputArgs {
    /// The capture file, when there is one and it has a path.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.read.as_deref().filter(|path| *path != "-")
    }

    /// A run over the opened source, with what else these arguments say. It ends with a signal: whoever is told
    /// that we listen may send one, so they are taken care of before anything is opened.
    pub(crate) fn builder<'a>(&self) -> anyhow::Result<(Builder<'a>, Watched)> {
        if let Some(CoreList(cores)) = &self.cores {
            // Now, and not by the engine only: until then outputs have been created, over what was there.
            check_cores(cores)?;
        }
        let shutdown = Shutdown::default();
        signals::install(&shutdown)?;
        let mut watched = Watched { stats: self.stats.teller(), strict: self.strict, ..Watched::default() };
        let mut builder = match &self.read {
            Some(path) if path == "-" => Engine::builder().source(CaptureFile::stdin()?),
            Some(path) => Engine::builder().source(CaptureFile::open(path)?),
            None => Engine::builder().source(self.watched_capture(&mut watched)?),
        };
        if let Some(packets) = self.limit {
            builder = builder.limit(packets);
        }
        if let Some(CoreList(cores)) = &self.cores {
            builder = builder.cores(cores.iter().copied());
        }
        builder = match self.when_full {
            Some(WhenFull::Drop) => builder.full_ring(Policy::Drop),
            Some(WhenFull::Wait) => builder.full_ring(Policy::Wait),
            None => builder,
        };
        Ok((builder.shutdown(shutdown), watched))
    }

    /// A capture, and what is to be seen of it and before it. What the host does not tell ends no capture.
    fn watched_capture(&self, watched: &mut Watched) -> anyhow::Result<Capture> {
        let capture = self.capture()?;
        let upstream = || {
            let names = capture.interfaces().iter().filter_map(|interface| interface.name.as_deref());
            Upstream::of(names)
        };
        watched.upstream = match upstream() {
            Ok(upstream) => Some(upstream),
            Err(error) => {
                exit::tell(&format!("what is lost before the ring cannot be seen: {error}"));
                None
            }
        };
        if let Some(stats) = &mut watched.stats {
            stats.watch(capture.meter(), upstream().ok());
        }
        Ok(capture)
    }

    fn capture(&self) -> anyhow::Result<Capture> {
        let interface = self.interface.clone().map_or_else(default_interface, Ok)?;
        let mut options = Capture::on(interface)
            .snap_length(if self.snapshot_length == 0 { WHOLE } else { self.snapshot_length.min(WHOLE) })
            .directions(self.direction)
            .promiscuous(!self.no_promiscuous_mode);
        if let Some(kib) = self.buffer_size {
            let bytes = kib.checked_mul(1024).and_then(|bytes| usize::try_from(bytes).ok());
            options = options.ring_bytes(bytes.context("the ring (-B) is too large")?);
        }
        let capture = options.open()?;
        for Interface { name, link_type, snap_length, .. } in capture.interfaces() {
            let name = name.as_deref().unwrap_or("?");
            exit::tell(&format!(
                "listening on {name}, link type {link_type}, snapshot length {snap_length} bytes"
            ));
        }
        Ok(capture)
    }
}

/// What tcpdump would take: the first interface that is up and running, a loopback only when there is no other.
fn default_interface() -> anyhow::Result<String> {
    let mut interfaces = wharf::sys::interfaces().context("cannot list interfaces")?;
    interfaces.retain(|interface| interface.is_up() && interface.is_running() && !interface.is_any());
    interfaces.sort_by_key(|interface| interface.is_loopback());
    match interfaces.into_iter().next() {
        Some(interface) => Ok(interface.name),
        None => bail!("no interface is up: name one with -i, or a file with -r"),
    }
}
