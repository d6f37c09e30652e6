//! Eight frames at a time, one in each 64-bit lane of AVX-512 registers.
//!
//! | file | what it does |
//! | --- | --- |
//! | `lanes` | loads the first line of eight frames and turns it over: a register for each eight bytes of a header |
//! | `shape` | which lanes have a common shape, and what their summaries are |
//! | `sums` | both checksums, by lane |
//! | `wrong` | what was found where a checksum is wrong, and what would be right |
//! | `ports` | whether a port may be a tunnel's |
//! | `ahead` | asks for frames that lie in memory before they are read |
//! | `run` | a whole batch |

mod ahead;
mod lanes;
mod ports;
mod run;
mod shape;
mod sums;
mod wrong;

pub(super) use run::read;
