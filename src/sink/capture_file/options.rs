//! How to write a capture file: format, precision, limits.

use super::destination::{Destination, FileId, Manner};
use super::rotate::{Names, Rotation};
use super::{CaptureFileWriter, pcap, pcapng};
use crate::frame::Interface;
use crate::sink::Error;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// The format of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureFormat {
    /// One link type, times and lengths, nothing else. Every tool reads it.
    Pcap,
    /// Interfaces, directions, checksum state, comments, statistics; nanoseconds.
    PcapNg,
}

impl CaptureFormat {
    /// The format a file of this name has: pcap for `.pcap`, `.cap` and `.dmp` (a `.gz` behind it does not
    /// count), pcapng for all others.
    ///
    /// ```
    /// use wharf::sink::CaptureFormat;
    /// assert_eq!(CaptureFormat::of("a/b.pcap.gz"), CaptureFormat::Pcap);
    /// assert_eq!(CaptureFormat::of("trace"), CaptureFormat::PcapNg);
    /// ```
    #[must_use]
    pub fn of(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let path = if is_gzip(path) { path.with_extension("") } else { path.to_owned() };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pcap" | "cap" | "dmp") => Self::Pcap,
            _ => Self::PcapNg,
        }
    }
}

fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// How fine the times in a pcap file are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PcapPrecision {
    /// Magic `a1b23c4d`: read by libpcap since 1.5 (2013), tcpdump and Wireshark.
    #[default]
    Nanos,
    /// Magic `a1b2c3d4`: read by everything; what is finer is cut off.
    Micros,
}

/// How to write a capture file; made by [`CaptureFileWriter::options`].
#[derive(Clone, Debug)]
pub struct CaptureFileOptions {
    pub(super) format: Option<CaptureFormat>,
    pub(super) precision: PcapPrecision,
    pub(super) snap_length: u32,
    pub(in crate::sink) packet_buffered: bool,
    pub(super) comment: Option<String>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) rotation: Rotation,
    pub(super) spared: Vec<FileId>,
    pub(super) buffer: usize,
    pub(super) queue: usize,
    pub(super) allocate: u64,
    pub(in crate::sink) hold_at_most: Option<Duration>,
    live: bool,
}

/// The format by the file's name, everything kept, no rotation.
impl Default for CaptureFileOptions {
    fn default() -> Self {
        Self {
            format: None,
            precision: PcapPrecision::default(),
            snap_length: 0,
            packet_buffered: false,
            comment: None,
            interfaces: Vec::new(),
            rotation: Rotation::default(),
            spared: Vec::new(),
            buffer: BUFFER,
            queue: 0,
            allocate: 0,
            hold_at_most: None,
            live: false,
        }
    }
}

impl CaptureFileOptions {
    /// The format, whatever the file is called.
    #[must_use]
    pub fn format(self, format: CaptureFormat) -> Self {
        Self { format: Some(format), ..self }
    }

    /// How fine the times of a pcap file are; pcapng always has nanoseconds.
    #[must_use]
    pub fn precision(self, precision: PcapPrecision) -> Self {
        Self { precision, ..self }
    }

    /// Keep at most this many bytes of each packet; 0, the default, for all.
    #[must_use]
    pub fn snap_length(self, bytes: u32) -> Self {
        Self { snap_length: bytes, ..self }
    }

    /// Write out every batch at once instead of whenever the buffer is full.
    #[must_use]
    pub fn packet_buffered(self, yes: bool) -> Self {
        Self { packet_buffered: yes, ..self }
    }

    /// A comment in the section header of a pcapng file; pcap has no place for it.
    #[must_use]
    pub fn comment(self, comment: impl Into<String>) -> Self {
        Self { comment: Some(comment.into()), ..self }
    }

    /// The interfaces known so far, so that a file without packets describes them too.
    #[must_use]
    pub fn interfaces(self, interfaces: &[Interface]) -> Self {
        Self { interfaces: interfaces.to_vec(), ..self }
    }

    /// When to begin a new file.
    #[must_use]
    pub fn rotation(self, rotation: Rotation) -> Self {
        Self { rotation, ..self }
    }

    /// A file that is not to be written to, by whatever name a rotation or a template comes upon it: the one
    /// being read, or another output's. Counts for regular files that exist by now.
    #[must_use]
    pub fn spare(mut self, path: impl AsRef<Path>) -> Self {
        self.spared.extend(std::fs::metadata(path).ok().and_then(|metadata| FileId::of(&metadata)));
        self
    }

