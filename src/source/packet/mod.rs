//! A live interface through `AF_PACKET` and a `TPACKET_V3` ring.
//!
//! The kernel copies frames into blocks of a ring that is mapped into this process; frames are read
//! there. A batch lies within one block, and the block returns to the kernel once all its frames were
//! handed out and the last batch is given up.
//!
//! A [`Chunk`](crate::source::Chunk) takes the block with it, leased: it returns when the last of its readers is done, while the ring goes
//! on. Never more than half of the blocks are out in this way, or a slow reader would take the kernel the room for
//! what comes next: beyond that a chunk's frames are copied, and the block returns at once.
//!
//! Several workers share an interface by a ring each, all in one fan-out group ([`Options::parts`], [`Spread`]).
//! Several interfaces are read as one source ([`Capture::and`]).
//!
//! ```no_run
//! use wharf::source::{Fill, Source, packet::Capture};
//!
//! let mut capture = Capture::on("eth0").snap_length(96).open()?;
//! while let Fill::Batch(batch) = capture.fill(256)? {
//!     for frame in batch.frames() {
//!         println!("{:?} {} bytes", frame.record.time, frame.record.wire_length);
//!     }
//! }
//! # Ok::<(), wharf::source::Error>(())
//! ```

mod block;
mod counts;
mod filter;
mod group;
mod link_type;
mod loss;
mod meter;
pub(super) mod options;
mod pause;
mod ports;
pub(super) mod problem;
mod reading;
mod restore;
mod ring;
mod sizing;
mod spread;
mod time_stamps;
mod upstream;
mod usage;

pub use meter::{Meter, RingState};
pub use options::{DEFAULT_RETIRE, Directions, Options};
pub use ports::PortSet;
pub use sizing::DEFAULT_RING;
pub use spread::Spread;
pub use time_stamps::TimeStampType;
pub use upstream::{InterfaceLosses, Lost, Upstream, UpstreamLosses};

use crate::frame::{Interface, InterfaceStatistics, Record};
use crate::source::{BATCH, Error, Next};
use block::Damage;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use pause::Pause;
use problem::Problem;
use ring::{Growth, Ring};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait of one [`Source::fill`].
const PATIENCE: Duration = Duration::from_millis(100);
/// An interface that is being removed is down first and gone a moment later: wait that long to tell which.
const SETTLE: Duration = Duration::from_millis(100);
/// Longest time to wait, beyond the retire timeout, for the kernel to hand over its last block.
const GRACE: Duration = Duration::from_secs(1);
/// Longest time between two readings of the kernel's counters while blocks come: soon enough to see losses, and far
/// sooner than their 32 bits come round.
const READING: Duration = Duration::from_millis(100);

/// One or several interfaces being captured, or one worker's share of them.
#[derive(Debug)]
pub struct Capture {
    rings: Vec<Ring>,
    /// The ring whose block is held, or was last.
    current: usize,
    poll: Poll,
    events: Events,
    interfaces: Vec<Interface>,
    /// The first failure: whose, and what the kernel said.
    failed: Option<(usize, i32)>,
    stopping: bool,
    ended: bool,
    records: Vec<Record>,
    pause: Pause,
    /// Frames handed out.
    handed: u64,
    /// Of each interface, when counters were read last.
    statistics: Vec<Option<InterfaceStatistics>>,
    notes: Vec<String>,
}

impl Capture {
    /// Options for capturing on an interface, `any` for all of them.
    pub fn on(interface: impl Into<String>) -> Options {
        Options::new(interface.into())
    }

