//! UDP: a session for each client, with a socket of its own towards a server.
//!
//! A session is a client's address and port at one listening socket, and the address it asked there: that is where answers
//! come from. Sessions are bounded: where there are too many, the one that was silent longest makes room, first among those
//! whose server never answered: of a flood from false addresses most are such. Its client's next datagram begins another.
//!
//! | file | what |
//! | --- | --- |
//! | `beginning` | clients whose route depends on what they say first |
//! | `moving` | those that go on in another process |
//! | `session` | what is kept of each, and how they begin |
//! | `pack` | datagrams put together for one system call |
//! | `transmit` | sending them |
//! | `ending` | how they end |

mod beginning;
mod ending;
mod moving;
mod pack;
mod session;
mod transmit;

use super::listen::Listening;
use super::plan::Plan;
use super::shared::Shared;
use super::slab::Slab;
use super::tcp::{Context, no_way, turn_of};
use super::token::Token;
use super::upstream::Turn;
use super::wheel::Wheel;
use crate::recency::Recency;
use crate::sys::datagrams::{Inbox, Outbox};
use beginning::Beginnings;
use pack::{Pack, Way};
use session::{Begun, Key, Refusal, Session};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use transmit::{Word, is_unreachable, transmit, transmit_behind};

/// Messages received at a time.
const BATCH: usize = 64;
/// Bytes of room for each: a datagram, or several that the kernel has put together.
const ROOM: usize = 1 << 16;
/// Room in the inbox below which answers are sent on before others are received.
const LEAST_ROOM: usize = 16;
/// Batches of one socket before others have their turn.
const BATCHES: usize = 8;

