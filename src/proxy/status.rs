//! How a proxy is doing, as a value.

use super::config::Transport;
use super::counters::Totals;
use super::plan::Plan;
use super::shared::Shared;
use crate::sys::socket_options;
use serde::Serialize;
use std::collections::HashMap;
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
    /// Where connections go.
    pub upstreams: Vec<UpstreamStatus>,
}

/// An upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpstreamStatus {
    /// As the configuration names it.
    pub name: String,
    /// By now: a name in the configuration stands for as many as it has addresses.
    pub servers: Vec<ServerStatus>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
            upstreams: upstreams.collect(),
        }
    }
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
