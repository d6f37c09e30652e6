//! Active checks: whether servers are up, asked from a thread of its own with an event loop of its own.
//!
//! A check connects (or sends a datagram and waits for any other), and is over with the answer, an error, or its time. Checks
//! of different servers run at the same time, those of one one after the other, each beginning an interval after the last began;
//! the first ones are spread over the first interval. Rise and fall make single checks into a verdict
//! (`verdict`), which the workers read from the server's state. How the connections themselves do is known apart
//! from this ([`Ejection`](super::config::Ejection)).

mod verdict;

use super::config::{HealthCheck, Probe};
use super::upstream::{Address, Server};
use crossbeam::channel::{Receiver, Sender, TryRecvError, unbounded};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with, sockopt,
};
use rustix::net::{RecvFlags, SendFlags, recv};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use verdict::Verdict;

/// A server and how it is checked.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) server: Arc<Server>,
    pub(super) check: HealthCheck,
}

/// What the thread waits for besides sockets.
const WAKER: Token = Token(usize::MAX);
/// No wait is longer, so that nothing depends on a wake-up.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The thread that checks. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checks {
    sender: Option<Sender<Vec<Checked>>>,
    waker: Arc<Waker>,
}

impl Checks {
    /// Begins with nothing to check. `changed` is called on the thread whenever a server goes down or comes up.
    pub(super) fn start(
        changed: impl FnMut(&Server, bool) + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, wanted) = unbounded();
        let thread = std::thread::Builder::new().name("wharf-health".to_owned());
        // Kept there, too: closed behind its last wake-up it would take that with it.
        let kept = Arc::clone(&waker);
        let thread = thread.spawn(move || {
            Checker { poll, tasks: Vec::new(), changed }.run(&wanted);
            drop(kept);
        })?;
        Ok((Self { sender: Some(sender), waker }, thread))
    }

    /// What is to be checked from now on. A server that was checked before keeps its verdict; one that no longer is, is
    /// thought well again.
    pub(super) fn set(&self, checked: Vec<Checked>) {
        if let Some(sender) = &self.sender {
            // Both fail only when the thread has ended, and then nobody wants to know.
            let _ = sender.send(checked);
            let _ = self.waker.wake();
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.sender = None;
        let _ = self.waker.wake();
    }
}

/// One server's checks.
#[derive(Debug)]
struct Task {
    checked: Checked,
    verdict: Verdict,
    /// When the next check begins, or the running one has taken too long.
    due: Instant,
    began: Instant,
    running: Option<OwnedFd>,
}

struct Checker<F> {
    poll: Poll,
    tasks: Vec<Task>,
    changed: F,
}

