//! Sockets that whoever started the process has opened for it (`sd_listen_fds(3)`).

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first of them (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;
/// No supervisor hands over more; a larger number is no count.
const MOST: RawFd = 1 << 16;

/// An inherited descriptor and the name it was given.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// As in `LISTEN_FDNAMES`; empty where it was given none.
    pub(crate) name: String,
    /// The descriptor, closed on `exec` from now on.
    pub(crate) descriptor: OwnedFd,
}

/// Takes what `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` speak of, in order. Empty where they speak of another
/// process or of nothing, and from the second call on.
#[must_use]
pub(crate) fn take() -> Vec<Inherited> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let variable = |name| std::env::var(name).unwrap_or_default();
    let ours = variable("LISTEN_PID").parse() == Ok(std::process::id());
    if !ours || TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let count = variable("LISTEN_FDS").parse::<RawFd>().unwrap_or(0).clamp(0, MOST);
    let names = variable("LISTEN_FDNAMES");
    let mut names = names.split(':');
    let numbers = (FIRST..FIRST + count).filter_map(|number| {
        let name = names.next().unwrap_or_default().to_owned();
        // SAFETY: `fcntl` with these commands looks at no memory; of a number that is no descriptor it says `EBADF`.
        let valid = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == 0;
        // SAFETY: it is open, and whoever started us says that it is ours; nobody here took it before (`TAKEN`), and what
        // this process opened itself has a higher number, since these were open before it began.
        valid.then(|| Inherited { name, descriptor: unsafe { OwnedFd::from_raw_fd(number) } })
    });
    numbers.collect()
}
