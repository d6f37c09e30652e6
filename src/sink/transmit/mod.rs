//! Frames onto a wire: each when it is due, by `AF_PACKET`, with an account of what the kernel took.
//!
//! Frames are sent as they are, from where they lie. With a [`Pace`] each has a due time that follows from its position
//! or its own time, never from when the one before was sent, so that a rate does not drift. Those that are due together
//! go together; in between the sender sleeps, and wakes a little early to wait the rest out.
//!
//! ```no_run
//! use wharf::engine::Engine;
//! use wharf::sink::transmit::{Pace, Transmit};
//! use wharf::source::synthetic::{Synthetic, Traffic};
//!
//! let mut wire = Transmit::on("veth0").pace(Pace::Rate("100k".parse()?)).open()?;
//! let traffic = Traffic { frames: 1_000_000, ..Traffic::default() };
//! Engine::builder().source(Synthetic::new(&traffic)).rest(&mut wire).run()?;
//! assert_eq!(wire.sent().frames, 1_000_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "xdp")]
mod live;
mod options;
mod outlet;
mod pace;
mod position;
mod sent;
mod stamp;
mod timetable;

#[cfg(feature = "xdp")]
pub use live::TransmitLive;
pub use options::TransmitOptions;
pub use pace::{Pace, Rate, Speed};
pub use position::Position;
pub use sent::{Lateness, Refusal, Sent};

use super::{Deliveries, Error, InterfaceStatistics, Sink};
use crate::frame::{Batch, Frame, LinkType, Timestamp};
use crate::sys::packet_sender::BURST;
use outlet::Outlet;
use stamp::Stamper;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use timetable::{Timetable, Waited};

/// Sends frames on an interface; a [`Sink`], and of use by itself.
#[derive(Debug)]
pub struct Transmit {
    outlet: Outlet,
    pace: Pace,
    /// When to end, in nanoseconds since the first frame.
    until: u64,
    stop: Arc<AtomicBool>,
    timetable: Arc<Timetable>,
    position: Position,
    stamper: Option<Stamper>,
    /// Where in each frame of a batch a stamp goes.
    places: Vec<Option<usize>>,
    sent: Sent,
    /// The end was reached: nothing is sent any more.
    over: bool,
    /// This thread has been told to wake up in time.
    precise: bool,
}

impl Transmit {
    /// Options for sending on an interface.
    pub fn on(interface: impl Into<String>) -> TransmitOptions {
        TransmitOptions::new(interface.into())
    }

    /// Sends the frames of a batch, each when it is due, without stamps. False when the end has come: by request, or
    /// because its time is over.
    ///
    /// # Errors
    /// [`Error::Interface`] when it went down, is gone, or takes nothing for a second.
    pub fn send(&mut self, batch: Batch<'_>) -> Result<bool, Error> {
        self.run(batch.len(), |index| batch.frame(index))
    }

    /// Goes on from a position: what comes next is not what follows what came last, as another sender has it.
    pub fn resume(&mut self, position: Position) {
        self.position = position;
    }

    /// Whether the end has come: nothing is sent any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The account up to now.
    #[must_use]
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    fn run<'a>(&mut self, count: usize, frame: impl Fn(usize) -> Frame<'a>) -> Result<bool, Error> {
        if !self.precise && self.pace != Pace::FlatOut {
            timetable::sleep_precisely();
            self.precise = true;
        }
        self.sent.offered += count as u64;
        let mut done = 0;
        let result = loop {
            if done == count {
                break Ok(true);
            }
            let burst = self.await_burst(done..count, &frame);
            if burst.is_empty() {
                break Ok(false);
            }
            done = burst.end;
            match self.burst(burst, &frame) {
                Ok(true) => {}
                end => break end,
            }
        };
        self.over |= !matches!(result, Ok(true));
        self.outlet.settle(&mut self.sent, false);
        self.sent.left += (count - done) as u64;
        self.sent.elapsed = Duration::from_nanos(self.timetable.now());
        self.sent.late.slip = self.timetable.slip();
        result
    }

    /// Waits until the first of these frames is due; gives those that are by then, none when the end has come.
    fn await_burst<'a>(&mut self, left: Range<usize>, frame: &impl Fn(usize) -> Frame<'a>) -> Range<usize> {
        let nothing = left.start..left.start;
        let most = left.end.min(left.start + BURST);
        if self.over {
            return nothing;
        }
        if self.pace == Pace::FlatOut {
            // The clock counts from the first of all frames, and is to be asked only where it matters.
            let is_over = self.timetable.now() >= self.until || self.stop.load(Ordering::Relaxed);
            return if is_over { nothing } else { left.start..most };
        }
        let mut position = self.position;
        let first = frame(left.start).record;
        let due = position.due(self.pace, &first);
        // By the clock on the wall: what everything has been moved by counts.
        if due.saturating_add(self.timetable.slip()) >= self.until {
            return nothing;
        }
        let now = match self.timetable.wait(due, &self.stop) {
            Waited::Due { now, late } => {
                self.sent.late.add(late);
                now
            }
            Waited::Stopped => return nothing,
        };
        position.advance(&first);
        let mut end = left.start + 1;
        while end < most {
            let record = frame(end).record;
            let due = position.due(self.pace, &record);
            if !self.timetable.is_due(due, now) || due >= self.until {
                break;
            }
            position.advance(&record);
            end += 1;
        }
        left.start..end
    }

    /// Sends these frames, at most [`BURST`], at once.
    fn burst<'a>(&mut self, burst: Range<usize>, frame: &impl Fn(usize) -> Frame<'a>) -> Result<bool, Error> {
        let mut frames: [&[u8]; BURST] = [&[]; BURST];
        let mut count = 0;
        let time = self.stamper.as_mut().map(|stamper| {
            stamper.clear();
            wall_clock()
        });
        for index in burst {
            let Frame { data, record, .. } = frame(index);
            let number = self.position.frames();
            self.position.advance(&record);
            if record.link_type != LinkType::ETHERNET {
                self.sent.refuse(Refusal::LinkType);
                continue;
            }
            if record.captured < record.wire_length {
                self.sent.refuse(Refusal::Cut);
                continue;
            }
            if let (Some(stamper), Some(time)) = (&mut self.stamper, time) {
                let place = self.places.get(index).copied().flatten();
                self.sent.unstamped += u64::from(place.is_none());
                stamper.push(data, place, number, time);
            }
            frames[count] = data;
            count += 1;
        }
        if let Some(stamper) = &self.stamper {
            frames.iter_mut().zip(stamper.frames()).for_each(|(frame, stamped)| *frame = stamped);
        }
        self.outlet.deliver(&frames[..count], &mut self.sent, &self.stop)
    }
}

fn wall_clock() -> Timestamp {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(time.as_secs() as i64, time.subsec_nanos())
}

impl Sink for Transmit {
    /// As [`Transmit::send`], with stamps where they were asked for. After the end packets are left.
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        if self.stamper.is_some() {
            self.places.clear();
            self.places.extend(packets.iter().map(|delivery| stamp::place(&delivery.packet)));
        }
        let Deliveries { batch, chosen, .. } = packets;
        self.run(chosen.len(), |index| batch.frame(chosen[index].into())).map(drop)
    }

    /// Waits for what is under way, a second at most.
    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        self.outlet.flush(&mut self.sent)
    }

    /// Those that the kernel took.
    fn kept(&self) -> Option<u64> {
        Some(self.sent.frames)
    }

    fn wants_layers(&self) -> bool {
        self.stamper.is_some()
    }
}
