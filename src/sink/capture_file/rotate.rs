//! When a new file begins, and how the files are called (tcpdump's `-C`, `-G`, `-W`).

use crate::frame::Timestamp;
use crate::sink::Error;
use jiff::tz::TimeZone;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// When to go on to a new file. Every limit may be set; the first one that is reached counts.
///
/// Each file is complete: it has its own headers, interfaces and statistics. Names follow tcpdump:
///
/// - without `seconds`, the first file is called as asked, later ones have `1`, `2`... appended. With a
///   limit of `files`, each has a number from 0, with leading zeros, and after the last the
///   first is written again: a ring.
/// - with `seconds`, the name is a pattern of strftime(3), filled with the local time of the file's
///   first packet. A name that has just been used gets a number appended. With a limit of `files`
///   and no other limit, writing ends after so many files with [`Error::Complete`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// A packet goes into a new file when the current one is longer than this, in bytes before compression.
    pub bytes: Option<u64>,
    /// A packet goes into a new file when it is this many seconds later than the current one's first packet.
    pub seconds: Option<u64>,
    /// A packet goes into a new file when the current one has so many.
    pub packets: Option<u64>,
    /// How many files there may be.
    pub files: Option<u64>,
}

impl Rotation {
    /// True when there is a limit at all.
    pub(super) fn is_set(&self) -> bool {
        self.bytes.is_some() || self.seconds.is_some() || self.packets.is_some()
    }

    /// Digits of the largest number a name can get.
    fn digits(&self) -> usize {
        match self.files {
            Some(files) if files > 1 => (files - 1).ilog10() as usize + 1,
            _ => 0,
        }
    }
}

/// Names for one file after another.
pub(super) struct Names {
    pattern: PathBuf,
    rotation: Rotation,
    /// Files named so far.
    files: u64,
    /// The last name without its number, and how often it was used.
    last: Option<(PathBuf, u64)>,
}

impl Names {
    pub(super) fn new(pattern: &Path, rotation: Rotation) -> Self {
        Self { pattern: pattern.to_owned(), rotation, files: 0, last: None }
    }

    /// True when the next name depends on the time of the packet it is for.
    pub(super) fn needs_time(&self) -> bool {
        self.rotation.seconds.is_some()
    }

    /// Name of the next file, whose first packet has this time.
    pub(super) fn next(&mut self, time: Option<Timestamp>) -> Result<PathBuf, Error> {
        let ring = self.rotation.files.filter(|_| !self.needs_time() && self.rotation.is_set());
        let cut_further = self.rotation.bytes.is_some() || self.rotation.packets.is_some();
        if self.needs_time() && !cut_further && self.rotation.files.is_some_and(|files| self.files >= files) {
            return Err(Error::Complete { accepted: 0 });
        }
        let stem =
            if self.needs_time() { self.fill_in(time.unwrap_or_default())? } else { self.pattern.clone() };
        let used = match &self.last {
            Some((last, used)) if *last == stem => used + 1,
            _ => 0,
        };
        self.last = Some((stem.clone(), used));
        self.files += 1;
        Ok(match ring {
            Some(files) => numbered(stem, used % files.max(1), self.rotation.digits()),
            None if used == 0 => stem,
            None => numbered(stem, used, self.rotation.digits()),
        })
    }

