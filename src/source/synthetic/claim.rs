//! Frames that have been handed out, but whose records are yet to be written.

use crate::frame::{Record, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// So many frames from one on: all that their records are made of, so that whoever has it needs the generator no more.
#[derive(Debug)]
pub(in crate::source) struct Claim {
    /// Where the distinct frames lie.
    pub(super) table: Arc<[Record]>,
    pub(super) count: u32,
    /// Where in the table the first one stands.
    pub(super) place: usize,
    /// Its number.
    pub(super) number: u64,
    pub(super) time: Timestamp,
    /// From each to the next; at most a second.
    pub(super) step: Duration,
}

impl Claim {
    /// How many frames.
    pub(in crate::source) fn len(&self) -> usize {
        self.count as usize
    }

    /// Writes the records, behind those that are there.
    pub(in crate::source) fn write(self, records: &mut Vec<Record>) {
        let Self { table, count, place, number, mut time, step } = self;
        records.reserve(count as usize);
        let (before, from) = table.split_at(place);
        let again = from.iter().chain(before).cycle();
        for (number, record) in (number..).zip(again).take(count as usize) {
            records.push(Record { number, time: Some(time), ..*record });
            // As `Timestamp::plus`, of less than two seconds of nanoseconds.
            time = Timestamp::new(
                time.seconds.saturating_add(step.as_secs() as i64),
                time.nanos + step.subsec_nanos(),
            );
        }
    }
}
