//! On which CPU a thread runs.

use rustix::thread::CpuSet;
use std::{fs, io, thread};

/// Why nothing can run on a CPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreProblem {
    /// The machine does not have it.
    #[error("there is none with that number, only {present}")]
    Missing {
        /// Those it has, as the kernel lists them.
        present: String,
    },
    /// It is there, and switched off.
    #[error("it is offline; see /sys/devices/system/cpu")]
    Offline,
    /// It runs, but not for this process.
    #[error("this process is not allowed to use it; see cpuset(7)")]
    Forbidden,
}

/// Pins this thread to a CPU, an isolated one too.
///
/// ```
/// use wharf::sys::affinity::{CoreProblem, pin};
///
/// assert!(matches!(pin(1 << 20), Err(CoreProblem::Missing { .. })));
/// ```
///
/// # Errors
/// What is the matter with the CPU.
pub fn pin(core: usize) -> Result<(), CoreProblem> {
    // The kernel's CPU sets end there, and core_affinity does not check.
    let pinned = core < CpuSet::MAX_CPU && core_affinity::set_for_current(core_affinity::CoreId { id: core });
    if pinned { Ok(()) } else { Err(problem(core)) }
}

/// Tries on a thread of its own whether one can run on each of these; names the first on which none can.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn check(cores: &[usize]) -> io::Result<Result<(), (usize, CoreProblem)>> {
    thread::scope(|scope| {
        let try_all = || cores.iter().try_for_each(|&core| pin(core).map_err(|problem| (core, problem)));
        let tried = thread::Builder::new().name("wharf-probe".into()).spawn_scoped(scope, try_all)?;
        Ok(tried.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Why nothing can run on a CPU, as the kernel's lists say.
fn problem(core: usize) -> CoreProblem {
    let list = |name| {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    let (present, online) = (list("present"), list("online"));
    match (names(&present, core), names(&online, core)) {
        (false, _) => CoreProblem::Missing { present },
        (true, false) => CoreProblem::Offline,
        (true, true) => CoreProblem::Forbidden,
    }
}

/// Whether a list such as `0-3,5` has a CPU in it.
fn names(list: &str, core: usize) -> bool {
    list.split(',').any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bounds = (first.parse::<usize>(), last.parse::<usize>());
        matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&core))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        for (list, core, there) in
            [("0-3,5", 3, true), ("0-3,5", 5, true), ("0-3,5", 4, false), ("0", 0, true), ("", 0, false)]
        {
            assert_eq!(names(list, core), there, "{list} {core}");
        }
    }
}
