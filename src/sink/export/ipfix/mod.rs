//! IPFIX (RFC 7011): flow records as collectors take them.
//!
//! Both directions of a flow are one record, as RFC 5103 has it: what the other end has sent is in the reverse elements. A flow
//! of one direction is a record without them. Octets are those on the wire, from the link-layer header on.
//! The server's name is ntop's `FLOW_SERVER_NAME` (35632/122), and of an HTTP request the standard `httpRequestHost` too; what ALPN
//! names is `applicationName`.

mod encoder;
mod template;

pub use encoder::IpfixEncoder;

use super::super::Error;
use super::FlowExport;
use crate::flow::FlowRecord;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// Most bytes of a message over UDP: no fragments on any common path (RFC 7011 10.3.3).
const DATAGRAM: usize = 1_400;
/// The same of a file or a TCP connection.
const LONGEST: usize = 32_768;
/// Messages over UDP until templates are sent again (RFC 7011 8.4): one may have been lost.
const REFRESH: u32 = 50;
/// How long a collector may take to answer or to take what is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends flow records to a collector, or writes them to a file.
///
/// Over TCP, and into a file, templates are written once; over UDP again with every 50th message.
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
    counts: IpfixCounts,
}

enum Out {
    File(File),
    Tcp(TcpStream),
    Udp(UdpSocket),
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpfixCounts {
    /// Records sent or written.
    pub records: u64,
    /// Records in datagrams that nobody took: the collector's host said so. Others may be lost in silence.
    pub refused: u64,
}

impl Ipfix {
    /// Writes to a file (RFC 5655).
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let name = path.as_ref().display().to_string();
        let file = File::create(path).map_err(|source| Error::Io { path: name.clone(), source })?;
        Ok(Self::new(Out::File(file), name, LONGEST))
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
        let open = |address: SocketAddr| {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Out::Tcp(stream))
        };
        let out = first(collector, open).map_err(|source| Error::Io { path: name.clone(), source })?;
        Ok(Self::new(out, name, LONGEST))
    }

    fn new(out: Out, name: String, most: usize) -> Self {
        let counts = IpfixCounts::default();
        Self { encoder: IpfixEncoder::new(most), out, name, since_templates: 0, counts }
    }

    /// What was sent so far.
    #[must_use]
    pub fn counts(&self) -> IpfixCounts {
        self.counts
    }

    fn send(&mut self) -> Result<(), Error> {
        let records = self.encoder.records();
        let message = self.encoder.message();
        let result = match &mut self.out {
            Out::File(file) => file.write_all(message),
            Out::Tcp(stream) => stream.write_all(message),
            Out::Udp(socket) => match socket.send(message) {
                // What an earlier datagram met is told when the next one is sent, which is not sent then.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    self.counts.refused += records;
                    self.counts.records = self.counts.records.saturating_sub(records);
                    Ok(())
                }
                sent => sent.map(|_| ()),
            },
        };
        result.map_err(|source| Error::Io { path: self.name.clone(), source })?;
        self.counts.records += records;
        self.encoder.begin_next();
        self.since_templates += 1;
        if matches!(self.out, Out::Udp(_)) && self.since_templates >= REFRESH {
            self.since_templates = 0;
            self.encoder.repeat_templates();
        }
        Ok(())
    }
}

impl FlowExport for Ipfix {
    /// Takes a record, and sends those that fill a message.
    ///
    /// # Errors
    /// When the file cannot be written, or the collector has closed the connection. That a datagram was refused is counted.
    fn write(&mut self, record: &FlowRecord) -> Result<(), Error> {
        if !self.encoder.fits(record) {
            self.send()?;
        }
        self.encoder.push(record);
        Ok(())
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
        self.counts.refused
    }

    fn account(&self) -> String {
        let IpfixCounts { records, refused } = self.counts;
        let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        format!("ipfix: {records} records sent{refused}")
    }
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
