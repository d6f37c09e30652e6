//! How full a ring ever was, and how long it would have bridged, or has.
//!
//! By the kernel's own times: those at which blocks are read say how prompt the reader is, not how fast they come.

use crate::frame::Timestamp;
use crate::source::RingUse;
use crate::sys::packet_abi::{BlockDescriptor, STATUS_TIME_OVER};
use std::collections::VecDeque;
use std::time::Duration;

/// Rates are taken over at least so long: of a shorter time chance makes too much.
const WINDOW: Duration = Duration::from_secs(1);

/// What is noted with each block.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// Blocks of the ring.
    blocks: usize,
    /// Most of them that were not the kernel's at a time.
    fullest: usize,
    /// When the window began, and the bytes since: those that a block had no room for any more are among them.
    window: Option<(Timestamp, u64)>,
    /// Bytes a second in the window with the most.
    peak: Option<f64>,
    /// When the last frame came of each of the last blocks, as many as the ring has.
    last: VecDeque<Timestamp>,
    /// The shortest time in which the ring, unread, came to be full.
    bridged: Option<Duration>,
}

impl Usage {
    /// Of a ring of so many blocks.
    pub(super) fn of(blocks: usize) -> Self {
        Self { blocks, last: VecDeque::with_capacity(blocks), ..Self::default() }
    }

    /// A block has come, and perhaps frames were lost before it; so many are not the kernel's.
    pub(super) fn note(&mut self, block: &BlockDescriptor, block_size: usize, lost: bool, in_use: usize) {
        self.fullest = self.fullest.max(in_use);
        if lost {
            self.bridged = [self.bridged, self.filled_in()].into_iter().flatten().min();
        }
        let [seconds, nanos] = block.last;
        let now = Timestamp::new(seconds.into(), nanos);
        if self.last.len() == self.blocks {
            self.last.pop_front();
        }
        self.last.push_back(now);
        let full = block.status & STATUS_TIME_OVER == 0;
        self.count(now, if full { block_size as u64 } else { block.length.into() });
    }

    fn count(&mut self, now: Timestamp, bytes: u64) {
        // The first block only tells when it began.
        let Some((begun, sum)) = &mut self.window else { return self.window = Some((now, 0)) };
        *sum += bytes;
        match between(*begun, now) {
            // The clock was put back.
            None => self.window = Some((now, 0)),
            Some(time) if time >= WINDOW => {
                let rate = *sum as f64 / time.as_secs_f64();
                self.peak = Some(self.peak.map_or(rate, |peak| peak.max(rate)));
                self.window = Some((now, 0));
            }
            Some(_) => {}
        }
    }

    /// How long the last blocks, as many as the ring has, took to come: the time that it bridged if it was full then.
    fn filled_in(&self) -> Option<Duration> {
        let (first, last) = (self.last.front()?, self.last.back()?);
        if self.last.len() < self.blocks { None } else { between(*first, *last) }
    }

    /// Of a ring with blocks of that size, handed over after that time at the latest, which has overflowed or not.
    pub(super) fn told(&self, block_size: usize, retire: Duration, overflowed: bool) -> RingUse {
        let bytes = (self.blocks * block_size) as u64;
        // A short run is its own window.
        let rate = self.peak.or_else(|| {
            let ((begun, sum), last) = (self.window?, self.last.back()?);
            between(begun, *last).filter(|time| !time.is_zero()).map(|time| sum as f64 / time.as_secs_f64())
        });
        let by_bytes = rate.filter(|rate| *rate > 0.0).map(|rate| bytes as f64 / rate);
        let by_bytes = by_bytes.and_then(|time| Duration::try_from_secs_f64(time).ok());
        // Each block takes its place when its time is over, full or not.
        let by_blocks = retire.saturating_mul(u32::try_from(self.blocks).unwrap_or(u32::MAX));
        RingUse {
            rings: 1,
            bytes,
            blocks: self.blocks as u64,
            fullest: if overflowed { self.blocks } else { self.fullest.min(self.blocks) } as u64,
            // Where it is known what it has bridged, there is nothing to be reckoned.
            bridges: by_bytes.filter(|_| !overflowed).map(|time| time.min(by_blocks)),
            // None came after it was full: then what it holds is what it bridged.
            bridged: self.bridged.or_else(|| self.filled_in().filter(|_| overflowed)),
            ..RingUse::default()
        }
    }
}

