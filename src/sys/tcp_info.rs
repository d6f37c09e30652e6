//! What the kernel knows of a TCP connection: its side of the wire.

use rustix::io::Errno;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// `struct tcp_info` of `linux/tcp.h` (Linux 5.5), without what later kernels have behind it. An older kernel leaves 0 in what it
/// does not know.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Raw {
    states_and_options: [u8; 8],
    /// Retransmission time-out, delay of acknowledgements, segment sizes out and in.
    rto_to_rcv_mss: [u32; 4],
    unacked: u32,
    sacked: u32,
    lost: u32,
    retrans: u32,
    fackets: u32,
    /// Milliseconds since data and acknowledgements were last sent and received.
    last: [u32; 4],
    pmtu: u32,
    rcv_ssthresh: u32,
    rtt: u32,
    rttvar: u32,
    snd_ssthresh: u32,
    snd_cwnd: u32,
    advmss: u32,
    reordering: u32,
    rcv_rtt: u32,
    rcv_space: u32,
    total_retrans: u32,
    pacing_rate: u64,
    max_pacing_rate: u64,
    bytes_acked: u64,
    bytes_received: u64,
    segs_out: u32,
    segs_in: u32,
    notsent_bytes: u32,
    min_rtt: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    delivery_rate: u64,
    /// Microseconds spent sending, and of those held up by the peer's window and by our buffer.
    busy: [u64; 3],
    delivered: u32,
    delivered_ce: u32,
    bytes_sent: u64,
    bytes_retrans: u64,
    dsack_dups: u32,
    reord_seen: u32,
}

const _: () = assert!(size_of::<Raw>() == 224);
const _: () = assert!(offset_of!(Raw, rtt) == offset_of!(libc::tcp_info, tcpi_rtt));
const _: () = assert!(offset_of!(Raw, total_retrans) == offset_of!(libc::tcp_info, tcpi_total_retrans));
const _: () = assert!(offset_of!(Raw, bytes_retrans) == 208);

/// One end's view of a TCP connection, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// Smoothed round-trip time in microseconds; 0 when none was measured.
    pub(crate) rtt: u32,
    /// Its mean deviation in microseconds.
    pub(crate) rtt_deviation: u32,
    /// The shortest round-trip time in microseconds seen of late; 0 when none was measured.
    pub(crate) min_rtt: u32,
    /// Segments sent again.
    pub(crate) retransmissions: u32,
    /// Bytes of them.
    pub(crate) bytes_retransmitted: u64,
    /// Bytes sent that the peer acknowledged; our end (FIN) counts as one.
    pub(crate) bytes_acknowledged: u64,
    /// Bytes received in order; the peer's end (FIN) counts as one.
    pub(crate) bytes_received: u64,
}

/// Asks the kernel (`TCP_INFO`, tcp(7)).
///
/// # Errors
/// Those of getsockopt(2): `EOPNOTSUPP` or `ENOPROTOOPT` for what is no TCP socket.
pub(crate) fn tcp_info(socket: impl AsFd) -> io::Result<TcpInfo> {
    let mut raw = Raw::new_zeroed();
    let mut length = size_of::<Raw>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `raw`, and any bytes make a `Raw` (it is `FromBytes`);
    // the descriptor is open as long as it is borrowed.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut raw).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < offset_of!(Raw, pacing_rate) {
        return Err(Errno::INVAL.into());
    }
    Ok(TcpInfo {
        rtt: raw.rtt,
        rtt_deviation: raw.rttvar,
        // All ones until there is one (include/linux/win_minmax.h's start).
        min_rtt: if raw.min_rtt == u32::MAX { 0 } else { raw.min_rtt },
        retransmissions: raw.total_retrans,
        bytes_retransmitted: raw.bytes_retrans,
        // Counts our SYN as a byte.
        bytes_acknowledged: raw.bytes_acked.saturating_sub(1),
        bytes_received: raw.bytes_received,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn both_ends_agree_with_what_was_said() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[1; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        server.write_all(&[2; 30]).unwrap();
        client.read_exact(&mut [0; 30]).unwrap();
        let (client, server) = (tcp_info(&client).unwrap(), tcp_info(&server).unwrap());
        assert_eq!((client.bytes_acknowledged, client.bytes_received), (1000, 30));
        assert_eq!(server.bytes_received, 1000);
        assert!(client.rtt > 0 && client.min_rtt > 0 && client.min_rtt < 10_000_000, "{client:?}");
    }

    #[test]
    fn other_sockets_have_none() {
        assert!(tcp_info(UdpSocket::bind("127.0.0.1:0").unwrap()).is_err());
    }
}
