//! What the host lost of a capture's frames before they came to the ring, as far as it tells.
//!
//! ```text
//! other end  ->  device  ->  driver  ->  backlog of a CPU  ->  ring  ->  ...
//! tx_dropped     missed,     no_buf,     softnet dropped       exact from here on:
//! (of a veth)    fifo, over  drops                             the engine's ledger
//! ```
//!
//! None of it is part of the ledger's sum: the host counts at places of its own, some frames at two of them, some that
//! were for nobody, and some nowhere.

use crate::sys::ethtool::{Ethtool, tells_of_loss};
use crate::sys::interfaces::{ANY, interfaces};
use crate::sys::link;
use crate::sys::link_state::{Bound, LinkLosses, LinkState};
use crate::sys::netlink::Netlink;
use crate::sys::softnet::SoftnetTotals;
use serde::Serialize;
use std::fmt;
use std::io;

/// The host's counters in front of some interfaces, from a moment on.
///
/// ```
/// use wharf::source::packet::Upstream;
///
/// let mut upstream = Upstream::of(["lo"])?;
/// let losses = upstream.since_begun();
/// assert_eq!(losses.interfaces[0].name, "lo");
/// println!("{losses}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Upstream {
    netlink: Netlink,
    ethtool: Ethtool,
    devices: Vec<Device>,
    begun: Reading,
    last: Reading,
}

/// An interface that is watched.
#[derive(Debug)]
struct Device {
    name: String,
    index: u32,
    /// The other end of a veth.
    peer: Option<Bound>,
}

/// Every counter at one moment.
#[derive(Clone, Debug, Default)]
struct Reading {
    devices: Vec<DeviceReading>,
    softnet: Option<SoftnetTotals>,
}

#[derive(Clone, Debug, Default)]
struct DeviceReading {
    link: Option<LinkState>,
    driver: Vec<(String, u64)>,
    /// Name and counters of the other end; `None` where it may not be looked at.
    peer: Option<(String, u64)>,
}

/// What was lost before the ring between two moments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpstreamLosses {
    /// Each interface's part.
    pub interfaces: Vec<InterfaceLosses>,
    /// Frames that CPUs dropped because their backlog was full: of all interfaces of the host, as the kernel does not
    /// tell them apart. `None` where it does not say.
    pub backlog_dropped: Option<u64>,
    /// Times a CPU put off frames that were waiting: delay, not loss.
    pub time_squeezed: Option<u64>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
    /// Interfaces that are gone, with all they had counted.
    #[serde(skip)]
    pub gone: Vec<String>,
}

/// What was lost on the way to an interface's part of the stack, by who counted it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InterfaceLosses {
    /// The interface.
    pub name: String,
    /// The kernel's counters (`ip -s -s link`) that have moved.
    pub kernel: Vec<Lost>,
    /// The driver's (`ethtool -S`) whose names tell of loss, and that have moved. It may be the same frames.
    pub driver: Vec<Lost>,
    /// Of a veth, what the other end had to give up because there was no room here.
    pub peer: Option<Lost>,
}

/// A counter, and by how much it has moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Its name, for a peer behind the interface's.
    pub counter: String,
    /// Frames.
    pub frames: u64,
}

