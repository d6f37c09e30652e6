//! Where the bytes of one file go: a file, standard output or any writer, compressed if wanted.
//!
//! Records gather in a buffer and are written together: a regular file in pieces that begin and end at multiples of
//! the buffer's size, all others record by whole record. When that fails, a regular file is cut back to its last
//! whole record, and the error says what it holds.

use crate::sink::Error;
use flate2::write::GzEncoder;
use rustix::fd::AsFd;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How to open an output.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) gzip: bool,
    /// Bytes gathered before they are written; a power of two.
    pub(super) buffer: usize,
    /// Finds how many of the written bytes are whole records, and how many packets those are. The flag
    /// says that the bytes are the beginning of the file.
    pub(super) whole: fn(&[u8], bool) -> (usize, u64),
}

/// Which regular file it is, whatever name it goes by: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// `None` for what is not a regular file: writing to a device or a pipe twice destroys nothing.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        metadata.is_file().then(|| Self(metadata.dev(), metadata.ino()))
    }
}

pub(super) struct Output {
    /// What it is called in errors.
    name: String,
    /// Where it is, if it is a file of our own.
    path: Option<PathBuf>,
    target: Target,
    manner: Manner,
    /// A regular file, written as it is.
    regular: bool,
    /// Records not yet written: whole ones, but that of the first the beginning may be in the file.
    pub(super) buffer: Vec<u8>,
    /// Packets in it.
    buffered: u64,
    /// Bytes written, before compression.
    written: u64,
    /// Packets whole in them.
    packets: u64,
    /// The record that is written in part, if any.
    divided: Divided,
}

/// How much of a record is in the file, and how much of it is first in the buffer.
#[derive(Clone, Copy, Default)]
struct Divided {
    written: usize,
    left: usize,
}

enum Target {
    Plain(File),
    Gzip(Box<GzEncoder<File>>),
    Writer(Box<dyn Write + Send>),
    /// Closed for a while; to be opened again at its end.
    Suspended,
    Closed,
}

impl Output {
    /// Creates a file, or truncates it unless it is one of those to be `spared`.
    pub(super) fn create(path: &Path, manner: Manner, spared: &[FileId]) -> Result<Self, Error> {
        let name = path.display().to_string();
        match create(path, spared) {
            Ok(file) => {
                let regular = !manner.gzip && file.metadata().is_ok_and(|metadata| metadata.is_file());
                let path = Some(path.to_owned());
                Ok(Self { path, regular, ..Self::new(name, Target::of(file, manner), manner) })
            }
            Err(source) => Err(Error::Io { path: name, source }),
        }
    }

