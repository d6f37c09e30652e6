//! Eight frames at a time, one in each 64-bit lane of vector registers.
//!
//! | file | what it does |
//! | --- | --- |
//! | `avx512/` | eight lanes in a register of AVX-512 |
//! | `avx2/` | the same in two registers of AVX2, four lanes each |
//! | `seen` | what was found in eight frames, and how that is added up |
//! | `wrong` | what was found where a checksum is wrong, and what would be right; the rest is walked |
//! | `ahead` | asks for frames that lie in memory before they are read |
//!
//! Both folders have the same files:
//!
//! | file | what it does |
//! | --- | --- |
//! | `lanes` | loads the first line of each frame and turns them over: a register for each eight bytes of a header |
//! | `shape` | which lanes have a common shape, and what their summaries are |
//! | `sums` | both checksums, by lane |
//! | `ports` | whether a port may be a tunnel's |
//! | `run` | a whole batch |

mod ahead;
pub(super) mod avx2;
pub(super) mod avx512;
mod seen;
mod wrong;