impl<F: FnMut(&Server, bool)> Checker<F> {
    fn run(mut self, wanted: &Receiver<Vec<Checked>>) {
        let mut events = Events::with_capacity(256);
        loop {
            let mut latest = None;
            loop {
                match wanted.try_recv() {
                    Ok(checked) => latest = Some(checked),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            if let Some(checked) = latest {
                self.set(checked, Instant::now());
            }
            let now = Instant::now();
            let first = self.tasks.iter().map(|task| task.due).min();
            let wait = first.map_or(LONGEST_WAIT, |due| due.saturating_duration_since(now)).min(LONGEST_WAIT);
            // Interrupted or not: what is due is due.
            let _ = self.poll.poll(&mut events, Some(wait));
            let now = Instant::now();
            for event in &events {
                let Token(index) = event.token();
                if index != WAKER.0 {
                    self.ready(index, now);
                }
            }
            for index in 0..self.tasks.len() {
                if self.tasks[index].due <= now {
                    match self.tasks[index].running {
                        Some(_) => self.over(index, false, now),
                        None => self.begin(index, now),
                    }
                }
            }
        }
    }

    fn set(&mut self, checked: Vec<Checked>, now: Instant) {
        let mut before = std::mem::take(&mut self.tasks);
        let count = u32::try_from(checked.len()).unwrap_or(u32::MAX).max(1);
        for (number, checked) in (0_u32..).zip(checked) {
            let same = |task: &Task| Arc::ptr_eq(&task.checked.server, &checked.server);
            let known = before.iter().position(same).map(|index| before.swap_remove(index));
            let index = self.tasks.len();
            self.tasks.push(match known {
                // However often others come and go, its checks go on as they were.
                Some(task) if task.checked.check == checked.check => self.moved(task, index, now),
                known => {
                    let up = checked.server.is_healthy();
                    let verdict = known.map_or_else(|| Verdict::new(up), |task| task.verdict);
                    let due = now + checked.check.interval / count * number;
                    Task { checked, verdict, due, began: now, running: None }
                }
            });
        }
        for task in before {
            task.checked.server.set_healthy(true);
        }
    }

    /// A task at another place: sockets are known by it.
    fn moved(&self, mut task: Task, index: usize, now: Instant) -> Task {
        if let Some(socket) = &task.running {
            let (socket, interest) =
                (&mut SourceFd(&socket.as_raw_fd()), interest(&task.checked.check.probe));
            if self.poll.registry().reregister(socket, Token(index), interest).is_err() {
                (task.running, task.due) = (None, now);
            }
        }
        task
    }

    fn begin(&mut self, index: usize, now: Instant) {
        let task = &mut self.tasks[index];
        let Checked { server, check } = &task.checked;
        task.began = now;
        task.due = now + check.timeout;
        match open(server.address(), &check.probe) {
            Ok(socket) => {
                let interest = interest(&check.probe);
                let registered =
                    self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(index), interest);
                task.running = Some(socket);
                if registered.is_err() {
                    self.over(index, false, now);
                }
            }
            // Its queue is full, as it is of one that hangs.
            Err(Errno::AGAIN) if matches!(server.address(), Address::Unix(_)) => self.over(index, false, now),
            // What this host lacks says nothing of the server: the check is left out.
            Err(
                Errno::MFILE
                | Errno::NFILE
                | Errno::ADDRNOTAVAIL
                | Errno::NOBUFS
                | Errno::NOMEM
                | Errno::AGAIN,
            ) => {
                task.due = now + check.interval;
            }
            Err(_) => self.over(index, false, now),
        }
    }

    /// The kernel has something to say of a check.
    fn ready(&mut self, index: usize, now: Instant) {
        let Some(task) = self.tasks.get(index) else { return };
        let Some(socket) = &task.running else { return };
        let good = match task.checked.check.probe {
            Probe::Connect => match sockopt::socket_error(socket) {
                Ok(Ok(())) => rustix::net::getpeername(socket).is_ok(),
                _ => false,
            },
            Probe::Datagram(_) => match recv(socket, &mut [0; 1][..], RecvFlags::DONTWAIT) {
                Ok(_) => true,
                // Woken for nothing.
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => false,
            },
        };
        self.over(index, good, now);
    }

    fn over(&mut self, index: usize, good: bool, now: Instant) {
        let task = &mut self.tasks[index];
        if let Some(socket) = task.running.take() {
            if task.checked.check.probe == Probe::Connect {
                // A reset: a check leaves no TIME_WAIT behind.
                let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
            }
            let _ = self.poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
        let HealthCheck { interval, rise, fall, .. } = task.checked.check;
        task.due = (task.began + interval).max(now);
        if let Some(up) = task.verdict.note(good, rise, fall) {
            task.checked.server.set_healthy(up);
            (self.changed)(&task.checked.server, up);
        }
    }
}

/// What a check waits for.
fn interest(probe: &Probe) -> Interest {
    match probe {
        Probe::Connect => Interest::WRITABLE,
        Probe::Datagram(_) => Interest::READABLE,
    }
}

/// A socket that is connecting, or that has asked.
fn open(address: &Address, probe: &Probe) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let kind = match probe {
        Probe::Connect => SocketType::STREAM,
        Probe::Datagram(_) => SocketType::DGRAM,
    };
    let (socket, connected) = match address {
        Address::Unix(path) => {
            let socket = socket_with(AddressFamily::UNIX, kind, flags, None)?;
            let connected = connect(&socket, &SocketAddrUnix::new(path.as_path())?);
            (socket, connected)
        }
        // Where the port is the client's there is none to check; the configuration's reader says so.
        Address::Ip { .. } => {
            let address = address.socket_address(0).ok_or(Errno::AFNOSUPPORT)?;
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = socket_with(family, kind, flags, None)?;
            let connected = connect(&socket, &address);
            (socket, connected)
        }
    };
    match connected {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    if let Probe::Datagram(bytes) = probe {
        send(&socket, bytes, SendFlags::NOSIGNAL)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests;
