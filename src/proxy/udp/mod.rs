//! UDP: a session for each client, with a socket of its own towards a server.
//!
//! A session is a client's address and port at one listening socket, and the address it asked there: that is where answers
//! come from. Sessions are bounded: where there are too many, the one that was silent longest makes room. Its client's next
//! datagram begins another.
//!
//! | file | what |
//! | --- | --- |
//! | `beginning` | clients whose route depends on what they say first |
//! | `pack` | datagrams put together for one system call |
//! | `recency` | which session was silent longest |

mod beginning;
mod pack;
mod recency;

use super::access_log::Record;
use super::config::{Ejection, Transport};
use super::counters::{Counter, Named, UdpCounters};
use super::detect::{self, Choice, Patience};
use super::handover::{Given, SessionNote};
use super::limits::Admission;
use super::listen::{Listening, Present};
use super::plan::{Plan, Service};
use super::shared::Shared;
use super::slab::Slab;
use super::source;
use super::tcp::{Context, turn_of};
use super::token::Token;
use super::upstream::{Address, Held, Server, Turn};
use super::wheel::{Tick, Wheel};
use crate::sys::datagrams::{Inbox, Outbox};
use crate::sys::socket_options;
use beginning::{Beginning, Beginnings};
use mio::Interest;
use mio::unix::SourceFd;
use pack::{Pack, Way};
use recency::Recency;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, connect, socket_with};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Messages received at a time.
const BATCH: usize = 32;
/// Bytes of room for each: a datagram, or several that the kernel has put together.
const ROOM: usize = 1 << 16;
/// Batches of one socket before others have their turn.
const BATCHES: usize = 8;

/// Whose session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// Among the worker's listening sockets.
    listening: u32,
    client: SocketAddr,
    /// Which of the host's addresses it asked, where the socket listens on several.
    asked: Option<IpAddr>,
}

#[derive(Debug)]
struct Session {
    key: Key,
    socket: OwnedFd,
    held: Held,
    /// Its right to be there.
    _admission: Admission,
    /// Its place among those of its listening sockets.
    _present: Present,
    service: Arc<Service>,
    way: usize,
    began: Instant,
    /// From the client, and to it.
    bytes: [u64; 2],
    last: Tick,
    /// Several datagrams may travel as one message, to the server and to the client.
    together: [bool; 2],
    queued: bool,
}

/// A client has as many sessions as it may, or comes too often.
struct Refusal;

/// What becomes of a new client.
enum Begun {
    /// It has one.
    Session(u32),
    /// It has to say more.
    Waits,
    /// There is no route, no server, or no room to be made.
    Not,
}

/// Datagrams of a batch for one session: the first and the last of a list.
#[derive(Clone, Copy, Debug)]
struct Share {
    session: u32,
    first: u16,
    last: u16,
}

const END: u16 = u16::MAX;

/// A worker's sessions.
pub(super) struct Udp {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    worker: usize,
    sessions: Slab<Session>,
    by_key: HashMap<Key, u32>,
    /// Those whose first datagrams do not say yet where they go.
    beginnings: Beginnings,
    recency: Recency,
    wheel: Wheel,
    turns: Vec<Turn>,
    inbox: Inbox,
    outbox: Outbox,
    pack: Pack,
    shares: Vec<Share>,
    /// For each received message the next one of its session.
    next: [u16; BATCH],
    /// Sockets with more to do, and the list that is gone through meanwhile.
    ready: Vec<Token>,
    taken: Vec<Token>,
    due: Vec<u32>,
    most: usize,
}

impl Udp {
    pub(super) fn new(shared: Arc<Shared>, worker: usize, plan: Arc<Plan>, now: Instant) -> Self {
        let most = plan.share.sessions;
        Self {
            plan,
            shared,
            worker,
            sessions: Slab::new(),
            by_key: HashMap::new(),
            beginnings: Beginnings::default(),
            recency: Recency::new(),
            wheel: Wheel::new(now),
            turns: Vec::new(),
            inbox: inbox_for(most),
            outbox: Outbox::new(),
            pack: Pack::default(),
            shares: Vec::new(),
            next: [END; BATCH],
            ready: Vec::new(),
            taken: Vec::new(),
            due: Vec::new(),
            most,
        }
    }

    /// Goes by another plan from now on. Sessions that there are keep their servers.
    pub(super) fn set_plan(&mut self, plan: Arc<Plan>) {
        if (self.most == 0) != (plan.share.sessions == 0) {
            self.inbox = inbox_for(plan.share.sessions.max(self.sessions.len()));
        }
        self.most = plan.share.sessions;
        self.plan = plan;
    }

