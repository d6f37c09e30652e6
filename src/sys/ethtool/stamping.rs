//! Which frames a device stamps with its own clock (`struct hwtstamp_config` of `linux/net_tstamp.h`, Linux 6.1).

use super::Ethtool;
use super::room::Room;
use std::io;

/// `SIOCSHWTSTAMP` and `SIOCGHWTSTAMP` of `linux/sockios.h`.
const SET: libc::c_ulong = 0x89b0;
const GET: libc::c_ulong = 0x89b1;
/// `HWTSTAMP_FILTER_ALL`: every frame received.
pub(super) const HWTSTAMP_FILTER_ALL: u32 = 1;

/// What a device's driver is set to stamp. It is one setting for everybody who uses the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamping {
    /// `HWTSTAMP_FLAG_*`.
    pub flags: u32,
    /// `HWTSTAMP_TX_*`: which frames that are sent.
    pub transmit: u32,
    /// `HWTSTAMP_FILTER_*`: which frames that are received; 0 for none.
    pub receive: u32,
}

impl Stamping {
    /// The same, and every frame that is received.
    #[must_use]
    pub fn with_every_received(self) -> Self {
        Self { receive: HWTSTAMP_FILTER_ALL, ..self }
    }

    /// Every frame that is received is stamped.
    #[must_use]
    pub fn every_received(&self) -> bool {
        self.receive == HWTSTAMP_FILTER_ALL
    }

    fn read(room: &Room) -> Self {
        Self { flags: room.word(0), transmit: room.word(1), receive: room.word(2) }
    }
}

impl Ethtool {
    /// What a device is set to stamp. Takes no permission.
    ///
    /// # Errors
    /// As `ioctl(2)`: `EOPNOTSUPP` where the driver stamps nothing, or does not tell.
    pub fn stamping(&self, name: &str) -> io::Result<Stamping> {
        let mut room = Room::new()?;
        self.control(name, GET, &mut room)?;
        Ok(Stamping::read(&room))
    }

    /// Sets what a device stamps, for everybody. Gives what the driver has made of it, which may be more.
    ///
    /// # Errors
    /// As `ioctl(2)`: `PermissionDenied` without `CAP_NET_ADMIN`, `EOPNOTSUPP` where the driver stamps nothing, `ERANGE`
    /// where not these frames.
    pub fn set_stamping(&self, name: &str, wanted: Stamping) -> io::Result<Stamping> {
        let mut room = Room::new()?;
        for (place, word) in [wanted.flags, wanted.transmit, wanted.receive].into_iter().enumerate() {
            room.put(place, word);
        }
        self.control(name, SET, &mut room)?;
        Ok(Stamping::read(&room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_a_clock_refuses() {
        let ethtool = Ethtool::open().unwrap();
        let of = |result: io::Result<Stamping>| result.unwrap_err().raw_os_error();
        assert_eq!(of(ethtool.stamping("lo")), Some(libc::EOPNOTSUPP));
        assert_eq!(of(ethtool.stamping("no-such-if")), Some(libc::ENODEV));
        // Who may not set it is told so, who may that there is nothing to set.
        let refused = of(ethtool.set_stamping("lo", Stamping::default().with_every_received()));
        assert!(matches!(refused, Some(libc::EPERM | libc::EOPNOTSUPP)), "{refused:?}");
    }

    #[test]
    fn numbers_stand_where_the_structure_has_them() {
        let mut room = Room::new().unwrap();
        (0..3).for_each(|place| room.put(place, 7 + place as u32));
        let stamping = Stamping::read(&room);
        assert_eq!(stamping, Stamping { flags: 7, transmit: 8, receive: 9 });
        assert!(!stamping.every_received());
        let all = stamping.with_every_received();
        assert!(all.every_received());
        assert_eq!((all.flags, all.transmit), (7, 8), "what is sent stays as it was");
    }
}
