//! Copying and summing in one pass, for who must copy anyway.

use super::{Kernel, Sum, Task, run, wide};

/// Copies `from` to `to` and gives the sum of what was copied: what is longer than a cache line is
/// loaded once.
///
/// ```
/// use wharf::checksum::{Sum, copy_and_sum};
///
/// let mut copied = [0; 5];
/// let sum = copy_and_sum(&mut copied, b"bytes");
/// assert_eq!((&copied, sum), (b"bytes", Sum::of(b"bytes")));
/// ```
///
/// # Panics
/// When the two differ in length, like [`slice::copy_from_slice`].
#[inline]
pub fn copy_and_sum(to: &mut [u8], from: &[u8]) -> Sum {
    assert_eq!(to.len(), from.len(), "copied bytes must fit exactly");
    if from.len() <= wide::SHORT {
        // On the spot, as [`Sum::of`] does: they are in registers before a choice would be made.
        to.copy_from_slice(from);
        return Sum::of(from);
    }
    run(CopyAndSum { to, from })
}

struct CopyAndSum<'a> {
    to: &'a mut [u8],
    from: &'a [u8],
}

impl Task for CopyAndSum<'_> {
    type Output = Sum;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Sum {
        kernel.copy_and_sum(self.to, self.from)
    }
}
