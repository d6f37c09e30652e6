//! IPFIX (RFC 7011): flow records as collectors take them.
//!
//! Both directions of a flow are one record, as RFC 5103 has it: what the other end has sent is in the reverse elements. A flow
//! of one direction is a record without them. Octets on the wire, from the link-layer header on, are `layer2OctetDeltaCount`;
//! `octetDeltaCount` is [worked out](IpfixEncoder::octets) from them. Of ICMP type and code are in `icmpTypeCodeIPv4` and
//! `icmpTypeCodeIPv6`, of two VLAN tags the inner one in `dot1qCustomerVlanId`, VXLAN's network in `layer2SegmentId`. For Community
//! ID, wrong checksums, and what TCP was found to have gone through, there are no standard elements: they are not sent.
//! The server's name is ntop's `FLOW_SERVER_NAME` (35632/122), and of an HTTP request the standard `httpRequestHost` too; what ALPN
//! names is `applicationName`.

mod encoder;
mod template;

pub use encoder::IpfixEncoder;

use super::super::Error;
use super::FlowExport;
use crate::flow::FlowRecord;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// Most bytes of a message over UDP: no fragments on any common path (RFC 7011 10.3.3).
const DATAGRAM: usize = 1_400;
/// The same of a file or a TCP connection.
const LONGEST: usize = 32_768;
/// Messages over UDP until templates are sent again (RFC 7011 8.4): one may have been lost.
const REFRESH: u32 = 50;
/// How long a collector may take to answer or to take what is sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same of one that had closed its connection.
const AGAIN: Duration = Duration::from_secs(1);
/// After how long such a one is tried again at first; then after twice as long each time, and at most this. One that does not read
/// what is sent is left alone for the longest at once: each time it is tried again may cost all the patience.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(60)];

/// Sends flow records to a collector, or writes them to a file.
///
/// Over TCP, and into a file, templates are written once; over UDP again with every 50th message. A collector that closes its TCP
/// connection is connected to again; the templates come first then. Until it takes the connection records are lost, and counted.
///
/// ```
/// use wharf::sink::{FlowExport, Ipfix};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows.ipfix");
/// let mut ipfix = Ipfix::create(&path)?; // then `write` a record each, and
/// ipfix.finish()?;
/// assert_eq!(std::fs::read(path)?[..2], [0, 10]); // version 10
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ipfix {
    encoder: IpfixEncoder,
    out: Out,
    name: String,
    /// UDP: messages since the templates.
    since_templates: u32,
    /// TCP: how long the collector is left alone after the next failure. Nothing, once it was sent a message.
    pause: Duration,
    /// UDP: records of the datagram before, if they count as sent.
    earlier: u64,
    counts: IpfixCounts,
    /// What went wrong last.
    trouble: Option<io::Error>,
}

enum Out {
    /// A file, and how many bytes whole messages have in it.
    File(File, u64),
    /// One that could not be written any more.
    Broken,
    /// To the address that had worked.
    Tcp(TcpStream, SocketAddr),
    Udp(UdpSocket),
    /// Of a TCP connection that was closed: where to, and when it is to be tried again.
    Closed(SocketAddr, Instant),
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IpfixCounts {
    /// Records sent or written.
    pub records: u64,
    /// Records that were not sent, as there was no way or no connection, or in datagrams that the collector's host has refused.
    /// Others may be lost in silence.
    pub refused: u64,
    /// Records that could not be written to the file, or are in a message of which only a part could be.
    pub unwritten: u64,
}

impl Ipfix {
    /// Writes to a file (RFC 5655).
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let name = path.as_ref().display().to_string();
        let file = File::create(path).map_err(|source| Error::Io { path: name.clone(), source })?;
        Ok(Self::new(Out::File(file, 0), name, LONGEST))
    }

    /// Sends datagrams to a collector, given as `host:port`.
    ///
    /// # Errors
    /// When the host is not known, or there is no way to it.
    pub fn udp(collector: &str) -> Result<Self, Error> {
        let name = format!("udp://{collector}");
        let open = |address: SocketAddr| {
            let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(Out::Udp(socket))
        };
        let out = first(collector, open).map_err(|source| Error::Io { path: name.clone(), source })?;
        Ok(Self::new(out, name, DATAGRAM))
    }

