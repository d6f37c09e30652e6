//! Bytes of a capture file that have been read and are being walked, in one piece of memory.

use super::super::Lease;
use super::input::Input;
use super::mapped::Window;
use super::read_ahead::{BEYOND, Fetched, Place, Positioned};
use std::io;
use std::ops::Range;

/// Bytes read and not yet handed out.
///
/// A stream is read on where it is, and what is unread moves to the front first. A file that can be read by offset comes in
/// pieces instead, the same ones whoever fetches them: records belong to the piece in which they begin. A piece is read into
/// memory, or it is a window of a mapping.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Where the bytes are if not there.
    window: Option<Window>,
    start: usize,
    end: usize,
    /// Offset in the file of the first byte.
    base: u64,
    /// Length of a piece, and of the memory of a stream at first.
    size: usize,
    /// Where the next piece begins; a stream is one endless piece.
    stop: usize,
}

impl Buffer {
    pub(super) fn new(size: usize, in_pieces: bool) -> Self {
        let stop = if in_pieces { size } else { usize::MAX };
        Self { bytes: Vec::new(), window: None, start: 0, end: 0, base: 0, size, stop }
    }

    /// All memory; records count their offsets from its first byte.
    pub(super) fn slab(&self) -> &[u8] {
        let bytes = self.window.as_ref().map_or(&self.bytes[..], Window::bytes);
        &bytes[..self.end]
    }

    /// How far behind each of these bytes lies what will be read after them; 0 where that is not known.
    pub(super) fn ahead(&self) -> u32 {
        self.window.as_ref().map_or(0, Window::ahead)
    }

    /// Where in the slab records of this piece may begin.
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.stop
    }

    /// What has been read and not consumed; nothing once the next record belongs to another piece.
    pub(super) fn unread(&self) -> &[u8] {
        if self.start < self.stop { &self.slab()[self.start..] } else { &[] }
    }

    /// Where the unread bytes begin in the slab.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Where the unread bytes begin in the (uncompressed) file.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Up to where the (uncompressed) file has been read.
    pub(super) fn end_offset(&self) -> u64 {
        self.base + self.end as u64
    }

    /// Length of a piece in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The piece in which the next record begins; `None` for a stream.
    pub(super) fn piece(&self) -> Option<u64> {
        (self.stop != usize::MAX).then(|| self.offset() / self.size as u64)
    }

    /// The next record belongs to a piece that has not been turned to.
    pub(super) fn is_done(&self) -> bool {
        self.start >= self.stop
    }

    pub(super) fn consume(&mut self, length: usize) {
        self.start += length;
    }

    /// Forgets everything: the bytes will come again, decompressed, as a stream.
    pub(super) fn clear(&mut self) {
        self.window = None;
        (self.start, self.end, self.base, self.stop) = (0, 0, 0, usize::MAX);
    }

    /// Leaves the window: what is unread is to be read again.
    pub(super) fn leave_window(&mut self) {
        if self.window.take().is_some() {
            self.end = self.start;
            self.reach_start();
        }
    }

    /// Goes on in what was fetched, which is the piece where the next record begins. If it was fetched into `memory`, that then
    /// holds what was here.
    pub(super) fn take_fetched(&mut self, memory: &mut Vec<u8>, fetched: Fetched) {
        self.turn_to(fetched.piece);
        let length = match fetched.place {
            Place::Window(window) => self.window.insert(window).bytes().len(),
            Place::Slab(length) => {
                std::mem::swap(&mut self.bytes, memory);
                length
            }
        };
        self.end = self.start.max(length);
    }

    /// Gives the memory away, the consumed bytes in it, and goes on in `memory`; or a lease of it, if that is where they are.
    pub(super) fn exchange(&mut self, memory: &mut Vec<u8>) -> Option<Lease> {
        if let Some(window) = &self.window {
            return Some(Lease::of_window(window.clone()));
        }
        if let Some(piece) = self.piece() {
            // What is left of the piece, if anything, is read again.
            self.turn_to(piece);
            if memory.len() < self.size + BEYOND {
                memory.resize(self.size + BEYOND, 0);
            }
        } else {
            memory.resize(self.bytes.len(), 0);
            let unread = self.unread();
            memory[..unread.len()].copy_from_slice(unread);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        std::mem::swap(&mut self.bytes, memory);
        None
    }

    /// Reads on, because the next record needs `needed` bytes; 0 at the end of the file. Memory grows no more than
    /// twofold at a time, so that a length field alone never makes it large.
    pub(super) fn read_from(&mut self, input: &mut Input, needed: usize) -> io::Result<usize> {
        let length = match (self.piece(), input.positioned()) {
            (Some(piece), Some(file)) => {
                if self.is_done() {
                    self.turn_to(piece);
                }
                return self.read_piece(file, piece, needed);
            }
            _ => {
                self.bytes.copy_within(self.start..self.end, 0);
                self.base += self.start as u64;
                self.end -= self.start;
                self.start = 0;
                if self.end == self.bytes.len() {
                    self.bytes.resize(self.size.max(self.bytes.len() * 2), 0);
                }
                input.read(&mut self.bytes[self.end..])?
            }
        };
        self.end += length;
        Ok(length)
    }

    /// The same of a file that is read by offset.
    fn read_piece(&mut self, file: &Positioned, piece: u64, needed: usize) -> io::Result<usize> {
        let (whole, before) = (self.size + BEYOND, self.end);
        let windowed = self.window.is_some();
        let window = match &self.window {
            // What a record lacks at the end.
            Some(window) => window.extended(self.start + needed),
            // Nobody has fetched it.
            None => file.mapped().and_then(|mapped| mapped.fetch(piece, 1)),
        };
        if let Some(window) = window.filter(|window| window.bytes().len() > before) {
            self.end = window.bytes().len();
            self.window = Some(window);
            return Ok(self.end - before);
        }
        // In place of a window the piece is read whole: its records lie where they lay.
        let from = if windowed { 0 } else { before };
        let end = whole.max(self.start + needed).max(before + 1);
        let end = if windowed { end } else { end.min(whole.max(self.bytes.len() * 2)) };
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let length = from + file.read_at(&mut self.bytes[from..end], self.base + from as u64)?;
        if length > before {
            (self.end, self.window) = (length, None);
        }
        Ok(length.saturating_sub(before))
    }

    /// To the piece where the next record begins, of which nothing is here yet.
    fn turn_to(&mut self, piece: u64) {
        self.window = None;
        let offset = self.offset();
        self.base = piece * self.size as u64;
        self.start = (offset - self.base) as usize;
        self.end = self.start;
        self.reach_start();
    }

    /// There is memory up to where the unread bytes begin, whatever may be in it.
    fn reach_start(&mut self) {
        if self.bytes.len() < self.start {
            self.bytes.resize(self.size + BEYOND, 0);
        }
    }
}
