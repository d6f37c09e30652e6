//! How a proxy is doing, as a value.

use super::config::Transport;
use super::counters::Totals;
use super::label::Went;
use super::plan::Plan;
use super::shared::Shared;
use crate::sys::socket_options;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How a proxy is doing at a moment. Serialized, it is what `/status` of the admin address gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The program's.
    pub version: &'static str,
    /// Since it was started.
    pub uptime_seconds: u64,
    /// It takes no new clients, and ends when those that it has are gone.
    pub draining: bool,
    /// Worker threads.
    pub workers: usize,
    /// Connections that have not ended.
    pub connections_open: u64,
    /// UDP sessions that have not ended.
    pub sessions_open: u64,
    /// What has been done since the start; by the processes, too, whose place this one has taken.
    pub totals: Totals,
    /// Datagrams for its listening sockets that the kernel dropped, mostly since there was no room: nobody received them, and no
    /// total has them. Of a socket that is closed they count no more.
    pub datagrams_lost: u64,
    /// Those let in without being counted for their client, as there was no place for it.
    pub uncounted_clients: u64,
    /// Records written to the access log, where there is one.
    pub log_written: u64,
    /// Records dropped: the log was too slow, or could not be written.
    pub log_dropped: u64,
    /// What went by each route of the listeners there are.
    pub routes: Vec<RouteStatus>,
    /// Where connections go.
    pub upstreams: Vec<UpstreamStatus>,
}

/// A route of a listener, for one transport; or, without a name, what never had one there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RouteStatus {
    /// `tcp`: connections; `udp`: sessions.
    pub transport: &'static str,
    /// The listener's name.
    pub listener: String,
    /// The route's; empty for those that had none.
    pub route: String,
    /// Where it leads; empty for those that had none.
    pub upstream: String,
    /// Connections, or sessions, that have ended since it is there.
    pub ended: u64,
    /// Bytes of those from clients to servers.
    pub bytes_up: u64,
    /// Bytes of those from servers to clients.
    pub bytes_down: u64,
}

/// An upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UpstreamStatus {
    /// As the configuration names it.
    pub name: String,
    /// By now: a name in the configuration stands for as many as it has addresses.
    pub servers: Vec<ServerStatus>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerStatus {
    /// By which it is known.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// Its share beside the others.
    pub weight: u32,
    /// What active checks say; true where there are none.
    pub healthy: bool,
    /// Failures have it out for a while.
    pub ejected: bool,
    /// It gets no new connections.
    pub draining: bool,
    /// Connections and sessions it has.
    pub active: u32,
    /// How often it was chosen.
    pub chosen: u64,
    /// How often it failed.
    pub failed: u64,
}

