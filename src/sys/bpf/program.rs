//! Loading programs, and running them without an interface.

use super::abi::{
    ATTACH_SK_LOOKUP, LIVE_FRAMES, PROGRAM_SK_LOOKUP, PROGRAM_XDP, ProgramLoad, ProgramTestRun, command, name,
};
use super::assembler::Instruction;
use super::{address, call, create};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Bytes for what the verifier says of a program it refuses; it cuts what does not fit.
const LOG: usize = 256 << 10;

/// A program that the kernel has checked. It lives as long as a descriptor or a link refers to it.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// Why the kernel did not take a program.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}{log}", if log.is_empty() { "" } else { ": " })]
pub struct LoadError {
    /// The kernel's word: `EACCES` or `EINVAL` from the verifier, `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`.
    pub error: io::Error,
    /// The verifier's log, empty where it did not come to that.
    pub log: String,
}

/// What one run of a program over a frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// What the program returned: `XDP_PASS` and so on of `linux/bpf.h`.
    pub returned: u32,
    /// Nanoseconds of one run, the mean of all.
    pub nanos: u32,
}

impl Program {
    /// Loads an XDP program.
    ///
    /// # Errors
    /// [`LoadError`], with the verifier's log where it was the verifier that refused.
    pub fn load_xdp(label: &str, code: &[Instruction]) -> Result<Self, LoadError> {
        Self::load_or_tell(label, code, PROGRAM_XDP, 0)
    }

    /// Loads a program that chooses the socket for a connection that comes in, or a datagram (Linux 5.9).
    ///
    /// # Errors
    /// As [`Self::load_xdp`].
    pub fn load_sk_lookup(label: &str, code: &[Instruction]) -> Result<Self, LoadError> {
        Self::load_or_tell(label, code, PROGRAM_SK_LOOKUP, ATTACH_SK_LOOKUP)
    }

    fn load_or_tell(
        label: &str,
        code: &[Instruction],
        kind: u32,
        attach_type: u32,
    ) -> Result<Self, LoadError> {
        // Without a log first: the kernel is quicker then, and what is right needs none.
        Self::load(label, code, kind, attach_type, &mut []).map_err(|error| {
            let mut log = vec![0; LOG];
            let error = match error.raw_os_error() {
                Some(libc::EPERM) => error,
                _ => Self::load(label, code, kind, attach_type, &mut log).err().unwrap_or(error),
            };
            let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
            LoadError { error, log: String::from_utf8_lossy(&log[..end]).trim_end().to_owned() }
        })
    }

    fn load(
        label: &str,
        code: &[Instruction],
        kind: u32,
        attach_type: u32,
        log: &mut [u8],
    ) -> io::Result<Self> {
        let instructions = u32::try_from(code.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let license = c"Dual MIT/GPL";
        let mut attribute = ProgramLoad {
            kind,
            instructions,
            code: address(code),
            license: address(license.to_bytes_with_nul()),
            log_level: u32::from(!log.is_empty()),
            log_size: log.len() as u32,
            log: if log.is_empty() { 0 } else { log.as_mut_ptr() as usize as u64 },
            name: name(label),
            attach_type,
            ..ProgramLoad::default()
        };
        // SAFETY: the kernel reads that many instructions of eight bytes at `code` and the license up to its 0, and
        // writes at most `log_size` bytes at `log`, borrowed for writing; all of them outlive the call. The command
        // makes a descriptor.
        unsafe { create(command::PROG_LOAD, &mut attribute) }.map(Self)
    }

    /// Runs the program `repeat` times over a frame that is nowhere, as if it had come in on queue 0 of the loopback.
    ///
    /// # Errors
    /// As `bpf(BPF_PROG_TEST_RUN)`: `EINVAL` for a frame shorter than an Ethernet header or beyond a page.
    pub fn test_run(&self, frame: &[u8], repeat: u32) -> io::Result<TestRun> {
        let mut attribute = ProgramTestRun {
            program: self.as_raw_fd() as u32,
            data_size_in: u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            data_in: address(frame),
            repeat,
            ..ProgramTestRun::default()
        };
        // SAFETY: the kernel reads `data_size_in` bytes at `data_in`, the frame's, which outlives the call; it is
        // given nowhere to write but the attribute.
        unsafe { call(command::PROG_TEST_RUN, &mut attribute) }?;
        Ok(TestRun { returned: attribute.returned, nanos: attribute.duration })
    }

    /// Has the kernel make `repeat` frames like this one, `batch` (at most 256) at a time, and run the program over
    /// each as if it had been received: what it redirects is really sent (Linux 5.18). Returns when all are made.
    ///
    /// With [`redirect_to`](crate::sys::xdp::program::redirect_to) as program this is the fastest sender there is
    /// into a veth whose other end has an XDP program, or threaded NAPI.
    ///
    /// # Errors
    /// As `bpf(BPF_PROG_TEST_RUN)`: `EINVAL` for a frame shorter than an Ethernet header or longer than a page less
    /// what the kernel keeps of it (some 700 bytes), or a kernel that cannot do it.
    pub fn test_run_live_frames(&self, frame: &[u8], repeat: u32, batch: u32) -> io::Result<()> {
        let mut attribute = ProgramTestRun {
            program: self.as_raw_fd() as u32,
            data_size_in: u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            data_in: address(frame),
            repeat,
            flags: LIVE_FRAMES,
            batch_size: batch,
            ..ProgramTestRun::default()
        };
        // SAFETY: as in `test_run`.
        unsafe { call(command::PROG_TEST_RUN, &mut attribute) }.map(drop)
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Program {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
