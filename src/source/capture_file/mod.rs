//! Capture files as a source: pcap and pcapng, from a path, standard input or any reader.
//!
//! An ordinary file is read by offset, in pieces of equal length, or mapped, where nobody writes to it ([`mapped`]); of anything else,
//! large reads fill one piece of memory, and what is left of an unfinished record moves to the front before the next read.
//! Records are cut out of that memory where they lie: the usual ones by a walk in bulk, whatever else there is step by step. A pipe that is
//! still being written gives each packet as soon as it is there.

mod annotation;
mod buffer;
mod fill;
mod gzip;
mod input;
mod mapped;
mod not_a_capture;
mod options;
mod pcap;
mod pcapng;
mod read_ahead;
mod step;
mod time_scale;
#[cfg(feature = "zstd")]
mod zstd;

pub use read_ahead::ReadAhead;

pub(super) use mapped::Window;
pub(super) use read_ahead::Fetched;

use super::{BATCH, Error};
use crate::frame::{Annotation, Interface, Record};
use buffer::Buffer;
use input::{Compression, Input};
use mapped::Mapped;
use read_ahead::Positioned;
use rustix::fd::AsFd;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use step::{More, Step};

/// Size of the pooled reads: what is read is still in the second cache when it is parsed, also where several
/// workers have a few of them each (measured: perf/notes/capture_files.md). Memory grows beyond it only for a record that is larger.
const READ: usize = 1 << 18;

/// A pcap or pcapng file, possibly compressed, as a [`Source`](crate::source::Source).
///
/// Read are: pcap in both byte orders with micro- or nanoseconds and the modified variants; pcapng with
/// any number of sections, each in its own byte order, and interfaces, each with its own link type, snap
/// length and clock; either compressed with gzip (one member or more), or with zstd when the
/// crate's feature `zstd` is on.
///
/// Interfaces are numbered in order of appearance over all sections of the file.
///
/// A [path](CaptureFile::open) to an ordinary file of 1 MiB or more, not compressed, is mapped rather than read, if nobody has
/// it open for writing (the kernel says so of files of one's own, or with `CAP_LEASE`, on most local file systems). Several workers
/// read it all the same where its pages are slow to map, as of a file that was written in small pieces not long ago. Should the
/// file be made shorter meanwhile, the source ends with [`Error::Damaged`], as it would have if it had been so before; packets
/// that were handed out already and are still to be looked at may then be zeros. This takes a handler of `SIGBUS`, which
/// is installed with the first mapping and passes on what is not its own. Nobody may change bytes in place meanwhile, this program
/// itself included: slices of them are lent out, which are to stay as they are, and nothing keeps others from it once the
/// file is open. Where that cannot be promised, see [`CaptureFile::without_mapping`].
///
/// ```
/// use wharf::source::{CaptureFile, Fill, Source};
///
/// // A pcap header and one packet of four bytes.
/// let mut bytes = vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0, 0, 0];
/// bytes.extend([1, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 60, 0, 0, 0, 0xAA, 0xBB, 0xCC, 0xDD]);
///
/// let mut file = CaptureFile::from_reader(std::io::Cursor::new(bytes), "example");
/// let Fill::Batch(batch) = file.fill(256)? else { panic!("one packet is there") };
/// assert_eq!(batch.frame(0).data, [0xAA, 0xBB, 0xCC, 0xDD]);
/// assert_eq!(batch.frame(0).record.time.unwrap().to_string(), "1.000005000");
/// assert!(matches!(file.fill(256)?, Fill::End));
/// # Ok::<(), wharf::source::Error>(())
/// ```
pub struct CaptureFile {
    input: Input,
    buffer: Buffer,
    format: Format,
    interfaces: Vec<Interface>,
    records: Vec<Record>,
    annotations: Vec<Annotation>,
    /// Frames handed out.
    frames: u64,
    ended: bool,
}

/// How to read the unread bytes.
enum Format {
    /// The first bytes have not been seen yet.
    Unknown,
    Pcap(pcap::Pcap),
    PcapNg(pcapng::PcapNg),
}

