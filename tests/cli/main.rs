//! The real binary: exit codes, what goes to which stream, and how runs end.

mod bench;
mod capture;
#[path = "../conversation/mod.rs"]
mod conversation;
mod dns;
mod doctor;
mod documents;
mod ends;
mod files;
mod filter;
mod follow;
mod full_disk;
mod generate;
mod gone;
mod kill;
mod live;
mod live_flows;
#[path = "../support/oracles.rs"]
mod oracles;
mod outputs;
mod privileges;
mod stalls;
mod streams;
mod tables;
mod trouble;
mod usage;

use assert_cmd::Command;
use std::process::Output;

/// `wharf` with these arguments.
fn wharf<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(arguments).env("TZ", "UTC");
    command
}

/// Runs to the end: exit code, standard output, standard error.
fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> (i32, String, String) {
    told(wharf(arguments).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let code = output.status.code().unwrap_or_else(|| panic!("{output:?}"));
    (code, String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Says loudly that a test did not run; where live tests are required that is a failure.
fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
    assert!(std::env::var("WHARF_LIVE").as_deref() != Ok("require"), "SKIPPED {test}: {reason}");
}
