//! Copying and summing together, for who must copy anyway.

use super::wide::SHORT;
use super::{Kernel, Sum, Task, run, variant};

/// Bytes from which on one pass is worth its choice of a variant whichever it is: less is still in the L1 cache when it is
/// summed.
const ONE_PASS: usize = 3072;

/// Copies `from` to `to` and gives the sum of what was copied: from 3,072 bytes on, and by AVX2 from 768 on, in one pass over
/// them, which [`Kernel::copy_and_sum`] always takes.
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
    if from.len() >= ONE_PASS {
        return long(to, from);
    }
    // A length is asked for once: the sums below know it.
    if from.len() > SHORT {
        return variant::copy(to, from);
    }
    if to.len() == from.len() {
        copy_short(to, from);
    } else {
        to.copy_from_slice(from);
    }
    Sum::of(from)
}

/// Copies up to [`SHORT`] bytes, as many as both have: on the spot, since the call of a general copy takes as long as the sum.
#[inline(always)]
fn copy_short(to: &mut [u8], from: &[u8]) {
    let copied = copy_ends::<32>(to, from)
        || copy_ends::<16>(to, from)
        || copy_ends::<8>(to, from)
        || copy_ends::<4>(to, from)
        || copy_ends::<2>(to, from);
    if let (false, [to], [from]) = (copied, to, from) {
        *to = *from;
    }
}

/// Copies the first and the last `N` bytes, which are all of up to twice as many. Says whether there are so many.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return false };
    if let Some(to) = to.first_chunk_mut() {
        *to = *first;
    }
    if let Some(to) = to.last_chunk_mut() {
        *to = *last;
    }
    true
}

#[inline(never)] // A call, which has the others keep less.
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
