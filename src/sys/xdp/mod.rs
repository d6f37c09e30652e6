//! `AF_XDP` sockets (`Documentation/networking/af_xdp.rst`): frames straight from a queue of an interface into memory of
//! this process, or from there onto it.
//!
//! ```text
//!            redirects by XSKMAP                     reads, leases
//! interface --[program]--> frame in UMEM --> rx ring ------------> us
//!     ^           | passes                      ^                   |
//!     |           v                             |      gives back   |
//!     |      the host's stack               fill ring <-------------+
//!     +------ tx ring <-- Sender --> completion ring
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `abi` | the structures of `linux/if_xdp.h` that wharf shares with the kernel |
//! | `ring` | one of the four rings, seen from either end |
//! | `umem` | the memory frames lie in: whose each chunk of it is, and who may read it how long |
//! | [`socket`] | a socket, its options and its counters |
//! | [`receiver`] | a queue being received from |
//! | [`sender`] | a queue being sent to |
//! | [`ports`] | which ports are wanted, as the program looks them up |
//! | [`program`] | the programs themselves |
//! | [`live_frames`] | frames made in the kernel and sent from there |
//! | `attachment` | a program at an interface, with its maps |

pub(crate) mod abi;
mod attachment;
pub mod live_frames;
pub mod ports;
pub mod program;
pub mod receiver;
mod ring;
pub mod sender;
pub mod socket;
mod umem;

pub use attachment::{AttachError, Attachment};
pub use live_frames::{LiveFrames, LiveFramesError};
pub use ports::PortTable;
pub use receiver::Receiver;
pub use sender::Sender;
pub use socket::{Copying, Statistics, XdpSocket};
pub use umem::{Damage, Lease};
