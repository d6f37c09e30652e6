//! `wharf dns`: what was asked for by name, what came of it, and how long that took.

mod columns;
mod rows;
mod summary;

use crate::args;
use crate::at_most::at_most;
use crate::exit::{Outcome, STRICT, TABLE, tell};
use crate::expression::ExpressionArgs;
use crate::input::InputArgs;
use crate::link_types::LinkTypeNotes;
use crate::output::{Output, stdout};
use crate::print::{failed, print};
use crate::run;
use crate::terminal;
use crate::time::time;
use crate::wish::Wish;
use clap::Args;
use rows::{Format, Rows};
use std::io::{LineWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use summary::Summary;
use wharf::demux::Rule;
use wharf::flow::FlowKey;
use wharf::flow::fragments::{Counters, Defragmenter, Options, Outcome as Put};
use wharf::flow::names::{LookupCounts, Names, NamesOptions};
use wharf::frame::Timestamp;
use wharf::parse::Packet;
use wharf::sink::{self, Deliveries, InterfaceStatistics, Sink, Tee};

/// How long after its first fragment a packet is looked at as far as it goes.
const WHOLE_WITHIN: Duration = Duration::from_secs(2);
/// The ports of DNS, multicast DNS and LLMNR.
const PORTS: &str = "any/53,5353,5355";

/// Show who asked for which name, of whom, and what came of it: result, latency, answers; then the slowest and the
/// failed.
///
/// A line for each question, once its answer has come or not come in time: DNS over UDP and TCP, multicast DNS,
/// LLMNR. A question asked again is one line, which says how often. An answer that the capture has not all of is CUT.
/// Of a file, messages in IP fragments are put together. Of a live capture the kernel leaves out all other ports, and
/// with them later fragments.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf dns -i eth0                            questions, answers as they come
  wharf dns -r office.pcapng host 10.0.0.7     what one host asked for
  wharf dns -r office.pcapng --json | jq 'select(.rcode == 3) | .name'
  wharf dns -r office.pcapng --csv > dns.csv   for a spreadsheet or a database

{TABLE}{STRICT}"))]
pub(crate) struct DnsArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    expression: ExpressionArgs,

    /// Addresses as numbers, although a name for them was seen
    #[arg(short, long, help_heading = "Output")]
    numeric: bool,

    /// Print a JSON object a question, and no summary
    #[arg(long, conflicts_with = "csv", help_heading = "Output")]
    json: bool,

    /// Print comma-separated values (RFC 4180) with a header, and no summary
    #[arg(long, help_heading = "Output")]
    csv: bool,

    /// Only questions that failed, were asked again or were not answered
    #[arg(long, help_heading = "Output")]
    trouble: bool,

    /// Questions without an answer for so long are unanswered
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout, help_heading = "Output")]
    timeout: Duration,
}

/// More is a typing error.
const MOST: Duration = Duration::from_secs(86_400);

fn timeout(text: &str) -> Result<Duration, String> {
    time(text).and_then(|time| if time > MOST { Err("more than a day".to_owned()) } else { Ok(time) })
}

pub(crate) fn run(arguments: DnsArgs) -> anyhow::Result<Outcome> {
    let DnsArgs { input, expression, numeric, json, csv, trouble, timeout } = arguments;
    input.refuse_to_cut("`wharf sniff -r FILE -s BYTES -w FILE` does")?;
    let format = match (json, csv) {
        (true, _) => Format::Json,
        (false, true) => Format::Csv,
        (false, false) => Format::Text { numeric },
    };
    // A file's other packets cost little, and DNS may be in a tunnel there.
    let rule: Rule =
        if input.is_live() { PORTS.parse().map_err(|_| args::usage(PORTS))? } else { Rule::Rest };
    let wish = Wish::of(vec![rule.clone()]).soon(true).matching(expression.filter()?).counting_matches();
    let (builder, watched) = input.builder(&wish)?;

    let names = Names::new(NamesOptions { timeout, ..NamesOptions::default() });
    // Before the question is given up, as the beginning of its answer may be there.
    let whole_within = Options { timeout: WHOLE_WITHIN.min(timeout / 2), ..Options::default() };
    let mut dns = Dns {
        names,
        // Live, the later fragments have no port and do not come: what there is of the first is read as it is.
        fragments: (!input.is_live()).then(|| Defragmenter::new(whole_within).keeping_beginnings()),
        rows: Rows::new(format, terminal::columns(), input.path().is_some_and(Path::is_file)),
        summary: Summary::default(),
        trouble,
        last: Timestamp::default(),
        since: Instant::now(),
        live: input.is_live(),
        lines: Vec::new(),
        stdout: stdout(),
    };
    let sink = at_most(&mut dns, watched.at_most);
    let ended = run::drive(builder.output(rule, Tee(LinkTypeNotes::default(), sink)), watched, true);
    let mut printed = Ok(());
    if ended.report().is_some() {
        if format == (Format::Text { numeric }) {
            printed = print(dns.summary.to_string());
        }
        let counts = *dns.names.lookups().counts();
        let fragments = dns.fragments.as_ref().map_or(0, not_whole);
        tell(&account(&counts, dns.names.streams_given_up(), fragments));
    }
    ended.conclude_after(printed)
}

