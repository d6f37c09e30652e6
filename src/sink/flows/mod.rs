//! Flows: what became of each, as a table, JSON lines or CSV.

mod columns;
mod csv;
mod exchange;
mod json;
mod largest;
mod part;
mod see;
mod sifted;
mod story;
mod table;
mod values;
mod writer;

pub use story::flow_story;
#[cfg(feature = "parquet")]
pub(super) use values::has_ports;

use super::export::FlowExport;
use super::format::Put;
use super::services::Services;
use super::streams::StreamFiles;
use super::{Deliveries, Error, InterfaceStatistics, Part, Sink};
use crate::flow::names::{NamesOptions, Naming, Sieve};
use crate::flow::{FlowRecord, MeterCounts, MeterOptions, Shards, Window, in_order};
use crate::frame::Timestamp;
use exchange::Exchange;
use largest::Largest;
use part::FlowsPart;
use see::{Scout, see};
use std::any::Any;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use writer::Writer;

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowFormat {
    /// A table for people, at the end, by the time of the first packets: of the largest [`MeterOptions::max_flows`] flows, and of
    /// the others how many they were.
    #[default]
    Table,
    /// A JSON object a line, as soon as a record is complete.
    Json,
    /// Comma-separated values (RFC 4180) with a line of names, likewise.
    Csv,
}

/// What is metered and how it is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowsOptions {
    /// How long flows are kept, and how many.
    pub meter: MeterOptions,
    /// How records are written.
    pub format: FlowFormat,
    /// Ports as numbers.
    pub numeric: bool,
    /// Of a table, show the largest flows that often while packets come, largest first, with what they sent since the last time.
    pub every: Option<Duration>,
    /// Standard output is written to and is a terminal: those each take the place of the ones before, as many as it has lines,
    /// and tables are fitted to its width.
    pub screen: bool,
    /// Leave checksums alone: then wrong ones are not told, and what is in such packets counts as sent and received.
    pub unverified: bool,
    /// Packets come as they are captured: records go out within a second, and a flow times out also while none comes.
    pub live: bool,
}

/// Of a live capture, how long a record may wait to be sent on.
const SOON: Duration = Duration::from_secs(1);
/// What a terminal takes to begin again at its upper left.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Records that a thread writes at a time when the capture has ended.
const ROUND: usize = 4096;
/// Packets that the meters take in at a time: for each of them a few batches, and all of it within the second cache.
const WINDOW: usize = 1024;
/// Bytes of packets copied for their names at a time: large ones are fewer.
const NOTES: usize = 1 << 20;

/// The line of a record, as [`FlowFormat::Json`] has it.
#[cfg(feature = "kafka")]
pub(super) fn json_line(line: &mut Vec<u8>, record: &crate::flow::FlowRecord) {
    json::write(line, record, None);
}

/// Meters flows and writes a record of each.
///
/// Of JSON the members are: `proto`, `src`, `sport`, `dst`, `dport` (`src` sent first; the ports `null` of later
/// fragments), `packets`, `bytes` (on the wire), `payload`, `tcp_flags`, each a pair: what `src` has sent and what
/// `dst` has; `first`, `last` (seconds since 1970), `duration`, `community_id`, `end` (an
/// [`EndReason`](crate::flow::EndReason)), `story` (in words). Where they apply: `vlan`, `tunnel`, `icmp`, `name` (of
/// `dst`, or where `name_of` says so of `src`), `name_from`, `application`, `ttl`, `ttl_changes`, `duplicates`,
/// `bad_checksums`, `icmp_errors`, and `tcp` with `state`, `handshake`, and pairs of what each side has said and how
/// that fared; times in it are seconds.
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::sink::{FlowFormat, Flows, FlowsOptions};
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let mut lines = Vec::new();
/// let source = Synthetic::new(&Traffic { frames: 100, flows: 4, ..Traffic::default() });
/// let options = FlowsOptions { format: FlowFormat::Json, ..FlowsOptions::default() };
/// Engine::builder().source(source).rest(Flows::new(&mut lines, options)).run()?;
///
/// let packets = String::from_utf8(lines)?.lines().map(|line| {
///     let flow: serde_json::Value = serde_json::from_str(line)?;
///     Ok(flow["packets"][0].as_u64().unwrap_or(0) + flow["packets"][1].as_u64().unwrap_or(0))
/// }).sum::<Result<u64, serde_json::Error>>()?;
/// assert_eq!(packets, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Flows<W> {
    shards: Shards,
    /// Packets that the meters have not taken in.
    window: Window,
    /// Where flows have names.
    scout: Option<Scout>,
    /// What all workers find of them.
    sieve: Arc<Sieve>,
    /// Where workers have tables of their own.
    exchange: Option<Arc<Exchange>>,
    /// How many there were.
    threads: usize,
    writer: Writer<W>,
    every: Option<Duration>,
    largest: Largest,
    unverified: bool,
    /// When the first packet was captured.
    begun: Option<Timestamp>,
    live: bool,
    /// When records were last sent on.
    sent: Instant,
    /// Of a live capture: when the last packet was captured, and handed over.
    last: Option<(Timestamp, Instant)>,
}

