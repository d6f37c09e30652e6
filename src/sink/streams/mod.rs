//! What each end of every TCP connection said, in a file of its own.

mod files;

use super::{Deliveries, Error, InterfaceStatistics, Sink};
use crate::flow::fragments::{self, Defragmenter, Outcome};
use crate::flow::reassembly::{self, Counters, Reassembler, Segment, Side, Slice, What};
use crate::flow::{FlowKey, FlowRecord};
use crate::frame::Timestamp;
use crate::parse::{IpLayer, Packet};
use files::{FileId, Files};
use std::collections::HashMap;
use std::path::Path;

/// Writes each direction of every TCP connection to a file, its bytes in order.
///
/// Files are named `tcp-SOURCE.PORT-DESTINATION.PORT`, those of further connections between the same ends `….1`, `….2` and so on,
/// and are made when their direction says something. What is missing is left out, and counted: [`StreamFiles::of`] tells
/// the names and the gaps of a flow. Order and bounds are those of [`reassembly`](crate::flow::reassembly).
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::sink::StreamFiles;
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let directory = tempfile::tempdir()?;
/// let mut streams = StreamFiles::create(directory.path())?;
/// Engine::builder().source(Synthetic::new(&Traffic { frames: 100, ..Traffic::default() })).rest(&mut streams).run()?;
/// assert!(streams.counters().segments > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StreamFiles {
    reassembler: Reassembler<FlowKey>,
    defragmenter: Option<Defragmenter>,
    shelf: Shelf,
}

/// What has come of the connections.
struct Shelf {
    files: Files,
    by_key: HashMap<FlowKey, Vec<Connection>>,
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
}

/// The files of a flow, in the order of its [`FlowRecord`]: of what the end that sent first has said, then of the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowStreams {
    /// Names within the directory; `None` of an end that said nothing.
    pub names: [Option<String>; 2],
    /// Bytes that are missing in each.
    pub gaps: [u64; 2],
}

impl StreamFiles {
    /// Files in a directory, which is created if need be. Those of the same names are written over.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn create(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let shelf =
            Shelf { files: Files::create(directory.as_ref())?, by_key: HashMap::new(), failure: None };
        Ok(Self { reassembler: Reassembler::new(reassembly::Options::default()), defragmenter: None, shelf })
    }

    /// How segments are put in order.
    #[must_use]
    pub fn options(self, options: reassembly::Options) -> Self {
        Self { reassembler: Reassembler::new(options), ..self }
    }

    /// Puts IP packets together from their fragments first; without it the first fragment counts as far as it goes.
    #[must_use]
    pub fn defragment(self, options: fragments::Options) -> Self {
        Self { defragmenter: Some(Defragmenter::new(options)), ..self }
    }

    /// What became of all segments.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.reassembler.counters()
    }

    /// The files of a flow. A flow that is told in several records has them in each; of several connections within one
    /// record they are those of the first. Gaps are complete once the run has ended.
    #[must_use]
    pub fn of(&self, record: &FlowRecord) -> FlowStreams {
        let connections = self.shelf.by_key.get(&record.key).map_or(&[][..], |connections| connections);
        let begins =
            |connection: &&Connection| connection.first >= record.first && connection.first <= record.last;
        let overlaps =
            |connection: &&Connection| connection.first <= record.last && connection.last >= record.first;
        let connection = connections.iter().find(begins).or_else(|| connections.iter().find(overlaps));
        let Some(Connection { names, gaps, .. }) = connection else { return FlowStreams::default() };
        let mut streams = FlowStreams { names: names.clone(), gaps: *gaps };
        if record.reversed {
            streams.names.reverse();
            streams.gaps.reverse();
        }
        streams
    }

    fn take(&mut self, packet: &Packet<'_>) {
        let time = packet.frame().record.time;
        let whole = match &mut self.defragmenter {
            Some(defragmenter) => defragmenter.packet(packet),
            None => Outcome::Whole,
        };
        match whole {
            Outcome::Kept => {}
            Outcome::Whole => {
                if let Some(keyed) = FlowKey::of(packet) {
                    self.segment(packet, keyed.ip, (keyed.key, keyed.reversed), time);
                }
            }
            Outcome::Complete(carried) => {
                let layers = carried.layers();
                let whole = Packet::new(carried.frame(), &layers);
                // On the VLANs and in the tunnel of its fragments.
                if let (Some(of), Some(in_)) = (FlowKey::of(&whole), FlowKey::of(packet)) {
                    self.segment(&whole, of.ip, (of.key.seen_as(&in_.key), of.reversed), time);
                }
            }
        }
    }

    fn segment(
        &mut self,
        packet: &Packet<'_>,
        ip: &IpLayer,
        (key, reversed): (FlowKey, bool),
        time: Option<Timestamp>,
    ) {
        let Some(segment) = Segment::of(packet, ip) else { return };
        let side = if reversed { Side::Second } else { Side::First };
        let shelf = &mut self.shelf;
        let number = self.reassembler.segment(&key, side, &segment, time, |slice| shelf.put(&slice));
        let connection = shelf.connection(&key, number);
        connection.first = connection.first.or(time);
        connection.last = time.or(connection.last);
    }
}

impl Shelf {
    /// A connection, put there if it is new.
    fn connection(&mut self, key: &FlowKey, number: u64) -> &mut Connection {
        let connections = self.by_key.entry(*key).or_default();
        let at = connections.iter().rposition(|connection| connection.number == number);
        let at = at.unwrap_or_else(|| {
            connections.push(Connection { number, ..Connection::default() });
            connections.len() - 1
        });
        &mut connections[at]
    }

    fn put(&mut self, slice: &Slice<'_, FlowKey>) {
        let (key, side) = (slice.key, slice.side.index());
        match slice.what {
            What::Missing(bytes) => self.connection(key, slice.connection).gaps[side] += bytes,
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

    fn keep(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }

    fn result(&mut self) -> Result<(), Error> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl Sink for StreamFiles {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        packets.iter().for_each(|delivery| self.take(&delivery.packet));
        self.shelf.result()
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.shelf.files.flush()
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        let shelf = &mut self.shelf;
        self.reassembler.finish(|slice| shelf.put(&slice));
        shelf.result()
    }
}
