//! One socket with its ring: the frames of one interface, or one worker's share of them.

use super::block::{Damage, Walk};
use super::counts::{Counts, Totals};
use super::group::Group;
use super::loss::{self, Losses};
use super::usage::Usage;
use super::{GRACE, READING, filter, options, restore};
use crate::frame::{InterfaceId, Record};
use crate::source::{RingUse, Stamps};
use crate::sys::block_ring::BlockRing;
use crate::sys::packet_socket::PacketSocket;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A protocol that no frame has (IEEE 802 local experimental EtherType 1).
const NO_PROTOCOL: u16 = 0x88b5;

/// A ring and the socket that fills it.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) blocks: BlockRing,
    pub(super) socket: Arc<PacketSocket>,
    pub(super) group: Arc<Group>,
    /// Whose: its worker's number among those that share the interface.
    pub(super) part: usize,
    /// Its interface's place among those of the capture.
    pub(super) interface: InterfaceId,
    /// Not read before the ring at that place has nothing of the time before this one.
    pub(super) after: Option<usize>,
    pub(super) growth: Growth,
    /// Position in the block held.
    walk: Option<Walk>,
    state: State,
    /// Frames handed out.
    handed: u64,
    /// Of these, how many have the device's time.
    stamped: u64,
    last_reading: Instant,
    counts: Arc<Counts>,
    /// As of the last reading here.
    totals: Totals,
    losses: Losses,
    /// Frames lost before the next that is handed out.
    lost: u64,
    usage: Usage,
}

/// A ring's place beside the larger one of its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// There is no larger one, or it has not been taken in yet.
    First,
    /// There is.
    Followed,
    /// It is the larger one.
    Larger,
}

/// How far a ring has come.
#[derive(Clone, Copy, Debug)]
enum State {
    Running,
    /// Nothing new enters the ring; what is in it is handed out.
    Draining {
        not_before: Instant,
        until: Instant,
    },
    Ended,
}

impl Ring {
    pub(super) fn new(group: &Arc<Group>, part: usize, socket: PacketSocket, blocks: BlockRing) -> Self {
        let socket = Arc::new(socket);
        let counts = Arc::new(Counts::of(&socket));
        group.meter.add_ring(&blocks, &counts);
        let usage = Usage::of(blocks.len());
        Self {
            blocks,
            socket,
            group: Arc::clone(group),
            part,
            interface: InterfaceId(0),
            after: None,
            growth: Growth::First,
            walk: None,
            state: State::Running,
            handed: 0,
            stamped: 0,
            last_reading: Instant::now(),
            counts,
            totals: Totals::default(),
            losses: Losses::default(),
            lost: 0,
            usage,
        }
    }

    /// Gives up the block held and goes on to the next one; false when there is none yet.
    pub(super) fn next_block(&mut self) -> Result<bool, Damage> {
        self.let_go();
        if let State::Ended = self.state {
            return Ok(false);
        }
        if !self.blocks.take() {
            return Ok(false);
        }
        let now = Instant::now();
        let descriptor = self.blocks.descriptor();
        let marked = descriptor.as_ref().is_some_and(loss::is_marked);
        if marked || now.duration_since(self.last_reading) >= READING {
            self.read_statistics();
        }
        let lost = descriptor.as_ref().map_or(0, |block| self.losses.before(block));
        self.lost += lost;
        if let Some(block) = &descriptor {
            let in_use = self.blocks.filled() + self.blocks.leased();
            self.usage.note(block, self.blocks.block_size(), lost > 0, in_use);
        }
        let headroom = options::headroom(self.group.mode);
        self.walk = descriptor.map(|descriptor| Walk::new(&descriptor, headroom)).transpose()?;
        Ok(true)
    }

    /// Puts the next frames of the block held into the empty `records`, at most `limit` of them, numbered from `number`
    /// on; none when it has no frame left.
    pub(super) fn gather(
        &mut self,
        records: &mut Vec<Record>,
        limit: usize,
        number: u64,
    ) -> Result<(), Damage> {
        let (Some(held), Some(body)) = (&mut self.walk, self.blocks.body_mut()) else { return Ok(()) };
        let common =
            Record { link_type: self.group.link_type, interface: self.interface, ..Record::default() };
        let most = if self.group.snap_length == 0 { u32::MAX } else { self.group.snap_length };
        // In registers for the loop.
        let mut walk = *held;
        while records.len() < limit {
            let slot = match walk.next(body) {
                Ok(Some(slot)) => slot,
                // Damage is told once what lay before it is handed out.
                Err(damage) if records.is_empty() => return Err(damage),
                Ok(None) | Err(_) => break,
            };
            self.stamped += u64::from(slot.is_stamped_by_device());
            let number = number + records.len() as u64;
            records.push(common);
            if let Some(record) = records.last_mut() {
                record.number = number;
                restore::note(record, body, slot, most);
            }
        }
        *held = walk;
        self.handed += records.len() as u64;
        Ok(())
    }

    /// How many frames were lost before the next that is handed out; to be told with it.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The same where none comes out of this ring any more, but out of a larger one.
    pub(super) fn take_losses(&mut self) -> u64 {
        self.take_lost() + self.losses.take()
    }

