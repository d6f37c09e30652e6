//! Signals that ask for the end: the first one in good order; another, later one at once.

use crate::output;
use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, pipe};
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::Shutdown;

/// What comes within this time of the first signal is the same request: timeout(1) sends it to its child, and then to
/// the child's group.
const REPEATED: Duration = Duration::from_millis(500);
/// How long a run has to tell what it came to when the end is to be at once.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// When the end was asked for.
static ASKED: OnceLock<Instant> = OnceLock::new();
/// It was asked for once more.
static ASKED_AGAIN: AtomicBool = AtomicBool::new(false);

/// Since when the end is asked for.
pub(crate) fn asked() -> Option<Instant> {
    ASKED.get().copied()
}

/// Whether nothing is to be waited for any more.
pub(crate) fn asked_again() -> bool {
    ASKED_AGAIN.load(Ordering::Relaxed)
}

/// Turns ^C, SIGTERM and SIGHUP into a request to `shutdown`. One that comes more than [a moment](REPEATED) later ends the
/// wait for whoever reads standard output, and a second after that does what it does to a program that knows nothing of
/// signals.
///
/// SIGHUP stays ignored where it is: `nohup` relies on it. SIGINT does not: every shell ignores it for what a script
/// runs in the background, where it still is how a capture is ended.
///
/// It starts a thread.
pub(crate) fn install(shutdown: &Shutdown) -> anyhow::Result<()> {
    install_for(shutdown, &[SIGINT, SIGTERM, SIGHUP])
}

/// The same for these signals only.
pub(crate) fn install_for(shutdown: &Shutdown, signals: &[i32]) -> anyhow::Result<()> {
    // While we may: where the run goes on as another user, the pipe may be root's.
    output::prepare();
    let (woken, wake) = UnixStream::pair().context("cannot wait for signals")?;
    let last = Arc::new(AtomicUsize::new(0));
    for &signal in signals {
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        // In this order: whoever is woken sees which it was.
        signal_hook::flag::register(signal, shutdown.flag())
            .and_then(|_| signal_hook::flag::register_usize(signal, Arc::clone(&last), signal as usize))
            .and_then(|_| pipe::register(signal, wake.try_clone()?))
            .with_context(|| format!("cannot handle signal {signal}"))?;
    }
    let watch = move || watch(woken, &last);
    thread::Builder::new().name("wharf-signals".into()).spawn(watch).context("cannot wait for signals")?;
    Ok(())
}

/// Until a signal that is no repetition.
fn watch(mut woken: UnixStream, last: &AtomicUsize) {
    loop {
        // All that have come by now: they came together, however late they are seen here.
        match woken.read(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) | Ok(0) => return,
            Ok(_) => {}
        }
        if ASKED.get_or_init(Instant::now).elapsed() > REPEATED {
            break;
        }
    }
    ASKED_AGAIN.store(true, Ordering::Relaxed);
    thread::sleep(LAST_WORDS);
    let _ = emulate_default_handler(last.load(Ordering::Relaxed) as i32);
}

/// Whether a signal is ignored since before the program started: a bit each, signal 1 the lowest (proc(5)).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & (1 << (signal - 1)) != 0
}
