//! Copying and summing in one go, for who must copy anyway.

use super::{Kernel, Sum, Task, run};

/// Bytes that are copied before they are summed: even, and small enough to be still in the L1 cache then.
const BLOCK: usize = 8192;

/// Copies `from` to `to` and gives the sum of what was copied: of memory beyond the caches, at the price of the copy.
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
pub fn copy_and_sum(to: &mut [u8], from: &[u8]) -> Sum {
    assert_eq!(to.len(), from.len(), "copied bytes must fit exactly");
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
        let blocks = self.to.chunks_mut(BLOCK).zip(self.from.chunks(BLOCK));
        blocks.fold(Sum::ZERO, |sum, (to, from)| {
            to.copy_from_slice(from);
            // Of the source: what was just written may not be readable as fast.
            sum.then(kernel.sum(from))
        })
    }
}
