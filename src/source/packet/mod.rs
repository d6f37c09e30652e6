//! A live interface through `AF_PACKET` and a `TPACKET_V3` ring.
//!
//! The kernel copies frames into blocks of a ring that is mapped into this process; frames are read
//! there. A batch lies within one block, and the block returns to the kernel once all its frames were
//! handed out and the last batch is given up.
//!
//! A [`Chunk`] takes the block with it, leased: it returns when the last of its readers is done, while the ring goes
//! on. Never more than half of the blocks are out in this way, or a slow reader would take the kernel the room for
//! what comes next: beyond that a chunk's frames are copied, and the block returns at once.
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
mod filter;
mod link_type;
mod meter;
mod options;
mod problem;
mod restore;
mod upstream;

pub use meter::{Meter, RingState};
pub use options::{DEFAULT_RETIRE, DEFAULT_RING, Directions, Options};
pub use upstream::{InterfaceLosses, Lost, Upstream, UpstreamLosses};

use crate::frame::{Batch, Direction, Interface, InterfaceId, LinkType, Offload, Record, Timestamp};
use crate::source::{BATCH, Chunk, ChunkSource, Counters, Error, Fill, Lease, Source};
use crate::sys::block_ring::BlockRing;
use crate::sys::packet_abi::{
    PACKET_OUTGOING, STATUS_CHECKSUM_NOT_READY, STATUS_CHECKSUM_VALID, STATUS_GSO_TCP,
};
use crate::sys::packet_socket::{Mode, PacketSocket};
use block::{Damage, Slot, Walk};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Longest wait of one [`Source::fill`].
const PATIENCE: Duration = Duration::from_millis(100);
/// An interface that is being removed is down first and gone a moment later: wait that long to tell which.
const SETTLE: Duration = Duration::from_millis(100);
/// Longest time to wait, beyond the retire timeout, for the kernel to hand over its last block.
const GRACE: Duration = Duration::from_secs(1);
/// Longest time between two readings of the kernel's counters while blocks come: soon enough to see that it loses
/// frames, and at any rate a wire has their 32 bits take minutes to come round.
const READING: Duration = Duration::from_millis(100);
/// A protocol that no frame has (IEEE 802 local experimental EtherType 1).
const NO_PROTOCOL: u16 = 0x88b5;

/// An interface being captured.
#[derive(Debug)]
pub struct Capture {
    ring: BlockRing,
    socket: PacketSocket,
    poll: Poll,
    events: Events,
    interfaces: [Interface; 1],
    /// The kernel's index of the interface; 0 for `any`.
    index: u32,
    mode: Mode,
    retire: Duration,
    state: State,
    /// Position in the block held.
    walk: Option<Walk>,
    records: Vec<Record>,
    /// Frames handed out.
    handed: u64,
    last_reading: Instant,
    totals: Totals,
    meter: Meter,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    packets: u64,
    drops: u64,
    freezes: u64,
}

/// How far a capture has come.
#[derive(Clone, Copy, Debug)]
enum State {
    Running,
    /// Nothing new enters the ring; what is in it is handed out.
    Draining {
        not_before: Instant,
        until: Instant,
        failed: Option<i32>,
    },
    Ended,
}

/// What [`Capture::prepare`] came to.
enum Next {
    Batch,
    Idle,
    End,
}

impl Capture {
    /// Options for capturing on an interface, `any` for all of them.
    pub fn on(interface: impl Into<String>) -> Options {
        Options::new(interface.into())
    }

