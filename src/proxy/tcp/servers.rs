//! Which server a connection goes to, and which next where that one will not do.

use super::super::token::Token;
use super::super::upstream::{Address, Held, Server};
use super::connection::{Broken, End};
use super::ending::{Reset, is_ours, no_way, of_error};
use super::flow::Stop;
use super::side::Side;
use super::{Context, Tcp, connect, deadlines, opening, turn_of};
use rustix::io::Errno;
use std::sync::Arc;

impl Tcp {
    /// Tries servers until one is being connected to; `why` says what the last one failed of. False when there is none
    /// left, and the connection is over. One whose queue is full is asked again, and waited for where there is no other.
    pub(super) fn connect(&mut self, cx: Context<'_>, number: u32, mut why: Option<Errno>) -> bool {
        let counters = &cx.counters;
        // The last one whose queue is full.
        let mut full: Option<Held> = None;
        // Those that were not tried in earnest: full, or with no way to them from here. They may be asked again.
        let mut passed: Vec<Arc<Server>> = Vec::new();
        loop {
            let Some(connection) = self.connections.get_mut(number) else { return false };
            let Some(service) = connection.service().map(Arc::clone) else { return false };
            let Some(way) = connection.way.and_then(|way| service.ways.get(way)) else { return false };
            let client = connection.source().map(|client| client.ip());
            let queued = connection.held.take();
            let is_new = queued.is_none();
            let held = match connection.tried.len() - passed.len() < self.plan.attempts {
                _ if queued.is_some() => queued,
                true => way.upstream.pick(
                    turn_of(&mut self.turns, way.index, self.worker),
                    client,
                    &connection.tried,
                    cx.now,
                ),
                false => None,
            };
            let Some(held) = held else {
                if let Some(held) = full {
                    connection.tried.retain(|server| !Arc::ptr_eq(server, held.server()));
                    connection.held = Some(held);
                    self.wheel.arm(number, deadlines::NEXT);
                    return true;
                }
                let ended = &counters.ended;
                let counter = match why {
                    None => &ended.no_server,
                    Some(Errno::TIMEDOUT) => &ended.connect_timeout,
                    Some(Errno::ADDRNOTAVAIL) => &ended.no_port,
                    Some(Errno::MFILE | Errno::NFILE) => &ended.no_descriptor,
                    // It had taken the connection, and dropped it before that was noticed here.
                    Some(Errno::CONNRESET | Errno::PIPE) => &ended.server_reset,
                    Some(_) => &ended.refused,
                };
                self.end(cx, number, counter, Reset::Client);
                return false;
            };
            if is_new {
                counters.tcp.retries.add(u64::from(why.is_some()));
                counters.tcp.attempts.add(1);
                connection.last = self.wheel.tick(cx.now);
                connection.asked = cx.now;
            }
            let speaks = connection.up.holds() || way.send_proxy.is_some();
            let (address, port) = (held.server().address(), connection.port);
            let source = client.filter(|_| way.transparent);
            let begin = || connect::begin(address, port, service.keep_alive, speaks, source);
            let begun = match begin() {
                Err(Errno::MFILE | Errno::NFILE) if self.spare.take().is_some() => begin(),
                begun => begun,
            };
            match begun {
                Ok(socket) => {
                    let is_unix = matches!(held.server().address(), Address::Unix(_));
                    connection.server = Some(Side::new(socket, false, is_unix));
                    connection.held = Some(held);
                    connection.no_delay = !service.no_delay;
                    connection.preface = opening::header(connection, way);
                    match connection.pump(&mut self.tools) {
                        // No edge tells of what is left: the client was read from before.
                        Ok(Stop::Turn) if !connection.queued => {
                            connection.queued = true;
                            self.ready.push(number);
                        }
                        Ok(_) => {}
                        Err(Broken { end: End::Server, error }) if !connection.open => {
                            why = Some(error);
                            self.give_up_server(cx, number);
                            continue;
                        }
                        Err(broken) => {
                            self.broken(cx, number, broken);
                            return false;
                        }
                    }
                    if connection.open {
                        connection.connected(cx.now);
                    }
                    if !passed.is_empty() {
                        connection
                            .tried
                            .retain(|tried| !passed.iter().any(|server| Arc::ptr_eq(server, tried)));
                    }
                    let open = connection.open;
                    let Some(server) = &mut connection.server else { return false };
                    let writable = !open || !server.writable;
                    if let Err(error) = server.watch(cx.registry, Token::Server(number), writable) {
                        self.end(cx, number, of_error(cx.counters, error), Reset::Both);
                        return false;
                    }
                    return true;
                }
                // A Unix socket's queue is full, as it may be for a moment: others first.
                Err(error @ Errno::AGAIN) => {
                    connection.tried.push(Arc::clone(held.server()));
                    passed.push(Arc::clone(held.server()));
                    full = Some(held);
                    why = Some(error);
                }
                Err(error) => {
                    if !is_ours(error) {
                        held.failed(cx.now);
                    }
                    if no_way(error) {
                        passed.push(Arc::clone(held.server()));
                    }
                    connection.tried.push(Arc::clone(held.server()));
                    why = Some(error);
                }
            }
        }
    }

    /// The server being connected to will not do.
    pub(super) fn give_up_server(&mut self, cx: Context<'_>, number: u32) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        connection.server = None;
        if let Some(held) = connection.held.take() {
            held.failed(cx.now);
            connection.tried.push(Arc::clone(held.server()));
        }
    }
}
