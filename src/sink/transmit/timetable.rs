//! The clock that due times are held against.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A sleep may end so much later than asked: the rest is waited for awake.
const AWAKE: Duration = Duration::from_micros(60);
/// Longest sleep before whether to stop is looked at again.
const LOOK_UP: Duration = Duration::from_millis(50);
/// Frames later than this are not made up for: what would be a burst after a pause moves everything behind it.
const MOST_LATE: Duration = Duration::from_millis(100);

/// Begins with the first frame; shared by senders that share their frames.
#[derive(Debug, Default)]
pub(super) struct Timetable {
    origin: OnceLock<Instant>,
    /// Nanoseconds by which everything is later than it was due.
    slip: AtomicU64,
}

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// Nanoseconds since the beginning, and how many of them are too many.
    Due {
        now: u64,
        late: u64,
    },
    Stopped,
}

impl Timetable {
    /// Nanoseconds since the first call.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.origin.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// By how much everything has been moved.
    pub(super) fn slip(&self) -> u64 {
        // Relaxed here and below: the number stands for itself.
        self.slip.load(Ordering::Relaxed)
    }

    /// Whether something is due at a time.
    pub(super) fn is_due(&self, due: u64, now: u64) -> bool {
        due.saturating_add(self.slip()) <= now
    }

    /// Waits until something is due. Asleep as long as that is sure to end in time, then awake.
    pub(super) fn wait(&self, due: u64, stop: &AtomicBool) -> Waited {
        loop {
            if stop.load(Ordering::Relaxed) {
                return Waited::Stopped;
            }
            let now = self.now();
            let slip = self.slip();
            let at = due.saturating_add(slip);
            let Some(left) = at.checked_sub(now).filter(|left| *left > 0) else {
                return Waited::Due { now, late: self.make_up(now - at, slip) };
            };
            match Duration::from_nanos(left).checked_sub(AWAKE) {
                Some(time) if !time.is_zero() => thread::sleep(time.min(LOOK_UP)),
                _ => std::hint::spin_loop(),
            }
        }
    }

    /// Moves the timetable when something comes so late that it will not be made up for.
    fn make_up(&self, late: u64, slip: u64) -> u64 {
        let most = MOST_LATE.as_nanos() as u64;
        if late > most {
            // Another sender may have moved it in the meantime, and for the same reason.
            let moved = slip.saturating_add(late - most);
            let _ = self.slip.compare_exchange(slip, moved, Ordering::Relaxed, Ordering::Relaxed);
        }
        late
    }
}

/// Has this thread's sleeps end when they should, not up to 50 µs later as the kernel allows itself otherwise.
pub(super) fn sleep_precisely() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_not_waited_for_and_what_is_not_is() {
        let (timetable, stop) = (Timetable::default(), AtomicBool::new(false));
        assert!(matches!(timetable.wait(0, &stop), Waited::Due { late, .. } if late < 50_000_000));
        let Waited::Due { now, .. } = timetable.wait(3_000_000, &stop) else { panic!("not stopped") };
        assert!(now >= 3_000_000);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(timetable.wait(u64::MAX, &stop), Waited::Stopped);
    }

    #[test]
    fn a_long_pause_moves_the_rest_and_a_short_one_does_not() {
        let timetable = Timetable::default();
        assert_eq!((timetable.make_up(99_000_000, 0), timetable.slip()), (99_000_000, 0));
        assert_eq!((timetable.make_up(5_100_000_000, 0), timetable.slip()), (5_100_000_000, 5_000_000_000));
        assert!(!timetable.is_due(1, 5_000_000_000) && timetable.is_due(1, 5_000_000_001));
    }
}
