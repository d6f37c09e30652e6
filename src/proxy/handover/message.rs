//! What is said.

use super::super::config::{SocketOptions, Transport};
use super::super::counters::Totals;
use super::super::listen::{Asked, Opened, Sockets, Steering};
use super::super::shared::ListenPlace;
use super::super::upstream::Standing;
use crate::sys::port_steering::Ports;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// By the old process. With each socket, and each session, comes its descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromOld {
    Sockets(Vec<SocketNote>),
    Steering(SteeringNote),
    Admin(SocketAddr),
    Servers(Vec<ServerNote>),
    AllSockets,
    Sessions(Vec<SessionNote>),
    /// What was counted, as the new process counts on.
    Totals(Box<Totals>),
    AllSessions,
}

/// By the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FromNew {
    /// Places where it is not going to listen.
    Unwanted(Vec<Asked>),
    Ready,
    AtWork,
}

/// A listening socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SocketNote {
    pub(super) asked: Asked,
    pub(super) transport: Transport,
    pub(super) place: ListenPlace,
    /// Among those of its place.
    pub(super) number: usize,
    pub(super) options: SocketOptions,
}

/// The rules for ranges of ports; with it come the descriptors of the program's link and its map.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SteeringNote {
    /// Each with the place whose first socket it is for.
    pub(super) rules: Vec<(Ports, Asked)>,
}

/// A server, by the names of its upstream and its own.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct ServerNote {
    pub(in super::super) upstream: String,
    pub(in super::super) server: String,
    pub(in super::super) standing: Standing,
}

/// A session of UDP; with it comes its socket towards the server.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct SessionNote {
    /// The listening socket.
    pub(super) asked: Asked,
    pub(super) number: usize,
    pub(in super::super) client: SocketAddr,
    /// Which of the host's addresses the client asked.
    pub(in super::super) at: Option<IpAddr>,
    pub(in super::super) upstream: String,
    pub(in super::super) server: String,
    /// Where that is.
    pub(in super::super) address: SocketAddr,
    /// What each datagram to it begins with.
    pub(in super::super) header: Option<Box<[u8]>>,
    pub(in super::super) age: Duration,
    pub(in super::super) bytes: [u64; 2],
}

/// A session as a worker gives it away.
#[derive(Debug)]
pub(in super::super) struct Given {
    pub(in super::super) listening: Arc<OwnedFd>,
    pub(in super::super) socket: OwnedFd,
    pub(in super::super) client: SocketAddr,
    pub(in super::super) at: Option<IpAddr>,
    pub(in super::super) upstream: Arc<str>,
    pub(in super::super) server: String,
    pub(in super::super) address: SocketAddr,
    pub(in super::super) header: Option<Box<[u8]>>,
    pub(in super::super) began: Instant,
    pub(in super::super) bytes: [u64; 2],
}

impl FromOld {
    pub(super) fn sockets(notes: &[&SocketNote]) -> Self {
        Self::Sockets(notes.iter().map(|&note| note.clone()).collect())
    }
}

impl SocketNote {
    pub(super) fn of(asked: &Asked, opened: &Opened, number: usize) -> Self {
        let Opened { transport, place, options, .. } = opened;
        Self {
            asked: asked.clone(),
            transport: *transport,
            place: place.clone(),
            number,
            options: options.clone(),
        }
    }
}

impl SteeringNote {
    pub(super) fn of(steering: &Steering, sockets: &Sockets) -> Self {
        let place = |socket: &Arc<OwnedFd>| {
            let is_its = |(_, opened): &(&Asked, &Opened)| {
                opened.sockets.first().is_some_and(|first| Arc::ptr_eq(first, socket))
            };
            sockets.opened.iter().find(is_its).map(|(asked, _)| asked.clone())
        };
        let rules = steering.rules.iter();
        Self { rules: rules.filter_map(|(ports, socket)| Some((ports.clone(), place(socket)?))).collect() }
    }
}

/// Which socket is at which place, and the how manieth there.
pub(super) struct Places<'a>(HashMap<RawFd, (&'a Asked, usize)>);

impl<'a> Places<'a> {
    pub(super) fn of(opened: &'a HashMap<Asked, Opened>) -> Self {
        let sockets = opened.iter().flat_map(|(asked, opened)| {
            let sockets = opened.sockets.iter().enumerate();
            sockets.map(move |(number, socket)| (socket.as_raw_fd(), (asked, number)))
        });
        Self(sockets.collect())
    }
}

impl SessionNote {
    /// `None` where its listening socket is at none of these places.
    pub(super) fn of(given: &Given, places: &Places<'_>) -> Option<Self> {
        let &(asked, number) = places.0.get(&given.listening.as_raw_fd())?;
        Some(Self {
            asked: asked.clone(),
            number,
            client: given.client,
            at: given.at,
            upstream: given.upstream.to_string(),
            server: given.server.clone(),
            address: given.address,
            header: given.header.clone(),
            age: given.began.elapsed(),
            bytes: given.bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_another_version_are_read() {
        let less: SocketOptions = serde_json::from_str(r#"{"backlog":7,"more":true}"#).unwrap();
        assert_eq!(less, SocketOptions { backlog: 7, ..SocketOptions::default() });
    }
}
