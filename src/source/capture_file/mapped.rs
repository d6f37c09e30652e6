//! Reading a file where the page cache has it: windows of mappings, one a piece.
//!
//! Bytes that are copied out of the page cache come from memory while the copy waits for them, and only then begins the work on
//! them. Of a mapping the next piece is asked for while this one is worked on (see [`Batch::followed`]), so that memory and
//! the processor are busy at the same time (measured: perf/notes/capture_files.md).
//!
//! [`Batch::followed`]: crate::frame::Batch::followed

use super::read_ahead::BEYOND;
use crate::sys::file_mapping::{FileMapping, is_written};
use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Environment variable that switches mapping off for the process: `WHARF_MAP=off`.
const ENVIRONMENT: &str = "WHARF_MAP";

/// Pieces that are mapped together: 16 MiB. Unmapping them one by one would interrupt every other CPU each time; a large file
/// mapped whole would keep page tables for all of it, and leave all the unmapping to one thread at the end.
const PIECES: u64 = 64;

/// Pieces that a file has at least which is mapped.
const FEWEST: u64 = 4;

/// Time to put 4 KiB into the page table beyond which they lie in a folio of a page or two: some 120 ns, against 10 in large
/// folios. One reader is still faster so than by reading; several hold each other up in the kernel, and read (measured:
/// perf/notes/capture_files.md).
const SLOW: Duration = Duration::from_nanos(50);

/// After so many slow pieces in a row several readers read. One may be slow by chance.
const IN_A_ROW: u32 = 4;

/// A file that is mapped, part by part. Files of which that cannot be done well are none: those that somebody may write to, and
/// short ones.
#[derive(Debug)]
pub(super) struct Mapped {
    file: Arc<File>,
    /// Length of the file when it was opened. What it has grown by since is not mapped.
    length: u64,
    /// Length of a piece in bytes.
    size: u64,
    /// The parts in use, by number; the last two at most. Frames keep those they lie in.
    sections: Mutex<Vec<(u64, Arc<FileMapping>)>>,
    /// Some of it was gone when it was read.
    cut: Arc<AtomicBool>,
    /// The kernel would not, or it is slow: from here on the file is read.
    refused: AtomicBool,
    /// Slow pieces in a row, while there are several readers.
    slow: AtomicU32,
}

impl Mapped {
    /// The file, of such pieces; `None` if it is better read.
    pub(super) fn new(file: &Arc<File>, size: usize) -> Option<Arc<Self>> {
        let size = size as u64;
        let length = file.metadata().ok()?.len();
        let wanted = length >= FEWEST * size && std::env::var_os(ENVIRONMENT).is_none_or(|set| set != "off");
        // Where the kernel does not say who writes, somebody might.
        if !wanted || is_written(file).unwrap_or(true) {
            return None;
        }
        let (file, sections) = (Arc::clone(file), Mutex::default());
        Some(Arc::new(Self {
            file,
            length,
            size,
            sections,
            cut: Arc::default(),
            refused: false.into(),
            slow: 0.into(),
        }))
    }

