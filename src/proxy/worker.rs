//! One worker: an event loop with its own sockets, connections and sessions.

use super::config::Transport;
use super::listen::Listening;
use super::shared::Shared;
use super::tcp::{Context, End, Tcp};
use super::token::Token;
use super::udp::Udp;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Events taken from the kernel at a time.
const EVENTS: usize = 512;
/// Connections accepted from one socket before others have their turn.
const ACCEPTS: usize = 64;
/// Until accepting is tried again after the process, or the host, had no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// How much a worker may take on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) connections: usize,
    pub(super) sessions: usize,
    pub(super) pipes: usize,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    index: usize,
    poll: Poll,
    /// Sockets that take connections, and those that take datagrams.
    listening: Vec<Listening>,
    datagrams: Vec<Listening>,
    tcp: Tcp,
    udp: Udp,
    /// Sockets where connections may be waiting.
    waiting: VecDeque<u32>,
    /// Accepting rests until then.
    paused_until: Option<Instant>,
    /// It rests since there are as many connections as there may be.
    full: bool,
    /// When what is still open is cut, once the proxy is to end.
    deadline: Option<Instant>,
    /// The version of the plan that it goes by.
    plan: u64,
}

impl Worker {
    /// A worker over its sockets, registered with its event queue.
    pub(super) fn new(
        shared: Arc<Shared>,
        index: usize,
        poll: Poll,
        listening: Vec<Listening>,
        share: Share,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let is_tcp =
            |socket: &Listening| shared.endpoints[socket.endpoint as usize].transport == Transport::Tcp;
        let (listening, datagrams): (Vec<_>, Vec<_>) = listening.into_iter().partition(is_tcp);
        let tokens = (0..listening.len() as u32).map(Token::Listening);
        let tokens = tokens.chain((0..datagrams.len() as u32).map(Token::Datagrams));
        for (socket, token) in listening.iter().chain(&datagrams).zip(tokens) {
            let descriptor = socket.socket.as_raw_fd();
            poll.registry().register(&mut SourceFd(&descriptor), token.into(), Interest::READABLE)?;
        }
        Ok(Self {
            tcp: Tcp::new(Arc::clone(&shared), index, share.connections, share.pipes, now),
            udp: Udp::new(Arc::clone(&shared), index, share.sessions, now),
            shared,
            index,
            poll,
            listening,
            datagrams,
            waiting: VecDeque::new(),
            paused_until: None,
            full: false,
            deadline: None,
            plan: 0,
        })
    }

    /// Works until the proxy is to end and all has ended, or was cut.
    pub(super) fn run(mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let counters = &*shared.counters[self.index];
        // Apart from the rest, which is changed while it is looked at.
        let registry = self.poll.registry().try_clone()?;
        let mut events = Events::with_capacity(EVENTS);
        let mut now = Instant::now();
        loop {
            // From when the last events came: what they took is nothing to a tick.
            let timeout = self.timeout(now);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            if let Some(plan) = shared.plan.newer(&mut self.plan) {
                self.tcp.set_plan(Arc::clone(&plan));
                self.udp.set_plan(plan);
            }
            now = Instant::now();
            let cx = Context { registry: &registry, counters, now };
            for event in &events {
                match Token::from(event.token()) {
                    Token::Waker => {}
                    // Behind the rest: numbers that become free among these events must not be given anew among them.
                    Token::Listening(number) if self.waiting.contains(&number) => {}
                    Token::Listening(number) => self.waiting.push_back(number),
                    Token::Datagrams(number) => self.udp.receive_from_clients(cx, &self.datagrams, number),
                    Token::Client(number) => self.tcp.event(cx, End::Client, number, event),
                    Token::Server(number) => self.tcp.event(cx, End::Server, number, event),
                    Token::Session(number) => self.udp.receive_from_server(cx, &self.datagrams, number),
                }
            }
            self.tcp.turn(cx);
            self.udp.turn(cx, &self.datagrams);
            self.tcp.expire(cx);
            self.udp.expire(cx);
            if self.deadline.is_none() && shared.stop.load(Ordering::Relaxed) {
                self.begin_to_end(cx);
            }
            match self.deadline {
                None => self.accept(cx),
                Some(deadline) if self.tcp.is_empty() || deadline <= cx.now => {
                    self.tcp.cut(cx);
                    self.udp.cut(cx);
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let accepting = !self.waiting.is_empty() && !self.full && self.paused_until.is_none();
        if self.tcp.has_more() || self.udp.has_more() || accepting {
            return Some(Duration::ZERO);
        }
        let until = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(now));
        let waits = [self.tcp.wait(now), self.udp.wait(now), until(self.paused_until), until(self.deadline)];
        waits.into_iter().flatten().min()
    }

    /// Accepts what waits, each socket in turn, as long as there is room.
    fn accept(&mut self, cx: Context<'_>) {
        if self.paused_until.is_some_and(|until| until <= cx.now) {
            self.paused_until = None;
        }
        let was_full = std::mem::take(&mut self.full);
        for _ in 0..self.waiting.len() {
            if self.full || self.paused_until.is_some() {
                break;
            }
            let Some(number) = self.waiting.pop_front() else { break };
            if !self.accept_from(cx, number) {
                self.waiting.push_back(number);
            }
        }
        if self.full && !was_full {
            cx.counters.tcp.pauses.add(1);
        }
    }

    /// Accepts from one socket; true when nothing waits there any more.
    fn accept_from(&mut self, cx: Context<'_>, number: u32) -> bool {
        let Some(socket) = self.listening.get(number as usize) else { return true };
        let tcp = &cx.counters.tcp;
        for _ in 0..ACCEPTS {
            if self.tcp.is_full() {
                self.full = true;
                return false;
            }
            let accepted = match self.tcp.has_spare() {
                true => acceptfrom_with(&socket.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC),
                false => Err(Errno::MFILE),
            };
            match accepted {
                Ok((client, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    self.tcp.accept(cx, socket.endpoint, client, peer);
                }
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    tcp.pauses.add(1);
                    self.paused_until = Some(cx.now + PAUSE);
                    return false;
                }
                // It went away while it waited, or a firewall keeps it out: the next one may be well (accept(2)).
                Err(_) => tcp.accept_errors.add(1),
            }
        }
        false
    }

    /// No new clients from now on.
    fn begin_to_end(&mut self, cx: Context<'_>) {
        self.deadline = Some(cx.now + self.shared.plan.get().timeouts.drain);
        self.waiting.clear();
        self.paused_until = None;
        // Closed, so that who comes now is refused and does not wait in vain.
        self.listening.clear();
    }
}
