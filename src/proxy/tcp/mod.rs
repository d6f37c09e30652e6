//! TCP connections from clients, each with one to a server, and the bytes between them.
//!
//! | file | what |
//! | --- | --- |
//! | `connection` | the two sockets and both directions |
//! | `flow` | one direction: copied while small, spliced when bulky |
//! | `pipes` | what it is spliced through |
//! | `opening` | who the client is and which route it takes, before there is a server |
//! | `connect` | sockets towards servers |

mod connect;
mod connection;
mod flow;
mod opening;
mod pipes;

pub(super) use connection::End;

use super::access_log::Record;
use super::config::Transport;
use super::counters::{Counter, Counters, Named};
use super::detect::Patience;
use super::listen::Listening;
use super::plan::{Plan, Service};
use super::share::Share;
use super::shared::{Endpoint, ListenPlace, Shared};
use super::slab::Slab;
use super::token::Token;
use super::upstream::Turn;
use super::wheel::{Tick, Wheel};
use crate::sys::tcp_info::tcp_info;
use connection::{Broken, Connection};
use flow::{Side, Stop, Tools};
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use opening::{Nowhere, Step};
use rustix::event::EventfdFlags;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

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
    due: Vec<u32>,
    /// As many as there may be.
    most: usize,
    /// A descriptor kept back, so that a client that was accepted finds one towards its server.
    spare: Option<OwnedFd>,
}

/// Which ends are told by a reset that it did not end well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reset {
    Neither,
    Client,
    Server,
    Both,
}

