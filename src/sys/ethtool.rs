//! The speed of a link (`SIOCETHTOOL`).

use std::os::fd::AsRawFd;

/// `struct ethtool_cmd` of `linux/ethtool.h`, Linux 6.1, as far as wharf reads it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Command {
    command: u32,
    supported: u32,
    advertising: u32,
    speed_low: u16,
    duplex: u8,
    port: u8,
    between: [u8; 12],
    speed_high: u16,
    rest: [u8; 14],
}

const _: () = {
    assert!(size_of::<Command>() == 44);
    assert!(std::mem::offset_of!(Command, speed_high) == 28);
};

/// `ETHTOOL_GSET`: every driver answers it through the kernel's translation.
const GET_SETTINGS: u32 = 1;

/// Mbit/s of an interface of the calling thread's namespace; `None` where there is no such thing.
#[must_use]
pub fn speed(name: &str) -> Option<u32> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).ok()?;
    let mut command = Command { command: GET_SETTINGS, ..Command::default() };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: std::ptr::from_mut(&mut command).cast() },
    };
    // The last byte stays 0.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: SIOCETHTOOL takes an `ifreq` whose name ends with a 0 and whose data points to the structure
    // that the command in its first word calls for; both live through the call, and for ETHTOOL_GSET the kernel
    // writes no more than the 44 bytes of an `ethtool_cmd`, plain numbers all.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    let speed = u32::from(command.speed_high) << 16 | u32::from(command.speed_low);
    // SPEED_UNKNOWN is -1; some virtual devices say 0, or 65535 in the low half alone.
    (result == 0 && !matches!(speed, 0 | 0xffff | u32::MAX)).then_some(speed)
}
