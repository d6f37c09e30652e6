//! Where the bytes of one file go: a file, standard output or any writer, compressed if wanted.
//!
//! Bytes come in pieces of whole records, and a piece is one write(2) as long as the system takes it: whoever kills this process
//! between two of them leaves a file that ends with a whole record. (SIGKILL within one may cut it: the kernel looks for
//! it between the pages it copies.) When a write fails, a file that was opened and emptied here is cut back to its last whole
//! record, and the error says what it holds. Standard output is somebody else's: a shell's `>>` has it stand behind what
//! was there before, and others may write to it too. It stays as it is.

use crate::sink::Error;
use flate2::write::GzEncoder;
use rustix::fd::AsFd;
use rustix::fs::{FallocateFlags, fallocate, fstat, fstatfs};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `TMPFS_MAGIC` (`linux/magic.h`): memory, where room is not found faster for being asked for early, and no write waits
/// for a disk.
const TMPFS: u64 = 0x0102_1994;

/// How to open and write a file.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) gzip: bool,
    /// Bytes gathered before they are written.
    pub(super) buffer: usize,
    /// Bytes of a regular file to allocate at a time, before they are written; 0 for none.
    pub(super) allocate: u64,
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

pub(super) struct Destination {
    /// What it is called in errors.
    name: String,
    /// Where it is, if it is a file of our own.
    path: Option<PathBuf>,
    target: Target,
    manner: Manner,
    /// Bytes written, before compression.
    written: u64,
    /// Packets in them.
    packets: u64,
    /// Up to where the file system has been asked for room.
    allocated: u64,
    /// A regular file in memory.
    in_memory: bool,
    /// Standard output, whose reader may go away without that being a failure.
    is_stdout: bool,
}

enum Target {
    Plain(File),
    Gzip(Box<GzEncoder<File>>),
    Writer(Box<dyn Write + Send>),
    /// Closed for a while; to be opened again at its end.
    Suspended,
    Closed,
}

impl Destination {
    /// Creates a file, or truncates it unless it is one of those to be `spared`.
    pub(super) fn create(path: &Path, manner: Manner, spared: &[FileId]) -> Result<Self, Error> {
        let name = path.display().to_string();
        match create(path, spared) {
            Ok(file) => {
                let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
                let in_memory = regular && fstatfs(&file).is_ok_and(|system| system.f_type as u64 == TMPFS);
                // By the name of /dev/stdout, or of the pipe that it is.
                let is_stdout = !regular && is_stdout(&file);
                let allocate = if manner.gzip || in_memory || !regular { 0 } else { manner.allocate };
                let manner = Manner { allocate, ..manner };
                let path = Some(path.to_owned());
                Ok(Self { path, in_memory, is_stdout, ..Self::new(name, Target::of(file, manner), manner) })
            }
            Err(source) => Err(Error::Io { path: name, source }),
        }
    }

