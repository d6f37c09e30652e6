//! What the kernel knows of one link beside its name: who is at the other end, what takes frames away, what was lost.

use super::link::LinkMessage;
use super::link_counters::LinkCounters;
use super::netlink::{Message, Netlink, attributes};
use std::io;
use std::ops::Sub;

/// `IFLA_TARGET_NETNSID` of `linux/if_link.h`: asks about a link of another namespace (Linux 4.20).
const TARGET_NAMESPACE: u16 = 46;
/// `IFLA_XDP` and what is nested in it.
const XDP: u16 = 43;
const XDP_ATTACHED: u16 = 2;
const XDP_PROGRAM: u16 = 4;

/// What there is to know of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Its name.
    pub name: String,
    /// What it is bound to: of a veth its other end, of a VLAN the interface below.
    pub bound_to: Option<Bound>,
    /// The XDP program that sees frames before anybody else.
    pub xdp: Option<Xdp>,
    /// What it could not receive or send.
    pub losses: LinkLosses,
    /// What it counts.
    pub counters: LinkCounters,
}

/// A link that another one is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Its index, in its own namespace.
    pub index: u32,
    /// The number this namespace has for that one; `None` where it is the same.
    pub namespace: Option<i32>,
}

/// An attached XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xdp {
    /// `XDP_ATTACHED_*`: 1 in the driver, 2 generic, 3 in the device, 4 several.
    pub mode: u8,
    /// Its number, as `bpftool prog` shows it; 0 where there are several.
    pub program: u32,
}

/// Frames that a link lost, since it was made (`struct rtnl_link_stats64` of `linux/if_link.h`, Linux 6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkLosses {
    /// Received damaged, of any kind.
    pub rx_errors: u64,
    /// Received, and no room or no use for them: in the driver or in the stack.
    pub rx_dropped: u64,
    /// No room in the device's ring.
    pub rx_over: u64,
    /// No room in the device's memory.
    pub rx_fifo: u64,
    /// The device missed them: nobody had given it memory to put them in.
    pub rx_missed: u64,
    /// Received on an inactive member of a bond, and no use for them.
    pub rx_nohandler: u64,
    /// Given up before they were sent: of a veth also those the other end had no room for.
    pub tx_dropped: u64,
}

impl LinkLosses {
    /// Each of them that concerns receiving, by the kernel's name.
    #[must_use]
    pub fn receiving(&self) -> [(&'static str, u64); 6] {
        [
            ("rx_dropped", self.rx_dropped),
            ("rx_missed", self.rx_missed),
            ("rx_fifo", self.rx_fifo),
            ("rx_over", self.rx_over),
            ("rx_nohandler", self.rx_nohandler),
            ("rx_errors", self.rx_errors),
        ]
    }
}

/// What has come to them since an earlier reading.
impl Sub for LinkLosses {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            rx_errors: self.rx_errors.saturating_sub(earlier.rx_errors),
            rx_dropped: self.rx_dropped.saturating_sub(earlier.rx_dropped),
            rx_over: self.rx_over.saturating_sub(earlier.rx_over),
            rx_fifo: self.rx_fifo.saturating_sub(earlier.rx_fifo),
            rx_missed: self.rx_missed.saturating_sub(earlier.rx_missed),
            rx_nohandler: self.rx_nohandler.saturating_sub(earlier.rx_nohandler),
            tx_dropped: self.tx_dropped.saturating_sub(earlier.tx_dropped),
        }
    }
}

impl Netlink {
    /// The state of a link by its index; in another namespace by the number this conversation's has for that one.
    ///
    /// # Errors
    /// `ENODEV` when there is none, `PermissionDenied` or `InvalidInput` when that other namespace may not be looked into.
    pub(crate) fn link_state(&self, index: u32, namespace: Option<i32>) -> io::Result<LinkState> {
        let link = LinkMessage { index: index as i32, ..LinkMessage::default() };
        let mut message = Message::new(libc::RTM_GETLINK, 0, &link);
        if let Some(number) = namespace {
            message = message.with(TARGET_NAMESPACE, &number.to_ne_bytes());
        }
        let mut found = None;
        self.ask(message, |kind, body| {
            if kind == libc::RTM_NEWLINK {
                found = read(body);
            }
        })?;
        found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }
}

