//! One worker: an event loop with its own sockets, connections and sessions.

mod accepting;

use super::config::Transport;
use super::control::Listen;
use super::handover::{self, Adopted, Adoption};
use super::listen::Listening;
use super::notice::Notice;
use super::plan::Plan;
use super::shared::Shared;
use super::slab::Slab;
use super::tcp::{Context, End, Tcp};
use super::token::Token;
use super::udp::Udp;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Events taken from the kernel at a time.
const EVENTS: usize = 512;

/// Until it is looked again whether the sessions at places that nobody asks for any more are over.
const LOOK: Duration = Duration::from_secs(1);
/// For those who are connected by their own account but not by the kernel's yet, before a listening socket is closed.
const GRACE: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    shared: Arc<Shared>,
    notice: Listen,
    index: usize,
    poll: Poll,
    /// Sockets that take connections, and those that take datagrams.
    listening: Slab<Listening>,
    datagrams: Slab<Listening>,
    /// What they were made by.
    wanted: Arc<Vec<Vec<Listening>>>,
    /// Some that take datagrams are there for former sessions only; when it is looked next whether those are over.
    look: Option<Instant>,
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
    pub(super) fn new(shared: Arc<Shared>, notice: Listen, index: usize, poll: Poll) -> io::Result<Self> {
        let now = Instant::now();
        let mut seen = 0;
        let plan = shared.plan.newer(&mut seen).unwrap_or_else(|| shared.plan.get());
        let mut worker = Self {
            tcp: Tcp::new(Arc::clone(&shared), index, Arc::clone(&plan), now),
            udp: Udp::new(Arc::clone(&shared), index, Arc::clone(&plan), now),
            shared,
            notice,
            index,
            poll,
            listening: Slab::new(),
            datagrams: Slab::new(),
            wanted: Arc::default(),
            look: None,
            waiting: VecDeque::new(),
            paused_until: None,
            full: false,
            deadline: None,
            plan: seen,
        };
        match worker.listen(&plan).pop() {
            None => Ok(worker),
            Some((_, error)) => Err(error),
        }
    }

    /// Goes on with sessions of another process, some of them at places where nobody else is to listen.
    pub(super) fn adopt(&mut self, Adoption { retired, sessions }: Adoption) -> io::Result<()> {
        let registry = self.poll.registry().try_clone()?;
        let cx =
            Context { registry: &registry, counters: &self.shared.counters[self.index], now: Instant::now() };
        let slots = self.datagrams.numbers().filter_map(|number| Some((number, self.datagrams.get(number)?)));
        let mut slots: HashMap<_, _> =
            slots.map(|(number, listening)| (listening.socket.as_raw_fd(), number)).collect();
        for listening in retired {
            let descriptor = listening.socket.as_raw_fd();
            let number = self.datagrams.insert(listening);
            let token = Token::Datagrams(number).into();
            registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
            slots.insert(descriptor, number);
            self.look = Some(cx.now + LOOK);
        }
        for Adopted { listening, session, socket } in sessions {
            if let Some(&number) = slots.get(&listening.socket.as_raw_fd()) {
                self.udp.adopt(cx, number, &listening, session, socket);
            }
        }
        Ok(())
    }

    /// Begins to listen where the plan has it and this worker does not yet. Tells where that cannot be.
    fn listen(&mut self, plan: &Plan) -> Vec<(String, io::Error)> {
        let mut failed = Vec::new();
        let Self { listening, datagrams, poll, .. } = self;
        let known: HashSet<_> = [&*listening, &*datagrams]
            .into_iter()
            .flat_map(|slab| slab.numbers().filter_map(|number| slab.get(number)))
            .map(|listening| listening.socket.as_raw_fd())
            .collect();
        for socket in &plan.listening[self.index] {
            let descriptor = socket.socket.as_raw_fd();
            if known.contains(&descriptor) {
                continue;
            }
            let token = match socket.endpoint.transport {
                Transport::Tcp => Token::Listening(listening.insert(socket.clone())),
                Transport::Udp => Token::Datagrams(datagrams.insert(socket.clone())),
            };
            if let Err(error) =
                poll.registry().register(&mut SourceFd(&descriptor), token.into(), Interest::READABLE)
            {
                match token {
                    Token::Listening(number) => drop(listening.remove(number)),
                    Token::Datagrams(number) => drop(datagrams.remove(number)),
                    Token::Waker | Token::Client(_) | Token::Server(_) | Token::Session(_) => {}
                }
                failed.push((socket.endpoint.place.to_string(), error));
            }
        }
        self.wanted = Arc::clone(&plan.listening);
        failed
    }

    /// Goes by another plan from now on. Where nobody is to listen any more, those who are on their way are still taken on, as it
    /// was; where there are sessions, those go on.
    fn follow(&mut self, cx: Context<'_>, plan: Arc<Plan>) {
        let changed = !Arc::ptr_eq(&self.wanted, &plan.listening);
        if changed {
            let wanted: HashMap<_, _> = plan.listening[self.index]
                .iter()
                .map(|listening| (listening.socket.as_raw_fd(), &listening.endpoint))
                .collect();
            let numbers: Vec<_> = self.listening.numbers().collect();
            for number in numbers {
                let Some(listening) = self.listening.get_mut(number) else { continue };
                match wanted.get(&listening.socket.as_raw_fd()) {
                    Some(&endpoint) => {
                        let (endpoint, socket) = (Arc::clone(endpoint), Arc::clone(&listening.socket));
                        *listening = Listening { endpoint, socket, retired: None, service: None };
                    }
                    // Another process has the socket too, and who waits there is not lost.
                    None if plan
                        .handover
                        .as_ref()
                        .is_some_and(|to| !to.unwanted.contains(&listening.endpoint.asked)) =>
                    {
                        self.leave(cx, Token::Listening(number));
                    }
                    None if listening.retired.is_none() => {
                        let service = self.tcp.service(&listening.endpoint);
                        (listening.retired, listening.service) = (Some(cx.now), Some(service));
                        // Who comes while another process takes this one's place is served until that one is at work.
                        if plan.handover.is_none() {
                            self.look = Some(cx.now + GRACE);
                        }
                    }
                    None => {}
                }
            }
            let numbers: Vec<_> = self.datagrams.numbers().collect();
            for number in numbers {
                let Some(listening) = self.datagrams.get_mut(number) else { continue };
                match wanted.get(&listening.socket.as_raw_fd()) {
                    None if plan.handover.is_some() => {}
                    Some(&endpoint) => {
                        (listening.endpoint, listening.retired) = (Arc::clone(endpoint), None);
                    }
                    None => {
                        listening.retired = Some(cx.now);
                        self.look = Some(cx.now + GRACE);
                    }
                }
            }
        }
        if let Some(handover::Receiver { sessions, .. }) = &plan.handover {
            // Where nobody waits for them any more they are over.
            let _ = sessions.send(self.udp.give(cx, &self.datagrams));
            let numbers: Vec<_> = self.datagrams.numbers().collect();
            numbers.into_iter().for_each(|number| self.leave(cx, Token::Datagrams(number)));
        }
        self.tcp.set_plan(Arc::clone(&plan));
        self.udp.set_plan(Arc::clone(&plan));
        if changed {
            for (place, error) in self.listen(&plan) {
                (self.notice)(Notice::ListenerFailed { place, problem: error.to_string() });
            }
        }
    }

    /// Closes what nobody asks for any more: what takes connections when those are in that were on their way; what takes
    /// datagrams once no worker has a session there, since as long as one has, the kernel is to go on sharing clients
    /// out as before.
    fn look_after_retired(&mut self, cx: Context<'_>) {
        self.look = None;
        let handing = self.shared.plan.get().handover.is_some();
        let numbers: Vec<_> = self.listening.numbers().collect();
        for number in numbers {
            match self.listening.get(number).and_then(|socket| socket.retired) {
                // Another process may not come to work after all.
                Some(_) if handing => self.look = Some(cx.now + LOOK),
                Some(since) if since + GRACE <= cx.now => {
                    self.accept_the_last(cx, number);
                    self.leave(cx, Token::Listening(number));
                }
                Some(since) => self.look = Some(since + GRACE),
                None => {}
            }
        }
        let numbers: Vec<_> = self.datagrams.numbers().collect();
        for number in numbers {
            match self.datagrams.get(number) {
                Some(socket) if socket.retired.is_some() && socket.endpoint.sessions.is_empty() => {
                    self.leave(cx, Token::Datagrams(number));
                }
                Some(socket) if socket.retired.is_some() => {
                    self.look = Some(self.look.unwrap_or(cx.now + LOOK));
                }
                _ => {}
            }
        }
    }

    /// Gives up a socket, which others may have yet.
    fn leave(&mut self, cx: Context<'_>, token: Token) {
        let socket = match token {
            Token::Listening(number) => {
                self.waiting.retain(|&waiting| waiting != number);
                self.listening.remove(number)
            }
            Token::Datagrams(number) => self.datagrams.remove(number),
            Token::Waker | Token::Client(_) | Token::Server(_) | Token::Session(_) => None,
        };
        if let Some(socket) = socket {
            // It was registered: that cannot fail.
            let _ = cx.registry.deregister(&mut SourceFd(&socket.socket.as_raw_fd()));
        }
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
            now = Instant::now();
            let cx = Context { registry: &registry, counters, now };
            if let Some(plan) = shared.plan.newer(&mut self.plan) {
                self.follow(cx, plan);
                shared.followed[self.index].store(self.plan, Ordering::Release);
            }
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
            self.tcp.send_gathered(cx);
            self.tcp.turn(cx);
            self.udp.flush_answers(cx, &self.datagrams);
            self.udp.turn(cx, &self.datagrams);
            self.tcp.expire(cx);
            self.udp.expire(cx);
            if self.look.is_some_and(|at| at <= cx.now) {
                self.look_after_retired(cx);
            }
            if self.deadline.is_none() && shared.stop.load(Ordering::Relaxed) {
                self.begin_to_end(cx);
            }
            match self.deadline {
                None => self.accept(cx),
                Some(deadline) if self.ends_at(deadline, cx.now) <= cx.now => {
                    self.tcp.cut(cx);
                    self.udp.cut(cx);
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }

    /// When it ends, once it is to: with its last connection, and the last datagrams of sessions; at the deadline, whoever is
    /// there.
    fn ends_at(&self, deadline: Instant, now: Instant) -> Instant {
        if self.tcp.is_empty() { self.udp.quiet_at(now).min(deadline) } else { deadline }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let accepting = !self.waiting.is_empty() && !self.full && self.paused_until.is_none();
        if self.tcp.has_more() || self.udp.has_more() || accepting {
            return Some(Duration::ZERO);
        }
        let until = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(now));
        let end = self.deadline.map(|deadline| self.ends_at(deadline, now));
        let times = [self.paused_until, end, self.look].map(until);
        let waits = [self.tcp.wait(now), self.udp.wait(now)].into_iter().chain(times);
        waits.flatten().min()
    }
}

#[cfg(test)]
mod tests;