impl Status {
    pub(super) fn of(shared: &Shared, began: Instant, now: Instant) -> Self {
        let plan = shared.plan.get();
        let totals = shared.totals();
        let upstreams = plan.upstreams.iter().map(|(name, upstream)| UpstreamStatus {
            name: name.to_string(),
            servers: upstream
                .members()
                .iter()
                .map(|member| ServerStatus {
                    name: member.server.name().to_owned(),
                    address: member.server.address().to_string(),
                    weight: member.weight,
                    healthy: member.server.is_healthy(),
                    ejected: member.server.is_ejected(now),
                    draining: member.draining || member.weight == 0,
                    active: member.server.active(),
                    chosen: member.server.chosen(),
                    failed: member.server.failed_in_all(),
                })
                .collect(),
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: now.saturating_duration_since(began).as_secs(),
            draining: shared.stop.load(Ordering::Relaxed),
            workers: shared.counters.len(),
            connections_open: totals.open(),
            sessions_open: totals.sessions(),
            totals,
            datagrams_lost: lost(&plan),
            uncounted_clients: plan.limits.uncounted(),
            log_written: shared.access_log.as_ref().map_or(0, |log| log.written()),
            log_dropped: shared.access_log.as_ref().map_or(0, |log| log.dropped()),
            routes: routes(&plan),
            upstreams: upstreams.collect(),
        }
    }
}

/// What went by the routes of all listeners, for each transport that those take, or took until now.
fn routes(plan: &Plan) -> Vec<RouteStatus> {
    let places = plan.listening.iter().flatten();
    let there: HashSet<_> =
        places.map(|listening| (listening.endpoint.listener, listening.endpoint.transport)).collect();
    let (mut routes, mut seen) = (Vec::new(), HashSet::new());
    for (number, service) in plan.services.iter().enumerate() {
        for (transport, name) in [(Transport::Tcp, "tcp"), (Transport::Udp, "udp")] {
            for label in service.labels() {
                let Went { ended, bytes: [bytes_up, bytes_down] } = label.went(transport);
                let is_there = ended > 0 || there.contains(&(number, transport));
                // Several routes may be called the same.
                if is_there && seen.insert((transport, label.names())) {
                    let [listener, route, upstream] = label.names().map(str::to_owned);
                    let transport = name;
                    routes.push(RouteStatus {
                        transport,
                        listener,
                        route,
                        upstream,
                        ended,
                        bytes_up,
                        bytes_down,
                    });
                }
            }
        }
    }
    routes
}

/// What the kernel dropped at the sockets for datagrams, each once whoever has it.
fn lost(plan: &Plan) -> u64 {
    let sockets = plan.listening.iter().flatten();
    let datagrams = sockets.filter(|listening| listening.endpoint.transport == Transport::Udp);
    let lost: HashMap<u64, u32> = datagrams
        .filter_map(|listening| {
            let socket = rustix::fs::fstat(&listening.socket).ok()?;
            Some((socket.st_ino, socket_options::dropped(&listening.socket).ok()?))
        })
        .collect();
    lost.into_values().map(u64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::super::ListenPlace;
    use super::super::config::Config;
    use super::super::control::State;
    use super::super::listen::Sockets;
    use super::super::share::Budget;
    use super::*;
    use std::net::UdpSocket;
    use std::sync::Arc;

    #[test]
    fn routes_are_told_once_and_so_are_datagrams_that_find_no_room() {
        let text = "upstream.a.servers = [\"127.0.0.1:9\"]\n[[listener]]\nbind = [\"127.0.0.1:any/0\"]\nroute = [{ to = \"a\", from = [\"192.0.2.0/24\"] }, { to = \"a\" }]\n";
        let config = Config::from_toml(text).unwrap();
        let sockets = Sockets::default().open(&config, 1).unwrap();
        let is_udp = |endpoint: &&Arc<super::super::shared::Endpoint>| endpoint.transport == Transport::Udp;
        let ListenPlace::Internet(at) = sockets.endpoints.iter().find(is_udp).unwrap().place else {
            panic!("a port")
        };
        let budget = Budget::count(&sockets, 1);
        let mut state = State::new(&config, sockets, budget, &|| true).unwrap();
        let mut plan = state.plan(None);
        // Another worker has the same sockets.
        plan.listening = Arc::new(vec![plan.listening[0].clone(), plan.listening[0].clone()]);
        let shared = Shared::new(plan, None, 2);
        let lost = || Status::of(&shared, Instant::now(), Instant::now()).datagrams_lost;
        assert_eq!(lost(), 0);
        // Of each transport both routes, which are called the same, and what has none.
        let status = Status::of(&shared, Instant::now(), Instant::now());
        let names = status.routes.iter().map(|route| (route.transport, &*route.upstream));
        assert_eq!(names.collect::<Vec<_>>(), [("tcp", "a"), ("tcp", ""), ("udp", "a"), ("udp", "")]);
        // Nobody receives.
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = (0..2_000).filter(|_| client.send_to(&[0; 60_000], at).is_ok()).count();
        let first = lost();
        assert!(first > 0 && first < sent as u64, "{first} of {sent}");
        for _ in 0..7 {
            client.send_to(&[0; 60_000], at).unwrap();
        }
        assert_eq!(lost(), first + 7, "each once");
    }
}
