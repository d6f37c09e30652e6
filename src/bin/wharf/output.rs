//! Standard output, whose reader may have stopped reading: it is waited for, but not for ever once the end was asked for.

use crate::{exit, signals};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, LineWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often it is looked whether the end was asked for.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// When it is told what is waited for.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// For so long after the end was asked for, a reader that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// And for so long one that takes a little now and then.
const PATIENCE_IN_ALL: Duration = Duration::from_secs(30);

/// A pipe or a terminal opened a second time, so as not to be blocked in a write: with whoever else has the first one
/// (a shell, another program), that would be shared.
static OPENED_AGAIN: OnceLock<Option<File>> = OnceLock::new();
/// Nobody is waited for any more.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);
static TOLD: AtomicBool = AtomicBool::new(false);

/// Looks what standard output is.
pub(crate) fn prepare() {
    let _ = opened_again();
}

/// Standard output, as [`std::io::stdout`] has it: lines are handed on whole.
pub(crate) fn stdout() -> LineWriter<Output> {
    LineWriter::new(Output)
}

/// Standard output without a buffer.
pub(crate) struct Output;

/// None of what never waits long (a file), or cannot be opened so (a socket): it is written to as it is.
fn opened_again() -> Option<&'static File> {
    OPENED_AGAIN.get_or_init(open_again).as_ref()
}

fn open_again() -> Option<File> {
    let stdout = io::stdout();
    let is_pipe = fstat(&stdout).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if !is_pipe && !stdout.is_terminal() {
        return None;
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    OpenOptions::new().write(true).custom_flags(flags).open("/proc/self/fd/1").ok()
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(mut file) = opened_again() else {
            return Ok(rustix::io::write(io::stdout(), bytes)?);
        };
        let since = Instant::now();
        loop {
            match file.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(file, since)?,
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until there is room, as there has not been since then.
fn wait(file: &File, since: Instant) -> io::Result<()> {
    loop {
        if let Some(asked) = signals::asked() {
            let (stalled, in_all) = (since.max(asked).elapsed(), asked.elapsed());
            if signals::asked_again() || stalled > PATIENCE || in_all > PATIENCE_IN_ALL {
                GIVEN_UP.store(true, Ordering::Relaxed);
            } else if in_all > TOLD_AFTER && !TOLD.swap(true, Ordering::Relaxed) {
                exit::tell("waiting for whoever reads standard output; one more signal ends that");
            }
        }
        if GIVEN_UP.load(Ordering::Relaxed) {
            let reason = "its reader has stopped reading, and was not waited for any longer";
            return Err(io::Error::new(ErrorKind::TimedOut, reason));
        }
        match poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&LOOK)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
