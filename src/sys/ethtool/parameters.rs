//! What can be set in a driver, as it is now: link, rings, channels, flow control, time stamps.

use super::Ethtool;
use super::room::Room;
use super::stamping::HWTSTAMP_FILTER_ALL;
use std::io;

/// `ETHTOOL_GSET`: every driver answers it through the kernel's translation.
const GET_SETTINGS: u32 = 0x01;
const GET_DRIVER: u32 = 0x03;
const GET_RINGS: u32 = 0x10;
const GET_PAUSE: u32 = 0x12;
const GET_CHANNELS: u32 = 0x3c;
const GET_TIME_STAMPS: u32 = 0x41;

/// State of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Mbit/s; `None` where there is no such thing, or no link.
    pub speed: Option<u32>,
    /// Both ways at a time, or one by one; `None` where unknown.
    pub full_duplex: Option<bool>,
}

/// Who drives a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Name, such as `ixgbe`.
    pub name: String,
    /// Version of its firmware; empty where it has none.
    pub firmware: String,
    /// Where the device is, such as `0000:00:03.0`; empty for a virtual one.
    pub bus: String,
}

/// Descriptors in a queue: frames that may wait there for the kernel, or for the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rings {
    /// Receive, now.
    pub receive: u32,
    /// Receive, at most.
    pub receive_most: u32,
    /// Transmit, now.
    pub transmit: u32,
    /// Transmit, at most.
    pub transmit_most: u32,
}

/// Queues of a device. Those for both ways are not among those for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Receive, now and at most.
    pub receive: (u32, u32),
    /// Transmit, now and at most.
    pub transmit: (u32, u32),
    /// For both, now and at most.
    pub combined: (u32, u32),
}

impl Channels {
    /// Queues that receive.
    #[must_use]
    pub fn receiving(&self) -> u32 {
        self.receive.0.saturating_add(self.combined.0)
    }

    /// Queues that could.
    #[must_use]
    pub fn receiving_most(&self) -> u32 {
        self.receive.1.max(self.combined.1)
    }
}

/// Ethernet flow control (IEEE 802.3, annex 31B).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// Agreed upon with the other end.
    pub negotiated: bool,
    /// Stops sending when the other end asks.
    pub receive: bool,
    /// Asks the other end to stop when there is no room.
    pub transmit: bool,
}

/// Who can tell when a frame came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeStamps {
    /// `SOF_TIMESTAMPING_*` of `linux/net_tstamp.h`.
    pub ways: u32,
    /// Number of the device's clock; `None` where it has none.
    pub clock: Option<u32>,
    /// `HWTSTAMP_FILTER_*`: a bit for each kind of frames it can stamp, 2 for all of them.
    pub receive_filters: u32,
}

impl TimeStamps {
    /// The device stamps frames it receives, of some kind at least, if told to.
    #[must_use]
    pub fn some_frames(&self) -> bool {
        self.ways & libc::SOF_TIMESTAMPING_RX_HARDWARE != 0
    }

    /// The device stamps every frame it receives, if told to.
    #[must_use]
    pub fn every_frame(&self) -> bool {
        self.some_frames() && self.receive_filters & 1 << HWTSTAMP_FILTER_ALL != 0
    }

    /// Its times come as its own clock has them (`SOF_TIMESTAMPING_RAW_HARDWARE`), the only form that Linux hands on.
    #[must_use]
    pub fn by_its_clock(&self) -> bool {
        self.ways & libc::SOF_TIMESTAMPING_RAW_HARDWARE != 0
    }

    /// The kernel stamps frames when it sees them.
    #[must_use]
    pub fn software(&self) -> bool {
        self.ways & libc::SOF_TIMESTAMPING_RX_SOFTWARE != 0
    }
}

