//! From frames that are due to the kernel, with what to do about each of its answers.

use super::{Error, Refusal, Sent};
use crate::sys::packet_sender::PacketSender;
use crate::sys::problem::{self, Problem};
#[cfg(feature = "xdp")]
use crate::sys::xdp;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Once an interface has taken nothing for so long, something is wrong with it.
const STALL: Duration = Duration::from_secs(1);
/// Tries without a pause between them: a queue is emptied within microseconds.
const HASTY: u32 = 1_000;
const PAUSE: Duration = Duration::from_micros(50);

/// Longest wait for what is under way at the end.
#[cfg(feature = "xdp")]
const FLUSH: Duration = Duration::from_secs(1);

/// A socket on an interface.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) sender: Sender,
    /// Frames that were taken and then thrown away, as far as the account has them.
    pub(super) thrown_away: u64,
}

/// Either kind of socket.
#[derive(Debug)]
pub(super) enum Sender {
    Packet(PacketSender),
    #[cfg(feature = "xdp")]
    Xdp(Box<xdp::Sender>),
}

impl Sender {
    /// How many of the frames were taken, at least one.
    fn send(&mut self, frames: &[&[u8]]) -> io::Result<usize> {
        match self {
            Self::Packet(sender) => sender.send(frames),
            #[cfg(feature = "xdp")]
            Self::Xdp(sender) => {
                // It takes none of a batch that has one too long for it.
                let fits = |frame: &&&[u8]| frame.len() <= sender.longest() && !frame.is_empty();
                match frames.iter().take_while(fits).count() {
                    0 => Err(io::Error::from_raw_os_error(libc::EMSGSIZE)),
                    fitting => match sender.send_batch(&frames[..fitting])? {
                        0 => Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
                        taken => Ok(taken),
                    },
                }
            }
        }
    }

    /// The device counts a drop each time it has no room for a frame, which is then given to it again. Through AF_XDP it is
    /// the socket's own memory that has no room, of which the device knows nothing.
    fn is_refused_by_the_device(&self) -> bool {
        matches!(self, Self::Packet(_))
    }

    /// How many of the frames that were taken the kernel threw away, as far as is known at once, or, `in_full`, at all.
    #[cfg_attr(not(feature = "xdp"), expect(unused_variables, reason = "only AF_XDP tells some of it later"))]
    fn thrown_away(&self, in_full: bool) -> u64 {
        match self {
            Self::Packet(_) => 0,
            #[cfg(feature = "xdp")]
            Self::Xdp(sender) => {
                let invalid = || sender.statistics().map_or(0, |counts| counts.tx_invalid);
                sender.counts().refused + if in_full { invalid() } else { 0 }
            }
        }
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Packet(sender) => sender.as_fd(),
            #[cfg(feature = "xdp")]
            Self::Xdp(sender) => sender.as_fd(),
        }
    }
}

impl Outlet {
    /// Hands frames over until the kernel has taken or refused every one. False when the end was asked for before.
    pub(super) fn deliver(
        &mut self,
        frames: &[&[u8]],
        sent: &mut Sent,
        stop: &AtomicBool,
    ) -> Result<bool, Error> {
        let mut done = 0;
        let mut waiting = Waiting::default();
        let refused = u64::from(self.sender.is_refused_by_the_device());
        // The kernel took fewer than it was given; why, the next call tells.
        let mut short = false;
        while done < frames.len() {
            match self.sender.send(&frames[done..]) {
                Ok(count) => {
                    // Nothing was wrong with the frame itself: there was no room for it.
                    sent.retries += refused * u64::from(std::mem::take(&mut short));
                    let taken = &frames[done..done + count];
                    sent.frames += count as u64;
                    sent.bytes += taken.iter().map(|frame| frame.len() as u64).sum::<u64>();
                    done += count;
                    short = done < frames.len();
                    waiting = Waiting::default();
                }
                Err(error) => match error.raw_os_error().unwrap_or(libc::EIO) {
                    libc::EINTR => {}
                    libc::ENOBUFS | libc::EAGAIN => {
                        sent.retries += refused * (1 + u64::from(std::mem::take(&mut short)));
                        if stop.load(Ordering::Relaxed) {
                            sent.left += (frames.len() - done) as u64;
                            return Ok(false);
                        }
                        if waiting.for_too_long() {
                            sent.left += (frames.len() - done) as u64;
                            return Err(self.failed(error));
                        }
                    }
                    libc::ENETDOWN | libc::ENXIO | libc::ENODEV | libc::EPERM | libc::EACCES => {
                        sent.left += (frames.len() - done) as u64;
                        return Err(self.failed(error));
                    }
                    code => {
                        let reason =
                            if code == libc::EMSGSIZE { Refusal::TooLong } else { Refusal::Error(code) };
                        sent.refuse(reason);
                        done += 1;
                        short = false;
                    }
                },
            }
        }
        Ok(true)
    }

    /// Waits until nothing is under way any more; after that the account is final.
    pub(super) fn flush(&mut self, sent: &mut Sent) -> Result<(), Error> {
        let result = match &mut self.sender {
            Sender::Packet(_) => Ok(()),
            #[cfg(feature = "xdp")]
            Sender::Xdp(sender) => match sender.flush(FLUSH) {
                Ok(0) => Ok(()),
                Ok(_) => Err(self.failed(io::Error::from_raw_os_error(libc::ENOBUFS))),
                Err(error) => Err(self.failed(error)),
            },
        };
        self.settle(sent, true);
        result
    }

    /// Has the account say of frames which were taken and then thrown away that they were not sent; all of them, `in_full`.
    pub(super) fn settle(&mut self, sent: &mut Sent, in_full: bool) {
        let known = self.sender.thrown_away(in_full).max(self.thrown_away);
        sent.throw_away(known - std::mem::replace(&mut self.thrown_away, known));
    }

    fn failed(&self, error: io::Error) -> Error {
        // Asked through the socket: this thread may be in another network namespace by now.
        let there = rustix::net::netdevice::index_to_name(&self.sender, self.index).is_ok();
        let meaning = |error: &io::Error| match error.raw_os_error() {
            Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) if !there => problem::GONE.to_owned(),
            Some(libc::ENETDOWN) => problem::WENT_DOWN.to_owned(),
            Some(libc::ENOBUFS | libc::EAGAIN) => problem::TAKES_NOTHING.to_owned(),
            _ => format!("it takes no frames: {error}"),
        };
        Error::of_interface(self.name.clone(), Problem::of(error, meaning))
    }
}

/// Patience with an interface that takes nothing.
#[derive(Default)]
struct Waiting {
    tries: u32,
    since: Option<Instant>,
}

impl Waiting {
    /// Waits a little; true when that has been going on for too long.
    fn for_too_long(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.tries = self.tries.saturating_add(1);
        if self.tries < HASTY {
            // The receive side of a veth pair may need this very CPU to make room.
            thread::yield_now();
            return false;
        }
        thread::sleep(PAUSE);
        since.elapsed() >= STALL
    }
}
