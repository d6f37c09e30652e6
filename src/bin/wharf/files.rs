//! Capture files to write, as the command line says it.

use crate::args;
use crate::input::InputArgs;
use anyhow::{Context, bail};
use clap::{ArgGroup, Args, ValueEnum};
use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wharf::sink::{CaptureFileOptions, CaptureFileWriter, CaptureFormat, Error, PcapPrecision, Rotation};

/// Bytes that may wait for a disk while frames come in live: at 100 MB a second, more than half a second.
const QUEUE: u64 = 64 << 20;
/// Bytes of disk to ask for at a time.
const ALLOCATE: u64 = 64 << 20;
/// Longest time that a packet waits while others come.
const HOLD: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
#[command(next_help_heading = "Capture file")]
#[command(group(ArgGroup::new("rotates").args(["file_size", "rotate_seconds", "file_packets"]).multiple(true)))]
pub(crate) struct WriteArgs {
    /// Write packets to FILE instead of printing them; `-` for standard output
    ///
    /// The format is pcap when the name ends in .pcap, .cap or .dmp, otherwise pcapng; .gz behind it compresses.
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// Go on to a new file when one has SIZE million bytes (or 64k, 16m, 1g); new names get a number appended
    #[arg(short = 'C', long, value_name = "SIZE", value_parser = args::file_size, requires = "write")]
    file_size: Option<u64>,

    /// Go on to a new file every SECONDS; FILE is a pattern for strftime(3), such as web-%H%M%S.pcapng,
    /// and a name that comes again gets a number appended
    #[arg(short = 'G', long, value_name = "SECONDS", requires = "write")]
    #[arg(value_parser = args::seconds)]
    rotate_seconds: Option<u64>,

    /// Go on to a new file after N packets; new names get a number appended
    #[arg(long, value_name = "N", requires = "write", value_parser = args::count)]
    file_packets: Option<u64>,

    /// With -C or --file-packets, overwrite the oldest of COUNT files; with -G, end after COUNT files
    #[arg(short = 'W', long, value_name = "COUNT", requires = "rotates")]
    #[arg(value_parser = args::count)]
    file_count: Option<u64>,

    #[command(flatten)]
    format: FormatArgs,
}

impl WriteArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.write.is_some()
    }

    /// Whether lines, too, shall have nanoseconds.
    pub(crate) fn nanoseconds(&self) -> bool {
        self.format.time_stamp_precision == Some(TimeStampPrecision::Nano)
    }

    /// Whether lines, too, shall be handed on at once.
    pub(crate) fn packet_buffered(&self) -> bool {
        self.format.packet_buffered
    }

    /// Refuses what is of a file where none is written, and what the file has no place for.
    ///
    /// # Errors
    /// As bad usage.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        let FormatArgs { format, write_queue, comment, .. } = &self.format;
        match &self.write {
            Some(path) => self.format.check_comment(CaptureFormat::of(path), path.display()),
            None => {
                let given = [
                    (format.is_some(), "--format"),
                    (write_queue.is_some(), "--write-queue"),
                    (comment.is_some(), "--comment"),
                ];
                given.iter().find(|(given, _)| *given).map_or(Ok(()), |(_, option)| {
                    Err(args::usage(&format!("{option} is of a file that is written: name one with -w")))
                })
            }
        }
    }

    pub(crate) fn to_stdout(&self) -> bool {
        self.write.as_deref().is_some_and(|path| path == "-")
    }
}

/// What goes for every file that is written.
#[derive(Args, Debug)]
pub(crate) struct FormatArgs {
    /// Format of the files, whatever they are called [default: by the name]
    #[arg(long, value_name = "pcap|pcapng", value_enum, hide_possible_values = true)]
    format: Option<Format>,

    /// How fine times are: of a pcap file, and of printed lines; pcapng always has nanoseconds [default: nano in files,
    /// micro on lines]
    ///
    /// Some old readers know pcap with micro only.
    #[arg(long, value_name = "micro|nano", value_enum, hide_possible_values = true)]
    time_stamp_precision: Option<TimeStampPrecision>,

    /// Write packets out as they come, not when a buffer is full; of printed ones, every line, as -l does
    ///
    /// Of a live capture packets are written out a second after they came at the latest, and when nothing comes at
    /// once.
    #[arg(short = 'U', long)]
    packet_buffered: bool,

