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

#[cfg(test)]
mod tests {
    use super::super::pack::Way;
    use super::*;
    use rustix::net::sockopt;
    use socket2::{Domain, Protocol, Socket, Type};
    use std::net::{SocketAddrV4, UdpSocket};

    /// The sum of RFC 1071.
    fn sum(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        !((sum & 0xffff) + (sum >> 16)) as u16
    }

    /// What a router says of a datagram from one address to another that was too long for its next link, which takes so
    /// many bytes (RFC 792, RFC 1191).
    fn too_long(from: SocketAddrV4, to: SocketAddrV4, takes: u16) -> Vec<u8> {
        let mut quoted = vec![0x45, 0, 0xff, 0xff, 0, 0, 0x40, 0, 64, 17, 0, 0];
        quoted.extend(from.ip().octets());
        quoted.extend(to.ip().octets());
        let header = sum(&quoted).to_be_bytes();
        quoted[10..12].copy_from_slice(&header);
        quoted.extend([from.port().to_be_bytes(), to.port().to_be_bytes(), [0xff, 0xeb], [0, 0]].concat());
        let mut message = [&[3, 4, 0, 0, 0, 0][..], &takes.to_be_bytes(), &quoted].concat();
        let checksum = sum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&checksum);
        message
    }

    fn v4(socket: &UdpSocket) -> SocketAddrV4 {
        match socket.local_addr().unwrap() {
            std::net::SocketAddr::V4(address) => address,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_datagram_goes_whatever_icmp_said_of_an_earlier_one() {
        let raw = match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) {
            Ok(raw) => raw,
            Err(error) => {
                let skipped = format!("SKIPPED what ICMP says: it takes CAP_NET_RAW to say it ({error})");
                eprintln!("{skipped}");
                assert!(!rustix::process::geteuid().is_root(), "{skipped}");
                return;
            }
        };
        // An address of its own: the host remembers what it was told of the way there.
        let server = UdpSocket::bind("127.9.8.7:0").unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let session = UdpSocket::bind("127.0.0.1:0").unwrap();
        session.connect(server.local_addr().unwrap()).unwrap();
        let (from, to) = (v4(&session), v4(&server));
        let socket = OwnedFd::from(session);
        let told = || {
            // Hardly less than the loopback takes, so that nothing else changes.
            raw.send_to(&too_long(from, to, 65_500), &std::net::SocketAddr::from(from).into()).unwrap();
        };
        told();
        assert_eq!(sockopt::socket_error(&socket).unwrap(), Err(Errno::MSGSIZE), "it is pending");

        let udp = UdpCounters::default();
        told();
        assert_eq!(transmit_behind(&socket, b"header ", b"one", &udp), (3, false));
        // The same for those that are put together; what is sent was received.
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut inbox = Inbox::new(1, 64);
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"two", near.local_addr().unwrap()).unwrap();
        assert_eq!(inbox.receive(&near, 1).unwrap(), 1);
        let mut pack = Pack::default();
        pack.add(0, 3, None, Way { session: 5, ..Way::default() });
        let mut went = Vec::new();
        told();
        let unreachable =
            transmit(&socket, &inbox, &mut Outbox::new(), &mut pack, &udp, &udp.bytes_up, |session, word| {
                let Word::Went(bytes) = word else { panic!("apart") };
                went.push((session, bytes));
            });
        assert_eq!((unreachable, went), (false, vec![(5, 3)]));
        let counted = [&udp.sent, &udp.failed, &udp.too_long, &udp.full].map(Counter::get);
        assert_eq!(counted, [2, 0, 0, 0]);
        for said in [&b"header one"[..], b"two"] {
            let mut bytes = [0; 64];
            let length = server.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], said);
        }
    }
}
