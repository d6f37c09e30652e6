//! `wharf sniff`: print packets, count them, or write them to a capture file.

use crate::args;
use crate::at_most::at_most;
use crate::exit::{self, Outcome, STRICT, TABLE};
use crate::expression::ExpressionArgs;
use crate::files::{self, WriteArgs};
use crate::input::InputArgs;
use crate::interfaces;
use crate::link_types::LinkTypeNotes;
use crate::output;
use crate::print::print;
use crate::run;
use crate::trouble::{self, TroubleArgs};
use crate::wish::Wish;
use anyhow::bail;
use clap::Args;
use std::io::{IsTerminal, stdout};
use std::time::Duration;
use wharf::demux::Rule;
use wharf::sink::text::{Dump, TimeStyle};
use wharf::sink::{Count, CountTable, Json, Sink, Tee, Text, TextOptions, Trouble};

/// Print packets, one a line; or write them to a file with -w; or count them by port with --count.
///
/// Options mean what they mean to tcpdump, and may be clustered as there (-nnvvXSs0). Packets go to
/// standard output; at the end a line on standard error accounts for every one of them.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf sniff -i eth0 -n                        print what passes eth0
  wharf sniff -i any -nnvvXs0 -c 10             ten packets, in full
  wharf sniff -i eth0 -w web-%H.pcapng -G 3600  a file an hour, until ^C
  wharf sniff -r web.pcapng --json | jq .dst    a JSON object a packet
  wharf sniff -i eth0 --trouble loss,reset -w bad.pcapng
                                                flows that had trouble
  wharf sniff -i eth0 tcp port 80 or 443        chosen in the kernel
  wharf sniff -r web.pcapng.gz --count          who used which port
  ssh host tcpdump -U -w - | wharf sniff -r -   packets from elsewhere

{TABLE}{STRICT}"))]
pub(crate) struct SniffArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    write: WriteArgs,

    #[command(flatten)]
    text: TextArgs,

    #[command(flatten)]
    expression: ExpressionArgs,

    /// Only packets with these ports at either end, such as tcp/80,443 or any/53
    ///
    /// Of a live capture the kernel leaves out others where it can tell: they cost nothing, and are not counted.
    #[arg(long, value_name = "RULE", help_heading = "Output")]
    ports: Option<Rule>,

    /// Print a JSON object a packet; with --count, the table as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Print no packets but, at the end, a table of packets and bytes by port
    #[arg(long, help_heading = "Output")]
    count: bool,

    #[command(flatten)]
    trouble: TroubleArgs,

    /// Print packets (or --count) although they are written to a file with -w
    #[arg(long, requires = "write", help_heading = "Output")]
    print: bool,

    /// List the interfaces, as `wharf interfaces` does
    #[arg(short = 'D', long, help_heading = "Output", exclusive = true)]
    list_interfaces: bool,

    /// List what -j may be for the interface
    #[arg(short = 'J', long, help_heading = "Output", conflicts_with_all = ["read", "write"])]
    list_time_stamp_types: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Text")]
struct TextArgs {
    /// Numbers instead of names of ports; addresses are never looked up
    #[arg(short, long, action = clap::ArgAction::Count)]
    numeric: u8,

    /// More of each header; twice for all of it. Of a live capture into a file (-w), how it is doing, every second
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Less of each header
    #[arg(short, long)]
    quick: bool,

    /// The link-layer header too
    #[arg(short = 'e', long)]
    link_header: bool,

    /// The packet's number before each line
    #[arg(short = '#', long)]
    number: bool,

    /// TCP sequence numbers as they were sent, not counted from the connection's start
    #[arg(short = 'S', long)]
    absolute_tcp_sequence_numbers: bool,

    /// Bytes in hexadecimal; twice with the link-layer header
    #[arg(short = 'x', long, action = clap::ArgAction::Count)]
    hex: u8,

    /// Bytes in hexadecimal and as text; twice with the link-layer header
    #[arg(short = 'X', long, action = clap::ArgAction::Count)]
    hex_and_text: u8,

    /// Bytes as text; twice with the link-layer header
    #[arg(short = 'A', long, action = clap::ArgAction::Count)]
    ascii: u8,

    /// Times: -t none, -tt seconds since 1970, -ttt since the line before, -tttt with the date, -ttttt since the first
    #[arg(short = 't', long, action = clap::ArgAction::Count)]
    time: u8,

    /// Times to the nanosecond, as --time-stamp-precision nano shows them
    #[arg(long, overrides_with = "micro")]
    nano: bool,

    /// Times to the microsecond, as they are without this
    #[arg(long, overrides_with = "nano")]
    micro: bool,

    /// Hand on every line at once
    #[arg(short = 'l', long)]
    line_buffered: bool,
}

