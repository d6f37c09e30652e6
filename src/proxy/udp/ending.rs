//! How sessions end.

use super::super::access_log::Record;
use super::super::config::Transport;
use super::super::counters::{Counter, Named};
use super::super::wheel::Wheel;
use super::session::Session;
use super::{Context, Udp};
use std::sync::Arc;
use std::time::SystemTime;

impl Udp {
    /// ICMP says that nobody is there: the client's next datagram may find another server.
    pub(super) fn refused(&mut self, cx: Context<'_>, number: u32) {
        let udp = &cx.counters.udp;
        udp.unreachable.add(1);
        if let Some(session) = self.sessions.get(number) {
            session.held.failed(cx.now);
        }
        self.end(cx, number, &udp.refused);
    }

    /// Ends what was silent for too long.
    pub(in super::super) fn expire(&mut self, cx: Context<'_>) {
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
    pub(in super::super) fn cut(&mut self, cx: Context<'_>) {
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
        log.record(Record {
            transport: Transport::Udp,
            began: SystemTime::now() - lasted,
            lasted,
            connected_after: None,
            peer: Some(session.key.client),
            client: None,
            local: Some(session.at),
            port: session.at.port(),
            label: Arc::clone(&session.label),
            server: Some(Arc::clone(session.held.server())),
            tried: 0,
            bytes: session.bytes,
            reason: cx.counters.udp.name(counter),
            tcp: [None, None],
        });
    }

    pub(super) fn end(&mut self, cx: Context<'_>, number: u32, counter: &Counter) {
        let Some(session) = self.sessions.remove(number) else { return };
        counter.add(1);
        session.label.count(Transport::Udp, session.bytes);
        self.log(cx, &session, counter);
        self.by_key.remove(&session.key);
        self.recency.remove(number);
        self.unanswered.remove(number);
        self.wheel.disarm(number);
    }
}
