//! Exit codes, in one table, and the one line that goes with a failure.

use crate::expression::Fault;
use crate::wrong_arguments;
use std::io::{self, Write};
use std::process::ExitCode;
use wharf::sink;

/// What a subcommand came to, when it came to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Packets were lost, and `--strict` was given.
    Losses,
}

/// The exit codes that every command has, as `--help` shows them. Where there is a 3, it stands below.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  done; also after ^C, and when the reader of standard output went away
  1  failure: a line on standard error says what and where; also what this
     machine lacks (a CPU, an interface, a file, a right, memory) or does not
     know (a name)
  2  bad usage: wrong on any machine (an unknown option, a value that is none,
     options that exclude each other)";

/// What 3 says of a command that takes packets in.
pub(crate) const STRICT: &str = "
  3  --strict was given and packets were dropped (=host: or lost before the
     ring, or that could not be seen)";

/// What 3 says of all commands together.
pub(crate) const ANY: &str = "
  3  what --strict forbids has happened: packets or records were lost, or not
     sent; of `doctor`, something is bad";

/// What of the environment counts, as `--help` shows it.
pub(crate) const ENVIRONMENT: &str = "\
Environment:
  WHARF_CHECKSUM  compute checksums by this variant and not by the best of this
                  machine: scalar, wide, avx2, avx512 or neon
  WHARF_MAP       off: read capture files, never map them
  NO_COLOR        if it is not empty: no colours, on a terminal either";

const FAILURE: u8 = 1;
pub(crate) const USAGE: u8 = 2;
const LOSSES: u8 = 3;

/// The exit code of a finished subcommand; a failure is told on standard error.
pub(crate) fn code(result: anyhow::Result<Outcome>) -> ExitCode {
    let error = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Losses) => return ExitCode::from(LOSSES),
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        return wrong_arguments::told(error);
    }
    if let Some(fault) = error.downcast_ref::<Fault>() {
        tell(&fault.to_string());
        show(fault.excerpt());
        return ExitCode::from(if fault.0.is_lookup() { FAILURE } else { USAGE });
    }
    if let Some(wharf::engine::Error::Filter(fault) | wharf::engine::Error::Rule { fault, .. }) =
        error.downcast_ref()
    {
        tell(&error.to_string());
        show(fault.excerpt());
        return ExitCode::from(USAGE);
    }
    if output_closed(&error) {
        return ExitCode::SUCCESS;
    }
    tell(&in_full(&error));
    ExitCode::from(FAILURE)
}

/// An environment variable that cannot be followed.
pub(crate) fn bad_environment(error: &dyn std::error::Error) -> ExitCode {
    tell(&error.to_string());
    ExitCode::from(USAGE)
}

/// What a failure comes to in words, for where it is not the end.
#[cfg(feature = "proxy")]
pub(crate) fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref::<clap::Error>() {
        Some(error) => wrong_arguments::one_line(error).trim_end_matches("; see --help").to_owned(),
        None => in_full(error),
    }
}

/// The error and its causes, each but once: many name their cause in their own text, and the library's say in it all that there is
/// to say, be it in other words than those of the system.
fn in_full(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        if !text.contains(&said) {
            text += if text.is_empty() { "" } else { ": " };
            text += &said;
        }
        if is_the_librarys(cause) {
            break;
        }
    }
    text
}

fn is_the_librarys(error: &(dyn std::error::Error + 'static)) -> bool {
    #[cfg(feature = "proxy")]
    if error.is::<wharf::proxy::Error>() {
        return true;
    }
    error.is::<wharf::engine::Error>()
        || error.is::<wharf::source::Error>()
        || error.is::<wharf::sink::Error>()
        || error.is::<wharf::doctor::Error>()
}

/// Lines below what was told, indented.
fn show(lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(io::stderr(), "    {line}");
    }
}

/// One line on standard error. There is nobody to tell when that fails.
pub(crate) fn tell(what: &str) {
    let line = what.split('\n').map(str::trim).collect::<Vec<_>>().join("; ");
    // In one call, so that the lines of two processes that write there do not mix.
    let _ = io::stderr().write_all(format!("wharf: {line}\n").as_bytes());
}

/// Whether all that went wrong is that nobody reads our standard output any more. Another pipe that breaks is a failure.
pub(crate) fn output_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<wharf::engine::Error>().is_some_and(wharf::engine::Error::output_closed)
            || matches!(cause.downcast_ref(), Some(sink::Error::Closed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::source::packet::Capture;

    #[test]
    fn a_cause_is_told_once_however_it_is_said() {
        let error = Capture::on("no-such-one").open().unwrap_err();
        let error = anyhow::Error::from(error).context("capture");
        let cause = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
        assert!(cause.is_some(), "a program that uses the library can ask for it");
        let text = in_full(&error);
        assert!(text.starts_with("capture: no-such-one: no such interface"), "{text}");
        assert!(!text.contains("os error"), "{text}");
        let error = anyhow::Error::from(io::Error::from_raw_os_error(2)).context("a file");
        assert_eq!(in_full(&error), "a file: No such file or directory (os error 2)");
    }
}
