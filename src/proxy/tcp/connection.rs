//! A client's connection and the one to its server.

use super::super::counters::TcpCounters;
use super::super::label::Label;
use super::super::limits::Admission;
use super::super::plan::{Service, Way};
use super::super::token::Token;
use super::super::upstream::{Held, Server};
use super::super::wheel::Tick;
use super::flow::{Fault, Flow, Stop, Telling, Tools};
use super::side::Side;
use mio::Registry;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// One of the two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Towards whoever connected.
    Client,
    /// Towards whom we connected to.
    Server,
}

/// By what a connection finds its server, and what is left of that once it has one.
#[derive(Debug)]
enum Course {
    /// What is done for it, with the servers there may be for it.
    Open(Arc<Service>),
    /// Its server has accepted.
    Settled(Arc<Label>),
}

#[derive(Debug)]
pub(super) struct Connection {
    course: Course,
    /// The port it came to; 0 of a path.
    pub(super) port: u16,
    /// Its route, once one was chosen.
    pub(super) way: Option<usize>,
    /// A PROXY header has to come first.
    pub(super) wants_header: bool,
    /// Bytes that have to be there before it is worth asking for its route again.
    pub(super) needs: usize,
    /// Client and destination as a PROXY header named them.
    pub(super) proxied: Option<Box<(SocketAddr, SocketAddr)>>,
    /// What is sent to the server before anything of the client's.
    pub(super) preface: Option<Box<[u8]>>,
    /// Its right to be there.
    pub(super) admission: Option<Admission>,
    pub(super) began: Instant,
    /// When its server was asked, and how many microseconds later that had accepted.
    pub(super) asked: Instant,
    pub(super) connected_after: Option<u32>,
    /// Who connected; `None` through a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    pub(super) client: Side,
    pub(super) server: Option<Side>,
    /// The server has accepted.
    pub(super) open: bool,
    /// Its place at the server.
    pub(super) held: Option<Held>,
    /// Servers that failed before.
    pub(super) tried: Vec<Arc<Server>>,
    pub(super) up: Flow,
    pub(super) down: Flow,
    /// When it was last heard of; while connecting, when that began.
    pub(super) last: Tick,
    /// It stands in the list of those with more to do.
    pub(super) queued: bool,
    /// `TCP_NODELAY` is set towards the server, or is not wanted.
    pub(super) no_delay: bool,
    /// What was counted so far: bytes up, down, spliced.
    counted: [u64; 3],
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) end: End,
    pub(super) error: Errno,
}

impl Connection {
    pub(super) fn new(
        service: Arc<Service>,
        port: u16,
        peer: Option<SocketAddr>,
        client: Side,
        last: Tick,
        began: Instant,
    ) -> Self {
        let trusted =
            |peer: SocketAddr| service.accept_proxy.iter().any(|network| network.contains(peer.ip()));
        Self {
            wants_header: peer.is_some_and(trusted),
            course: Course::Open(service),
            port,
            needs: 0,
            way: None,
            proxied: None,
            preface: None,
            admission: None,
            began,
            asked: began,
            connected_after: None,
            peer,
            client,
            server: None,
            open: false,
            held: None,
            tried: Vec::new(),
            up: Flow::default(),
            down: Flow::default(),
            last,
            queued: false,
            no_delay: false,
            counted: [0; 3],
        }
    }

    /// What is done for it, as long as it has no server.
    pub(super) fn service(&self) -> Option<&Arc<Service>> {
        match &self.course {
            Course::Open(service) => Some(service),
            Course::Settled(_) => None,
        }
    }

    /// Where it goes, by names.
    pub(super) fn label(&self) -> &Arc<Label> {
        match &self.course {
            Course::Open(service) => {
                let way = self.way.and_then(|way| service.ways.get(way));
                way.map_or(&service.label, |way: &Way| &way.label)
            }
            Course::Settled(label) => label,
        }
    }

