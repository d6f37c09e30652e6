//! How long, and how much.

use crate::proxy::limits::Allowance;
use std::time::Duration;

/// How long a proxy waits for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a server to accept, each attempt.
    pub connect: Duration,
    /// Without a byte either way, before a TCP connection is given up. Zero: for ever.
    pub tcp_idle: Duration,
    /// Without a datagram either way, before a UDP session is forgotten.
    pub udp_idle: Duration,
    /// For open connections to end by themselves once the proxy was asked to stop, and for UDP sessions to fall silent: where
    /// none of a worker's had a datagram for a second, they are over.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            tcp_idle: Duration::from_secs(600),
            udp_idle: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}

/// How much a proxy takes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open TCP connections in all, shared out evenly among the workers; beyond it they wait in the backlog.
    /// 0: as many as the process may have descriptors for.
    pub connections: usize,
    /// UDP sessions in all, shared out likewise; beyond it the one that was silent longest makes room.
    /// 0: as many as the process may have descriptors for.
    pub sessions: usize,
    /// Servers tried for one connection, the first included, while nothing was sent to any. At least 1.
    pub attempts: u8,
    /// What one client may take.
    pub client: Allowance,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 0, sessions: 0, attempts: 3, client: Allowance::default() }
    }
}
