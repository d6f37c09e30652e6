//! A part of a file, mapped to be read.
//!
//! What is read of a mapping costs no copy: it lies in the page cache. But the page cache is everybody's, and two things can
//! happen to it that cannot happen to memory a file was read into:
//!
//! - **The file is made shorter.** Pages beyond its new end are gone, and reading there raises `SIGBUS`, which ends a process.
//!   `bus_guard` has it read zeros instead, and the mapping says that it [is cut](FileMapping::is_cut).
//! - **Somebody writes to it in place.** Then bytes change between two readings of them, which Rust allows of no slice.
//!   [`is_written`] asks whether anybody could, before a mapping is made; nothing keeps others from it afterwards, this process
//!   included. So [`FileMapping::of`] is unsafe, and what is known of a file that capture files are mapped all the same stands at
//!   `FileMapping::of_unwritten`.

use super::bus_guard::{self, Guarded};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Mappings begin at multiples of this: of the largest page there is on a CPU that Linux runs on.
const ALIGNMENT: u64 = 64 << 10;

/// The signal number by which the owner of a lease is told (`fcntl(2)`, `F_SETSIG`): `asm-generic/fcntl.h`, Linux 6.1.
const F_SETSIG: libc::c_int = 10;

/// Bytes of a file, in memory for as long as this lives; unmapped when dropped.
#[derive(Debug)]
pub struct FileMapping {
    start: NonNull<u8>,
    /// Bytes mapped before the first that was asked for.
    lead: usize,
    /// Bytes asked for.
    length: usize,
    cut: Arc<AtomicBool>,
    /// Given back before the memory is.
    guarded: Option<Guarded>,
}

// SAFETY: it owns its range of addresses, which are valid in every thread, and shared access only reads there.
unsafe impl Send for FileMapping {}
// SAFETY: as above.
unsafe impl Sync for FileMapping {}

impl FileMapping {
    /// Maps this range of a file, of which all must be there. `cut` is set when some of it is found gone later; several mappings
    /// may share it.
    ///
    /// # Safety
    /// While the mapping lives nobody, in this process or another, changes these bytes of the file. (Should the file be made
    /// shorter all the same, the process lives on, see above.)
    ///
    /// ```compile_fail,E0133
    /// let file = std::fs::File::open("/proc/self/exe").unwrap();
    /// wharf::sys::file_mapping::FileMapping::of(&file, 0..1, Default::default());
    /// ```
    ///
    /// # Errors
    /// As `mmap(2)`; [`io::ErrorKind::QuotaExceeded`] when there are too many mappings to be guarded.
    pub unsafe fn of(file: &File, range: Range<u64>, cut: Arc<AtomicBool>) -> io::Result<Self> {
        let lead = range.start % ALIGNMENT;
        let number = |bytes: u64| usize::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput);
        let length = number(range.end.checked_sub(range.start).ok_or(io::ErrorKind::InvalidInput)?)?;
        let lead_length = number(lead)?;
        let whole = length.checked_add(lead_length).filter(|&whole| isize::try_from(whole).is_ok());
        let whole = whole.ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a null hint lets the kernel choose addresses that nothing else uses.
        let start = unsafe {
            mmap(ptr::null_mut(), whole, ProtFlags::READ, MapFlags::SHARED, file, range.start - lead)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut mapping = Self { start, lead: lead_length, length, cut, guarded: None };
        // From here on a failure unmaps.
        mapping.guarded = Some(bus_guard::guard(start.as_ptr().addr(), whole, &mapping.cut)?);
        // A hint, for reading in what is not in the page cache.
        // SAFETY: within the mapping just made; advice of this kind changes no contents.
        let _ = unsafe { madvise(start.as_ptr().cast(), whole, Advice::Sequential) };
        Ok(mapping)
    }

