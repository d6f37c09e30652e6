//! Reading a file by offset: any worker can fetch any piece of it.

use super::super::Chunk;
use super::mapped::{Mapped, Window};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes fetched beyond a piece: the rest of the record that begins at its end, as a rule.
pub(super) const BEYOND: usize = 2048;

/// A file, and where in it the capture begins.
#[derive(Clone, Debug)]
pub(super) struct Positioned {
    file: Arc<File>,
    /// Position of the file when it was handed to us: standard input may have been read before.
    origin: u64,
    /// The same bytes where the page cache has them, if they are read there.
    mapped: Option<Arc<Mapped>>,
}

impl Positioned {
    pub(super) fn new(mut file: File) -> io::Result<Self> {
        Ok(Self { origin: file.stream_position()?, file: Arc::new(file), mapped: None })
    }

    /// From here on the file, of which the capture is the whole, is mapped in such pieces, if that can be done.
    pub(super) fn map(&mut self, size: usize) {
        self.mapped = if self.origin == 0 { Mapped::new(&self.file, size) } else { None };
    }

    /// From here on it is not.
    pub(super) fn unmap(&mut self) {
        self.mapped = None;
    }

    pub(super) fn mapped(&self) -> Option<&Mapped> {
        self.mapped.as_deref()
    }

    /// Offset in the file of the capture's first byte.
    pub(super) fn origin(&self) -> u64 {
        self.origin
    }

    /// The bytes at the file's own position, which only this moves.
    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.file).read(into)
    }

    /// The bytes at an offset of the capture: all there is room for, unless the file ends before.
    pub(super) fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut length = 0;
        while length < into.len() {
            match self.file.read_at(&mut into[length..], self.origin + offset + length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What came before it counts; whoever reads on meets the error again.
                Err(_) if length > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }
}

/// A piece of a file, and where it is.
#[derive(Debug)]
pub(in super::super) struct Fetched {
    pub(super) piece: u64,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) enum Place {
    /// In a chunk's own memory, of which so many bytes are filled.
    Slab(usize),
    Window(Window),
}

/// Fetches the bytes of a file's chunks before it is their turn, on any number of threads at once.
///
/// A file is cut into pieces of equal length. What a piece holds is known only when the one before it has been walked, record by
/// record; but the bytes of all of them can be fetched at the same time. Pieces are numbered from the first that is still to come.
///
/// ```
/// use std::io::Write;
/// use wharf::source::{CaptureFile, Chunk, ChunkSource, Source};
///
/// // A pcap header and one empty packet.
/// let mut file = tempfile::NamedTempFile::new()?;
/// file.write_all(&[0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0, 0, 0])?;
/// file.write_all(&[0; 16])?;
///
/// let mut capture = CaptureFile::open(file.path())?;
/// let ahead = capture.ahead().expect("an ordinary file");
/// let mut chunk = Chunk::default();
/// ahead.fetch(ahead.claim(), &mut chunk); // on whatever thread
/// capture.fill_chunk(&mut chunk, u64::MAX)?; // by one at a time, in the order of the pieces
/// assert_eq!(chunk.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReadAhead {
    file: Positioned,
    /// Length of a piece in bytes.
    size: usize,
    first: u64,
    claimed: AtomicU64,
    /// How many take turns.
    readers: u64,
}

impl ReadAhead {
    /// Pieces of `size` bytes, the first of which is the one with this number in the file.
    pub(super) fn new(file: Positioned, size: usize, first: u64) -> Self {
        Self { file, size, first, claimed: AtomicU64::new(0), readers: 1 }
    }

    /// The same for so many (at least 1) who will take turns: a hint as to which piece comes next to each of them.
    #[must_use]
    pub fn among(self, readers: usize) -> Self {
        Self { readers: readers.max(1) as u64, ..self }
    }

    /// Gives out the next piece, to one thread only: its number, from 0.
    pub fn claim(&self) -> u64 {
        // Only the number itself is shared.
        self.claimed.fetch_add(1, Ordering::Relaxed)
    }

    /// Puts the bytes of a piece into `chunk`, in place of what is there. What cannot be read now is met again, and
    /// reported, when the chunk is filled.
    pub fn fetch(&self, piece: u64, chunk: &mut Chunk) {
        let mut memory = chunk.take_memory();
        let piece = self.first + piece;
        let window = self.file.mapped().and_then(|mapped| mapped.fetch(piece, self.readers));
        let place = window.map(Place::Window).unwrap_or_else(|| {
            let length = self.size + BEYOND;
            if memory.len() < length {
                memory.resize(length, 0);
            }
            let offset = piece * self.size as u64;
            Place::Slab(self.file.read_at(&mut memory[..length], offset).unwrap_or(0))
        });
        chunk.slab = memory;
        chunk.fetched = Some(Fetched { piece, place });
    }
}
