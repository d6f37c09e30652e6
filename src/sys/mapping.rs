//! Memory shared with the kernel.

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;
#[cfg(feature = "xdp")]
use std::sync::atomic::AtomicU64;

/// What pointer arithmetic may cross: `isize::MAX` bytes, which on 32 bits a mapping can exceed.
fn addressable(length: usize) -> io::Result<usize> {
    if isize::try_from(length).is_ok() { Ok(length) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// A readable and writable mapping, unmapped when dropped.
///
/// The kernel may write to any part of it at any time, so single words are seen as atomics only; a slice takes a proof that
/// nobody writes there (see [`super::block_ring`]).
///
/// Nobody outside `sys` has one, or can store through it into what somebody else has a slice of. Within, what is
/// read and written as words and what is lent out as slices lie apart: of the ring of a packet socket the status words of
/// blocks and the rest of them (`BlockRing`), of an `AF_XDP` socket the mappings of its rings (`xdp::ring`) and
/// that of the frames (`xdp::umem`, `xdp::sender`). And one memory has one mapping: no ring is mapped twice
/// (`BlockRing::of_socket`).
///
/// ```compile_fail,E0603
/// use wharf::sys::mapping::Mapping;
/// ```
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: `Mapping` owns its range of addresses, which are valid in every thread; shared access gives out
// atomics only (slices take an unsafe call whose caller answers for races).
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of what stands behind a file descriptor, shared.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub(crate) fn shared(file: impl AsFd, length: usize) -> io::Result<Self> {
        Self::shared_at(file, length, 0)
    }

    /// The same from an offset on, which may be a name for one of several things behind the descriptor.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub(crate) fn shared_at(file: impl AsFd, length: usize, offset: u64) -> io::Result<Self> {
        let length = addressable(length)?;
        // SAFETY: a null hint lets the kernel choose addresses that nothing else uses.
        let start = unsafe {
            mmap(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, offset)
        }?;
        Self::adopt(start, length)
    }

    /// Zeroed memory of this process alone: the in-memory twin of a shared mapping, for tests.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub(crate) fn anonymous(length: usize) -> io::Result<Self> {
        let length = addressable(length)?;
        // SAFETY: a null hint lets the kernel choose addresses that nothing else uses.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        Self::adopt(start, length)
    }

    fn adopt(start: *mut std::ffi::c_void, length: usize) -> io::Result<Self> {
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, length })
    }

    /// Where it begins, to tell the kernel.
    #[cfg(feature = "xdp")]
    pub(super) fn address(&self) -> u64 {
        self.start.as_ptr() as usize as u64
    }

    /// Bytes mapped.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The word at a byte offset.
    ///
    /// # Panics
    /// When it does not lie within the mapping or is not aligned to 4.
    #[must_use]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset.checked_add(4).is_some_and(|end| end <= self.length));
        // SAFETY: within the mapping and aligned (mappings start on a page), both just checked, at an offset that
        // `isize` holds (`addressable`); mapped for as long as `self` is borrowed. The kernel accesses these words
        // atomically, and no slice of ours has them in it (see the type).
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// `count` double words from a byte offset on.
    ///
    /// # Panics
    /// When they do not lie within the mapping or are not aligned to 8.
    #[cfg(feature = "xdp")]
    #[must_use]
    pub(crate) fn double_words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        let end = count.checked_mul(8).and_then(|bytes| offset.checked_add(bytes));
        assert!(offset.is_multiple_of(8) && end.is_some_and(|end| end <= self.length));
        // SAFETY: within the mapping and aligned (mappings start on a page), both just checked; mapped and initialised
        // for as long as `self` is borrowed. An atomic may be shared with who writes to it: the kernel's accesses to
        // double words are whole, and no slice of ours has them in it (see the type).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset).cast(), count) }
    }

    /// # Safety
    /// While the slice lives nobody, the kernel included, writes within `range`.
    ///
    /// # Panics
    /// When `range` does not lie within the mapping.
    #[must_use]
    pub(super) unsafe fn slice(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.length);
        // SAFETY: within the mapping (just checked), mapped while `self` is borrowed, initialised (the kernel
        // zeroes pages), and not written to, as the caller promises.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// # Safety
    /// While the slice lives nobody else, in this process or in the kernel, writes or reads within `range`.
    ///
    /// # Panics
    /// When `range` does not lie within the mapping.
    #[must_use]
    #[expect(clippy::mut_from_ref, reason = "who may write where is for the caller to prove")]
    pub(super) unsafe fn slice_mut(&self, range: Range<usize>) -> &mut [u8] {
        assert!(range.start <= range.end && range.end <= self.length);
        // SAFETY: as in `slice`; every other slice of this range is excluded by the caller. The pointer comes from
        // mmap, not from a shared reference, so writing through it is allowed.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(range.start), range.len()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range came from mmap with this length and every borrow of it has ended. An error would
        // mean that it was not mapped, which `self` excludes.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
