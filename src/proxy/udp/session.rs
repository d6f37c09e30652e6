//! Sessions: how they begin, and what is kept of each.

use super::super::config::Transport;
use super::super::detect::{self, Choice, Patience};
use super::super::label::Label;
use super::super::limits::Admission;
use super::super::listen::{Listening, Present};
use super::super::plan::{self, Service};
use super::super::proxy_protocol::{self, Header, MAX_WRITTEN};
use super::super::source;
use super::super::token::Token;
use super::super::upstream::Held;
use super::super::wheel::{Tick, Wheel};
use super::beginning::Beginning;
use super::{Context, Udp, no_way, turn_of};
use crate::sys::socket_options;
use mio::Interest;
use mio::unix::SourceFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// Bytes of a server's answers that may wait for a worker, where the kernel grants them; it takes memory for those that do only.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Whose session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Among the worker's listening sockets.
    pub(super) listening: u32,
    pub(super) client: SocketAddr,
    /// Which of the host's addresses it asked, where the socket listens on several.
    pub(super) asked: Option<IpAddr>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: Key,
    pub(super) socket: OwnedFd,
    pub(super) held: Held,
    /// Its right to be there.
    pub(super) _admission: Admission,
    /// Its place among those of its listening sockets.
    pub(super) _present: Present,
    /// Where its client came in.
    pub(super) at: SocketAddr,
    /// Where it goes, by names.
    pub(super) label: Arc<Label>,
    /// A PROXY header that each datagram to the server begins with.
    pub(super) header: Option<Box<[u8]>>,
    pub(super) began: Instant,
    /// From the client, and to it.
    pub(super) bytes: [u64; 2],
    pub(super) last: Tick,
    /// Several datagrams may travel as one message, to the server and to the client.
    pub(super) together: [bool; 2],
    pub(super) queued: bool,
    /// Its server has said something.
    pub(super) answered: bool,
}

/// A client has as many sessions as it may, or comes too often.
pub(super) struct Refusal;

/// What becomes of a new client.
pub(super) enum Begun {
    /// It has one.
    Session(u32),
    /// It has to say more.
    Waits,
    /// There is no route, no server, or no room to be made.
    Not,
}

impl Udp {
    /// A session for a new client, by the message that came with number `index`.
    pub(super) fn begin(
        &mut self,
        cx: Context<'_>,
        key: Key,
        socket: &Listening,
        index: usize,
    ) -> Result<Begun, Refusal> {
        if socket.retired.is_some() {
            return Ok(Begun::Not);
        }
        let client = key.client.ip();
        let beginning = match self.beginnings.take(&key) {
            Some(beginning) => beginning,
            None => {
                let admission = self.plan.limits.admit(Some(client), cx.now).map_err(|_| Refusal)?;
                let service = Arc::clone(&self.plan.services[socket.endpoint.listener]);
                if !service.needs_bytes {
                    let conditions = service.ways.iter().map(|way| &way.condition);
                    let choice = detect::choose(conditions, Some(client), &[], Patience::Over);
                    let present = Present::at(&socket.endpoint);
                    let at = socket.endpoint.address();
                    let session = self.open_session(cx, key, at, service, choice, admission, present);
                    return Ok(session.map_or(Begun::Not, Begun::Session));
                }
                Beginning::new(
                    service,
                    admission,
                    Present::at(&socket.endpoint),
                    socket.endpoint.address(),
                    cx.now,
                )
            }
        };
        Ok(self.hear(cx, key, beginning, index))
    }