impl<W: Write> Flows<W> {
    /// Records on `writer`, which an error calls `standard output`.
    #[must_use]
    pub fn new(writer: W, options: FlowsOptions) -> Self {
        let FlowsOptions { meter, format, numeric, every, screen, unverified, live } = options;
        let now = Instant::now();
        let writer = Writer::new(writer, meter, format, (!numeric).then(Services::system));
        let shards = if live { Shards::live(meter) } else { Shards::new(meter) };
        let window = shards.window();
        let (exchange, threads) = (None, 1);
        Self {
            shards,
            window,
            scout: None,
            sieve: Arc::default(),
            exchange,
            threads,
            writer,
            every,
            largest: Largest::new(screen),
            unverified,
            begun: None,
            live,
            sent: now,
            last: None,
        }
    }

    /// Lets several workers share the work: for a source that is not live, as a worker may then have to wait. The records, and
    /// their order, stay the same. Where [streams](Flows::streams) are written there is still one thread for all.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.exchange = Some(Arc::new(Exchange::new(Shards::new(self.writer.meter))));
        self
    }

    /// Writes what was said over TCP to files, too. Of JSON the members `streams` and `gaps` tell the files of a flow and how
    /// many bytes are missing in each, as far as that was known when its record was written.
    #[must_use]
    pub fn streams(mut self, streams: StreamFiles) -> Self {
        self.writer.streams = Some(streams);
        self
    }

    /// Gives the records the names that clients asked for.
    #[must_use]
    pub fn names(mut self, options: NamesOptions) -> Self {
        self.writer.naming = Some(Naming::new(options));
        self.scout = Some(if self.live { Scout::live() } else { Scout::alone() });
        self
    }

    /// What gives the records [names](Flows::names).
    #[must_use]
    pub fn naming(&self) -> Option<&Naming> {
        self.writer.naming.as_ref()
    }

    /// Sends the records on, too: as [`Ipfix`](crate::sink::Ipfix), say.
    #[must_use]
    pub fn export(mut self, export: Box<dyn FlowExport>) -> Self {
        self.writer.exports.push(export);
        self
    }

    /// What was said over TCP, where it is [written](Flows::streams).
    #[must_use]
    pub fn said(&self) -> Option<&StreamFiles> {
        self.writer.streams.as_ref()
    }

    /// Where records are [sent](Flows::export).
    pub fn exports(&self) -> impl Iterator<Item = &dyn FlowExport> {
        self.writer.exports.iter().map(|export| &**export)
    }

    /// What was seen so far.
    #[must_use]
    pub fn counts(&self) -> MeterCounts {
        self.shards.counts()
    }

    /// Of the records, how many have been written as lines; `None` of a table, which comes at the end as a whole.
    #[must_use]
    pub fn written(&self) -> Option<u64> {
        (self.writer.format != FlowFormat::Table).then(|| self.writer.lines.kept())
    }

    /// Lets the meters take in what has been seen.
    fn take_in(&mut self) {
        let Self { shards, window, writer, .. } = self;
        let mut seen = 0;
        shards.take_in(window, &mut |order, record| {
            seen = writer.follow(window.notes(), seen, order);
            writer.add(record);
        });
        writer.follow(window.notes(), seen, u32::MAX);
        window.clear();
    }

    /// Shows the largest flows, if it is time.
    fn show(&mut self) -> Result<(), Error> {
        let Some(every) = self.every.filter(|_| self.writer.format == FlowFormat::Table) else {
            return Ok(());
        };
        let now = Instant::now();
        if !self.largest.is_due(every, now) {
            return Ok(());
        }
        self.take_in();
        if self.shards.len() == 0 {
            return Ok(());
        }
        let Self { shards, largest, begun, writer, .. } = self;
        let Writer { lines, services, naming, .. } = writer;
        if largest.is_screen() {
            lines.buffer.text(CLEAR);
        }
        let name = |record: &mut FlowRecord| naming.iter_mut().for_each(|naming| naming.name(record));
        let flows = shards.largest(Largest::WANTED);
        let of = (flows, shards.len());
        largest.put(of, (*begun, now), services.as_ref(), name, &mut lines.buffer);
        // One table from the next.
        lines.buffer.push(b'\n');
        lines.write(0)?;
        lines.flush()
    }
}

