//! The seam between the summing loops and what uses them: which loop runs is settled once for a whole task.

use super::{Sum, scalar, wide};

pub(super) mod sealed {
    pub trait Sealed {
        /// The ones' complement sum of the 16-bit words of `bytes` in the machine's own byte order, an odd last byte
        /// taken as if a zero byte followed. Not folded; 0 only when every byte is 0.
        fn raw(self, bytes: &[u8]) -> u64;

        /// Copies `from` to `to` and gives what `raw` does for it. The two are of the same length.
        fn raw_copy(self, to: &mut [u8], from: &[u8]) -> u64;

        /// `raw` as one call: for code that is compiled for every CPU, which has more bytes than
        /// [`SHORT`](crate::checksum::wide::SHORT).
        #[inline(always)]
        fn raw_long(self, bytes: &[u8]) -> u64
        where
            Self: Sized,
        {
            self.raw(bytes)
        }

        /// `raw_copy` as one call, likewise. In two passes, unless one is sooner done: the second one finds all in the
        /// nearest cache.
        #[inline(always)]
        fn raw_copy_long(self, to: &mut [u8], from: &[u8]) -> u64
        where
            Self: Sized,
        {
            to.copy_from_slice(from);
            self.raw_long(from)
        }
    }
}

/// Vectors in whose lanes several packets at once are parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lanes {
    /// Four lanes of 64 bits: AVX2, with BMI1 and BMI2.
    Avx2,
    /// Eight of them: AVX-512 F, BW, VL and VNNI, with BMI2.
    Avx512,
}

impl Lanes {
    /// As the [variant](super::Variant) is called whose they are.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// One way to sum, known when the code that uses it is compiled. A value of it is the proof that this CPU has what
/// it needs.
///
/// There is one behind each [`Variant`](super::Variant), and nowhere else.
pub trait Kernel: Copy + sealed::Sealed {
    /// The vectors among its instructions by which several packets at once are parsed, if there are any.
    const LANES: Option<Lanes> = None;

    /// The sum of `bytes`.
    #[inline(always)] // Into a Task, where it becomes a few instructions for short inputs.
    fn sum(self, bytes: &[u8]) -> Sum {
        Sum::raw(self.raw(bytes), bytes)
    }

    /// Copies `from` to `to` and gives the sum of what was copied.
    ///
    /// # Panics
    /// When the two differ in length, like [`slice::copy_from_slice`].
    #[inline(always)]
    fn copy_and_sum(self, to: &mut [u8], from: &[u8]) -> Sum {
        assert_eq!(to.len(), from.len(), "copied bytes must fit exactly");
        Sum::raw(self.raw_copy(to, from), from)
    }

    /// Runs `task` with this kernel, all of it compiled for the instructions that the kernel uses.
    fn run<T: Task>(self, task: T) -> T::Output;
}

/// Work that takes sums, many of them: compiled once for each [`Kernel`], so that short sums
/// are inlined and the choice of a variant costs nothing per sum.
///
/// ```
/// use wharf::checksum::{self, Kernel, Task};
///
/// struct CountValid<'a>(&'a [&'a [u8]]);
///
/// impl Task for CountValid<'_> {
///     type Output = usize;
///
///     #[inline(always)]
///     fn run<K: Kernel>(self, kernel: K) -> usize {
///         self.0.iter().filter(|header| kernel.sum(header).fold() == 0xffff).count()
///     }
/// }
///
/// assert_eq!(checksum::run(CountValid(&[b"\x12\x34\xed\xcb", b"\x12\x34\xed\xcc"])), 1);
/// ```
pub trait Task {
    /// What comes of it.
    type Output;

    /// Does the work. Where this is marked `#[inline(always)]`, it is compiled for the instructions of the
    /// kernel; otherwise it calls the kernel.
    fn run<K: Kernel>(self, kernel: K) -> Self::Output;
}

/// The reference.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

impl sealed::Sealed for Scalar {
    #[inline]
    fn raw(self, bytes: &[u8]) -> u64 {
        scalar::sum(bytes).to_be().into()
    }

    fn raw_copy(self, to: &mut [u8], from: &[u8]) -> u64 {
        scalar::copy(to, from).to_be().into()
    }
}

impl Kernel for Scalar {
    fn run<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }
}

/// General registers.
#[derive(Clone, Copy)]
pub(super) struct Wide;

impl sealed::Sealed for Wide {
    #[inline(always)]
    fn raw(self, bytes: &[u8]) -> u64 {
        wide::sum(bytes)
    }

    fn raw_copy(self, to: &mut [u8], from: &[u8]) -> u64 {
        wide::copy(to, from)
    }
}

impl Kernel for Wide {
    fn run<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }
}
