//! The terminal that standard output goes to.

use std::io::stdout;
use std::os::fd::AsFd;
use wharf::sys::terminal;

/// How many columns it has; `None` where it is none.
pub(crate) fn columns() -> Option<usize> {
    terminal::size(stdout().as_fd()).map(|(columns, _)| columns)
}