    /// Whether there is a directory that the files can be created in, by whoever this process runs as now: a name that needs
    /// the time of a packet is otherwise found to lead nowhere when the first one comes. Parts of the directory that
    /// depend on the time are looked at when packets come about now, as in a live capture.
    pub(super) fn check(&self, live: bool) -> Result<(), Error> {
        if !self.needs_time() {
            return Ok(());
        }
        let now = jiff::Timestamp::now();
        let now = Timestamp::new(now.as_second(), now.subsec_nanosecond().unsigned_abs());
        let first = self.fill_in(now)?;
        let parent = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
        let directory = parent(&first);
        if !live && directory != parent(&self.pattern) || first.exists() {
            return Ok(());
        }
        let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
        // By the effective user, as the files will be created.
        accessat(CWD, &directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .map_err(|error| Error::Io { path: first.display().to_string(), source: error.into() })
    }

    fn fill_in(&self, time: Timestamp) -> Result<PathBuf, Error> {
        let format = |reason: String| Error::Format { path: self.pattern.display().to_string(), reason };
        let pattern = self.pattern.to_str().ok_or_else(|| format("a time pattern must be UTF-8".into()))?;
        let zoned = jiff::Timestamp::new(time.seconds, time.nanos.cast_signed())
            .map_err(|error| format(format!("the packet's time {time} has no date: {error}")))?
            .to_zoned(TimeZone::system());
        jiff::fmt::strtime::format(pattern, &zoned)
            .map(PathBuf::from)
            .map_err(|error| format(format!("the time pattern cannot be filled in: {error}")))
    }
}

fn numbered(stem: PathBuf, number: u64, digits: usize) -> PathBuf {
    let mut name = OsString::from(stem);
    name.push(format!("{number:0digits$}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rotation: Rotation, pattern: &str, times: &[i64]) -> Vec<String> {
        let mut names = Names::new(Path::new(pattern), rotation);
        let name = |second: &i64| match names.next(Some(Timestamp::new(*second, 0))) {
            Ok(path) => path.display().to_string(),
            Err(error) => error.to_string(),
        };
        times.iter().map(name).collect()
    }

    #[test]
    fn by_size_numbers_follow_the_name() {
        let rotation = Rotation { bytes: Some(1), ..Rotation::default() };
        assert_eq!(names(rotation, "a.pcap", &[0; 3]), ["a.pcap", "a.pcap1", "a.pcap2"]);
    }

    #[test]
    fn a_ring_has_leading_zeros_and_comes_round() {
        let rotation = Rotation { bytes: Some(1), files: Some(11), ..Rotation::default() };
        let names = names(rotation, "a.pcap", &[0; 12]);
        assert_eq!(names[..2], ["a.pcap00", "a.pcap01"]);
        assert_eq!(names[10..], ["a.pcap10", "a.pcap00"]);
    }

    #[test]
    fn by_time_the_name_is_a_pattern_and_never_used_twice() {
        let rotation = Rotation { seconds: Some(1), ..Rotation::default() };
        assert_eq!(names(rotation, "a-%s.pcap", &[5, 5, 6]), ["a-5.pcap", "a-5.pcap1", "a-6.pcap"]);
        assert_eq!(names(rotation, "a.pcap", &[5, 6]), ["a.pcap", "a.pcap1"]);
    }

    #[test]
    fn by_time_a_limit_of_files_is_the_end() {
        let rotation = Rotation { seconds: Some(1), files: Some(2), ..Rotation::default() };
        let names = names(rotation, "%s", &[1, 2, 3]);
        assert_eq!(names, ["1", "2", "the wanted number of files has been written"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_found_before_the_first_packet() {
        let rotation = Rotation { seconds: Some(1), ..Rotation::default() };
        let directory = tempfile::tempdir().unwrap();
        let check = |pattern: &str, live| Names::new(&directory.path().join(pattern), rotation).check(live);
        assert!(check("%s.pcap", true).is_ok());
        assert!(check("none/%s.pcap", false).unwrap_err().to_string().contains("No such file"));
        assert!(check("%Y/a.pcap", true).unwrap_err().to_string().contains("No such file"));
        assert!(check("%Y/a.pcap", false).is_ok(), "the packets may be of another year");
        assert!(check("%!", false).unwrap_err().to_string().contains("pattern"));
        assert!(Names::new(Path::new("%s"), rotation).check(true).is_ok(), "here");
        assert!(Names::new(Path::new("none/a"), Rotation::default()).check(true).is_ok(), "opened at once");
    }

    #[test]
    fn an_unknown_conversion_is_an_error() {
        let rotation = Rotation { seconds: Some(1), ..Rotation::default() };
        assert!(names(rotation, "%!", &[1])[0].contains("pattern"));
    }
}
