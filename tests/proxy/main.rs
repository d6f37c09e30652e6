//! The proxy between real sockets on loopback: what comes through, how ends and failures come through, what is counted.
#![cfg(all(feature = "proxy", feature = "cli"))]

mod backends;
mod ends;
mod limits;
mod network;
mod setup;
#[path = "../support/skip.rs"]
mod skip;
mod transfer;
mod udp;
