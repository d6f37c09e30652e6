//! On which CPUs the threads run.

use super::Error;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::thread;

/// Pins this thread to a CPU, an isolated one too.
pub(super) fn pin(core: usize) -> Result<(), Error> {
    // The kernel's CPU sets end there, and core_affinity does not check.
    let pinned = core < CpuSet::MAX_CPU && core_affinity::set_for_current(core_affinity::CoreId { id: core });
    if pinned { Ok(()) } else { Err(Error::Core { core }) }
}

/// Whether a thread may be pinned to each of these CPUs: asked before anything begins.
pub(super) fn check(cores: &[usize]) -> Result<(), Error> {
    thread::scope(|scope| {
        let probe = move || cores.iter().try_for_each(|&core| pin(core));
        let probe = thread::Builder::new().name("wharf-probe".into()).spawn_scoped(scope, probe);
        probe.map_err(Error::Thread)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let mut seen = CpuSet::new();
    cores.iter().try_for_each(|&core| match seen.is_set(core) {
        true => Err(Error::CoreTwice { core }),
        false => {
            seen.set(core);
            Ok(())
        }
    })
}

/// Keeps this thread on these CPUs, which have been checked, without choosing one.
pub(super) fn confine(cores: &[usize]) -> Result<(), Error> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    sched_setaffinity(None, &set).map_err(|_| Error::Core { core: cores[0] })
}
