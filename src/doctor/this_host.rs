//! The host that the program runs on.

use super::host::{Answer, Device, Host};
use crate::sys::ethtool::Ethtool;
use crate::sys::generic_netlink::Devices;
use crate::sys::interfaces::{InterfaceInfo, interfaces};
use crate::sys::netlink::Netlink;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::io;

/// This host, as seen from the calling thread's network namespace.
#[derive(Debug)]
pub struct ThisHost {
    ethtool: Ethtool,
    netlink: Netlink,
    devices: Answer<Devices>,
}

impl ThisHost {
    /// # Errors
    /// When the kernel gives no sockets to ask through.
    pub fn new() -> io::Result<Self> {
        let (ethtool, netlink) = (Ethtool::open()?, Netlink::open()?);
        Ok(Self { ethtool, netlink, devices: Devices::open().into() })
    }
}

impl Host for ThisHost {
    fn read(&self, path: &str) -> io::Result<String> {
        // Some files of /sys give bytes that are no text, and errors only when they are read.
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries: io::Result<Vec<_>> = fs::read_dir(path)?.collect();
        let mut names: Vec<_> =
            entries?.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    fn interfaces(&self) -> io::Result<Vec<InterfaceInfo>> {
        interfaces()
    }

    fn device(&self, interface: &InterfaceInfo) -> Device {
        let (ethtool, name, index) = (&self.ethtool, &interface.name, interface.index);
        let state = self.netlink.link_state(index, None);
        let peer = state.as_ref().ok().and_then(|state| state.bound_to);
        let peer = peer.filter(|_| interface.kind.as_deref() == Some("veth"));
        let (xdp, napis) = match &self.devices {
            Answer::Known(devices) => (devices.xdp_features(index).into(), devices.napis(index).into()),
            Answer::Unseen(reason) => (Answer::Unseen(reason.clone()), Answer::Unseen(reason.clone())),
            Answer::Nothing => (Answer::Nothing, Answer::Nothing),
        };
        Device {
            driver: ethtool.driver(name).into(),
            features: ethtool.features(name).into(),
            link: ethtool.link(name).into(),
            rings: ethtool.rings(name).into(),
            channels: ethtool.channels(name).into(),
            pause: ethtool.pause(name).into(),
            time_stamps: ethtool.time_stamps(name).into(),
            statistics: ethtool.statistics(name).into(),
            xdp,
            napis,
            peer: peer.map_or(Answer::Nothing, |peer| {
                match self.netlink.link_state(peer.index, peer.namespace) {
                    Ok(state) => Answer::Known(state),
                    Err(error) => Answer::Unseen(format!(
                        "the other end is in a network namespace that may not be looked into: {error}"
                    )),
                }
            }),
            state: state.into(),
        }
    }

    fn lockable(&self) -> Option<u64> {
        getrlimit(Resource::Memlock).current
    }

    fn program(&self) -> String {
        std::env::current_exe().map_or_else(|_| "wharf".to_owned(), |path| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Asked, examine};

    #[test]
    fn the_loopback_of_this_host_is_examined_by_whoever_asks() {
        let host = ThisHost::new().unwrap();
        let asked = Asked { interface: Some("lo".into()), ..Asked::default() };
        let diagnosis = examine(&host, &asked).unwrap();
        assert_eq!(diagnosis.interfaces[0].name, "lo");
        assert!(diagnosis.findings.iter().any(|finding| finding.check == "capabilities"));
        assert!(host.list("/proc/self/no-such-directory").is_err());
    }
}
