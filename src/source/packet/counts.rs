//! What the kernel counts of a ring, added up by whoever asks.
//!
//! Its counters have 32 bits and start again at each reading: at a million frames a second they come round after 71
//! minutes. Whoever reads the ring reads them too, but may be held up for longer than that, by an output under
//! `wait` for one. So a thread of each interface's [reads](Counts::refresh) them where nobody else has for a while.

use crate::frame::Timestamp;
use crate::sys::packet_socket::PacketSocket;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest time between two readings: what a [`Meter`](super::Meter) shows is no older.
const PERIOD: Duration = Duration::from_secs(1);

/// What the kernel has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) packets: u64,
    pub(super) drops: u64,
    pub(super) freezes: u64,
    /// The last reading that brought drops, by the clock that frames are stamped by.
    pub(super) dropped_at: Timestamp,
}

/// The counters of one ring. Asking for them does not keep its socket open.
#[derive(Debug)]
pub(super) struct Counts {
    socket: Weak<PacketSocket>,
    read: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    totals: Totals,
    at: Instant,
}

impl Counts {
    pub(super) fn of(socket: &Arc<PacketSocket>) -> Self {
        let reading = Reading { totals: Totals::default(), at: Instant::now() };
        Self { socket: Arc::downgrade(socket), read: Mutex::new(reading) }
    }

    /// Asks the kernel; what it had counted up to now. Where that fails, as of the last reading.
    pub(super) fn read(&self) -> Totals {
        self.ask(&mut self.lock())
    }

    /// As of the last reading.
    pub(super) fn last(&self) -> Totals {
        self.lock().totals
    }

    /// Asks the kernel if nobody has for `period`.
    fn refresh(&self, period: Duration) {
        let mut reading = self.lock();
        if reading.at.elapsed() >= period {
            self.ask(&mut reading);
        }
    }

    /// The lock is held meanwhile: nobody sees totals that lack what another has just taken out of the kernel.
    fn ask(&self, reading: &mut Reading) -> Totals {
        reading.at = Instant::now();
        let totals = &mut reading.totals;
        if let Some(Ok(more)) = self.socket.upgrade().map(|socket| socket.statistics()) {
            totals.packets += u64::from(more.packets);
            totals.drops += u64::from(more.drops);
            totals.freezes += u64::from(more.freezes);
            if more.drops > 0 {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                totals.dropped_at = Timestamp::new(now.as_secs().cast_signed(), now.subsec_nanos());
            }
        }
        *totals
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that reads where nobody else does. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    _running: Sender<()>,
}

impl Keeper {
    /// Has the counters of `rings` read, those among them that are yet to come as well.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn of(rings: impl Fn() -> Vec<Arc<Counts>> + Send + 'static) -> io::Result<Self> {
        let (running, ended) = channel::<()>();
        std::thread::Builder::new().name("wharf-counters".into()).spawn(move || {
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                rings().iter().for_each(|counts| counts.refresh(PERIOD));
            }
        })?;
        Ok(Self { _running: running })
    }
}
