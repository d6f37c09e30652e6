//! A live capture, as the command line says it.

use crate::args::{scaled, usage};
use crate::exit;
use crate::expression::Fault;
use crate::wish::Wish;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;
use wharf::ValueError;
use wharf::filter::Filter;
use wharf::frame::{Interface, LinkType};
use wharf::sink::InterfaceNames;
use wharf::source::packet::{Capture, Directions, Options, Spread, TimeStampType, Upstream};
use wharf::source::{RingUse, Source};
use wharf::sys::namespace::Namespace;

/// Most bytes a frame can have: tcpdump's greatest snapshot length.
const WHOLE: u32 = 262_144;
/// The kernel counts a ring's bytes in 32 bits, and wants blocks of up to 1 MiB whole.
const RING_BEYOND: usize = (1 << 32) - (1 << 20);
/// A block of a ring, which is no smaller.
const LEAST_RING: usize = 64 << 10;
/// The latest a packet is handed over where somebody watches: sooner than one sees, and no sooner. A block is handed
/// over when it is full or this time is over, and full or not it takes its place in the ring: the longer it may take,
/// the longer a stall the ring bridges when little comes.
const SOON: Duration = Duration::from_millis(20);
/// The same where nobody does.
const LATE: Duration = Duration::from_millis(50);

#[derive(Args, Debug)]
#[command(next_help_heading = "Live capture")]
pub(crate) struct LiveArgs {
    /// Capture live on this interface; `any` for all of them, or several by giving it several times
    ///
    /// Without it, and without a file (-r), it is the first interface that is up and running, and loopback only where
    /// there is no other.
    #[arg(short, long, value_name = "IFACE", conflicts_with = "read")]
    interface: Vec<String>,

    /// Capture in another network namespace: a name as `ip netns` knows it, a process's number, or a path
    #[arg(long, value_name = "NAME|PID|PATH", conflicts_with = "read")]
    netns: Option<String>,

    /// Keep at most BYTES of each packet, 0 for all
    ///
    /// Of a file (-r) it cuts the packets that are written.
    #[arg(short, long, value_name = "BYTES", default_value_t = 0)]
    snapshot_length: u32,

    /// Only packets that come in, that go out, or both
    #[arg(short = 'Q', long, value_name = "in|out|inout", default_value = "inout")]
    #[arg(conflicts_with = "read")]
    direction: Directions,

    /// Size of the kernel's ring, of each if there are several: 256M, or 64k, 1g [default: by the interface]
    ///
    /// Without it, by the speed of the interface and the memory there is, and twice that once packets are lost.
    #[arg(long, value_name = "SIZE", value_parser = ring_size, conflicts_with_all = ["buffer_size", "read"])]
    ring: Option<usize>,

    /// The same in KiB
    #[arg(short = 'B', long, value_name = "KIB", conflicts_with = "read")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..(RING_BEYOND >> 10) as u64))]
    buffer_size: Option<u64>,

    /// How packets are spread over the workers of --cores: hash, ports, cpu, queue, rr or random
    ///
    /// hash: by the pair of IP addresses, so that a flow stays on one worker, both directions and fragments too. ports:
    /// by ports as well, which spreads the flows between two hosts; fragments come apart from their flow. cpu, queue:
    /// where the kernel received them. rr, random: evenly, without regard to flows. With `,rollover` a packet whose
    /// ring is full goes to another. Rings of rr and rollover are not raised when the kernel loses packets.
    #[arg(long, value_name = "MODE[,rollover]", conflicts_with = "read", requires = "cores")]
    fanout: Option<Fanout>,

    /// Whose clock the times of packets are by: host, or adapter_unsynced for the device's own
    ///
    /// host: when the kernel had the packet; host_hiprec is the same on Linux. adapter_unsynced: when the device had
    /// it, by its clock, which need not be in step with the host's (phc2sys does that; a PTP clock may be 37 s
    /// ahead). It is switched on where it is not, which takes CAP_NET_ADMIN, and put back at the end (not with -Z,
    /// and not by kill -9). Packets that the device does not stamp, those sent among them, have the host's time; the
    /// summary counts both. adapter and host_lowprec, which tcpdump knows too, Linux does not have. -J lists what an
    /// interface has.
    #[arg(short = 'j', long, value_name = "TYPE", default_value = "host")]
    #[arg(conflicts_with = "read")]
    time_stamp_type: TimeStampType,

    /// Do not ask the device for packets that are addressed to others
    #[arg(short = 'p', long, conflicts_with = "read")]
    no_promiscuous_mode: bool,
}

/// A way to spread packets.
#[derive(Clone, Copy, Debug, Default)]
struct Fanout {
    spread: Spread,
    rollover: bool,
}

impl FromStr for Fanout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mode, rollover) = match text.split_once(',') {
            None => (text, false),
            Some((mode, "rollover")) => (mode, true),
            Some((_, other)) => return Err(format!("{other}: only rollover may stand behind the comma")),
        };
        Ok(Self { spread: mode.parse().map_err(|error: ValueError| error.to_string())?, rollover })
    }
}

