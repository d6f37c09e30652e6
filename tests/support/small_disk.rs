//! A disk that is soon full: a small tmpfs over a directory, seen by nobody else.

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use std::io;
use std::path::Path;
use wharf::sys::namespace::run_with_own_mounts;

/// Mounts `bytes` of tmpfs over `directory` and runs `work`, which sees it as do the processes it starts.
pub(crate) fn on_small_disk<T: Send>(
    directory: &Path,
    bytes: u64,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    run_with_own_mounts(|| {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let size = std::ffi::CString::new(format!("size={bytes}"))?;
        mount("tmpfs", directory, "tmpfs", MountFlags::empty(), Some(size.as_c_str()))?;
        Ok(work())
    })
}
