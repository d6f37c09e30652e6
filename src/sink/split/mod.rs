//! A capture file for each kind of packet, named by a template.

mod keys;
mod template;

pub use template::Template;

use super::{CaptureFileOptions, CaptureFileWriter, Deliveries, Error, InterfaceStatistics, Sink};
use crate::frame::{Annotation, Interface};
use crate::parse::Packet;
use keys::Keys;
use rustix::io::Errno;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};
use template::Key;

/// Files open at a time, unless asked otherwise.
const OPEN_FILES: usize = 200;
/// Bytes gathered for each file: there may be many.
const BUFFER: usize = 128 << 10;

/// Writes every packet to exactly one file, chosen by what the packet is.
///
/// Directories are created as needed. When too many files are open, the one that had no packet for the longest
/// time is closed, and opened again at its end when it gets one: in the end each file is as if it had been
/// open all along. Secrets and names go to every file.
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::sink::Split;
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let directory = tempfile::tempdir()?;
/// let template = format!("{}/{{proto}}-{{port}}.pcapng", directory.path().display());
/// let mut split = Split::new(template.parse()?).open_files(50);
/// let source = Synthetic::new(&Traffic { frames: 100, ..Traffic::default() });
/// Engine::builder().source(source).rest(&mut split).run()?;
///
/// let mut names: Vec<_> = split.files().map(|file| file.path().file_name().unwrap()).collect();
/// names.sort();
/// assert_eq!(names, ["tcp-9999.pcapng", "udp-9999.pcapng"]);
/// assert_eq!(split.files().map(|file| file.packets()).sum::<u64>(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Split {
    template: Template,
    options: CaptureFileOptions,
    open_files: usize,
    files: Vec<SplitFile>,
    by_key: Keys,
    /// Two keys may give one name.
    by_path: HashMap<PathBuf, usize>,
    /// Indices of open files.
    open: Vec<usize>,
    annotations: Vec<Annotation>,
    /// When files were last flushed, where packets may not wait for long.
    flushed: Option<Instant>,
    /// Packets lost since the last that was written to any file.
    lost: u64,
    /// Counts packets, to tell which file was used last.
    clock: u64,
}

/// One file of a [`Split`].
pub struct SplitFile {
    path: PathBuf,
    writer: CaptureFileWriter,
    /// Annotations it has been given.
    annotated: usize,
    /// Its index is in [`Split::open`].
    open: bool,
    /// Value of the clock at its last packet.
    last_used: u64,
}

impl SplitFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Packets in it.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.writer.packets()
    }
}

impl Split {
    /// Files named by `template`, whose extension decides their format.
    #[must_use]
    pub fn new(template: Template) -> Self {
        Self {
            template,
            options: CaptureFileWriter::options(),
            open_files: OPEN_FILES,
            files: Vec::new(),
            by_key: Keys::new(),
            by_path: HashMap::new(),
            open: Vec::new(),
            annotations: Vec::new(),
            flushed: None,
            lost: 0,
            clock: 0,
        }
    }

    /// How to write each file.
    #[must_use]
    pub fn options(self, options: CaptureFileOptions) -> Self {
        Self { options, ..self }
    }

    /// At most this many files are open at a time (at least 1); 200 by default.
    #[must_use]
    pub fn open_files(self, limit: usize) -> Self {
        Self { open_files: limit.max(1), ..self }
    }