    /// Without a thread for each file: there may be many.
    pub(in crate::sink) fn unqueued(self) -> Self {
        Self { queue: 0, allocate: 0, ..self }
    }

    /// Write on a thread of its own, with up to so many bytes waiting for it: a disk that stands still for a while then holds up
    /// nobody. 0, the default, writes on the caller's thread; so is a file in memory (tmpfs)
    /// written in any case.
    ///
    /// What a write failed with is told by one of the next calls, by [`Sink::finish`](crate::sink::Sink::finish) at the
    /// latest. How well the queue sufficed, [`Sink::strain`](crate::sink::Sink::strain) says.
    #[must_use]
    pub fn queue(self, bytes: usize) -> Self {
        Self { queue: bytes, ..self }
    }

    /// Ask the file system for room in steps of so many bytes, ahead of what is written; what was not needed goes back
    /// when the file is closed. 0, the default, asks for none. It is not done in memory (tmpfs), and no more in a file
    /// for which the system has once refused.
    #[must_use]
    pub fn allocate(self, bytes: u64) -> Self {
        Self { allocate: bytes, ..self }
    }

    /// Keep a packet buffered no longer than this, as long as others come: what is idle is
    /// [flushed](crate::sink::Sink::flush) anyway. Without a call it waits until the buffer is full.
    #[must_use]
    pub fn hold_at_most(self, time: Duration) -> Self {
        Self { hold_at_most: Some(time), ..self }
    }

    /// Bytes gathered before they are written.
    pub(in crate::sink) fn buffer(self, bytes: usize) -> Self {
        Self { buffer: bytes, ..self }
    }

    /// Packets will come about now: where the directory depends on their time, [`Self::create`] looks for the one of now.
    #[must_use]
    pub fn live(self, yes: bool) -> Self {
        Self { live: yes, ..self }
    }

    /// Creates the file, or truncates it; `-` is standard output. With a rotation by time, the first
    /// file is created for the first packet, whose time is in its name; that there is a directory for it, and that
    /// this process may write to it, is looked at now.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created or is [spared](Self::spare), [`Error::Format`] for a rotation
    /// of standard output.
    pub fn create(self, path: impl AsRef<Path>) -> Result<CaptureFileWriter, Error> {
        let path = path.as_ref();
        if path.as_os_str() == "-" {
            let manner = self.manner(path);
            return self.writing_to("standard output", || Destination::stdout(manner));
        }
        let names = Names::new(path, self.rotation);
        names.check(self.live)?;
        let mut writer = CaptureFileWriter::new(self, path, Some(names));
        if writer.names.as_ref().is_some_and(|names| !names.needs_time()) {
            writer.open(None)?;
        }
        Ok(writer)
    }

    /// Writes to `writer`, which is called `name` in errors.
    ///
    /// # Errors
    /// [`Error::Format`] for a rotation: there are no names to give.
    pub fn write_to(
        self,
        writer: impl Write + Send + 'static,
        name: &str,
    ) -> Result<CaptureFileWriter, Error> {
        let manner = self.manner(Path::new(""));
        self.writing_to(name, || Ok(Destination::writer(Box::new(writer), name.to_owned(), manner)))
    }

    fn writing_to(
        self,
        name: &str,
        destination: impl FnOnce() -> Result<Destination, Error>,
    ) -> Result<CaptureFileWriter, Error> {
        if self.rotation.is_set() {
            let reason = "cannot be rotated: give a file name".to_owned();
            return Err(Error::Format { path: name.to_owned(), reason });
        }
        let mut writer = CaptureFileWriter::new(self, Path::new(name), None);
        let output = writer.output(destination()?);
        writer.current = Some(writer.begin(output));
        Ok(writer)
    }

    pub(super) fn format_of(&self, path: &Path) -> CaptureFormat {
        self.format.unwrap_or_else(|| CaptureFormat::of(path))
    }

    pub(super) fn manner(&self, path: &Path) -> Manner {
        let whole: fn(&[u8], bool) -> (usize, u64) = match self.format_of(path) {
            CaptureFormat::Pcap => pcap::whole,
            CaptureFormat::PcapNg => |bytes, _| pcapng::whole(bytes),
        };
        // No more than a file can come to have.
        let allocate = self.rotation.bytes.map_or(self.allocate, |bytes| self.allocate.min(bytes));
        Manner { gzip: is_gzip(path), buffer: self.buffer, allocate, whole }
    }
}
