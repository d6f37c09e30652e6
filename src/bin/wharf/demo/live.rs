//! The story played by real programs over a wire of their own.

use super::seen::Keep;
use super::{Cast, collect};
use anyhow::{Context, anyhow};
use std::io::{self, Read, Write};
use std::net::{Shutdown as Half, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;
use wharf::build::{DnsMessage, DnsRecord, DnsType};
use wharf::engine::{Engine, Report, Shutdown};
use wharf::parse::dns;
use wharf::source::packet::Capture;
use wharf::sys::Lab;

/// No step takes longer on a machine that works.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time for the last packet to come by before the capture is asked to end.
const LINGER: Duration = Duration::from_millis(50);

/// The server's sockets, open before anybody calls.
struct Server {
    names: UdpSocket,
    chat: TcpListener,
    datagrams: UdpSocket,
    /// Nobody reads these: they are there so that the ports are open.
    _burst: Vec<UdpSocket>,
}

pub(super) fn play(cast: &Cast, keep: &mut Keep) -> anyhow::Result<Report> {
    let lab = Lab::new().context("cannot make a network")?;
    let interface = lab.server.interface;
    let capture = lab.server.namespace.run(|| Ok(Capture::on(interface).open()))??;
    let server = lab.server.namespace.run(|| Server::open(cast))?;
    let shutdown = Shutdown::default();
    thread::scope(|scope| {
        let ending = shutdown.clone();
        let wire = scope.spawn(|| collect(Engine::builder().source(capture).shutdown(ending), keep));
        let served = scope.spawn(|| server.serve(cast));
        let called = lab.client.namespace.run(|| call(cast));
        thread::sleep(LINGER);
        shutdown.request();
        let report = wire.join().map_err(|_| anyhow!("the capture ended early"))??;
        called.context("client")?;
        served.join().map_err(|_| anyhow!("the server ended early"))?.context("server")?;
        Ok(report)
    })
}

impl Server {
    fn open(cast: &Cast) -> io::Result<Self> {
        let at = |port| SocketAddr::from((cast.server, port));
        Ok(Self {
            names: patient(UdpSocket::bind(at(cast.dns_port))?)?,
            chat: TcpListener::bind(at(cast.chat_port))?,
            datagrams: patient(UdpSocket::bind(at(cast.chat_port))?)?,
            _burst: cast
                .burst
                .iter()
                .map(|(port, _)| UdpSocket::bind(at(*port)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// One question about a name, one connection, one datagram.
    fn serve(&self, cast: &Cast) -> io::Result<()> {
        let mut bytes = [0; 512];
        let (length, client) = self.names.recv_from(&mut bytes)?;
        self.names.send_to(&answer(&bytes[..length], cast)?, client)?;

        let (mut stream, _) = self.chat.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_exact(&mut bytes[..cast.said.len()])?;
        stream.write_all(cast.answered.as_bytes())?;
        // Read to the client's end of the stream before ours: an orderly close on both sides.
        stream.read_to_end(&mut Vec::new())?;
        stream.shutdown(Half::Write)?;

        let (_, client) = self.datagrams.recv_from(&mut bytes)?;
        self.datagrams.send_to(cast.answered.as_bytes(), client)?;
        Ok(())
    }
}

/// The answer of a server that knows one name.
fn answer(query: &[u8], cast: &Cast) -> io::Result<Vec<u8>> {
    let invalid = |what: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let message = dns::DnsMessage::parse(query).map_err(|error| invalid(&error))?;
    let question = message.questions().next().ok_or_else(|| invalid(&"no question"))?;
    let name = question.map_err(|error| invalid(&error))?.name.to_string();
    let query = DnsMessage::query(message.id(), &name, DnsType::A).map_err(|error| invalid(&error))?;
    let response = DnsMessage::response(&query).answer(60, DnsRecord::A(cast.server));
    Ok(response.map_err(|error| invalid(&error))?.bytes().to_vec())
}

/// What the client does: ask for the address, chat by TCP, say the same by UDP, knock on many ports.
fn call(cast: &Cast) -> io::Result<()> {
    let mut bytes = [0; 512];
    let query = DnsMessage::query(0x7768, cast.name, DnsType::A).map_err(io::Error::other)?;
    let resolver = patient(UdpSocket::bind((cast.client, 0))?)?;
    resolver.send_to(query.bytes(), (cast.server, cast.dns_port))?;
    resolver.recv(&mut bytes)?;

    let mut stream = TcpStream::connect_timeout(&(cast.server, cast.chat_port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(cast.said.as_bytes())?;
    stream.read_exact(&mut bytes[..cast.answered.len()])?;
    stream.shutdown(Half::Write)?;
    stream.read_to_end(&mut Vec::new())?;

    let socket = patient(UdpSocket::bind((cast.client, 0))?)?;
    socket.send_to(cast.said.as_bytes(), (cast.server, cast.chat_port))?;
    socket.recv(&mut bytes)?;

    for (port, datagrams) in cast.burst {
        for number in 0..*datagrams {
            socket.send_to(format!("datagram {number} for port {port}").as_bytes(), (cast.server, *port))?;
        }
    }
    Ok(())
}

fn patient(socket: UdpSocket) -> io::Result<UdpSocket> {
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}