impl TextArgs {
    /// An option that was given and shapes lines of text, but for those that users of tcpdump type by habit: -n, -v, -l.
    fn shaping(&self) -> Option<&'static str> {
        let given = [
            (self.quick, "-q"),
            (self.link_header, "-e"),
            (self.number, "-#"),
            (self.absolute_tcp_sequence_numbers, "-S"),
            (self.hex > 0, "-x"),
            (self.hex_and_text > 0, "-X"),
            (self.ascii > 0, "-A"),
            (self.time > 0, "-t"),
            (self.nano, "--nano"),
            (self.micro, "--micro"),
        ];
        given.iter().find(|(given, _)| *given).map(|(_, option)| *option)
    }

    /// With `nanoseconds` where those are asked for elsewhere too.
    fn options(&self, nanoseconds: bool) -> TextOptions {
        let dump = match (self.hex_and_text, self.hex, self.ascii) {
            (1.., ..) => Dump::HexAndText { link_header: self.hex_and_text > 1 },
            (0, 1.., _) => Dump::Hex { link_header: self.hex > 1 },
            (0, 0, 1..) => Dump::Text { link_header: self.ascii > 1 },
            (0, 0, 0) => Dump::None,
        };
        TextOptions {
            time: match self.time {
                0 => TimeStyle::TimeOfDay,
                1 => TimeStyle::None,
                2 => TimeStyle::Epoch,
                3 => TimeStyle::SincePrevious,
                4 => TimeStyle::DateAndTime,
                5.. => TimeStyle::SinceFirst,
            },
            nanoseconds: self.nano || (nanoseconds && !self.micro),
            numeric: self.numeric > 0,
            verbosity: self.verbose,
            quick: self.quick,
            link_header: self.link_header,
            number: self.number,
            absolute_sequence: self.absolute_tcp_sequence_numbers,
            dump,
            ..TextOptions::default()
        }
    }
}

type BoxedSink<'a> = Box<dyn Sink + Send + 'a>;

pub(crate) fn run(arguments: SniffArgs) -> anyhow::Result<Outcome> {
    let SniffArgs {
        mut input,
        write,
        text,
        expression,
        ports,
        json,
        count: counting,
        print: printed,
        trouble,
        ..
    } = arguments;
    if arguments.list_interfaces {
        return interfaces::list(false);
    }
    if arguments.list_time_stamp_types {
        print(input.list_time_stamp_types()?)?;
        return Ok(Outcome::Done);
    }
    let unseen = if json { "--json" } else { "--count" };
    if write.is_given() && (json || counting) && !printed {
        bail!(args::usage(&format!("{unseen} shows nothing with -w unless --print is given too")));
    }
    if write.to_stdout() && printed {
        bail!(args::usage(
            "packets as text and as a capture file cannot share standard output: give -w a file"
        ));
    }
    write.check()?;
    match text.shaping() {
        Some(option) if json || counting => {
            bail!(args::usage(&format!("{option} shapes lines of text, and {unseen} prints none")));
        }
        // Users of tcpdump have them in one word with -w.
        Some(option) if write.is_given() && !printed => {
            exit::tell(&format!("{option} shows nothing with -w unless --print is given too"));
        }
        _ => {}
    }
    if write.is_given() && text.verbose > 0 && input.is_live() {
        input.tell_every(Duration::from_secs(1));
    }
    if !write.is_given() {
        input.refuse_to_cut("name one with -w")?;
    }
    let printing = !write.is_given() || printed;
    let rule = ports.unwrap_or(Rule::Rest);
    let soon = printing && !counting && stdout().is_terminal();
    let wish = Wish::of(vec![rule.clone()]).soon(soon).matching(expression.filter()?).counting_matches();
    let mut names = if printing && !counting { input.interface_names()? } else { None };
    let (builder, watched) = input.builder(&wish)?;
    let file = files::writer(&write, &input)?;

    let at_once = text.line_buffered || write.packet_buffered();
    let options = TextOptions { line_buffered: at_once, ..text.options(write.nanoseconds()) };
    let mut count = Count::new();
    let shown = |count| -> BoxedSink<'_> {
        match (counting, json) {
            (true, _) => Box::new(count),
            (false, true) => {
                let json = Json::new(output::stdout()).line_buffered(at_once);
                Box::new(names.take().into_iter().fold(json, Json::interface_names))
            }
            (false, false) => {
                let text = Text::new(output::stdout(), options);
                Box::new(names.take().into_iter().fold(text, Text::interface_names))
            }
        }
    };
    let mut troubled = None;
    let sink: BoxedSink<'_> = match (file, trouble.options()) {
        (Some(file), Some(options)) => Box::new(troubled.insert(Trouble::new(file, options))),
        (file, _) => match file {
            None => shown(&mut count),
            Some(file) if printed => Box::new(Tee(file, shown(&mut count))),
            Some(file) => Box::new(file),
        },
    };
    let sink = at_most(sink, watched.at_most);
    let builder = builder.output(rule, Tee(LinkTypeNotes::default(), sink));
    let ended = run::drive(builder, watched, printing && !counting);
    let printed = match ended.report() {
        Some(_) if printing && counting => print_table(&count.table(), json),
        _ => Ok(()),
    };
    if let (Some(troubled), Some(_)) = (&troubled, ended.report()) {
        exit::tell(&trouble::account(&troubled.counts()));
    }
    ended.conclude_after(printed)
}

fn print_table(table: &CountTable, json: bool) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(table)? } else { table.to_string() };
    print(text + "\n")
}
