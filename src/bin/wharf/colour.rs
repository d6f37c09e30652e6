//! Whether to show colours: on a terminal only, and not where NO_COLOR is set (no-color.org).

use std::ffi::OsStr;

/// Whether what goes to a place that is or is no terminal is to have colours.
pub(crate) fn wanted(terminal: bool) -> bool {
    let set = |name, wanted: fn(&OsStr) -> bool| std::env::var_os(name).is_some_and(|value| wanted(&value));
    let unwanted = set("NO_COLOR", |value| !value.is_empty()) || set("TERM", |value| value == "dumb");
    terminal && !unwanted
}
