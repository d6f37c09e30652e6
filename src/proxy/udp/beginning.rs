//! Clients whose route depends on what they say: QUIC's hello may take several datagrams, which are kept meanwhile.

use super::session::{Begun, Key};
use super::{Context, Udp};
use crate::parse::quic::HelloCollector;
use crate::proxy::detect::{self, Choice, Heard, Patience};
use crate::proxy::limits::Admission;
use crate::proxy::listen::Present;
use crate::proxy::plan::Service;
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most clients of a worker that have not said enough; a further one takes the place of the oldest.
const MOST: usize = 256;
/// Most bytes kept of one: beyond, it has said enough.
const MOST_KEPT: usize = 16 << 10;

/// A client that has no route yet.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) service: Arc<Service>,
    pub(super) admission: Admission,
    pub(super) present: Present,
    /// The port it came to.
    pub(super) port: u16,
    pub(super) kept: Vec<Box<[u8]>>,
    collector: HelloCollector,
    /// Nothing more will tell.
    is_other: bool,
    until: Instant,
}

/// Those of a worker.
#[derive(Debug, Default)]
pub(super) struct Beginnings(HashMap<Key, Beginning>);

impl Beginning {
    pub(super) fn new(
        service: Arc<Service>,
        admission: Admission,
        present: Present,
        port: u16,
        now: Instant,
    ) -> Self {
        Self {
            until: now + service.detect_timeout,
            service,
            admission,
            present,
            port,
            kept: Vec::new(),
            collector: HelloCollector::default(),
            is_other: false,
        }
    }

    /// Takes its next datagrams, which come as one message, and says where it goes as far as that is known by now.
    pub(super) fn hear(&mut self, client: IpAddr, message: &[u8], segment: Option<u16>) -> Choice {
        let mut choice = Choice::None;
        let size = segment.map_or(message.len(), usize::from).max(1);
        // An empty one is a datagram too.
        let (first, others) = message.split_at(message.len().min(size));
        for datagram in std::iter::once(first).chain(others.chunks(size)) {
            let heard = match self.is_other {
                true => Heard::Other,
                false => match self.collector.push(datagram) {
                    Ok(Some(hello)) => Heard::Hello(hello),
                    Ok(None) => Heard::Some,
                    Err(_) => Heard::Other,
                },
            };
            let is_other = matches!(heard, Heard::Other);
            choice = choose(&self.service, client, &heard, Patience::Left);
            self.is_other |= is_other;
            if matches!(choice, Choice::Route(_)) {
                return choice;
            }
        }
        let kept: usize = self.kept.iter().map(|datagram| datagram.len()).sum();
        match choice {
            Choice::Needs(_) if kept + message.len() > MOST_KEPT => self.give_up(client),
            choice => choice,
        }
    }

    /// Keeps datagrams until there is a route.
    pub(super) fn keep(&mut self, message: &[u8], segment: Option<u16>) {
        let size = segment.map_or(message.len(), usize::from).max(1);
        let (first, others) = message.split_at(message.len().min(size));
        self.kept.extend(std::iter::once(first).chain(others.chunks(size)).map(Box::from));
    }

    /// Where it goes when it says no more.
    pub(super) fn give_up(&self, client: IpAddr) -> Choice {
        let heard = if self.is_other { Heard::Other } else { Heard::Some };
        choose(&self.service, client, &heard, Patience::Over)
    }
}

fn choose(service: &Service, client: IpAddr, heard: &Heard<'_>, patience: Patience) -> Choice {
    let conditions = service.ways.iter().map(|way| &way.condition);
    detect::choose_for_datagrams(conditions, Some(client), heard, patience)
}

impl Beginnings {
    pub(super) fn take(&mut self, key: &Key) -> Option<Beginning> {
        // Mostly there is none.
        if self.0.is_empty() { None } else { self.0.remove(key) }
    }

    /// Puts one back, or in; gives the one whose place it took.
    pub(super) fn put(&mut self, key: Key, beginning: Beginning) -> Option<(Key, Beginning)> {
        let oldest = match self.0.len() < MOST {
            true => None,
            false => self.0.iter().min_by_key(|(_, beginning)| beginning.until).map(|(key, _)| *key),
        };
        let gone = oldest.and_then(|oldest| Some((oldest, self.0.remove(&oldest)?)));
        self.0.insert(key, beginning);
        gone
    }

    /// Those whose time is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Key, Beginning)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        self.0.extract_if(|_, beginning| beginning.until <= now).collect()
    }

    /// All of them.
    pub(super) fn drain(&mut self) -> Vec<(Key, Beginning)> {
        self.0.drain().collect()
    }

    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let until = self.0.values().map(|beginning| beginning.until).min();
        until.map(|until| until.saturating_duration_since(now))
    }
}

impl Udp {
    /// A client without a route has said more.
    pub(super) fn hear(
        &mut self,
        cx: Context<'_>,
        key: Key,
        mut beginning: Beginning,
        index: usize,
    ) -> Begun {
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
    pub(super) fn give_up(&mut self, cx: Context<'_>, key: Key, beginning: Beginning) {
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

    /// Forgets those who have no route, and what they said.
    pub(super) fn drop_beginnings(&mut self, cx: Context<'_>) {
        for (_, beginning) in self.beginnings.drain() {
            cx.counters.udp.no_session.add(beginning.kept.len() as u64);
        }
    }
}
