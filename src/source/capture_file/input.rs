//! Bytes of a capture file: from a file, a pipe or any reader, decompressed where they are compressed.

use super::read_ahead::Positioned;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, ErrorKind, Read};

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
    Gzip(Box<super::gzip::Decoder<Raw>>),
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
            (Handle::File(Positioned::new(file)?), Some(metadata.len()))
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
            Stream::Gzip(decoder) => decoder.get_ref().read,
            #[cfg(feature = "zstd")]
            Stream::Zstd(decoder) => decoder.get_ref().read,
            Stream::Moving => 0,
        }
    }

    /// True when damage of the bytes themselves can be the reason why a read fails.
    pub(super) fn is_compressed(&self) -> bool {
        !matches!(self.stream, Stream::Plain(_))
    }

    /// The file, where its bytes are those of the capture and can be read from any offset.
    pub(super) fn positioned(&self) -> Option<&Positioned> {
        match &self.stream {
            Stream::Plain(Raw { handle: Handle::File(file), .. }) => Some(file),
            _ => None,
        }
    }

    /// The same, to change how they are read.
    pub(super) fn positioned_mut(&mut self) -> Option<&mut Positioned> {
        match &mut self.stream {
            Stream::Plain(Raw { handle: Handle::File(file), .. }) => Some(file),
            _ => None,
        }
    }

    /// Decompresses from here on; `head` was read already and is read again, first.
    pub(super) fn decompress(&mut self, compression: Compression, head: &[u8]) {
        self.stream = match (std::mem::replace(&mut self.stream, Stream::Moving), compression) {
            (Stream::Plain(mut raw), Compression::Gzip) => {
                raw.put_back(head);
                Stream::Gzip(Box::new(super::gzip::Decoder::new(raw)))
            }
            #[cfg(feature = "zstd")]
            (Stream::Plain(mut raw), Compression::Zstd) => {
                raw.put_back(head);
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
    File(Positioned),
    /// A pipe, socket or terminal: may stay silent, and must not hold up an orderly end.
    Pipe(File),
    Reader(Box<dyn Read + Send>),
}

impl Raw {
    /// Makes the next reads give `head` again. Reading a file by offset has not moved its position.
    fn put_back(&mut self, head: &[u8]) {
        if !matches!(self.handle, Handle::File(_)) {
            self.head = head.to_vec();
        }
    }

    /// Never [`ErrorKind::WouldBlock`] from here on, for decoders that cannot resume after it.
    #[cfg(feature = "zstd")]
    fn wait_for_ever(&mut self) {
        if let Handle::Pipe(file) = &self.handle
            && let Ok(file) = file.try_clone()
        {
            self.handle = Handle::Reader(Box::new(file));
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
