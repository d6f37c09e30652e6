//! A proxy's sockets handed to another process, which takes its place: a new version, or the same one with what only a start
//! gives.
//!
//! ```text
//! old                                            new, started by the old
//! listening sockets, the admin's,
//! what is known of servers              ->       reads its configuration, opens what is not among them
//!                                       <-       which places it does not ask for; ready
//! takes no more clients in
//! UDP sessions, each with its socket,
//! what was counted                      ->       begins to work
//!                                       <-       at work
//! waits for its connections to end
//! ```
//!
//! Both have the same sockets, so that nobody is refused, and who waits to be accepted is by whoever comes first. Datagrams wait
//! in their sockets while sessions move: clients and servers see the same addresses before and after. Should the new
//! process end before it is at work, the old one goes on as if nothing had been, but for the sessions if it had
//! given them away. At a place that the new one does not ask for, those who wait are the old one's. Clients' shares of the
//! limits are not handed over: they are bound to connections, which stay.

mod channel;
mod message;
mod take;

pub(super) use message::{Given, ServerNote, SessionNote};
pub(super) use take::{Adopted, Adoption, Taken, adopt};

use super::config::Admin;
use super::control::Control;
use super::counters::Totals;
use super::listen::Asked;
use channel::{Channel, MOST};
use message::{FromNew, FromOld, Places, SocketNote, SteeringNote};
use std::collections::HashSet;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

/// For a new process to be ready: it may have names to look up.
const READY: Duration = Duration::from_secs(60);
/// For what takes no time.
const SOON: Duration = Duration::from_secs(20);

/// Who takes this process's place.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// Where workers give their sessions.
    pub(super) sessions: Sender<Vec<Given>>,
    /// Places where nobody is going to listen: who waits there is to be taken in first.
    pub(super) unwanted: Arc<HashSet<Asked>>,
}

/// Why nothing was handed over: all stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The new process has ended; it has said why.
    #[error("the new process ended before it was at work")]
    Ended,
    /// The new process does not get there.
    #[error("the new process was not at work in time")]
    Late,
    /// This one is to end, or has handed everything over already.
    #[error("this process is about to end")]
    Ending,
    /// The kernel refused.
    #[error("cannot hand over: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for HandoverError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Ended
            }
            io::ErrorKind::TimedOut => Self::Late,
            _ => Self::Failed(error),
        }
    }
}

/// The way to a new process.
#[derive(Debug)]
pub struct Successor(Channel);

/// The way to the process whose place this one takes.
#[derive(Debug)]
pub struct Predecessor(Channel);

impl Successor {
    /// A way to a process yet to be started, and the end that is to be that process's.
    ///
    /// # Errors
    /// As `socketpair(2)`.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        channel::pair().map(|(ours, theirs)| (Self(ours), theirs))
    }
}

