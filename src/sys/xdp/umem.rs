//! The memory that received frames lie in: whose each chunk of it is, and who may read it how long.
//!
//! ```text
//!           give                    receive              release
//! free --------------> kernel's --------------> held --------------> free
//!  ^                                             | lease
//!  |            the last reader leaves           v
//!  +------------------------------------------ leased
//! ```
//!
//! A chunk is the kernel's from when its address is put into the fill ring until its frame is taken out of the rx ring;
//! in between the kernel, and no other, may write to it at any time. Frames are read in runs of chunks side by side,
//! so that a run is one slice, none of which is the kernel's. To make runs long, chunks are given to the kernel in
//! ascending order, and it fills them in the order it got them.
//!
//! Leases come back from any thread: their last reader sets the run's bits in a table of the returned, which the owner
//! collects when it next gives chunks out. There is no order among them.

use crate::sys::mapping::Mapping;
use crate::sys::readers::Readers;
use crossbeam::utils::CachePadded;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Chunks in a word of a table.
const WORD: usize = u64::BITS as usize;

/// What is wrong with an entry of the rx ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage(pub &'static str);

/// Where a received frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// In the run held, so many bytes from its start.
    At(u32),
    /// Not beside the run held: it is to be received once that has been given up.
    Elsewhere,
}

/// Chunks, of which at most one run is held at a time, and any number leased out.
#[derive(Debug)]
pub(super) struct Umem {
    shared: Arc<Shared>,
    /// A bit for each chunk that is free.
    free: Box<[u64]>,
    free_count: usize,
    /// Chunks leased and not collected since: some may have come back.
    lent: usize,
    /// A bit for each chunk that is the kernel's.
    kernels: Box<[u64]>,
    /// The chunks held.
    held: Range<usize>,
    /// The word of `free` to give from next.
    cursor: usize,
}

/// What the UMEM and its leases share. It is unmapped when all of them have gone.
struct Shared {
    mapping: Mapping,
    /// Bytes of a chunk: a power of two.
    chunk: usize,
    /// By the first chunk of a leased run.
    readers: Box<[Readers]>,
    /// A bit for each chunk that has come back from a lease.
    returned: Box<[AtomicU64]>,
    /// Chunks leased out.
    leased: CachePadded<AtomicUsize>,
}

/// The right to read a run of chunks wherever the lease goes, beyond the socket's own life too. Dropping it is the
/// return: they may be given to the kernel again once the last lease of them has gone.
pub struct Lease {
    shared: Arc<Shared>,
    run: Range<usize>,
}

