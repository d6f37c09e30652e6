//! Packets on their way into a window of what meters are to take in.

use crate::flow::names::{Hint, Second, Sieve};
use crate::flow::{Window, is_wrong};
use crate::sink::{Chunked, Deliveries};
use std::sync::Arc;

/// Seconds after which a live capture forgets between which ports something had begun, and up to twice as long: longer than
/// [`Naming`](crate::flow::names::Naming) waits for the rest of it.
const TURN: i64 = 10;

/// Finds packets that may tell of names.
pub(super) struct Scout {
    /// What all threads have found that read the same source.
    sieve: Arc<Sieve>,
    /// Segments in the middle of something, if others read what comes before them.
    rests: Option<Vec<Rest>>,
    aging: Option<Aging>,
}

/// Of a source without an end, whose sieve would fill up in days: what was found in the time before this.
#[derive(Default)]
struct Aging {
    before: Sieve,
    turn: i64,
}

/// Such a segment.
struct Rest {
    ports: (u16, u16),
    second: Second,
    /// Its place in the window.
    order: u32,
    /// Its number in the source.
    number: u64,
}

impl Scout {
    /// For somebody who reads all packets.
    pub(super) fn alone() -> Self {
        Self { sieve: Arc::default(), rests: None, aging: None }
    }

    /// The same for packets that do not end.
    pub(super) fn live() -> Self {
        Self { aging: Some(Aging::default()), ..Self::alone() }
    }

    /// For one of several.
    pub(super) fn among(sieve: &Arc<Sieve>) -> Self {
        Self { sieve: Arc::clone(sieve), rests: Some(Vec::new()), aging: None }
    }

    /// It is that second, by the packets' clock.
    fn age(&mut self, second: i64) {
        let turn = second.div_euclid(TURN);
        if let Some(aging) = self.aging.as_mut().filter(|aging| turn > aging.turn)
            && let Some(sieve) = Arc::get_mut(&mut self.sieve)
        {
            std::mem::swap(sieve, &mut aging.before);
            sieve.clear();
            aging.turn = turn;
        }
    }

    /// What comes between these ports then may go on with an opening, or come before it.
    #[inline(always)]
    fn is_open(&self, ports: (u16, u16), second: Second) -> bool {
        let open = |sieve: &Sieve| sieve.is_open(ports) || sieve.has_begun(ports, second);
        open(&self.sieve) || self.aging.as_ref().is_some_and(|aging| open(&aging.before))
    }

    /// Goes through a chunk once more, when all before it have been seen: for what goes on with an opening there.
    pub(super) fn look_back(&mut self, window: &mut Window, chunk: &dyn Chunked) {
        let Self { sieve, rests: Some(rests), .. } = self else { return };
        rests.retain(|rest| sieve.is_open(rest.ports) || sieve.has_begun(rest.ports, rest.second));
        if rests.is_empty() {
            return;
        }
        let mut rests = rests.drain(..).peekable();
        for batch in chunk.batches() {
            let records = batch.records();
            let last = records.last().map_or(0, |record| record.number);
            while let Some(rest) = rests.next_if(|rest| rest.number <= last) {
                let at = records.partition_point(|record| record.number < rest.number);
                if records.get(at).is_some_and(|record| record.number == rest.number) {
                    window.note(&records[at], batch.frame(at).data, rest.order);
                }
            }
        }
        window.sort_notes();
    }
}

/// Takes in packets, the quick way those that can be. With a scout, those that may tell of names are copied.
pub(super) fn see(window: &mut Window, packets: Deliveries<'_>, scout: Option<&mut Scout>) {
    if packets.lost() > 0 {
        window.loss();
    }
    let Some(scout) = scout else {
        for brief in packets.briefs() {
            let common = packets.common(brief);
            let quick = common.and_then(|data| window.add_common(brief.record, data, brief.summary));
            if quick.is_none() {
                let packet = packets.packet(brief);
                window.add(&packet, is_wrong(&packet, || packets.verdicts(brief)));
            }
        }
        return;
    };
    if let Some(time) = packets.records().last().and_then(|record| record.time) {
        scout.age(time.seconds);
    }
    for brief in packets.briefs() {
        let order = window.len() as u32;
        let common = packets.common(brief);
        let quick =
            common.and_then(|data| Some((data, window.add_common(brief.record, data, brief.summary)?)));
        let (hint, data) = match quick {
            // Its receiver throws it away: it names nothing.
            Some((_, true)) => continue,
            Some((data, false)) => (Hint::of_common(data, brief.summary), data),
            None => {
                let packet = packets.packet(brief);
                let wrong = is_wrong(&packet, || packets.verdicts(brief));
                window.add(&packet, wrong);
                if wrong {
                    continue;
                }
                (Hint::of(&packet), packet.frame().data)
            }
        };
        match hint {
            Hint::Nothing => continue,
            Hint::Look => {}
            Hint::Begin(ports) => scout.sieve.begin(ports, Second::of(brief.record.time)),
            Hint::Opening(ports, payload) => scout.sieve.open(ports, payload),
            Hint::Rest(ports) => {
                let second = Second::of(brief.record.time);
                if !scout.is_open(ports, second) {
                    if let Some(rests) = &mut scout.rests {
                        rests.push(Rest { ports, second, order, number: brief.record.number });
                    }
                    continue;
                }
            }
        }
        window.note(brief.record, data, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_capture_forgets_what_had_begun() {
        let ports = (40_000, 443);
        let (mut scout, mut forever) = (Scout::live(), Scout::alone());
        for scout in [&mut scout, &mut forever] {
            scout.age(1_700_000_000);
            scout.sieve.open(ports, b"\x16\x03\x01\x02\0\x01\0");
            assert!(scout.is_open(ports, Second::of(None)));
            // Neither as long as its rest is waited for, nor when the clock is set back.
            scout.age(1_700_000_010);
            scout.age(1_600_000_000);
            assert!(scout.is_open(ports, Second::of(None)));
            scout.age(1_700_000_020);
        }
        let now = Second::of(None);
        assert!(!scout.is_open(ports, now) && forever.is_open(ports, now));
    }
}
