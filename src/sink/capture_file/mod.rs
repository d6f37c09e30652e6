//! Capture files as a sink: pcapng and pcap, plain or gzip-compressed, rotated if wanted.
//!
//! Packets of a batch are encoded into one buffer, which is written when it is full; nothing is allocated
//! for a single packet.

mod blocks;
mod destination;
mod options;
mod output;
mod pcap;
mod pcapng;
mod queue;
mod rotate;

pub use options::{CaptureFileOptions, CaptureFormat, PcapPrecision};
pub use rotate::Rotation;

use super::{Deliveries, Error, InterfaceStatistics, Sink, Strain};
use crate::frame::pcapng::block;
use crate::frame::{Annotation, Frame, Interface, LinkType, Timestamp};
use destination::Destination;
use output::Output;
use queue::Queue;
use rotate::Names;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Writes packets to a capture file, or one after another: a [`Sink`].
///
/// A pcapng copy mirrors its source: the same sections, the same interface numbers, every packet option
/// (comments, hashes, drop counts, queues), `epb_flags` from direction and checksum state, secrets and names.
/// The statistics of each interface stand at the end.
///
/// ```
/// use wharf::frame::{Frame, Interface, LinkType};
/// use wharf::sink::{CaptureFileWriter, Sink};
///
/// let directory = tempfile::tempdir()?;
/// let interfaces = [Interface { link_type: LinkType::ETHERNET, ..Interface::default() }];
/// let mut writer = CaptureFileWriter::create(directory.path().join("one.pcapng"))?;
/// writer.write_frame(&Frame::new(LinkType::ETHERNET, &[0; 60]), &interfaces)?;
/// writer.finish(&[])?;
/// assert_eq!(writer.packets(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CaptureFileWriter {
    options: CaptureFileOptions,
    /// What was asked for, to judge the format by.
    path: PathBuf,
    /// `None` where there is no name to give.
    names: Option<Names>,
    current: Option<Current>,
    /// The thread that writes, where one was asked for.
    queue: Option<Queue>,
    /// When the first of the packets came that are still buffered, where that matters.
    waiting_since: Option<Instant>,
    /// Packets lost since the last that was written.
    lost: u64,
    /// Annotations for the files to come: each needs the secrets and names met so far.
    carried: Vec<Annotation>,
    /// Packets in the files before the current one.
    packets: u64,
    files: u64,
}

/// The file being written.
struct Current {
    output: Output,
    encoder: Encoder,
    packets: u64,
    /// Time of its first packet.
    started: Option<Timestamp>,
}

enum Encoder {
    Pcap(pcap::Pcap),
    PcapNg(Box<pcapng::PcapNg>),
}

