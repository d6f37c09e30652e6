//! The port-demux proxy: TCP connections and UDP datagrams, sent on by port (and what else a route asks for) to servers.
//!
//! ```text
//! listen  ->  [detect]  ->  route  ->  upstream  ->  tcp | udp
//! sockets     what the      first      which         bytes and datagrams
//! by port     client says   that fits  server        both ways
//! ```
//!
//! One thread for each core, with an event loop of its own (mio, edge-triggered) and sockets of its own: nothing is
//! shared on the way of a byte but counts that only one thread writes. What the control side knows (which servers are
//! up, what their names resolve to) is read through atomics.
//!
//! | part | module | what it does |
//! | --- | --- | --- |
//! | configuration | [`config`] | passive data: listeners, routes, upstreams, limits |
//! | what a client speaks | [`detect`] | pure: which route, from the first bytes |
//! | servers | [`upstream`] | pure: which server, by weight, load or client; what is known of each |
//! | PROXY headers | [`proxy_protocol`] | pure: who the client behind a proxy is |
//! | limits | [`limits`] | what one client may take |
//! | names | [`resolve`] | what servers' names mean, by their time to live, on a thread of its own |
//! | health | `health` | active checks, on a thread of its own |
//! | plan | `plan`, `control` | what the workers go by, made anew on a reload |
//! | told | `admin`, `access_log`, `notice`, `label` | metrics and status over HTTP, a line for what ended, what is worth telling |
//! | another process | `handover` | takes this one's place, sockets and sessions |
//! | sockets | `listen` | one for each port and worker, kept over reloads |
//! | how much | `share` | what each worker may take on, by the descriptors there are |
//! | workers | `run`, `running`, `worker` | threads, and the event loop of each |
//! | TCP | `tcp` | a connection to a server for each client's, bytes both ways |
//! | UDP | `udp` | a session for each client, datagrams both ways |
//! | counts | `counters` | what became of each connection and datagram |
//!
//! # Between the data path and the control parts
//!
//! The data path (`listen`, `worker`, `tcp`, `udp`) calls the parts below; none of them does I/O on the event loop,
//! takes a lock that may wait, or allocates for a connection.
//!
//! - [`upstream::Upstream`]: made from a [`config::Upstream`], shared by all workers behind an `Arc`. `pick` chooses a server that
//!   is up and has room, and gives a place there, which is given back when it is dropped and takes what became of it
//!   (`succeeded`, `failed`). Whose turn it is each worker knows for itself (`Turn`).
//! - [`detect::choose`]: the data path *peeks*: each call gets all the client has said so far from the first byte on, at most
//!   [`detect::MOST`] bytes, and says which route, or from how many bytes on to ask again. Nothing is kept for a
//!   connection that is silent.
//! - [`proxy_protocol::decode`] gives a header and its length, more needed, or none there; [`proxy_protocol::encode`] makes one.
//! - [`limits::Limits`]: `admit` gives an admission, which is given back when it is dropped.
//! - `plan`: all of the above as the configuration has it, replaced as a whole on a reload or when a name means something
//!   else; a worker that is woken looks for a new one.
//! - `access_log`: takes a passive `Record` when a connection or a session ends, and never blocks.
//! - `status`: reads what the workers count, at any time, from another thread.

pub mod config;
pub mod detect;
pub mod limits;
pub mod proxy_protocol;
pub mod resolve;
pub mod upstream;

mod access_log;
mod admin;
mod control;
mod counters;
mod error;
mod handover;
mod health;
mod label;
mod listen;
mod network;
mod notice;
mod plan;
mod run;
mod running;
mod share;
mod shared;
mod slab;
mod source;
mod status;
mod tcp;
mod token;
mod udp;
mod wheel;
mod worker;

pub use counters::{Ended, Tcp, Totals, Udp};
pub use error::Error;
pub use handover::{HandoverError, Predecessor, Successor};
pub use network::{Network, NetworkError};
pub use notice::{Level, Notice};
pub use run::Proxy;
pub use running::Running;
pub use shared::ListenPlace;
pub use status::{RouteStatus, ServerStatus, Status, UpstreamStatus};
