//! Input through AF_XDP, as the command line says it.

use crate::exit;
use crate::live::{LiveArgs, upstream_of};
use crate::wish::Wish;
use clap::Args;
use wharf::demux::{Ports, Protocol, Rule};
use wharf::filter::Filter;
use wharf::frame::Interface;
use wharf::source::Source;
use wharf::source::packet::Upstream;
use wharf::source::xdp::{
    AttachMode, Capture, Copying, Modes, Options, PortProtocol, PortTable, Queues, Waiting,
};

/// What --xdp cannot be with. The options that require it name them too: where what an option requires cannot be, clap asks
/// for it no more.
const WITHOUT_XDP: [&str; 6] =
    ["read", "direction", "no_promiscuous_mode", "netns", "fanout", "time_stamp_type"];

#[derive(Args, Debug)]
#[command(next_help_heading = "AF_XDP")]
pub(crate) struct XdpArgs {
    /// Take packets straight from the interface's queues: the host does not get them
    ///
    /// In the driver (native), or behind it where the driver cannot (generic); auto tries both in turn. Needs root,
    /// or CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_IPC_LOCK. Where only packets with some ports are wanted
    /// (--ports, --to without --rest, an expression that nothing matches without them, such as 'udp port 53 and not
    /// net 10/8'), these are looked up in the kernel, and all others go on to the host; so does what has no ports
    /// there: later fragments, IPv6 with extension headers, more than two VLAN tags.
    #[arg(long, value_name = "auto|native|generic", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "auto", hide_possible_values = true)]
    #[arg(conflicts_with_all = WITHOUT_XDP)]
    xdp: Option<Modes>,

    /// Take packets from this queue only, counted from 0, or from all
    #[arg(long, value_name = "N|all", default_value = "all", requires = "xdp")]
    #[arg(conflicts_with_all = WITHOUT_XDP)]
    queue: Queues,

    /// Have the kernel copy packets even where the device could write them to our memory itself
    #[arg(long, requires = "xdp", conflicts_with_all = WITHOUT_XDP)]
    xdp_copy: bool,

    /// Look for packets all the time instead of sleeping: a whole CPU
    #[arg(long, requires = "xdp", conflicts_with_all = WITHOUT_XDP)]
    xdp_spin: bool,
}

impl XdpArgs {
    /// Whether it is asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.xdp.is_some()
    }

    /// Opens the interface, for what is wanted of it; and twice, for the end and for meanwhile, what the host tells of
    /// losses before it.
    pub(crate) fn open(
        &self,
        live: &LiveArgs,
        wish: &Wish,
    ) -> anyhow::Result<(Capture, Option<(Upstream, Upstream)>)> {
        let rules = wish.rules().unwrap_or_default();
        let name = live.only_interface()?;
        let mut options = Capture::on(name)
            .modes(self.xdp.unwrap_or_default())
            .copying(if self.xdp_copy { Copying::Always } else { Copying::Auto })
            .queues(self.queue)
            .waiting(if self.xdp_spin { Waiting::Spin } else { Waiting::Sleep })
            .snap_length(live.snap_length());
        if let Some(bytes) = live.ring_bytes() {
            options = options.memory_bytes(bytes);
        }
        let filter = wish.filter();
        let (ports, of) = match (table(rules), filter.and_then(table_of)) {
            (Some(ports), _) => {
                (Some(ports), rules.iter().map(Rule::to_string).collect::<Vec<_>>().join(" "))
            }
            (None, Some(ports)) => {
                (Some(ports), format!("the ports in '{}'", filter.map_or("", Filter::text)))
            }
            (None, None) => (None, String::new()),
        };
        let capture = ports.iter().cloned().fold(options, Options::ports).open()?;
        // Before it is said: whoever waits for that may send at once, and what gets lost counts.
        let upstream = upstream_of(std::iter::once(name));
        let asks = filter.is_some() || rules.iter().any(|rule| matches!(rule, Rule::Filter(_)));
        tell(&capture, ports.map(|_| of).as_deref(), asks);
        Ok((capture, upstream))
    }
}

/// The ports that rules name; `None` where there is no rule, or one that names all.
fn table(rules: &[Rule]) -> Option<PortTable> {
    let mut table = PortTable::new();
    for rule in rules {
        let (protocol, ranges) = match rule {
            Rule::Ports(Ports { protocol, ranges }) => (protocol, ranges),
            Rule::Filter(filter) => {
                add_of(filter, &mut table)?;
                continue;
            }
            Rule::Rest => return None,
        };
        let protocols: &[_] = match protocol {
            Protocol::Tcp => &[PortProtocol::Tcp],
            Protocol::Udp => &[PortProtocol::Udp],
            Protocol::Sctp => &[PortProtocol::Sctp],
            Protocol::Any => &[PortProtocol::Tcp, PortProtocol::Udp, PortProtocol::Sctp],
        };
        for range in ranges {
            protocols.iter().for_each(|&protocol| table.add(protocol, range.clone()));
        }
    }
    (!rules.is_empty()).then_some(table)
}

/// The ports without which nothing matches a filter, if that can be told.
fn table_of(filter: &Filter) -> Option<PortTable> {
    let mut table = PortTable::new();
    add_of(filter, &mut table).map(|()| table)
}

fn add_of(filter: &Filter, table: &mut PortTable) -> Option<()> {
    for (protocol, range) in filter.ports_at_most()? {
        let protocol = match protocol {
            6 => PortProtocol::Tcp,
            17 => PortProtocol::Udp,
            132 => PortProtocol::Sctp,
            _ => return None,
        };
        table.add(protocol, range);
    }
    Some(())
}

/// What is being done to the host, and how: packets of which ports are taken, if not all of them are; and whether an
/// expression asks for less than that.
fn tell(capture: &Capture, ports: Option<&str>, asks: bool) {
    let Interface { name, snap_length, .. } = &capture.interfaces()[0];
    let name = name.as_deref().unwrap_or("?");
    let mode = match capture.mode() {
        AttachMode::Native => "native",
        AttachMode::Generic => "generic",
    };
    let copies = if capture.is_zero_copy() { "zero-copy" } else { "copying" };
    let queues = match capture.queues() {
        1 => "1 queue".to_owned(),
        count => format!("{count} queues"),
    };
    exit::tell(&format!(
        "listening on {name} through AF_XDP ({mode} mode, {copies}, {queues}), snapshot length {snap_length} bytes"
    ));
    capture.notes().iter().for_each(|note| exit::tell(&format!("{name}: {note}")));
    if ports.is_none() && asks {
        exit::tell(&format!(
            "{name}: the expression is asked here, behind the host's back: what does not match is taken from it, too; --ports \
             leaves it all packets with other ports"
        ));
    }
    exit::tell(&match ports {
        None => format!("{name}: packets are TAKEN from this host: until the end it gets none of them"),
        Some(ports) => {
            format!(
                "{name}: packets of {ports} are TAKEN from this host, which gets all others until the end"
            )
        }
    });
}
