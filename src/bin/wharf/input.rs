//! Where packets come from, as the command line says it.

use crate::args::{self, usage};
use crate::cores::{self, CoreList};
use crate::expression::Fault;
use crate::live::LiveArgs;
use crate::news::News;
use crate::run::{Strict, Watched};
use crate::signals;
use crate::stats::StatsArgs;
use crate::wish::Wish;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wharf::demux::Rule;
use wharf::engine::{Builder, Engine, Policy, Shutdown, check_cores};
use wharf::filter::Filter;
use wharf::frame::LinkType;
use wharf::sink::InterfaceNames;
#[cfg(feature = "xdp")]
use wharf::source::xdp::AttachMode;
use wharf::source::{CaptureFile, Source};
use wharf::sys::privileges::User;

#[derive(Args, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Read packets from a capture file; `-` for standard input
    ///
    /// pcap and pcapng in every variant, also compressed with gzip, or with Zstandard in builds with the feature `zstd`.
    #[arg(short, long, value_name = "FILE")]
    read: Option<PathBuf>,

    /// Stop after N packets (1000, 10k, 1M); with an expression, after N that match (split: that were read)
    #[arg(short = 'c', long, value_name = "N", value_parser = args::count)]
    limit: Option<u64>,

    /// Run on these CPUs, such as 2 or 0-3,5
    ///
    /// A worker on each shares in the input. A file gives the same result for any number of them; of a live capture
    /// each has a ring of its own (--fanout), and only its packets are sure to keep their order. Packets are printed
    /// and written on other CPUs, if there are any.
    #[arg(long, value_name = "LIST", value_parser = cores::list)]
    cores: Option<CoreList>,

    /// What to do when an output is too slow: drop packets, and count them, or wait
    ///
    /// A live capture drops unless it is told to wait; a file or a pipe waits unless it is told to drop. Where a live
    /// capture waits, it is the kernel that drops. Either way the account at the end says how many, and --strict makes
    /// that exit code 3.
    #[arg(long, value_name = "drop|wait", value_enum, hide_possible_values = true)]
    when_full: Option<WhenFull>,

    /// Go on as USER, with the user's groups and no capabilities, once the input is open; output files are then the
    /// user's, who must be allowed to create them
    ///
    /// Needs root to begin with.
    #[arg(short = 'Z', long, value_name = "USER")]
    relinquish_privileges: Option<String>,

    /// Exit with code 3 when packets were dropped; with =host also when they were lost before the ring
    ///
    /// With =host also when that could not be seen, which the summary says: a veth's other end in a network namespace
    /// that may not be looked into, as with -Z. A file (-r) has no host to ask: =host is refused. Flow records that
    /// did not get to Kafka or to a collector count, too.
    #[arg(long, value_name = "ring|host", value_enum, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "ring", hide_possible_values = true)]
    strict: Option<Strict>,

    #[command(flatten)]
    stats: StatsArgs,

    #[command(flatten)]
    live: LiveArgs,

    #[cfg(feature = "xdp")]
    #[command(flatten)]
    xdp: crate::xdp::XdpArgs,
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

    /// Tells that often how the run is doing, unless something else was asked for.
    pub(crate) fn tell_every(&mut self, every: Duration) {
        self.stats.tell_every(every);
    }

    /// Who the run goes on as, if as somebody else.
    pub(crate) fn user(&self) -> Option<&str> {
        self.relinquish_privileges.as_deref()
    }

    /// Frames come whether we are ready or not.
    pub(crate) fn is_live(&self) -> bool {
        self.read.is_none()
    }

    /// What interfaces are called where packets are captured; none where they are read from a file.
    pub(crate) fn interface_names(&self) -> anyhow::Result<Option<InterfaceNames>> {
        self.is_live().then(|| self.live.interface_names()).transpose()
    }

    /// Most bytes to keep of a packet of a file; of a live capture no more come. What some give by habit, 65535 or more,
    /// means all of a packet.
    pub(crate) fn cut(&self) -> Option<u32> {
        self.live.cut().filter(|&bytes| !self.is_live() && bytes < u16::MAX.into())
    }

    /// Refuses to cut what comes from a file where no file is written: packets are taken as they are.
    pub(crate) fn refuse_to_cut(&self, advice: &str) -> Result<(), clap::Error> {
        self.cut().map_or(Ok(()), |bytes| {
            Err(usage(&format!("-s {bytes} cuts packets of a file (-r) where they are written: {advice}")))
        })
    }

    /// What there is for -j.
    pub(crate) fn list_time_stamp_types(&self) -> anyhow::Result<String> {
        self.live.list_time_stamp_types()
    }

    /// The filter for packets of the network that they are captured in; of a file nothing is known about that.
    pub(crate) fn in_network(&self, filter: &Filter) -> Filter {
        if self.is_live() { self.live.in_network(filter) } else { filter.clone() }
    }

    /// The same of a rule.
    pub(crate) fn rule_in_network(&self, rule: Rule) -> Rule {
        match rule {
            Rule::Filter(filter) => Rule::Filter(self.in_network(&filter)),
            Rule::Ports(_) | Rule::Rest => rule,
        }
    }

    /// A run over the opened source, with what else these arguments say. It ends with a signal: whoever is told that
    /// we listen may send one, so they are taken care of before anything is opened. Once the source is, other
    /// privileges than the wanted user's are given up (-Z), in all threads, and before any output is created. A ring
    /// that is raised later needs none: its socket is there from the start.
    ///
    /// What the wish's filter leaves out is left out here, unless the kernel does it.
    pub(crate) fn builder<'a>(&self, wish: &Wish) -> anyhow::Result<(Builder<'a>, Watched)> {
        if self.strict == Some(Strict::Host) && !self.is_live() {
            return Err(
                usage("--strict=host asks this host, which a file (-r) is not from: take --strict").into()
            );
        }
        if let Some(CoreList(cores)) = &self.cores {
            // Now, and not by the engine only: until then outputs have been created, over what was there.
            check_cores(cores)?;
        }
        let user = self.user().map(User::named).transpose();
        let user = user.context("-Z")?;
        // Before there is a thread that would keep it: that which waits for signals, a live capture's.
        user.as_ref().map_or(Ok(()), User::prepare).context("-Z")?;
        let shutdown = Shutdown::default();
        signals::install(&shutdown)?;
        let mut watched = Watched { stats: self.stats.teller(), strict: self.strict, ..Watched::default() };
        let mut filter = wish.filter().map(|filter| self.in_network(filter));
        let wish = &wish.clone().matching(filter.clone());
        for filter in wish.filter().into_iter().chain(wish.filters_of_rules()) {
            refuse_meaningless(filter)?;
        }
        let mut builder = match &self.read {
            Some(path) if path == "-" => Engine::builder().source(CaptureFile::stdin()?),
            Some(path) => Engine::builder().source(CaptureFile::open(path)?),
            #[cfg(feature = "xdp")]
            None if self.xdp.is_given() => {
                let (capture, upstream) = self.xdp.open(&self.live, wish)?;
                let (at_the_end, meanwhile) = upstream.unzip();
                watched.upstream = at_the_end;
                watched.counted_twice = capture.mode() == AttachMode::Native;
                if let Some(stats) = &mut watched.stats {
                    let meter = capture.meter();
                    stats.watch(move || meter.read(), meanwhile);
                    if watched.counted_twice {
                        stats.counted_twice();
                    }
                }
                Engine::builder().source(capture)
            }
            None => {
                let (capture, upstream) = self.live.capture(self.workers(), wish)?;
                // It is in front of the rings then, of all of them.
                if capture.interfaces().iter().all(|interface| interface.filter.is_some()) {
                    filter = None;
                }
                let (at_the_end, meanwhile) = upstream.unzip();
                watched.upstream = at_the_end;
                watched.news = Some(News::of(capture.meter()));
                if let Some(stats) = &mut watched.stats {
                    let meter = capture.meter();
                    stats.watch(move || meter.read(), meanwhile);
                }
                Engine::builder().source(capture)
            }
        };
        if self.strict == Some(Strict::Host) && watched.upstream.is_none() {
            bail!("--strict=host: what is lost before the ring cannot be seen on this host");
        }
        user.map_or(Ok(()), |user| user.become_for_good()).context("-Z")?;
        builder = match (self.limit, filter.is_some()) {
            (Some(packets), true) if wish.counts_matches() => {
                watched.at_most = Some(packets);
                builder
            }
            (Some(packets), _) => builder.limit(packets),
            (None, _) => builder,
        };
        builder = match filter {
            Some(filter) => builder.filter(filter),
            None => builder,
        };
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

    fn workers(&self) -> usize {
        self.cores.as_ref().map_or(1, |CoreList(cores)| cores.len().max(1))
    }
}

/// Refuses a filter that has no meaning on any common link type, before anything is created for what it wants.
fn refuse_meaningless(filter: &Filter) -> Result<(), Fault> {
    if filter.given_program().is_some() {
        return Ok(());
    }
    let common = [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL2, LinkType::IEEE802_11_RADIOTAP];
    let mut faults = common.into_iter().map(|link_type| filter.test(link_type).err());
    match faults.next().flatten() {
        Some(first) if faults.all(|fault| fault.is_some()) => Err(Fault(first)),
        _ => Ok(()),
    }
}
