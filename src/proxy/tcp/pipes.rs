//! Pipes through which bulky connections go, kept for the next one.

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::os::fd::OwnedFd;

/// Bytes a pipe holds, where the kernel grants them (`fs.pipe-max-size` is 1 MiB without privileges): what crosses it
/// between two calls.
const SIZE: usize = 1 << 20;

/// The two ends of a pipe that is empty between uses.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
}

/// A worker's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    idle: Vec<Pipe>,
    /// Those in use.
    lent: usize,
    /// As many as there may be.
    most: usize,
}

impl Pipes {
    pub(super) fn new(most: usize) -> Self {
        Self { idle: Vec::new(), lent: 0, most }
    }

    /// A pipe; `None` while too many are in use, or the kernel has none left: then bytes are copied.
    pub(super) fn lend(&mut self) -> Option<Pipe> {
        let pipe = match self.idle.pop() {
            Some(pipe) => pipe,
            None if self.lent >= self.most => return None,
            None => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
                // Beyond the user's share of memory for pipes (pipe(7)) it stays as small as it is.
                let _ = fcntl_setpipe_size(&write, SIZE);
                Pipe { read, write }
            }
        };
        self.lent += 1;
        Some(pipe)
    }

    /// Takes a pipe back, which is empty.
    pub(super) fn give_back(&mut self, pipe: Pipe) {
        self.lent -= 1;
        self.idle.push(pipe);
    }

    /// Closes a pipe that is not empty.
    pub(super) fn discard(&mut self, pipe: Pipe) {
        self.lent -= 1;
        drop(pipe);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_allowed() {
        let mut pipes = Pipes::new(2);
        let (one, two) = (pipes.lend().expect("one"), pipes.lend().expect("two"));
        assert!(pipes.lend().is_none());
        pipes.discard(one);
        pipes.give_back(two);
        assert!(pipes.lend().is_some() && pipes.idle.is_empty());
    }
}
