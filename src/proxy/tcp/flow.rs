//! One direction of a connection: bytes from one socket to another.
//!
//! Bytes go through a buffer that all connections of a worker share, and what the receiving socket does not take is kept
//! in memory of its own until it does, as much as that is; nothing more is read meanwhile. Where reads keep filling the
//! buffer, bytes go through a pipe instead (splice(2)), by reference. A connection that is idle holds neither.

use super::pipes::{Pipe, Pipes};
use super::side::Side;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use rustix::pipe::{SpliceFlags, splice};
use std::ops::Range;

/// Bytes of the shared buffer, and so the most that is kept for one direction.
const BUFFER: usize = 32 << 10;
/// Reads in a row that fill the buffer before a pipe takes over (perf/notes/proxy.md has what other numbers cost).
const FULL_READS: u8 = 1;
/// Bytes asked of one splice.
const SPLICE: usize = 1 << 20;
/// Bytes by pipe at a time below which the buffer is cheaper again.
const SMALL: usize = 16 << 10;
/// Bytes one direction may move before others have their turn.
const BUDGET: usize = 1 << 20;
/// Small buffers kept for later.
const SPARE: usize = 64;
/// Bytes of what is read from many connections before any of it is sent.
const SMALL_BUFFER: usize = 4 << 10;

/// What all connections of a worker use.
#[derive(Debug)]
pub(super) struct Tools {
    buffer: Box<[u8]>,
    small: Vec<Box<[u8]>>,
    pipes: Pipes,
}

impl Tools {
    pub(super) fn new(pipes: usize, large: usize) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { buffer, small: Vec::new(), pipes: Pipes::new(pipes, large) }
    }

    /// Room to look at bytes in.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    fn small(&mut self) -> Box<[u8]> {
        self.small.pop().unwrap_or_else(|| vec![0; SMALL_BUFFER].into_boxed_slice())
    }

    /// Many may wait for their servers, or for ends that do not read: each with no more than it has to.
    fn keep(&mut self, range: Range<usize>) -> Rest {
        let length = range.len();
        let bytes = match length <= SMALL_BUFFER {
            true => {
                let mut bytes = self.small();
                bytes[..length].copy_from_slice(&self.buffer[range]);
                bytes
            }
            false => Box::from(&self.buffer[range]),
        };
        Rest { bytes, left: 0..length }
    }

    fn take_back(&mut self, Rest { bytes, .. }: Rest) {
        if bytes.len() == SMALL_BUFFER && self.small.len() < SPARE {
            self.small.push(bytes);
        }
    }
}

/// Bytes read that could not be written yet.
#[derive(Debug)]
struct Rest {
    bytes: Box<[u8]>,
    left: Range<usize>,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    rest: Option<Rest>,
    pipe: Option<Pipe>,
    /// Bytes in the pipe.
    piped: usize,
    /// Bytes sent on so far.
    pub(super) bytes: u64,
    /// Of those, by pipe.
    pub(super) spliced: u64,
    /// Reads in a row that filled the buffer.
    full_reads: u8,
    /// What it said last was more than a small buffer takes.
    large: bool,
    /// The source has said all.
    ended: bool,
    /// And the receiver was told.
    pub(super) told: bool,
}

/// How a receiver is told that the source has said all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// At once, by a shutdown.
    Now,
    /// Not yet: it is not connected.
    Later,
    /// By the close that follows, since the other direction is done.
    ByClosing,
}

/// Where a direction stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Until the kernel says more of a socket.
    Waits,
    /// For the others' sake: there is more to do.
    Turn,
}

/// Which socket failed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The one that is read.
    Source(Errno),
    /// The one that is written.
    Sink(Errno),
}

impl Flow {
    /// Whether something was read that is not sent on yet.
    pub(super) fn holds(&self) -> bool {
        self.rest.is_some() || self.piped > 0
    }

    /// The source has said all, and all of it was sent on.
    pub(super) fn is_over(&self) -> bool {
        self.ended && !self.holds()
    }

