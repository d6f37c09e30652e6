//! Records on their way out: named, sent on, and written as lines or gathered for a table.

use super::table::{Row, Table};
use super::{FlowFormat, csv, json};
use crate::flow::names::{Naming, Notes};
use crate::flow::{FlowRecord, Last, MeterOptions};
use crate::sink::Error;
use crate::sink::export::FlowExport;
use crate::sink::lines::Lines;
use crate::sink::services::Services;
use crate::sink::streams::StreamFiles;
use std::io::Write;
use std::ops::Range;

/// Records handed to the writer at a time.
pub(super) const BATCH: usize = 256;

/// Records on their way out.
pub(super) struct Writer<W> {
    pub(super) lines: Lines<W>,
    pub(super) meter: MeterOptions,
    pub(super) format: FlowFormat,
    pub(super) services: Option<Services>,
    pub(super) table: Table,
    /// Records in the lines.
    waiting: usize,
    /// The first line of CSV has been written.
    headed: bool,
    pub(super) streams: Option<StreamFiles>,
    pub(super) naming: Option<Naming>,
    pub(super) exports: Vec<Box<dyn FlowExport>>,
    /// What went wrong with a record.
    failure: Option<Error>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(
        writer: W,
        meter: MeterOptions,
        format: FlowFormat,
        services: Option<Services>,
    ) -> Self {
        Self {
            lines: Lines::new(writer),
            meter,
            format,
            services,
            table: Table::new(meter.max_flows),
            waiting: 0,
            headed: false,
            streams: None,
            naming: None,
            exports: Vec::new(),
            failure: None,
        }
    }

    /// Looks for names at the packets from one on, up to the one with this place; which is the next.
    pub(super) fn follow(&mut self, notes: &Notes, from: usize, order: u32) -> usize {
        self.naming.as_mut().map_or(from, |naming| naming.follow(notes, from, order))
    }

    /// Adds a record.
    pub(super) fn add(&mut self, record: &mut FlowRecord) {
        if let Some(naming) = &mut self.naming {
            naming.name(record);
        }
        self.put(record);
    }

    fn put(&mut self, record: &FlowRecord) {
        for export in &mut self.exports {
            if let Err(error) = export.write(record) {
                self.failure.get_or_insert(error);
            }
        }
        let streams = self.streams.as_mut().filter(|_| record.tcp.is_some());
        let streams = streams.map(|streams| streams.tell(record));
        match self.format {
            FlowFormat::Table => self.table.add(Row::of(record, self.services.as_ref())),
            FlowFormat::Json => {
                json::write(&mut self.lines.buffer, record, streams.as_ref());
            }
            FlowFormat::Csv => {
                self.head();
                csv::write(&mut self.lines.buffer, record);
            }
        }
        self.waiting += 1;
    }

    /// Adds the records of some flows that are left, in order; they are made, and so are their lines, by so many threads.
    pub(super) fn add_last(&mut self, last: &Last<'_>, range: Range<usize>, threads: usize) {
        let in_turn = self.streams.is_some() || !self.exports.is_empty();
        if threads == 1 || in_turn {
            for at in range {
                let Some(mut record) = last.record(at) else { continue };
                if let Some(naming) = &self.naming {
                    naming.name_last(&mut record);
                }
                self.put(&record);
            }
            return;
        }
        let (format, naming, services) = (self.format, self.naming.as_ref(), self.services.as_ref());
        let record = |at: usize| {
            let mut record = last.record(at)?;
            if let Some(naming) = naming {
                naming.name_last(&mut record);
            }
            Some(record)
        };
        let records = range.len();
        if format == FlowFormat::Table {
            let row = |at: usize| Some(Row::of(&record(at)?, services));
            let shares = in_shares(range, threads, |share| share.filter_map(row).collect::<Vec<_>>());
            shares.into_iter().flatten().for_each(|row| self.table.add(row));
        } else {
            let shares = in_shares(range, threads, |share| {
                let mut lines = Vec::with_capacity(share.len() * 512);
                for record in share.filter_map(record) {
                    match format {
                        FlowFormat::Csv => csv::write(&mut lines, &record),
                        _ => json::write(&mut lines, &record, None),
                    }
                }
                lines
            });
            self.head();
            shares.iter().for_each(|lines| self.lines.buffer.extend_from_slice(lines));
        }
        self.waiting += records;
    }

    /// Writes the table that was gathered, for a terminal of that width if it is for one.
    pub(super) fn write_table(&mut self, terminal: Option<usize>) -> Result<(), Error> {
        let Self { lines, table, .. } = self;
        table.write(table.len(), terminal, lines)?;
        lines.write(0)
    }

    pub(super) fn head(&mut self) {
        if self.format == FlowFormat::Csv && !std::mem::replace(&mut self.headed, true) {
            csv::head(&mut self.lines.buffer);
        }
    }

    /// Many records wait to be written.
    pub(super) fn is_full(&self) -> bool {
        self.waiting >= BATCH
    }

    /// What went wrong since it was asked last.
    pub(super) fn failed(&mut self) -> Result<(), Error> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Writes many records that wait. Once that has failed no more are written, and none are kept.
    pub(super) fn write_many(&mut self, written: &mut Result<(), Error>) {
        if written.is_err() {
            self.lines.buffer.clear();
            self.waiting = 0;
        } else if self.is_full() {
            *written = self.write();
        }
    }

    pub(super) fn write(&mut self) -> Result<(), Error> {
        self.lines.write(std::mem::take(&mut self.waiting))
    }
}

/// What so many threads make of a range, each of a part of it; in order.
fn in_shares<T: Send>(
    range: Range<usize>,
    threads: usize,
    make: impl Fn(Range<usize>) -> T + Sync,
) -> Vec<T> {
    let share = range.len().div_ceil(threads).max(1);
    let mut shares = range.clone().step_by(share).map(|from| from..range.end.min(from + share));
    // The first is made here.
    let Some(first) = shares.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let make = &make;
        let others: Vec<_> = shares.map(|share| scope.spawn(move || make(share))).collect();
        let first = make(first);
        let others = others
            .into_iter()
            .map(|share| share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(first).chain(others).collect()
    })
}
