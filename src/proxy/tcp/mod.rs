//! TCP connections from clients, each with one to a server, and the bytes between them.
//!
//! | file | what |
//! | --- | --- |
//! | `connection` | the two sockets and both directions |
//! | `side` | one of its sockets: what is known of it |
//! | `flow` | one direction: copied while small, spliced when bulky |
//! | `pipes` | what it is spliced through |
//! | `opening` | who the client is and which route it takes, before there is a server |
//! | `servers` | which server it goes to, and which next |
//! | `connect` | sockets towards servers |
//! | `deadlines` | silence, and servers that do not accept |
//! | `ending` | how it ends, and who is told in which way |

mod connect;
mod connection;
mod deadlines;
mod ending;
mod flow;
mod opening;
mod pipes;
mod servers;
mod side;

pub(super) use connection::End;
pub(super) use ending::no_way;

use super::counters::{Counter, Counters};
use super::detect::Patience;
use super::listen::Listening;
use super::plan::{Plan, Service};
use super::share::Share;
use super::shared::{Endpoint, ListenPlace, Shared};
use super::slab::Slab;
use super::token::Token;
use super::upstream::Turn;
use super::wheel::Wheel;
use connection::{Broken, Connection};
use ending::{Reset, of_error};
use flow::{Stop, Tools};
use mio::Registry;
use opening::{Nowhere, Step};
use rustix::event::EventfdFlags;
use rustix::net::sockopt;
use side::Side;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections of which what came is read before any of it is sent: the kernel's code for one, then that for the other, is
/// found in the processor's caches by all but the first (perf/notes/proxy.md has what it brings).
const GATHERED: usize = 64;

/// What a worker's parts need of it.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) registry: &'a Registry,
    pub(super) counters: &'a Counters,
    pub(super) now: Instant,
}

/// A worker's connections.
pub(super) struct Tcp {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    worker: usize,
    connections: Slab<Connection>,
    wheel: Wheel,
    tools: Tools,
    /// Whose turn it is, for each upstream.
    turns: Vec<Turn>,
    /// Those with more to do, and the list that is gone through meanwhile.
    ready: Vec<u32>,
    taken: Vec<u32>,
    /// Those of which something was read that is sent when others were read too.
    gathered: Vec<u32>,
    due: Vec<u32>,
    /// As many as there may be.
    most: usize,
    /// A descriptor kept back, so that a client that was accepted finds one towards its server.
    spare: Option<OwnedFd>,
}

impl Tcp {
    pub(super) fn new(shared: Arc<Shared>, worker: usize, plan: Arc<Plan>, now: Instant) -> Self {
        let Share { connections: most, pipes, large_pipes, .. } = plan.share;
        Self {
            plan,
            shared,
            worker,
            connections: Slab::new(),
            wheel: Wheel::new(now),
            tools: Tools::new(pipes, large_pipes),
            turns: Vec::new(),
            ready: Vec::new(),
            taken: Vec::new(),
            gathered: Vec::with_capacity(GATHERED),
            due: Vec::new(),
            most,
            spare: None,
        }
    }

    /// Goes by another plan from now on.
    pub(super) fn set_plan(&mut self, plan: Arc<Plan>) {
        self.most = plan.share.connections;
        self.plan = plan;
    }

    /// What is done for those who come to a place.
    pub(super) fn service(&self, endpoint: &Endpoint) -> Arc<Service> {
        Arc::clone(&self.plan.services[endpoint.listener])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.len() == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.connections.len() >= self.most
    }