    fn over(
        socket: PacketSocket,
        ring: BlockRing,
        interface: Interface,
        index: u32,
        retire: Duration,
    ) -> io::Result<Self> {
        let mode = if interface.link_type == LinkType::LINUX_SLL2 { Mode::Cooked } else { Mode::Raw };
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(0), Interest::READABLE)?;
        let meter = Meter::default();
        meter.add_ring(&ring);
        Ok(Self {
            ring,
            socket,
            poll,
            events: Events::with_capacity(1),
            interfaces: [interface],
            index,
            mode,
            retire,
            state: State::Running,
            walk: None,
            records: Vec::with_capacity(BATCH),
            handed: 0,
            last_reading: Instant::now(),
            totals: Totals::default(),
            meter,
        })
    }

    /// A look at it from outside while it runs.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Gathers the records of the next frames of a block, at most `limit` of them.
    fn prepare(&mut self, limit: usize) -> Result<Next, Error> {
        let mut waited_until = None;
        loop {
            if let State::Ended = self.state {
                return Ok(Next::End);
            }
            if self.gather(limit).map_err(|damage| self.damaged(damage))? {
                return Ok(Next::Batch);
            }
            self.ring.release();
            self.walk = None;
            if self.ring.take() {
                self.begin_block().map_err(|damage| self.damaged(damage))?;
                continue;
            }
            if self.is_drained() {
                return self.end();
            }
            let now = Instant::now();
            let deadline = *waited_until.get_or_insert(now + PATIENCE);
            if now >= deadline || !self.wait(deadline - now)? {
                return Ok(Next::Idle);
            }
        }
    }

    fn begin_block(&mut self) -> Result<(), Damage> {
        if self.last_reading.elapsed() >= READING {
            self.read_statistics();
        }
        let headroom = options::headroom(self.mode);
        self.walk = self.ring.descriptor().map(|descriptor| Walk::new(&descriptor, headroom)).transpose()?;
        Ok(())
    }

    /// Fills `records` from the block held; false when it has no frame left.
    fn gather(&mut self, limit: usize) -> Result<bool, Damage> {
        self.records.clear();
        let (Some(walk), Some(body)) = (&mut self.walk, self.ring.body_mut()) else { return Ok(false) };
        let Interface { link_type, snap_length, .. } = self.interfaces[0];
        while self.records.len() < limit {
            let slot = match walk.next(body) {
                Ok(Some(slot)) => slot,
                // Damage is told once what lay before it is handed out.
                Err(damage) if self.records.is_empty() => return Err(damage),
                Ok(None) | Err(_) => break,
            };
            let mut record = restore(body, &slot, link_type, snap_length);
            self.handed += 1;
            record.number = self.handed;
            self.records.push(record);
        }
        Ok(!self.records.is_empty())
    }

    /// Waits for a block; false when interrupted by a signal.
    fn wait(&mut self, time: Duration) -> Result<bool, Error> {
        // While draining the end is found by counting, which no event announces.
        let time = if let State::Draining { .. } = self.state { time.min(self.retire) } else { time };
        match self.poll.poll(&mut self.events, Some(time)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(self.failed(format!("cannot wait for frames: {error}"))),
        }
        let failed = self.events.iter().any(mio::event::Event::is_error);
        if let (true, State::Running) = (failed, self.state)
            && let Ok(Some(error)) = self.socket.take_error()
        {
            self.drain(SETTLE, Some(error.raw_os_error().unwrap_or(libc::EIO)));
        }
        Ok(true)
    }

    fn drain(&mut self, settle: Duration, failed: Option<i32>) {
        let not_before = Instant::now() + settle;
        // A block is handed over at the second tick of the kernel's timer at the latest.
        self.state = State::Draining { not_before, until: not_before + self.retire * 2 + GRACE, failed };
    }

    /// Everything the kernel took in has been handed out (or will never be).
    fn is_drained(&mut self) -> bool {
        let State::Draining { not_before, until, .. } = self.state else { return false };
        let now = Instant::now();
        now >= until || (now >= not_before && self.counters().unread == 0)
    }

    fn end(&mut self) -> Result<Next, Error> {
        let State::Draining { failed: Some(code), .. } = self.state else {
            self.state = State::Ended;
            return Ok(Next::End);
        };
        let there = rustix::net::netdevice::index_to_name(&self.socket, self.index).is_ok();
        Err(self.failed(match code {
            libc::ENETDOWN if there => problem::WENT_DOWN.to_owned(),
            libc::ENETDOWN | libc::ENODEV | libc::ENXIO => problem::GONE.to_owned(),
            _ => io::Error::from_raw_os_error(code).to_string(),
        }))
    }

    fn damaged(&mut self, damage: Damage) -> Error {
        // The rest of the block is left unread.
        self.walk = None;
        self.failed(format!("the kernel's ring contradicts itself: {}", damage.0))
    }

    fn failed(&mut self, reason: String) -> Error {
        self.state = State::Ended;
        Error::Interface { interface: self.interfaces[0].name.clone().unwrap_or_default(), reason }
    }

    /// Adds up the kernel's counters, which start again at each reading.
    fn read_statistics(&mut self) {
        self.last_reading = Instant::now();
        if let Ok(statistics) = self.socket.statistics() {
            self.totals.packets += u64::from(statistics.packets);
            self.totals.drops += u64::from(statistics.drops);
            self.totals.freezes += u64::from(statistics.freezes);
            self.meter.add(statistics);
        }
    }
}

