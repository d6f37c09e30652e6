//! Sending what was put together, each datagram once.

use super::super::counters::{Counter, UdpCounters};
use super::pack::Pack;
use crate::sys::datagrams::{Inbox, Outbox};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Whether it says that ICMP said that nobody is there.
pub(super) fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// What a session is told of its messages.
pub(super) enum Word {
    /// So many bytes went.
    Went(u64),
    /// The way does not take several datagrams as one message.
    Apart,
}

/// Sends messages, each datagram once; counts what went and what did not, and tells their sessions. Whether ICMP said, of an earlier
/// datagram, that nobody is there.
pub(super) fn transmit(
    socket: &OwnedFd,
    inbox: &Inbox,
    outbox: &mut Outbox,
    pack: &mut Pack,
    udp: &UdpCounters,
    bytes: &Counter,
    mut tell: impl FnMut(u32, Word),
) -> bool {
    let socket: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(socket);
    let mut unreachable = false;
    let mut at = 0;
    // Of which message an error was told that may have been an earlier one's.
    let mut again = None;
    while at < pack.messages.len() {
        let sizes = &pack.sizes[at..];
        let error = match outbox.send(socket, inbox, &pack.messages[at..], &pack.parts) {
            Ok(count) => {
                for size in &sizes[..count.min(sizes.len())] {
                    udp.sent.add(size.datagrams);
                    bytes.add(size.bytes);
                    tell(size.session, Word::Went(size.bytes));
                }
                at += count.max(1);
                continue;
            }
            Err(error) => error,
        };
        let datagrams = sizes[0].datagrams;
        match error.raw_os_error() {
            Some(libc::EINTR) => continue,
            Some(libc::EAGAIN | libc::ENOBUFS) => udp.full.add(datagrams),
            // It may be what ICMP said of an earlier one, that nobody is there or that it was too long for the way; this one can be
            // sent yet.
            _ if again != Some(at) => {
                again = Some(at);
                unreachable |= is_unreachable(&error);
                continue;
            }
            Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE) if pack.messages[at].segment.is_some() => {
                // This way out cannot take them together: one by one.
                tell(sizes[0].session, Word::Apart);
                pack.separate(at);
                (at, again) = (0, None);
                continue;
            }
            Some(libc::EMSGSIZE) => udp.too_long.add(datagrams),
            _ => udp.failed.add(datagrams),
        }
        at += 1;
    }
    unreachable
}

/// Sends one datagram behind a header; counts what became of it. Tells the datagram's bytes that went, and whether ICMP said, of
/// an earlier one, that nobody is there.
pub(super) fn transmit_behind(
    socket: &OwnedFd,
    header: &[u8],
    datagram: &[u8],
    udp: &UdpCounters,
) -> (u64, bool) {
    let parts = [IoSlice::new(header), IoSlice::new(datagram)];
    let (mut unreachable, mut is_again) = (false, false);
    loop {
        let sent = sendmsg(socket, &parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL);
        match sent {
            Ok(_) => {
                udp.sent.add(1);
                udp.bytes_up.add(datagram.len() as u64);
                return (datagram.len() as u64, unreachable);
            }
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN | Errno::NOBUFS) => udp.full.add(1),
            // Of an earlier one, as in `transmit`.
            Err(error) if !is_again => {
                is_again = true;
                unreachable |= is_unreachable(&error.into());
                continue;
            }
            Err(Errno::MSGSIZE) => udp.too_long.add(1),
            Err(_) => udp.failed.add(1),
        }
        return (0, unreachable);
    }
}