    /// Whether a client that is accepted now will find a descriptor towards its server.
    pub(super) fn has_spare(&mut self) -> bool {
        if self.spare.is_none() {
            self.spare = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).ok();
        }
        self.spare.is_some()
    }

    /// Whether there is more to do before the kernel says so.
    pub(super) fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.wheel.wait(now)
    }

    /// Takes a connection on.
    pub(super) fn accept(
        &mut self,
        cx: Context<'_>,
        listening: &Listening,
        socket: OwnedFd,
        peer: Option<SocketAddr>,
    ) {
        cx.counters.tcp.accepted.add(1);
        let tick = self.wheel.tick(cx.now);
        let endpoint = &*listening.endpoint;
        let service = listening.service.clone().unwrap_or_else(|| self.service(endpoint));
        let is_unix = matches!(endpoint.place, ListenPlace::Unix(_));
        // What nothing depends on is left to the kernel to tell: few clients have spoken by now, and it tells of those too as soon as
        // it is asked.
        let readable = service.needs_bytes || !service.accept_proxy.is_empty();
        let side = Side::new(socket, readable, is_unix);
        let port = match endpoint.place {
            ListenPlace::Many { .. } => address_of(&side.socket).map_or(0, |address| address.port()),
            ListenPlace::Internet(_) | ListenPlace::Unix(_) => endpoint.port,
        };
        let connection = Connection::new(service, port, peer, side, tick, cx.now);
        let number = self.connections.insert(connection);
        if self.go_on(cx, number, Patience::Left)
            && let Some(connection) = self.connections.get_mut(number)
        {
            let writable = !connection.client.writable;
            if let Err(error) = connection.client.watch(cx.registry, Token::Client(number), writable) {
                self.end(cx, number, of_error(cx.counters, error), Reset::Both);
                return;
            }
            self.set_deadline(number);
        }
    }

    /// Goes on with a connection that has no route yet. False when it is over.
    fn go_on(&mut self, cx: Context<'_>, number: u32, patience: Patience) -> bool {
        let Some(connection) = self.connections.get_mut(number) else { return false };
        match opening::go_on(connection, &self.plan, self.tools.room(), patience, cx.now) {
            Step::Connect => {
                // What it was chosen by goes out with the handshake.
                if connection.client.readable
                    && let Err(error) = connection.up.read_ahead(&mut connection.client, &mut self.tools)
                {
                    self.broken(cx, number, Broken { end: End::Client, error });
                    return false;
                }
                self.connect(cx, number, None)
            }
            Step::Wait => true,
            Step::Over(Nowhere::Failed(error)) => {
                self.broken(cx, number, Broken { end: End::Client, error });
                false
            }
            Step::Over(nowhere) => {
                let counter = nowhere.counter(cx.counters).unwrap_or(&cx.counters.ended.failed);
                self.end(cx, number, counter, Reset::Client);
                false
            }
        }
    }

    /// Something happened at one of a connection's sockets.
    pub(super) fn event(&mut self, cx: Context<'_>, end: End, number: u32, event: &mio::event::Event) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        connection.last = if connection.open { self.wheel.tick(cx.now) } else { connection.last };
        connection.note(end, event);
        if connection.way.is_none() {
            // It is gone: what it said before that is no server's.
            if event.is_error()
                && let Ok(Err(error)) = sockopt::socket_error(&connection.client.socket)
            {
                self.broken(cx, number, Broken { end: End::Client, error });
                return;
            }
            let patience = if connection.client.hung_up { Patience::Over } else { Patience::Left };
            if self.go_on(cx, number, patience) {
                self.set_deadline(number);
            }
            return;
        }
        if end == End::Server && !connection.open {
            let error = match (&connection.server, event.is_error() || event.is_write_closed()) {
                (Some(server), true) => sockopt::socket_error(&server.socket).and_then(|result| result).err(),
                _ => None,
            };
            if let Some(error) = error {
                self.give_up_server(cx, number);
                self.connect(cx, number, Some(error));
                return;
            }
            // Where another server was tried before, this may be an old event of that one's socket.
            let stale = |server: &Side| rustix::net::getpeername(&server.socket).is_err();
            if !event.is_writable()
                || !connection.tried.is_empty() && connection.server.as_ref().is_none_or(stale)
            {
                return;
            }
            connection.open = true;
            connection.last = self.wheel.tick(cx.now);
            connection.connected(cx.now);
        }
        // The first bytes go out at once anyway, since nothing is on its way before them.
        if end == End::Client
            && !connection.no_delay
            && connection.up.bytes > 0
            && event.is_readable()
            && !event.is_read_closed()
            && let Some(server) = &connection.server
        {
            connection.no_delay = true;
            // Of a Unix socket it is not asked.
            let _ = sockopt::set_tcp_nodelay(&server.socket, true);
        }
        if event.is_readable() && !event.is_error() {
            match connection.gather(end, &mut self.tools) {
                Ok(true) => {
                    self.gathered.push(number);
                    if self.gathered.len() >= GATHERED {
                        self.send_gathered(cx);
                    }
                    return;
                }
                Ok(false) => {}
                Err(broken) => {
                    self.broken(cx, number, broken);
                    return;
                }
            }
        }
        self.pump(cx, number, event.is_error().then_some(end));
    }

    /// Sends what was read of several.
    pub(super) fn send_gathered(&mut self, cx: Context<'_>) {
        let mut gathered = std::mem::take(&mut self.gathered);
        for number in gathered.drain(..) {
            self.pump(cx, number, None);
        }
        self.gathered = gathered;
    }

    /// Moves what can be moved. `error`: the kernel said that this end failed.
    fn pump(&mut self, cx: Context<'_>, number: u32, error: Option<End>) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        let was_open = connection.open;
        let result = connection.pump(&mut self.tools);
        connection.count(&cx.counters.tcp);
        if connection.open && !was_open {
            connection.connected(cx.now);
        }
        match result {
            Err(Broken { end: End::Server, error }) if !connection.open => {
                self.give_up_server(cx, number);
                self.connect(cx, number, Some(error));
            }
            Err(broken) => self.broken(cx, number, broken),
            Ok(_) if connection.is_complete() => {
                connection.succeeded();
                self.end(cx, number, &cx.counters.ended.complete, Reset::Neither)
            }
            Ok(stop) => {
                if stop == Stop::Turn && !connection.queued {
                    connection.queued = true;
                    self.ready.push(number);
                }
                if let Err(error) = connection.watch_writes(cx.registry, number) {
                    self.end(cx, number, of_error(cx.counters, error), Reset::Both);
                    return;
                }
                // It could not be read for want of room at the other end, and will never be.
                let side = match error {
                    Some(End::Client) => Some(&connection.client),
                    Some(End::Server) => connection.server.as_ref(),
                    None => None,
                };
                if let (Some(end), Some(side)) = (error, side)
                    && let Ok(Err(error)) = sockopt::socket_error(&side.socket)
                {
                    self.broken(cx, number, Broken { end, error });
                }
            }
        }
    }

    /// Goes on with those that had given way to others.
    pub(super) fn turn(&mut self, cx: Context<'_>) {
        std::mem::swap(&mut self.ready, &mut self.taken);
        for index in 0..self.taken.len() {
            let number = self.taken[index];
            if let Some(connection) = self.connections.get_mut(number) {
                connection.queued = false;
                self.pump(cx, number, None);
            }
        }
        self.taken.clear();
    }
}

/// Where a client came in; `None` through a Unix socket.
fn address_of(socket: &OwnedFd) -> Option<SocketAddr> {
    rustix::net::getsockname(socket).and_then(SocketAddr::try_from).ok()
}

/// Whose turn it is at an upstream.
pub(super) fn turn_of(turns: &mut Vec<Turn>, upstream: usize, worker: usize) -> &mut Turn {
    if turns.len() <= upstream {
        turns.resize(upstream + 1, Turn::of_worker(worker));
    }
    &mut turns[upstream]
}
