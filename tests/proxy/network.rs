//! Tests that need a host of their own, which has no more than a loopback interface.

use crate::skip::skip;
use std::env;
use std::ffi::OsStr;
use std::process::{Command, Output};

/// Set for the process that a test becomes there.
const INSIDE: &str = "WHARF_TEST_OWN_NETWORK";

/// Runs a test, by its whole name, in a process with a network namespace of its own, and what else `more` says to unshare(1).
pub(crate) fn in_a_network_of_its_own(name: &str, more: &[&str], test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        wharf::sys::link::set_up("lo", true).unwrap();
        return test();
    }
    let unshare = |command: &[&OsStr]| -> std::io::Result<Output> {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--map-root-user"]).args(more).args(command).env(INSIDE, "1").output()
    };
    if !unshare(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
        return skip(&format!("{name}: it takes a network namespace of its own"));
    }
    let program = env::current_exe().unwrap();
    let arguments = [program.as_os_str(), "--exact".as_ref(), name.as_ref(), "--nocapture".as_ref()];
    let output = unshare(&arguments).unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
