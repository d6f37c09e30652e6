//! Results on standard output, all of them or an error.

use crate::output::Output;
use anyhow::Context;
use std::io::Write;

/// Prints to the last byte.
pub(crate) fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    Output.write_all(text.as_ref()).context("standard output")
}