    /// The files so far, in order of their first packet.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &SplitFile> {
        self.files.iter()
    }

    /// The file for packets with this key, created if it is new.
    fn file(&mut self, key: Key, interfaces: &[Interface]) -> Result<usize, Error> {
        match self.by_key.get(&key) {
            Some(index) => Ok(index),
            None => self.file_for_new(key, interfaces),
        }
    }

    #[cold]
    fn file_for_new(&mut self, key: Key, interfaces: &[Interface]) -> Result<usize, Error> {
        let path = self.template.path(&key, interfaces);
        let index = match self.by_path.get(&path) {
            Some(index) => *index,
            None => self.create(path)?,
        };
        self.by_key.insert(key, index);
        Ok(index)
    }

    fn create(&mut self, path: PathBuf) -> Result<usize, Error> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)
                .map_err(|source| Error::Io { path: directory.display().to_string(), source })?;
        }
        self.make_room()?;
        let writer = loop {
            match self.options.clone().buffer(BUFFER).unqueued().create(&path) {
                Err(Error::Io { source, .. }) if too_many_open(&source) && self.open.len() > 1 => {
                    // The process may have fewer open than we thought: make do with half of those.
                    self.open_files = self.open.len() / 2;
                    self.make_room()?;
                }
                writer => break writer?,
            }
        };
        let index = self.files.len();
        self.by_path.insert(path.clone(), index);
        self.files.push(SplitFile { path, writer, annotated: 0, open: true, last_used: self.clock });
        self.open.push(index);
        Ok(index)
    }

    /// Sees to it that no packet waits in a buffer for longer than it may.
    fn limit_wait(&mut self) -> Result<(), Error> {
        let Some(most) = self.options.hold_at_most else { return Ok(()) };
        let now = Instant::now();
        if now.duration_since(*self.flushed.get_or_insert(now)) < most {
            return Ok(());
        }
        self.flush()
    }

    /// Marks a file as open, which its next write makes it.
    fn reopen(&mut self, index: usize) -> Result<(), Error> {
        if !self.files[index].open {
            self.make_room()?;
            self.files[index].open = true;
            self.open.push(index);
        }
        Ok(())
    }

    /// Closes the files that were used longest ago, until one more may be open.
    fn make_room(&mut self) -> Result<(), Error> {
        while self.open.len() >= self.open_files {
            let oldest = (0..self.open.len()).min_by_key(|at| self.files[self.open[*at]].last_used);
            let Some(at) = oldest else { break };
            let file = &mut self.files[self.open.swap_remove(at)];
            file.open = false;
            file.writer.suspend()?;
        }
        Ok(())
    }
}

fn too_many_open(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::MFILE)
}

impl Sink for Split {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        let interfaces = packets.interfaces();
        self.lost += packets.lost();
        for packet in packets.briefs() {
            let frame = packets.frame(packet);
            self.clock += 1;
            let key = match self.template.brief_key(packet.summary, packet.record.interface) {
                Some(key) => key,
                None => self.template.key(&Packet::new(frame, packets.layers(packet))),
            };
            let index = self.file(key, interfaces)?;
            self.reopen(index)?;
            let file = &mut self.files[index];
            file.last_used = self.clock;
            file.annotate(&self.annotations)?;
            file.writer.lose(std::mem::take(&mut self.lost));
            file.writer.write_frame(&frame, interfaces)?;
        }
        if self.options.packet_buffered { self.flush() } else { self.limit_wait() }
    }

    fn wants_layers(&self) -> bool {
        false
    }

    fn annotate(&mut self, annotation: &Annotation) -> Result<(), Error> {
        self.annotations.push(annotation.clone());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.flushed = self.options.hold_at_most.map(|_| Instant::now());
        self.open.iter().try_for_each(|index| self.files[*index].writer.flush())
    }

    /// Completes every file, also when one of them fails; the first failure is the result.
    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        let mut result = Ok(());
        for file in &mut self.files {
            let finished = file.annotate(&self.annotations).and_then(|()| file.writer.finish(statistics));
            result = result.and(finished);
        }
        self.open.clear();
        result
    }

    fn kept(&self) -> Option<u64> {
        Some(self.files.iter().map(SplitFile::packets).sum())
    }
}

impl SplitFile {
    /// Hands on the annotations that are new to this file.
    fn annotate(&mut self, annotations: &[Annotation]) -> Result<(), Error> {
        let new = &annotations[self.annotated..];
        self.annotated = annotations.len();
        new.iter().try_for_each(|annotation| self.writer.annotate(annotation))
    }
}
