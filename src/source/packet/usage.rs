//! How full a ring ever was, and how long it would have bridged.

use crate::source::RingUse;
use std::time::{Duration, Instant};

/// Rates are taken over at least so long: of a shorter time chance makes too much.
const WINDOW: Duration = Duration::from_secs(1);

/// What is noted with each block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Most blocks that were not the kernel's at a time.
    fullest: usize,
    /// When the window began, and the blocks since.
    window: Option<(Instant, u32)>,
    /// Blocks a second in the window with the most.
    peak: Option<f64>,
    /// The last block came then.
    last: Option<Instant>,
}

impl Usage {
    /// A block has come; so many are not the kernel's.
    pub(super) fn note(&mut self, now: Instant, in_use: usize) {
        self.fullest = self.fullest.max(in_use);
        self.last = Some(now);
        let (begun, blocks) = self.window.get_or_insert((now, 0));
        let time = now.duration_since(*begun);
        if time >= WINDOW {
            let rate = f64::from(*blocks) / time.as_secs_f64();
            self.peak = Some(self.peak.map_or(rate, |peak| peak.max(rate)));
            (*begun, *blocks) = (now, 0);
        }
        *blocks += 1;
    }

    /// Of a ring of so many blocks of that size, which has overflowed or not.
    pub(super) fn told(&self, blocks: usize, block_size: u64, overflowed: bool) -> RingUse {
        let fullest = if overflowed { blocks } else { self.fullest.min(blocks) };
        // A short run is its own window.
        let rate = self.peak.or_else(|| {
            let ((begun, blocks), last) = (self.window?, self.last?);
            let time = last.duration_since(begun).as_secs_f64();
            (blocks > 1 && time > 0.0).then(|| f64::from(blocks - 1) / time)
        });
        let bridges = rate.filter(|rate| *rate > 0.0).map(|rate| blocks as f64 / rate);
        RingUse {
            rings: 1,
            bytes: block_size * blocks as u64,
            blocks: blocks as u64,
            fullest: fullest as u64,
            bridges: bridges.and_then(|time| Duration::try_from_secs_f64(time).ok()),
            ..RingUse::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(each: Duration, count: u32) -> Usage {
        let (mut usage, begun) = (Usage::default(), Instant::now());
        (0..count).for_each(|tick| usage.note(begun + each * tick, 1 + (tick % 5) as usize));
        usage
    }

    #[test]
    fn the_stall_it_would_have_bridged_is_that_at_the_highest_rate() {
        let mut usage = ticks(Duration::from_millis(10), 500);
        assert_eq!(usage.told(64, 1 << 20, false).bridges, Some(Duration::from_millis(640)));
        // A quieter time after it changes nothing.
        let later = usage.last.unwrap();
        (1..50).for_each(|tick| usage.note(later + Duration::from_millis(100) * tick, 1));
        let told = usage.told(64, 1 << 20, false);
        assert_eq!((told.bridges, told.fullest, told.bytes), (Some(Duration::from_millis(640)), 5, 64 << 20));
    }

    #[test]
    fn short_runs_and_overflows() {
        let told = ticks(Duration::from_millis(10), 11).told(64, 1, false);
        assert_eq!(told.bridges, Some(Duration::from_millis(640)));
        assert_eq!(ticks(Duration::from_millis(1), 1).told(64, 1, false).bridges, None);
        assert_eq!(Usage::default().told(64, 1, true).fullest, 64);
    }
}