    pub(super) fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.wheel.wait(now).into_iter().chain(self.beginnings.wait(now)).min()
    }

    /// Datagrams came from clients.
    pub(super) fn receive_from_clients(&mut self, cx: Context<'_>, listening: &Slab<Listening>, number: u32) {
        let Some(socket) = listening.get(number) else { return };
        for _ in 0..BATCHES {
            let received = match self.inbox.receive(&socket.socket, BATCH) {
                Ok(received) => received,
                // Nothing more, or what ICMP said of an answer: that is not told of which.
                Err(_) => return,
            };
            self.sort(cx, number, socket, received);
            self.flush(cx);
            if received < BATCH {
                return;
            }
        }
        self.ready.push(Token::Datagrams(number));
    }

    /// Sends on what was sorted.
    fn flush(&mut self, cx: Context<'_>) {
        for index in 0..self.shares.len() {
            let share = self.shares[index];
            self.send_to_server(cx, share);
        }
        self.shares.clear();
    }

    /// The session that was silent longest makes room for another one, which may get its number: so nothing must be left
    /// that is sorted by it.
    fn make_room(&mut self, cx: Context<'_>) -> Option<()> {
        self.flush(cx);
        let oldest = self.recency.oldest()?;
        self.end(cx, oldest, &cx.counters.udp.evicted);
        Some(())
    }

    /// Finds the session of each message received.
    fn sort(&mut self, cx: Context<'_>, listening: u32, socket: &Listening, received: usize) {
        let udp = &cx.counters.udp;
        for index in 0..received {
            let Some(message) = self.inbox.get(index) else { continue };
            let datagrams = message.datagrams();
            udp.received.add(datagrams);
            if message.truncated {
                udp.too_long.add(datagrams);
                continue;
            }
            let Some(client) = message.from else {
                udp.failed.add(datagrams);
                continue;
            };
            let key = Key { listening, client, asked: message.to };
            let session = match self.by_key.get(&key) {
                Some(&session) => Some(session),
                None => match self.begin(cx, key, socket, index) {
                    Ok(Begun::Session(session)) => Some(session),
                    // Its datagrams are sent with those to come.
                    Ok(Begun::Waits) => continue,
                    Ok(Begun::Not) => None,
                    Err(Refusal) => {
                        udp.limited.add(datagrams);
                        continue;
                    }
                },
            };
            let Some(session) = session else {
                udp.no_session.add(datagrams);
                continue;
            };
            self.next[index] = END;
            match self.shares.iter_mut().find(|share| share.session == session) {
                Some(share) => {
                    self.next[usize::from(share.last)] = index as u16;
                    share.last = index as u16;
                }
                None => self.shares.push(Share { session, first: index as u16, last: index as u16 }),
            }
        }
    }

    /// A session for a new client, by the message that came with number `index`.
    fn begin(
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
                    let port = socket.endpoint.port;
                    let session = self.open_session(cx, key, port, service, choice, admission, present);
                    return Ok(session.map_or(Begun::Not, Begun::Session));
                }
                Beginning::new(
                    service,
                    admission,
                    Present::at(&socket.endpoint),
                    socket.endpoint.port,
                    cx.now,
                )
            }
        };
        Ok(self.hear(cx, key, beginning, index))
    }

    /// A client without a route has said more.
    fn hear(&mut self, cx: Context<'_>, key: Key, mut beginning: Beginning, index: usize) -> Begun {
        let Some(message) = self.inbox.get(index) else { return Begun::Not };
        let choice = beginning.hear(key.client.ip(), message.bytes, message.segment);
        if let Choice::Needs(_) = choice {
            beginning.keep(message.bytes, message.segment);
            if let Some((key, gone)) = self.beginnings.put(key, beginning) {
                self.give_up(cx, key, gone);
            }
            return Begun::Waits;
        }
        let kept = std::mem::take(&mut beginning.kept);
        let Beginning { service, admission, present, port, .. } = beginning;
        let session = self.open_session(cx, key, port, service, choice, admission, present);
        self.send_kept(cx, session, &kept);
        session.map_or(Begun::Not, Begun::Session)
    }

    /// One that says no more goes where those go who say nothing.
    fn give_up(&mut self, cx: Context<'_>, key: Key, beginning: Beginning) {
        let choice = beginning.give_up(key.client.ip());
        let Beginning { service, admission, present, port, kept, .. } = beginning;
        let session = self.open_session(cx, key, port, service, choice, admission, present);
        self.send_kept(cx, session, &kept);
    }

    /// Sends datagrams that were kept, or drops them where there is no session.
    fn send_kept(&mut self, cx: Context<'_>, session: Option<u32>, kept: &[Box<[u8]>]) {
        let udp = &cx.counters.udp;
        let session = session.and_then(|session| self.sessions.get_mut(session));
        let Some(session) = session else {
            udp.no_session.add(kept.len() as u64);
            return;
        };
        for datagram in kept {
            match rustix::net::send(&session.socket, datagram, SendFlags::NOSIGNAL) {
                Ok(length) => {
                    udp.sent.add(1);
                    udp.bytes_up.add(length as u64);
                    session.bytes[0] += length as u64;
                }
                Err(Errno::AGAIN | Errno::NOBUFS) => udp.full.add(1),
                Err(Errno::MSGSIZE) => udp.too_long.add(1),
                Err(_) => udp.failed.add(1),
            }
        }
    }

    /// Opens a session where it was chosen to go; `None` where there is no route, no server, or no room to be made.
    fn open_session(
        &mut self,
        cx: Context<'_>,
        key: Key,
        port: u16,
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
        let turn = turn_of(&mut self.turns, way.index, self.worker);
        let held = way.upstream.pick(turn, client, &[], cx.now)?;
        let server = held.server().address().socket_address(port)?;
        let source = client.filter(|_| way.transparent);
        let socket = match open(&server, source) {
            Err(Errno::MFILE | Errno::NFILE) => {
                self.make_room(cx)?;
                open(&server, source).ok()?
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
            _present: present,
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

    /// Goes on with another process's session.
    pub(super) fn adopt(
        &mut self,
        cx: Context<'_>,
        listening: u32,
        at: &Listening,
        note: SessionNote,
        socket: OwnedFd,
    ) {
        let upstream = self.plan.upstreams.iter().find(|(name, _)| **name == *note.upstream);
        let members = upstream.map_or(&[][..], |(_, upstream)| upstream.members());
        let known = members.iter().find(|member| member.server.name() == note.server);
        let server = known.map_or_else(
            || {
                // Of this configuration it is none, but the session's all the same.
                let place = Address::Ip { address: note.address.ip(), port: Some(note.address.port()) };
                Arc::new(Server::new(note.server.clone(), place, cx.now))
            },
            |member| Arc::clone(&member.server),
        );
        let Some(held) = server.take(0, Ejection::default()) else { return };
        let service = Arc::clone(&self.plan.services[at.endpoint.listener]);
        let way = service.ways.iter().position(|way| *way.upstream_name == *note.upstream);
        let key = Key { listening, client: note.client, asked: note.at };
        let descriptor = socket.as_raw_fd();
        let last = self.wheel.tick(cx.now);
        let number = self.sessions.insert(Session {
            key,
            socket,
            held,
            _admission: Admission::uncounted(),
            _present: Present::at(&at.endpoint),
            way: way.unwrap_or(usize::MAX),
            service,
            began: cx.now.checked_sub(note.age).unwrap_or(cx.now),
            bytes: note.bytes,
            last,
            together: [true; 2],
            queued: false,
        });
        let token = Token::Session(number).into();
        if cx.registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE).is_err() {
            self.sessions.remove(number);
            return;
        }
        cx.counters.udp.opened.add(1);
        self.by_key.insert(key, number);
        self.recency.touch(number);
        self.wheel.arm(number, last + Wheel::ticks(self.plan.timeouts.udp_idle));
    }

    /// Forgets those who have no route, and what they said.
    fn drop_beginnings(&mut self, cx: Context<'_>) {
        for (_, beginning) in self.beginnings.drain() {
            cx.counters.udp.no_session.add(beginning.kept.len() as u64);
        }
    }

    /// Gives all sessions away.
    pub(super) fn give(&mut self, cx: Context<'_>, listening: &Slab<Listening>) -> Vec<Given> {
        self.drop_beginnings(cx);
        let numbers: Vec<_> = self.sessions.numbers().collect();
        let mut given = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(session) = self.sessions.remove(number) else { continue };
            self.by_key.remove(&session.key);
            self.recency.remove(number);
            self.wheel.disarm(number);
            let Some(near) = listening.get(session.key.listening) else { continue };
            let server = session.held.server();
            let Some(address) = server.address().socket_address(near.endpoint.port) else { continue };
            // It was registered: that cannot fail.
            let _ = cx.registry.deregister(&mut SourceFd(&session.socket.as_raw_fd()));
            cx.counters.udp.handed_over.add(1);
            let way = session.service.ways.get(session.way);
            given.push(Given {
                listening: Arc::clone(&near.socket),
                client: session.key.client,
                at: session.key.asked,
                upstream: way.map_or_else(|| Arc::from(""), |way| Arc::clone(&way.upstream_name)),
                server: server.name().to_owned(),
                address,
                began: session.began,
                bytes: session.bytes,
                socket: session.socket,
            });
        }
        given
    }

    /// Sends a session's datagrams on.
    fn send_to_server(&mut self, cx: Context<'_>, share: Share) {
        let udp = &cx.counters.udp;
        let indices = std::iter::successors(Some(share.first), |&index| {
            Some(self.next[usize::from(index)]).filter(|&next| next != END)
        });
        let Some(session) = self.sessions.get_mut(share.session) else { return };
        session.last = self.wheel.tick(cx.now);
        let way = Way { together: session.together[0], ..Way::default() };
        self.pack.clear();
        for index in indices {
            self.pack.add(&self.inbox, index, way);
        }
        let (inbox, outbox, pack) = (&self.inbox, &mut self.outbox, &mut self.pack);
        let before = udp.bytes_up.get();
        let sent = transmit(&session.socket, inbox, outbox, pack, way, udp, &udp.bytes_up);
        session.bytes[0] += udp.bytes_up.get().wrapping_sub(before);
        session.together[0] &= sent.together;
        self.recency.touch(share.session);
        if sent.unreachable {
            self.refused(cx, share.session);
        }
    }

    /// Datagrams came from a session's server, or word of it.
    pub(super) fn receive_from_server(&mut self, cx: Context<'_>, listening: &Slab<Listening>, number: u32) {
        let udp = &cx.counters.udp;
        let (mut heard, mut refused, mut more) = (false, false, true);
        let Some(session) = self.sessions.get_mut(number) else { return };
        let Some(near) = listening.get(session.key.listening) else { return };
        for _ in 0..BATCHES {
            let received = match self.inbox.receive(&session.socket, BATCH) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    more = false;
                    break;
                }
                Err(error) => {
                    refused |= is_unreachable(&error);
                    continue;
                }
            };
            heard = true;
            let way =
                Way { to: Some(session.key.client), from: session.key.asked, together: session.together[1] };
            self.pack.clear();
            for index in 0..received {
                let Some(message) = self.inbox.get(index) else { continue };
                udp.received.add(message.datagrams());
                if message.truncated {
                    udp.too_long.add(message.datagrams());
                } else {
                    self.pack.add(&self.inbox, index as u16, way);
                }
            }
            let (inbox, outbox, pack) = (&self.inbox, &mut self.outbox, &mut self.pack);
            let before = udp.bytes_down.get();
            let sent = transmit(&near.socket, inbox, outbox, pack, way, udp, &udp.bytes_down);
            session.bytes[1] += udp.bytes_down.get().wrapping_sub(before);
            session.together[1] &= sent.together;
            if received < BATCH {
                more = false;
                break;
            }
        }
        if heard {
            session.last = self.wheel.tick(cx.now);
            session.held.succeeded();
            self.recency.touch(number);
        }
        if more && !session.queued {
            session.queued = true;
            self.ready.push(Token::Session(number));
        }
        if refused {
            self.refused(cx, number);
        }
    }

    /// ICMP says that nobody is there: the client's next datagram may find another server.
    fn refused(&mut self, cx: Context<'_>, number: u32) {
        let udp = &cx.counters.udp;
        udp.unreachable.add(1);
        if let Some(session) = self.sessions.get(number) {
            session.held.failed(cx.now);
        }
        self.end(cx, number, &udp.refused);
    }

    /// Goes on with sockets that had given way to others.
    pub(super) fn turn(&mut self, cx: Context<'_>, listening: &Slab<Listening>) {
        std::mem::swap(&mut self.ready, &mut self.taken);
        for index in 0..self.taken.len() {
            match self.taken[index] {
                Token::Session(number) => {
                    if let Some(session) = self.sessions.get_mut(number) {
                        session.queued = false;
                    }
                    self.receive_from_server(cx, listening, number);
                }
                Token::Datagrams(number) => self.receive_from_clients(cx, listening, number),
                Token::Waker | Token::Listening(_) | Token::Client(_) | Token::Server(_) => {}
            }
        }
        self.taken.clear();
    }

    /// Ends what was silent for too long.
    pub(super) fn expire(&mut self, cx: Context<'_>) {
        let now = self.wheel.tick(cx.now);
        let patience = Wheel::ticks(self.plan.timeouts.udp_idle);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for &number in &due {
            let Some(session) = self.sessions.get(number) else { continue };
            let deadline = session.last + patience;
            if deadline <= now {
                self.end(cx, number, &cx.counters.udp.idle);
            } else {
                self.wheel.arm(number, deadline);
            }
        }
        due.clear();
        self.due = due;
        for (key, beginning) in self.beginnings.due(cx.now) {
            self.give_up(cx, key, beginning);
        }
    }

    /// The end of all.
    pub(super) fn cut(&mut self, cx: Context<'_>) {
        self.drop_beginnings(cx);
        let numbers: Vec<_> = self.sessions.numbers().collect();
        for number in numbers {
            self.end(cx, number, &cx.counters.udp.drained);
        }
    }

    /// Hands over what the log says of a session that is over.
    fn log(&self, cx: Context<'_>, session: &Session, counter: &Counter) {
        let Some(log) = &self.shared.access_log else { return };
        let lasted = cx.now.saturating_duration_since(session.began);
        let way = session.service.ways.get(session.way);
        log.record(Record {
            transport: Transport::Udp,
            began: SystemTime::now() - lasted,
            lasted,
            connected_after: None,
            peer: Some(session.key.client),
            client: None,
            listener: Arc::clone(&session.service.name),
            route: way.map(|way| (Arc::clone(&way.name), Arc::clone(&way.upstream_name))),
            server: Some(Arc::clone(session.held.server())),
            tried: 0,
            bytes: session.bytes,
            reason: cx.counters.udp.name(counter),
            tcp: [None, None],
        });
    }

    fn end(&mut self, cx: Context<'_>, number: u32, counter: &Counter) {
        let Some(session) = self.sessions.remove(number) else { return };
        counter.add(1);
        self.log(cx, &session, counter);
        self.by_key.remove(&session.key);
        self.recency.remove(number);
        self.wheel.disarm(number);
    }
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
    // An older kernel gives them one by one.
    let _ = socket_options::set_udp_gro(&socket);
    Ok(socket)
}