impl Lease {
    /// The run.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: this lease is a reader of the run, so its chunks have not come back and are not given to the kernel,
        // the only one who writes to them (module text), while `self` is borrowed.
        unsafe { self.shared.mapping.slice(self.shared.bytes_of(&self.run)) }
    }

    /// A lease of the same run for one reader more.
    #[must_use]
    pub fn share(&self) -> Self {
        self.shared.readers[self.run.start].share();
        Self { shared: Arc::clone(&self.shared), run: self.run.clone() }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // In this order: whoever sees the bits has seen the count of readers settled, and may begin anew.
        if self.shared.readers[self.run.start].leave(|| ()) {
            for (word, bits) in words(&self.run) {
                // Release: the readers' accesses, which `leave` has made come before, come before those of whoever
                // finds the bits.
                self.shared.returned[word].fetch_or(bits, Ordering::Release);
            }
            // Relaxed: a rough count is enough for who asks.
            self.shared.leased.fetch_sub(self.run.len(), Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("chunks", &self.run).finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("chunk", &self.chunk)
            .field("chunks", &self.readers.len())
            .field("leased", &self.leased)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn bytes_of(&self, run: &Range<usize>) -> Range<usize> {
        run.start * self.chunk..run.end * self.chunk
    }
}

/// The words of a table that a run covers, with its bits in each.
fn words(run: &Range<usize>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let Range { start, end } = *run;
    (start / WORD..end.div_ceil(WORD)).map(move |word| {
        let (from, to) = (start.max(word * WORD) % WORD, end.min((word + 1) * WORD) - word * WORD);
        (word, u64::MAX >> (WORD - (to - from)) << from)
    })
}

impl Umem {
    /// `chunks`, rounded up to 64, of `chunk` bytes each: a power of two.
    ///
    /// # Errors
    /// `InvalidInput` for another size; as `mmap(2)`.
    pub(super) fn new(chunk: usize, chunks: usize) -> io::Result<Self> {
        let chunks = chunks.max(1).checked_next_multiple_of(WORD).ok_or(io::ErrorKind::InvalidInput)?;
        let length = chunk.checked_mul(chunks).filter(|length| u32::try_from(*length).is_ok());
        let length = length.filter(|_| chunk.is_power_of_two()).ok_or(io::ErrorKind::InvalidInput)?;
        let shared = Shared {
            mapping: Mapping::anonymous(length)?,
            chunk,
            readers: (0..chunks).map(|_| Readers::none()).collect(),
            returned: (0..chunks / WORD).map(|_| AtomicU64::new(0)).collect(),
            leased: CachePadded::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            free: vec![u64::MAX; chunks / WORD].into(),
            free_count: chunks,
            lent: 0,
            kernels: vec![0; chunks / WORD].into(),
            held: 0..0,
            cursor: 0,
        })
    }

    /// Its memory, to be registered with a socket.
    pub(super) fn mapping(&self) -> &Mapping {
        &self.shared.mapping
    }

    /// Bytes of a chunk.
    #[must_use]
    pub(super) fn chunk(&self) -> usize {
        self.shared.chunk
    }

    /// Chunks in all.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.shared.readers.len()
    }

    /// Chunks leased out: that many at most, as some may be coming back.
    #[must_use]
    pub(super) fn leased(&self) -> usize {
        self.shared.leased.load(Ordering::Relaxed)
    }

    /// Whether there may be chunks to [collect](Self::collect).
    pub(super) fn is_lent(&self) -> bool {
        self.lent > 0
    }

    /// Chunks that are free, those not counted that were not collected yet.
    pub(super) fn free(&self) -> usize {
        self.free_count
    }

    /// Takes over what has come back from leases.
    pub(super) fn collect(&mut self) {
        if self.lent == 0 {
            return;
        }
        for (returned, free) in self.shared.returned.iter().zip(&mut self.free) {
            if returned.load(Ordering::Relaxed) != 0 {
                // Acquire: pairs with `Lease::drop`; what was read there was read before the kernel writes again.
                let bits = returned.swap(0, Ordering::Acquire);
                debug_assert_eq!(*free & bits, 0, "a chunk came back twice");
                *free |= bits;
                self.free_count += bits.count_ones() as usize;
                self.lent -= bits.count_ones() as usize;
            }
        }
    }

    /// Gives the kernel up to `most` free chunks: each address goes to `each`, which puts it into the fill ring.
    pub(super) fn give(&mut self, most: usize, mut each: impl FnMut(u64)) -> usize {
        let wanted = most.min(self.free_count);
        let mut left = wanted;
        while left > 0 {
            let free = self.free[self.cursor];
            let mut rest = free;
            while rest != 0 && left > 0 {
                let chunk = self.cursor * WORD + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                each((chunk * self.shared.chunk) as u64);
                left -= 1;
            }
            self.free[self.cursor] = rest;
            self.kernels[self.cursor] |= free ^ rest;
            if rest == 0 {
                self.cursor = (self.cursor + 1) % self.free.len();
            }
        }
        self.free_count -= wanted;
        wanted
    }

    /// Takes over a chunk in which the kernel has put a frame, as an entry of the rx ring says.
    ///
    /// # Errors
    /// [`Damage`] where the entry names what the kernel has not been given.
    #[inline]
    pub(super) fn receive(&mut self, address: u64, length: u32) -> Result<Received, Damage> {
        let chunk = usize::try_from(address).unwrap_or(usize::MAX) / self.shared.chunk;
        let within = address as usize % self.shared.chunk;
        let bit = 1 << (chunk % WORD);
        let word = self.kernels.get_mut(chunk / WORD).ok_or(Damage("a frame beyond the memory"))?;
        if *word & bit == 0 {
            return Err(Damage("a frame in memory that is not the kernel's"));
        }
        if within + length as usize > self.shared.chunk {
            return Err(Damage("a frame beyond its chunk"));
        }
        if self.held.is_empty() {
            self.held = chunk..chunk;
        } else if chunk != self.held.end {
            return Ok(Received::Elsewhere);
        }
        *word ^= bit;
        self.held.end = chunk + 1;
        // Below 4 GiB, as the whole memory is.
        Ok(Received::At(((chunk - self.held.start) * self.shared.chunk + within) as u32))
    }

    /// The run held; empty when there is none.
    #[must_use]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: chunks of the run held are not the kernel's: `receive` found that it had been given them, and the rx
        // ring, after an Acquire, that it is done with them; nothing gives them again before `release` or a lease's
        // end, and `release` and `lease` take `&mut self` and so outlast this borrow. Nobody of ours writes.
        unsafe { self.shared.mapping.slice(self.shared.bytes_of(&self.held)) }
    }

    /// Gives the run up.
    pub(super) fn release(&mut self) {
        self.free_count += self.held.len();
        words(&std::mem::replace(&mut self.held, 0..0)).for_each(|(word, bits)| self.free[word] |= bits);
    }

    /// Lends the run out, to be read anywhere: it is held no longer. `None` without one.
    pub(super) fn lease(&mut self) -> Option<Lease> {
        let run = std::mem::replace(&mut self.held, 0..0);
        if run.is_empty() {
            return None;
        }
        self.shared.readers[run.start].begin();
        self.shared.leased.fetch_add(run.len(), Ordering::Relaxed);
        self.lent += run.len();
        Some(Lease { shared: Arc::clone(&self.shared), run })
    }
}

#[cfg(test)]
mod tests;
