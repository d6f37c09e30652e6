//! `wharf gen`: send made-up or recorded frames on an interface.

mod dry;
mod feed;
mod file;
mod frames;
#[cfg(feature = "xdp")]
mod live;
mod report;
mod send;
mod values;

use crate::args;
use crate::cores::{self, CoreList};
use crate::exit::{Outcome, TABLE};
use crate::expression::ExpressionArgs;
use crate::signals;
use crate::time::time;
use anyhow::bail;
use clap::Args;
use feed::{Feed, Passes};
use frames::FrameArgs;
use std::path::PathBuf;
use std::time::Duration;
use wharf::engine::{Shutdown, check_cores};
use wharf::sink::transmit::{Pace, Rate, Speed, Transmit, TransmitOptions};

/// Send frames on an interface: made up by a description, or out of a capture file.
///
/// Made-up frames go out as fast as the interface takes them, or at --rate; recorded ones as far apart as they were, or
/// faster (--speed), or at --rate, or --flat-out. Without --count and --duration made-up frames end with ^C, recorded
/// ones with the file. The same --seed gives the same frames.
///
/// For namespaces, laboratories and benches: an interface that a default route leads through, itself or by what it
/// stands on, is refused.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf gen -i veth0 --count 1M --size 64
  wharf gen -i veth0 --rate 100k --duration 10s --size imix
  wharf gen -i veth0 --rate 1Gbit --protocol tcp:9,udp:1 --port 80,8000-8999
  wharf gen -i veth0 --size 64-1514 --ipv6 50 --vlan 100 --bad-checksums 1
  wharf gen -i veth0 -r day.pcapng --speed 2x
  wharf gen -i veth0 -r day.pcap --flat-out --loop forever --duration 30s
  wharf gen -i veth0 -r day.pcap not arp
  sudo wharf gen -i veth0 --live-frames --size imix --duration 10s
  wharf gen -w made.pcap --count 1000 --size imix --rate 10k

A capture on the sending interface itself does not see these frames unless they are sent with --qdisc: capture the \
other end of the wire.

Rates are those of frames as they lie in memory, without preamble, frame check sequence and gap. What is told at the \
end is what the kernel took; the interface's own counters say what became of it.

{TABLE}
  3  --strict was given and a frame was refused, or the interface dropped it"))]
pub(crate) struct GenArgs {
    /// Send on this interface
    #[arg(short, long, value_name = "IFACE")]
    interface: Option<String>,

    /// Send the frames of a capture file; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    read: Option<PathBuf>,

    /// Write the frames to a capture file, with the times at which they would be sent, and send nothing
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["interface", "stamp", "cores", "dry_run"])]
    write: Option<PathBuf>,

    /// Say what would be sent, and send nothing; with --interface, whether it could be
    #[arg(long)]
    dry_run: bool,

    /// Send N frames: 1000, 10k, 1M
    #[arg(short, long, value_name = "N", value_parser = args::count)]
    count: Option<u64>,

    /// Send for so long: 10s, 500ms, 2m
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,

    #[command(flatten)]
    expression: ExpressionArgs,

    #[command(flatten)]
    pace: PaceArgs,

    /// Send the capture file so many times, or `forever`
    #[arg(long = "loop", value_name = "N|forever", requires = "read", value_parser = values::passes)]
    passes: Option<Passes>,

    #[command(flatten)]
    frames: FrameArgs,

    /// Send from a thread on each of these CPUs, such as 2 or 0-3,5
    #[arg(long, value_name = "LIST", value_parser = cores::list, help_heading = "Sending")]
    cores: Option<CoreList>,

    /// Write a number and a time into UDP payloads of 16 bytes and more, in the form of the kernel's pktgen
    #[arg(long, help_heading = "Sending")]
    stamp: bool,

    /// Send by AF_XDP, from a queue of the interface for each CPU
    #[cfg(feature = "xdp")]
    #[arg(long, help_heading = "Sending", conflicts_with_all = ["qdisc", "write"])]
    xdp: bool,

    /// Have the kernel make the frames and send them (BPF test runs): millions a second into a veth pair
    ///
    /// The other end of the pair needs GRO (ethtool -K PEER gro on) or an XDP program. The distinct frames go round and
    /// round, flat out. Needs root.
    #[cfg(feature = "xdp")]
    #[arg(long, help_heading = "Sending", conflicts_with_all = ["xdp", "qdisc", "stamp", "cores", "rate", "read", "write"])]
    live_frames: bool,

    /// Send through the interface's queueing discipline, not past it: captures on this interface then see the frames
    /// too
    #[arg(long, help_heading = "Sending", conflicts_with = "write")]
    qdisc: bool,

    /// Send on an interface that a default route leads through, itself or by what it stands on
    #[arg(long, help_heading = "Sending", conflicts_with = "write")]
    yes_on_this_interface: bool,

    /// Print the account as a JSON object
    #[arg(long)]
    json: bool,

    /// Exit with code 3 when a frame was refused, or dropped by the interface
    #[arg(long, conflicts_with_all = ["write", "dry_run"])]
    strict: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Pace")]