    /// Connects to a collector over TCP, given as `host:port`.
    ///
    /// # Errors
    /// When the host is not known, or nobody takes the connection within ten seconds.
    pub fn tcp(collector: &str) -> Result<Self, Error> {
        let name = format!("tcp://{collector}");
        let open = |address: SocketAddr| connect(address, PATIENCE).map(|stream| Out::Tcp(stream, address));
        let out = first(collector, open).map_err(|source| Error::Io { path: name.clone(), source })?;
        Ok(Self::new(out, name, LONGEST))
    }

    fn new(out: Out, name: String, most: usize) -> Self {
        let (counts, encoder) = (IpfixCounts::default(), IpfixEncoder::new(most));
        let pause = Duration::ZERO;
        Self { encoder, out, name, since_templates: 0, pause, earlier: 0, counts, trouble: None }
    }

    /// What was sent so far.
    #[must_use]
    pub fn counts(&self) -> IpfixCounts {
        self.counts
    }

    fn send(&mut self) -> Result<(), Error> {
        self.reconnect(Instant::now());
        let records = self.encoder.records();
        let message = self.encoder.message();
        let result = match &mut self.out {
            Out::File(file, length) => {
                let written = file.write_all(message);
                match &written {
                    Ok(()) => *length += message.len() as u64,
                    // To its last whole message, if it is one that can be cut: what is behind it could not be read.
                    Err(_) => drop(file.set_len(*length)),
                }
                written
            }
            Out::Broken => {
                self.counts.unwritten += records;
                self.encoder.begin_next();
                return Ok(());
            }
            Out::Tcp(stream, _) => stream.write_all(message).inspect(|()| self.pause = Duration::ZERO),
            Out::Udp(socket) => {
                let mut result = socket.send(message);
                if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                    // What an earlier datagram met is told when the next one is sent, which is not sent then.
                    let refused = std::mem::take(&mut self.earlier);
                    self.counts.refused += refused;
                    self.counts.records -= refused;
                    // That one may have had the templates.
                    self.since_templates = REFRESH;
                    result = socket.send(message);
                }
                result.map(|_| ())
            }
            Out::Closed(..) => Err(ErrorKind::NotConnected.into()),
        };
        self.earlier = if result.is_ok() { records } else { 0 };
        match result {
            Ok(()) => self.counts.records += records,
            Err(error) if self.passes(&error) => {
                self.counts.refused += records;
                self.since_templates = REFRESH;
                if error.kind() != ErrorKind::NotConnected {
                    self.trouble = Some(error);
                }
            }
            Err(source) => {
                self.encoder.begin_next();
                if let Out::File(..) = self.out {
                    (self.out, self.counts.unwritten) = (Out::Broken, self.counts.unwritten + records);
                } else {
                    self.counts.refused += records;
                }
                self.trouble = Some(io::Error::new(source.kind(), source.to_string()));
                return Err(Error::Io { path: self.name.clone(), source });
            }
        }
        self.encoder.begin_next();
        self.since_templates = self.since_templates.saturating_add(1);
        if matches!(self.out, Out::Udp(_)) && self.since_templates >= REFRESH {
            self.since_templates = 0;
            self.encoder.repeat_templates();
        }
        Ok(())
    }

    /// Whether it is no reason to end: the way, or the collector, may come back.
    fn passes(&mut self, error: &io::Error) -> bool {
        match &self.out {
            Out::File(..) | Out::Broken => false,
            Out::Udp(_) => is_passing(error),
            Out::Tcp(_, address) => {
                // What was written of the message makes no sense without the rest.
                let address = *address;
                self.close(address, error, Instant::now());
                true
            }
            Out::Closed(..) => true,
        }
    }

    /// Leaves a collector alone for a while.
    fn close(&mut self, address: SocketAddr, error: &io::Error, now: Instant) {
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && self.is_connected() {
            self.pause = PAUSES[1];
        }
        self.out = Out::Closed(address, now + self.pause);
        self.pause = (2 * self.pause).clamp(PAUSES[0], PAUSES[1]);
    }

    fn is_connected(&self) -> bool {
        matches!(self.out, Out::Tcp(..))
    }

    /// Tries to connect to a collector that had closed its connection, if it is time to.
    fn reconnect(&mut self, now: Instant) {
        let Out::Closed(address, next) = self.out else { return };
        if now < next {
            return;
        }
        // A transport session of its own, whose numbers begin anew (RFC 7011 3.1, 10.4.3).
        let mut beginning = self.encoder.beginning();
        let templates = |mut stream: TcpStream| stream.write_all(beginning.message()).map(|()| stream);
        match connect(address, AGAIN).and_then(templates) {
            Ok(stream) => {
                self.out = Out::Tcp(stream, address);
                self.encoder.begin_session();
            }
            Err(error) => {
                self.close(address, &error, now);
                self.trouble = Some(error);
            }
        }
    }
}

