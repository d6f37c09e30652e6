//! What clap says of the arguments, in one line.

use crate::args::OF_A_FILE;
use crate::exit::{Outcome, USAGE, code, tell};
use crate::habits::habit;
use crate::print::failed;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::{self, Write};
use std::process::ExitCode;

/// Help and versions on standard output; wrong arguments in one line on standard error.
pub(crate) fn told(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| io::stdout().flush()).map_err(failed);
        return code(printed.map(|()| Outcome::Done).map_err(Into::into));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(USAGE);
    }
    tell(&one_line(error));
    ExitCode::from(USAGE)
}

/// What clap says in paragraphs: the error, what was close to what was written, where to read on.
pub(crate) fn one_line(error: &clap::Error) -> String {
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
    // Who has a habit means that, whatever is spelt alike.
    match (habit(error), hints.into_iter().next()) {
        (Some(reason), _) => line += &format!(": {reason}"),
        (None, Some(hint)) => line += &format!(" (did you mean '{hint}'?)"),
        (None, None) => {}
    }
    // Not of arguments alone: help does not help where a file is wrong.
    if error.kind() == OF_A_FILE { line } else { line + "; see --help" }
}
