//! A proxy at work: how it is doing, what it is to do, its end.

use super::admin::Answers;
use super::config::{Admin, Config, Transport};
use super::control::{Control, Listen};
use super::counters::Totals;
use super::error::Error;
use super::handover::{self, HandoverError, Successor};
use super::shared::{ListenPlace, Shared};
use super::status::Status;
use mio::Waker;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// For the access log to be written at the end.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// A proxy at work. Dropping it ends the work like [`stop`](Self::stop), and does not wait for it.
pub struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) threads: Vec<JoinHandle<io::Result<()>>>,
    pub(super) wakers: Arc<[Waker]>,
    /// Until the end: its threads end with it.
    pub(super) control: Option<Arc<Control>>,
    pub(super) answers: Option<Answers>,
    pub(super) admin: Option<(Admin, TcpListener)>,
    pub(super) notice: Listen,
    pub(super) began: Instant,
}

impl Running {
    /// What it has done so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.totals()
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.shared, self.began, Instant::now())
    }

    /// Goes by another configuration from now on: listeners, routes, upstreams, time-outs and limits. Connections and UDP
    /// sessions that there are stay where they are. Names are looked up first, which may take a while. An access log is
    /// opened anew.
    ///
    /// Where both configurations listen, the sockets stay, set anew, and nobody is refused in between. A port that is new is
    /// bound. One that is no longer asked for is closed, once those who wait there are accepted; one that takes datagrams
    /// stays until the last session there is over, and begins none.
    ///
    /// # Errors
    /// A name without an address, a route to nowhere, a socket that cannot be bound; [`Error::NeedsRestart`] where workers, the
    /// admin address or the log's path would change. Nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<(), Error> {
        self.reload_while(config, || true)
    }

    /// The same, as long as it is to `go_on`, which is asked while names are looked up.
    ///
    /// # Errors
    /// As [`reload`](Self::reload), and [`Error::Ending`] where it was not to go on; nothing has changed then.
    pub fn reload_while(&self, config: &Config, go_on: impl Fn() -> bool) -> Result<(), Error> {
        match &self.control {
            Some(control) => control.reload(config, &self.notice, &go_on),
            None => Err(Error::Ending),
        }
    }

    /// Hands its listening sockets and UDP sessions to another process, which [takes its place](super::Proxy::bind_while), and waits until
    /// that one is at work. From then on it takes no more clients in: [stop](Self::stop) it, and its connections end as they
    /// do at an end. `go_on`: whether to go on waiting for the other process.
    ///
    /// # Errors
    /// [`HandoverError`]: it goes on as before.
    pub fn hand_over(
        &mut self,
        successor: &Successor,
        go_on: impl Fn() -> bool,
    ) -> Result<(), HandoverError> {
        let control = self.control.as_ref().filter(|_| !self.shared.stop.load(Ordering::Relaxed));
        let control = control.ok_or(HandoverError::Ending)?;
        let admin = self.admin.as_ref().map(|(admin, listener)| (*admin, listener));
        handover::hand_over(control, admin, successor, go_on)?;
        (self.answers, self.admin) = (None, None);
        Ok(())
    }

    /// Where it listens by now, in the order of the configuration.
    #[must_use]
    pub fn places(&self) -> Vec<(Transport, ListenPlace)> {
        self.control.as_ref().map_or_else(Vec::new, |control| control.places())
    }

    /// Whether a worker has ended, which none does by itself unless something is wrong.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Asks it to end: it refuses new clients from now on, and waits for those it has as long as
    /// [`Timeouts::drain`](super::config::Timeouts::drain) says, and for UDP sessions until none had a datagram for a second.
    pub fn stop(&self) {
        // A second time there is nothing to close.
        if let Some(control) = self.control.as_ref().filter(|_| !self.shared.stop.load(Ordering::Relaxed)) {
            control.close();
        }
        self.shared.stop.store(true, Ordering::Relaxed);
        for waker in &*self.wakers {
            // Nobody is left to be woken where that fails.
            let _ = waker.wake();
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`Error::Worker`]: a worker failed.
    pub fn wait(mut self) -> Result<Totals, Error> {
        for thread in std::mem::take(&mut self.threads) {
            let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.map_err(|error| Error::Worker { what: "wait for events", error })?;
        }
        let totals = self.totals();
        (self.control, self.answers) = (None, None);
        if let Some(log) = &self.shared.access_log {
            log.flush(LOG_PATIENCE);
        }
        Ok(totals)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("shared", &self.shared).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Proxy;
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream, UdpSocket};
    use std::sync::Weak;

    /// Of a thousand reloads a connection that outlasts them would have kept a thousand tables.
    #[test]
    fn connections_and_sessions_keep_nothing_of_a_plan_that_was_replaced() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = |more: &str| {
            let text = format!(
                r#"
                cores = [0]
                upstream.a = {{ balance = "consistent-hash", servers = ["{}"{more}] }}
                upstream.b.servers = ["{}"{more}]
                [[listener]]
                bind = ["127.0.0.1:tcp/0"]
                to = "a"
                [[listener]]
                bind = ["127.0.0.1:udp/0"]
                to = "b"
                "#,
                server.local_addr().unwrap(),
                datagrams.local_addr().unwrap()
            );
            Config::from_toml(&text).unwrap()
        };
        let proxy = Proxy::bind(&config("")).unwrap().start().unwrap();
        let places: Vec<SocketAddr> =
            proxy.places().iter().map(|(_, place)| place.to_string().parse().unwrap()).collect();
        let mut client = TcpStream::connect(places[0]).unwrap();
        client.write_all(b"on").unwrap();
        let mut far = server.accept().unwrap().0;
        far.read_exact(&mut [0; 2]).unwrap();
        let asks = UdpSocket::bind("127.0.0.1:0").unwrap();
        asks.send_to(b"on", places[1]).unwrap();
        let (_, session) = datagrams.recv_from(&mut [0; 2]).unwrap();
        let plan = proxy.shared.plan.get();
        let services: Vec<_> = plan.services.iter().map(Arc::downgrade).collect();
        let upstreams: Vec<_> = plan.upstreams.iter().map(|(_, upstream)| Arc::downgrade(upstream)).collect();
        drop(plan);
        // It waits until the worker goes by the new one.
        proxy.reload(&config(", \"127.0.0.1:9\"")).unwrap();
        assert_eq!((proxy.totals().open(), proxy.totals().sessions()), (1, 1));
        assert_eq!(services.iter().filter_map(Weak::upgrade).count(), 0, "services");
        assert_eq!(upstreams.iter().filter_map(Weak::upgrade).count(), 0, "upstreams");
        far.write_all(b"on").unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
        asks.send_to(b"on", places[1]).unwrap();
        assert_eq!(datagrams.recv_from(&mut [0; 2]).unwrap().1, session);
        // What they do is counted where it was.
        drop((client, far));
        let end = Instant::now() + Duration::from_secs(20);
        while proxy.totals().open() > 0 {
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        proxy.reload(&config("")).unwrap();
        let routes = proxy.status().routes;
        let routes: Vec<_> = routes
            .iter()
            .map(|route| (route.transport, &*route.upstream, route.ended, route.bytes_up, route.bytes_down))
            .collect();
        assert_eq!(
            routes,
            [("tcp", "a", 1, 2, 2), ("tcp", "", 0, 0, 0), ("udp", "b", 0, 0, 0), ("udp", "", 0, 0, 0)]
        );
    }
}