/// IP packets of which not all fragments could be had, whatever they were of.
fn not_whole(fragments: &Defragmenter) -> u64 {
    let Counters { timed_out, evicted, voided, malformed, .. } = fragments.counters();
    fragments.incomplete() as u64 + timed_out + evicted + voided + malformed
}

/// Every question and every response, accounted for.
fn account(counts: &LookupCounts, given_up: u64, fragments: u64) -> String {
    let LookupCounts { asked, answered, unanswered, evicted, .. } = counts;
    let LookupCounts { responses, answers, duplicates, mismatched, unsolicited, announcements, .. } = counts;
    let mut text = format!(
        "{asked} questions (and {} repeats) = {answered} answered + {unanswered} unanswered + {evicted} given up + {} \
         open; {responses} responses = {answers} answers + {duplicates} duplicates + {mismatched} to another question + \
         {unsolicited} to none seen + {announcements} announcements",
        counts.repeats,
        counts.open(),
    );
    if counts.unreadable > 0 {
        text += &format!("; {} messages not readable", counts.unreadable);
    }
    if counts.cut > 0 {
        text += &format!("; {} answers not whole in the capture", counts.cut);
    }
    if fragments > 0 {
        text += &format!("; {fragments} IP packets not whole: fragments are missing");
    }
    if given_up > 0 {
        text += &format!("; {given_up} TCP streams given up for others");
    }
    text
}

/// Looks at every packet for names, and prints each lookup once it is over.
struct Dns {
    names: Names,
    fragments: Option<Defragmenter>,
    rows: Rows,
    summary: Summary,
    trouble: bool,
    last: Timestamp,
    /// When the last packets came.
    since: Instant,
    live: bool,
    lines: Vec<u8>,
    stdout: LineWriter<Output>,
}

impl Dns {
    /// Looks at a packet, or at what it was the last fragment of. Of one whose fragments were not captured whole, or
    /// have not come in time, the beginning is read as far as it goes.
    fn take(&mut self, packet: &Packet<'_>) {
        self.look_at_beginnings();
        let Some(fragments) = &mut self.fragments else { return self.look(packet) };
        let snapped = fragments.counters().snapped;
        match fragments.packet(packet) {
            Put::Complete(whole) => {
                let layers = whole.layers();
                self.look(&Packet::new(whole.frame(), &layers));
            }
            Put::Kept if fragments.counters().snapped == snapped => {}
            Put::Kept | Put::Whole => self.look(packet),
        }
    }

    /// Looks at what there was of packets that are not whole by now.
    fn look_at_beginnings(&mut self) {
        while let Some((begun, beginning)) =
            self.fragments.as_mut().and_then(|fragments| fragments.given_up(Some(self.last)))
        {
            let layers = beginning.layers();
            self.look_at(&Packet::new(beginning.frame(), &layers), begun.unwrap_or(self.last));
        }
    }

    fn look(&mut self, packet: &Packet<'_>) {
        self.look_at(packet, self.last);
    }

    fn look_at(&mut self, packet: &Packet<'_>, time: Timestamp) {
        let keyed = packet.innermost().and_then(|ip| FlowKey::of_layer(packet, ip));
        if let Some(keyed) = keyed {
            self.names.observe(packet, &keyed, time);
            self.tell_finished();
        }
    }

    fn tell_finished(&mut self) {
        while let Some(lookup) = self.names.lookups().take() {
            self.summary.add(&lookup);
            if !self.trouble || summary::is_trouble(&lookup) {
                self.rows.write(&mut self.lines, &lookup, &self.names);
            }
        }
    }

    fn print(&mut self) -> Result<(), sink::Error> {
        let written = self.stdout.write_all(&self.lines).and_then(|()| self.stdout.flush());
        self.lines.clear();
        written.map_err(failed)
    }
}

impl Sink for &mut Dns {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
        for delivery in packets.iter() {
            let packet = &delivery.packet;
            self.last = packet.frame().record.time.unwrap_or(self.last);
            self.take(packet);
        }
        self.since = Instant::now();
        if self.lines.is_empty() { Ok(()) } else { self.print() }
    }

    /// Nothing comes: a question may be unanswered by now, which the next packet would tell late.
    fn flush(&mut self) -> Result<(), sink::Error> {
        if self.live && self.last != Timestamp::default() {
            let now = self.last.plus(self.since.elapsed());
            self.names.lookups().advance(now);
            self.tell_finished();
        }
        if self.lines.is_empty() { Ok(()) } else { self.print() }
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        self.fragments.iter_mut().for_each(Defragmenter::finish);
        self.look_at_beginnings();
        self.names.lookups().finish();
        self.tell_finished();
        self.rows.finish(&mut self.lines);
        self.print()
    }
}
