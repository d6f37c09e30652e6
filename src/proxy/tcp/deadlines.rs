//! When connections are looked at again though nothing happens, and what comes of it.

use super::super::plan::Plan;
use super::super::wheel::{Tick, Wheel};
use super::connection::Connection;
use super::ending::Reset;
use super::{Context, Patience, Tcp};
use rustix::io::Errno;

/// What comes up with the next tick: the wheel takes no tick before that.
pub(super) const NEXT: Tick = 0;

impl Tcp {
    /// Sets when a connection is looked at again though nothing happens.
    pub(super) fn set_deadline(&mut self, number: u32) {
        if let Some(deadline) = self.connections.get_mut(number).and_then(|connection| {
            if connection.queues() {
                return Some(NEXT);
            }
            let now = patience(&self.plan, connection);
            // Once it is open another patience counts, which may be the shorter one.
            let (now, then) = (now?, idle_patience(&self.plan));
            Some(connection.last + then.map_or(now, |then| now.min(then)))
        }) {
            self.wheel.arm(number, deadline);
        }
    }

    /// Ends what was silent for too long, and gives up servers that do not answer.
    pub(in super::super) fn expire(&mut self, cx: Context<'_>) {
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
            } else if connection.queues() {
                self.connect(cx, number, None);
            }
            self.set_deadline(number);
        }
        due.clear();
        self.due = due;
    }
}

/// How many ticks a connection may be silent; `None`: for ever.
fn patience(plan: &Plan, connection: &Connection) -> Option<Tick> {
    match connection.open {
        false if connection.way.is_none() => {
            connection.service().map(|service| Wheel::ticks(service.detect_timeout))
        }
        false => Some(Wheel::ticks(plan.timeouts.connect)),
        true => idle_patience(plan),
    }
}

/// How many ticks an open one may be.
fn idle_patience(plan: &Plan) -> Option<Tick> {
    let idle = plan.timeouts.tcp_idle;
    (!idle.is_zero()).then(|| Wheel::ticks(idle))
}