impl CaptureFile {
    /// Opens a file. Of an ordinary file the header is read at once; a named pipe is left alone until
    /// the first [`Source::fill`](crate::source::Source::fill).
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be opened or read, [`Error::NotACapture`] when it is something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let name = path.as_ref().display().to_string();
        Self::of_file(File::open(path), name, READ, true)
    }

    /// Reads standard input, from where it is. Of an ordinary file the header is read at once, from a pipe nothing before
    /// the first [`Source::fill`](crate::source::Source::fill).
    ///
    /// # Errors
    /// [`Error::Io`] when there is no standard input, [`Error::NotACapture`] when it is an ordinary file and something else.
    pub fn stdin() -> Result<Self, Error> {
        let opened = std::io::stdin().as_fd().try_clone_to_owned();
        Self::of_file(opened.map(File::from), "standard input".to_owned(), READ, false)
    }

    /// Reads a file in pieces of `size` bytes, or maps it if it may.
    fn of_file(opened: io::Result<File>, name: String, size: usize, map: bool) -> Result<Self, Error> {
        let opened = opened.and_then(|file| Input::file(file, name.clone()));
        let mut file = Self::new(opened.map_err(|source| Error::Io { path: name, source })?, size);
        if let Some(positioned) = file.input.positioned_mut().filter(|_| map) {
            positioned.map(size);
        }
        if file.input.total.is_some() {
            file.read_header()?;
        }
        Ok(file)
    }

    /// Reads the file into memory of its own, and never maps it. `WHARF_MAP=off` in the environment does the same for all files.
    ///
    /// ```
    /// # let mut file = tempfile::NamedTempFile::new()?;
    /// # let header = [0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0, 0, 0];
    /// # std::io::Write::write_all(&mut file, &header)?;
    /// # let path = file.path();
    /// use wharf::source::CaptureFile;
    ///
    /// // Somebody else may write to it while it is read.
    /// let capture = CaptureFile::open(path)?.without_mapping();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn without_mapping(mut self) -> Self {
        if let Some(positioned) = self.input.positioned_mut() {
            positioned.unmap();
        }
        self.buffer.leave_window();
        self
    }

    /// Reads what `reader` gives; `name` stands for it in errors. A read that blocks blocks
    /// [`Source::fill`](crate::source::Source::fill), one that fails with [`ErrorKind::WouldBlock`] makes it
    /// [`Fill::Idle`](crate::source::Fill::Idle).
    pub fn from_reader(reader: impl Read + Send + 'static, name: impl Into<String>) -> Self {
        Self::new(Input::reader(Box::new(reader), name.into()), READ)
    }

    fn new(input: Input, size: usize) -> Self {
        Self {
            buffer: Buffer::new(size, input.positioned().is_some()),
            input,
            format: Format::Unknown,
            interfaces: Vec::new(),
            records: Vec::with_capacity(BATCH),
            annotations: Vec::new(),
            frames: 0,
            ended: false,
        }
    }

    /// Steps over the file header, so that a wrong one is an error of opening.
    fn read_header(&mut self) -> Result<(), Error> {
        while self.buffer.offset() == 0 {
            match self.step() {
                Step::Skip { length } => self.buffer.consume(length),
                Step::Need(bytes) => {
                    if self.read_more(bytes)? == More::End {
                        break;
                    }
                }
                Step::Damaged(reason) => return Err(self.damaged(reason)),
                Step::Packet { .. } | Step::Annotation { .. } => break,
            }
        }
        Ok(())
    }

    /// Looks at the front of the unread bytes.
    fn step(&mut self) -> Step {
        let bytes = self.buffer.unread();
        match &mut self.format {
            Format::Pcap(pcap) => pcap.step(bytes),
            Format::PcapNg(pcapng) => pcapng.step(bytes, &mut self.interfaces),
            Format::Unknown => self.recognise(),
        }
    }

    /// Decides by the first bytes what the file is.
    fn recognise(&mut self) -> Step {
        let bytes = self.buffer.unread();
        if bytes.len() < 4 {
            return Step::Need(4);
        }
        if !self.input.is_compressed()
            && let Some(compression) = Compression::of(bytes)
        {
            self.input.decompress(compression, bytes);
            self.buffer.clear();
            return Step::Need(4);
        }
        if pcapng::recognise(bytes) {
            self.format = Format::PcapNg(pcapng::PcapNg::new());
            return Step::Skip { length: 0 };
        }
        match pcap::open(bytes) {
            Ok(Some(opened)) => {
                self.interfaces.push(opened.interface);
                self.format = Format::Pcap(opened.format);
                Step::Skip { length: opened.length }
            }
            Ok(None) => Step::Damaged(not_a_capture::reason(bytes)),
            Err(step) => step,
        }
    }

    /// Reads on, because the record at the front needs `needed` bytes.
    fn read_more(&mut self, needed: usize) -> Result<More, Error> {
        match self.buffer.read_from(&mut self.input, needed) {
            Ok(0) if self.buffer.unread().is_empty() && self.buffer.offset() > 0 => {
                self.ended = true;
                Ok(More::End)
            }
            Ok(0) => {
                let found = self.buffer.unread().len();
                Err(self.damaged(format!("the file ends here, with {found} of {needed} bytes")))
            }
            Ok(_) => Ok(More::Bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(More::Silence),
            Err(error) if self.input.is_compressed() && error.raw_os_error().is_none() => {
                let reason = match error.kind() {
                    ErrorKind::UnexpectedEof => "the compressed data ends early".to_owned(),
                    _ => format!("the compressed data is damaged: {error}"),
                };
                Err(self.damaged(reason))
            }
            Err(source) => {
                self.ended = true;
                Err(Error::Io { path: self.input.name.clone(), source })
            }
        }
    }

    /// Ends the source. Damage of the very beginning means that this is no capture file.
    fn damaged(&mut self, reason: String) -> Error {
        self.ended = true;
        let (path, offset) = (self.input.name.clone(), self.buffer.offset());
        if offset > 0 {
            return Error::Damaged { path, offset, frames: self.frames, reason };
        }
        let reason = if self.buffer.unread().is_empty() && !self.input.is_compressed() {
            "the file is empty".to_owned()
        } else {
            format!("not a capture file that can be read: {reason}")
        };
        Error::NotACapture { path, reason }
    }

    /// Whether all that was handed out of a mapping was there. `self` is at its end if not.
    fn check_mapping(&mut self, (offset, frames): (u64, u64)) -> Result<(), Error> {
        let mapped = self.input.positioned().and_then(Positioned::mapped);
        if !mapped.is_some_and(Mapped::is_cut) {
            return Ok(());
        }
        self.ended = true;
        self.frames = frames;
        let reason =
            "the file was made shorter while it was read; packets before this may have been read as zeros";
        Err(Error::Damaged { path: self.input.name.clone(), offset, frames, reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests;
