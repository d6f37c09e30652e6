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
    let inherited = (FIRST..FIRST + count).filter_map(|number| {
        let name = names.next().unwrap_or_default().to_owned();
        inherited(number).map(|descriptor| Inherited { name, descriptor })
    });
    inherited.collect()
}

/// Takes the descriptor of that number, closed on `exec` from now on; `None` where it is none, or none that this process began
/// with: `LISTEN_FDS` may say too much.
fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: `fcntl` with these commands looks at no memory; of a number that is no descriptor it says `EBADF`.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 || flags & libc::FD_CLOEXEC != 0 {
        return None;
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return None;
    }
    // SAFETY: it is open, and it has come through an `exec`: whatever Rust opens is closed on that from the beginning, as
    // what is taken here is from now on. So nobody here owns it, and whoever started us says that it is ours.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_was_opened_here_is_not_taken() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(inherited(file.as_raw_fd()).is_none());
        // SAFETY: the new descriptor is nobody's but this test's.
        let number = unsafe { libc::dup(file.as_raw_fd()) };
        assert_eq!(inherited(number).expect("as if inherited").as_raw_fd(), number);
        assert!(inherited(RawFd::MAX).is_none());
    }

    #[test]
    fn none_is_taken_twice() {
        let file = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: the new descriptor is nobody's but this test's.
        let number = unsafe { libc::dup(file.as_raw_fd()) };
        let taken = inherited(number);
        assert!(taken.is_some() && inherited(number).is_none());
    }
}