impl Ethtool {
    /// # Errors
    /// As `ioctl(2)`.
    pub fn link(&self, name: &str) -> io::Result<Link> {
        // struct ethtool_cmd: command, supported, advertising, speed (16 bits), duplex, port; speed_hi in word 7.
        let words = self.words::<11>(name, GET_SETTINGS)?;
        let ([low, high, duplex, _], [more, most, ..]) = (words[3].to_ne_bytes(), words[7].to_ne_bytes());
        let half = |bytes| u32::from(u16::from_ne_bytes(bytes));
        let speed = half([more, most]) << 16 | half([low, high]);
        Ok(Link {
            // SPEED_UNKNOWN is -1; some virtual devices say 0, or 65535 in the low half alone.
            speed: (!matches!(speed, 0 | 0xffff | u32::MAX)).then_some(speed),
            full_duplex: match duplex {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        })
    }

    /// # Errors
    /// As `ioctl(2)`.
    pub fn driver(&self, name: &str) -> io::Result<Driver> {
        let mut room = Room::new()?;
        room.put(0, GET_DRIVER);
        self.ask(name, &mut room)?;
        // struct ethtool_drvinfo: command, driver, version, firmware, bus, of 32 bytes each.
        Ok(Driver { name: room.text(4, 32), firmware: room.text(68, 32), bus: room.text(100, 32) })
    }

    /// # Errors
    /// As `ioctl(2)`: `EOPNOTSUPP` where the driver has no such rings.
    pub fn rings(&self, name: &str) -> io::Result<Rings> {
        let [_, receive_most, _, _, transmit_most, receive, _, _, transmit] = self.words(name, GET_RINGS)?;
        Ok(Rings { receive, receive_most, transmit, transmit_most })
    }

    /// # Errors
    /// As `ioctl(2)`: `EOPNOTSUPP` where the driver does not tell.
    pub fn channels(&self, name: &str) -> io::Result<Channels> {
        let [_, receive_most, transmit_most, _, most, receive, transmit, _, now] =
            self.words(name, GET_CHANNELS)?;
        Ok(Channels {
            receive: (receive, receive_most),
            transmit: (transmit, transmit_most),
            combined: (now, most),
        })
    }

    /// # Errors
    /// As `ioctl(2)`: `EOPNOTSUPP` where the device has no flow control.
    pub fn pause(&self, name: &str) -> io::Result<Pause> {
        let [_, negotiated, receive, transmit] = self.words(name, GET_PAUSE)?;
        Ok(Pause { negotiated: negotiated != 0, receive: receive != 0, transmit: transmit != 0 })
    }

    /// # Errors
    /// As `ioctl(2)`.
    pub fn time_stamps(&self, name: &str) -> io::Result<TimeStamps> {
        let [_, ways, clock, _, _, _, _, receive_filters, ..] = self.words::<11>(name, GET_TIME_STAMPS)?;
        // -1 for none.
        Ok(TimeStamps { ways, clock: (clock != u32::MAX).then_some(clock), receive_filters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_answers_as_far_as_it_has_anything_to_say() {
        let ethtool = Ethtool::open().unwrap();
        assert_eq!(ethtool.link("lo").ok().and_then(|link| link.speed), None);
        assert!(ethtool.time_stamps("lo").unwrap().software());
        assert_eq!(ethtool.rings("lo").unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
        assert!(ethtool.driver("no-such-if").is_err());
    }

    #[test]
    fn queues_for_both_ways_receive_too() {
        let channels = Channels { receive: (1, 4), transmit: (0, 4), combined: (2, 8) };
        assert_eq!((channels.receiving(), channels.receiving_most()), (3, 8));
    }

    #[test]
    fn only_a_device_that_stamps_all_frames_stamps_ours() {
        let ways = libc::SOF_TIMESTAMPING_RX_HARDWARE;
        assert!(TimeStamps { ways, clock: Some(0), receive_filters: 0b10 }.every_frame());
        assert!(!TimeStamps { ways, clock: Some(0), receive_filters: 0b1101 }.every_frame(), "PTP alone");
    }
}
