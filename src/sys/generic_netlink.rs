//! What the kernel says of a device over generic netlink: the family `netdev` (`linux/netdev.h`, Linux 6.3).

use super::netlink::{Message, Netlink, attributes};
use std::io;
use zerocopy::{Immutable, IntoBytes};

/// `struct genlmsghdr` of `linux/genetlink.h`.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    command: u8,
    version: u8,
    reserved: u16,
}

const _: () = assert!(size_of::<Header>() == 4);

/// The controller, which knows the numbers of families by their names.
const CONTROLLER: u16 = 0x10;
const CONTROL_GET_FAMILY: u8 = 3;
const CONTROL_FAMILY_ID: u16 = 1;
const CONTROL_FAMILY_NAME: u16 = 2;

const GET_DEVICE: u8 = 1;
const DEVICE_INDEX: u16 = 1;
const DEVICE_XDP_FEATURES: u16 = 3;

/// Linux 6.8.
const GET_NAPI: u8 = 11;
const NAPI_INDEX: u16 = 1;
const NAPI_ID: u16 = 2;
const NAPI_IRQ: u16 = 3;
const NAPI_THREAD: u16 = 4;

/// What a driver can do with XDP (`enum netdev_xdp_act`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures(pub u64);

impl XdpFeatures {
    /// It runs XDP programs itself, before the kernel has made anything of a frame.
    #[must_use]
    pub fn native(self) -> bool {
        self.0 & 1 != 0
    }

    /// It sends frames to other devices and to `AF_XDP` sockets.
    #[must_use]
    pub fn redirect(self) -> bool {
        self.0 & 2 != 0
    }

    /// It puts frames right into the memory of `AF_XDP` sockets.
    #[must_use]
    pub fn zero_copy(self) -> bool {
        self.0 & 8 != 0
    }
}

/// One of a device's polling contexts: a queue or a pair of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Napi {
    /// The kernel's number of it.
    pub id: u32,
    /// Its interrupt, where the driver has told the kernel.
    pub irq: Option<u32>,
    /// The kernel thread that runs it; `None` where it runs in whatever the interrupt meets.
    pub thread: Option<u32>,
}

/// A conversation about devices of the network namespace of the thread that opens it.
#[derive(Debug)]
pub(crate) struct Devices {
    netlink: Netlink,
    family: u16,
}

impl Devices {
    /// # Errors
    /// `NotFound` on a kernel older than Linux 6.3.
    pub(crate) fn open() -> io::Result<Self> {
        let netlink = Netlink::open_generic()?;
        let header = Header { command: CONTROL_GET_FAMILY, version: 1, reserved: 0 };
        let mut family = None;
        netlink.ask(
            Message::new(CONTROLLER, 0, &header).with(CONTROL_FAMILY_NAME, b"netdev\0"),
            |_, body| {
                family =
                    family.or(find(body, CONTROL_FAMILY_ID).and_then(|value| value.first_chunk().copied()));
            },
        )?;
        let family = u16::from_ne_bytes(family.ok_or(io::ErrorKind::NotFound)?);
        Ok(Self { netlink, family })
    }

    /// What the driver can do with XDP.
    ///
    /// # Errors
    /// As the kernel answers: `ENODEV`.
    pub(crate) fn xdp_features(&self, index: u32) -> io::Result<XdpFeatures> {
        let header = Header { command: GET_DEVICE, version: 1, reserved: 0 };
        let message = Message::new(self.family, 0, &header).with(DEVICE_INDEX, &index.to_ne_bytes());
        let mut found = None;
        self.netlink.ask(message, |_, body| {
            found = found.or(find(body, DEVICE_XDP_FEATURES).and_then(|value| value.first_chunk().copied()));
        })?;
        found
            .map(|bytes| XdpFeatures(u64::from_ne_bytes(bytes)))
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The device's polling contexts.
    ///
    /// # Errors
    /// `EOPNOTSUPP` before Linux 6.8.
    pub(crate) fn napis(&self, index: u32) -> io::Result<Vec<Napi>> {
        let header = Header { command: GET_NAPI, version: 1, reserved: 0 };
        let message = Message::new(self.family, 0, &header).with(NAPI_INDEX, &index.to_ne_bytes());
        let mut found = Vec::new();
        self.netlink.dump(message, |_, body| {
            let word =
                |kind| find(body, kind).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_ne_bytes(*bytes));
            if word(NAPI_INDEX) == Some(index) {
                found.push(Napi {
                    id: word(NAPI_ID).unwrap_or(0),
                    irq: word(NAPI_IRQ),
                    thread: word(NAPI_THREAD),
                });
            }
        })?;
        found.sort_by_key(|napi| napi.id);
        Ok(found)
    }
}

/// An attribute behind the header.
fn find(body: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(body.get(size_of::<Header>()..)?).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_no_driver_that_runs_xdp() {
        let devices = match Devices::open() {
            Ok(devices) => devices,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => panic!("{error}"),
        };
        let index = super::super::link::index_of("lo").unwrap();
        assert!(!devices.xdp_features(index).unwrap().native());
        assert!(devices.xdp_features(i32::MAX as u32).is_err());
    }

    #[test]
    fn short_bodies_have_nothing() {
        (0..8).for_each(|length| assert_eq!(find(&vec![0; length], 1), None));
        let features = XdpFeatures(0b1011);
        assert!(features.native() && features.redirect() && features.zero_copy());
    }
}
