//! The program started anew, in this one's place.

use super::voice::Voice;
use anyhow::{Context, anyhow};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use wharf::engine::Shutdown;
use wharf::proxy::{Level, Predecessor, Running, Successor};
use wharf::sys::supervisor;

/// Set for a process whose standard input is the way to the one whose place it takes.
const TAKES_OVER: &str = "WHARF_PROXY_TAKES_OVER";

/// The process whose place this one takes, if there is one.
pub(super) fn predecessor() -> anyhow::Result<Option<Predecessor>> {
    if std::env::var_os(TAKES_OVER).is_none() {
        return Ok(None);
    }
    let way = io::stdin().as_fd().try_clone_to_owned().and_then(Predecessor::new);
    way.map(Some).with_context(|| format!("{TAKES_OVER} is set, but standard input is no way to a process"))
}

/// Starts the program with the arguments of this one and hands everything over; its process number.
pub(super) fn start(
    program: &io::Result<PathBuf>,
    running: &mut Running,
    shutdown: &Shutdown,
    voice: Voice,
) -> anyhow::Result<u32> {
    let program = program.as_ref().map_err(|error| anyhow!("cannot tell where this program is: {error}"))?;
    let (successor, theirs) = Successor::new().context("cannot make a way to a new process")?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(TAKES_OVER, "1")
        .stdin(Stdio::from(theirs))
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    match running.hand_over(&successor, || !shutdown.requested()) {
        Ok(()) => {
            // From now on the manager looks after that one.
            tell_manager(voice, &format!("MAINPID={}", child.id()));
            Ok(child.id())
        }
        Err(error) => {
            // Gone already, or of no use.
            let _ = child.kill();
            let _ = child.wait();
            Err(error.into())
        }
    }
}

/// Tells the service manager, where there is one.
pub(super) fn tell_manager(voice: Voice, state: &str) {
    if let Err(error) = supervisor::notify(state) {
        voice.say(Level::Warning, &format!("cannot tell the service manager {state}: {error}"));
    }
}
