//! Private user and network namespaces (namespaces(7), user_namespaces(7)): a network of one's own,
//! without root.

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::thread::{self, JoinHandle};

/// Where `ip netns` keeps the namespaces that have a name.
const NAMED: &str = "/run/netns";

/// Why this process cannot have namespaces of its own.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no namespace of our own: {reason}")]
pub struct Unavailable {
    /// What was refused, and by whom as far as can be told.
    pub reason: String,
}

/// Moves this process into a user and a network namespace of its own, where it is root.
///
/// Call it first thing in `main`: a process with more than one thread cannot change its user namespace.
/// There is no way back. Where user namespaces are refused to root, the network namespace alone is made.
///
/// # Errors
/// Where namespaces are forbidden: by a sysctl, by AppArmor, by a container's seccomp filter.
pub fn enter_private() -> Result<(), Unavailable> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    match unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) {
        Ok(()) => map_to_root(user.as_raw(), group.as_raw())
            .map_err(|error| unavailable("writing the user map", &error)),
        Err(_) if user.is_root() && unshare(UnshareFlags::NEWNET).is_ok() => Ok(()),
        Err(error) => Err(unavailable("unshare", &error)),
    }
}

/// Maps the one user and group to root's numbers in the new user namespace (user_namespaces(7)).
fn map_to_root(user: u32, group: u32) -> io::Result<()> {
    // An unprivileged process may map its group only after it gave up setgroups.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

fn unavailable(what: &str, error: &io::Error) -> Unavailable {
    let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    let cause = if error.raw_os_error() == Some(libc::EINVAL) {
        "the process already has more than one thread"
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "forbidden by sysctl kernel.unprivileged_userns_clone=0"
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        "forbidden by sysctl user.max_user_namespaces=0"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "forbidden by AppArmor (sysctl kernel.apparmor_restrict_unprivileged_userns=1)"
    } else {
        "forbidden by a seccomp filter, as most containers have, or by a security module"
    };
    Unavailable { reason: format!("{what}: {error}: {cause}") }
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: the descriptor table stays shared (no `FILES`): every descriptor keeps its meaning in every thread.
    Ok(unsafe { unshare_unsafe(flags) }?)
}

/// A network namespace, kept alive by this handle.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// A new, empty one: nothing but a loopback that is down. The caller stays where it is.
    ///
    /// # Errors
    /// `PermissionDenied` unless root or after [`enter_private`].
    pub fn new() -> io::Result<Self> {
        on_own_thread(|| {
            unshare(UnshareFlags::NEWNET)?;
            Self::current()
        })
    }

    /// The calling thread's.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn current() -> io::Result<Self> {
        File::open("/proc/thread-self/ns/net").map(|file| Self(file.into()))
    }

    /// One that there is: by its name as `ip netns` keeps it (ip-netns(8)), by the number of a process in it, or by a
    /// path. A name goes before a number. That a file at a path is none shows when it is entered (`InvalidInput`).
    ///
    /// # Errors
    /// Why there is none, and where it was looked for; of the kind of what the system said of the last place.
    pub fn find(text: &str) -> io::Result<Self> {
        let is_name = !text.is_empty() && !text.contains('/') && text != "." && text != "..";
        let by_name = is_name.then(|| format!("{NAMED}/{text}"));
        let by_process = text.parse::<u32>().ok().map(|process| format!("/proc/{process}/ns/net"));
        let by_path = text.contains('/').then(|| text.to_owned());
        let mut refused = Vec::new();
        let mut kind = io::ErrorKind::InvalidInput;
        for path in [by_name, by_process, by_path].into_iter().flatten() {
            match File::open(&path) {
                Ok(file) => return Ok(Self(file.into())),
                Err(error) => {
                    kind = error.kind();
                    refused.push(format!("{path}: {error}"));
                }
            }
        }
        if refused.is_empty() {
            refused.push("not a name, a process or a path".to_owned());
        }
        Err(io::Error::new(kind, refused.join("; ")))
    }

    /// Moves the calling thread in; other threads stay where they are.
    ///
    /// # Errors
    /// As `setns(2)`.
    pub fn enter(&self) -> io::Result<()> {
        Ok(move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Runs `work` inside, on a thread of its own, and waits for it. Sockets opened inside keep belonging
    /// to this namespace wherever they are used afterwards.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or what `work` gave.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_own_thread(|| {
            self.enter()?;
            work()
        })
    }

    /// Starts a thread inside.
    ///
    /// # Errors
    /// When the handle cannot be duplicated or the thread not be started; the thread's own result is
    /// `Err` when it could not enter.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<io::Result<T>>> {
        let inside = Self(self.0.try_clone()?);
        thread::Builder::new().spawn(move || {
            inside.enter()?;
            Ok(work())
        })
    }
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
