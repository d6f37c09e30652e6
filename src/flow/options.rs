//! How long flows are kept, and what was seen of them.

use std::time::Duration;

/// How long a flow is kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterOptions {
    /// At most so many at a time, at least 1. One more, and that whose timeout is the nearest makes room, unless packets have
    /// come since it was passed over; its record comes out.
    pub max_flows: usize,
    /// A flow ends when nothing has come for that long; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// A record ends when the flow has gone on for that long, and the next begins; `None`: never.
    pub active_timeout: Option<Duration>,
    /// A TCP connection that has ended is kept that long, for what comes late.
    pub linger: Duration,
}

impl Default for MeterOptions {
    /// A million flows, idle after a minute (UDP programs are silent for less, and TCP keeps alive), a record at least every
    /// half hour, five seconds after the end of a connection.
    fn default() -> Self {
        Self {
            max_flows: 1 << 20,
            idle_timeout: Some(Duration::from_secs(60)),
            active_timeout: Some(Duration::from_secs(1800)),
            linger: Duration::from_secs(5),
        }
    }
}

/// What a meter has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterCounts {
    /// Packets of flows.
    pub packets: u64,
    /// Of those, packets with a wrong checksum, where that was verified.
    pub bad_checksums: u64,
    /// Packets of none: not IP, or their addresses were not captured.
    pub without_flow: u64,
    /// Records of flows that have ended.
    pub records: u64,
    /// Of those, how many had to make room.
    pub evicted: u64,
    /// The most flows at a time.
    pub most: u64,
}

impl MeterCounts {
    /// Adds what another meter has seen of other packets.
    pub fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bad_checksums += other.bad_checksums;
        self.without_flow += other.without_flow;
        self.records += other.records;
        self.evicted += other.evicted;
        self.most += other.most;
    }
}
