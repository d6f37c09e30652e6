//! What a driver says of its device (`SIOCETHTOOL`): the speed of the link, the number of queues.

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
    assert!(size_of::<Channels>() == 36);
    assert!(std::mem::offset_of!(Channels, combined) == 32);
};

/// `struct ethtool_channels` of `linux/ethtool.h`, Linux 6.1.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Channels {
    command: u32,
    most: [u32; 4],
    receiving: u32,
    sending: u32,
    other: u32,
    combined: u32,
}

/// `ETHTOOL_GCHANNELS`.
const GET_CHANNELS: u32 = 0x3c;
/// `ETHTOOL_GSET`: every driver answers it through the kernel's translation.
const GET_SETTINGS: u32 = 1;

/// Mbit/s of an interface of the calling thread's namespace; `None` where there is no such thing.
#[must_use]
pub fn speed(name: &str) -> Option<u32> {
    let mut command = Command { command: GET_SETTINGS, ..Command::default() };
    // SAFETY: for ETHTOOL_GSET the kernel reads and writes the 44 bytes of an `ethtool_cmd`, plain numbers all.
    unsafe { ask(name, &mut command) }?;
    let speed = u32::from(command.speed_high) << 16 | u32::from(command.speed_low);
    // SPEED_UNKNOWN is -1; some virtual devices say 0, or 65535 in the low half alone.
    (!matches!(speed, 0 | 0xffff | u32::MAX)).then_some(speed)
}

/// Queues in use that an interface of the calling thread's namespace receives through; `None` where the driver does
/// not say.
#[must_use]
pub fn receive_queues(name: &str) -> Option<u32> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    // SAFETY: for ETHTOOL_GCHANNELS the kernel reads and writes the 36 bytes of an `ethtool_channels`, plain numbers
    // all.
    unsafe { ask(name, &mut channels) }?;
    Some(channels.receiving.saturating_add(channels.combined)).filter(|&queues| queues > 0)
}

/// Asks the driver; `None` when it does not answer.
///
/// # Safety
/// `question` is the structure that the command in its first word calls for, and whatever the kernel writes there makes
/// a `T`.
unsafe fn ask<T>(name: &str, question: &mut T) -> Option<()> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).ok()?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: std::ptr::from_mut(question).cast() },
    };
    // The last byte stays 0.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: SIOCETHTOOL takes an `ifreq` whose name ends with a 0 and whose data points to the structure
    // that the command in its first word calls for, as the caller promises; both live through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    (result == 0).then_some(())
}
