//! What has come of the connections: their files, and what there is to tell of them.

use super::FlowStreams;
use super::files::{FileId, Files};
use crate::flow::reassembly::{Gap, Side, Slice, What};
use crate::flow::{FlowKey, FlowRecord};
use crate::frame::Timestamp;
use crate::sink::Error;
use std::collections::{HashMap, VecDeque};

/// What the name of a file for what came behind a gap ends in.
const BEHIND_GAP: &str = "unacknowledged";

/// The connections.
pub(super) struct Shelf {
    pub(super) files: Files,
    /// Those of a key in the order of their first packets.
    by_key: HashMap<FlowKey, VecDeque<Connection>>,
    /// The first file that could not be written.
    failure: Option<Error>,
}

/// One connection, by the sides of its key.
#[derive(Default)]
struct Connection {
    number: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    names: [Option<String>; 2],
    files: [Option<FileId>; 2],
    gaps: [u64; 2],
    /// What is said now goes to the file for what is behind a gap.
    behind_gap: [bool; 2],
    /// There is no more of it.
    ended: bool,
    /// A record that goes on until its last packet so far has been told of it.
    told: bool,
}

impl Connection {
    fn streams(&self, record: &FlowRecord) -> FlowStreams {
        let mut streams = FlowStreams { names: self.names.clone(), gaps: self.gaps };
        if record.reversed {
            streams.names.reverse();
            streams.gaps.reverse();
        }
        streams
    }

    fn begins_in(&self, record: &FlowRecord) -> bool {
        self.first >= record.first && self.first <= record.last
    }

    fn overlaps(&self, record: &FlowRecord) -> bool {
        self.first <= record.last && self.last >= record.first
    }
}

impl Shelf {
    pub(super) fn new(files: Files) -> Self {
        Self { files, by_key: HashMap::new(), failure: None }
    }

    /// The files of a flow: of its first connection that begins in the record, or else overlaps it.
    pub(super) fn of(&self, record: &FlowRecord) -> FlowStreams {
        let found = self.by_key.get(&record.key).and_then(|all| Some((all, find(all, record)?)));
        found.map_or_else(FlowStreams::default, |(all, at)| all[at].streams(record))
    }

    /// The same, of a record after which only later ones of the same flow will come: connections that have ended by then are
    /// forgotten, and others are when they end.
    pub(super) fn tell(&mut self, record: &FlowRecord) -> FlowStreams {
        let Some(all) = self.by_key.get_mut(&record.key) else { return FlowStreams::default() };
        let found = find(all, record);
        let streams = found.map_or_else(FlowStreams::default, |at| all[at].streams(record));
        // Those that may still go on stand at the end.
        if let Some(latest) = all.back_mut() {
            latest.told = latest.last <= record.last;
        }
        // Those before it, and itself: of several at one time the next record is the next one's.
        let before = found.map_or(0, |at| at + 1);
        let mut at = 0;
        while all.front().is_some_and(|front| {
            front.ended && (front.last < record.last || at < before && front.last <= record.last)
        }) {
            all.pop_front();
            at += 1;
        }
        if all.is_empty() {
            self.by_key.remove(&record.key);
        }
        streams
    }

    /// A connection has had a packet.
    pub(super) fn packet(&mut self, key: &FlowKey, number: u64, time: Option<Timestamp>) {
        let connection = self.connection(key, number);
        connection.first = connection.first.or(time);
        connection.last = time.or(connection.last);
        connection.told = false;
    }

    /// A connection, put there if it is new.
    fn connection(&mut self, key: &FlowKey, number: u64) -> &mut Connection {
        let connections = self.by_key.entry(*key).or_default();
        let at = connections.iter().rposition(|connection| connection.number == number);
        let at = at.unwrap_or_else(|| {
            connections.push_back(Connection { number, ..Connection::default() });
            connections.len() - 1
        });
        &mut connections[at]
    }

    /// Takes what is known of a stream.
    pub(super) fn put(&mut self, slice: &Slice<'_, FlowKey>) {
        let (key, side) = (slice.key, slice.side.index());
        match slice.what {
            What::Missing(bytes, gap) => {
                let connection = self.connection(key, slice.connection);
                connection.gaps[side] += bytes;
                if let (Gap::End, Some(name)) = (gap, &connection.names[side]) {
                    // What follows may never have been received.
                    let name = format!("{name}.{BEHIND_GAP}");
                    self.begin_another(slice, name);
                }
            }
            What::Data(bytes) => {
                let file = match self.connection(key, slice.connection).files[side] {
                    Some(file) => file,
                    None => self.begin(slice),
                };
                let result = self.files.append(file, bytes);
                self.keep(result);
            }
            What::End(_) => {
                if let Some(file) = self.connection(key, slice.connection).files[side].take() {
                    let result = self.files.close(file);
                    self.keep(result);
                }
                if slice.side == Side::Second {
                    self.end(key, slice.connection);
                }
            }
        }
    }

    /// There is no more of a connection, be it of either side.
    fn end(&mut self, key: &FlowKey, number: u64) {
        let connection = self.connection(key, number);
        connection.ended = true;
        if !connection.told {
            return;
        }
        if let Some(connections) = self.by_key.get_mut(key) {
            connections.retain(|connection| connection.number != number);
            if connections.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    fn begin(&mut self, slice: &Slice<'_, FlowKey>) -> FileId {
        let upper = slice.side == Side::Second;
        let ((source, from), (destination, to)) = (slice.key.end(upper), slice.key.end(!upper));
        let (file, name) = self.files.begin(format!("tcp-{source}.{from}-{destination}.{to}"));
        let connection = self.connection(slice.key, slice.connection);
        connection.names[slice.side.index()] = Some(name);
        connection.files[slice.side.index()] = Some(file);
        file
    }

    /// Has what follows go to another file, unless it does already.
    fn begin_another(&mut self, slice: &Slice<'_, FlowKey>, name: String) {
        let side = slice.side.index();
        let connection = self.connection(slice.key, slice.connection);
        if !std::mem::replace(&mut connection.behind_gap[side], true)
            && let Some(file) = connection.files[side].take()
        {
            let result = self.files.close(file);
            self.keep(result);
            let (file, _) = self.files.begin(name);
            self.connection(slice.key, slice.connection).files[side] = Some(file);
        }
    }

    fn keep(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }

    /// What could not be written since it was asked last.
    pub(super) fn result(&mut self) -> Result<(), Error> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Connections that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.values().map(VecDeque::len).sum()
    }
}

/// Which of the connections of a key a record is of. They are sought by time; one by one only where time has run back.
fn find(all: &VecDeque<Connection>, record: &FlowRecord) -> Option<usize> {
    let begun = all.partition_point(|connection| connection.first < record.first);
    let going_on = all.partition_point(|connection| connection.last < record.first);
    let at = |at: usize, is: fn(&Connection, &FlowRecord) -> bool| {
        all.get(at).filter(|connection| is(connection, record)).map(|_| at)
    };
    at(begun, Connection::begins_in)
        .or_else(|| at(going_on, Connection::overlaps))
        .or_else(|| all.iter().position(|connection| connection.begins_in(record)))
        .or_else(|| all.iter().position(|connection| connection.overlaps(record)))
}
