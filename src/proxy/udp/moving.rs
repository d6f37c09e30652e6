//! Sessions that go on in another process.

use super::super::handover::{Given, SessionNote};
use super::super::limits::Admission;
use super::super::listen::{Listening, Present};
use super::super::plan::Way;
use super::super::slab::Slab;
use super::super::token::Token;
use super::super::upstream::{Address, Server};
use super::super::wheel::Wheel;
use super::session::{Key, Session, came_to};
use super::{Context, Udp, inbox_for};
use mio::Interest;
use mio::unix::SourceFd;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

impl Udp {
    /// Goes on with another process's session.
    pub(in super::super) fn adopt(
        &mut self,
        cx: Context<'_>,
        listening: u32,
        at: &Listening,
        note: SessionNote,
        socket: OwnedFd,
    ) {
        if self.most == 0 && self.sessions.len() == 0 {
            self.inbox = inbox_for(1);
        }
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
        let held = server.hold();
        let service = &self.plan.services[at.endpoint.listener];
        let leads_there =
            |way: &&Way| way.label.route.as_ref().is_some_and(|(_, upstream)| **upstream == *note.upstream);
        let label = service.ways.iter().find(leads_there).map_or(&service.label, |way| &way.label);
        let key = Key { listening, client: note.client, asked: note.at };
        let descriptor = socket.as_raw_fd();
        let last = self.wheel.tick(cx.now);
        let number = self.sessions.insert(Session {
            key,
            socket,
            held,
            _admission: Admission::uncounted(),
            _present: Present::at(&at.endpoint),
            at: came_to(key, at.endpoint.address()),
            label: Arc::clone(label),
            header: note.header,
            began: cx.now.checked_sub(note.age).unwrap_or(cx.now),
            bytes: note.bytes,
            last,
            together: [true; 2],
            queued: false,
            answered: note.bytes[1] > 0,
        });
        let token = Token::Session(number).into();
        if cx.registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE).is_err() {
            self.sessions.remove(number);
            return;
        }
        cx.counters.udp.opened.add(1);
        self.by_key.insert(key, number);
        self.touch(number);
        self.wheel.arm(number, last + Wheel::ticks(self.plan.timeouts.udp_idle));
    }

    /// Gives all sessions away.
    pub(in super::super) fn give(&mut self, cx: Context<'_>, listening: &Slab<Listening>) -> Vec<Given> {
        self.drop_beginnings(cx);
        let numbers: Vec<_> = self.sessions.numbers().collect();
        let mut given = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(session) = self.sessions.remove(number) else { continue };
            self.by_key.remove(&session.key);
            self.recency.remove(number);
            self.unanswered.remove(number);
            self.wheel.disarm(number);
            let Some(near) = listening.get(session.key.listening) else { continue };
            let server = session.held.server();
            let Some(address) = server.address().socket_address(near.endpoint.port) else { continue };
            // It was registered: that cannot fail.
            let _ = cx.registry.deregister(&mut SourceFd(&session.socket.as_raw_fd()));
            cx.counters.udp.handed_over.add(1);
            given.push(Given {
                listening: Arc::clone(&near.socket),
                client: session.key.client,
                at: session.key.asked,
                upstream: session
                    .label
                    .route
                    .as_ref()
                    .map_or_else(|| Arc::from(""), |(_, upstream)| Arc::clone(upstream)),
                server: server.name().to_owned(),
                address,
                header: session.header,
                began: session.began,
                bytes: session.bytes,
                socket: session.socket,
            });
        }
        given
    }
}
