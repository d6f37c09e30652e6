//! Signals that ask for the end: the first one in good order, the second one at once.

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use wharf::engine::Shutdown;

/// Turns ^C, SIGTERM and SIGHUP into a request to `shutdown`; when it was requested before, the signal
/// does what it does to a program that knows nothing of signals.
///
/// A signal that is ignored stays so: `nohup` and background jobs of a script rely on it.
pub(crate) fn install(shutdown: &Shutdown) -> anyhow::Result<()> {
    install_for(shutdown, &[SIGINT, SIGTERM, SIGHUP])
}

/// The same for these signals only.
pub(crate) fn install_for(shutdown: &Shutdown, signals: &[i32]) -> anyhow::Result<()> {
    let ignored = ignored();
    for &signal in signals {
        if ignored & (1 << (signal - 1)) != 0 {
            continue;
        }
        // In this order: the second action must not see the flag that the first has just set.
        flag::register_conditional_default(signal, shutdown.flag())
            .and_then(|_| flag::register(signal, shutdown.flag()))
            .with_context(|| format!("cannot handle signal {signal}"))?;
    }
    Ok(())
}

/// The signals ignored since before the program started: a bit each, signal 1 the lowest (proc(5)).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
