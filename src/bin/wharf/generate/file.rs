//! The frames into a capture file instead, with the times at which they would be sent.

use super::Plan;
use super::feed::Feed;
use super::report;
use crate::args;
use crate::exit::Outcome;
use crate::files;
use anyhow::bail;
use std::path::Path;
use wharf::frame::{Frame, Record, Timestamp};
use wharf::sink::transmit::{Pace, Sent};
use wharf::sink::{CaptureFileWriter, Sink};
use wharf::source::Chunk;

pub(super) fn run(mut feed: Feed, path: &Path, read: Option<&Path>, plan: &Plan) -> anyhow::Result<Outcome> {
    if feed.endless && (plan.duration.is_none() || plan.pace == Pace::FlatOut) {
        bail!(args::usage("-w would never end: give --count, or --duration and --rate"));
    }
    files::refuse_terminal(path)?;
    if let Some(read) = read {
        files::refuse_to_overwrite(read, path)?;
    }
    let mut writer = CaptureFileWriter::create(path)?;
    let result = write(&mut feed, &mut writer, plan);
    writer.finish(&[])?;
    report::show_file(&result?, path, plan.json)?;
    Ok(Outcome::Done)
}

fn write(feed: &mut Feed, writer: &mut CaptureFileWriter, plan: &Plan) -> anyhow::Result<Sent> {
    let mut chunk = Chunk::default();
    let mut sent = Sent::default();
    let mut start = None;
    while let Some(mut position) = feed.next(&mut chunk)? {
        for batch in chunk.batches() {
            for frame in batch.frames() {
                let due = std::time::Duration::from_nanos(position.due(plan.pace, &frame.record));
                position.advance(&frame.record);
                if plan.duration.is_some_and(|duration| due >= duration) || plan.shutdown.requested() {
                    return Ok(sent);
                }
                // Flat out there is no telling when: the times that the frames have stay.
                let time = if plan.pace == Pace::FlatOut {
                    frame.record.time
                } else {
                    let start = *start.get_or_insert(frame.record.time.unwrap_or_default());
                    let seconds = start.seconds.saturating_add_unsigned(due.as_secs());
                    Some(Timestamp::new(seconds, start.nanos + due.subsec_nanos()))
                };
                let record = Record { time, ..frame.record };
                writer.write_frame(&Frame { record, ..frame }, batch.interfaces())?;
                sent.offered += 1;
                sent.frames += 1;
                sent.bytes += frame.data.len() as u64;
                sent.elapsed = due;
            }
        }
        if plan.shutdown.requested() {
            break;
        }
    }
    Ok(sent)
}