impl<W: Write> Sink for Flows<W> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        if let Some(streams) = &mut self.writer.streams {
            streams.write(packets)?;
        }
        self.begun = self.begun.or_else(|| packets.records().next().and_then(|record| record.time));
        see(&mut self.window, packets, self.scout.as_mut());
        let full = self.window.len() >= WINDOW || self.window.notes().bytes() >= NOTES;
        if full || self.writer.streams.is_some() {
            self.take_in();
            if self.writer.is_full() {
                self.writer.write()?;
            }
        }
        self.writer.failed()?;
        if self.live {
            let time = packets.records().last().and_then(|record| record.time);
            let now = Instant::now();
            self.last = time.map(|time| (time, now)).or(self.last);
            if now.duration_since(self.sent) >= SOON {
                return self.flush();
            }
        }
        self.show()
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.sent = Instant::now();
        self.take_in();
        let Self { shards, writer, last, .. } = self;
        if let Some((time, since)) = last {
            // By the packets' own clock, which need not be this host's.
            shards.advance(time.plus(since.elapsed()), &mut |mut record| writer.add(&mut record));
        }
        writer.failed()?;
        self.writer.write()?;
        self.writer.lines.flush()?;
        let Writer { streams, exports, .. } = &mut self.writer;
        streams.as_mut().map_or(Ok(()), Sink::flush)?;
        exports.iter_mut().try_for_each(|export| export.flush())?;
        self.show()
    }

    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        let mut written = Ok(());
        if let Some(exchange) = self.exchange.take_if(|exchange| exchange.was_used()) {
            self.threads = exchange.workers();
            // What was not collected, as something had failed: it is to be counted, too.
            while collect(&exchange, &mut self.writer) {
                self.writer.write_many(&mut written);
            }
            self.shards = exchange.shards().unwrap_or_else(|| Shards::new(self.writer.meter));
        }
        self.take_in();
        let Self { shards, writer, .. } = self;
        // Before the last records, which then tell all gaps.
        let streamed = writer.streams.as_mut().map_or(Ok(()), |streams| streams.finish(statistics));
        let mut written = written.and(streamed);
        let last = shards.last();
        let mut at = 0;
        while at < last.len() {
            let next = (at + self.threads * ROUND).min(last.len());
            writer.add_last(&last, at..next, self.threads);
            writer.write_many(&mut written);
            at = next;
        }
        let records = last.len() as u64;
        shards.forget(records);
        // Each is to have its end, whatever became of the others.
        let sent = writer.exports.iter_mut().map(|export| export.finish()).fold(Ok(()), Result::and);
        written.and(writer.failed()).and(sent)?;
        if writer.format == FlowFormat::Table {
            writer.write_table(self.largest.terminal().map(|(columns, _)| columns))?;
        }
        writer.head();
        writer.write()?;
        writer.lines.flush()
    }

    /// Only of what has not a [common shape](crate::batch), but for streams.
    fn wants_layers(&self) -> bool {
        self.writer.streams.is_some()
    }

    fn wants_verdicts(&self) -> bool {
        !self.unverified
    }

    fn part(&self) -> Option<Box<dyn Part>> {
        // Those want all packets in their order.
        let exchange = self.exchange.as_ref().filter(|_| self.writer.streams.is_none())?;
        let scout = self.scout.as_ref().map(|_| Scout::among(&self.sieve));
        Some(Box::new(FlowsPart::new(Arc::clone(exchange), scout)))
    }

    fn gathers(&self) -> bool {
        true
    }

    fn gather(&mut self) -> Result<(), Error> {
        let Self { exchange: Some(exchange), writer, .. } = self else { return Ok(()) };
        let gathered = loop {
            let more = collect(exchange, writer);
            let written = if writer.is_full() || !more { writer.write() } else { Ok(()) };
            let written = written.and(writer.failed());
            if written.is_err() || !more {
                break written;
            }
        };
        exchange.abandon();
        gathered
    }

    fn merge(&mut self, _: Box<dyn Any>) {}
}

/// Takes what workers have ready to where it is written. False when there will be no more.
fn collect<W: Write>(exchange: &Exchange, writer: &mut Writer<W>) -> bool {
    exchange.collect(|notes, ended| {
        let mut seen = 0;
        in_order(ended, &mut |order, record| {
            seen = writer.follow(notes, seen, order);
            writer.add(record);
        });
        writer.follow(notes, seen, u32::MAX);
    })
}