    /// Who the client is, as far as that is known.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        self.proxied.as_ref().map(|ends| ends.0).or(self.peer)
    }

    /// Sends what comes before the client's bytes; false while the server does not take all of it.
    fn send_preface(&mut self) -> Result<bool, Broken> {
        let (Some(preface), Some(server)) = (&mut self.preface, &mut self.server) else { return Ok(true) };
        while server.writable {
            match send(&server.socket, preface, SendFlags::NOSIGNAL) {
                Ok(sent) if sent == preface.len() => {
                    self.preface = None;
                    // A socket that takes bytes is connected: no need to be told.
                    self.open = true;
                    return Ok(true);
                }
                Ok(sent) => {
                    *preface = preface[sent..].into();
                    self.open = true;
                }
                Err(Errno::AGAIN) => server.writable = false,
                Err(Errno::INTR) => {}
                Err(error) => return Err(Broken { end: End::Server, error }),
            }
        }
        Ok(false)
    }

    /// It has a server whose queue is full, and which is asked again.
    pub(super) fn queues(&self) -> bool {
        self.held.is_some() && self.server.is_none()
    }

    /// The server has accepted: no other one will be looked for.
    pub(super) fn connected(&mut self, now: Instant) {
        let after = now.saturating_duration_since(self.asked).as_micros();
        self.connected_after.get_or_insert(u32::try_from(after).unwrap_or(u32::MAX));
        self.course = Course::Settled(Arc::clone(self.label()));
    }

    /// The server does well: it has answered, or has ended well. That it accepts is not enough, which one does that dies at once.
    pub(super) fn succeeded(&self) {
        if let Some(held) = &self.held {
            held.succeeded();
        }
    }

    /// The server's connection failed: so did the server, unless it had said something.
    pub(super) fn server_broke(&self, now: Instant) {
        if let Some(held) = &self.held
            && self.down.bytes == 0
            && !self.down.holds()
        {
            held.failed(now);
        }
    }

    /// Notes what the kernel said of a socket.
    pub(super) fn note(&mut self, end: End, event: &mio::event::Event) {
        let side = match end {
            End::Client => Some(&mut self.client),
            End::Server => self.server.as_mut(),
        };
        if let Some(side) = side {
            side.note(event);
        }
    }

    /// Has the kernel say when a socket that refused bytes takes them again, where it was not asked before.
    pub(super) fn watch_writes(&mut self, registry: &Registry, number: u32) -> Result<(), Errno> {
        for (side, token) in
            [(Some(&mut self.client), Token::Client(number)), (self.server.as_mut(), Token::Server(number))]
        {
            if let Some(side) = side
                && !side.writable
                && !side.watched
            {
                side.watch_writes(registry, token)?;
            }
        }
        Ok(())
    }

    /// Reads what came to one end, to be sent on by the next [`pump`](Self::pump). False where that had better do both.
    pub(super) fn gather(&mut self, end: End, tools: &mut Tools) -> Result<bool, Broken> {
        // What a client says while its server is being connected to is small at first, too. The server itself has not spoken then.
        let may = self.preface.is_none() && (self.open || end == End::Client);
        let Some(server) = self.server.as_mut().filter(|_| may) else { return Ok(false) };
        let (flow, from, to) = match end {
            End::Client => (&mut self.up, &mut self.client, server),
            End::Server => (&mut self.down, server, &mut self.client),
        };
        match to.writable && from.readable {
            true => flow.gather(from, tools).map_err(|error| Broken { end, error }),
            false => Ok(false),
        }
    }

    /// Moves bytes both ways.
    pub(super) fn pump(&mut self, tools: &mut Tools) -> Result<Stop, Broken> {
        if self.preface.is_some() && !self.send_preface()? {
            return Ok(Stop::Waits);
        }
        let Some(server) = &mut self.server else { return Ok(Stop::Waits) };
        let telling = |other: &Flow| if other.told { Telling::ByClosing } else { Telling::Now };
        if !self.open {
            let stop = self.up.pump(&mut self.client, server, tools, Telling::Later);
            // A socket that takes bytes is connected: no need to be told. One that fails behind its first bytes, too: no other
            // server may get the rest.
            self.open = self.up.bytes > 0;
            let stop = stop.map_err(Broken::up)?;
            if !self.open {
                return Ok(stop);
            }
        }
        let up = self.up.pump(&mut self.client, server, tools, telling(&self.down));
        if let Err(Fault::Sink(_)) = up {
            // The server takes no more. What it said before that is still the client's.
            let _ = self.down.pump(server, &mut self.client, tools, Telling::Now);
        }
        let up = up.map_err(Broken::up)?;
        let down = self.down.pump(server, &mut self.client, tools, telling(&self.up));
        if let Err(Fault::Sink(_)) = down {
            let _ = self.up.pump(&mut self.client, server, tools, Telling::Now);
        }
        let down = down.map_err(Broken::down)?;
        Ok(if up == Stop::Turn || down == Stop::Turn { Stop::Turn } else { Stop::Waits })
    }

    /// Counts the bytes moved since it was last asked.
    pub(super) fn count(&mut self, counters: &TcpCounters) {
        let moved = [self.up.bytes, self.down.bytes, self.up.spliced + self.down.spliced];
        if self.counted[1] == 0 && moved[1] > 0 {
            self.succeeded();
        }
        let counters = [&counters.bytes_up, &counters.bytes_down, &counters.bytes_spliced];
        for ((counter, now), before) in counters.into_iter().zip(moved).zip(self.counted) {
            if now > before {
                counter.add(now - before);
            }
        }
        self.counted = moved;
    }

    /// Both ends have said all, and were told.
    pub(super) fn is_complete(&self) -> bool {
        self.up.told && self.down.told
    }
}

impl Broken {
    fn up(fault: Fault) -> Self {
        match fault {
            Fault::Source(error) => Self { end: End::Client, error },
            Fault::Sink(error) => Self { end: End::Server, error },
        }
    }

    fn down(fault: Fault) -> Self {
        match fault {
            Fault::Source(error) => Self { end: End::Server, error },
            Fault::Sink(error) => Self { end: End::Client, error },
        }
    }
}