    /// A piece and what may belong to it, for one of so many readers who take turns: the piece that it will be this reader's turn
    /// to take next is made ready to be asked for. `None` where that is not mapped.
    pub(super) fn fetch(&self, piece: u64, readers: u64) -> Option<Window> {
        let mapping = self.section(piece / PIECES)?;
        let number = piece % PIECES;
        let start = (number * self.size) as usize;
        let mut window = Window { mapping, bytes: start..start, ahead: 0 };
        window = window.extended(self.size as usize + BEYOND)?;
        let whole = window.mapping.bytes().len();
        let populate = |number: u64| {
            let start = (number * self.size) as usize;
            let end = start + self.size as usize;
            (end <= whole).then(|| {
                let begun = Instant::now();
                let populated = window.mapping.populate(start..end);
                self.judge(begun.elapsed(), readers);
                populated
            })
        };
        // The first ones were nobody's next.
        let own = if number < readers { populate(number).transpose() } else { Ok(None) };
        match own.and_then(|_| populate(number + readers).transpose()) {
            Ok(next) => {
                let distance = readers * self.size;
                window.ahead = if next.is_some() { u32::try_from(distance).unwrap_or(0) } else { 0 };
                Some(window)
            }
            Err(_) => {
                // A read will say what is the matter, if anything is.
                self.refused.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// Learns how long it took to put a piece into the page table.
    fn judge(&self, took: Duration, readers: u64) {
        let most = SLOW * u32::try_from(self.size >> 12).unwrap_or(u32::MAX);
        if readers < 2 || took <= most {
            return self.slow.store(0, Ordering::Relaxed);
        }
        // Two who count at the same time may be off by one, which does no harm.
        if self.slow.fetch_add(1, Ordering::Relaxed) + 1 >= IN_A_ROW {
            self.refused.store(true, Ordering::Relaxed);
        }
    }

    /// Whether zeros have been read in place of what was there.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    fn section(&self, number: u64) -> Option<Arc<FileMapping>> {
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        let mut sections = self.sections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, mapping)) = sections.iter().find(|(known, _)| *known == number) {
            return Some(Arc::clone(mapping));
        }
        let start = number.checked_mul(PIECES * self.size)?;
        // The last piece, what may belong to it, and a record of ordinary length that begins in it.
        let end = (start + (PIECES + 2) * self.size + BEYOND as u64).min(self.length);
        if start >= end {
            return None;
        }
        // Somebody may have come since.
        let mapping = FileMapping::of_unwritten(&self.file, start..end, Arc::clone(&self.cut));
        let Some(mapping) = mapping.ok().flatten().map(Arc::new) else {
            self.refused.store(true, Ordering::Relaxed);
            return None;
        };
        // Of two who read in turns one may still be in the part before.
        let done = (sections.len() > 1).then(|| sections.remove(0));
        sections.push((number, Arc::clone(&mapping)));
        // Unmapped, which takes a while, only when nobody waits for it.
        drop(sections);
        drop(done);
        Some(mapping)
    }
}

/// Bytes of a mapping, which lives as long as they are read.
#[derive(Clone, Debug)]
pub(in super::super) struct Window {
    mapping: Arc<FileMapping>,
    bytes: Range<usize>,
    /// How far behind each byte lies what its reader will read next; 0 where that is not mapped.
    ahead: u32,
}

impl Window {
    pub(in super::super) fn bytes(&self) -> &[u8] {
        &self.mapping.bytes()[self.bytes.clone()]
    }

    pub(in super::super) fn ahead(&self) -> u32 {
        self.ahead
    }

    /// The same, of this length, if so much is mapped.
    pub(super) fn extended(&self, length: usize) -> Option<Self> {
        let end = self.bytes.start.checked_add(length)?;
        (end <= self.mapping.bytes().len()).then(|| Self { bytes: self.bytes.start..end, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn several_readers_leave_a_mapping_that_is_slow_and_one_does_not() {
        let size = 1 << 16;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; 6 * size]).unwrap();
        let file = file.into_temp_path();
        let slow = SLOW * (size >> 12) as u32 * 2;
        for (readers, times, stays) in [(1, 100, true), (2, IN_A_ROW - 1, true), (2, IN_A_ROW, false)] {
            let mapped = Mapped::new(&Arc::new(File::open(&file).unwrap()), size).unwrap();
            let window = mapped.fetch(0, 1).expect("mapped");
            for _ in 0..2 {
                (0..times).for_each(|_| mapped.judge(slow, readers));
                mapped.judge(Duration::ZERO, readers);
            }
            assert_eq!(mapped.fetch(1, 1).is_some(), stays, "{readers} readers, {times} times");
            assert!(window.bytes() == vec![7; size + BEYOND]);
        }
    }
}
