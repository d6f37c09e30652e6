//! Results on standard output, all of them or an error.

use anyhow::Context;
use std::io::{Write, stdout};

/// Prints to the last byte: what is left in a buffer at exit would be lost without a word.
pub(crate) fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut stdout = stdout().lock();
    stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()).context("standard output")
}
