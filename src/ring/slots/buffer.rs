//! The memory of the slots, and nothing more: which of them are filled is the ends' business.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr::{self, NonNull};

use crate::ring::shim::Track;
use crate::sys::prefetch::{self, LINE};

/// A burst that fills fewer lines than this is not worth a prefetch.
const PREFETCH_LINES: usize = 2;

/// A buffer for `capacity` items that starts on a cache line of its own. Knows nothing of which slots are filled.
///
/// Invariant in `T`, as cells are: one end writes what the other reads, so neither may think it another type. Were it
/// not, this would compile, and what is popped would be gone:
///
/// ```compile_fail,E0597
/// use wharf::ring::{Producer, spsc};
///
/// let (producer, mut consumer) = spsc::<&'static str>(4);
/// {
///     let gone = String::from("gone");
///     let mut producer: Producer<&str> = producer;
///     producer.push(&gone).unwrap();
/// }
/// println!("{:?}", consumer.pop());
/// ```
pub(super) struct Buffer<T> {
    data: NonNull<UnsafeCell<T>>,
    capacity: usize,
    track: Track,
}

// SAFETY: the buffer is owned; an item goes in on one thread and out on another, which is what Send allows.
unsafe impl<T: Send> Send for Buffer<T> {}
// SAFETY: both ends hold it, on a thread each. `&Buffer` gives nothing away but through unsafe functions, whose callers
// see to it that no slot is touched from two threads; where that is by way of `&T`, it takes `T: Sync` there (`ReadEnd`).
unsafe impl<T: Send> Sync for Buffer<T> {}

impl<T> Buffer<T> {
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity.is_power_of_two());
        let layout = Self::layout(capacity);
        let data = if layout.size() == 0 {
            NonNull::dangling()
        } else {
            // SAFETY: the layout's size is not zero.
            let data = unsafe { alloc(layout) };
            NonNull::new(data.cast()).unwrap_or_else(|| handle_alloc_error(layout))
        };
        Self { data, capacity, track: Track::new(capacity) }
    }

    #[inline(always)]
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whole pairs of lines, as processors fetch them in pairs: nobody else's data shares one with a slot.
    fn layout(capacity: usize) -> Layout {
        Layout::array::<T>(capacity)
            .and_then(|layout| layout.align_to(2 * LINE))
            .expect("the ring is larger than the address space")
            .pad_to_align()
    }

    /// The slots of `count` indices from `index` on, as two runs; the second is empty unless they wrap.
    #[inline(always)]
    fn runs(&self, index: usize, count: usize) -> (Range<usize>, Range<usize>) {
        let start = index & (self.capacity - 1);
        let first = count.min(self.capacity - start);
        (start..start + first, 0..count - first)
    }

    #[inline(always)]
    fn slot(&self, slot: usize) -> *mut T {
        UnsafeCell::raw_get(self.data.as_ptr()).wrapping_add(slot)
    }

    /// Where the slot of `index` is, for prefetching.
    #[inline(always)]
    pub(super) fn address(&self, index: usize) -> *const T {
        self.slot(index & (self.capacity - 1))
    }

    /// # Safety
    ///
    /// The slot of `index` must be free, and no other thread's.
    #[inline(always)]
    pub(super) unsafe fn write(&self, index: usize, item: T) {
        let slot = index & (self.capacity - 1);
        self.track.writing(slot..slot + 1);
        // SAFETY: the mask keeps `slot` inside the buffer; the caller vouches for the rest.
        unsafe { self.slot(slot).write(item) };
    }

    /// # Safety
    ///
    /// The `count` slots from `index` on (at most the capacity) must be free and no other thread's; `from` must point
    /// to as many items, which become the ring's.
    #[inline(always)]
    pub(super) unsafe fn write_many(&self, index: usize, from: *const T, count: usize) {
        let (first, second) = self.runs(index, count);
        self.track.writing(first.clone());
        self.track.writing(second.clone());
        // SAFETY: both runs lie inside the buffer and sum to `count`; the caller vouches for the rest.
        unsafe {
            ptr::copy_nonoverlapping(from, self.slot(first.start), first.len());
            if !second.is_empty() {
                ptr::copy_nonoverlapping(from.add(first.len()), self.slot(0), second.len());
            }
        }
    }

    /// # Safety
    ///
    /// The slot of `index` must hold an item, no other thread may touch it, and it counts as free from now on.
    #[inline(always)]
    pub(super) unsafe fn read(&self, index: usize) -> T {
        let slot = index & (self.capacity - 1);
        self.track.reading(slot..slot + 1);
        // SAFETY: the mask keeps `slot` inside the buffer; the caller vouches for the rest.
        unsafe { self.slot(slot).read() }
    }

    /// # Safety
    ///
    /// The `count` slots from `index` on (at most the capacity) must hold items, no other thread may touch them, and
    /// they count as free from now on; `to` must have room for as many.
    #[inline(always)]
    pub(super) unsafe fn read_many(&self, index: usize, to: *mut T, count: usize) {
        let (first, second) = self.runs(index, count);
        self.track.reading(first.clone());
        self.track.reading(second.clone());
        // SAFETY: both runs lie inside the buffer and sum to `count`; the caller vouches for the rest.
        unsafe {
            ptr::copy_nonoverlapping(self.slot(first.start), to, first.len());
            if !second.is_empty() {
                ptr::copy_nonoverlapping(self.slot(0), to.add(first.len()), second.len());
            }
        }
    }

    /// # Safety
    ///
    /// The `count` slots from `index` on (at most the capacity) must hold items, and no one may write to them while
    /// the slices live.
    #[inline(always)]
    pub(super) unsafe fn items(&self, index: usize, count: usize) -> (&[T], &[T]) {
        let (first, second) = self.runs(index, count);
        self.track.reading(first.clone());
        self.track.reading(second.clone());
        // SAFETY: both runs lie inside the buffer; the caller vouches for the rest.
        unsafe {
            (
                &*ptr::slice_from_raw_parts(self.slot(first.start), first.len()),
                &*ptr::slice_from_raw_parts(self.slot(0), second.len()),
            )
        }
    }

    /// # Safety
    ///
    /// The `count` slots from `index` on (at most the capacity) must hold items, no other thread may touch them, and
    /// they count as free from now on.
    #[inline(always)]
    pub(super) unsafe fn drop_items(&self, index: usize, count: usize) {
        let (first, second) = self.runs(index, count);
        self.track.writing(first.clone());
        self.track.writing(second.clone());
        // SAFETY: both runs lie inside the buffer; the caller vouches for the rest.
        unsafe {
            ptr::slice_from_raw_parts_mut(self.slot(first.start), first.len()).drop_in_place();
            ptr::slice_from_raw_parts_mut(self.slot(0), second.len()).drop_in_place();
        }
    }

    /// Asks for the lines of `count` slots from `index` on (at most up to the end of the buffer), to be written soon.
    #[inline(always)]
    pub(super) fn prefetch_for_writing(&self, index: usize, count: usize) {
        let (first, _) = self.runs(index, count);
        let bytes = first.len() * size_of::<T>();
        if bytes < PREFETCH_LINES * LINE {
            return;
        }
        let start = self.slot(first.start).cast::<u8>();
        for offset in (0..bytes).step_by(LINE) {
            prefetch::for_writing(start.wrapping_add(offset));
        }
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.capacity);
        if layout.size() != 0 {
            // SAFETY: allocated in `new` with this very layout.
            unsafe { dealloc(self.data.as_ptr().cast(), layout) };
        }
    }
}
