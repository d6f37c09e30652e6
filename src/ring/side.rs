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

/// How many pauses an end spins before it sleeps (a pause is 10 to 50 ns), which it learns from how its sleeps turn
/// out.
///
/// Being woken takes some 20 us, in which the other end of a small ring runs dry, sleeps in its turn, and so on: two
/// busy threads would go on waking each other for ever. So a sleep that turns out short makes the next spin longer,
/// until it outlasts a wake-up; a long one makes it shorter, so that items that come now and then cost little.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience(u32);

impl Patience {
    const LEAST: Self = Self(64);
    const MOST: Self = Self(4096);
    /// A sleep up to this long was not worth it.
    const SHORT: Duration = Duration::from_micros(60);

    pub(super) fn new() -> Self {
        Self(256)
    }

    fn learn(self, slept: Duration) -> Self {
        if slept < Self::SHORT {
            Self((self.0 * 2).min(Self::MOST.0))
        } else {
            Self((self.0 / 2).max(Self::LEAST.0))
        }
    }
}

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
        // `wake_at` is then at least as new as the flag.
        if self.flags.load(Edge::SeeArmed.ordering()) & WAITING == 0 {
            return;
        }
        let ahead = reached.wrapping_sub(self.wake_at.load(Ordering::Relaxed));
        if ahead.cast_signed() >= 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.flags.fetch_and(!WAITING, Edge::Wake.ordering()) & WAITING != 0
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

    /// Called by this end before it looks a last time, behind a heavy barrier: from `wake_at` on it wants to be woken.
    pub(super) fn arm(&self, wake_at: usize) {
        self.wake_at.store(wake_at, Ordering::Relaxed);
        self.flags.fetch_or(WAITING, Edge::Arm.ordering());
    }

    #[cfg(all(test, loom))]
    pub(super) fn is_waiting(&self) -> bool {
        self.flags.load(Ordering::Acquire) & WAITING != 0
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

    /// How long to spin, kept from one wait to the next. Only asked for when `poll` had no answer.
    fn patience(&mut self) -> &mut Patience;

    /// Each side that sleeps, with the index of its other end that is worth waking it for.
    fn each_side(&self, visit: impl FnMut(&Side, usize));
}

/// Spins a little, then sleeps until `poll` has an answer; false when the time was up before.
pub(super) fn wait<A: Await + ?Sized>(waiter: &mut A, timeout: Option<Duration>) -> Result<bool, Closed> {
    if let Some(answer) = waiter.poll() {
        return answer.map(|()| true);
    }
    let mut spin = Spin::new(waiter.patience().0);
    while spin.turn() {
        if let Some(answer) = waiter.poll() {
            return answer.map(|()| true);
        }
    }
    let start = Instant::now();
    let deadline = timeout.and_then(|timeout| start.checked_add(timeout));
    let thread = current();
    waiter.each_side(|side, _| side.set_sleeper(Some(thread.clone())));
    let answer = sleep(waiter, deadline);
    waiter.each_side(|side, _| side.disarm());
    let patience = waiter.patience();
    *patience = patience.learn(start.elapsed());
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
