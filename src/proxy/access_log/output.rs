//! Lines of the log, and the file they go to.

use super::{Counts, Record};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

/// Bytes of lines that are written at a time, where more are waiting.
pub(super) const LINES: usize = 8 << 10;

/// A file, and the path it is at, or standard output.
pub(super) struct Output {
    pub(super) path: Option<PathBuf>,
    pub(super) file: Box<dyn Write + Send>,
    /// Lines that are not written yet.
    pub(super) lines: Vec<u8>,
    /// A part of a line stands at the file's end.
    pub(super) torn: bool,
}

impl Output {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::over(None, Box::new(io::stdout())));
        }
        let file = Self::file(path)?;
        Ok(Self::over(Some(path.to_owned()), Box::new(file)))
    }

    pub(super) fn over(path: Option<PathBuf>, file: Box<dyn Write + Send>) -> Self {
        Self { path, file, lines: Vec::with_capacity(2 * LINES), torn: false }
    }

    fn file(path: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(path)
    }

    /// Opens the file anew, whether or not what was to come before can be written to the old one.
    pub(super) fn reopen(&mut self, counts: &Counts) -> io::Result<()> {
        let flushed = self.flush(counts);
        if let Some(path) = &self.path {
            self.file = Box::new(Self::file(path)?);
            self.torn = false;
        }
        flushed
    }

    pub(super) fn add(&mut self, record: &Record) {
        // To memory, of what has no map with other keys than text: that cannot fail.
        let _ = serde_json::to_writer(&mut self.lines, &record.line());
        self.lines.push(b'\n');
    }

    /// Writes the lines there are, and counts how many of them were and were not.
    pub(super) fn flush(&mut self, counts: &Counts) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let result = match self.torn {
            true => self.file.write_all(b"\n").map(|()| self.torn = false),
            false => Ok(()),
        };
        let mut done = 0;
        let result = result.and_then(|()| {
            while done < self.lines.len() {
                match self.file.write(&self.lines[done..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(length) => done += length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.file.flush()
        });
        let ends = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let (written, lost) = self.lines.split_at(done);
        if let Some(&byte) = written.last() {
            self.torn = byte != b'\n';
        }
        counts.written.fetch_add(ends(written), Relaxed);
        counts.dropped.fetch_add(ends(lost), Relaxed);
        self.lines.clear();
        result
    }
}