impl CaptureFileWriter {
    /// Creates a file with default options: the format by its name, everything kept, no rotation.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().create(path)
    }

    /// Options to change before the file is created.
    #[must_use]
    pub fn options() -> CaptureFileOptions {
        CaptureFileOptions::default()
    }

    fn new(options: CaptureFileOptions, path: &Path, names: Option<Names>) -> Self {
        let queue = (options.queue > 0).then(|| Queue::new(options.queue, options.buffer));
        Self {
            options,
            path: path.to_owned(),
            names,
            current: None,
            queue,
            waiting_since: None,
            lost: 0,
            carried: Vec::new(),
            packets: 0,
            files: 0,
        }
    }

    /// Packets written, over all files, those still buffered included. After a failure, those that are left: a
    /// compressed file that failed may hold fewer, as what its compressor still had is lost.
    #[must_use]
    pub fn packets(&self) -> u64 {
        if let Some(queue) = self.queue.as_ref().filter(|queue| queue.has_failed()) {
            return queue.kept();
        }
        self.packets + self.current.as_ref().map_or(0, |current| current.output.packets())
    }

    /// Files begun.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Bytes of the current file before compression, those still buffered included.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.output.length())
    }

    /// Writes one packet. `interfaces` are all that its source has met.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub fn write_frame(&mut self, frame: &Frame<'_>, interfaces: &[Interface]) -> Result<(), Error> {
        self.learn(interfaces);
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.is_full(&self.options.rotation, frame.record.time))
        {
            self.close(&[])?;
        }
        if self.current.is_none() {
            self.open(frame.record.time)?;
        }
        let Some(current) = &mut self.current else { return Err(Error::Closed) };
        let result = current.write_frame(frame, std::mem::take(&mut self.lost), interfaces);
        // After a packet that does not fit the format, what came before is still to be completed.
        if matches!(&result, Err(error) if !matches!(error, Error::Format { .. })) {
            self.abandon();
        }
        result
    }

    /// So many packets more were lost before the next, which will say so where the format can.
    pub(super) fn lose(&mut self, packets: u64) {
        self.lost += packets;
    }

    /// Leaves the current file as it is.
    fn abandon(&mut self) {
        self.packets = self.packets();
        self.current = None;
    }

    /// Remembers the interfaces for the end, where they are not given.
    fn learn(&mut self, interfaces: &[Interface]) {
        let known = self.options.interfaces.len();
        if let Some(new @ [_, ..]) = interfaces.get(known..) {
            self.options.interfaces.extend_from_slice(new);
        }
    }

    /// Opens the next file.
    fn open(&mut self, time: Option<Timestamp>) -> Result<(), Error> {
        let Some(names) = &mut self.names else {
            // Standard output after an error.
            return Err(Error::Closed);
        };
        let path = names.next(time)?;
        let manner = self.options.manner(&self.path);
        let spared = &self.options.spared;
        let output = match &self.queue {
            Some(queue) if self.files > 0 => {
                Output::in_turn(queue.clone(), &path, manner, spared.as_slice().into())?
            }
            // The first one now: whether it can be written is known before anything is captured.
            _ => {
                let destination = Destination::create(&path, manner, spared)?;
                if destination.is_in_memory() {
                    // There is no disk to wait for, and a thread more would not be for nothing.
                    self.queue = None;
                }
                self.output(destination)
            }
        };
        self.current = Some(self.begin(output));
        Ok(())
    }

    fn output(&self, destination: Destination) -> Output {
        let manner = self.options.manner(&self.path);
        match &self.queue {
            Some(queue) => Output::queued(queue.clone(), destination, manner),
            None => Output::direct(destination, manner),
        }
    }

    fn begin(&mut self, output: Output) -> Current {
        let options = &self.options;
        let encoder = match options.format_of(&self.path) {
            CaptureFormat::Pcap => Encoder::Pcap(pcap::Pcap::new(options.precision, options.snap_length)),
            CaptureFormat::PcapNg => {
                let mut encoder = pcapng::PcapNg::new(options.snap_length, options.comment.clone());
                self.carried.iter().for_each(|annotation| encoder.annotate(annotation));
                Encoder::PcapNg(Box::new(encoder))
            }
        };
        self.carried.retain(|annotation| matches!(annotation.kind, block::SECRETS | block::NAMES));
        self.files += 1;
        Current { output, encoder, packets: 0, started: None }
    }

    /// Completes the current file.
    fn close(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        let result = match &mut self.current {
            Some(current) => current.close(&self.options.interfaces, statistics),
            None => Ok(()),
        };
        self.abandon();
        result
    }

    /// Sees to it that no packet waits in the buffer for longer than it may.
    fn limit_wait(&mut self) -> Result<(), Error> {
        let (Some(most), Some(current)) = (self.options.hold_at_most, &self.current) else { return Ok(()) };
        if current.output.buffer.is_empty() {
            self.waiting_since = None;
            return Ok(());
        }
        let now = Instant::now();
        if now.duration_since(*self.waiting_since.get_or_insert(now)) < most {
            return Ok(());
        }
        self.flush()
    }

    /// Closes the file for a while, everything written; the next packet opens it again.
    pub(super) fn suspend(&mut self) -> Result<(), Error> {
        match &mut self.current {
            Some(current) => current.output.suspend(),
            None => Ok(()),
        }
    }
}

