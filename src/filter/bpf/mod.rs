//! Classic BPF: programs compiled from filters, read from text, checked, printed, run.

mod check;
mod compile;
mod layout;
mod print;
mod read;
mod registers;

pub use check::Invalid;
pub use print::Form;
pub use read::ReadError;

use crate::filter::graph::{self, Facts, Graph, Problem};
use crate::filter::ir::Test;
use crate::frame::{Direction, Frame};
use crate::sys::classic_bpf::{Instruction, LONGEST, Seen, run, run_as_kernel};
use socket2::SockFilter;

/// Why a filter has no program in the kernel. It still has an evaluator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// More than [`LONGEST`] instructions.
    #[error(
        "the filter takes {instructions} BPF instructions, and the kernel no more than {LONGEST}: ask for less, or for networks in place of hosts"
    )]
    TooLong {
        /// As far as they were counted.
        instructions: usize,
    },
    /// More than BPF's 16 words of memory.
    #[error("the filter keeps more values in mind than the 16 that BPF has room for: write it simpler")]
    TooManyValues,
    /// More decisions than are looked at.
    #[error("the filter is too large")]
    TooLarge,
    /// A local outside of its definition: a defect of whoever made the tree.
    #[error("the filter's form is broken: a local without a value")]
    Broken,
}

impl From<Problem> for CompileError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::TooLarge => Self::TooLarge,
            Problem::UnknownLocal(_) => Self::Broken,
        }
    }
}

/// A valid program of classic BPF.
///
/// ```
/// use wharf::filter::bpf::Program;
/// use wharf::filter::ir::Value;
///
/// // IPv4 over Ethernet.
/// let program = Program::compile(&Value::half(12).is(0x0800), 65_535)?;
/// assert_eq!(program.to_string(), "\
/// (000) ldh      [12]
/// (001) jeq      #0x800           jt 2\tjf 3
/// (002) ret      #65535
/// (003) ret      #0
/// ");
/// # Ok::<(), wharf::filter::bpf::CompileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// Compiles a test; the program gives `snap_length` (not 0) for a frame that is wanted, and 0 for others.
    ///
    /// # Errors
    /// [`CompileError`] where it does not fit what the kernel takes.
    pub fn compile(test: &Test, snap_length: u32) -> Result<Self, CompileError> {
        let graph = optimised(test)?;
        compile::compile(&graph, snap_length).map(Self)
    }

    /// A program of somebody else.
    ///
    /// # Errors
    /// [`Invalid`] where the kernel would refuse it.
    pub fn new(instructions: Vec<Instruction>) -> Result<Self, Invalid> {
        check::check(&instructions)?;
        Ok(Self(instructions))
    }

    /// Reads what `tcpdump -ddd` prints: the number of instructions, then four numbers each, in lines (or, as iptables has them,
    /// behind commas).
    ///
    /// # Errors
    /// [`ReadError`] with the line.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        read::read(text)
    }

    /// Whether a text is such numbers, right or wrong, and so no expression: a number alone in the first line, and another one at the
    /// beginning of the next.
    ///
    /// ```
    /// use wharf::filter::bpf::Program;
    /// assert!(Program::is_meant_by("1\n6 0 0 1") && Program::is_meant_by("1,6 0 0 1") && !Program::is_meant_by("1\n+ 1 = 2"));
    /// ```
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        read::is_program(text)
    }

    /// Its instructions.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// For `SO_ATTACH_FILTER`.
    #[must_use]
    pub fn for_socket(&self) -> Vec<SockFilter> {
        self.0.iter().copied().map(SockFilter::from).collect()
    }

    /// How many bytes it keeps of a frame; 0: the frame is not wanted.
    #[must_use]
    pub fn run(&self, seen: &Seen<'_>) -> u32 {
        run(&self.0, seen)
    }

    /// Whether it wants the frame, asked as the kernel would of one whose VLAN tags are in it.
    pub(super) fn wants(&self, frame: &Frame<'_>) -> bool {
        let sent = frame.record.direction == Direction::Out;
        let seen = Seen {
            bytes: frame.data,
            wire_length: Some(frame.record.wire_length),
            packet_type: if sent { libc::PACKET_OUTGOING.into() } else { 0 },
            interface: frame.record.interface.0,
            ..Seen::default()
        };
        run_as_kernel(&self.0, &seen) != 0
    }

    /// As tcpdump prints it.
    #[must_use]
    pub fn show(&self, form: Form) -> String {
        print::print(&self.0, form)
    }
}

/// As `tcpdump -d`.
impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.show(Form::Assembly))
    }
}

/// The decisions of a test, as few and as cheap as is known to be done.
pub(super) fn optimised(test: &Test) -> Result<Graph, Problem> {
    let mut graph = graph::build(test)?;
    graph.simplify(&Facts::default());
    graph.bring_together();
    graph.simplify(&Facts::default());
    Ok(graph)
}

#[cfg(test)]
mod tests;
