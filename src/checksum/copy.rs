//! Copying and summing together, for who must copy anyway.

use super::{Kernel, Sum, Task, run};

/// Bytes from which on one pass is worth its choice of a variant: less is still in the L1 cache when it is summed.
const ONE_PASS: usize = 4096;

/// Copies `from` to `to` and gives the sum of what was copied: from 4,096 bytes on in one pass over them, which
/// [`Kernel::copy_and_sum`] always takes.
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
    if from.len() < ONE_PASS {
        to.copy_from_slice(from);
        Sum::of(from)
    } else {
        long(to, from)
    }
}

fn long(to: &mut [u8], from: &[u8]) -> Sum {
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
