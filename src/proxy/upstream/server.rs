//! What the workers know of one server together: how many connections it has, and whether it may have more.

use crate::proxy::config::Ejection;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address.
    Ip {
        /// IPv4 or IPv6.
        address: IpAddr,
        /// `None`: the port the client came to.
        port: Option<u16>,
    },
    /// A stream socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Where to connect for a client that came to port `came_to`; `None` for a Unix socket.
    #[must_use]
    pub fn socket_address(&self, came_to: u16) -> Option<SocketAddr> {
        match self {
            Self::Ip { address, port } => Some(SocketAddr::new(*address, port.unwrap_or(came_to))),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip { address, port: Some(port) } => SocketAddr::new(*address, *port).fmt(f),
            Self::Ip { address, port: None } => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The state of a server, shared by all workers and kept over reloads that still name it.
///
/// Every field stands alone: nothing is published by one of them about another, so all accesses are relaxed.
#[derive(Debug)]
pub struct Server {
    name: String,
    address: Address,
    /// Connections or sessions it has now.
    active: AtomicU32,
    /// Connections it was chosen for, ever.
    chosen: AtomicU64,
    /// Those that failed before a byte came through.
    failed: AtomicU64,
    /// What active checks say; true where there are none.
    healthy: AtomicBool,
    /// Failures in a row.
    in_a_row: AtomicU32,
    /// Times it was taken out since it last did well.
    times_out: AtomicU32,
    /// Until when it is out, in milliseconds from `since`.
    out_until: AtomicU64,
    since: Instant,
}

/// What is known of a server, for a process that goes on with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
// A process that is upgraded may know less than the one that takes its place.
#[serde(default)]
pub(in crate::proxy) struct Standing {
    /// Where it listens, in words: of one that is elsewhere by now nothing is known.
    address: String,
    chosen: u64,
    failed: u64,
    healthy: bool,
    in_a_row: u32,
    times_out: u32,
    /// Milliseconds for which it is out yet.
    out_for: u64,
}

impl Server {
    /// A server that has nothing yet, and is thought well. By its name it is known in tables, metrics and logs; it should
    /// be the same on all instances that are to choose alike.
    #[must_use]
    pub fn new(name: impl Into<String>, address: Address, now: Instant) -> Self {
        Self {
            name: name.into(),
            address,
            active: AtomicU32::new(0),
            chosen: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            healthy: AtomicBool::new(true),
            in_a_row: AtomicU32::new(0),
            times_out: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
            since: now,
        }
    }

    /// By which it is known.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Connections and sessions it has now.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// How often it was chosen.
    #[must_use]
    pub fn chosen(&self) -> u64 {
        self.chosen.load(Relaxed)
    }

    /// How often it failed.
    #[must_use]
    pub fn failed_in_all(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// What active checks last said.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Relaxed)
    }

    /// Takes what an active check says, and says whether that is new.
    pub fn set_healthy(&self, healthy: bool) -> bool {
        self.healthy.swap(healthy, Relaxed) != healthy
    }

    /// Whether failures have it out.
    #[must_use]
    pub fn is_ejected(&self, now: Instant) -> bool {
        // Read first: while all is well there is no time to work out.
        let until = self.out_until.load(Relaxed);
        until > 0 && milliseconds(now.saturating_duration_since(self.since)) < until
    }

    /// It answered, or ended a connection well.
    fn succeeded(&self) {
        // Read first: the line stays shared among the workers while all is well.
        if self.in_a_row.load(Relaxed) != 0 {
            self.in_a_row.store(0, Relaxed);
        }
        if self.times_out.load(Relaxed) != 0 {
            self.times_out.store(0, Relaxed);
        }
    }

    /// A connection to it was refused, timed out, or ended before a byte came. Gives the time for which it
    /// is out from now, when this failure was the one too many.
    fn failed(&self, now: Instant, ejection: &Ejection) -> Option<Duration> {
        self.failed.fetch_add(1, Relaxed);
        // Those that were under way when it was taken out say nothing new.
        if ejection.failures == 0 || self.is_ejected(now) {
            return None;
        }
        if self.in_a_row.fetch_add(1, Relaxed) + 1 < ejection.failures {
            return None;
        }
        self.in_a_row.store(0, Relaxed);
        let doublings = self.times_out.fetch_add(1, Relaxed).min(31);
        let out = ejection.first.saturating_mul(1 << doublings).min(ejection.longest);
        let until = now.saturating_duration_since(self.since).saturating_add(out);
        self.out_until.store(milliseconds(until), Relaxed);
        Some(out)
    }

    /// What is known of it by now.
    pub(in crate::proxy) fn standing(&self, now: Instant) -> Standing {
        let age = milliseconds(now.saturating_duration_since(self.since));
        Standing {
            address: self.address.to_string(),
            chosen: self.chosen(),
            failed: self.failed_in_all(),
            healthy: self.is_healthy(),
            in_a_row: self.in_a_row.load(Relaxed),
            times_out: self.times_out.load(Relaxed),
            out_for: self.out_until.load(Relaxed).saturating_sub(age),
        }
    }

    /// Goes on from what another process knew of it; with `checked`, from what its active checks said, too.
    pub(in crate::proxy) fn go_on_from(&self, standing: &Standing, checked: bool, now: Instant) {
        if standing.address != self.address.to_string() {
            return;
        }
        self.chosen.store(standing.chosen, Relaxed);
        self.failed.store(standing.failed, Relaxed);
        self.in_a_row.store(standing.in_a_row, Relaxed);
        self.times_out.store(standing.times_out, Relaxed);
        if standing.out_for > 0 {
            let age = milliseconds(now.saturating_duration_since(self.since));
            self.out_until.store(age.saturating_add(standing.out_for), Relaxed);
        }
        if checked {
            self.healthy.store(standing.healthy, Relaxed);
        }
    }

    /// One more connection, unless it has `most` (0: no limit).
    pub(in crate::proxy) fn take(self: &Arc<Self>, most: u32, ejection: Ejection) -> Option<Held> {
        if self.active.fetch_add(1, Relaxed) >= most && most > 0 {
            self.active.fetch_sub(1, Relaxed);
            return None;
        }
        self.chosen.fetch_add(1, Relaxed);
        Some(Held { server: Arc::clone(self), ejection })
    }

    /// The place of a session that another process has chosen it for, and counted.
    pub(in crate::proxy) fn hold(self: &Arc<Self>) -> Held {
        self.active.fetch_add(1, Relaxed);
        Held { server: Arc::clone(self), ejection: Ejection::default() }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A connection's or session's place at a server; dropping it gives the place back.
#[derive(Debug)]
pub struct Held {
    server: Arc<Server>,
    ejection: Ejection,
}

impl Held {
    /// The server whose place it is.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// It answered, or ended the connection well: it does well.
    pub fn succeeded(&self) {
        self.server.succeeded();
    }

    /// The connection was refused, timed out, or ended before a byte came. Gives the time for which the server is out
    /// from now, when this failure was the one too many.
    pub fn failed(&self, now: Instant) -> Option<Duration> {
        self.server.failed(now, &self.ejection)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.server.active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(now: Instant) -> Arc<Server> {
        Arc::new(Server::new("a", Address::Unix("/run/a".into()), now))
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn failures_in_a_row_take_it_out_for_longer_each_time() {
        let ejection = Ejection { failures: 3, first: 2 * SECOND, longest: 5 * SECOND };
        let start = Instant::now();
        let server = server(start);
        let fail = |at: u32| server.failed(start + at * SECOND, &ejection);
        assert_eq!([fail(0), fail(0)], [None, None]);
        server.succeeded();
        assert_eq!([fail(0), fail(0), fail(0)], [None, None, Some(2 * SECOND)]);
        assert!(server.is_ejected(start + SECOND) && !server.is_ejected(start + 2 * SECOND));
        assert_eq!([fail(1), fail(1), fail(1)], [None; 3], "it is out already");
        assert_eq!([fail(2), fail(2), fail(2)], [None, None, Some(4 * SECOND)]);
        assert_eq!([fail(6), fail(6), fail(6)], [None, None, Some(5 * SECOND)], "the longest");
        server.succeeded();
        assert_eq!([fail(11), fail(11), fail(11)], [None, None, Some(2 * SECOND)]);
        assert_eq!(server.failed_in_all(), 17);
    }

    #[test]
    fn without_ejection_it_stays() {
        let ejection = Ejection { failures: 0, ..Ejection::default() };
        let now = Instant::now();
        let server = server(now);
        assert!((0..100).all(|_| server.failed(now, &ejection).is_none()));
        assert!(!server.is_ejected(now));
    }

    #[test]
    fn another_process_goes_on_from_what_is_known() {
        let ejection = Ejection { failures: 1, first: 4 * SECOND, longest: 60 * SECOND };
        let start = Instant::now();
        let (old, new) = (server(start), server(start + 100 * SECOND));
        old.set_healthy(false);
        old.failed(start + SECOND, &ejection);
        let known = old.standing(start + 2 * SECOND);
        let now = start + 102 * SECOND;
        new.go_on_from(&known, false, now);
        assert!(new.is_healthy(), "nobody checks it there");
        assert!(new.is_ejected(now + 2 * SECOND) && !new.is_ejected(now + 3 * SECOND));
        new.go_on_from(&known, true, now);
        assert!(!new.is_healthy());
        assert_eq!(new.standing(now), known);
        assert_eq!(new.failed(now + 3 * SECOND, &ejection), Some(8 * SECOND), "twice as long the next time");
        let moved = Server::new("a", Address::Unix("/run/b".into()), start);
        moved.go_on_from(&known, true, start);
        assert!(moved.is_healthy() && !moved.is_ejected(start));
        // Another version of the program may know more, or less.
        let less: Standing =
            serde_json::from_str(r#"{"address":"unix:/run/b","chosen":3,"more":1}"#).unwrap();
        moved.go_on_from(&less, false, start);
        assert_eq!((moved.chosen(), moved.failed_in_all()), (3, 0));
    }

    #[test]
    fn a_place_is_given_back_once() {
        let server = server(Instant::now());
        let take = |most| server.take(most, Ejection::default());
        let held: Vec<_> = (0..3).map(|_| take(3).expect("a place")).collect();
        assert!(take(3).is_none());
        assert_eq!((server.active(), server.chosen()), (3, 3));
        drop(held);
        assert_eq!(server.active(), 0);
        assert!(take(0).is_some(), "no limit");
    }
}