impl Upstream {
    /// Watches these interfaces of the calling thread's network namespace from now on, `any` for all of them. It may be
    /// read from anywhere.
    ///
    /// # Errors
    /// When an interface is not there, or the kernel does not answer.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> io::Result<Self> {
        let (netlink, ethtool) = (Netlink::open()?, Ethtool::open()?);
        let all = interfaces()?;
        let mut devices = Vec::new();
        for name in names {
            let index = if name == ANY { 0 } else { link::index_of(name)? };
            let wanted =
                all.iter().filter(|device| !device.is_any() && (index == 0 || device.index == index));
            for device in wanted {
                let state = netlink.link_state(device.index, None)?;
                // Of other kinds it is the interface below, whose drops are its own affair.
                let peer = state.bound_to.filter(|_| device.kind.as_deref() == Some("veth"));
                devices.push(Device { name: device.name.clone(), index: device.index, peer });
            }
        }
        let mut upstream =
            Self { netlink, ethtool, devices, begun: Reading::default(), last: Reading::default() };
        upstream.begun = upstream.read();
        upstream.last = upstream.begun.clone();
        Ok(upstream)
    }

    /// What was lost since it was made.
    pub fn since_begun(&mut self) -> UpstreamLosses {
        let now = self.read();
        let losses = self.between(&self.begun, &now);
        self.last = now;
        losses
    }

    /// What was lost since it was last asked, or made.
    pub fn since_last(&mut self) -> UpstreamLosses {
        let now = self.read();
        let losses = self.between(&self.last, &now);
        self.last = now;
        losses
    }

    fn read(&self) -> Reading {
        let devices = self.devices.iter().map(|Device { name, index, peer }| DeviceReading {
            link: self.netlink.link_state(*index, None).ok(),
            driver: self.ethtool.statistics(name).unwrap_or_default(),
            peer: peer.and_then(|peer| {
                let state = self.netlink.link_state(peer.index, peer.namespace).ok()?;
                Some((state.name, state.losses.tx_dropped))
            }),
        });
        Reading { devices: devices.collect(), softnet: SoftnetTotals::now().ok() }
    }

    fn between(&self, earlier: &Reading, now: &Reading) -> UpstreamLosses {
        let mut losses = UpstreamLosses::default();
        match (earlier.softnet, now.softnet) {
            (Some(earlier), Some(now)) => {
                let moved = now - earlier;
                (losses.backlog_dropped, losses.time_squeezed) = (Some(moved.dropped), Some(moved.squeezed));
            }
            _ => losses.unseen.push("the backlog's drops: /proc/net/softnet_stat cannot be read".to_owned()),
        }
        for (device, (earlier, now)) in self.devices.iter().zip(earlier.devices.iter().zip(&now.devices)) {
            losses.interfaces.push(InterfaceLosses {
                name: device.name.clone(),
                kernel: match (&earlier.link, &now.link) {
                    (Some(earlier), Some(now)) => moved(now.losses - earlier.losses),
                    _ => {
                        losses.unseen.push(counters_of_gone(&device.name));
                        losses.gone.push(device.name.clone());
                        Vec::new()
                    }
                },
                driver: driver_losses(&earlier.driver, &now.driver),
                peer: match (&earlier.peer, &now.peer) {
                    (Some((_, earlier)), Some((name, now))) if now > earlier => {
                        Some(Lost { counter: format!("{name} tx_dropped"), frames: now - earlier })
                    }
                    _ => None,
                },
            });
            if device.peer.is_some() && now.link.is_some() && (earlier.peer.is_none() || now.peer.is_none()) {
                losses.unseen.push(format!(
                    "{}: tx_dropped of the other end of this veth, where frames vanish that find no room here: it is in a \
                     network namespace that takes CAP_NET_ADMIN to look into",
                    device.name
                ));
            }
        }
        losses
    }
}

/// What of an interface that is gone could not be seen.
fn counters_of_gone(name: &str) -> String {
    format!("{name}: its counters, as it is gone")
}

fn moved(losses: LinkLosses) -> Vec<Lost> {
    let some = losses.receiving().into_iter().filter(|(_, frames)| *frames > 0);
    some.map(|(counter, frames)| Lost { counter: counter.to_owned(), frames }).collect()
}

/// Those of a driver's counters that have moved, and whose names tell of received frames lost.
fn driver_losses(earlier: &[(String, u64)], now: &[(String, u64)]) -> Vec<Lost> {
    let before =
        |name: &String| earlier.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
    let lost = now.iter().filter(|(name, _)| tells_of_loss(name));
    lost.map(|(name, count)| Lost { counter: name.clone(), frames: count.saturating_sub(before(name)) })
        .filter(|lost| lost.frames > 0)
        .collect()
}

impl UpstreamLosses {
    /// Whether any counter tells of a loss.
    #[must_use]
    pub fn any(&self) -> bool {
        self.backlog_dropped.unwrap_or(0) > 0
            || self
                .interfaces
                .iter()
                .any(|one| one.peer.is_some() || !one.kernel.is_empty() || !one.driver.is_empty())
    }

    /// Those of what is [unseen](Self::unseen) of which the printed losses say nothing: they do of interfaces that are gone.
    pub fn unseen_and_untold(&self) -> impl Iterator<Item = &str> {
        let told: Vec<_> = self.gone.iter().map(|name| counters_of_gone(name)).collect();
        self.unseen.iter().filter(move |what| !told.contains(what)).map(String::as_str)
    }