    /// How much may wait for a slow disk before the capture suffers, for each file: million bytes (or 64k, 16m, 1g);
    /// 0 to write without a queue [default: 64m of a live capture, else 0]
    ///
    /// Files of --each have none.
    #[arg(long, value_name = "SIZE", value_parser = args::size_or_none)]
    write_queue: Option<u64>,

    /// A comment for the head of the file (pcapng)
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TimeStampPrecision {
    Micro,
    Nano,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Pcap,
    Pcapng,
}

impl FormatArgs {
    /// Refuses a comment for a file whose format has no place for it.
    pub(crate) fn check_comment(
        &self,
        by_name: CaptureFormat,
        name: impl Display,
    ) -> Result<(), clap::Error> {
        let format = match self.format {
            Some(Format::Pcap) => CaptureFormat::Pcap,
            Some(Format::Pcapng) => CaptureFormat::PcapNg,
            None => by_name,
        };
        if self.comment.is_some() && format == CaptureFormat::Pcap {
            return Err(args::usage(&format!("{name}: pcap has no place for a --comment: write pcapng")));
        }
        Ok(())
    }

    /// Options for files beside `input`, which none of them may overwrite.
    pub(crate) fn options(&self, input: &InputArgs) -> CaptureFileOptions {
        let mut options = CaptureFileWriter::options().packet_buffered(self.packet_buffered);
        options = match self.format {
            Some(Format::Pcap) => options.format(CaptureFormat::Pcap),
            Some(Format::Pcapng) => options.format(CaptureFormat::PcapNg),
            None => options,
        };
        options = match self.time_stamp_precision {
            Some(TimeStampPrecision::Micro) => options.precision(PcapPrecision::Micros),
            Some(TimeStampPrecision::Nano) => options.precision(PcapPrecision::Nanos),
            None => options,
        };
        if let Some(path) = input.path() {
            options = options.spare(path);
        }
        if let Some(bytes) = input.cut() {
            options = options.snap_length(bytes);
        }
        if input.is_live() {
            options = options.live(true).allocate(ALLOCATE).hold_at_most(HOLD);
        }
        let queue = self.write_queue.unwrap_or(if input.is_live() { QUEUE } else { 0 });
        options = options.queue(usize::try_from(queue).unwrap_or(usize::MAX));
        match &self.comment {
            Some(comment) => options.comment(comment),
            None => options,
        }
    }
}

/// The file of `-w`, created.
pub(crate) fn writer(arguments: &WriteArgs, input: &InputArgs) -> anyhow::Result<Option<CaptureFileWriter>> {
    let Some(path) = &arguments.write else { return Ok(None) };
    refuse_terminal(path)?;
    refuse_input(path, input)?;
    let rotation = Rotation {
        bytes: arguments.file_size,
        seconds: arguments.rotate_seconds,
        packets: arguments.file_packets,
        files: arguments.file_count,
    };
    let options = arguments.format.options(input).rotation(rotation);
    Ok(Some(create(options, path, input)?))
}

/// Creates a file. Who was root may no longer do what the user of -Z may not.
pub(crate) fn create(
    options: CaptureFileOptions,
    path: &Path,
    input: &InputArgs,
) -> anyhow::Result<CaptureFileWriter> {
    let created = options.create(path);
    let refused =
        matches!(&created, Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied);
    match input.user().filter(|_| refused) {
        Some(user) => created.with_context(|| format!("as user '{user}' (-Z)")),
        None => Ok(created?),
    }
}

/// Refuses to write a capture file onto a terminal, which would obey what is in it.
pub(crate) fn refuse_terminal(output: &Path) -> anyhow::Result<()> {
    if output == "-" && io::stdout().is_terminal() {
        bail!(args::usage(
            "-: standard output is a terminal, which would obey what is in a capture file: name a file, or send it into a pipe"
        ));
    }
    Ok(())
}

/// Refuses to overwrite the file that is being read, before anything is created.
pub(crate) fn refuse_input(output: &Path, input: &InputArgs) -> anyhow::Result<()> {
    input.path().map_or(Ok(()), |read| refuse_to_overwrite(read, output))
}

/// Likewise, by its path.
pub(crate) fn refuse_to_overwrite(read: &Path, output: &Path) -> anyhow::Result<()> {
    if same_file(read, output) {
        bail!("{}: is the file being read; write to another one", output.display());
    }
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}