/// A size in binary units, of a block at least.
fn ring_size(text: &str) -> Result<usize, String> {
    let size = scaled(text, 1, 1 << 10).map_err(|why| why.told("size such as 64k, 256M or 1g"))?;
    match usize::try_from(size) {
        Ok(size) if size < LEAST_RING => {
            Err("less than a block of it, 64k (a number alone is bytes)".to_owned())
        }
        Ok(size) if size < RING_BEYOND => Ok(size),
        _ => Err("no kernel takes a ring of 4 GiB or more".to_owned()),
    }
}

impl LiveArgs {
    /// Opens what is to be captured, with a ring for each of so many workers; and twice, for the end and for meanwhile,
    /// what the host tells of losses before it. That it does not tell ends no capture.
    pub(crate) fn capture(
        &self,
        workers: usize,
        wish: &Wish,
    ) -> anyhow::Result<(Capture, Option<(Upstream, Upstream)>)> {
        self.inside(|| self.open(workers, wish))
    }

    /// The filter for packets of the network that the interfaces are in, as far as there is one.
    pub(crate) fn in_network(&self, filter: &Filter) -> Filter {
        let mask = self.inside(|| {
            let all = wharf::sys::interfaces()?;
            let prefixes = self.names()?.into_iter().map(|name| {
                let interface = all.iter().find(|interface| interface.name == name)?;
                interface.addresses.iter().find(|(address, _)| address.is_ipv4()).map(|(_, prefix)| *prefix)
            });
            let prefixes: Vec<_> = prefixes.collect();
            Ok(prefixes[0].filter(|first| prefixes.iter().all(|prefix| *prefix == Some(*first))))
        });
        // What is wrong with an interface is told when it is opened.
        let Ok(Some(prefix)) = mask else { return filter.clone() };
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        filter.in_network(Ipv4Addr::from_bits(mask))
    }

    /// What `work` gives within the namespace that is asked for.
    fn inside<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let Some(name) = &self.netns else { return work() };
        let namespace = Namespace::find(name).map_err(|reason| anyhow!("--netns {name}: {reason}"))?;
        // On a thread of its own: nothing else of this process moves.
        namespace.run(|| Ok(work())).map_err(|error| {
            let advice = match error.kind() {
                std::io::ErrorKind::PermissionDenied => " (CAP_SYS_ADMIN missing: run as root)",
                std::io::ErrorKind::InvalidInput => " (it is no network namespace)",
                _ => "",
            };
            anyhow!("--netns {name}: cannot enter it: {error}{advice}")
        })?
    }

    /// The interfaces that are named, or the one that is not.
    fn names(&self) -> anyhow::Result<Vec<String>> {
        match &self.interface[..] {
            [] => Ok(vec![default_interface()?]),
            names => Ok(names.to_vec()),
        }
    }

    /// What there is for -j, as tcpdump lists it.
    pub(crate) fn list_time_stamp_types(&self) -> anyhow::Result<String> {
        self.inside(|| {
            let mut text = String::new();
            for name in self.names()? {
                let types =
                    TimeStampType::of(&name).with_context(|| format!("{name}: cannot ask its driver"))?;
                text += &format!("Time stamp types for {name} (use option -j to set):\n");
                types.iter().for_each(|kind| text += &format!("  {kind} ({})\n", kind.description()));
            }
            Ok(text)
        })
    }

    /// What interfaces are called where packets are captured.
    pub(crate) fn interface_names(&self) -> anyhow::Result<InterfaceNames> {
        self.inside(|| InterfaceNames::here().context("cannot ask for the names of interfaces"))
    }

    fn open(&self, workers: usize, wish: &Wish) -> anyhow::Result<(Capture, Option<(Upstream, Upstream)>)> {
        let names = self.names()?;
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                bail!(usage(&format!("{name}: named twice: give -i once for each interface")));
            }
        }
        if let ([_, _, ..], true) = (&names[..], names.iter().any(|name| name == "any")) {
            bail!(usage("any stands for all interfaces: name no other beside it, or these without any"));
        }
        let mut captures = names.iter().map(|name| self.open_one(name, names.len(), workers, wish));
        let first = captures.next().context("no interface")??;
        let capture = captures.try_fold(first, |all, one| anyhow::Ok(all.and(one?)?))?;
        self.tell_what_is_changed(capture.ring_use());
        // Before it is said: whoever waits for that may send at once, and what gets lost counts.
        let upstream = upstream_of(names.iter().map(String::as_str));
        for Interface { name, link_type, snap_length, .. } in capture.interfaces() {
            let name = name.as_deref().unwrap_or("?");
            exit::tell(&format!(
                "listening on {name}, link type {link_type}, snapshot length {snap_length} bytes"
            ));
        }
        Ok((capture, upstream))
    }

    /// Says what is not as it was asked for.
    fn tell_what_is_changed(&self, opened: Option<RingUse>) {
        let wanted = self.ring_bytes().map(|bytes| bytes as u64);
        if let (Some(wanted), Some(RingUse { rings: rings @ 1.., bytes, .. })) = (wanted, opened) {
            let each = bytes / rings as u64;
            // Whole blocks, of up to 1 MiB; that it is a little more is no news.
            if each > wanted + wanted / 2 {
                let (wanted, each) = (wanted.div_ceil(1 << 10), each >> 10);
                exit::tell(&format!(
                    "a ring of {wanted} KiB is less than two blocks: it is raised to {each} KiB"
                ));
            }
        }
        if self.snapshot_length > WHOLE {
            exit::tell(&format!(
                "-s {}: {WHOLE} bytes are the most, and all of any packet",
                self.snapshot_length
            ));
        }
    }

    fn open_one(
        &self,
        name: &str,
        interfaces: usize,
        workers: usize,
        wish: &Wish,
    ) -> anyhow::Result<Capture> {
        let Fanout { spread, rollover } = self.fanout.unwrap_or_default();
        let mut options = Capture::on(name)
            .snap_length(self.snap_length())
            .directions(self.direction)
            .promiscuous(!self.no_promiscuous_mode)
            .retire_after(if wish.is_soon() { SOON } else { LATE })
            .among(interfaces)
            .parts(workers)
            .spread(spread)
            .rollover(rollover)
            .time_stamps(self.time_stamp_type);
        if let Some(bytes) = self.ring_bytes() {
            options = options.ring_bytes(bytes);
        }
        if let Some(filter) = wish.filter() {
            options = in_kernel(options, filter)?;
        } else if let Some(ports) = wish.ports() {
            options = options.only_ports(ports);
        }
        Ok(options.open()?)
    }
}