impl Current {
    fn is_full(&self, rotation: &Rotation, time: Option<Timestamp>) -> bool {
        let old = |seconds: u64| match (self.started, time) {
            (Some(started), Some(time)) => {
                i128::from(time.nanos_since(started)) >= i128::from(seconds) * 1_000_000_000
            }
            _ => false,
        };
        rotation.bytes.is_some_and(|bytes| self.packets > 0 && self.output.length() > bytes)
            || rotation.packets.is_some_and(|packets| self.packets >= packets.max(1))
            || rotation.seconds.is_some_and(old)
    }

    fn write_frame(&mut self, frame: &Frame<'_>, lost: u64, interfaces: &[Interface]) -> Result<(), Error> {
        let out = &mut self.output.buffer;
        let result = match &mut self.encoder {
            Encoder::PcapNg(encoder) => encoder.frame(frame, lost, interfaces, out),
            // Which has no place for it.
            Encoder::Pcap(encoder) => encoder.frame(frame, interfaces, out),
        };
        result.map_err(|reason| Error::Format { path: self.output.name().to_owned(), reason })?;
        self.started = self.started.or(frame.record.time);
        self.packets += 1;
        self.output.take()
    }

    /// The headers, if nothing has been written yet.
    fn begin(&mut self, interfaces: &[Interface]) {
        let out = &mut self.output.buffer;
        match &mut self.encoder {
            Encoder::PcapNg(encoder) => encoder.begin(interfaces, out),
            Encoder::Pcap(encoder) => {
                let unknown = Interface { link_type: LinkType::ETHERNET, ..Interface::default() };
                encoder.begin(interfaces.first().unwrap_or(&unknown), out);
            }
        }
    }

    fn close(&mut self, interfaces: &[Interface], statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        self.begin(interfaces);
        if let Encoder::PcapNg(encoder) = &mut self.encoder {
            encoder.finish(interfaces, statistics, &mut self.output.buffer);
        }
        self.output.close()
    }
}

impl Sink for CaptureFileWriter {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        self.learn(packets.interfaces());
        self.lose(packets.lost());
        for (accepted, packet) in packets.briefs().enumerate() {
            let frame = packets.frame(packet);
            match self.write_frame(&frame, packets.interfaces()) {
                Err(Error::Complete { .. }) => return Err(Error::Complete { accepted }),
                result => result?,
            }
        }
        if self.options.packet_buffered { self.flush() } else { self.limit_wait() }
    }

    fn wants_layers(&self) -> bool {
        false
    }

    /// Only a file in memory is written to at once.
    fn may_wait(&self) -> bool {
        !self.current.as_ref().is_some_and(|current| current.output.is_at_once())
    }

    fn annotate(&mut self, annotation: &Annotation) -> Result<(), Error> {
        if let Some(Current { encoder: Encoder::PcapNg(encoder), .. }) = &mut self.current {
            encoder.annotate(annotation);
        }
        let later =
            self.options.rotation.is_set() && matches!(annotation.kind, block::SECRETS | block::NAMES);
        if later || self.current.is_none() {
            self.carried.push(annotation.clone());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.waiting_since = None;
        let Some(current) = &mut self.current else { return Ok(()) };
        if !self.options.interfaces.is_empty() {
            current.begin(&self.options.interfaces);
        }
        let result = current.output.flush();
        if result.is_err() {
            self.abandon();
        }
        result
    }

    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        let closed = self.close(statistics);
        let written = self.queue.as_ref().map_or(Ok(()), Queue::finish);
        closed.and(written)
    }

    fn strain(&self) -> Option<Strain> {
        self.queue.as_ref().map(Queue::strain)
    }

    /// A file that a rotation has overwritten since was kept as long as it should be.
    fn kept(&self) -> Option<u64> {
        Some(self.packets())
    }
}

/// The first `limit` bytes; all for 0.
fn snap(data: &[u8], limit: u32) -> &[u8] {
    match limit {
        0 => data,
        limit => &data[..data.len().min(limit as usize)],
    }
}

/// The stricter of two snap lengths, 0 being none.
fn smaller_limit(one: u32, other: u32) -> u32 {
    match (one, other) {
        (0, limit) | (limit, 0) => limit,
        (one, other) => one.min(other),
    }
}
