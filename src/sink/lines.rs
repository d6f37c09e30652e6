//! Lines on their way to a writer: what the text and JSON sinks share.

use super::Error;
use std::io::{self, Write};

/// Lines gathered in one buffer, kept from batch to batch, and handed to the writer in one piece.
#[derive(Debug)]
pub(super) struct Lines<W> {
    /// Complete lines, not yet written.
    pub(super) buffer: Vec<u8>,
    writer: W,
    name: String,
    /// Packets whose lines the writer has taken.
    kept: u64,
}

impl<W: Write> Lines<W> {
    /// Lines for `writer`, which errors call `standard output`.
    pub(super) fn new(writer: W) -> Self {
        Self { buffer: Vec::new(), writer, name: "standard output".into(), kept: 0 }
    }

    /// The same; errors call the writer `name`.
    pub(super) fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// Hands the gathered lines, those of so many packets, to the writer, which may buffer them.
    pub(super) fn write(&mut self, packets: usize) -> Result<(), Error> {
        let written = self.writer.write_all(&self.buffer);
        self.buffer.clear();
        self.wrote(written, packets)
    }

    /// The same with lines that were gathered elsewhere.
    pub(super) fn write_these(&mut self, lines: &[u8], packets: usize) -> Result<(), Error> {
        let written = self.writer.write_all(lines);
        self.wrote(written, packets)
    }

    fn wrote(&mut self, written: io::Result<()>, packets: usize) -> Result<(), Error> {
        written.map_err(|error| self.failed(error))?;
        self.kept += packets as u64;
        Ok(())
    }

    /// Packets whose lines the writer has taken.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    /// Flushes the writer.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.writer.flush().map_err(|error| self.failed(error))
    }

    /// A failed write, with a closed pipe told apart.
    fn failed(&self, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Error::Closed,
            _ => Error::Io { path: self.name.clone(), source },
        }
    }
}
