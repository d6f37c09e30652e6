//! Programs for the kernel's eBPF machine: assembled here, loaded by `bpf(2)`, attached by a link.
//!
//! No compiler and no object file: the programs wharf needs are some dozens of instructions long.
//!
//! | file | concept |
//! | --- | --- |
//! | [`assembler`] | instructions, labels, references to maps |
//! | `abi` | what `bpf(2)` is passed, of `linux/bpf.h` |
//! | `map`, `program`, `link` | the three kinds of object that live behind a descriptor |

mod abi;
pub mod assembler;
mod link;
mod map;
mod program;

pub use link::{AttachMode, Link};
pub use map::Map;
pub use program::{LoadError, Program, TestRun};

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Calls `bpf(2)`.
///
/// # Safety
/// Every address in `attribute` that the command reads or writes through is valid for it, for as many bytes as the
/// lengths beside it say, until the call returns.
unsafe fn call<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
    command: u32,
    attribute: &mut T,
) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes at `attribute`, all initialised (`IntoBytes`), and may write
    // there what makes a `T` again (`FromBytes`). What it points to is for the caller to prove.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attribute), size_of::<T>() as libc::c_uint)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As [`call`], for commands that make a descriptor.
///
/// # Safety
/// As [`call`]; the command is one that gives a new descriptor.
unsafe fn create<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
    command: u32,
    attribute: &mut T,
) -> io::Result<OwnedFd> {
    // SAFETY: as the caller promises.
    let number = unsafe { call(command, attribute) }?;
    let number = i32::try_from(number).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The address of memory as the kernel takes it.
fn address<T: ?Sized>(memory: &T) -> u64 {
    std::ptr::from_ref(memory).cast::<u8>() as usize as u64
}