struct PaceArgs {
    /// Frames or bits a second: 100k, 1.5Mpps, 1Gbit
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,

    /// So many times faster than recorded: 2x, 0.5x
    #[arg(long, value_name = "FACTOR", requires = "read", conflicts_with = "rate")]
    speed: Option<Speed>,

    /// As fast as the interface takes them
    #[arg(long, conflicts_with_all = ["rate", "speed"])]
    flat_out: bool,
}

impl PaceArgs {
    fn pace(&self, recorded: bool) -> Pace {
        match (self.rate, self.flat_out, recorded) {
            (Some(rate), _, _) => Pace::Rate(rate),
            (None, false, true) => Pace::Recorded(self.speed.unwrap_or(Speed::ONE)),
            (None, _, _) => Pace::FlatOut,
        }
    }
}

/// What a run is about, resolved from its arguments.
struct Plan {
    pace: Pace,
    duration: Option<Duration>,
    json: bool,
    strict: bool,
    shutdown: Shutdown,
}

pub(crate) fn run(arguments: GenArgs) -> anyhow::Result<Outcome> {
    let nowhere = || args::usage("nowhere to send: give -i IFACE, -w FILE or --dry-run");
    if arguments.interface.is_none() && arguments.write.is_none() && !arguments.dry_run {
        bail!(nowhere());
    }
    let pace = arguments.pace.pace(arguments.read.is_some());
    if arguments.read.as_deref().is_some_and(|path| path == "-") && arguments.passes.is_some() {
        bail!(args::usage("--loop reads its file again: standard input cannot be"));
    }
    // What clap does not ask for beside what describes made-up frames, with which -r cannot be.
    for (given, option) in
        [(arguments.passes.is_some(), "--loop"), (arguments.pace.speed.is_some(), "--speed")]
    {
        if given && arguments.read.is_none() {
            bail!(args::usage(&format!("{option} is of recorded frames: give a capture file with --read")));
        }
    }
    if let Some(CoreList(cores)) = &arguments.cores {
        check_cores(cores)?;
    }
    let filter = arguments.expression.filter()?;
    if filter.is_some() && arguments.read.is_none() {
        bail!(args::usage("an expression chooses from a capture file: give one with -r"));
    }
    let shutdown = Shutdown::default();
    signals::install(&shutdown)?;
    let feed = match &arguments.read {
        Some(path) => {
            Feed::recorded(path, arguments.passes.unwrap_or(Passes::ONE), arguments.count)?.matching(filter)
        }
        None => Feed::made(arguments.frames.traffic()?, arguments.count),
    };
    if let Some(interface) = &arguments.interface {
        feed.refuse_other_link_types(interface)?;
    }
    let plan =
        Plan { pace, duration: arguments.duration, json: arguments.json, strict: arguments.strict, shutdown };
    let options = arguments.interface.as_ref().map(|interface| {
        let options =
            Transmit::on(interface).pace(pace).stamp(arguments.stamp).bypass_queue(!arguments.qdisc);
        #[cfg(feature = "xdp")]
        let options = options.xdp(arguments.xdp);
        let options = options.with_default_route(arguments.yes_on_this_interface).stop(plan.shutdown.flag());
        arguments.duration.into_iter().fold(options, TransmitOptions::duration)
    });
    if arguments.dry_run {
        return dry::run(feed, options.as_ref(), &plan);
    }
    if let Some(path) = arguments.write {
        return file::run(feed, &path, arguments.read.as_deref(), &plan);
    }
    let options = options.ok_or_else(nowhere)?;
    #[cfg(feature = "xdp")]
    if arguments.live_frames {
        return live::run(&feed, options, arguments.count, &plan);
    }
    let cores = arguments.cores.map(|CoreList(cores)| cores).unwrap_or_default();
    send::run(feed, options, &cores, &plan)
}
