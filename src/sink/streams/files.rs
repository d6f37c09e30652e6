//! Many files that grow at their end, without keeping any open.

use super::super::Error;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes gathered for a file before it is opened.
const GATHER: usize = 64 << 10;
/// Bytes gathered for all of them.
const GATHER_ALL: usize = 64 << 20;

/// One of the [`Files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(usize);

/// Files in a directory, each opened only to have what was gathered for it put at its end: there may be more of them than a
/// process may have open.
pub(super) struct Files {
    directory: PathBuf,
    /// How many of each name there were, by a number for the name: 16 bytes for each. Of two names with the same number the second
    /// would be numbered needlessly, and that is all.
    names: HashMap<u64, u32>,
    files: Vec<Growing>,
    free: Vec<usize>,
    gathered: usize,
}

#[derive(Default)]
struct Growing {
    name: String,
    /// It has been created.
    begun: bool,
    buffer: Vec<u8>,
}

impl Files {
    /// # Errors
    /// When the directory is not there and cannot be created.
    pub(super) fn create(directory: &Path) -> Result<Self, Error> {
        fs::create_dir_all(directory)
            .map_err(|source| Error::Io { path: directory.display().to_string(), source })?;
        Ok(Self {
            directory: directory.to_owned(),
            names: HashMap::new(),
            files: Vec::new(),
            free: Vec::new(),
            gathered: 0,
        })
    }

    /// A file of that name, or, if there was one, of that name and a number.
    pub(super) fn begin(&mut self, name: String) -> (FileId, String) {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let count = self.names.entry(hasher.finish()).or_default();
        let name = if *count == 0 { name } else { format!("{name}.{count}") };
        *count += 1;
        let file = Growing { name: name.clone(), ..Growing::default() };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.files.push(Growing::default());
                self.files.len() - 1
            }
        };
        self.files[id] = file;
        (FileId(id), name)
    }

    /// Puts bytes at the end of a file.
    pub(super) fn append(&mut self, FileId(id): FileId, bytes: &[u8]) -> Result<(), Error> {
        let file = &mut self.files[id];
        file.buffer.extend_from_slice(bytes);
        self.gathered += bytes.len();
        if file.buffer.len() >= GATHER {
            self.write(id)?;
        }
        if self.gathered >= GATHER_ALL { self.flush() } else { Ok(()) }
    }

    /// A file will have nothing more.
    pub(super) fn close(&mut self, FileId(id): FileId) -> Result<(), Error> {
        let result = self.write(id);
        self.files[id] = Growing::default();
        self.free.push(id);
        result
    }

    /// Writes what was gathered.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        (0..self.files.len()).try_for_each(|id| self.write(id))
    }

    fn write(&mut self, id: usize) -> Result<(), Error> {
        let file = &mut self.files[id];
        if file.buffer.is_empty() {
            return Ok(());
        }
        let path = self.directory.join(&file.name);
        let result = open(&path, file.begun).and_then(|mut open| open.write_all(&file.buffer));
        file.begun = true;
        self.gathered -= file.buffer.len();
        // Not kept: most files are small, and there may be many.
        file.buffer = Vec::new();
        result.map_err(|source| Error::Io { path: path.display().to_string(), source })
    }
}

fn open(path: &Path, begun: bool) -> io::Result<File> {
    match begun {
        true => OpenOptions::new().append(true).open(path),
        false => File::create(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_are_numbered_and_keep_their_bytes() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "from before").unwrap();
        let mut files = Files::create(directory.path()).unwrap();
        let (first, name) = files.begin("a".to_owned());
        assert_eq!(name, "a");
        files.append(first, b"one ").unwrap();
        files.flush().unwrap();
        files.append(first, b"two").unwrap();
        files.close(first).unwrap();
        let (second, name) = files.begin("a".to_owned());
        assert_eq!((name.as_str(), second), ("a.1", first), "its place is used again");
        files.append(second, &[b'x'; GATHER]).unwrap();
        let read = |name| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!((read("a").as_str(), read("a.1").len(), files.gathered), ("one two", GATHER, 0));
    }
}
