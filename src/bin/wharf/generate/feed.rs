//! The frames to send, in order, for one thread or several.

use anyhow::bail;
use std::path::{Path, PathBuf};
use wharf::filter::Filter;
use wharf::frame::{Batch, LinkType};
use wharf::sink::transmit::Position;
use wharf::source::synthetic::{Synthetic, Traffic};
use wharf::source::{CaptureFile, Chunk, ChunkSource, Source};

/// Frames taken at a time.
const PORTION: u64 = 1_024;

/// How many times a capture file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passes(pub(super) u64);

impl Passes {
    pub(super) const ONE: Self = Self(1);
    pub(super) const FOREVER: Self = Self(u64::MAX);
}

pub(super) struct Feed {
    input: Input,
    /// Where the next frame stands.
    position: Position,
    /// Frames still to come, whatever the input has.
    left: u64,
    /// Frames that do not match are left out.
    filter: Option<Filter>,
    /// Their number was given.
    counted: bool,
    /// Nothing bounds it: no number of frames, no end of a file.
    pub(super) endless: bool,
}

enum Input {
    Made(Synthetic),
    Recorded { path: PathBuf, file: CaptureFile, passes: u64, began: u64 },
}

impl Feed {
    pub(super) fn made(traffic: Traffic, count: Option<u64>) -> Self {
        let input = Input::Made(Synthetic::new(&traffic));
        Self::new(input, count, count.is_none())
    }

    pub(super) fn recorded(path: &Path, passes: Passes, count: Option<u64>) -> anyhow::Result<Self> {
        let file = if path == "-" { CaptureFile::stdin()? } else { CaptureFile::open(path)? };
        let input = Input::Recorded { path: path.to_owned(), file, passes: passes.0, began: 0 };
        Ok(Self::new(input, count, passes == Passes::FOREVER && count.is_none()))
    }

    fn new(input: Input, count: Option<u64>, endless: bool) -> Self {
        let left = count.unwrap_or(u64::MAX);
        Self { input, position: Position::default(), left, filter: None, counted: count.is_some(), endless }
    }

    /// Only the frames that match.
    pub(super) fn matching(self, filter: Option<Filter>) -> Self {
        Self { filter, ..self }
    }

    /// Frames that nobody took, of a number that was given.
    pub(super) fn left(&self) -> Option<u64> {
        self.counted.then_some(self.left)
    }

    /// The distinct frames, where they are made up.
    pub(super) fn table(&self) -> Option<Batch<'_>> {
        match &self.input {
            Input::Made(source) => Some(source.table()),
            Input::Recorded { .. } => None,
        }
    }

    /// Refuses a file none of whose interfaces, as far as they are known before it is read, has frames for an Ethernet.
    pub(super) fn refuse_other_link_types(&self, interface: &str) -> anyhow::Result<()> {
        let Input::Recorded { path, file, .. } = &self.input else { return Ok(()) };
        let link_types = || file.interfaces().iter().map(|interface| interface.link_type);
        match link_types().next() {
            Some(first) if link_types().all(|link_type| link_type != LinkType::ETHERNET) => bail!(
                "{}: link type {first} cannot be sent on {interface}: only Ethernet frames can",
                path.display()
            ),
            _ => Ok(()),
        }
    }

    /// The next frames, and where the first of them stands; `None` at the end. They may be none where a pipe is silent.
    pub(super) fn next(&mut self, chunk: &mut Chunk) -> anyhow::Result<Option<Position>> {
        while self.left > 0 {
            let limit = self.left.min(PORTION);
            let goes_on = match &mut self.input {
                Input::Made(source) => source.fill_chunk(chunk, limit)?,
                Input::Recorded { file, .. } => file.fill_chunk(chunk, limit)?,
            };
            if goes_on {
                if let Some(filter) = &self.filter {
                    chunk.retain(|frame| {
                        filter.on(frame.record.link_type).is_ok_and(|matcher| matcher.matches(frame))
                    });
                }
                let begin = self.position;
                for batch in chunk.batches() {
                    batch.records().iter().for_each(|record| self.position.advance(record));
                }
                self.left -= chunk.len() as u64;
                return Ok(Some(begin));
            }
            if !self.again()? {
                break;
            }
        }
        chunk.clear();
        Ok(None)
    }

    /// Begins the file anew, where it is to be sent once more.
    fn again(&mut self) -> anyhow::Result<bool> {
        let Input::Recorded { path, file, passes, began } = &mut self.input else { return Ok(false) };
        *passes = passes.saturating_sub(u64::from(*passes != u64::MAX));
        if *passes == 0 {
            return Ok(false);
        }
        if self.position.frames() == *began {
            bail!("{}: has no packets to send again", path.display());
        }
        *began = self.position.frames();
        *file = CaptureFile::open(&*path)?;
        self.position.rewind();
        Ok(true)
    }
}