    /// A look at it from outside while it runs, at all its rings together.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter::of(self.rings.iter().map(|ring| &ring.group.meter))
    }

    fn over(rings: Vec<Ring>, interfaces: Vec<Interface>, notes: Vec<String>) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (place, ring) in rings.iter().enumerate() {
            watch(&poll, ring, place)?;
        }
        Ok(Self {
            rings,
            current: 0,
            poll,
            events: Events::with_capacity(16),
            interfaces,
            failed: None,
            stopping: false,
            ended: false,
            records: Vec::with_capacity(BATCH),
            pause: Pause::default(),
            handed: 0,
            statistics: Vec::new(),
            notes,
        })
    }

    /// This capture and another, both as they were opened, as one source: the other's interfaces come behind this one's.
    /// Frames come as their blocks are found. When an interface goes away, what the others have by then comes first.
    ///
    /// # Errors
    /// [`Error::Interface`] where the kernel has no more descriptors for us.
    pub fn and(mut self, other: Self) -> Result<Self, Error> {
        let known = self.interfaces.len() as u32;
        let more = other.rings.into_iter().map(|mut ring| {
            ring.interface.0 += known;
            ring
        });
        let rings = self.rings.drain(..).chain(more).collect();
        let interfaces = [std::mem::take(&mut self.interfaces), other.interfaces].concat();
        let notes = [std::mem::take(&mut self.notes), other.notes].concat();
        let name = interfaces.first().and_then(|interface| interface.name.clone()).unwrap_or_default();
        Self::over(rings, interfaces, notes)
            .map_err(Problem::with("cannot wait for several interfaces"))
            .map_err(|problem| Error::of_interface(name, problem))
    }

    /// Gathers the records of the next frames of a block, at most `limit` of them.
    fn prepare(&mut self, limit: usize) -> Result<Next, Error> {
        self.records.clear();
        let mut waited_until = None;
        loop {
            if self.ended {
                return Ok(Next::End);
            }
            let gathered = self.rings[self.current].gather(&mut self.records, limit, self.handed + 1);
            gathered.map_err(|damage| self.damaged(self.current, damage))?;
            if !self.records.is_empty() {
                self.handed += self.records.len() as u64;
                return Ok(Next::Batch);
            }
            if self.next_block()? {
                continue;
            }
            if self.is_drained() {
                return self.end();
            }
            let now = Instant::now();
            let pause = self.pause(now);
            if !pause.is_zero() {
                thread::sleep(pause);
                continue;
            }
            let deadline = *waited_until.get_or_insert(now + PATIENCE);
            if now >= deadline || !self.wait(deadline - now)? {
                return Ok(Next::Idle);
            }
        }
    }

    /// Goes on to the next block, of whichever ring has one; the one read last comes last. False when none has.
    fn next_block(&mut self) -> Result<bool, Error> {
        self.rings[self.current].let_go();
        self.take_raised()?;
        let count = self.rings.len();
        for place in (self.current + 1..count).chain(0..=self.current) {
            if let Some(before) = self.rings[place].after {
                if !self.rings[before].has_ended() && self.rings[before].unread() > 0 {
                    continue;
                }
                let lost = self.rings[before].take_losses();
                self.rings[place].after = None;
                self.rings[place].lose(lost);
            }
            if self.rings[place].next_block().map_err(|damage| self.damaged(place, damage))? {
                self.current = place;
                self.pause.count();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes in rings that were opened because others overflowed.
    fn take_raised(&mut self) -> Result<(), Error> {
        for place in 0..self.rings.len() {
            let Ring { group, part, interface, growth, .. } = &self.rings[place];
            if *growth != Growth::First {
                continue;
            }
            let Some(mut ring) = group.take_raised(*part) else { continue };
            (ring.interface, ring.after, ring.growth) = (*interface, Some(place), Growth::Larger);
            self.rings[place].growth = Growth::Followed;
            if let Err(error) = watch(&self.poll, &ring, self.rings.len()) {
                return Err(self.failed(place, Problem::with("cannot wait for frames")(error)));
            }
            self.rings.push(ring);
        }
        Ok(())
    }

    /// How long to sleep before blocks are waited for.
    fn pause(&mut self, now: Instant) -> Duration {
        if self.is_counting() {
            return Duration::ZERO;
        }
        let rings = || self.rings.iter();
        let shortest = rings().map(|ring| ring.blocks.len()).min().unwrap_or_default() as u32;
        let retire = rings().map(|ring| ring.group.retire).min().unwrap_or_default();
        self.pause.at(now, self.rings.len() as u32, shortest, retire)
    }

    /// While draining the end is found by counting, which no event announces; and so is that of the ring before.
    fn is_counting(&self) -> bool {
        self.rings.iter().any(|ring| !ring.is_running() || ring.after.is_some())
    }

    /// Waits for a block; false when interrupted by a signal.
    fn wait(&mut self, time: Duration) -> Result<bool, Error> {
        let counting = self.is_counting();
        let retire = self.rings.iter().map(|ring| ring.group.retire).min().unwrap_or(time);
        match self.poll.poll(&mut self.events, Some(if counting { time.min(retire) } else { time })) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => {
                return Err(self.failed(self.current, Problem::with("cannot wait for frames")(error)));
            }
        }
        let failed = self.events.iter().find(|event| event.is_error()).map(|event| event.token().0);
        if let Some(place) = failed
            && self.rings[place].is_running()
            && let Ok(Some(error)) = self.rings[place].socket.take_error()
        {
            self.failed = Some((place, error.raw_os_error().unwrap_or(libc::EIO)));
            self.drain(SETTLE);
        }
        Ok(true)
    }

    /// Lets nothing new in anywhere.
    fn drain(&mut self, settle: Duration) {
        self.stopping = true;
        self.rings.iter().for_each(|ring| ring.group.stop_growing());
        // One raised just now has frames already. Where it cannot be watched it is read all the same.
        let _ = self.take_raised();
        for ring in &self.rings {
            // Refused only where the interface has gone and nothing comes any more.
            let _ = ring.shut();
        }
        for place in 0..self.rings.len() {
            let group = &self.rings[place].group;
            if !self.rings[..place].iter().any(|before| Arc::ptr_eq(&before.group, group)) {
                self.rings[place].let_pass();
            }
        }
        self.rings.iter_mut().for_each(|ring| ring.drain(settle));
    }

    /// Everything the kernel took in has been handed out (or will never be).
    fn is_drained(&mut self) -> bool {
        self.stopping && self.rings.iter_mut().all(Ring::has_ended)
    }

    fn end(&mut self) -> Result<Next, Error> {
        let Some((place, code)) = self.failed else {
            self.ended = true;
            return Ok(Next::End);
        };
        let Ring { socket, group, .. } = &self.rings[place];
        let there = rustix::net::netdevice::index_to_name(socket, group.index).is_ok();
        let meaning = |error: &io::Error| match code {
            libc::ENETDOWN if there => problem::WENT_DOWN.to_owned(),
            libc::ENETDOWN | libc::ENODEV | libc::ENXIO => problem::GONE.to_owned(),
            _ => error.to_string(),
        };
        Err(self.failed(place, Problem::of(io::Error::from_raw_os_error(code), meaning)))
    }

    /// The rest of the block is left unread.
    fn damaged(&mut self, place: usize, damage: Damage) -> Error {
        self.failed(place, format!("the kernel's ring contradicts itself: {}", damage.0))
    }

    fn failed(&mut self, place: usize, problem: impl Into<Problem>) -> Error {
        self.ended = true;
        self.rings.iter_mut().for_each(Ring::end);
        let interface = self.rings[place].interface.0 as usize;
        let name = self.interfaces.get(interface).and_then(|interface| interface.name.clone());
        Error::of_interface(name.unwrap_or_default(), problem)
    }
}

fn watch(poll: &Poll, ring: &Ring, place: usize) -> io::Result<()> {
    poll.registry().register(&mut SourceFd(&ring.socket.as_raw_fd()), Token(place), Interest::READABLE)
}
