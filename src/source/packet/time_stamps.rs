//! Whose clock the times of frames are by, and how a device comes to give them.

use super::problem::Problem;
use crate::ValueError;
use crate::sys::ethtool::{Ethtool, Stamping, TimeStamps};
use crate::sys::interfaces::ANY;
use std::fmt;
use std::io;
use std::str::FromStr;

/// Whose clock stamps frames, by the names of pcap-tstamp(7).
///
/// ```
/// use wharf::source::packet::TimeStampType;
///
/// assert_eq!("adapter_unsynced".parse(), Ok(TimeStampType::AdapterUnsynced));
/// let loopback = TimeStampType::of("lo")?;
/// assert_eq!(loopback, [TimeStampType::Host, TimeStampType::HostHighPrecision]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeStampType {
    /// The host's clock, when the kernel has the frame; nanoseconds.
    #[default]
    Host,
    /// The host's clock, less precise and cheaper. Linux has no such thing.
    HostLowPrecision,
    /// The host's clock, as precise as there is: on Linux what [`Host`](Self::Host) is.
    HostHighPrecision,
    /// The device's clock, brought in step with the host's by whoever hands the times on. Linux has not done that since 3.17.
    Adapter,
    /// The device's clock as it is.
    AdapterUnsynced,
}

impl TimeStampType {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Host, Self::HostLowPrecision, Self::HostHighPrecision, Self::Adapter, Self::AdapterUnsynced];

    /// Those that can be had of an interface of the calling thread's network namespace; of `any`, the kernel's.
    ///
    /// # Errors
    /// As `ioctl(2)`.
    pub fn of(interface: &str) -> io::Result<Vec<Self>> {
        let known = match interface {
            ANY => TimeStamps::default(),
            name => Ethtool::open()?.time_stamps(name)?,
        };
        Ok(Self::ALL.into_iter().filter(|kind| kind.check(&known).is_ok()).collect())
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Host => "Host",
            Self::HostLowPrecision => "Host, low precision",
            Self::HostHighPrecision => "Host, high precision",
            Self::Adapter => "Adapter",
            Self::AdapterUnsynced => "Adapter, not synced with system time",
        }
    }

    /// The device stamps frames.
    pub(super) fn is_the_devices(self) -> bool {
        matches!(self, Self::Adapter | Self::AdapterUnsynced)
    }

    /// Whether it can be had of such a device; if not, what is missing.
    pub(super) fn check(self, device: &TimeStamps) -> Result<(), &'static str> {
        match self {
            Self::Host | Self::HostHighPrecision => Ok(()),
            Self::HostLowPrecision => Err("Linux has no times of less precision: host costs no more"),
            _ if !device.some_frames() => {
                Err("the device stamps no frames that it receives: there are the kernel's times only (host)")
            }
            _ if !device.every_frame() => Err(
                "the device stamps some kinds of frames only (PTP's), not every one: there are the kernel's times only (host)",
            ),
            _ if !device.by_its_clock() => {
                Err("the driver does not hand on the device's times: there are the kernel's only (host)")
            }
            Self::Adapter => Err(
                "Linux does not bring a device's times in step with its own: adapter_unsynced gives them as they are \
                 (phc2sys can keep the device's clock in step)",
            ),
            Self::AdapterUnsynced => Ok(()),
        }
    }
}

/// By the name that [`FromStr`] reads.
impl fmt::Display for TimeStampType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::HostLowPrecision => "host_lowprec",
            Self::HostHighPrecision => "host_hiprec",
            Self::Adapter => "adapter",
            Self::AdapterUnsynced => "adapter_unsynced",
        })
    }
}

/// `host`, `host_lowprec`, `host_hiprec`, `adapter` or `adapter_unsynced`.
impl FromStr for TimeStampType {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| {
            ValueError(format!(
                "{text}: not a type of time stamps: host, host_lowprec, host_hiprec, adapter or adapter_unsynced"
            ))
        })
    }
}