impl Tcp {
    pub(super) fn new(shared: Arc<Shared>, worker: usize, plan: Arc<Plan>, now: Instant) -> Self {
        let Share { connections: most, pipes, .. } = plan.share;
        Self {
            plan,
            shared,
            worker,
            connections: Slab::new(),
            wheel: Wheel::new(now),
            tools: Tools::new(pipes),
            turns: Vec::new(),
            ready: Vec::new(),
            taken: Vec::new(),
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
        // Many clients speak as soon as they are connected: their bytes are tried for at once.
        let endpoint = &*listening.endpoint;
        let service = listening.service.clone().unwrap_or_else(|| self.service(endpoint));
        let side = Side::new(socket, true);
        let port = match endpoint.place {
            ListenPlace::Many { .. } => local_port(&side.socket),
            ListenPlace::Internet(_) | ListenPlace::Unix(_) => endpoint.port,
        };
        let connection = Connection::new(service, port, peer, side, tick, cx.now);
        let number = self.connections.insert(connection);
        if self.go_on(cx, number, Patience::Left)
            && let Some(connection) = self.connections.get_mut(number)
        {
            let client = connection.client.socket.as_raw_fd();
            if let Err(error) = register(cx.registry, client, Token::Client(number)) {
                self.end(cx, number, ending_of_error(cx.counters, error), Reset::Both);
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
                // What the client says at once goes out with the handshake.
                let ahead = connection.up.read_ahead(&mut connection.client, &mut self.tools);
                if let Err(error) = ahead {
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

    /// Tries servers until one is being connected to; `why` says what the last one failed of. False when there is none
    /// left, and the connection is over.
    fn connect(&mut self, cx: Context<'_>, number: u32, mut why: Option<Errno>) -> bool {
        let counters = &cx.counters;
        loop {
            let Some(connection) = self.connections.get_mut(number) else { return false };
            let service = Arc::clone(&connection.service);
            let Some(way) = connection.way.and_then(|way| service.ways.get(way)) else { return false };
            let client = connection.source().map(|client| client.ip());
            let held = match connection.tried.len() < self.plan.attempts {
                true => way.upstream.pick(
                    turn_of(&mut self.turns, way.index, self.worker),
                    client,
                    &connection.tried,
                    cx.now,
                ),
                false => None,
            };
            let Some(held) = held else {
                let ended = &counters.ended;
                let counter = match why {
                    None => &ended.no_server,
                    Some(Errno::TIMEDOUT) => &ended.connect_timeout,
                    Some(Errno::ADDRNOTAVAIL) => &ended.no_port,
                    Some(Errno::MFILE | Errno::NFILE) => &ended.no_descriptor,
                    // It had taken the connection, and dropped it before that was noticed here.
                    Some(Errno::CONNRESET | Errno::PIPE) => &ended.server_reset,
                    Some(_) => &ended.refused,
                };
                self.end(cx, number, counter, Reset::Client);
                return false;
            };
            if why.is_some() {
                counters.tcp.retries.add(1);
            }
            counters.tcp.attempts.add(1);
            let speaks = connection.up.holds() || way.send_proxy.is_some();
            let (address, port) = (held.server().address(), connection.port);
            let source = client.filter(|_| way.transparent);
            let begin = || connect::begin(address, port, service.keep_alive, speaks, source);
            let begun = match begin() {
                Err(Errno::MFILE | Errno::NFILE) if self.spare.take().is_some() => begin(),
                begun => begun,
            };
            match begun {
                Ok(socket) => {
                    let descriptor = socket.as_raw_fd();
                    connection.server = Some(Side::new(socket, false));
                    connection.held = Some(held);
                    connection.no_delay = !service.no_delay;
                    connection.preface = opening::header(connection, way);
                    connection.last = self.wheel.tick(cx.now);
                    match connection.pump(&mut self.tools) {
                        Ok(_) => {}
                        Err(Broken { end: End::Server, error }) if !connection.open => {
                            why = Some(error);
                            self.give_up_server(cx, number);
                            continue;
                        }
                        Err(broken) => {
                            self.broken(cx, number, broken);
                            return false;
                        }
                    }
                    if connection.open {
                        connection.connected(cx.now);
                    }
                    if let Err(error) = register(cx.registry, descriptor, Token::Server(number)) {
                        self.end(cx, number, ending_of_error(cx.counters, error), Reset::Both);
                        return false;
                    }
                    return true;
                }
                Err(error) => {
                    // What this host lacks is not the server's fault.
                    if !matches!(
                        error,
                        Errno::ADDRNOTAVAIL | Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::PERM
                    ) {
                        held.failed(cx.now);
                    }
                    connection.tried.push(Arc::clone(held.server()));
                    why = Some(error);
                }
            }
        }
    }

    /// The server being connected to will not do.
    fn give_up_server(&mut self, cx: Context<'_>, number: u32) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        connection.server = None;
        if let Some(held) = connection.held.take() {
            held.failed(cx.now);
            connection.tried.push(Arc::clone(held.server()));
        }
    }

    /// Something happened at one of a connection's sockets.
    pub(super) fn event(&mut self, cx: Context<'_>, end: End, number: u32, event: &mio::event::Event) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        connection.last = if connection.open { self.wheel.tick(cx.now) } else { connection.last };
        connection.note(end, event);
        if connection.way.is_none() {
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
            && !event.is_read_closed()
            && let Some(server) = &connection.server
        {
            connection.no_delay = true;
            // Of a Unix socket it is not asked.
            let _ = sockopt::set_tcp_nodelay(&server.socket, true);
        }
        self.pump(cx, number, event.is_error().then_some(end));
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
                self.end(cx, number, &cx.counters.ended.complete, Reset::Neither)
            }
            Ok(stop) => {
                if stop == Stop::Turn && !connection.queued {
                    connection.queued = true;
                    self.ready.push(number);
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

    /// A socket failed: the other end is told the same way.
    fn broken(&mut self, cx: Context<'_>, number: u32, broken: Broken) {
        let ended = &cx.counters.ended;
        let reset = matches!(broken.error, Errno::CONNRESET | Errno::PIPE);
        match (broken.end, reset) {
            (End::Client, true) => self.end(cx, number, &ended.client_reset, Reset::Server),
            (End::Server, true) => self.end(cx, number, &ended.server_reset, Reset::Client),
            (_, false) => self.end(cx, number, ending_of_error(cx.counters, broken.error), Reset::Both),
        }
    }

    /// A connection is over.
    fn end(&mut self, cx: Context<'_>, number: u32, counter: &Counter, reset: Reset) {
        let Some(mut connection) = self.connections.remove(number) else { return };
        connection.count(&cx.counters.tcp);
        counter.add(1);
        self.log(cx, &connection, counter);
        self.wheel.disarm(number);
        connection.up.dissolve(&mut self.tools);
        connection.down.dissolve(&mut self.tools);
        // A close with no time to linger is a reset, and drops what is not sent yet.
        let abort = |socket: &OwnedFd| sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        if matches!(reset, Reset::Client | Reset::Both) {
            let _ = abort(&connection.client.socket);
        }
        if let Some(server) = &connection.server
            && matches!(reset, Reset::Server | Reset::Both)
        {
            let _ = abort(&server.socket);
        }
    }

    /// Hands over what the log says of a connection that is over.
    fn log(&self, cx: Context<'_>, connection: &Connection, counter: &Counter) {
        let Some(log) = &self.shared.access_log else { return };
        let lasted = cx.now.saturating_duration_since(connection.began);
        let way = connection.way.and_then(|way| connection.service.ways.get(way));
        let server = connection.held.as_ref().map(|held| Arc::clone(held.server()));
        log.record(Record {
            transport: Transport::Tcp,
            began: SystemTime::now() - lasted,
            lasted,
            connected_after: connection.connected_after.map(|time| Duration::from_micros(time.into())),
            peer: connection.peer,
            client: connection.proxied.as_ref().map(|ends| ends.0),
            listener: Arc::clone(&connection.service.name),
            route: way.map(|way| (Arc::clone(&way.name), Arc::clone(&way.upstream_name))),
            server: server.or_else(|| connection.tried.last().cloned()),
            tried: connection.tried.len(),
            bytes: [connection.up.bytes, connection.down.bytes],
            reason: cx.counters.ended.name(counter),
            tcp: [
                tcp_info(&connection.client.socket).ok(),
                connection.server.as_ref().and_then(|server| tcp_info(&server.socket).ok()),
            ],
        });
    }

    /// Sets when a connection is looked at again though nothing happens.
    fn set_deadline(&mut self, number: u32) {
        if let Some(deadline) = self.connections.get_mut(number).and_then(|connection| {
            let now = patience(&self.plan, connection);
            // Once it is open another patience counts, which may be the shorter one.
            let (now, then) = (now?, idle_patience(&self.plan));
            Some(connection.last + then.map_or(now, |then| now.min(then)))
        }) {
            self.wheel.arm(number, deadline);
        }
    }

    /// Ends what was silent for too long, and gives up servers that do not answer.
    pub(super) fn expire(&mut self, cx: Context<'_>) {
        let now = self.wheel.tick(cx.now);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for &number in &due {
            let Some(connection) = self.connections.get_mut(number) else { continue };
            let over = patience(&self.plan, connection).is_some_and(|ticks| connection.last + ticks <= now);
            if over && connection.way.is_none() {
                if self.go_on(cx, number, Patience::Over) {
                    self.set_deadline(number);
                }
                continue;
            }
            if over && connection.open {
                let reset = if connection.up.holds() || connection.down.holds() {
                    Reset::Both
                } else {
                    Reset::Neither
                };
                self.end(cx, number, &cx.counters.ended.idle, reset);
                continue;
            }
            if over {
                self.give_up_server(cx, number);
                self.connect(cx, number, Some(Errno::TIMEDOUT));
            }
            self.set_deadline(number);
        }
        due.clear();
        self.due = due;
    }

    /// Cuts all that is still open.
    pub(super) fn cut(&mut self, cx: Context<'_>) {
        let numbers: Vec<_> = self.connections.numbers().collect();
        for number in numbers {
            self.end(cx, number, &cx.counters.ended.drained, Reset::Both);
        }
    }
}

/// How many ticks a connection may be silent; `None`: for ever.
fn patience(plan: &Plan, connection: &Connection) -> Option<Tick> {
    match connection.open {
        false if connection.way.is_none() => Some(Wheel::ticks(connection.service.detect_timeout)),
        false => Some(Wheel::ticks(plan.timeouts.connect)),
        true => idle_patience(plan),
    }
}

/// How many ticks an open one may be.
fn idle_patience(plan: &Plan) -> Option<Tick> {
    let idle = plan.timeouts.tcp_idle;
    (!idle.is_zero()).then(|| Wheel::ticks(idle))
}

/// Which port a client came to.
fn local_port(socket: &OwnedFd) -> u16 {
    let address = rustix::net::getsockname(socket).and_then(SocketAddr::try_from);
    address.map_or(0, |address| address.port())
}

/// Whose turn it is at an upstream.
pub(super) fn turn_of(turns: &mut Vec<Turn>, upstream: usize, worker: usize) -> &mut Turn {
    if turns.len() <= upstream {
        turns.resize(upstream + 1, Turn::of_worker(worker));
    }
    &mut turns[upstream]
}

/// Both ways at once: a socket is registered for all it will ever be asked about.
fn register(registry: &Registry, descriptor: i32, token: Token) -> Result<(), Errno> {
    registry
        .register(&mut SourceFd(&descriptor), token.into(), Interest::READABLE | Interest::WRITABLE)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn ending_of_error(counters: &Counters, error: Errno) -> &Counter {
    match error {
        Errno::MFILE | Errno::NFILE => &counters.ended.no_descriptor,
        // The kernel gave up: keep-alive, or retransmission.
        Errno::TIMEDOUT => &counters.ended.idle,
        _ => &counters.ended.failed,
    }
}