    pub(super) fn stdout(manner: Manner) -> Result<Self, Error> {
        let name = "standard output".to_owned();
        let manner = Manner { allocate: 0, ..manner };
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(fd) => {
                let target = Target::of(File::from(fd), manner);
                Ok(Self { is_stdout: true, ..Self::new(name, target, manner) })
            }
            Err(source) => Err(Error::Io { path: name, source }),
        }
    }

    pub(super) fn writer(writer: Box<dyn Write + Send>, name: String, manner: Manner) -> Self {
        Self::new(name, Target::Writer(writer), Manner { allocate: 0, ..manner })
    }

    fn new(name: String, target: Target, manner: Manner) -> Self {
        Self {
            name,
            path: None,
            target,
            manner,
            written: 0,
            packets: 0,
            allocated: 0,
            in_memory: false,
            is_stdout: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a file in memory: there is nothing to wait for.
    pub(super) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// The same, and no compressor takes its time either.
    pub(super) fn is_at_once(&self) -> bool {
        self.in_memory && !self.manner.gzip
    }

    /// Packets in the file. After a failure, those it was cut back to.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    /// Writes whole records with so many packets in them.
    pub(super) fn write(&mut self, piece: &[u8], packets: u64) -> Result<(), Error> {
        if piece.is_empty() {
            return Ok(());
        }
        self.allocate(piece.len() as u64);
        let mut done = 0;
        let result = self.reopen().and_then(|()| {
            while done < piece.len() {
                match self.target.writer()?.write(&piece[done..]) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(length) => done += length,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        if let Err(error) = result {
            return Err(self.give_up(&piece[..done], error));
        }
        self.written += done as u64;
        self.packets += packets;
        Ok(())
    }

    /// Asks for room in large steps, without making the file longer: it lies in one place, and finding room does not hold up the
    /// writes. A file system that cannot, or has no more, is not asked again; whether there is room is for the write to tell.
    fn allocate(&mut self, length: u64) {
        let Target::Plain(file) = &self.target else { return };
        let end = self.written + length;
        if self.manner.allocate == 0 || end <= self.allocated {
            return;
        }
        let step = self.manner.allocate.max(length);
        match fallocate(file, FallocateFlags::KEEP_SIZE, self.written, step) {
            Ok(()) => self.allocated = self.written + step,
            Err(_) => self.manner.allocate = 0,
        }
    }

    /// Gives back the room that was not needed.
    fn trim(&mut self, file: &File) -> io::Result<()> {
        let surplus = std::mem::take(&mut self.allocated) > self.written;
        // To its own length: what is allocated behind it goes.
        if surplus { file.set_len(self.written) } else { Ok(()) }
    }

    /// Lets nothing wait in a compressor.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.target.writer().and_then(|writer| writer.flush()).map_err(|error| self.give_up(&[], error))
    }

    /// Closes the file until the next write, which opens it at its end.
    pub(super) fn suspend(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.target, Target::Suspended) {
            Target::Gzip(encoder) => encoder.finish().map(drop).map_err(|error| self.give_up(&[], error))?,
            Target::Writer(writer) => self.target = Target::Writer(writer),
            Target::Plain(file) => self.trim(&file).map_err(|error| self.give_up(&[], error))?,
            Target::Suspended | Target::Closed => {}
        }
        Ok(())
    }

    /// Closes the file for good.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.target, Target::Closed) {
            Target::Gzip(encoder) => encoder.finish().map(drop),
            Target::Writer(mut writer) => writer.flush(),
            Target::Plain(file) => self.trim(&file),
            Target::Suspended | Target::Closed => Ok(()),
        }
        .map_err(|error| self.give_up(&[], error))
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let (Target::Suspended, Some(path)) = (&self.target, &self.path) {
            let file = OpenOptions::new().append(true).open(path)?;
            self.target = Target::of(file, self.manner);
        }
        Ok(())
    }

    /// Leaves behind a file of our own that ends with a whole record, or none, and says what was written. `done` has been
    /// written of the last piece.
    fn give_up(&mut self, done: &[u8], error: io::Error) -> Error {
        let (whole, packets) = (self.manner.whole)(done, self.written == 0);
        let bytes = self.written + whole as u64;
        self.packets += packets;
        let packets = self.packets;
        if self.is_stdout && error.kind() == ErrorKind::BrokenPipe {
            self.target = Target::Closed;
            return Error::Closed;
        }
        let torn = done.len() - whole;
        let fate = match (std::mem::replace(&mut self.target, Target::Closed), &self.path) {
            (Target::Plain(file), Some(path)) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => {
                if bytes == 0 {
                    fs::remove_file(path).map(|()| "nothing was kept of it".to_owned())
                } else {
                    file.set_len(bytes).map(|()| format!("kept its first {packets} packets, {bytes} bytes"))
                }
                .unwrap_or_else(|_| "its last record is incomplete".to_owned())
            }
            (Target::Gzip(_), _) => {
                format!("the compressed file ends early, within or after {packets} packets")
            }
            _ if torn > 0 => format!("{packets} packets were written, and {torn} bytes of what comes next"),
            _ => format!("{packets} packets were written"),
        };
        Error::Io {
            path: self.name.clone(),
            source: io::Error::new(error.kind(), format!("{error}; {fate}")),
        }
    }
}

