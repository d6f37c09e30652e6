//! Packets on their way into a window of what meters are to take in.

use crate::flow::names::{Hint, Sieve};
use crate::flow::{Window, is_wrong};
use crate::sink::{Chunked, Deliveries};
use std::sync::Arc;

/// Finds packets that may tell of names.
pub(super) struct Scout {
    /// What all threads have found that read the same source.
    sieve: Arc<Sieve>,
    /// Segments in the middle of something, if others read what comes before them.
    rests: Option<Vec<Rest>>,
}

/// Such a segment.
struct Rest {
    ports: (u16, u16),
    /// Its place in the window.
    order: u32,
    /// Its number in the source.
    number: u64,
}

impl Scout {
    /// For somebody who reads all packets.
    pub(super) fn alone() -> Self {
        Self { sieve: Arc::default(), rests: None }
    }

    /// For one of several.
    pub(super) fn among(sieve: &Arc<Sieve>) -> Self {
        Self { sieve: Arc::clone(sieve), rests: Some(Vec::new()) }
    }

    /// Goes through a chunk once more, when all before it have been seen: for what goes on with an opening there.
    pub(super) fn look_back(&mut self, window: &mut Window, chunk: &dyn Chunked) {
        let Self { sieve, rests: Some(rests) } = self else { return };
        rests.retain(|rest| sieve.is_open(rest.ports));
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
            Hint::Opening(ports, payload) => scout.sieve.open(ports, payload),
            Hint::Rest(ports) if scout.sieve.is_open(ports) => {}
            Hint::Rest(ports) => {
                if let Some(rests) = &mut scout.rests {
                    rests.push(Rest { ports, order, number: brief.record.number });
                }
                continue;
            }
        }
        window.note(brief.record, data, order);
    }
}
