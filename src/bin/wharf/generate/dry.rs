//! What would be sent, and whether it could be.

use super::feed::Feed;
use super::{Plan, report, send};
use crate::exit::Outcome;
use std::ops::RangeInclusive;
use std::time::Duration;
use wharf::sink::transmit::{Pace, TransmitOptions};
use wharf::source::Chunk;

/// The frames by number and length.
#[derive(Debug, Default)]
pub(super) struct Preview {
    /// All frames; `None` for those without end.
    pub(super) frames: Option<u64>,
    /// Frames looked at.
    pub(super) seen: u64,
    pub(super) bytes: u64,
    pub(super) lengths: Option<RangeInclusive<usize>>,
    /// When the last of them would be sent, where that can be told.
    pub(super) last: Option<Duration>,
}

/// Frames without end repeat: so many are enough to know them.
const ENOUGH: u64 = 1 << 22;

pub(super) fn run(mut feed: Feed, options: Option<&TransmitOptions>, plan: &Plan) -> anyhow::Result<Outcome> {
    let mut name = None;
    if let Some(options) = options {
        let (device, most) = options.check()?;
        send::check_lengths(&feed, &device.name, most)?;
        // Permissions too, as far as opening a socket shows them.
        drop(options.clone().open()?);
        name = Some(device.name);
    }
    let mut preview = Preview::default();
    let mut chunk = Chunk::default();
    let endless = feed.endless;
    'all: while let Some(mut position) = feed.next(&mut chunk)? {
        for batch in chunk.batches() {
            for frame in batch.frames() {
                let due = Duration::from_nanos(position.due(plan.pace, &frame.record));
                position.advance(&frame.record);
                let enough = endless && preview.seen == ENOUGH;
                if enough
                    || plan.duration.is_some_and(|duration| due >= duration)
                    || plan.shutdown.requested()
                {
                    break 'all;
                }
                let length = frame.data.len();
                let lengths = preview.lengths.take().unwrap_or(length..=length);
                preview.lengths = Some(length.min(*lengths.start())..=length.max(*lengths.end()));
                preview.seen += 1;
                preview.bytes += length as u64;
                preview.last = (plan.pace != Pace::FlatOut).then_some(due);
            }
        }
    }
    preview.frames = (!endless || preview.seen < ENOUGH).then_some(preview.seen);
    report::show_preview(&preview, name.as_deref(), plan)?;
    Ok(Outcome::Done)
}