    /// Opens a session where it was chosen to go; `None` where there is no route, no server, or no room to be made.
    #[expect(clippy::too_many_arguments, reason = "all that was found out of a new client")]
    pub(super) fn open_session(
        &mut self,
        cx: Context<'_>,
        key: Key,
        at: SocketAddr,
        service: Arc<Service>,
        choice: Choice,
        admission: Admission,
        present: Present,
    ) -> Option<u32> {
        let Choice::Route(chosen) = choice else { return None };
        while self.sessions.len() >= self.most {
            self.make_room(cx)?;
        }
        let client = Some(key.client.ip());
        let way = service.ways.get(chosen)?;
        let source = client.filter(|_| way.transparent);
        // Those that this host has no way to.
        let mut tried = Vec::new();
        let mut made_room = false;
        let (held, socket) = loop {
            let turn = turn_of(&mut self.turns, way.index, self.worker);
            let held = way.upstream.pick(turn, client, &tried, cx.now)?;
            let server = held.server().address().socket_address(at.port())?;
            match open(&server, source) {
                Ok(socket) => break (held, socket),
                Err(Errno::MFILE | Errno::NFILE) if !made_room => {
                    made_room = true;
                    self.make_room(cx)?;
                }
                Err(error) if no_way(error) => tried.push(Arc::clone(held.server())),
                Err(_) => return None,
            }
        };
        let descriptor = socket.as_raw_fd();
        let last = self.wheel.tick(cx.now);
        let session = Session {
            key,
            socket,
            held,
            _admission: admission,
            _present: present,
            header: header(way, key, at),
            at: came_to(key, at),
            label: Arc::clone(&way.label),
            began: cx.now,
            bytes: [0; 2],
            last,
            together: [true; 2],
            queued: false,
            answered: false,
        };
        let number = self.sessions.insert(session);
        let token = Token::Session(number).into();
        if cx.registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE).is_err() {
            self.sessions.remove(number);
            return None;
        }
        cx.counters.udp.opened.add(1);
        self.by_key.insert(key, number);
        self.unanswered.touch(number);
        self.wheel.arm(number, last + Wheel::ticks(self.plan.timeouts.udp_idle));
        Some(number)
    }

    /// The session that was silent longest, of those that were never answered if there are any, makes room for another one, which
    /// may get its number: so nothing must be left that is sorted by it.
    fn make_room(&mut self, cx: Context<'_>) -> Option<()> {
        self.flush(cx);
        let oldest = self.unanswered.oldest().or_else(|| self.recency.oldest())?;
        self.end(cx, oldest, &cx.counters.udp.evicted);
        Some(())
    }
}

/// What each datagram to the server begins with, if the route wants it.
fn header(way: &plan::Way, key: Key, at: SocketAddr) -> Option<Box<[u8]>> {
    let (source, destination) = (key.client, came_to(key, at));
    let header = Header::Proxied { transport: Transport::Udp, source, destination };
    let mut out = [0; MAX_WRITTEN];
    let length = proxy_protocol::encode(&header, way.send_proxy?, &mut out);
    Some(out[..length].into())
}

/// Where a client came in, by a socket that is `at` this address, or at all there are.
pub(super) fn came_to(key: Key, at: SocketAddr) -> SocketAddr {
    SocketAddr::new(key.asked.unwrap_or(at.ip()), at.port())
}

/// A socket that talks to a server alone, and is told what ICMP says of it. With `source` it comes from that address.
fn open(server: &SocketAddr, source: Option<IpAddr>) -> Result<OwnedFd, Errno> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    if let Some(client) = source {
        source::show(&socket, client, server)?;
    }
    connect(&socket, server)?;
    // With privileges beyond the host's limit, without up to it.
    if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
    }
    // An older kernel gives them one by one.
    let _ = socket_options::set_udp_gro(&socket);
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than the kernel gives by itself, as far as it lets a process have it.
    #[test]
    fn a_burst_of_answers_has_room() {
        let socket = open(&"127.0.0.1:9".parse().unwrap(), None).unwrap();
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        let granted = sockopt::socket_recv_buffer_size(&socket).unwrap();
        // It counts what it needs itself, too, and tells twice as much (socket(7)).
        assert!(granted >= 2 * limit.min(RECEIVE_BUFFER), "{granted} of {limit}");
        if rustix::process::geteuid().is_root() && granted < 2 * RECEIVE_BUFFER {
            eprintln!("SKIPPED beyond rmem_max: it takes CAP_NET_ADMIN");
        }
    }
}
