//! A file being written: records gather in a buffer, which goes as a whole, at once or through a [`Queue`].

use super::destination::{Destination, FileId, Manner};
use super::queue::Queue;
use crate::sink::Error;
use std::path::Path;
use std::sync::Arc;

pub(super) struct Output {
    way: Way,
    size: usize,
    /// Records not yet handed on, whole ones.
    pub(super) buffer: Vec<u8>,
    /// Packets in it.
    buffered: u64,
    /// Bytes handed on, before compression.
    passed: u64,
    /// Packets in them.
    packets: u64,
}

/// How bytes come to their destination.
enum Way {
    Direct(Destination),
    /// By a thread that has the destination.
    Queued {
        queue: Queue,
        /// What it is called.
        name: String,
        /// The destination, until the thread gets it: that runs where its first piece comes from.
        opened: Option<Destination>,
    },
}

impl Output {
    /// Writes on the caller's thread.
    pub(super) fn direct(destination: Destination, manner: Manner) -> Self {
        Self::new(Way::Direct(destination), manner)
    }

    /// Writes through a queue what has been opened already.
    pub(super) fn queued(queue: Queue, destination: Destination, manner: Manner) -> Self {
        let name = destination.name().to_owned();
        Self::new(Way::Queued { queue, name, opened: Some(destination) }, manner)
    }

    /// Writes through a queue, to a file that is opened when all that is queued before has been written.
    pub(super) fn in_turn(
        queue: Queue,
        path: &Path,
        manner: Manner,
        spared: Arc<[FileId]>,
    ) -> Result<Self, Error> {
        queue.create(path, manner, spared)?;
        let name = path.display().to_string();
        Ok(Self::new(Way::Queued { queue, name, opened: None }, manner))
    }

    fn new(way: Way, manner: Manner) -> Self {
        Self { way, size: manner.buffer, buffer: Vec::new(), buffered: 0, passed: 0, packets: 0 }
    }

    /// Whether it goes straight into memory.
    pub(super) fn is_at_once(&self) -> bool {
        matches!(&self.way, Way::Direct(destination) if destination.is_at_once())
    }

    pub(super) fn name(&self) -> &str {
        match &self.way {
            Way::Direct(destination) => destination.name(),
            Way::Queued { name, .. } => name,
        }
    }

    /// Bytes of the file so far, before compression, those in the buffer included.
    pub(super) fn length(&self) -> u64 {
        self.passed + self.buffer.len() as u64
    }

    /// Packets in it, those in the buffer included until they are lost.
    pub(super) fn packets(&self) -> u64 {
        self.packets + self.buffered
    }

    /// Takes in a packet, whose record has been put into the buffer, and hands on when that is enough.
    #[inline]
    pub(super) fn take(&mut self) -> Result<(), Error> {
        self.buffered += 1;
        if self.buffer.len() < self.size { Ok(()) } else { self.pass() }
    }

    /// Hands on the buffer, whole records as they are.
    #[cold]
    fn pass(&mut self) -> Result<(), Error> {
        let (bytes, packets) = (self.buffer.len() as u64, std::mem::take(&mut self.buffered));
        match &mut self.way {
            Way::Direct(destination) => {
                let written = destination.write(&self.buffer, packets);
                self.buffer.clear();
                self.packets = destination.packets();
                written?;
            }
            Way::Queued { queue, opened, .. } => {
                self.packets += packets;
                opened.take().map_or(Ok(()), |destination| queue.open(destination))?;
                queue.write(&mut self.buffer, packets)?;
            }
        }
        self.passed += bytes;
        Ok(())
    }

    /// Hands on the buffer and lets nothing wait in a compressor.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.pass()?;
        match &mut self.way {
            Way::Direct(destination) => destination.flush(),
            Way::Queued { queue, .. } => queue.flush(),
        }
    }

    /// Closes the file until the next write, which opens it at its end.
    pub(super) fn suspend(&mut self) -> Result<(), Error> {
        self.pass()?;
        self.buffer = Vec::new();
        match &mut self.way {
            Way::Direct(destination) => destination.suspend(),
            Way::Queued { .. } => Ok(()),
        }
    }

    /// Hands on the buffer and closes the file for good.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        self.pass()?;
        match &mut self.way {
            Way::Direct(destination) => destination.close(),
            Way::Queued { queue, .. } => queue.close(),
        }
    }
}