/// A device that stamps every frame it receives, as long as this lives: then it is set to what it was set to before.
/// Where it did so already nothing is changed, then or now.
#[derive(Debug)]
pub(super) struct DeviceStamps {
    ethtool: Ethtool,
    name: String,
    index: u32,
    /// What it was set to before, and what it has been set to.
    changed: Option<(Stamping, Stamping)>,
}

impl DeviceStamps {
    pub(super) fn switch_on(name: &str, index: u32) -> Result<Self, Problem> {
        let ethtool = Ethtool::open().map_err(Problem::with("cannot ask its driver"))?;
        // Some drivers can be told and not asked.
        let before = ethtool.stamping(name).unwrap_or_default();
        let mut changed = None;
        if !before.every_received() {
            let now = ethtool
                .set_stamping(name, before.with_every_received())
                .map_err(|error| Problem::of(error, refused))?;
            changed = Some((before, now));
            let stamps = Self { ethtool, name: name.to_owned(), index, changed };
            return match now.every_received() {
                true => Ok(stamps),
                false => Err("its driver agrees to stamp frames and does not stamp every one".into()),
            };
        }
        Ok(Self { ethtool, name: name.to_owned(), index, changed })
    }
}

impl Drop for DeviceStamps {
    /// Unless somebody has set it to something else meanwhile. It takes the permission that switching on took.
    fn drop(&mut self) {
        let Some((before, ours)) = self.changed else { return };
        let same = self.ethtool.index_of(&self.name).is_ok_and(|index| index == self.index);
        if same && self.ethtool.stamping(&self.name).is_ok_and(|now| now == ours) {
            let _ = self.ethtool.set_stamping(&self.name, before);
        }
    }
}

fn refused(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "CAP_NET_ADMIN missing, which it takes to have a device stamp frames: run as \
                                             root, or have it switched on before (hwstamp_ctl -r 1)"
                .to_owned()
        }
        Some(libc::EOPNOTSUPP | libc::ERANGE | libc::EINVAL) => {
            format!("its driver does not stamp every frame it receives, though it says it could: {error}")
        }
        _ => format!("cannot have the device stamp frames: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::link;

    const RECEIVES: u32 = libc::SOF_TIMESTAMPING_RX_HARDWARE;
    const BY_CLOCK: u32 = libc::SOF_TIMESTAMPING_RAW_HARDWARE;

    fn device(ways: u32, receive_filters: u32) -> TimeStamps {
        TimeStamps { ways, clock: Some(0), receive_filters }
    }

    #[test]
    fn names_go_both_ways() {
        for kind in TimeStampType::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "device".parse::<TimeStampType>().unwrap_err();
        assert!(error.to_string().contains("adapter_unsynced"), "{error}");
    }

    #[test]
    fn what_a_device_lacks_is_named() {
        use TimeStampType::{Adapter, AdapterUnsynced, Host, HostHighPrecision, HostLowPrecision};
        let whole = device(RECEIVES | BY_CLOCK, 0b10);
        for (kind, device, expected) in [
            (Host, device(0, 0), None),
            (HostHighPrecision, device(0, 0), None),
            (HostLowPrecision, whole, Some("no times of less precision")),
            (AdapterUnsynced, device(BY_CLOCK, 0b10), Some("stamps no frames")),
            (AdapterUnsynced, device(RECEIVES | BY_CLOCK, 0b1_0000_0001), Some("some kinds of frames only")),
            (AdapterUnsynced, device(RECEIVES, 0b10), Some("does not hand on")),
            (AdapterUnsynced, whole, None),
            (Adapter, device(0, 0), Some("stamps no frames")),
            (Adapter, whole, Some("adapter_unsynced gives them as they are")),
        ] {
            match (kind.check(&device), expected) {
                (Ok(()), None) => {}
                (Err(said), Some(expected)) => assert!(said.contains(expected), "{kind}: {said}"),
                (found, _) => panic!("{kind} of {device:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_device_that_cannot_is_not_switched_on() {
        let index = link::index_of("lo").unwrap();
        let Problem { reason: said, cause } = DeviceStamps::switch_on("lo", index).unwrap_err();
        assert!(cause.is_some(), "the kernel said so");
        assert!(said.contains("CAP_NET_ADMIN") || said.contains("does not stamp"), "{said}");
    }
}