/// Whether it is what standard output is, too.
fn is_stdout(file: &File) -> bool {
    let (file, stdout) = (fstat(file), fstat(io::stdout()));
    file.is_ok_and(|file| {
        stdout.is_ok_and(|stdout| (file.st_dev, file.st_ino) == (stdout.st_dev, stdout.st_ino))
    })
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

    /// A record of the pcap format, its time and data all `number`.
    fn record(number: u8, length: usize) -> Vec<u8> {
        let mut record = vec![number; 16 + length];
        record[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        record
    }

    /// A file header, then records.
    fn records() -> Vec<Vec<u8>> {
        let length = |number: u8| [0, 40, 350, 170, 700][usize::from(number) % 5];
        let mut records: Vec<_> = (0..20).map(|number| record(number, length(number))).collect();
        records[0].splice(..0, vec![0; pcap::FILE_HEADER]);
        records
    }

    fn destination(path: &Path, allocate: u64) -> Destination {
        let manner = Manner { gzip: false, buffer: 1 << 8, allocate, whole: pcap::whole };
        Destination::create(path, manner, &[]).unwrap()
    }

    #[test]
    fn only_a_plain_file_in_memory_is_written_at_once() {
        // Where there is no file system in memory there is nothing to see.
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else { return };
        let in_memory = fstatfs(File::open(directory.path()).unwrap()).unwrap().f_type as u64 == TMPFS;
        for gzip in [false, true] {
            let manner = Manner { gzip, buffer: 1, allocate: 0, whole: pcap::whole };
            let file = Destination::create(&directory.path().join("a"), manner, &[]).unwrap();
            assert_eq!(file.is_at_once(), in_memory && !gzip);
        }
        assert!(!destination(Path::new("/dev/null"), 0).is_at_once());
    }

    #[test]
    fn a_failure_leaves_whole_records_wherever_it_comes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        let (records, all) = (records(), records().concat());
        let before = records[..7].concat();
        for done in (0..all.len() - before.len()).step_by(7) {
            let mut destination = destination(&path, 0);
            destination.write(&before, 7).unwrap();
            let piece = &all[before.len()..][..done];
            let Target::Plain(file) = &mut destination.target else { panic!("a file") };
            file.write_all(piece).unwrap();
            let error = destination.give_up(piece, ErrorKind::StorageFull.into()).to_string();
            let (whole, packets) = pcap::whole(&all[..before.len() + done], true);
            assert!(fs::read(&path).unwrap() == all[..whole], "{done}: {error}");
            assert_eq!(destination.packets(), packets, "{done}: {error}");
        }
    }

    #[test]
    fn room_asked_for_ahead_is_given_back() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = directory.path().join("a.pcap");
        let room = || fs::metadata(&path).unwrap().blocks() * 512;
        let mut destination = destination(&path, 8 << 20);
        if destination.manner.allocate == 0 {
            return eprintln!("SKIPPED: a file system in memory");
        }
        destination.write(&records().concat(), 20).unwrap();
        if destination.manner.allocate == 0 {
            return eprintln!("SKIPPED: the file system allocates nothing ahead");
        }
        assert!(room() >= 8 << 20, "{}", room());
        assert_eq!(fs::read(&path).unwrap(), records().concat(), "it is no longer for that");
        // Beyond the first step.
        let more = vec![0; 5 << 20];
        for _ in 0..3 {
            destination.write(&more, 0).unwrap();
        }
        assert!(room() >= 16 << 20, "{}", room());
        destination.close().unwrap();
        assert!(room() < 16 << 20, "{}", room());
        assert_eq!(fs::metadata(&path).unwrap().len(), records().concat().len() as u64 + (15 << 20));
    }
}