    /// As [`Self::of`], of a file that nobody has open for writing at this moment; `None` where somebody has, or the kernel does
    /// not tell.
    ///
    /// This is the one place where wharf does without a proof, as everything does that maps files and is fast: whoever may write
    /// to the file can open it afterwards and change it. Then two readings of a byte may differ. Readers within this crate look
    /// at a length once and then keep it, in the record of a frame or the offsets of a header, so that they find nonsense and no
    /// more. [`CaptureFile`](crate::source::CaptureFile), through which such bytes are come by, tells its users so, and
    /// how to have a file read instead.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn of_unwritten(
        file: &File,
        range: Range<u64>,
        cut: Arc<AtomicBool>,
    ) -> io::Result<Option<Self>> {
        // Where the kernel does not say who writes, somebody might.
        if is_written(file).unwrap_or(true) {
            return Ok(None);
        }
        // SAFETY: nobody has the file open for writing or mapped so, neither this process nor another. That nobody opens it so
        // and changes it while the mapping lives is not proven: it is asked of the user (above).
        unsafe { Self::of(file, range, cut) }.map(Some)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `lead + length` bytes are mapped and readable while `self` lives: pages of the file, or zeros where it has been
        // cut (`bus_guard`). Nobody writes by this mapping (`PROT_READ`), and that nobody changes the file is what the caller of
        // `of` has promised.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(self.lead), self.length) }
    }

    /// Has the page table filled for this part of the bytes, reading in what is not there: one call in place of a fault for every
    /// few pages.
    ///
    /// # Errors
    /// As `madvise(2)` for `MADV_POPULATE_READ`: the kernel is older than 5.14, or the pages cannot be had.
    ///
    /// # Panics
    /// When the range does not lie within the bytes.
    pub fn populate(&self, range: Range<usize>) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.length, "not within the mapping");
        let end = self.lead + range.end;
        // Whole pages: of the largest size a page of any size.
        let first = (self.lead + range.start) / ALIGNMENT as usize * ALIGNMENT as usize;
        // SAFETY: within the mapping, as asserted; this kind of advice only maps pages that a read would.
        let advised =
            unsafe { madvise(self.start.as_ptr().add(first).cast(), end - first, Advice::LinuxPopulateRead) };
        Ok(advised?)
    }

    /// Whether some of it, or of another with the same mark, was gone when it was read: zeros were read in its place.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        // Whoever has read zeros has taken the signal himself, or been handed what was read by one who has.
        self.cut.load(Ordering::Acquire)
    }
}

impl Drop for FileMapping {
    fn drop(&mut self) {
        // Before these addresses can be somebody else's.
        self.guarded = None;
        // SAFETY: the range came from mmap with this length and every borrow of it has ended. An error would mean that it was
        // not mapped, which `self` excludes.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.lead + self.length) };
    }
}

/// Whether anybody has a file open that was opened for writing, or has mapped it so: one who might write to it. Asked by way
/// of a lease (`fcntl(2)`, `F_SETLEASE`), which the kernel grants for reading only where nobody does; it is given back
/// at once.
///
/// # Errors
/// When the kernel does not tell: the file is somebody else's (and `CAP_LEASE` is missing), or on a file system without
/// leases (NFS, FUSE).
pub fn is_written(file: &File) -> io::Result<bool> {
    let control = |command: libc::c_int, argument: libc::c_int| {
        // SAFETY: a descriptor that is open while `file` is borrowed; these commands take a number.
        let done = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
        if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // Who opens the file for writing just now waits until the lease is back. We would be told so by a signal: by one
    // that is ignored unless asked for.
    control(F_SETSIG, libc::SIGURG)?;
    match control(libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => control(libc::F_SETLEASE, libc::F_UNLCK).map(|()| false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file_of(length: usize) -> tempfile::TempPath {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        file.into_temp_path()
    }

    fn mapping_of(file: &File, range: Range<u64>, cut: Arc<AtomicBool>) -> FileMapping {
        FileMapping::of_unwritten(file, range, cut).unwrap().expect("nobody writes")
    }

    #[test]
    fn the_bytes_are_those_of_the_range() {
        let path = file_of(300_000);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at / 1000) as u8);
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        for range in [0..300_000, 1..2, 65_535..65_537, 70_000..299_999, 5..5] {
            let mapping = mapping_of(&file, range.clone(), Arc::default());
            mapping.populate(0..mapping.bytes().len()).unwrap();
            assert!(mapping.bytes() == &bytes[range.start as usize..range.end as usize]);
            assert!(!mapping.is_cut());
        }
    }

    /// Without the guard this test ends the process.
    #[test]
    fn of_a_file_made_shorter_zeros_are_read() {
        let path = file_of(1 << 20);
        let file = File::open(&path).unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let mapping = mapping_of(&file, 100..1 << 20, Arc::clone(&cut));
        let other = mapping_of(&file, 0..10, Arc::default());
        mapping.populate(0..500_000).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(200_000).unwrap();
        assert!(mapping.bytes()[..199_900].iter().all(|&byte| byte == 7));
        assert!(!mapping.is_cut());
        // The rest of the last page is zeroed by the kernel, and read without a signal.
        assert!(mapping.bytes()[199_900..].iter().all(|&byte| byte == 0));
        assert!(mapping.is_cut() && cut.load(Ordering::Relaxed));
        assert!(!other.is_cut() && other.bytes() == [7; 10]);
        assert!(mapping.populate(800_000..900_000).is_ok(), "zeros are there");
        let again = mapping_of(&file, 0..1 << 20, Arc::default());
        assert!(again.populate(500_000..600_000).is_err(), "asked before, the kernel says so");
    }

    #[test]
    fn a_writer_is_seen() {
        let path = file_of(1);
        let file = File::open(&path).unwrap();
        let writer = File::options().append(true).open(&path).unwrap();
        assert!(is_written(&file).unwrap());
        assert!(FileMapping::of_unwritten(&file, 0..1, Arc::default()).unwrap().is_none());
        drop(writer);
        assert!(!is_written(&file).unwrap());
        let other = File::open(&path).unwrap();
        assert!(!is_written(&other).unwrap(), "readers do no harm");
    }
}