    /// Reads what there is at first, before there is anywhere to send it to.
    pub(super) fn read_ahead(&mut self, from: &mut Side, tools: &mut Tools) -> Result<(), Errno> {
        if let Some(length) = self.read(from, tools)? {
            self.rest = Some(tools.keep(0..length));
        }
        Ok(())
    }

    /// Reads what is probably little, to be sent by the next [`pump`](Self::pump). False where that had better do both.
    pub(super) fn gather(&mut self, from: &mut Side, tools: &mut Tools) -> Result<bool, Errno> {
        if self.large || self.ended || self.holds() || self.pipe.is_some() {
            return Ok(false);
        }
        let mut bytes = tools.small();
        let result = recv(&from.socket, &mut bytes[..], RecvFlags::empty()).map(|(_, length)| length);
        let mut rest = Rest { bytes, left: 0..0 };
        match result {
            Ok(length @ 1..) => {
                self.large = length == SMALL_BUFFER;
                if !self.large {
                    self.ended = from.drained();
                }
                rest.left = 0..length;
                self.rest = Some(rest);
                return Ok(true);
            }
            Ok(0) => self.ended = true,
            Err(Errno::AGAIN) => (from.readable, from.urgent) = (false, false),
            Err(Errno::INTR) => {}
            Err(error) => {
                tools.take_back(rest);
                return Err(error);
            }
        }
        tools.take_back(rest);
        Ok(false)
    }

    /// Moves what can be moved, and tells the receiver of the end as `telling` says.
    pub(super) fn pump(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        tools: &mut Tools,
        telling: Telling,
    ) -> Result<Stop, Fault> {
        let begun = self.bytes;
        loop {
            if self.holds() {
                if !to.writable {
                    return Ok(Stop::Waits);
                }
                self.send_kept(to, tools).map_err(Fault::Sink)?;
                continue;
            }
            if self.ended {
                self.give_back(tools);
                if !self.told && telling != Telling::Later {
                    self.told = true;
                    if telling == Telling::ByClosing {
                        return Ok(Stop::Waits);
                    }
                    match shutdown(&to.socket, Shutdown::Write) {
                        // It is gone already, which its own reads will tell.
                        Ok(()) | Err(Errno::NOTCONN) => {}
                        Err(error) => return Err(Fault::Sink(error)),
                    }
                }
                return Ok(Stop::Waits);
            }
            if !from.readable || !to.writable {
                if !from.readable {
                    self.give_back(tools);
                }
                return Ok(Stop::Waits);
            }
            if self.bytes - begun >= BUDGET as u64 {
                return Ok(Stop::Turn);
            }
            // At an urgent byte splice(2) stops for good; recv(2) passes over it.
            let by_pipe = self.full_reads >= FULL_READS && !from.urgent;
            if by_pipe && self.fill_pipe(from, tools).map_err(Fault::Source)? {
                continue;
            }
            self.copy(from, to, tools)?;
        }
    }

    /// Reads into the shared buffer: how much, if there was something.
    fn read(&mut self, from: &mut Side, tools: &mut Tools) -> Result<Option<usize>, Errno> {
        let length = match recv(&from.socket, &mut tools.buffer[..], RecvFlags::empty()) {
            Ok((_, 0)) => {
                self.ended = true;
                return Ok(None);
            }
            Ok((_, length)) => length,
            Err(Errno::AGAIN) => {
                (from.readable, from.urgent) = (false, false);
                return Ok(None);
            }
            Err(Errno::INTR) => return Ok(None),
            Err(error) => return Err(error),
        };
        if length == tools.buffer.len() {
            self.full_reads = self.full_reads.saturating_add(1);
        } else {
            self.full_reads = 0;
            self.large = length >= SMALL_BUFFER;
            self.ended = from.drained();
        }
        Ok(Some(length))
    }