    pub(super) fn stdout(manner: Manner) -> Result<Self, Error> {
        let name = "standard output".to_owned();
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(fd) => Ok(Self::new(name, Target::of(File::from(fd), manner), manner)),
            Err(source) => Err(Error::Io { path: name, source }),
        }
    }

    pub(super) fn writer(writer: Box<dyn Write + Send>, name: String, manner: Manner) -> Self {
        Self::new(name, Target::Writer(writer), manner)
    }

    fn new(name: String, target: Target, manner: Manner) -> Self {
        Self {
            name,
            path: None,
            target,
            manner,
            regular: false,
            buffer: Vec::new(),
            buffered: 0,
            written: 0,
            packets: 0,
            divided: Divided::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the file so far, before compression, those in the buffer included.
    pub(super) fn length(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Packets in it, those in the buffer included until they are lost.
    pub(super) fn packets(&self) -> u64 {
        self.packets + self.buffered
    }

    /// Takes in a packet, whose record is what the buffer has from `start` on, and writes when that is enough.
    #[inline]
    pub(super) fn take(&mut self, start: usize) -> Result<(), Error> {
        self.buffered += 1;
        let piece = self.manner.buffer as u64;
        let enough = if self.regular { piece - self.written % piece } else { piece };
        if (self.buffer.len() as u64) < enough { Ok(()) } else { self.write_pieces(start) }
    }

    /// Writes what a multiple of the buffer's size ends within; of other things than files, everything.
    ///
    /// The page cache takes an aligned piece as a few large folios. One that begins anywhere costs it half as much
    /// again, and a page shared with the piece before. The last record begins at `start`.
    #[cold]
    fn write_pieces(&mut self, start: usize) -> Result<(), Error> {
        if !self.regular {
            return self.write();
        }
        let end = self.length() / self.manner.buffer as u64 * self.manner.buffer as u64;
        let end = (end - self.written) as usize;
        self.write_first(end)?;
        let left = self.buffer.len() - end;
        if left > 0 {
            // No other record can be in the rest: the one before was not enough for a piece.
            self.divided = Divided { written: end - start, left };
            self.packets -= 1;
            self.buffered = 1;
        }
        self.buffer.copy_within(end.., 0);
        self.buffer.truncate(left);
        Ok(())
    }

    /// Writes the buffer.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.write_first(self.buffer.len())?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the first `length` bytes of the buffer, where they stay, and counts all its packets as written.
    fn write_first(&mut self, length: usize) -> Result<(), Error> {
        let mut done = 0;
        let result = self.reopen().and_then(|()| {
            while done < length {
                match self.target.writer()?.write(&self.buffer[done..length]) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(length) => done += length,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        if let Err(error) = result {
            return Err(self.give_up(done, error));
        }
        self.written += done as u64;
        self.packets += self.buffered;
        self.buffered = 0;
        self.divided = Divided::default();
        Ok(())
    }

    /// Writes the buffer and lets nothing wait in a compressor.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.write()?;
        self.target.writer().and_then(|writer| writer.flush()).map_err(|error| self.give_up(0, error))
    }

    /// Closes the file until the next write, which opens it at its end.
    pub(super) fn suspend(&mut self) -> Result<(), Error> {
        self.write()?;
        match std::mem::replace(&mut self.target, Target::Suspended) {
            Target::Gzip(encoder) => encoder.finish().map(drop).map_err(|error| self.give_up(0, error))?,
            Target::Writer(writer) => self.target = Target::Writer(writer),
            Target::Plain(_) | Target::Suspended | Target::Closed => {}
        }
        self.buffer = Vec::new();
        Ok(())
    }

    /// Writes the buffer and closes the file for good.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        self.write()?;
        match std::mem::replace(&mut self.target, Target::Closed) {
            Target::Gzip(encoder) => encoder.finish().map(drop),
            Target::Writer(mut writer) => writer.flush(),
            Target::Plain(_) | Target::Suspended | Target::Closed => Ok(()),
        }
        .map_err(|error| self.give_up(0, error))
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let (Target::Suspended, Some(path)) = (&self.target, &self.path) {
            let file = OpenOptions::new().append(true).open(path)?;
            self.target = Target::of(file, self.manner);
        }
        Ok(())
    }

    /// How many bytes of the file are whole records, and how many packets those are, with `done` bytes of the buffer
    /// written.
    fn whole(&self, done: usize) -> (u64, u64) {
        let Divided { written, left } = self.divided;
        if done < left {
            return (self.written - written as u64, self.packets);
        }
        let (bytes, packets) = (self.manner.whole)(&self.buffer[left..done], self.written == 0);
        (self.written + (left + bytes) as u64, self.packets + packets + u64::from(left > 0))
    }

    /// Leaves behind a file that ends with a whole record, or none, and says which. `done` bytes of the
    /// buffer were written.
    fn give_up(&mut self, done: usize, error: io::Error) -> Error {
        let (bytes, packets) = self.whole(done);
        (self.packets, self.buffered) = (packets, 0);
        self.buffer = Vec::new();
        if error.kind() == ErrorKind::BrokenPipe {
            self.target = Target::Closed;
            return Error::Closed;
        }
        let fate = match std::mem::replace(&mut self.target, Target::Closed) {
            Target::Plain(file) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => {
                if let (0, Some(path)) = (bytes, &self.path) {
                    fs::remove_file(path).map(|()| "nothing was kept of it".to_owned())
                } else {
                    file.set_len(bytes).map(|()| format!("kept its first {packets} packets, {bytes} bytes"))
                }
                .unwrap_or_else(|_| "its last record is incomplete".to_owned())
            }
            Target::Gzip(_) => format!("the compressed file ends early, within or after {packets} packets"),
            _ => format!("{packets} packets were written"),
        };
        Error::Io {
            path: self.name.clone(),
            source: io::Error::new(error.kind(), format!("{error}; {fate}")),
        }
    }
}

/// Looks at what was opened before it truncates it: a name may lead anywhere.
fn create(path: &Path, spared: &[FileId]) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let metadata = file.metadata()?;
    if FileId::of(&metadata).is_some_and(|id| spared.contains(&id)) {
        return Err(io::Error::other("this run reads or writes that file already; name another one"));
    }
    // Only where there is something: ext4 takes any truncation as the replacement of a file, whose data it then
    // writes to the disk as the file is closed (its option auto_da_alloc).
    if metadata.is_file() && metadata.len() > 0 {
        file.set_len(0)?;
    }
    Ok(file)
}

impl Target {
    fn of(file: File, manner: Manner) -> Self {
        if manner.gzip {
            Self::Gzip(Box::new(GzEncoder::new(file, flate2::Compression::default())))
        } else {
            Self::Plain(file)
        }
    }

    /// What to write to, while it is open.
    fn writer(&mut self) -> io::Result<&mut dyn Write> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(encoder) => Ok(encoder),
            Self::Writer(writer) => Ok(writer),
            Self::Suspended | Self::Closed => Err(ErrorKind::NotConnected.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::capture_file::pcap;

    const PIECE: usize = 1 << 8;

    /// A record of the pcap format, its time and data all `number`.
    fn record(number: u8, length: usize) -> Vec<u8> {
        let mut record = vec![number; 16 + length];
        record[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        record
    }

    /// A file header, then records until more than some pieces are full.
    fn records() -> Vec<Vec<u8>> {
        let length = |number: u8| [0, 40, 350, 170, 700][usize::from(number) % 5];
        let mut records: Vec<_> = (0..20).map(|number| record(number, length(number))).collect();
        records[0].splice(..0, vec![0; pcap::FILE_HEADER]);
        records
    }

    fn output(path: &Path) -> Output {
        let manner = Manner { gzip: false, buffer: PIECE, whole: pcap::whole };
        Output::create(path, manner, &[]).unwrap()
    }

    fn take(output: &mut Output, record: &[u8]) {
        let start = output.buffer.len();
        output.buffer.extend_from_slice(record);
        output.take(start).unwrap();
    }

    #[test]
    fn a_file_is_written_in_whole_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        let mut output = output(&path);
        for (index, record) in records().iter().enumerate() {
            take(&mut output, record);
            assert_eq!(output.written % PIECE as u64, 0);
            assert!(output.buffer.len() < PIECE);
            assert_eq!(output.packets(), index as u64 + 1);
            assert_eq!(fs::metadata(&path).unwrap().len(), output.written);
        }
        // From wherever a flush has left off to the next multiple.
        output.flush().unwrap();
        assert_ne!(output.written % PIECE as u64, 0);
        let again = record(9, PIECE);
        take(&mut output, &again);
        assert_eq!(output.written % PIECE as u64, 0);
        output.close().unwrap();
        assert_eq!(fs::read(&path).unwrap(), [records().concat(), again].concat());
    }

    #[test]
    fn a_failure_leaves_whole_records_wherever_it_comes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        let (records, all, mut divided) = (records(), records().concat(), 0);
        for count in 1..=records.len() {
            // Through the rest of a divided record, and a little behind it.
            for done in (0..).step_by(7) {
                let mut output = output(&path);
                records[..count].iter().for_each(|record| take(&mut output, record));
                if done > output.buffer.len().min(output.divided.left + 50) {
                    break;
                }
                divided += u64::from(output.divided.left > 0);
                let Target::Plain(file) = &mut output.target else { panic!("a file") };
                file.write_all(&output.buffer[..done]).unwrap();
                let reached = output.written as usize + done;
                let error = output.give_up(done, ErrorKind::StorageFull.into()).to_string();
                let kept = fs::read(&path).unwrap_or_default();
                let (whole, packets) = pcap::whole(&all[..reached], true);
                assert!(kept == all[..whole], "{count} {done}: {error}");
                assert_eq!(output.packets(), packets, "{count} {done}: {error}");
            }
        }
        assert!(divided > 100, "records are divided: {divided}");
    }
}
