//! What an interface itself counts (`struct rtnl_link_stats64`).

use super::link::LinkMessage;
use super::netlink::{Message, Netlink, attributes};
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
    let mut found = None;
    Netlink::open()?.dump(Message::new(libc::RTM_GETLINK, 0, &LinkMessage::default()), |_, body| {
        if let Some((of, counters)) = read(body)
            && of == index
        {
            found = Some(counters);
        }
    })?;
    found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

/// Body of `RTM_NEWLINK`: the interface's index and its counters, 64 bits each, in the order of the structure.
fn read(body: &[u8]) -> Option<(u32, LinkCounters)> {
    let (head, rest) = body.split_first_chunk::<{ size_of::<LinkMessage>() }>()?;
    let index = u32::from_ne_bytes(*head[4..].first_chunk()?);
    let (_, value) = attributes(rest).find(|(kind, _)| *kind == libc::IFLA_STATS64)?;
    let (words, _) = value.as_chunks::<8>();
    let at = |place: usize| words.get(place).map(|word| u64::from_ne_bytes(*word));
    // rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped
    Some((
        index,
        LinkCounters {
            rx_packets: at(0)?,
            tx_packets: at(1)?,
            tx_bytes: at(3)?,
            tx_errors: at(5)?,
            rx_dropped: at(6)?,
            tx_dropped: at(7)?,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn the_loopback_counts_and_a_missing_interface_is_an_error() {
        let loopback = super::super::link::index_of("lo").unwrap();
        let earlier = link_counters(loopback).unwrap();
        assert_eq!((link_counters(loopback).unwrap() - earlier).tx_errors, 0);
        assert_eq!(link_counters(u32::MAX).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn numbers_stand_where_the_structure_has_them() {
        let numbers: Vec<u8> = (10_u64..18).flat_map(u64::to_ne_bytes).collect();
        let attribute = [&68_u16.to_ne_bytes()[..], &libc::IFLA_STATS64.to_ne_bytes(), &numbers].concat();
        let link = LinkMessage { index: 3, ..LinkMessage::default() };
        let body = [link.as_bytes(), &attribute].concat();
        let counters = LinkCounters {
            rx_packets: 10,
            rx_dropped: 16,
            tx_packets: 11,
            tx_bytes: 13,
            tx_errors: 15,
            tx_dropped: 17,
        };
        assert_eq!(read(&body), Some((3, counters)));
        (0..body.len()).for_each(|cut| assert_eq!(read(&body[..cut]), None));
    }
}
