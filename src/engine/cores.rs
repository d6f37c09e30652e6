//! On which CPUs the threads run.

use super::Error;
use crate::sys::affinity;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Pins this thread to a CPU, an isolated one too.
pub(super) fn pin(core: usize) -> Result<(), Error> {
    affinity::pin(core).map_err(|problem| Error::Core { core, problem })
}

/// Whether a worker can run on each of these CPUs, isolated ones too: what [`Builder::run`](super::Builder::run) asks
/// before anything begins. To be asked before outputs are created, where that overwrites something.
///
/// ```
/// use wharf::engine::{Error, check_cores};
///
/// assert!(check_cores(&[]).is_ok());
/// assert!(matches!(check_cores(&[1 << 20]), Err(Error::Core { core: 1_048_576, .. })));
/// ```
///
/// # Errors
/// [`Error::Core`] for a CPU that is not there, is offline, or is not for this process; [`Error::CoreTwice`];
/// [`Error::Thread`] where no thread can be started to try.
pub fn check_cores(cores: &[usize]) -> Result<(), Error> {
    affinity::check(cores)
        .map_err(Error::Thread)?
        .map_err(|(core, problem)| Error::Core { core, problem })?;
    let mut seen = CpuSet::new();
    cores.iter().try_for_each(|&core| match seen.is_set(core) {
        true => Err(Error::CoreTwice { core }),
        false => {
            seen.set(core);
            Ok(())
        }
    })
}

/// Whether workers on these CPUs (or, of none, one wherever it is put) and outputs beside them would all run on one CPU.
pub(super) fn are_one(workers: &[usize]) -> bool {
    sched_getaffinity(None).is_ok_and(|allowed| is_one(&allowed, workers))
}

fn is_one(allowed: &CpuSet, workers: &[usize]) -> bool {
    let within = |&core: &usize| core < CpuSet::MAX_CPU && allowed.is_set(core);
    allowed.count() == 1 && workers.iter().all(within)
}

/// The CPUs for the outputs' threads.
pub(super) struct Places {
    /// `None` to leave them where the kernel puts them.
    set: Option<CpuSet>,
}

impl Places {
    /// All that this thread may use but the workers', so that nothing takes these away from the workers; all that it
    /// may use where no others are left.
    pub(super) fn beside(workers: &[usize]) -> Self {
        let allowed = sched_getaffinity(None).ok().filter(|_| !workers.is_empty());
        Self { set: allowed.map(|allowed| others(&allowed, workers)) }
    }

    /// Puts this thread there.
    pub(super) fn take(&self) {
        if let Some(set) = &self.set {
            // A CPU that has gone meanwhile is no reason not to run at all.
            let _ = sched_setaffinity(None, set);
        }
    }
}

fn others(allowed: &CpuSet, workers: &[usize]) -> CpuSet {
    let mut left = *allowed;
    workers.iter().filter(|&&core| core < CpuSet::MAX_CPU).for_each(|&core| left.unset(core));
    if left.count() == 0 { *allowed } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cores: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cores.iter().for_each(|&core| set.set(core));
        set
    }

    #[test]
    fn outputs_keep_off_the_workers_cores_where_they_can() {
        assert!(others(&set(&[0, 1, 2]), &[1]) == set(&[0, 2]));
        assert!(others(&set(&[0, 1]), &[0, 1]) == set(&[0, 1]));
        // An isolated CPU is not among those this thread may use by itself.
        assert!(others(&set(&[0, 1]), &[7]) == set(&[0, 1]));
    }

    #[test]
    fn one_cpu_for_all() {
        assert!(is_one(&set(&[1]), &[]) && is_one(&set(&[1]), &[1]));
        assert!(!is_one(&set(&[0, 1]), &[]) && !is_one(&set(&[0, 1]), &[1]));
        // The worker runs on an isolated CPU, the output on the other.
        assert!(!is_one(&set(&[0]), &[7]) && !is_one(&set(&[0]), &[100_000]));
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_called_so() {
        let error = check_cores(&[100_000]).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot run on CPU 100000: there is none with that number, only 0"),
            "{error}"
        );
    }
}
