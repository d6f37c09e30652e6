//! Standard output, whose reader may have stopped reading: it is waited for, but not for ever once the end was asked for.

use crate::{exit, signals};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;
use rustix::net::SendFlags;
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

/// How it is written to, once that is known.
static MANNER: OnceLock<Manner> = OnceLock::new();
/// Nobody is waited for any more.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);
static TOLD: AtomicBool = AtomicBool::new(false);

/// Looks what standard output is.
pub(crate) fn prepare() {
    let _ = manner();
}

/// Standard output, as [`std::io::stdout`] has it: lines are handed on whole.
pub(crate) fn stdout() -> LineWriter<Output> {
    LineWriter::new(Output)
}

/// Standard output without a buffer.
pub(crate) struct Output;

/// How standard output is written to without being blocked in it, as far as that can be. It is never made such itself:
/// with whoever else has it (a shell, another program), that would be shared.
enum Manner {
    /// A pipe or a terminal, opened a second time.
    Again(File),
    /// Each call says that it does not wait.
    Socket,
    /// What never waits long (a file), or cannot be opened again.
    AsItIs,
}

fn manner() -> &'static Manner {
    MANNER.get_or_init(Manner::of_stdout)
}

impl Manner {
    fn of_stdout() -> Self {
        let stdout = io::stdout();
        let kind = fstat(&stdout).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind == Ok(FileType::Socket) {
            return Self::Socket;
        }
        if kind != Ok(FileType::Fifo) && !stdout.is_terminal() {
            return Self::AsItIs;
        }
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let opened = OpenOptions::new().write(true).custom_flags(flags).open("/proc/self/fd/1");
        opened.map_or(Self::AsItIs, Self::Again)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Again(file) => (&*file).write(bytes),
            Self::Socket => {
                Ok(rustix::net::send(io::stdout(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
            }
            Self::AsItIs => Ok(rustix::io::write(io::stdout(), bytes)?),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let since = Instant::now();
        loop {
            match manner().write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(since)?,
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until there is room, as there has not been since then.
fn wait(since: Instant) -> io::Result<()> {
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
        match poll(&mut [PollFd::new(&io::stdout(), PollFlags::OUT)], Some(&LOOK)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
