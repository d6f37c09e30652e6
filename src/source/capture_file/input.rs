//! Bytes of a capture file: from a file, a pipe or any reader, decompressed where they are compressed.

use flate2::bufread::MultiGzDecoder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};

/// How long a read from a pipe waits before it says [`ErrorKind::WouldBlock`].
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A compression, known by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// The compression a file with these first bytes has, if it is one that is read.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            #[cfg(feature = "zstd")]
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A source of bytes that knows its name and how far it is.
pub(super) struct Input {
    pub(super) name: String,
    /// Length of the file, where it is one.
    pub(super) total: Option<u64>,
    stream: Stream,
}

enum Stream {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<super::zstd::Decoder<Raw>>),
    /// Only while one is turned into another.
    Moving,
}

impl Input {
    pub(super) fn file(file: File, name: String) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let (handle, total) = if metadata.is_file() {
            (Handle::File(file), Some(metadata.len()))
        } else {
            (Handle::Pipe(file), None)
        };
        Ok(Self { name, total, stream: Stream::Plain(Raw { handle, head: Vec::new(), at: 0, read: 0 }) })
    }

    pub(super) fn reader(reader: Box<dyn Read + Send>, name: String) -> Self {
        let raw = Raw { handle: Handle::Reader(reader), head: Vec::new(), at: 0, read: 0 };
        Self { name, total: None, stream: Stream::Plain(raw) }
    }

    /// Bytes taken from the file so far, compressed where it is.
    pub(super) fn consumed(&self) -> u64 {
        match &self.stream {
            Stream::Plain(raw) => raw.read,
            Stream::Gzip(decoder) => decoder.get_ref().get_ref().read,
            #[cfg(feature = "zstd")]
            Stream::Zstd(decoder) => decoder.get_ref().read,
            Stream::Moving => 0,
        }
    }

    /// True when damage of the bytes themselves can be the reason why a read fails.
    pub(super) fn is_compressed(&self) -> bool {
        !matches!(self.stream, Stream::Plain(_))
    }

    /// Decompresses from here on; `head` was read already and is read again, first.
    pub(super) fn decompress(&mut self, compression: Compression, head: &[u8]) {
        self.stream = match (std::mem::replace(&mut self.stream, Stream::Moving), compression) {
            (Stream::Plain(mut raw), Compression::Gzip) => {
                raw.head = head.to_vec();
                Stream::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, raw))))
            }
            #[cfg(feature = "zstd")]
            (Stream::Plain(mut raw), Compression::Zstd) => {
                raw.head = head.to_vec();
                raw.wait_for_ever();
                Stream::Zstd(Box::new(super::zstd::Decoder::new(raw)))
            }
            (stream, _) => stream,
        };
    }

    /// At least one byte, 0 at the end, or [`ErrorKind::WouldBlock`] when a pipe stays silent.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match &mut self.stream {
                Stream::Plain(raw) => raw.read(into),
                Stream::Gzip(decoder) => decoder.read(into),
                #[cfg(feature = "zstd")]
                Stream::Zstd(decoder) => decoder.read(into),
                Stream::Moving => Ok(0),
            };
            match result {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// The file as it is, with bytes that were read ahead put back in front.
pub(super) struct Raw {
    handle: Handle,
    head: Vec<u8>,
    at: usize,
    read: u64,
}

enum Handle {
    File(File),
    /// A pipe, socket or terminal: may stay silent, and must not hold up an orderly end.
    Pipe(File),
    Reader(Box<dyn Read + Send>),
}

impl Raw {
    /// Never [`ErrorKind::WouldBlock`] from here on, for decoders that cannot resume after it.
    #[cfg(feature = "zstd")]
    fn wait_for_ever(&mut self) {
        if let Handle::Pipe(file) = &self.handle
            && let Ok(file) = file.try_clone()
        {
            self.handle = Handle::File(file);
        }
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let ahead = self.head.get(self.at..).unwrap_or_default();
        if !ahead.is_empty() {
            let length = ahead.len().min(into.len());
            into[..length].copy_from_slice(&ahead[..length]);
            self.at += length;
            return Ok(length);
        }
        let length = match &mut self.handle {
            Handle::File(file) => file.read(into),
            Handle::Pipe(file) => {
                // An interrupted wait counts as silence: the engine looks for ^C between two fills.
                match poll(&mut [PollFd::new(&*file, PollFlags::IN)], Some(&PATIENCE)) {
                    Ok(0) | Err(rustix::io::Errno::INTR) => return Err(ErrorKind::WouldBlock.into()),
                    Ok(_) => file.read(into),
                    Err(error) => Err(error.into()),
                }
            }
            Handle::Reader(reader) => reader.read(into),
        }?;
        self.read += length as u64;
        Ok(length)
    }
}

/// Bytes read and not yet handed out, in one piece of memory.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the file of `bytes[0]`.
    base: u64,
}

impl Buffer {
    pub(super) fn new(size: usize) -> Self {
        Self { bytes: vec![0; size], start: 0, end: 0, base: 0 }
    }

    /// All memory; records count their offsets from its first byte.
    pub(super) fn slab(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// What has been read and not consumed.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where the unread bytes begin in the slab.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Where the unread bytes begin in the (uncompressed) file.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    pub(super) fn consume(&mut self, length: usize) {
        self.start += length;
    }

    /// Forgets everything: the bytes will come again, decompressed.
    pub(super) fn clear(&mut self) {
        (self.start, self.end, self.base) = (0, 0, 0);
    }

    /// Gives the memory away, the consumed bytes in it, and goes on in `memory` with the unread ones.
    pub(super) fn exchange(&mut self, memory: &mut Vec<u8>) {
        memory.resize(self.bytes.len(), 0);
        let unread = self.unread();
        memory[..unread.len()].copy_from_slice(unread);
        std::mem::swap(&mut self.bytes, memory);
        self.base += self.start as u64;
        self.end -= self.start;
        self.start = 0;
    }

    /// Reads once. What is unread moves to the front; the memory grows only when it is full, twofold, so that
    /// a length field alone never makes it large.
    pub(super) fn read_from(&mut self, input: &mut Input) -> io::Result<usize> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        let length = input.read(&mut self.bytes[self.end..])?;
        self.end += length;
        Ok(length)
    }
}
