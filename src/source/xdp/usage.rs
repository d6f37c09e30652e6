//! How full a queue's memory ever was, and how long it would have bridged.

use crate::source::RingUse;
use std::time::{Duration, Instant};

/// Rates are taken over at least so long: of a shorter time chance makes too much.
const WINDOW: Duration = Duration::from_secs(1);

/// What is noted with each run of frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Most chunks that were not the kernel's at a time.
    fullest: u64,
    /// When the window began, and the frames since.
    window: Option<(Instant, u64)>,
    /// Frames a second in the window with the most.
    peak: Option<f64>,
    /// The last run was taken then.
    last: Option<Instant>,
}

impl Usage {
    /// So many chunks are not the kernel's.
    pub(super) fn in_use(&mut self, chunks: u64) {
        self.fullest = self.fullest.max(chunks);
    }

    /// A run of frames has been taken.
    pub(super) fn note(&mut self, now: Instant, frames: u64) {
        self.last = Some(now);
        let Some((begun, count)) = &mut self.window else {
            // What lay there at first came at no rate that can be told.
            self.window = Some((now, 0));
            return;
        };
        *count += frames;
        let time = now.duration_since(*begun);
        if time >= WINDOW {
            let rate = *count as f64 / time.as_secs_f64();
            self.peak = Some(self.peak.map_or(rate, |peak| peak.max(rate)));
            (*begun, *count) = (now, 0);
        }
    }

    /// Of a memory of so many chunks of that size, which has overflowed or not.
    pub(super) fn told(&self, chunks: u64, size: u64, overflowed: bool) -> RingUse {
        // A short run is its own window.
        let rate = self.peak.or_else(|| {
            let ((begun, count), last) = (self.window?, self.last?);
            let time = last.duration_since(begun).as_secs_f64();
            (time > 0.0).then(|| count as f64 / time)
        });
        let bridges = rate.filter(|rate| *rate > 0.0).map(|rate| chunks as f64 / rate);
        RingUse {
            rings: 1,
            bytes: chunks * size,
            blocks: chunks,
            fullest: if overflowed { chunks } else { self.fullest.min(chunks) },
            bridges: bridges.and_then(|time| Duration::try_from_secs_f64(time).ok()),
            ..RingUse::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stall_it_would_have_bridged_is_that_at_the_highest_rate() {
        let (mut usage, begun) = (Usage::default(), Instant::now());
        let tick = Duration::from_millis(10);
        (0..=11).for_each(|number| usage.note(begun + tick * number, 100));
        [5, 40, 3].into_iter().for_each(|chunks| usage.in_use(chunks));
        let told = usage.told(1 << 14, 2048, false);
        assert_eq!((told.bytes, told.blocks, told.fullest), (32 << 20, 1 << 14, 40), "{told:?}");
        assert_eq!(told.bridges.map(|time| time.as_millis()), Some(1_638), "a short run");
        (12..500).for_each(|number| usage.note(begun + tick * number, 100));
        // A quieter time after it changes nothing.
        (1..50).for_each(|number| usage.note(begun + tick * 500 + WINDOW * number, 1));
        let told = usage.told(1 << 14, 2048, true);
        assert_eq!((told.bridges.map(|time| time.as_millis()), told.fullest), (Some(1_638), 1 << 14));
        assert_eq!(Usage::default().told(64, 1, false).bridges, None);
    }
}
