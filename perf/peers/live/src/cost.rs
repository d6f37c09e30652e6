//! What a command costs: the CPU time of all its threads, to the microsecond.

use super::socket;
use std::fs;
use std::mem::zeroed;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Runs a command, writes its process id to `id` at once and the nanoseconds of CPU that it took, user and system, to `cost`
/// when it has ended. It can be interrupted, whatever the shell of a background job has made of SIGINT.
pub(crate) fn run(id: &str, cost: &str, command: &[&str]) {
    let mut child = Command::new(command[0]);
    child.args(&command[1..]).stdin(Stdio::null());
    // SAFETY: between fork and exec nothing is called but signal(2).
    unsafe {
        child.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    let child = child.spawn().expect(command[0]).id() as i32;
    fs::write(id, child.to_string()).expect(id);
    // SAFETY: plain data, and pointers to it that live through the call.
    let used = unsafe {
        let (mut status, mut used): (i32, libc::rusage) = (0, zeroed());
        socket::check(libc::wait4(child, &raw mut status, 0, &raw mut used), "wait4");
        used
    };
    let nanoseconds = |time: libc::timeval| time.tv_sec * 1_000_000_000 + time.tv_usec * 1_000;
    fs::write(cost, (nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime)).to_string()).expect(cost);
}
