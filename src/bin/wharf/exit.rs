//! Exit codes, in one table, and the one line that goes with a failure.

use crate::expression::Fault;
use anyhow::Context;
use clap::error::{ContextKind, ContextValue, ErrorKind};
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

/// The exit codes, as `--help` shows them.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  done; also after ^C, and when the reader of standard output went away
  1  failure: a line on standard error says what and where; also what this machine lacks (a CPU, an interface, a
     file, a right, memory)
  2  bad usage: wrong on any machine (an unknown option, a value that is none, options that exclude each other)
  3  --strict was given and packets were dropped (=host: or lost before, or that could not be seen), or flow records
     that were to go to Kafka or a collector were not delivered";

const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const LOSSES: u8 = 3;

/// The exit code of a finished subcommand; a failure is told on standard error.
pub(crate) fn code(result: anyhow::Result<Outcome>) -> ExitCode {
    let error = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Losses) => return ExitCode::from(LOSSES),
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        return usage(error);
    }
    if let Some(fault) = error.downcast_ref::<Fault>() {
        tell(&fault.to_string());
        show(fault.excerpt());
        return ExitCode::from(USAGE);
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
        Some(error) => one_line(error).trim_end_matches("; see --help").to_owned(),
        None => in_full(error),
    }
}

/// The error and its causes, each but once: many name their cause in their own text.
fn in_full(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}

/// Help and versions on standard output; wrong arguments in one line on standard error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| io::stdout().flush()).context("standard output");
        return code(printed.map(|()| Outcome::Done));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(USAGE);
    }
    tell(&one_line(error));
    ExitCode::from(USAGE)
}

/// What clap says in paragraphs: the error, what was close to what was written, where to read on.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let what = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error:");
    let mut line = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let hints = error.context().filter_map(|(kind, value)| match (kind, value) {
        (ContextKind::SuggestedArg | ContextKind::SuggestedSubcommand, ContextValue::String(name)) => {
            Some(name.clone())
        }
        (
            ContextKind::SuggestedArg | ContextKind::SuggestedSubcommand | ContextKind::SuggestedValue,
            ContextValue::Strings(names),
        ) => names.first().cloned(),
        _ => None,
    });
    if let Some(hint) = hints.into_iter().next() {
        line += &format!(" (did you mean '{hint}'?)");
    }
    if let Some(reason) = habit(error) {
        line += &format!(": {reason}");
    }
    line + "; see --help"
}

/// What tcpdump's users type by habit, and what wharf wants instead.
fn habit(error: &clap::Error) -> Option<&'static str> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let before_any_subcommand = std::env::args().nth(1).is_some_and(|first| first.starts_with(argument));
    match error.kind() {
        ErrorKind::UnknownArgument if before_any_subcommand => {
            Some("a subcommand comes first, as in `wharf sniff -i eth0`")
        }
        _ => None,
    }
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

/// Whether all that went wrong is that nobody reads our standard output any more.
fn output_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<wharf::engine::Error>().is_some_and(wharf::engine::Error::output_closed)
            || matches!(cause.downcast_ref(), Some(sink::Error::Closed))
            || cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