impl Predecessor {
    /// By the end that this process was given.
    ///
    /// # Errors
    /// For what is no such end.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Channel::over(socket).map(Self)
    }

    fn receive(&self) -> io::Result<(FromOld, Vec<OwnedFd>)> {
        let end = Instant::now() + SOON;
        self.0.receive(|| Instant::now() < end)
    }

    /// Takes the sockets.
    pub(super) fn sockets(&self) -> io::Result<Taken> {
        take::sockets(self)
    }

    /// Says that all is bound, and where it is not going to listen; takes the sessions, and what was counted.
    pub(super) fn sessions(&self, unwanted: &[Asked]) -> io::Result<(Vec<(SessionNote, OwnedFd)>, Totals)> {
        for some in unwanted.chunks(MOST) {
            self.0.send(&FromNew::Unwanted(some.to_vec()), &[])?;
        }
        self.0.send(&FromNew::Ready, &[])?;
        let (mut sessions, mut totals) = (Vec::new(), Totals::default());
        loop {
            match self.receive()? {
                (FromOld::Sessions(notes), descriptors) => {
                    sessions.extend(notes.into_iter().zip(descriptors))
                }
                (FromOld::Totals(counted), _) => totals = *counted,
                (FromOld::AllSessions, _) => return Ok((sessions, totals)),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    /// Says that this process is at work.
    pub(super) fn at_work(&self) -> io::Result<()> {
        self.0.send(&FromNew::AtWork, &[])
    }
}

/// Hands over what a control side has. `admin`: what answers there listens on.
pub(super) fn hand_over(
    control: &Control,
    admin: Option<(Admin, &TcpListener)>,
    successor: &Successor,
    go_on: impl Fn() -> bool,
) -> Result<(), HandoverError> {
    let Successor(channel) = successor;
    let mut state = control.state();
    // Sockets with what is said of them, as many in a message as it takes.
    let places = state.sockets.places();
    let mut notes = Vec::new();
    for (asked, opened) in &places {
        for (number, socket) in opened.sockets.iter().enumerate() {
            let note = SocketNote::of(asked, opened, number);
            notes.push((note, socket.as_fd()));
        }
    }
    for some in notes.chunks(MOST) {
        let said: Vec<_> = some.iter().map(|(note, _)| note).collect();
        let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(|(_, descriptor)| *descriptor).collect();
        channel.send(&FromOld::sockets(&said), &descriptors)?;
    }
    if let Some(steering) = &state.sockets.steering {
        let note = SteeringNote::of(steering, &state.sockets);
        channel.send(&FromOld::Steering(note), &steering.kernel.descriptors())?;
    }
    if let Some((admin, listener)) = admin {
        channel.send(&FromOld::Admin(admin.listen), &[listener.as_fd()])?;
    }
    let mut known = state.servers.notes(Instant::now());
    while !known.is_empty() {
        let some = known.split_off(known.len().saturating_sub(MOST));
        channel.send(&FromOld::Servers(some), &[])?;
    }
    channel.send(&FromOld::AllSockets, &[])?;
    drop(notes);
    let wait = |time: Duration, wanted: FromNew| -> Result<HashSet<Asked>, HandoverError> {
        let end = Instant::now() + time;
        let mut unwanted = HashSet::new();
        loop {
            match channel.receive::<FromNew>(|| Instant::now() < end && go_on())?.0 {
                said if said == wanted => return Ok(unwanted),
                FromNew::Unwanted(places) => unwanted.extend(places),
                _ => return Err(HandoverError::Failed(io::ErrorKind::InvalidData.into())),
            }
        }
    };
    let unwanted = Arc::new(wait(READY, FromNew::Ready)?);
    let theirs = |asked: &Asked| !unwanted.contains(asked);

    // From here on there is somebody else.
    let none = state.sockets.none();
    let sockets = std::mem::replace(&mut state.sockets, none);
    let (sender, sessions) = mpsc::channel::<Vec<Given>>();
    control.publish_for(&mut state, Some(Receiver { sessions: sender, unwanted: Arc::clone(&unwanted) }));
    let at = Places::of(&places);
    let result = (|| {
        for _ in 0..control.workers() {
            let given = sessions.recv_timeout(SOON).map_err(|_| HandoverError::Late)?;
            for some in given.chunks(MOST) {
                let known = some
                    .iter()
                    .filter_map(|given| Some((SessionNote::of(given, &at)?, given.socket.as_fd())));
                let (said, descriptors): (Vec<_>, Vec<_>) = known.unzip();
                channel.send(&FromOld::Sessions(said), &descriptors)?;
            }
        }
        // All workers follow: but for who comes to a place that the new process drops, what is open by now is all that there will be.
        channel.send(&FromOld::Totals(Box::new(control.totals().settled())), &[])?;
        channel.send(&FromOld::AllSessions, &[])?;
        wait(SOON, FromNew::AtWork)
    })();
    match result {
        Ok(_) => {
            let kept = sockets.opened.iter().filter(|(asked, _)| theirs(asked));
            kept.filter_map(|(_, opened)| opened.path.as_ref()).for_each(|path| path.leave());
        }
        Err(error) => {
            state.sockets = sockets;
            control.publish_for(&mut state, None);
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
