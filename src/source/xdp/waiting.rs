//! How to wait for frames: asleep, or looking all the time.

use crate::sys::xdp::XdpSocket;
use crate::sys::xdp::socket::{self, Waited};
use std::io;
use std::time::{Duration, Instant};

/// Longest wait of one [`Source::fill`](crate::source::Source::fill).
const PATIENCE: Duration = Duration::from_millis(100);
/// When frames keep coming, the time between two looks. Each costs the same however many have come, and waking a sleeper
/// costs whoever receives for us more than the frames do; half a millisecond of the fastest wire there is on one queue is
/// a fraction of the default memory.
const NAP: Duration = Duration::from_micros(500);
/// Frames keep coming where a wait was shorter than this.
const SHORT: Duration = Duration::from_millis(4);
/// Looks between two glances at the clock.
const LOOKS: u32 = 64;

/// What to do while there is nothing to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Sleep: idle it costs nothing, and under load frames are looked for some two thousand times a second.
    #[default]
    Sleep,
    /// Look again at once: a whole CPU, for the sake of microseconds.
    Spin,
}

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Frames may have come.
    Perhaps,
    /// None for a while.
    Nothing,
    /// A signal.
    Signal,
    /// A socket has an error.
    Failure,
}

/// One who waits.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    waiting: Waiting,
    /// Where this call's patience ends; set by its first wait.
    until: Option<Instant>,
    /// Frames keep coming: the next wait is a nap.
    busy: bool,
    /// The wait before was a nap.
    napped: bool,
    looks: u32,
}

impl Patience {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self { waiting, until: None, busy: false, napped: false, looks: 0 }
    }

    /// A new call begins.
    pub(super) fn begin(&mut self) {
        self.until = None;
        self.looks = 0;
    }

    /// There were frames.
    pub(super) fn came(&mut self) {
        self.busy |= self.napped;
        self.napped = false;
    }

    /// Waits until frames may have come to one of the sockets.
    pub(super) fn wait<'s>(&mut self, sockets: impl Iterator<Item = &'s XdpSocket>) -> io::Result<Came> {
        if self.waiting == Waiting::Spin {
            return Ok(self.look_again());
        }
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + PATIENCE);
        if now >= until {
            return Ok(Came::Nothing);
        }
        // A nap that brought nothing is not followed by another.
        if std::mem::take(&mut self.busy) {
            self.napped = true;
            std::thread::sleep(NAP);
            return Ok(Came::Perhaps);
        }
        self.napped = false;
        Ok(match socket::wait(sockets, until - now)? {
            Waited::Ready => {
                self.busy = now.elapsed() < SHORT;
                Came::Perhaps
            }
            Waited::TimedOut => Came::Nothing,
            Waited::Interrupted => Came::Signal,
            Waited::Failed => Came::Failure,
        })
    }

    fn look_again(&mut self) -> Came {
        std::hint::spin_loop();
        self.looks += 1;
        if !self.looks.is_multiple_of(LOOKS) {
            return Came::Perhaps;
        }
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + PATIENCE);
        if now >= until { Came::Nothing } else { Came::Perhaps }
    }
}
