//! What one core can do at best with a capture file in page cache when every byte of every packet must be looked at, as whoever
//! verifies checksums must: from record to record, each frame summed, and nothing else.
//!
//! By either way to read: what is beyond these figures no program that does so can have.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use wharf::checksum::Sum;
use wharf::sys::file_mapping::FileMapping;

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// Bytes that are read, or put into the page table, at a time.
const PIECE: usize = 1 << 18;

/// Bytes mapped at a time: whole pieces.
const PART: usize = 16 << 20;

/// No record of an ordinary capture is longer.
const LONGEST: usize = 1 << 18;

/// How far ahead of the sum the lines of a mapping are asked for.
const AHEAD: usize = 2048;

/// What has been found so far.
#[derive(Default)]
struct Found {
    packets: u64,
    bytes: u64,
    sum: Sum,
}

impl Found {
    /// Takes the whole records from `at` on that begin before `stop`; gives where the next one begins.
    fn take(&mut self, bytes: &[u8], mut at: usize, stop: usize, ahead: usize) -> usize {
        while at < stop
            && let Some(header) = bytes.get(at..at + RECORD_HEADER)
        {
            let field = |at| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
            let end = at + RECORD_HEADER + field(8) as usize;
            let Some(frame) = bytes.get(at + RECORD_HEADER..end) else { break };
            if ahead > 0 {
                (at..end).step_by(64).for_each(|line| prefetch(bytes.as_ptr().wrapping_add(line + ahead)));
            }
            self.packets += 1;
            self.bytes += u64::from(field(12));
            self.sum = self.sum.add(frame);
            at = end;
        }
        at
    }

    fn answer(self) -> (u64, u64) {
        std::hint::black_box(self.sum);
        (self.packets, self.bytes)
    }
}

fn prefetch(address: *const u8) {
    // SAFETY: a hint, which no address can make fault.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// By large reads.
pub fn read(path: &Path) -> (u64, u64) {
    let mut file = File::open(path).expect("it was there");
    let mut memory = vec![0; PIECE + LONGEST];
    let (mut found, mut at, mut end) = (Found::default(), FILE_HEADER, 0);
    loop {
        let length = file.read(&mut memory[end..end + PIECE]).expect("it can be read");
        if length == 0 {
            return found.answer();
        }
        end += length;
        at = found.take(&memory[..end], at, end, 0);
        memory.copy_within(at..end, 0);
        (at, end) = (0, end - at);
    }
}

/// In a mapping, of which pages are put into the page table by the piece and lines are asked for ahead.
pub fn mapped(path: &Path) -> (u64, u64) {
    let file = File::open(path).expect("it was there");
    let length = file.metadata().expect("it is a file").len() as usize;
    let (mut found, mut at) = (Found::default(), FILE_HEADER);
    for start in (0..length).step_by(PART) {
        let end = (start + PART + LONGEST).min(length);
        // SAFETY: whoever measures leaves the file alone meanwhile.
        let mapping = unsafe { FileMapping::of(&file, start as u64..end as u64, Arc::default()) };
        let mapping = mapping.expect("it can be mapped");
        let bytes = mapping.bytes();
        for piece in (0..bytes.len().min(PART)).step_by(PIECE) {
            let stop = (piece + PIECE).min(bytes.len());
            mapping.populate(piece..stop).expect("it is in the page cache");
            at = start + found.take(bytes, at - start, stop, AHEAD);
        }
    }
    found.answer()
}