    /// Reads into the shared buffer and writes from there.
    fn copy(&mut self, from: &mut Side, to: &mut Side, tools: &mut Tools) -> Result<(), Fault> {
        let Some(length) = self.read(from, tools).map_err(Fault::Source)? else { return Ok(()) };
        // The end may travel with these bytes: one segment less, and one event at the other side.
        let more = if self.ended { SendFlags::MORE } else { SendFlags::empty() };
        let sent = match send(&to.socket, &tools.buffer[..length], SendFlags::NOSIGNAL | more) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => {
                // For a server that is tried next: nothing of it was taken by this one.
                self.rest = Some(tools.keep(0..length));
                return Err(Fault::Sink(error));
            }
        };
        self.bytes += sent as u64;
        if sent < length {
            to.writable = false;
            self.rest = Some(tools.keep(sent..length));
        }
        Ok(())
    }

    /// Writes what was kept, from buffer or pipe.
    fn send_kept(&mut self, to: &mut Side, tools: &mut Tools) -> Result<(), Errno> {
        if let Some(rest) = &mut self.rest {
            let more = if self.ended { SendFlags::MORE } else { SendFlags::empty() };
            match send(&to.socket, &rest.bytes[rest.left.clone()], SendFlags::NOSIGNAL | more) {
                Ok(sent) => {
                    self.bytes += sent as u64;
                    rest.left.start += sent;
                    to.writable = rest.left.is_empty();
                }
                Err(Errno::AGAIN) => to.writable = false,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            if rest.left.is_empty()
                && let Some(rest) = self.rest.take()
            {
                tools.take_back(rest);
            }
            return Ok(());
        }
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(&pipe.read, None, &to.socket, None, self.piped, flags) {
            Ok(sent) => {
                self.bytes += sent as u64;
                self.spliced += sent as u64;
                self.piped -= sent.min(self.piped);
            }
            Err(Errno::AGAIN) => to.writable = false,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads into a pipe; false where there is none to be had, or a read has to tell what it is that comes.
    fn fill_pipe(&mut self, from: &mut Side, tools: &mut Tools) -> Result<bool, Errno> {
        if self.pipe.is_none() {
            self.pipe = tools.pipes.lend();
        }
        let Some(pipe) = &self.pipe else { return Ok(false) };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(&from.socket, None, &pipe.write, None, SPLICE, flags) {
            Ok(0) => {
                // The end, or an urgent byte with the end behind it.
                self.full_reads = 0;
                self.give_back(tools);
                return Ok(false);
            }
            Ok(length) => {
                self.piped = length;
                if length < SMALL {
                    self.full_reads = 0;
                }
            }
            // The pipe is empty: it is the socket that has nothing.
            Err(Errno::AGAIN) => from.readable = false,
            Err(Errno::INTR) => {}
            Err(Errno::INVAL) => {
                // A socket that cannot be spliced.
                self.full_reads = 0;
                self.give_back(tools);
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    fn give_back(&mut self, tools: &mut Tools) {
        if self.piped == 0
            && let Some(pipe) = self.pipe.take()
        {
            tools.pipes.give_back(pipe);
        }
    }

    /// Gives back all that was used of the worker's, the bytes in it being lost.
    pub(super) fn dissolve(&mut self, tools: &mut Tools) {
        if let Some(rest) = self.rest.take() {
            tools.take_back(rest);
        }
        self.give_back(tools);
        if let Some(pipe) = self.pipe.take() {
            tools.pipes.discard(pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_takes_no_more_room_than_it_has_to() {
        let mut tools = Tools::new(0, 0);
        tools.buffer.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number as u8);
        for (range, room) in [
            (0..1, SMALL_BUFFER),
            (7..7 + SMALL_BUFFER, SMALL_BUFFER),
            (3..3 + SMALL_BUFFER + 1, SMALL_BUFFER + 1),
            (0..BUFFER, BUFFER),
        ] {
            let rest = tools.keep(range.clone());
            assert_eq!(rest.bytes.len(), room, "{range:?}");
            assert_eq!(rest.bytes[rest.left.clone()], tools.buffer[range]);
            tools.take_back(rest);
        }
        assert_eq!(tools.small.len(), 1, "kept for the next one, and used by it");
    }
}