/// At the end sessions are over when none of them had a datagram for so long.
const QUIET: Duration = Duration::from_secs(1);

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
    /// The same of those whose server has not answered yet.
    unanswered: Recency,
    wheel: Wheel,
    turns: Vec<Turn>,
    inbox: Inbox,
    outbox: Outbox,
    pack: Pack,
    shares: Vec<Share>,
    /// For each received message the next one of its session, and bytes of each datagram in it if there are several.
    next: [u16; BATCH],
    segments: [Option<u16>; BATCH],
    /// The listening socket through which the answers in `pack` leave.
    answers: Option<u32>,
    /// Sockets with more to do, and the list that is gone through meanwhile.
    ready: Vec<Token>,
    taken: Vec<Token>,
    /// Which listening sockets, by their numbers, stand among those: sessions know it of themselves.
    queued: Vec<bool>,
    due: Vec<u32>,
    most: usize,
    /// When a session's client or server last said something.
    heard: Instant,
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
            recency: Recency::default(),
            unanswered: Recency::default(),
            wheel: Wheel::new(now),
            turns: Vec::new(),
            inbox: inbox_for(most),
            outbox: Outbox::new(),
            pack: Pack::default(),
            shares: Vec::new(),
            next: [END; BATCH],
            segments: [None; BATCH],
            answers: None,
            ready: Vec::new(),
            taken: Vec::new(),
            queued: Vec::new(),
            due: Vec::new(),
            most,
            heard: now,
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

    /// When nothing more is to be waited for, unless a session has another datagram until then.
    pub(super) fn quiet_at(&self, now: Instant) -> Instant {
        if self.sessions.len() == 0 { now } else { self.heard + QUIET }
    }

    /// Datagrams came from clients.
    pub(super) fn receive_from_clients(&mut self, cx: Context<'_>, listening: &Slab<Listening>, number: u32) {
        self.flush_answers(cx, listening);
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
        // But once: however much comes, each has its turn once in each turn of the loop.
        let index = number as usize;
        if self.queued.len() <= index {
            self.queued.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.queued[index], true) {
            self.ready.push(Token::Datagrams(number));
        }
    }

    /// Sends on what was sorted.
    fn flush(&mut self, cx: Context<'_>) {
        for index in 0..self.shares.len() {
            let share = self.shares[index];
            self.send_to_server(cx, share);
        }
        self.shares.clear();
    }

    /// Finds the session of each message received.
    fn sort(&mut self, cx: Context<'_>, listening: u32, socket: &Listening, received: usize) {
        let udp = &cx.counters.udp;
        // Datagrams of one client often come together. Nothing ends a session meanwhile but what makes room for another.
        let mut last: Option<(Key, u32)> = None;
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
            let (key, segment) = (Key { listening, client, asked: message.to }, message.segment);
            let known = match last {
                Some((of, session)) if of == key => Some(session),
                _ => self.by_key.get(&key).copied(),
            };
            let session = match known {
                Some(session) => Some(session),
                None => match self.begin(cx, key, socket, index) {
                    Ok(Begun::Session(session)) => Some(session),
                    // Its datagrams are sent with those to come.
                    Ok(Begun::Waits) => {
                        last = None;
                        continue;
                    }
                    Ok(Begun::Not) => None,
                    Err(Refusal) => {
                        udp.limited.add(datagrams);
                        continue;
                    }
                },
            };
            last = session.map(|session| (key, session));
            let Some(session) = session else {
                udp.no_session.add(datagrams);
                continue;
            };
            self.next[index] = END;
            self.segments[index] = segment;
            match self.shares.iter_mut().rev().find(|share| share.session == session) {
                Some(share) => {
                    self.next[usize::from(share.last)] = index as u16;
                    share.last = index as u16;
                }
                None => self.shares.push(Share { session, first: index as u16, last: index as u16 }),
            }
        }
    }

    /// Sends a session's datagrams on.
    fn send_to_server(&mut self, cx: Context<'_>, share: Share) {
        let udp = &cx.counters.udp;
        let indices = std::iter::successors(Some(share.first), |&index| {
            Some(self.next[usize::from(index)]).filter(|&next| next != END)
        });
        let Some(session) = self.sessions.get_mut(share.session) else { return };
        session.last = self.wheel.tick(cx.now);
        self.heard = cx.now;
        if let Some(header) = &session.header {
            let mut refused = false;
            for message in indices.filter_map(|index| self.inbox.get(index.into())) {
                for datagram in message.each() {
                    let (bytes, unreachable) = transmit_behind(&session.socket, header, datagram, udp);
                    session.bytes[0] += bytes;
                    refused |= unreachable;
                }
            }
            self.touch(share.session);
            if refused {
                self.refused(cx, share.session);
            }
            return;
        }
        let way = Way { session: share.session, together: session.together[0], ..Way::default() };
        self.pack.clear();
        for index in indices {
            let length = self.inbox.bytes(index.into()).map_or(0, <[u8]>::len);
            self.pack.add(index, length, self.segments[usize::from(index)], way);
        }
        let (inbox, outbox, pack) = (&self.inbox, &mut self.outbox, &mut self.pack);
        let Session { socket, bytes, together, .. } = session;
        let refused = transmit(socket, inbox, outbox, pack, udp, &udp.bytes_up, |_, word| match word {
            Word::Went(length) => bytes[0] += length,
            Word::Apart => together[0] = false,
        });
        self.touch(share.session);
        if refused {
            self.refused(cx, share.session);
        }
    }

    /// A session is in use.
    fn touch(&mut self, number: u32) {
        match self.sessions.get(number) {
            Some(session) if session.answered => self.recency.touch(number),
            Some(_) => self.unanswered.touch(number),
            None => {}
        }
    }

    /// Datagrams came from a session's server, or word of it. They are sent on with those of others, by
    /// [`flush_answers`](Self::flush_answers) at the latest: one call for many sessions.
    pub(super) fn receive_from_server(&mut self, cx: Context<'_>, listening: &Slab<Listening>, number: u32) {
        let udp = &cx.counters.udp;
        let (mut heard, mut refused, mut more) = (false, false, true);
        let Some(near) = self.sessions.get(number).map(|session| session.key.listening) else { return };
        if self.answers != Some(near) {
            self.flush_answers(cx, listening);
        }
        for _ in 0..BATCHES {
            if BATCH - self.inbox.received() < LEAST_ROOM {
                self.flush_answers(cx, listening);
            }
            let Some(session) = self.sessions.get_mut(number) else { return };
            if self.answers.is_none() {
                self.inbox.clear();
                self.pack.clear();
                self.answers = Some(near);
            }
            let (start, room) = (self.inbox.received(), BATCH - self.inbox.received());
            let received = match self.inbox.receive_connected(&session.socket, room) {
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
            let Key { client, asked, .. } = session.key;
            let way = Way { session: number, to: Some(client), from: asked, together: session.together[1] };
            for index in start..start + received {
                let Some(message) = self.inbox.get(index) else { continue };
                udp.received.add(message.datagrams());
                if message.truncated {
                    udp.too_long.add(message.datagrams());
                } else {
                    self.pack.add(index as u16, message.bytes.len(), message.segment, way);
                }
            }
            if received < room {
                more = false;
                break;
            }
        }
        let Some(session) = self.sessions.get_mut(number) else { return };
        if heard {
            session.last = self.wheel.tick(cx.now);
            self.heard = cx.now;
            session.held.succeeded();
            if !std::mem::replace(&mut session.answered, true) {
                self.unanswered.remove(number);
            }
            self.recency.touch(number);
        }
        if more && !session.queued {
            session.queued = true;
            self.ready.push(Token::Session(number));
        }
        if refused {
            // Its last answers are its own yet.
            self.flush_answers(cx, listening);
            self.refused(cx, number);
        }
    }

    /// Sends on what servers answered. What ICMP says of answers is not told of which.
    pub(super) fn flush_answers(&mut self, cx: Context<'_>, listening: &Slab<Listening>) {
        let Some(near) = self.answers.take() else { return };
        if let Some(near) = listening.get(near) {
            let udp = &cx.counters.udp;
            let Self { inbox, outbox, pack, sessions, .. } = self;
            transmit(&near.socket, inbox, outbox, pack, udp, &udp.bytes_down, |session, word| {
                match (sessions.get_mut(session), word) {
                    (Some(session), Word::Went(bytes)) => session.bytes[1] += bytes,
                    (Some(session), Word::Apart) => session.together[1] = false,
                    (None, _) => {}
                }
            });
        }
        self.pack.clear();
        self.inbox.clear();
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
                Token::Datagrams(number) => {
                    self.queued[number as usize] = false;
                    self.receive_from_clients(cx, listening, number);
                }
                Token::Waker | Token::Listening(_) | Token::Client(_) | Token::Server(_) => {}
            }
        }
        self.taken.clear();
        self.flush_answers(cx, listening);
    }
}

/// Room for what comes, where there may be sessions.
fn inbox_for(sessions: usize) -> Inbox {
    if sessions > 0 { Inbox::new(BATCH, ROOM) } else { Inbox::new(1, 0) }
}

#[cfg(test)]
mod tests;
