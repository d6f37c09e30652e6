//! Clients whose route depends on what they say: QUIC's hello may take several datagrams, which are kept meanwhile.

use super::session::{Begun, Key};
use super::transmit::transmit_behind;
use super::{Context, Udp};
use crate::parse::quic::HelloCollector;
use crate::proxy::detect::{self, Choice, Heard, Patience};
use crate::proxy::limits::Admission;
use crate::proxy::listen::Present;
use crate::proxy::plan::Service;
use crate::sys::datagrams::Received;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
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
    /// Where it came in.
    pub(super) at: SocketAddr,
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
        at: SocketAddr,
        now: Instant,
    ) -> Self {
        Self {
            until: now + service.detect_timeout,
            service,
            admission,
            present,
            at,
            kept: Vec::new(),
            collector: HelloCollector::default(),
            is_other: false,
        }
    }

    /// Takes its next datagrams, which come as one message, and says where it goes as far as that is known by now.
    pub(super) fn hear(&mut self, client: IpAddr, message: &Received<'_>) -> Choice {
        let mut choice = Choice::None;
        for datagram in message.each() {
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
            Choice::Needs(_) if kept + message.bytes.len() > MOST_KEPT => self.give_up(client),
            choice => choice,
        }
    }

    /// Keeps datagrams until there is a route.
    pub(super) fn keep(&mut self, message: &Received<'_>) {
        self.kept.extend(message.each().map(Box::from));
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
        let choice = beginning.hear(key.client.ip(), &message);
        if let Choice::Needs(_) = choice {
            beginning.keep(&message);
            if let Some((key, gone)) = self.beginnings.put(key, beginning) {
                self.give_up(cx, key, gone);
            }
            return Begun::Waits;
        }
        let kept = std::mem::take(&mut beginning.kept);
        let Beginning { service, admission, present, at, .. } = beginning;
        let session = self.open_session(cx, key, at, service, choice, admission, present);
        self.send_kept(cx, session, &kept);
        session.map_or(Begun::Not, Begun::Session)
    }

    /// One that says no more goes where those go who say nothing.
    pub(super) fn give_up(&mut self, cx: Context<'_>, key: Key, beginning: Beginning) {
        let choice = beginning.give_up(key.client.ip());
        let Beginning { service, admission, present, at, kept, .. } = beginning;
        let session = self.open_session(cx, key, at, service, choice, admission, present);
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
            let header = session.header.as_deref().unwrap_or_default();
            // What ICMP says the next datagram tells again.
            let (bytes, _) = transmit_behind(&session.socket, header, datagram, udp);
            session.bytes[0] += bytes;
        }
    }

    /// Forgets those who have no route, and what they said.
    pub(super) fn drop_beginnings(&mut self, cx: Context<'_>) {
        for (_, beginning) in self.beginnings.drain() {
            cx.counters.udp.no_session.add(beginning.kept.len() as u64);
        }
    }
}
