//! What checks may ask of a host.

use super::finding::Findings;
use crate::sys::ethtool::{Channels, Driver, Feature, Link, Pause, Rings, TimeStamps};
use crate::sys::generic_netlink::{Napi, XdpFeatures};
use crate::sys::interfaces::InterfaceInfo;
use crate::sys::link_state::LinkState;
use std::collections::BTreeMap;
use std::io;

/// A host to be looked at.
pub trait Host {
    /// The text of a file below `/proc` or `/sys`, without white space around it.
    ///
    /// # Errors
    /// As for any file.
    fn read(&self, path: &str) -> io::Result<String>;

    /// The names in a directory there, in order.
    ///
    /// # Errors
    /// As for any directory.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// The network interfaces.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn interfaces(&self) -> io::Result<Vec<InterfaceInfo>>;

    /// What an interface's driver says, and what the kernel knows of it.
    fn device(&self, interface: &InterfaceInfo) -> Device;

    /// Bytes that this process may lock into memory; `None` for any number.
    fn lockable(&self) -> Option<u64>;

    /// Path of the program that is to capture.
    fn program(&self) -> String;
}

/// Answer to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer<T> {
    /// This.
    Known(T),
    /// There is no such thing here.
    #[default]
    Nothing,
    /// It could not be asked, for that reason.
    Unseen(String),
}

impl<T> Answer<T> {
    /// What is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Nothing | Self::Unseen(_) => None,
        }
    }

    /// What is known; that it could not be seen is told.
    pub(super) fn or_tell(&self, check: &'static str, findings: &mut Findings) -> Option<&T> {
        if let Self::Unseen(reason) = self {
            findings.unseen(check, reason.clone());
        }
        self.known()
    }
}

/// An error that says there is no such thing is an answer.
impl<T> From<io::Result<T>> for Answer<T> {
    fn from(result: io::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP)) => Self::Nothing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Nothing,
            Err(error) => Self::Unseen(error.to_string()),
        }
    }
}

/// What there is to know of an interface beside its name.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// Who drives it.
    pub driver: Answer<Driver>,
    /// What it does for the kernel, by the kernel's names.
    pub features: Answer<BTreeMap<String, Feature>>,
    /// Speed and duplex.
    pub link: Answer<Link>,
    /// Descriptors.
    pub rings: Answer<Rings>,
    /// Queues.
    pub channels: Answer<Channels>,
    /// Flow control.
    pub pause: Answer<Pause>,
    /// Who tells the time.
    pub time_stamps: Answer<TimeStamps>,
    /// The driver's counters.
    pub statistics: Answer<Vec<(String, u64)>>,
    /// What the driver can do with XDP.
    pub xdp: Answer<XdpFeatures>,
    /// Its polling contexts.
    pub napis: Answer<Vec<Napi>>,
    /// What the kernel knows.
    pub state: Answer<LinkState>,
    /// The other end of a veth.
    pub peer: Answer<LinkState>,
}

impl Device {
    /// Whether a feature is in effect.
    pub(super) fn has(&self, feature: &str) -> bool {
        self.features.known().and_then(|all| all.get(feature)).is_some_and(|feature| feature.active)
    }

    /// The command, unless the device keeps the feature as it is.
    pub(super) fn if_changeable(&self, feature: &str, command: String) -> Option<String> {
        let feature = self.features.known().and_then(|all| all.get(feature));
        feature.is_some_and(|feature| feature.changeable).then_some(command)
    }
}

/// The CPUs in a list such as `0-3,5`; none of what is no such list.
pub(super) fn cpus(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?)
    };
    let ranges = list.split(',').filter_map(range);
    // The kernel has at most 8192, so a longer range is none of its.
    ranges.filter(|range| range.end().saturating_sub(*range.start()) < 1 << 16).flatten().collect()
}

/// How many CPUs are switched on; 1 where the kernel does not say.
pub(super) fn online(host: &dyn Host) -> usize {
    host.read("/sys/devices/system/cpu/online").map_or(1, |list| cpus(&list).len().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpus("0-3,5"), [0, 1, 2, 3, 5]);
        assert_eq!(cpus("7"), [7]);
        for text in ["", "x", "3-1", "0-99999999999"] {
            assert!(cpus(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn no_such_thing_is_an_answer() {
        let answer = |code| Answer::<()>::from(Err(io::Error::from_raw_os_error(code)));
        assert_eq!((answer(libc::EOPNOTSUPP), answer(libc::ENOENT)), (Answer::Nothing, Answer::Nothing));
        assert!(matches!(answer(libc::EPERM), Answer::Unseen(_)));
    }
}