    /// So many more were lost before the next frame.
    pub(super) fn lose(&mut self, frames: u64) {
        self.lost += frames;
    }

    /// The last frame of the block held has been handed out.
    pub(super) fn block_is_over(&self) -> bool {
        self.walk.is_some_and(|walk| walk.is_over())
    }

    /// Gives up the block held, if any.
    pub(super) fn let_go(&mut self) {
        self.blocks.release();
        self.walk = None;
    }

    /// Lets nothing new in. What is on its way is in when this, and [`Ring::let_pass`], are done.
    pub(super) fn shut(&self) -> io::Result<()> {
        self.socket.attach_filter(&filter::NOTHING)
    }

    /// Waits for frames that were let in before and are on their way into the ring.
    pub(super) fn let_pass(&self) {
        // Binding anew waits, as does closing a socket; where there is a group a member cannot be bound. If the
        // interface has gone there is nothing to wait for.
        if !self.group.has_fanout() {
            let _ = self.socket.bind(self.group.index, NO_PROTOCOL);
        }
        self.group.let_pass();
    }

    /// Hands out what is in the ring, then ends.
    pub(super) fn drain(&mut self, settle: Duration) {
        if let State::Running = self.state {
            let not_before = Instant::now() + settle;
            // A block is handed over at the second tick of the kernel's timer at the latest.
            self.state = State::Draining { not_before, until: not_before + self.group.retire * 2 + GRACE };
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running)
    }

    pub(super) fn end(&mut self) {
        self.state = State::Ended;
        self.walk = None;
    }

    /// Everything the kernel took in has been handed out (or will never be).
    pub(super) fn has_ended(&mut self) -> bool {
        if let State::Draining { not_before, until } = self.state {
            let now = Instant::now();
            if now >= until || (now >= not_before && self.unread() == 0) {
                self.end();
            }
        }
        matches!(self.state, State::Ended)
    }

    /// Frames in the ring that were not handed out.
    pub(super) fn unread(&mut self) -> u64 {
        let Totals { packets, drops, .. } = self.totals();
        packets.saturating_sub(drops).saturating_sub(self.handed)
    }

    /// What the kernel has counted up to now.
    pub(super) fn totals(&mut self) -> Totals {
        self.read_statistics();
        self.totals
    }

    fn read_statistics(&mut self) {
        self.last_reading = Instant::now();
        let before = std::mem::replace(&mut self.totals, self.counts.read());
        self.losses.count(self.totals.drops, self.totals.dropped_at);
        if self.totals.drops > before.drops && self.is_running() {
            self.group.raise();
        }
    }

    /// How full it was, and whose times its frames have.
    pub(super) fn usage(&self) -> RingUse {
        let told = self.usage.told(self.blocks.block_size(), self.group.retire, self.totals.drops > 0);
        let by = Stamps { device: self.stamped, host: self.handed - self.stamped };
        RingUse { stamps: self.group.has_device_times().then_some(by), ..told }
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::tests::build;
    use super::super::group::tests::in_memory;
    use super::*;
    use crate::frame::{LinkType, Timestamp};
    use crate::sys::packet_abi::{
        FrameHeader, LinkAddress, STATUS_STAMPED_BY_DEVICE, STATUS_STAMPED_BY_KERNEL, STATUS_USER,
    };

    /// Blocks as the kernel hands them over when it has been asked for the device's times.
    #[test]
    fn whose_time_a_frame_has_is_counted_one_by_one() {
        let stamped = |status, seconds| {
            let header =
                FrameHeader { status: status | STATUS_USER, seconds, nanos: 7, ..FrameHeader::default() };
            (header, LinkAddress::default(), &[0; 60][..])
        };
        let (by_device, by_kernel) = (STATUS_STAMPED_BY_DEVICE, STATUS_STAMPED_BY_KERNEL);
        let first = [stamped(by_device, 37), stamped(by_kernel, 1), stamped(0, 2), stamped(by_device, 38)];
        let second = [stamped(by_device, 39), stamped(by_kernel, 3)];
        for asked in [true, false] {
            let group = in_memory(LinkType::ETHERNET, asked);
            let mut blocks = BlockRing::in_memory(4096, 2).unwrap();
            blocks.fill_as_kernel(0, &build(4096, &first));
            blocks.fill_as_kernel(1, &build(4096, &second));
            let mut ring = Ring::new(&group, 0, PacketSocket::of_nothing().unwrap(), blocks);
            let mut times = Vec::new();
            // The last frame is left unread: it is in neither count.
            for limit in [3, 3, 1] {
                let mut records = Vec::new();
                if ring.walk.is_none_or(|walk| walk.is_over()) {
                    assert!(ring.next_block().unwrap());
                }
                ring.gather(&mut records, limit, 1).unwrap();
                times.extend(records.iter().filter_map(|record| record.time));
            }
            assert_eq!(times, [37, 1, 2, 38, 39].map(|seconds| Timestamp::new(seconds, 7)));
            let expected = asked.then_some(Stamps { device: 3, host: 2 });
            assert_eq!(ring.usage().stamps, expected);
        }
    }
}