    /// Leaves out of what the interfaces have counted as dropped those frames that the ledger has already: an AF_XDP program in
    /// the driver hands a frame to a ring that has no room, and the device counts what became of it (`rx_dropped`, the drops
    /// of its queues). `told` is how many there were at most: what is more than that was lost elsewhere. What finds no
    /// room behind the driver, in generic mode, no device counts. How many were left out of the counters that had most of them.
    ///
    /// ```
    /// use wharf::source::packet::{InterfaceLosses, Lost, UpstreamLosses};
    ///
    /// let lost = |counter: &str, frames| Lost { counter: counter.into(), frames };
    /// let (kernel, driver) = (vec![lost("rx_dropped", 9)], vec![lost("rx_queue_0_drops", 9)]);
    /// let interface = InterfaceLosses { name: "eth0".into(), kernel, driver, peer: None };
    /// let mut losses = UpstreamLosses { interfaces: vec![interface], ..UpstreamLosses::default() };
    /// assert_eq!(losses.leave_out(7), 7);
    /// assert_eq!(losses.to_string(), "eth0: 2 rx_dropped; eth0, its driver: 2 rx_queue_0_drops");
    /// assert_eq!(losses.leave_out(5), 2);
    /// assert!(!losses.any());
    /// ```
    pub fn leave_out(&mut self, told: u64) -> u64 {
        let mut most = 0;
        let mut take_off = |counters: &mut Vec<Lost>, is_meant: fn(&str) -> bool| {
            let mut left = told;
            for Lost { frames, .. } in counters.iter_mut().filter(|lost| is_meant(&lost.counter)) {
                let known = left.min(*frames);
                (*frames, left) = (*frames - known, left - known);
            }
            counters.retain(|lost| lost.frames > 0);
            most = most.max(told - left);
        };
        for InterfaceLosses { kernel, driver, .. } in &mut self.interfaces {
            take_off(kernel, |name| name == "rx_dropped");
            take_off(driver, |name| name.to_ascii_lowercase().contains("drop"));
        }
        most
    }

    fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        for InterfaceLosses { name, kernel, driver, peer } in &self.interfaces {
            let list = |of: &[Lost]| {
                of.iter()
                    .map(|lost| format!("{} {}", lost.frames, lost.counter))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            if !kernel.is_empty() {
                parts.push(format!("{name}: {}", list(kernel)));
            }
            if !driver.is_empty() {
                parts.push(format!("{name}, its driver: {}", list(driver)));
            }
            if let Some(Lost { counter, frames }) = peer {
                parts.push(format!("other end of {name}: {frames} {counter}"));
            }
        }
        if let Some(frames @ 1..) = self.backlog_dropped {
            parts.push(format!("backlog of the CPUs, all interfaces of this host: {frames} dropped"));
        }
        parts
    }
}

/// What was lost, separated by semicolons, or `nothing`; of what is gone it is not known.
impl fmt::Display for UpstreamLosses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.parts();
        if !self.gone.is_empty() {
            let are = if self.gone.len() == 1 { "is" } else { "are" };
            parts.push(format!("unknown: {} {are} gone", self.gone.join(", ")));
        }
        f.write_str(if parts.is_empty() { "nothing" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_moved_is_told() {
        let named =
            |of: &[(&str, u64)]| -> Vec<_> { of.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect() };
        let earlier = named(&[("rx_queue_0_drops", 5), ("rx_queue_0_packets", 9)]);
        let now = named(&[("rx_queue_0_drops", 7), ("rx_queue_0_packets", 99), ("rx_queue_1_drops", 1)]);
        let lost = driver_losses(&earlier, &now);
        assert_eq!(lost.iter().map(|lost| lost.frames).collect::<Vec<_>>(), [2, 1]);
        let mut losses = UpstreamLosses { backlog_dropped: Some(0), ..UpstreamLosses::default() };
        assert!(!losses.any());
        assert_eq!(losses.to_string(), "nothing");
        losses.backlog_dropped = Some(3);
        losses.interfaces.push(InterfaceLosses {
            name: "veth1".into(),
            kernel: moved(LinkLosses { rx_missed: 4, tx_dropped: 9, ..LinkLosses::default() }),
            driver: lost,
            peer: Some(Lost { counter: "veth0 tx_dropped".into(), frames: 8 }),
        });
        assert!(losses.any());
        assert_eq!(
            losses.to_string(),
            "veth1: 4 rx_missed; veth1, its driver: 2 rx_queue_0_drops, 1 rx_queue_1_drops; \
             other end of veth1: 8 veth0 tx_dropped; backlog of the CPUs, all interfaces of this host: 3 dropped"
        );
    }

    #[test]
    fn of_what_is_gone_nothing_is_known() {
        let mut losses = UpstreamLosses { gone: vec!["va".into()], ..UpstreamLosses::default() };
        assert_eq!(losses.to_string(), "unknown: va is gone");
        losses.unseen = vec![counters_of_gone("va"), "vb: its other end".into()];
        assert_eq!(losses.unseen_and_untold().collect::<Vec<_>>(), ["vb: its other end"], "each once");
        losses.backlog_dropped = Some(2);
        losses.gone.push("vb".into());
        assert_eq!(
            losses.to_string(),
            "backlog of the CPUs, all interfaces of this host: 2 dropped; unknown: va, vb are gone"
        );
    }

    #[test]
    fn no_such_interface_is_an_error() {
        assert!(Upstream::of(["no-such-if"]).is_err());
        let all = Upstream::of([ANY]).unwrap();
        assert!(all.devices.iter().any(|device| device.name == "lo"));
    }
}
