//! Frames made in the kernel and sent from there: `BPF_PROG_TEST_RUN` with `BPF_F_TEST_XDP_LIVE_FRAMES`.
//!
//! The kernel makes pages that look like frames received and runs a program over each. Ours writes the next frame of a
//! table into it and redirects it out of an interface: no socket, no system call for each, no `sk_buff`.

use super::program::finished;
use crate::sys::bpf::assembler::Register::*;
use crate::sys::bpf::assembler::{Assembler, Condition, Instruction, Size};
use crate::sys::bpf::{LoadError, Map, Program};
use std::io;

/// `enum bpf_func_id`: `map_lookup_elem`, `redirect`, `xdp_adjust_tail`, `xdp_store_bytes` (Linux 5.18).
const LOOK_UP: i32 = 1;
const REDIRECT: i32 = 23;
const ADJUST_TAIL: i32 = 65;
const STORE_BYTES: i32 = 190;
/// `XDP_ABORTED` of `enum xdp_action`.
const ABORTED: i32 = 0;

/// Frames the kernel makes before it hands them to the device: few enough for the ring of a veth's other end.
const BATCH: u32 = 64;
/// Shortest and longest frame: an Ethernet header; a page, without what the kernel keeps in it.
const SHORTEST: usize = 14;
const LONGEST: usize = 3_072;

/// A table of frames, sent round and round out of an interface.
#[derive(Debug)]
pub struct LiveFrames {
    program: Program,
    /// Number of the next frame, and how many have been made (a count of 32 bits that comes round).
    state: Map,
    /// What the kernel makes each frame from: as long as the longest.
    blank: Vec<u8>,
    made: u32,
}

/// Why frames cannot be made in the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveFramesError {
    /// No frame at all, or one of a length that does not fit a page.
    #[error("a frame of {0} bytes: live frames have 14 to 3072")]
    Length(usize),
    /// The tables.
    #[error("cannot make a table of frames in the kernel: {0}")]
    Map(#[from] io::Error),
    /// The program.
    #[error("the kernel does not take the program: {0}")]
    Load(#[from] LoadError),
}

impl LiveFramesError {
    /// The kernel's word, where it was the kernel that said so.
    pub(crate) fn into_cause(self) -> Option<io::Error> {
        match self {
            Self::Length(_) => None,
            Self::Map(cause) | Self::Load(LoadError { error: cause, .. }) => Some(cause),
        }
    }
}

impl LiveFrames {
    /// Puts frames into the kernel, to be sent out of an interface.
    ///
    /// # Errors
    /// [`LiveFramesError`]: `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN` (outside of user namespaces).
    pub fn open(interface: u32, frames: &[&[u8]]) -> Result<Self, LiveFramesError> {
        let wrong =
            frames.iter().map(|frame| frame.len()).find(|length| !(SHORTEST..=LONGEST).contains(length));
        if let Some(length) = wrong.or(frames.is_empty().then_some(0)) {
            return Err(LiveFramesError::Length(length));
        }
        let longest = frames.iter().map(|frame| frame.len()).max().unwrap_or(SHORTEST);
        let size = (4 + longest).next_multiple_of(8);
        let count = u32::try_from(frames.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let table = Map::array("frames", size as u32, count)?;
        let mut value = vec![0; size];
        for (key, frame) in (0..).zip(frames) {
            value[..4].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
            value[4..4 + frame.len()].copy_from_slice(frame);
            table.set(key, &value)?;
        }
        let state = Map::array("state", 8, 1)?;
        let code = program(interface, &table, &state, count, longest as i32);
        let program = Program::load_xdp("wharf_gen", &code)?;
        Ok(Self { program, state, blank: vec![0; longest], made: 0 })
    }

    /// Makes so many frames; gives how many it were, also where the kernel was interrupted. What became of them the
    /// interface counts: one that could not be handed over is gone.
    ///
    /// # Errors
    /// As `bpf(BPF_PROG_TEST_RUN)`: `EINVAL` on kernels before Linux 5.18.
    pub fn send(&mut self, count: u32) -> io::Result<u32> {
        let result = self.program.test_run_live_frames(&self.blank, count, BATCH);
        let mut state = [0; 8];
        self.state.get(0, &mut state)?;
        let made = u32::from_ne_bytes([state[4], state[5], state[6], state[7]]);
        let new = made.wrapping_sub(std::mem::replace(&mut self.made, made));
        match result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(new),
        }
    }
}

/// Writes the next frame of `table` into what the kernel made, `longest` bytes of it, and redirects it.
fn program(interface: u32, table: &Map, state: &Map, count: u32, longest: i32) -> Vec<Instruction> {
    let mut code = Assembler::new();
    let (again, abort, same) = (code.label(), code.label(), code.label());
    // R6 context, R7 state, R8 the frame in the table, R9 its length. The key is read where the state is.
    code.set(R6, R1).map_value(R7, state, 0);
    code.map(R1, table).set(R2, R7).call(LOOK_UP).jump(Condition::Equal, R0, 0, abort).set(R8, R0);
    code.load(Size::Word, R1, R7, 0).add(R1, 1).jump(Condition::Less, R1, count as i32, again);
    code.set(R1, 0).place(again).store(Size::Word, R7, 0, R1);
    code.load(Size::Word, R1, R7, 4).add(R1, 1).store(Size::Word, R7, 4, R1);
    // The verifier wants to see that lengths are what they are.
    code.load(Size::Word, R9, R8, 0);
    code.jump(Condition::Less, R9, SHORTEST as i32, abort).jump(Condition::Greater, R9, longest, abort);
    code.jump(Condition::Equal, R9, longest, same);
    code.set(R1, R6).set(R2, R9).add(R2, -longest).call(ADJUST_TAIL).jump(Condition::Unlike, R0, 0, abort);
    code.place(same).set(R1, R6).set(R2, 0).set(R3, R8).add(R3, 4).set(R4, R9).call(STORE_BYTES);
    code.jump(Condition::Unlike, R0, 0, abort);
    code.set(R1, interface as i32).set(R2, 0).call(REDIRECT).exit();
    code.place(abort).set(R0, ABORTED).exit();
    finished(code)
}
