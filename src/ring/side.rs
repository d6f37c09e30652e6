//! How one end sleeps and the other wakes it, and how each learns that the other has gone.

use std::time::{Duration, Instant};

use super::Closed;
use super::order::Edge;
use super::shim::{
    AtomicU32, AtomicUsize, Barrier, Mutex, Ordering, Spin, Thread, current, park, park_timeout,
};

/// The end sleeps, or is about to.
const WAITING: u32 = 1;
/// The end has been dropped.
const GONE: u32 = 2;

/// How long a sleeper trusts its luck where the kernel has refused the barrier.
const NAP: Duration = Duration::from_millis(1);

/// What the other end needs to know of this one. It lies on a line of its own that hardly ever changes, so that
/// looking at it after each batch is a hit in the nearest cache.
pub(super) struct Side {
    flags: AtomicU32,
    barrier: Barrier,
    /// While `WAITING`: the other end's index that is worth a wake-up.
    wake_at: AtomicUsize,
    sleeper: Mutex<Option<Thread>>,
}

impl Side {
    pub(super) fn new() -> Self {
        Self {
            flags: AtomicU32::new(0),
            barrier: Barrier::new(),
            wake_at: AtomicUsize::new(0),
            sleeper: Mutex::new(None),
        }
    }

    /// Called by the other end once its index has been stored: wakes this one if it sleeps and wants so much.
    #[inline(always)]
    pub(super) fn notify(&self, reached: usize) {
        self.barrier.light();
        if self.flags.load(Ordering::Relaxed) & WAITING != 0 {
            self.wake_if(reached);
        }
    }

    #[cold]
    fn wake_if(&self, reached: usize) {
        // Acquire: `wake_at` is at least as new as the flag.
        if self.flags.load(Ordering::Acquire) & WAITING == 0 {
            return;
        }
        let ahead = reached.wrapping_sub(self.wake_at.load(Ordering::Relaxed));
        if ahead.cast_signed() >= 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        // AcqRel: with the same in `arm`, whichever of the two comes second sees what the first had done.
        if self.flags.fetch_and(!WAITING, Ordering::AcqRel) & WAITING != 0
            && let Some(thread) = &*self.sleeper.lock().expect("no code that can panic runs under this lock")
        {
            thread.unpark();
        }
    }

    /// Called by this end when it is dropped: raises the flag, and wakes `other`.
    pub(super) fn leave(&self, other: &Side) {
        self.flags.fetch_or(GONE, Edge::Leave.ordering());
        other.wake();
    }

    /// Called by the other end: whether this one has been dropped. All it did before is then visible.
    #[inline(always)]
    pub(super) fn is_gone(&self) -> bool {
        self.flags.load(Edge::SeeLeft.ordering()) & GONE != 0
    }

    fn arm(&self, wake_at: usize) {
        self.wake_at.store(wake_at, Ordering::Relaxed);
        self.flags.fetch_or(WAITING, Ordering::AcqRel);
    }

    fn set_sleeper(&self, thread: Option<Thread>) {
        *self.sleeper.lock().expect("no code that can panic runs under this lock") = thread;
    }

    fn disarm(&self) {
        self.flags.fetch_and(!WAITING, Ordering::Relaxed);
        self.set_sleeper(None);
    }
}

/// Something that can be waited for: a producer short of room, or one or more empty consumers.
pub(super) trait Await {
    /// What there is: something to do, the end of it, or (`None`) a reason to wait.
    fn poll(&mut self) -> Option<Result<(), Closed>>;

    /// Each side that sleeps, with the index of its other end that is worth waking it for.
    fn each_side(&self, visit: impl FnMut(&Side, usize));
}

/// Spins a little, then sleeps until `poll` has an answer; false when the time was up before.
pub(super) fn wait<A: Await + ?Sized>(waiter: &mut A, timeout: Option<Duration>) -> Result<bool, Closed> {
    let spin = Spin::new();
    loop {
        if let Some(answer) = waiter.poll() {
            return answer.map(|()| true);
        }
        if !spin.turn() {
            break;
        }
    }
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let thread = current();
    waiter.each_side(|side, _| side.set_sleeper(Some(thread.clone())));
    let answer = sleep(waiter, deadline);
    waiter.each_side(|side, _| side.disarm());
    answer
}

fn sleep<A: Await + ?Sized>(waiter: &mut A, deadline: Option<Instant>) -> Result<bool, Closed> {
    let barrier = Barrier::new();
    loop {
        waiter.each_side(Side::arm);
        let certain = barrier.heavy();
        // Either this look sees what the other end stored, or the other end sees that this one waits.
        if let Some(answer) = waiter.poll() {
            return answer.map(|()| true);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match left {
            Some(Duration::ZERO) => return Ok(false),
            Some(left) => park_timeout(if certain { left } else { left.min(NAP) }),
            None if certain => park(),
            None => park_timeout(NAP),
        }
    }
}
