//! The new process's side.

use super::super::listen::{Asked, Listening, Opened, PathGuard, Sockets, Steering};
use super::super::shared::Endpoint;
use super::Predecessor;
use super::message::{FromOld, ServerNote, SessionNote, SocketNote};
use crate::sys::port_steering::PortSteering;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// What was handed over before this process began to work.
#[derive(Debug, Default)]
pub(in super::super) struct Taken {
    pub(in super::super) opened: HashMap<Asked, Opened>,
    pub(in super::super) steering: Option<Arc<Steering>>,
    pub(in super::super) admin: Option<(SocketAddr, TcpListener)>,
    pub(in super::super) servers: Vec<ServerNote>,
}

/// What a worker goes on with.
#[derive(Debug, Default)]
pub(in super::super) struct Adoption {
    /// Sockets at places that this configuration does not ask for: all of a place where there is a session, as the kernel
    /// shares clients out among all of them.
    pub(in super::super) retired: Vec<Listening>,
    pub(in super::super) sessions: Vec<Adopted>,
}

/// A session to go on with.
#[derive(Debug)]
pub(in super::super) struct Adopted {
    /// Where its client comes in.
    pub(in super::super) listening: Listening,
    pub(in super::super) session: SessionNote,
    pub(in super::super) socket: OwnedFd,
}

pub(super) fn sockets(predecessor: &Predecessor) -> io::Result<Taken> {
    let mut taken = Taken::default();
    loop {
        match predecessor.receive()? {
            (FromOld::Sockets(notes), descriptors) => {
                for (note, descriptor) in notes.into_iter().zip(descriptors) {
                    taken.add(note, descriptor);
                }
            }
            (FromOld::Steering(note), descriptors) => {
                let mut descriptors = descriptors.into_iter();
                let (Some(link), Some(map)) = (descriptors.next(), descriptors.next()) else { continue };
                let rules = note.rules.into_iter().map(|(ports, asked)| {
                    Some((ports, Arc::clone(taken.opened.get(&asked)?.sockets.first()?)))
                });
                // Without one of its sockets it is of no use, and the rules are made anew.
                if let Some(rules) = rules.collect() {
                    let kernel = PortSteering::inherited(link, map);
                    taken.steering = Some(Arc::new(Steering { rules, kernel }));
                }
            }
            (FromOld::Admin(asked), descriptors) => {
                taken.admin = descriptors.into_iter().next().map(|listener| (asked, listener.into()));
            }
            (FromOld::Servers(notes), _) => taken.servers.extend(notes),
            (FromOld::AllSockets, _) => return Ok(taken),
            (FromOld::Sessions(_) | FromOld::Totals(_) | FromOld::AllSessions, _) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

impl Taken {
    fn add(&mut self, note: SocketNote, descriptor: OwnedFd) {
        let SocketNote { asked, transport, place, number, options } = note;
        let path = match &asked {
            // The old process's as long as this one is not at work.
            Asked::Path(path) => Some(PathGuard::leaving(path)),
            Asked::Port { .. } | Asked::Inherited(_) => None,
        };
        let entry = self.opened.entry(asked);
        let opened = entry.or_insert_with(|| Opened::inherited(transport, place, options, path));
        // They come in order, place by place.
        debug_assert_eq!(number, opened.sockets.len());
        opened.sockets.push(Arc::new(descriptor));
    }
}

/// For each worker the sessions at its sockets.
pub(in super::super) fn adopt(
    sockets: &Sockets,
    before: &HashMap<Asked, Opened>,
    sessions: Vec<(SessionNote, OwnedFd)>,
    workers: usize,
) -> Vec<Adoption> {
    let mut adoptions: Vec<Adoption> = (0..workers).map(|_| Adoption::default()).collect();
    let known = sockets.workers.iter().flatten().map(|known| (known.socket.as_raw_fd(), known.clone()));
    let mut known: HashMap<_, _> = known.collect();
    for (session, socket) in sessions {
        let Some(opened) = before.get(&session.asked) else { continue };
        let Some(listening) = opened.sockets.get(session.number) else { continue };
        if !known.contains_key(&listening.as_raw_fd()) {
            let endpoint = Arc::new(Endpoint::retired(&session.asked, opened));
            for (number, socket) in opened.sockets.iter().enumerate() {
                let (endpoint, socket) = (Arc::clone(&endpoint), Arc::clone(socket));
                let retired = Some(Instant::now());
                let retired = Listening { endpoint, socket, retired, service: None };
                known.insert(retired.socket.as_raw_fd(), retired.clone());
                adoptions[number % workers].retired.push(retired);
            }
        }
        if let Some(listening) = known.get(&listening.as_raw_fd()).cloned() {
            let adopted = Adopted { listening, session, socket };
            adoptions[adopted.session.number % workers].sessions.push(adopted);
        }
    }
    adoptions
}
