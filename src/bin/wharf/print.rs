//! Results on standard output, all of them or an error.

use crate::output::Output;
use std::io::{self, ErrorKind, Write};
use wharf::sink;

/// Prints to the last byte.
pub(crate) fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    Ok(Output.write_all(text.as_ref()).map_err(failed)?)
}

/// What a failed write to standard output comes to: that its reader went away is no failure.
pub(crate) fn failed(source: io::Error) -> sink::Error {
    match source.kind() {
        ErrorKind::BrokenPipe => sink::Error::Closed,
        _ => sink::Error::Io { path: "standard output".to_owned(), source },
    }
}
