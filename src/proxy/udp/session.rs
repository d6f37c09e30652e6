//! Sessions: how they begin, and what is kept of each.

use super::super::detect::{self, Choice, Patience};
use super::super::limits::Admission;
use super::super::listen::{Listening, Present};
use super::super::plan::Service;
use super::super::shared::Endpoint;
use super::super::token::Token;
use super::super::upstream::Held;
use super::super::wheel::{Tick, Wheel};
use super::{Context, Udp, turn_of};
use crate::sys::socket_options;
use mio::Interest;
use mio::unix::SourceFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

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
    _admission: Admission,
    /// Its place among those of its listening sockets.
    _present: Present,
    pub(super) service: Arc<Service>,
    pub(super) way: usize,
    pub(super) began: Instant,
    /// From the client, and to it.
    pub(super) bytes: [u64; 2],
    pub(super) last: Tick,
    /// Several datagrams may travel as one message, to the server and to the client.
    pub(super) together: [bool; 2],
    pub(super) queued: bool,
}

/// A client has as many sessions as it may, or comes too often.
pub(super) struct Refusal;

impl Udp {
    /// A session for a new client; `None` where there is no server, or no room to be made.
    pub(super) fn begin(
        &mut self,
        cx: Context<'_>,
        key: Key,
        socket: &Listening,
    ) -> Result<Option<u32>, Refusal> {
        if socket.retired {
            return Ok(None);
        }
        let admission = self.plan.limits.admit(Some(key.client.ip()), cx.now).map_err(|_| Refusal)?;
        Ok(self.begin_admitted(cx, key, &socket.endpoint, admission))
    }

    fn begin_admitted(
        &mut self,
        cx: Context<'_>,
        key: Key,
        endpoint: &Endpoint,
        admission: Admission,
    ) -> Option<u32> {
        let (port, service) = (endpoint.port, Arc::clone(&self.plan.services[endpoint.listener]));
        while self.sessions.len() >= self.most {
            self.make_room(cx)?;
        }
        let client = Some(key.client.ip());
        let conditions = service.ways.iter().map(|way| &way.condition);
        let Choice::Route(chosen) = detect::choose(conditions, client, &[], Patience::Over) else {
            return None;
        };
        let way = service.ways.get(chosen)?;
        let turn = turn_of(&mut self.turns, way.index, self.worker);
        let held = way.upstream.pick(turn, client, &[], cx.now)?;
        let server = held.server().address().socket_address(port)?;
        let socket = match open(&server) {
            Err(Errno::MFILE | Errno::NFILE) => {
                self.make_room(cx)?;
                open(&server).ok()?
            }
            socket => socket.ok()?,
        };
        let descriptor = socket.as_raw_fd();
        let last = self.wheel.tick(cx.now);
        let session = Session {
            key,
            socket,
            held,
            _admission: admission,
            _present: Present::at(endpoint),
            service,
            way: chosen,
            began: cx.now,
            bytes: [0; 2],
            last,
            together: [true; 2],
            queued: false,
        };
        let number = self.sessions.insert(session);
        let token = Token::Session(number).into();
        if cx.registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE).is_err() {
            self.sessions.remove(number);
            return None;
        }
        cx.counters.udp.opened.add(1);
        self.by_key.insert(key, number);
        self.recency.touch(number);
        self.wheel.arm(number, last + Wheel::ticks(self.plan.timeouts.udp_idle));
        Some(number)
    }

    /// The session that was silent longest makes room for another one, which may get its number: so nothing must be left
    /// that is sorted by it.
    fn make_room(&mut self, cx: Context<'_>) -> Option<()> {
        self.flush(cx);
        let oldest = self.recency.oldest()?;
        self.end(cx, oldest, &cx.counters.udp.evicted);
        Some(())
    }
}

/// A socket that talks to a server alone, and is told what ICMP says of it.
fn open(server: &SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    connect(&socket, server)?;
    // An older kernel gives them one by one.
    let _ = socket_options::set_udp_gro(&socket);
    Ok(socket)
}