/// Room for what comes, where there may be sessions.
fn inbox_for(sessions: usize) -> Inbox {
    if sessions > 0 { Inbox::new(BATCH, ROOM) } else { Inbox::new(1, 0) }
}

fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// What came of sending.
struct Sent {
    /// The way can take several datagrams as one message.
    together: bool,
    /// ICMP said, of an earlier datagram, that nobody is there.
    unreachable: bool,
}

/// Sends messages, each datagram once; counts what went and what did not.
fn transmit(
    socket: &OwnedFd,
    inbox: &Inbox,
    outbox: &mut Outbox,
    pack: &mut Pack,
    way: Way,
    udp: &UdpCounters,
    bytes: &Counter,
) -> Sent {
    let socket: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(socket);
    let mut result = Sent { together: true, unreachable: false };
    let mut at = 0;
    while at < pack.messages.len() {
        let sizes = &pack.sizes[at..];
        let error = match outbox.send(socket, inbox, &pack.messages[at..], &pack.parts) {
            Ok(count) => {
                for size in &sizes[..count.min(sizes.len())] {
                    udp.sent.add(size.datagrams);
                    bytes.add(size.bytes);
                }
                at += count.max(1);
                continue;
            }
            Err(error) => error,
        };
        let datagrams = sizes[0].datagrams;
        match error.raw_os_error() {
            Some(libc::EINTR) => continue,
            // The word was of an earlier one; this one can be sent yet, if there is not another word.
            _ if is_unreachable(&error) && !result.unreachable => {
                result.unreachable = true;
                continue;
            }
            Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE) if pack.messages[at].segment.is_some() => {
                // This way out cannot take them together: one by one.
                result.together = false;
                separate(pack, at, inbox, way);
                at = 0;
                continue;
            }
            Some(libc::EAGAIN | libc::ENOBUFS) => udp.full.add(datagrams),
            Some(libc::EMSGSIZE) => udp.too_long.add(datagrams),
            _ => udp.failed.add(datagrams),
        }
        at += 1;
    }
    result
}

/// Makes single datagrams of the messages from `at` on, and forgets those before.
fn separate(pack: &mut Pack, at: usize, inbox: &Inbox, way: Way) {
    let first = pack.messages[at].parts.start;
    let received: Vec<_> = pack.parts[first..].iter().map(|part| part.received).collect();
    pack.clear();
    for received in received {
        pack.add(inbox, received, Way { together: false, ..way });
    }
}

#[cfg(test)]
mod tests;
