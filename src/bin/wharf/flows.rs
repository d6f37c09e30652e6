//! `wharf flows`: who spoke with whom, how much, and how it fared.

use crate::args;
use crate::at_most::AtMost;
use crate::exit::{self, Outcome, TABLE};
use crate::expression::ExpressionArgs;
use crate::files;
use crate::input::InputArgs;
use crate::link_types::LinkTypeNotes;
use crate::live::Wish;
use crate::run;
use anyhow::bail;
use clap::Args;
use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::time::Duration;
use wharf::flow::reassembly::Counters;
use wharf::flow::{MeterOptions, fragments};
use wharf::sink::{FlowFormat, Flows, FlowsOptions, Ipfix, IpfixCounts, Sink, StreamFiles, Tee};

/// Show conversations: who spoke with whom, how much, and how it fared.
///
/// A flow is both directions between two ports of two hosts (and what has no ports, between two hosts), told apart by VLAN.
/// Of TCP the handshake, round-trip times, what was lost, sent again or came out of order are told; ICMP errors are
/// tied to the flow that they quote. Times are those of the packets.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf flows -r day.pcapng                  a table, in order of the first packets
  wharf flows -r day.pcapng --json tcp | jq 'select(.tcp.state == \"refused\")'
  wharf flows -r day.pcapng --json --streams said
                                             and what each end of every connection said, in files
  wharf flows -i eth0 --ipfix udp://collector:4739
                                             to where flows are kept
  wharf flows -i eth0 --every 2s             the largest flows every two seconds, all of them at the end
  wharf flows -i eth0 --csv > flows.csv      a line for each flow when it ends

{TABLE}"))]
pub(crate) struct FlowsArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    expression: ExpressionArgs,

    /// Numbers instead of names of ports and hosts
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Output")]
    numeric: u8,

    /// A JSON object a flow, one a line, as soon as the flow has ended
    #[arg(long, conflicts_with = "csv", help_heading = "Output")]
    json: bool,

    /// Comma-separated values, likewise
    #[arg(long, help_heading = "Output")]
    csv: bool,

    /// Write what each end of every TCP connection said, in order, to a file of its own in DIR
    ///
    /// tcp-SOURCE.PORT-DESTINATION.PORT, and .1, .2 for further connections between the same ends. With --json, streams and
    /// gaps tell a flow's files and how many bytes are missing in each.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    streams: Option<PathBuf>,

    /// Put IP packets together from their fragments before --streams takes them
    #[arg(long, requires = "streams", help_heading = "Output")]
    defragment: bool,

    /// Send the records as IPFIX (RFC 7011) too: to a file, or to a collector as udp://HOST:PORT or tcp://HOST:PORT
    #[arg(long, value_name = "FILE|URL", help_heading = "Output")]
    ipfix: Option<String>,

    /// With a table, show the largest flows that often while packets come (2s, 500ms)
    #[arg(long, value_name = "TIME", value_parser = args::time, help_heading = "Output")]
    #[arg(conflicts_with_all = ["json", "csv"])]
    every: Option<Duration>,

    /// Keep at most N flows at a time: one more, and that which has been silent the longest ends its record, and is counted
    #[arg(long, value_name = "N", default_value_t = 1 << 20, help_heading = "Flows")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_flows: u32,

    /// A flow ends when nothing has come for that long (60s); 0 for never
    #[arg(long, value_name = "TIME", value_parser = args::time_or_never, help_heading = "Flows")]
    idle_timeout: Option<Duration>,

    /// A flow that lasts has a record at least that often (30m); 0 for never
    #[arg(long, value_name = "TIME", value_parser = args::time_or_never, help_heading = "Flows")]
    active_timeout: Option<Duration>,
}

impl FlowsArgs {
    fn options(&self) -> FlowsOptions {
        let default = MeterOptions::default();
        let timeout = |given: Option<Duration>, default| {
            given.map_or(default, |time| Some(time).filter(|time| !time.is_zero()))
        };
        FlowsOptions {
            meter: MeterOptions {
                max_flows: self.max_flows as usize,
                idle_timeout: timeout(self.idle_timeout, default.idle_timeout),
                active_timeout: timeout(self.active_timeout, default.active_timeout),
                ..default
            },
            format: match (self.json, self.csv) {
                (true, _) => FlowFormat::Json,
                (_, true) => FlowFormat::Csv,
                _ => FlowFormat::Table,
            },
            numeric: self.numeric > 0,
            every: self.every,
        }
    }
}

pub(crate) fn run(arguments: FlowsArgs) -> anyhow::Result<Outcome> {
    if arguments.every.is_some() && !arguments.input.is_live() {
        bail!(args::usage("--every is for a live capture (-i): of a file (-r) the table comes at the end"));
    }
    let options = arguments.options();
    let FlowsArgs { input, expression, streams, defragment, ipfix, .. } = arguments;
    let wish = Wish::default().soon(stdout().is_terminal()).matching(expression.filter()?).counting_matches();
    let (builder, watched) = input.builder(&wish)?;
    let mut flows = Flows::new(stdout(), options);
    if !input.is_live() {
        flows = flows.shared();
    }
    if let Some(directory) = streams {
        let streams = StreamFiles::create(directory)?;
        flows = flows.streams(if defragment {
            streams.defragment(fragments::Options::default())
        } else {
            streams
        });
    }
    if let Some(target) = &ipfix {
        flows = flows.ipfix(exporter(target, &input)?);
    }
    let sink: Box<dyn Sink + Send + '_> = match watched.at_most {
        Some(left) => Box::new(AtMost { sink: &mut flows, left }),
        None => Box::new(&mut flows),
    };
    let ended =
        run::drive(builder.rest(Tee(LinkTypeNotes::default(), sink)), watched, options.every.is_some());
    if ended.report().is_some() {
        let _ = writeln!(std::io::stderr(), "{}", Summary(flows.counts()));
        tell(&flows);
    }
    ended.conclude()
}

/// Where the records are to go.
fn exporter(target: &str, input: &InputArgs) -> anyhow::Result<Ipfix> {
    if let Some(collector) = target.strip_prefix("udp://") {
        return Ok(Ipfix::udp(collector)?);
    }
    if let Some(collector) = target.strip_prefix("tcp://") {
        return Ok(Ipfix::tcp(collector)?);
    }
    if target.contains("://") {
        bail!(args::usage(&format!("{target}: a collector is udp://HOST:PORT or tcp://HOST:PORT")));
    }
    files::refuse_input(target.as_ref(), input)?;
    Ok(Ipfix::create(target)?)
}

/// What was written beside the records.
fn tell<W: Write>(flows: &Flows<W>) {
    if let Some(said) = flows.said().map(StreamFiles::counters) {
        let Counters { payload, delivered, repeated, outside, missing, .. } = said;
        exit::tell(&format!(
            "streams: {payload} bytes = {delivered} written + {repeated} repeated + {outside} outside; {missing} missing"
        ));
    }
    if let Some(IpfixCounts { records, refused }) = flows.exporter().map(Ipfix::counts) {
        let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        exit::tell(&format!("ipfix: {records} records sent{refused}"));
    }
}

/// What the meter has counted, as a sum.
struct Summary(wharf::flow::MeterCounts);

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let wharf::flow::MeterCounts { packets, without_flow, records, evicted, most } = self.0;
        let all = packets + without_flow;
        write!(f, "{all} packets = {packets} in {records} flow records + {without_flow} without IP")?;
        write!(f, "; at most {most} flows at a time, {evicted} cut short to make room")
    }
}
