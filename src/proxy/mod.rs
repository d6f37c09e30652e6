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
//!
//! # Between the data path and the control parts
//!
//! The data path (`listen`, `worker`, `tcp`, `udp`) calls the parts below; none of them does I/O on the event loop,
//! takes a lock that may wait, or allocates for a connection.
//!
//! - `upstream::Group`: made of a [`config::Upstream`], shared by all workers behind an `Arc`, every method by `&self`.
//!   `pick(client: SocketAddr, tried: &[ServerIndex]) -> Option<ServerIndex>` chooses a server that is up and has room;
//!   `address(ServerIndex, listener_port: u16) -> Option<SocketAddr>` is where it is by now;
//!   `opened(ServerIndex)` and `closed(ServerIndex, Ending)` keep its count of connections and what is known of its health.
//! - `detect`: pure. The data path *peeks*: each call gets all the client has said so far from the first byte on, at most
//!   `detect::MOST` bytes, and says `Detection::More`, or what it is. Nothing is kept for a connection that is silent.
//! - `proxy_protocol`: pure. `read(&[u8])` gives a header and its length, more needed, or none there; `write(version,
//!   source, destination, &mut [u8]) -> usize` makes one.
//! - `limits`: `admit(client: IpAddr, now: Instant) -> Result<(), Refusal>` and `leave(client: IpAddr)`.
//! - `access_log`: takes a passive `Record` when a connection or a session ends, and never blocks.
//! - `metrics`, `status`: read what the workers count, at any time, from another thread.

pub mod config;
