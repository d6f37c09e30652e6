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
