//! What an interface itself counts (`struct rtnl_link_stats64`).

use super::netlink::Netlink;
use std::io;
use std::ops::Sub;

/// Sent and not sent, since the interface was made. `linux/if_link.h`, Linux 6.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames received and dropped: no room in the stack.
    pub rx_dropped: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes of them.
    pub tx_bytes: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Frames given up before they were sent: of a veth pair also those the other end had no room for.
    pub tx_dropped: u64,
}

/// What has come to them since an earlier reading.
impl Sub for LinkCounters {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            rx_packets: self.rx_packets.saturating_sub(earlier.rx_packets),
            rx_dropped: self.rx_dropped.saturating_sub(earlier.rx_dropped),
            tx_packets: self.tx_packets.saturating_sub(earlier.tx_packets),
            tx_bytes: self.tx_bytes.saturating_sub(earlier.tx_bytes),
            tx_errors: self.tx_errors.saturating_sub(earlier.tx_errors),
            tx_dropped: self.tx_dropped.saturating_sub(earlier.tx_dropped),
        }
    }
}

/// The counters of an interface of the calling thread's namespace.
///
/// # Errors
/// `ENODEV` when it is gone; when the kernel does not answer over rtnetlink.
pub fn link_counters(index: u32) -> io::Result<LinkCounters> {
    Ok(Netlink::open()?.link_state(index, None)?.counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_counts_and_a_missing_interface_is_an_error() {
        let loopback = super::super::link::index_of("lo").unwrap();
        let earlier = link_counters(loopback).unwrap();
        assert_eq!((link_counters(loopback).unwrap() - earlier).tx_errors, 0);
        assert_eq!(link_counters(i32::MAX as u32).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
