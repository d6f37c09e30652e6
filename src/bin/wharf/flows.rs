//! `wharf flows`: who spoke with whom, how much, and how it fared.

use crate::args;
use crate::at_most::at_most;
use crate::counted::counted;
use crate::exit::{self, Outcome, STRICT, TABLE};
use crate::exports::ExportArgs;
use crate::expression::ExpressionArgs;
use crate::input::InputArgs;
use crate::link_types::LinkTypeNotes;
use crate::output;
use crate::run;
use crate::time::{time, time_or_zero};
use crate::wish::Wish;
use anyhow::bail;
use clap::Args;
use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::time::Duration;
use wharf::flow::names::{NamesOptions, Naming};
use wharf::flow::reassembly::Counters;
use wharf::flow::{MeterOptions, fragments};
use wharf::sink::{FlowExport, FlowFormat, Flows, FlowsOptions, StreamFiles, Tee};

/// How often a terminal shows the largest flows.
const EVERY: Duration = Duration::from_secs(2);

/// Show conversations: who spoke with whom, how much, and how it fared.
///
/// A flow is both directions between two ports of two hosts (and what has no ports, between two hosts), told apart by
/// VLAN and tunnel.
/// Of TCP the handshake, round-trip times, what was lost, sent again or came out of order are told; ICMP errors are
/// tied to the flow that they quote. Times are those of the packets.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf flows -r day.pcapng               a table, in order of first packets
  wharf flows -r day.pcapng --json tcp | jq 'select(.tcp.state == \"refused\")'
  wharf flows -r day.pcapng --json --streams said
                                          and what each end said, in files
  wharf flows -i eth0 --ipfix udp://collector:4739
                                          or --parquet, --kafka
  wharf flows -i eth0 --every 2s          the largest every 2 s, all at the end
  wharf flows -i eth0 --csv > flows.csv   a line for each flow when it ends

{TABLE}{STRICT}; also where records
     that were to go to Kafka or a collector were not delivered"))]
pub(crate) struct FlowsArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    expression: ExpressionArgs,

    /// Numbers instead of names of ports and hosts
    ///
    /// Without it a server has the name that TLS, QUIC or HTTP/1 asked it for, else the one for which the client was
    /// given its address by DNS; with it nobody looks for names.
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Output")]
    numeric: u8,

    /// Do not verify checksums
    ///
    /// Otherwise packets with wrong ones are told with their flow, and what they say of TCP is not believed: their
    /// receiver has thrown them away. Those left to the sending host's device are not wrong.
    #[arg(short = 'K', long, help_heading = "Flows")]
    dont_verify_checksums: bool,

    /// A JSON object a flow, one a line, as soon as the flow has ended
    #[arg(long, conflicts_with = "csv", help_heading = "Output")]
    json: bool,

    /// Comma-separated values, likewise
    #[arg(long, help_heading = "Output")]
    csv: bool,

    /// Write what each end of every TCP connection said, in order, to a file of its own in DIR
    ///
    /// tcp-SOURCE.PORT-DESTINATION.PORT, and .1, .2 for further connections between the same ends. With --json,
    /// streams and gaps tell a flow's files and how many bytes are missing in each.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    streams: Option<PathBuf>,

    /// Put IP packets together from their fragments before --streams takes them
    #[arg(long, requires = "streams", help_heading = "Output")]
    defragment: bool,

    #[command(flatten)]
    exports: ExportArgs,

    /// With a table, show the largest flows that often while packets come [default: on a terminal 2s]
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Output")]
    #[arg(conflicts_with_all = ["json", "csv"])]
    every: Option<Duration>,

    /// Keep at most N flows at a time: one more, and the one that would time out first ends with its record, and is
    /// counted
    #[arg(long, value_name = "N", default_value_t = 1 << 20, help_heading = "Flows")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_flows: u32,

    /// A flow ends when nothing has come for that long; 0 for never [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = time_or_zero, help_heading = "Flows")]
    idle_timeout: Option<Duration>,

    /// A flow that lasts has a record at least that often; 0 for never [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = time_or_zero, help_heading = "Flows")]
    active_timeout: Option<Duration>,
}

impl FlowsArgs {
    fn options(&self) -> FlowsOptions {
        let default = MeterOptions::default();
        let (live, terminal) = (self.input.is_live(), stdout().is_terminal());
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
            every: self.every.or((live && terminal).then_some(EVERY)),
            screen: terminal,
            unverified: self.dont_verify_checksums,
            live,
        }
    }
}

pub(crate) fn run(arguments: FlowsArgs) -> anyhow::Result<Outcome> {
    if arguments.every.is_some() && !arguments.input.is_live() {
        bail!(args::usage("--every is for a live capture (-i): of a file (-r) the table comes at the end"));
    }
    let options = arguments.options();
    let FlowsArgs { input, expression, streams, defragment, exports, .. } = arguments;
    input.refuse_to_cut("`wharf sniff -r FILE -s BYTES -w FILE` does")?;
    let wish = Wish::default().soon(stdout().is_terminal()).matching(expression.filter()?).counting_matches();
    let (builder, watched) = input.builder(&wish)?;
    let mut flows = Flows::new(output::stdout(), options);
    if !options.numeric {
        flows = flows.names(NamesOptions::default());
    }
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
    for export in exports.open(&input)? {
        flows = flows.export(export);
    }
    let sink = at_most(&mut flows, watched.at_most);
    let ended =
        run::drive(builder.rest(Tee(LinkTypeNotes::default(), sink)), watched, options.every.is_some());
    if ended.report().is_some() {
        let _ = writeln!(std::io::stderr(), "{}", Summary(flows.counts(), flows.written()));
        tell(&flows);
    }
    let lost = flows.exports().map(FlowExport::lost).sum();
    ended.with_lost(lost).conclude()
}

/// What was written beside the records.
fn tell<W: Write>(flows: &Flows<W>) {
    if let Some(said) = flows.said().map(StreamFiles::counters) {
        let Counters { payload, delivered, repeated, outside, missing, .. } = said;
        exit::tell(&format!(
            "streams: {} = {delivered} written + {repeated} repeated + {outside} outside; {missing} missing",
            counted(payload, "byte")
        ));
    }
    let given_up = flows.naming().map_or(0, Naming::given_up);
    if given_up > 0 {
        exit::tell(&format!(
            "{} may lack a name: more went on at a time than are kept",
            counted(given_up, "conversation")
        ));
    }
    flows.exports().for_each(|export| exit::tell(&export.account()));
}

/// What the meter has counted, as a sum, and how many records were written.
struct Summary(wharf::flow::MeterCounts, Option<u64>);

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let wharf::flow::MeterCounts { packets, bad_checksums, without_flow, records, evicted, most } =
            self.0;
        let (all, told) = (counted(packets + without_flow, "packet"), counted(records, "flow record"));
        write!(f, "{all} = {packets} in {told} + {without_flow} without IP")?;
        write!(f, "; at most {} at a time, {evicted} cut short to make room", counted(most, "flow"))?;
        if bad_checksums > 0 {
            write!(f, "; {} with a wrong checksum", counted(bad_checksums, "packet"))?;
        }
        if let Some(written) = self.1.filter(|&written| written < records) {
            write!(f, "\n{told} = {written} written + {} not written", records - written)?;
        }
        Ok(())
    }
}
