//! Memory that the kernel writes an answer to, whose length it alone decides.
//!
//! Some answers are as long as the driver has counters at that moment, whatever the asker has made room for. So the
//! room ends in a page that cannot be accessed, and the kernel is refused what would not fit.

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::io;
use std::ptr::{self, NonNull};

/// Bytes of an answer: some 23,000 counters with their names. A multiple of every page size Linux has; pages that are
/// not written cost nothing.
pub(super) const ROOM: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Room(NonNull<u8>);

impl Room {
    /// Zeroed.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a null hint lets the kernel choose addresses that nothing else uses.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), 2 * ROOM, ProtFlags::empty(), MapFlags::PRIVATE) }?;
        let room = Self(NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?);
        // SAFETY: the first half of the mapping just made, which nobody has a reference to. The other half stays
        // inaccessible.
        unsafe { mprotect(start, ROOM, MprotectFlags::READ | MprotectFlags::WRITE) }?;
        Ok(room)
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_ptr()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: ROOM readable bytes, initialised by the kernel to zeroes, mapped until `self` is dropped; they are
        // written through `&mut self` only.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), ROOM) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, writable too, and `&mut self` excludes every other borrow.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), ROOM) }
    }

    /// The number at a place, counted in words of 32 bits; 0 beyond the end.
    pub(super) fn word(&self, place: usize) -> u32 {
        let bytes = self.bytes().get(place * 4..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    /// The same of 64 bits, at a word's place.
    pub(super) fn long(&self, place: usize) -> u64 {
        let bytes = self.bytes().get(place * 4..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }

    /// Writes the number at a place, within the room.
    pub(super) fn put(&mut self, place: usize, word: u32) {
        if let Some(bytes) = self.bytes_mut().get_mut(place * 4..).and_then(<[u8]>::first_chunk_mut) {
            *bytes = word.to_ne_bytes();
        }
    }

    /// Text in so many bytes from an offset on, up to its 0.
    pub(super) fn text(&self, offset: usize, length: usize) -> String {
        let bytes = self.bytes().get(offset..offset + length).unwrap_or_default();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, which nobody borrows any more. There is nothing to do where that fails.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), 2 * ROOM) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_the_kernel_refuses() {
        let mut room = Room::new().unwrap();
        room.put(3, 0x6f6c_6c65);
        assert_eq!((room.word(3), room.long(3), room.text(12, 8).len()), (0x6f6c_6c65, 0x6f6c_6c65, 4));
        assert_eq!((room.word(ROOM), room.long(ROOM / 4 - 1)), (0, 0), "beyond the end");
        room.put(ROOM / 4, 1);
        // The kernel as writer: more bytes than there is room for.
        let (reader, writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut &writer, &[7; 64]).unwrap();
        let beyond = room.as_mut_ptr().wrapping_add(ROOM - 32);
        // SAFETY: a read(2) into memory of ours that ends 32 bytes on: what lies behind is refused, which is the test.
        let read = unsafe { libc::read(std::os::fd::AsRawFd::as_raw_fd(&reader), beyond.cast(), 64) };
        assert!(read <= 32, "{read}");
    }
}
