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

/// The exit codes that every command has, as `--help` shows them. Where there is a 3, it stands below.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  done; also after ^C, and when the reader of standard output went away
  1  failure: a line on standard error says what and where; also what this machine lacks (a CPU,
     an interface, a file, a right, memory) or does not know (a name)
  2  bad usage: wrong on any machine (an unknown option, a value that is none, options that
     exclude each other)";

/// What 3 says of a command that takes packets in.
pub(crate) const STRICT: &str = "
  3  --strict was given and packets were dropped (=host: or lost before the ring, or that could
     not be seen)";

/// What 3 says of all commands together.
pub(crate) const ANY: &str = "
  3  what --strict forbids has happened: packets or records were lost, or not sent; of `doctor`,
     something is bad";

/// What of the environment counts, as `--help` shows it.
pub(crate) const ENVIRONMENT: &str = "\
Environment:
  WHARF_CHECKSUM  compute checksums by this variant and not by the best of this machine: scalar,
                  wide, avx2, avx512 or neon
  WHARF_MAP       off: read capture files, never map them
  NO_COLOR        if it is not empty: no colours, on a terminal either";

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

/// What users of tcpdump and its like type by habit, and what wharf wants instead.
fn habit(error: &clap::Error) -> Option<&'static str> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let first = std::env::args().nth(1)?;
    match error.kind() {
        ErrorKind::UnknownArgument if first.starts_with(argument) => {
            Some("a subcommand comes first, as in `wharf sniff -i eth0`")
        }
        ErrorKind::UnknownArgument if first == "sniff" => {
            let of = |(options, _): &&(&[&str], _)| options.contains(&argument.as_str());
            HABITS.iter().find(of).map(|(_, instead)| *instead)
        }
        _ => None,
    }
}

/// Options of tcpdump, and some of tshark, that `sniff` has not, and what does the same.
const HABITS: [(&[&str], &str); 11] = [
    (&["-d"], "`wharf filter -d EXPRESSION` shows the program"),
    (&["-O", "--no-optimize"], "there is no optimiser to turn off"),
    (&["-y", "--linktype"], "an interface has one link type, and a file tells its own"),
    (&["-L", "--list-data-link-types"], "an interface has one link type, told when a capture begins"),
    (
        &["-K", "--dont-verify-checksums"],
        "sums are always verified, and shown with -v; `wharf flows -K` does not",
    ),
    (
        &["--immediate-mode"],
        "packets come within 20 ms to a terminal, 50 ms elsewhere; -l or -U hands on each at once",
    ),
    (&["-I", "--monitor-mode"], "set it before: `iw dev IFACE set type monitor`"),
    (&["-f", "-N"], "addresses are never looked up"),
    (&["-T", "-Y"], "--json prints an object a packet, and jq chooses from it"),
    (&["-V"], "-r takes one file, or `-` for standard input"),
    (&["-a", "-b"], "-C, -G and --file-packets go on to new files, -W bounds them, -c ends"),
];

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