/// Has the kernel ask for what is wanted, where it can; the engine asks again in any case where it cannot.
fn in_kernel(options: Options, filter: &Filter) -> anyhow::Result<Options> {
    let link_type = options.link_type()?;
    if link_type == LinkType::LINUX_SLL2 {
        // The kernel has no such header: it is made here.
        filter.on(link_type).map_err(Fault)?;
        return Ok(options);
    }
    match filter.socket_program(link_type, WHOLE) {
        Ok(program) => {
            // In one line, whatever it was read from.
            let text = filter.text().split_whitespace().collect::<Vec<_>>().join(" ");
            Ok(options.only_wanted(program.instructions().to_vec(), text))
        }
        Err(reason) => {
            filter.on(link_type).map_err(Fault)?;
            exit::tell(&format!("the filter runs here, not in the kernel: {reason}"));
            Ok(options)
        }
    }
}

impl LiveArgs {
    /// Most bytes of a packet to keep, if not all.
    pub(crate) fn cut(&self) -> Option<u32> {
        Some(self.snapshot_length).filter(|&bytes| bytes > 0)
    }

    /// Most bytes of a packet.
    pub(crate) fn snap_length(&self) -> u32 {
        if self.snapshot_length == 0 { WHOLE } else { self.snapshot_length.min(WHOLE) }
    }

    /// The size asked for of what the kernel puts packets into.
    pub(crate) fn ring_bytes(&self) -> Option<usize> {
        let buffer =
            self.buffer_size.map(|kib| usize::try_from(kib.saturating_mul(1024)).unwrap_or(usize::MAX));
        self.ring.or(buffer)
    }
}

#[cfg(feature = "xdp")]
impl LiveArgs {
    /// The interface to take packets from.
    pub(crate) fn only_interface(&self) -> anyhow::Result<&str> {
        match &self.interface[..] {
            // A default would take its packets from the host, which the user may be using to say so.
            [] => bail!(usage("--xdp takes packets away from the host: name the interface with -i")),
            [name] => Ok(name),
            _ => bail!(usage(
                "--xdp takes the packets of one interface: name one with -i, and run wharf once for each"
            )),
        }
    }
}

/// What the host tells of losses before these interfaces' rings, twice: for the end and for meanwhile. That it does not
/// tell is said, and ends no capture.
pub(crate) fn upstream_of<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Option<(Upstream, Upstream)> {
    let upstream = || Upstream::of(names.clone());
    let both = upstream().and_then(|one| Ok((one, upstream()?)));
    both.map_err(|error| exit::tell(&format!("what is lost before the ring cannot be seen: {error}"))).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_spread() {
        let Fanout { spread, rollover } = "cpu,rollover".parse().unwrap();
        assert_eq!((spread, rollover), (Spread::Cpu, true));
        assert!(!"rr".parse::<Fanout>().unwrap().rollover);
        for text in ["", "hash,", "hash,defrag", "flows", "rollover"] {
            assert!(text.parse::<Fanout>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_of_rings_are_binary() {
        assert_eq!((ring_size("256M"), ring_size("65536")), (Ok(256 << 20), Ok(64 << 10)));
        assert_eq!((ring_size("4094M"), ring_size("4095M").is_err()), (Ok(4094 << 20), true));
        for text in ["", "0", "1.5g", "-1", "99999999999999999999", "M", "4g", "5g", "64", "63k"] {
            assert!(ring_size(text).is_err(), "{text:?}");
        }
    }
}
