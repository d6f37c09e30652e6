//! Pipes through which bulky connections go, kept for the next one.

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::os::fd::OwnedFd;

/// Bytes a pipe is to hold, which is what crosses it between two calls: a stream is a fifth slower through a quarter of it.
const LARGE: usize = 1 << 20;
/// The same where there are many. Without privileges a user has 64 MiB of all pipes (`fs.pipe-user-pages-soft`), and beyond that two
/// pages a pipe.
const SIZE: usize = 256 << 10;
/// With fewer a copy is cheaper.
const LEAST: usize = 64 << 10;

/// The two ends of a pipe that is empty between uses.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
    is_large: bool,
}

/// A worker's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    idle: Vec<Pipe>,
    /// Those in use.
    lent: usize,
    /// As many as there may be.
    most: usize,
    /// As many large ones as there may be yet.
    large: usize,
    /// The kernel gave none of use: it is asked again when one of ours has come back.
    refused: bool,
}

impl Pipes {
    pub(super) fn new(most: usize, large: usize) -> Self {
        Self { idle: Vec::new(), lent: 0, most, large, refused: false }
    }

    /// A pipe; `None` while too many are in use, or the kernel has none left of some size: then bytes are copied.
    pub(super) fn lend(&mut self) -> Option<Pipe> {
        let pipe = match self.idle.pop() {
            Some(pipe) => pipe,
            None if self.lent >= self.most || self.refused && self.lent > 0 => return None,
            None => {
                let pipe = open(if self.large > 0 { &[LARGE, SIZE] } else { &[SIZE] }, LEAST);
                self.refused = pipe.is_none();
                let pipe = pipe?;
                self.large -= usize::from(pipe.is_large);
                pipe
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
        self.large += usize::from(pipe.is_large);
        self.refused = false;
        drop(pipe);
    }
}

/// A pipe of the first of these sizes that is granted; beyond the user's share of memory for pipes (pipe(7)) one of what there is,
/// unless that is too little.
fn open(sizes: &[usize], least: usize) -> Option<Pipe> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
    let _ = sizes.iter().find(|&&size| fcntl_setpipe_size(&write, size).is_ok());
    let granted = fcntl_getpipe_size(&write).ok()?;
    (granted >= least).then_some(Pipe { read, write, is_large: granted > SIZE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_allowed() {
        let mut pipes = Pipes::new(2, 0);
        let (one, two) = (pipes.lend().expect("one"), pipes.lend().expect("two"));
        assert!(pipes.lend().is_none());
        pipes.discard(one);
        pipes.give_back(two);
        assert!(pipes.lend().is_some() && pipes.idle.is_empty());
    }

    #[test]
    fn one_that_is_too_small_is_none() {
        assert!(open(&[4 << 10], LEAST).is_none());
        let pipe = open(&[SIZE], LEAST).expect("a pipe");
        assert_eq!(fcntl_getpipe_size(&pipe.read).unwrap(), SIZE);
        let mut pipes = Pipes::new(2, 0);
        let one = pipes.lend().expect("one");
        pipes.refused = true;
        assert!(pipes.lend().is_none(), "it is not asked again and again");
        pipes.discard(one);
        assert!(pipes.lend().is_some());
    }

    #[test]
    fn a_few_are_large() {
        let mut pipes = Pipes::new(4, 1);
        let size = |pipe: &Pipe| fcntl_getpipe_size(&pipe.read).unwrap();
        let (one, two) = (pipes.lend().expect("one"), pipes.lend().expect("two"));
        // Where an unprivileged user has used up what there is, none is.
        assert!([LARGE, SIZE].contains(&size(&one)));
        assert_eq!((one.is_large, size(&two), two.is_large), (size(&one) == LARGE, SIZE, false));
        let sizes = (size(&one), pipes.large);
        pipes.discard(one);
        assert_eq!(pipes.large, 1);
        let again = pipes.lend().expect("again");
        assert_eq!((size(&again), pipes.large), sizes);
    }
}
