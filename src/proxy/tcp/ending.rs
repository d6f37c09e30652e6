//! How connections end, and who is told in which way.

use super::super::access_log::Record;
use super::super::config::Transport;
use super::super::counters::{Counter, Counters, Named};
use super::connection::{Broken, Connection, End};
use super::{Context, Tcp, address_of};
use crate::sys::tcp_info::tcp_info;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Which ends are told by a reset that it did not end well.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    Neither,
    Client,
    Server,
    Both,
}

impl Tcp {
    /// A socket failed: the other end is told the same way.
    pub(super) fn broken(&mut self, cx: Context<'_>, number: u32, broken: Broken) {
        let ended = &cx.counters.ended;
        let reset = matches!(broken.error, Errno::CONNRESET | Errno::PIPE);
        let mut has_all = false;
        if let (End::Server, Some(connection)) = (broken.end, self.connections.get(number)) {
            if !is_ours(broken.error) {
                connection.server_broke(cx.now);
            }
            has_all = connection.down.is_over();
        }
        match (broken.end, reset) {
            (End::Client, true) => self.end(cx, number, &ended.client_reset, Reset::Server),
            // What the server had said until then is still under way to the client, who is to have it.
            (End::Server, true) if has_all => self.end(cx, number, &ended.server_reset, Reset::Server),
            (End::Server, true) => self.end(cx, number, &ended.server_reset, Reset::Client),
            (_, false) => self.end(cx, number, of_error(cx.counters, broken.error), Reset::Both),
        }
    }

    /// A connection is over.
    pub(super) fn end(&mut self, cx: Context<'_>, number: u32, counter: &Counter, reset: Reset) {
        let Some(mut connection) = self.connections.remove(number) else { return };
        connection.count(&cx.counters.tcp);
        counter.add(1);
        connection.label().count(Transport::Tcp, [connection.up.bytes, connection.down.bytes]);
        self.log(cx, &connection, counter);
        self.wheel.disarm(number);
        connection.up.dissolve(&mut self.tools);
        connection.down.dissolve(&mut self.tools);
        // A close with no time to linger is a reset, and drops what is not sent yet.
        let abort = |socket: &OwnedFd| sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        if matches!(reset, Reset::Client | Reset::Both) {
            let _ = abort(&connection.client.socket);
        }
        if let Some(server) = &connection.server
            && matches!(reset, Reset::Server | Reset::Both)
        {
            let _ = abort(&server.socket);
        }
    }

    /// Hands over what the log says of a connection that is over.
    fn log(&self, cx: Context<'_>, connection: &Connection, counter: &Counter) {
        let Some(log) = &self.shared.access_log else { return };
        let lasted = cx.now.saturating_duration_since(connection.began);
        let server = connection.held.as_ref().map(|held| Arc::clone(held.server()));
        log.record(Record {
            transport: Transport::Tcp,
            began: SystemTime::now() - lasted,
            lasted,
            connected_after: connection.connected_after.map(|time| Duration::from_micros(time.into())),
            peer: connection.peer,
            client: connection.proxied.as_ref().map(|ends| ends.0),
            local: address_of(&connection.client.socket),
            port: connection.port,
            label: Arc::clone(connection.label()),
            server: server.or_else(|| connection.tried.last().cloned()),
            tried: connection.tried.len(),
            bytes: [connection.up.bytes, connection.down.bytes],
            reason: cx.counters.ended.name(counter),
            tcp: [
                tcp_info(&connection.client.socket).ok(),
                connection.server.as_ref().and_then(|server| tcp_info(&server.socket).ok()),
            ],
        });
    }

    /// Cuts all that is still open.
    pub(in super::super) fn cut(&mut self, cx: Context<'_>) {
        let numbers: Vec<_> = self.connections.numbers().collect();
        for number in numbers {
            self.end(cx, number, &cx.counters.ended.drained, Reset::Both);
        }
    }
}

/// Whether it is this host that lacks something, and no server's fault.
pub(super) fn is_ours(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::PERM) || no_way(error)
}

/// Whether this host has no way to a server, which it may have to another: of one family it has no address, or no port is left.
pub(in super::super) fn no_way(error: Errno) -> bool {
    matches!(error, Errno::NETUNREACH | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
}

/// What an ending by an error counts as.
pub(super) fn of_error(counters: &Counters, error: Errno) -> &Counter {
    match error {
        Errno::MFILE | Errno::NFILE => &counters.ended.no_descriptor,
        // The kernel gave up: keep-alive, or retransmission.
        Errno::TIMEDOUT => &counters.ended.idle,
        _ => &counters.ended.failed,
    }
}
