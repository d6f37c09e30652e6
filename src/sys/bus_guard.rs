//! `SIGBUS` in mappings of ours: zeros are read where a file has been cut, and the process lives.
//!
//! One handler for the whole process, installed when the first mapping is guarded, for good. What is no fault of a guarded
//! mapping goes on to the handler there was before, or to what the system does. A handler that somebody installs later
//! stands in front of this one, and has to pass on what is not its own likewise.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Most mappings guarded at a time.
const MOST: usize = 64;

/// Mappings begin and end at multiples of this; a page is one or more.
const UNIT: usize = 4096;

/// Bits of a slot's word for how many units there are; above them is the number of the first.
const COUNT_BITS: u32 = 20;

/// A word that is no mapping's, while the rest of its slot is written.
const CLAIMED: u64 = 1;

/// A guarded mapping, or none.
#[derive(Debug)]
struct Slot {
    /// Where it begins and how long it is, in one word, so that a handler never sees the start of one mapping with the
    /// end of another; 0 where the slot is free.
    place: AtomicU64,
    /// To be set when something is gone. Valid while the mapping is in `place`.
    cut: AtomicPtr<AtomicBool>,
}

impl Slot {
    const fn free() -> Self {
        Self { place: AtomicU64::new(0), cut: AtomicPtr::new(ptr::null_mut()) }
    }
}

static SLOTS: [Slot; MOST] = [const { Slot::free() }; MOST];

/// What was there before us, and the size of a page.
static BEFORE: OnceLock<(libc::sigaction, usize)> = OnceLock::new();

/// That a mapping is guarded, until this is dropped.
#[derive(Debug)]
pub(super) struct Guarded {
    slot: &'static Slot,
    /// What the slot points to.
    _cut: Arc<AtomicBool>,
}

/// Guards the mapping at `start`, of so many bytes, until the answer is dropped, which must be before it is unmapped. `cut` is
/// set by the first fault.
///
/// # Errors
/// [`io::ErrorKind::QuotaExceeded`] when [`MOST`] mappings are guarded already; [`io::ErrorKind::InvalidInput`] for one that does not
/// fit into a slot (4 GiB); as `sigaction(2)`.
pub(super) fn guard(start: usize, length: usize, cut: &Arc<AtomicBool>) -> io::Result<Guarded> {
    install()?;
    enter(&SLOTS, start, length, cut)
}

fn enter(slots: &'static [Slot], start: usize, length: usize, cut: &Arc<AtomicBool>) -> io::Result<Guarded> {
    let units = length.div_ceil(UNIT) as u64;
    if units >> COUNT_BITS != 0 || !start.is_multiple_of(UNIT) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let place = ((start / UNIT) as u64) << COUNT_BITS | units;
    let claim =
        |slot: &&Slot| slot.place.compare_exchange(0, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok();
    let slot = slots.iter().find(claim).ok_or(io::ErrorKind::QuotaExceeded)?;
    slot.cut.store(Arc::as_ptr(cut).cast_mut(), Ordering::Relaxed);
    // Release: who finds the place finds the mark with it.
    slot.place.store(place, Ordering::Release);
    Ok(Guarded { slot, _cut: Arc::clone(cut) })
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.slot.place.store(0, Ordering::Release);
    }
}

fn install() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    // One at a time, or the second would find the first's handler and pass on to itself.
    static INSTALLING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _installing = INSTALLING.lock();
    if BEFORE.get().is_some() {
        return Ok(());
    }
    let before = exchange(None)?;
    // Known before it can be asked for.
    let _ = BEFORE.set((before, rustix::param::page_size()));
    // SAFETY: all zeros are an action: the default one, with an empty mask.
    let mut ours: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    ours.sa_sigaction = on_bus_error as *const () as usize;
    // On the alternative stack where a thread has one, as the standard library's handler is, which we pass on to.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    exchange(Some(&ours)).map(|_| ())
}

/// The action there is, which is replaced if another is given.
fn exchange(action: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut before = MaybeUninit::zeroed();
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: an action or none, and room for one; `on_bus_error` does only what a handler may.
    let done = unsafe { libc::sigaction(libc::SIGBUS, action, before.as_mut_ptr()) };
    // SAFETY: zeros are an action, and so is what the system has written.
    if done == 0 { Ok(unsafe { before.assume_init() }) } else { Err(io::Error::last_os_error()) }
}

/// Only atomics and system calls from here on: this may run at any point of any thread.
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: a handler with `SA_SIGINFO` gets a valid one.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code != libc::BUS_ADRERR || !put_zeros_at(address) {
        pass_on(signal, info, context);
    }
}

/// Puts a page of zeros where this address is, if that is in a mapping of ours.
fn put_zeros_at(address: usize) -> bool {
    let unit = (address / UNIT) as u64;
    let holds = |slot: &&Slot| {
        // Acquire: with the place comes its mark.
        let place = slot.place.load(Ordering::Acquire);
        let (first, count) = (place >> COUNT_BITS, place & ((1 << COUNT_BITS) - 1));
        (first..first + count).contains(&unit)
    };
    let (Some(slot), Some((_, page))) = (SLOTS.iter().find(holds), BEFORE.get()) else { return false };
    // SAFETY: whoever reads there keeps the mapping, and so its slot and the mark, until that is done, which is not before
    // we return.
    let cut = unsafe { &*slot.cut.load(Ordering::Relaxed) };
    // Before anybody can read the zeros.
    cut.store(true, Ordering::Release);
    let start = ptr::without_provenance_mut(address & !(page - 1));
    // SAFETY: one page, within a mapping of ours that lives, as above; nothing could be read of it, and nothing is written.
    let mapped =
        unsafe { mmap_anonymous(start, *page, ProtFlags::READ, MapFlags::PRIVATE | MapFlags::FIXED) };
    mapped.is_ok()
}

/// To whom the signal was meant for before us.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: all zeros are an action: the default one.
    let default = || unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    let before = BEFORE.get().map_or_else(default, |(before, _)| *before);
    // SAFETY: as in `on_bus_error`.
    let sent = unsafe { (*info).si_code } <= 0;
    match before.sa_sigaction {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // A fault comes again as soon as we return; a signal that was sent does not by itself.
            let _ = exchange(Some(&default()));
            if sent {
                // SAFETY: always sound; it waits until we return.
                unsafe { libc::raise(signal) };
            }
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with this flag that is the type of what was installed.
            let handler = unsafe {
                std::mem::transmute::<
                    usize,
                    extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
                >(handler)
            };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: and without it this one.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_bound_and_slots_come_back() {
        // Nobody reads there: the handler does not know of these.
        static TWO: [Slot; 2] = [const { Slot::free() }; 2];
        let cut = Arc::default();
        let enter = |start, length| enter(&TWO, start, length, &cut).map_err(|error| error.kind());
        let first = enter(UNIT, 1).unwrap();
        let _second = enter(5 * UNIT, 3 * UNIT).unwrap();
        assert_eq!(TWO[1].place.load(Ordering::Relaxed), 5 << COUNT_BITS | 3);
        assert_eq!(enter(UNIT, 1).unwrap_err(), io::ErrorKind::QuotaExceeded);
        drop(first);
        assert_eq!(enter(UNIT, 1 << 33).unwrap_err(), io::ErrorKind::InvalidInput);
        assert_eq!(enter(UNIT + 1, 1).unwrap_err(), io::ErrorKind::InvalidInput);
        assert!(enter(UNIT, 1).is_ok());
    }
}