fn between(one: Timestamp, other: Timestamp) -> Option<Duration> {
    u64::try_from(other.nanos_since(one)).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1000;
    const RETIRE: Duration = Duration::from_millis(50);
    const RING: usize = 64;

    /// Blocks with so many bytes, the first at that time, then one after so many milliseconds each; when the next would come.
    fn blocks(usage: &mut Usage, from: u64, each: u64, count: u64, bytes: u32) -> u64 {
        for tick in 0..count {
            usage.note(&block(from + each * tick, bytes), SIZE, false, 1 + (tick % 5) as usize);
        }
        from + each * count
    }

    fn block(at: u64, bytes: u32) -> BlockDescriptor {
        let last = [100 + (at / 1000) as u32, (at % 1000) as u32 * 1_000_000];
        let status = if bytes as usize == SIZE { 1 } else { 1 | STATUS_TIME_OVER };
        // Of a full one a part may not be used, because the next frame did not fit.
        BlockDescriptor { last, status, length: bytes.min(900), ..BlockDescriptor::default() }
    }

    fn millis(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(millis))
    }

    #[test]
    fn the_stall_it_would_bridge_is_by_bytes_at_the_highest_rate() {
        let mut usage = Usage::of(RING);
        let end = blocks(&mut usage, 0, 10, 500, SIZE as u32);
        assert_eq!(usage.told(SIZE, RETIRE, false).bridges, millis(640));
        // A quieter time after it changes nothing.
        blocks(&mut usage, end, 100, 50, 900);
        let told = usage.told(SIZE, RETIRE, false);
        assert_eq!((told.bridges, told.fullest, told.bytes), (millis(640), 5, 64_000));
    }

    /// At 200 packets a second the reader, who is prompt, has seen a block every 50 ms and a tenth of it used.
    #[test]
    fn it_is_no_longer_than_its_blocks_last_however_little_comes() {
        let mut usage = Usage::of(RING);
        blocks(&mut usage, 0, 50, 100, 20);
        assert_eq!(usage.told(SIZE, RETIRE, false).bridges, millis(3_200));
        // More rarely than that: it would be longer, but nothing says that it stays so.
        let mut usage = Usage::of(RING);
        blocks(&mut usage, 0, 500, 100, 20);
        assert_eq!(usage.told(SIZE, RETIRE, false).bridges, millis(3_200));
    }

    #[test]
    fn what_it_bridged_before_it_overflowed_is_told_instead() {
        let mut usage = Usage::of(RING);
        // A stall after a quiet hour. All is read at once, and the rate is not what the reader makes of it.
        blocks(&mut usage, 0, 0, 1, 20);
        let end = blocks(&mut usage, 3_600_000, 50, 64, 20);
        usage.note(&block(end + 1_800, 20), SIZE, true, 1);
        let end = blocks(&mut usage, end + 1_850, 50, 200, 20);
        let told = usage.told(SIZE, RETIRE, true);
        assert_eq!((told.bridges, told.bridged, told.fullest), (None, millis(63 * 50), 64));
        // Of several the shortest.
        let end = blocks(&mut usage, end, 5, 64, SIZE as u32);
        usage.note(&block(end + 100, 20), SIZE, true, 1);
        assert_eq!(usage.told(SIZE, RETIRE, true).bridged, millis(63 * 5));
        // The run ended when it was full.
        let mut usage = Usage::of(RING);
        blocks(&mut usage, 0, 20, 200, 20);
        assert_eq!(usage.told(SIZE, RETIRE, true).bridged, millis(63 * 20));
    }

    #[test]
    fn short_runs_and_clocks_that_go_back() {
        let told = |count| {
            let mut usage = Usage::of(RING);
            blocks(&mut usage, 0, 10, count, SIZE as u32);
            usage.told(SIZE, RETIRE, false).bridges
        };
        assert_eq!((told(11), told(1), told(0)), (millis(640), None, None));
        let mut usage = Usage::of(RING);
        blocks(&mut usage, 5_000, 10, 50, SIZE as u32);
        blocks(&mut usage, 1_000, 10, 50, SIZE as u32);
        assert_eq!(usage.told(SIZE, RETIRE, false).bridges, millis(640));
        assert_eq!(Usage::of(RING).told(1, RETIRE, true).fullest, 64);
    }
}
