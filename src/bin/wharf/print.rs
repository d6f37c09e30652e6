//! Results on standard output, all of them or an error.

use std::io::{self, ErrorKind, Write, stdout};
use wharf::sink;

/// Prints to the last byte: what is left in a buffer at exit would be lost without a word.
pub(crate) fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut stdout = stdout().lock();
    Ok(stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()).map_err(failed)?)
}

/// What a failed write to standard output comes to: that its reader went away is no failure.
pub(crate) fn failed(source: io::Error) -> sink::Error {
    match source.kind() {
        ErrorKind::BrokenPipe => sink::Error::Closed,
        _ => sink::Error::Io { path: "standard output".to_owned(), source },
    }
}