/// Puts a frame right within its block and says where it is.
fn restore(body: &mut [u8], slot: &Slot, link_type: LinkType, snap_length: u32) -> Record {
    let span = match link_type {
        LinkType::LINUX_SLL2 => restore::cooked(body, slot),
        LinkType::ETHERNET => restore::ethernet(body, slot),
        _ => restore::bare(slot),
    };
    let most = if snap_length == 0 { u32::MAX } else { snap_length };
    let has = |flag| slot.header.status & flag != 0;
    Record {
        offset: span.start as u32,
        captured: (span.captured as u32).min(most),
        wire_length: span.length,
        interface: InterfaceId(0),
        time: Some(Timestamp::new(i64::from(slot.header.seconds), slot.header.nanos)),
        link_type,
        direction: match slot.address.packet_type {
            PACKET_OUTGOING => Direction::Out,
            _ => Direction::In,
        },
        offload: Offload {
            checksum_not_ready: has(STATUS_CHECKSUM_NOT_READY),
            checksum_valid: has(STATUS_CHECKSUM_VALID),
            segmented: has(STATUS_GSO_TCP),
        },
        ..Record::default()
    }
}

impl Source for Capture {
    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, Error> {
        Ok(match self.prepare(limit.clamp(1, BATCH))? {
            Next::Batch => {
                let body = self.ring.body().unwrap_or_default();
                Fill::Batch(Batch::new(body, &self.records, &self.interfaces))
            }
            Next::Idle => Fill::Idle,
            Next::End => Fill::End,
        })
    }

    fn stop(&mut self) -> Result<(), Error> {
        if let State::Running = self.state {
            if let Err(error) = self.socket.attach_filter(&filter::NOTHING) {
                return Err(self.failed(format!("cannot stop: {error}")));
            }
            // A frame may have passed the filter before and be on its way into the ring still: binding anew
            // waits for it. Where the interface has gone there is nothing to wait for.
            let _ = self.socket.bind(self.index, NO_PROTOCOL);
            self.drain(Duration::ZERO, None);
        }
        Ok(())
    }

    /// `received` and `dropped_ring` are the kernel's; frames of a direction that was not asked for are
    /// not among them.
    fn counters(&mut self) -> Counters {
        self.read_statistics();
        let Totals { packets, drops, freezes } = self.totals;
        Counters {
            received: packets,
            dropped_ring: drops,
            filtered: 0,
            unread: packets.saturating_sub(drops).saturating_sub(self.handed),
            freezes,
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        Some(self)
    }
}

impl ChunkSource for Capture {
    /// What is left of a block, where it lies.
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error> {
        chunk.clear();
        match self.prepare(usize::try_from(limit).unwrap_or(usize::MAX).max(1))? {
            Next::Idle => Ok(true),
            Next::End => Ok(false),
            Next::Batch => {
                self.hand_over(chunk);
                Ok(true)
            }
        }
    }
}

impl Capture {
    /// The frames gathered, with the block they lie in; or a copy of them where the block has more, or too many are
    /// out.
    fn hand_over(&mut self, chunk: &mut Chunk) {
        let is_over = self.walk.is_some_and(|walk| walk.is_over());
        let may_lease = is_over && (self.ring.leased() + 1) * 2 <= self.ring.len();
        if let Some(lease) = may_lease.then(|| self.ring.lease()).flatten() {
            std::mem::swap(&mut self.records, &mut chunk.records);
            chunk.cut_evenly(&self.interfaces);
            chunk.lie_in(Lease::of_block(lease));
        } else {
            let body = self.ring.body().unwrap_or_default();
            self.records
                .chunks(BATCH)
                .for_each(|records| chunk.push(Batch::new(body, records, &self.interfaces)));
            if is_over {
                self.ring.release();
            }
        }
        if is_over {
            self.walk = None;
        }
    }
}