/// Body of `RTM_NEWLINK`: `struct ifinfomsg`, attributes.
fn read(body: &[u8]) -> Option<LinkState> {
    let mut state = LinkState::default();
    let (mut index, mut namespace) = (None, None);
    for (kind, value) in attributes(body.get(size_of::<LinkMessage>()..)?) {
        let word = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        match kind {
            libc::IFLA_IFNAME => {
                state.name = String::from_utf8_lossy(value.split(|byte| *byte == 0).next()?).into_owned();
            }
            libc::IFLA_LINK => index = word.filter(|index| *index != 0),
            libc::IFLA_LINK_NETNSID => namespace = word.map(u32::cast_signed),
            libc::IFLA_STATS64 => (state.losses, state.counters) = read_statistics(value)?,
            XDP => state.xdp = read_xdp(value),
            _ => {}
        }
    }
    state.bound_to = index.map(|index| Bound { index, namespace });
    Some(state)
}

/// `struct rtnl_link_stats64` of `linux/if_link.h`, Linux 6.1: numbers of 64 bits, in this order: rx_packets, tx_packets,
/// rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast, collisions, rx_length_errors,
/// rx_over_errors, rx_crc_errors, rx_frame_errors, rx_fifo_errors, rx_missed_errors, six of sending, rx_compressed,
/// tx_compressed, rx_nohandler.
fn read_statistics(value: &[u8]) -> Option<(LinkLosses, LinkCounters)> {
    let (numbers, _) = value.as_chunks::<8>();
    let at = |place: usize| numbers.get(place).map(|bytes| u64::from_ne_bytes(*bytes));
    let losses = LinkLosses {
        rx_errors: at(4)?,
        rx_dropped: at(6)?,
        tx_dropped: at(7)?,
        rx_over: at(11)?,
        rx_fifo: at(14)?,
        rx_missed: at(15)?,
        // Linux 4.6.
        rx_nohandler: at(23).unwrap_or(0),
    };
    let counters = LinkCounters {
        rx_packets: at(0)?,
        rx_dropped: at(6)?,
        tx_packets: at(1)?,
        tx_bytes: at(3)?,
        tx_errors: at(5)?,
        tx_dropped: at(7)?,
    };
    Some((losses, counters))
}

fn read_xdp(value: &[u8]) -> Option<Xdp> {
    let find = |wanted| attributes(value).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let mode = *find(XDP_ATTACHED)?.first().filter(|mode| **mode != 0)?;
    let program =
        find(XDP_PROGRAM).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    Some(Xdp { mode, program })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [&((value.len() + 4) as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn numbers_stand_where_the_structure_has_them() {
        let numbers: Vec<u8> = (100_u64..124).flat_map(u64::to_ne_bytes).collect();
        let body = [
            LinkMessage::default().as_bytes(),
            &attribute(libc::IFLA_IFNAME, b"veth7\0"),
            &attribute(libc::IFLA_LINK, &9_u32.to_ne_bytes()),
            &attribute(libc::IFLA_LINK_NETNSID, &3_i32.to_ne_bytes()),
            &attribute(libc::IFLA_STATS64, &numbers),
            &attribute(
                XDP,
                &[attribute(XDP_ATTACHED, &[1]), attribute(XDP_PROGRAM, &42_u32.to_ne_bytes())].concat(),
            ),
        ]
        .concat();
        let state = read(&body).unwrap();
        assert_eq!((state.name.as_str(), state.xdp), ("veth7", Some(Xdp { mode: 1, program: 42 })));
        assert_eq!(state.bound_to, Some(Bound { index: 9, namespace: Some(3) }));
        let losses = LinkLosses {
            rx_errors: 104,
            rx_dropped: 106,
            tx_dropped: 107,
            rx_over: 111,
            rx_fifo: 114,
            rx_missed: 115,
            rx_nohandler: 123,
        };
        assert_eq!(state.losses, losses);
        let counters = LinkCounters {
            rx_packets: 100,
            rx_dropped: 106,
            tx_packets: 101,
            tx_bytes: 103,
            tx_errors: 105,
            tx_dropped: 107,
        };
        assert_eq!(state.counters, counters);
        assert_eq!(losses - losses, LinkLosses::default());
        (0..body.len()).for_each(|cut| drop(read(&body[..cut])));
    }

    #[test]
    fn nobody_is_at_the_other_end_of_the_loopback() {
        let netlink = Netlink::open().unwrap();
        let state = netlink.link_state(super::super::link::index_of("lo").unwrap(), None).unwrap();
        assert_eq!((state.name.as_str(), state.bound_to, state.xdp), ("lo", None, None));
        assert_eq!(netlink.link_state(i32::MAX as u32, None).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