impl FlowExport for Ipfix {
    /// Takes a record, and sends those that fill a message.
    ///
    /// # Errors
    /// When the file cannot be written, or a datagram is refused for good. That there is no way or no connection now is counted.
    fn write(&mut self, record: &FlowRecord) -> Result<(), Error> {
        let mut sent = Ok(());
        // What comes next may begin with the templates, and not have room for it either.
        for _ in 0..2 {
            if !self.encoder.fits(record) {
                sent = sent.and(self.send());
            }
        }
        // Also after an error: it is counted with the next message then.
        self.encoder.push(record);
        sent
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.encoder.is_empty() { Ok(()) } else { self.send() }
    }

    /// There is no more: sends what waits, be it the templates only.
    ///
    /// # Errors
    /// As [`FlowExport::write`].
    fn finish(&mut self) -> Result<(), Error> {
        if self.counts == IpfixCounts::default() || !self.encoder.is_empty() { self.send() } else { Ok(()) }
    }

    fn lost(&self) -> u64 {
        self.counts.refused + self.counts.unwritten
    }

    fn account(&self) -> String {
        let IpfixCounts { records, refused, unwritten } = self.counts;
        let mut text = format!("ipfix: {records} records sent");
        for (count, what) in [(refused, "refused"), (unwritten, "not written")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        if refused + unwritten > 0 {
            let trouble = self.trouble.iter().map(|error| format!("; last error: {error}"));
            text.extend(trouble);
        }
        text
    }
}

fn connect(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Whether a datagram may find its way again later: a link is down, a route or an address is gone, a queue is full, a firewall
/// says no, nobody listens.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::PermissionDenied
            | ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
    ) || error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error())
}

/// The first of a host's addresses with which it works.
fn first(collector: &str, open: impl Fn(SocketAddr) -> io::Result<Out>) -> io::Result<Out> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in collector.to_socket_addrs()? {
        match open(address) {
            Ok(out) => return Ok(out),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_ends_nothing() {
        let passing = [
            Errno::CONNREFUSED,
            Errno::NETUNREACH,
            Errno::HOSTUNREACH,
            Errno::NETDOWN,
            Errno::ADDRNOTAVAIL,
            Errno::NOBUFS,
            Errno::PERM,
            Errno::AGAIN,
            Errno::INTR,
        ];
        assert!(passing.into_iter().all(|error| is_passing(&error.into())));
        assert!(
            ![Errno::MSGSIZE, Errno::BADF, Errno::INVAL].into_iter().any(|error| is_passing(&error.into()))
        );
    }

    /// One that takes connections and never reads costs the patience once a pause, not with each message.
    #[test]
    fn a_collector_that_does_not_read_is_left_alone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ipfix = Ipfix::tcp(&listener.local_addr().unwrap().to_string()).unwrap();
        let Out::Tcp(stream, address) = &ipfix.out else { panic!("connected") };
        stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = *address;
        while ipfix.is_connected() {
            // Templates only, which the kernel's buffers take for a while.
            ipfix.encoder.repeat_templates();
            ipfix.send().unwrap();
        }
        let Out::Closed(to, next) = ipfix.out else { panic!("closed") };
        assert_eq!((to, ipfix.pause), (address, PAUSES[1]));
        assert!(next > Instant::now() + PAUSES[1] / 2);
        ipfix.send().unwrap();
        assert!(!ipfix.is_connected(), "it is not tried again at once");
        // Its connections are taken again, which tells nothing of whether it reads; a message that was sent does.
        ipfix.out = Out::Closed(to, Instant::now());
        ipfix.reconnect(Instant::now());
        assert!(ipfix.is_connected() && ipfix.pause == PAUSES[1]);
        ipfix.send().unwrap();
        assert_eq!(ipfix.pause, Duration::ZERO);
    }
}
