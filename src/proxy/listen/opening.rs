//! What a configuration asks for, place by place: the sockets there are, or new ones.

use super::super::config::{Config, SocketOptions, Transport};
use super::super::error::Error;
use super::super::shared::{Endpoint, ListenPlace};
use super::check::{datagrams_to, stream_server};
use super::path::PathGuard;
use super::socket::{bind, listen, listen_at, open_at, prepare_udp, shared};
use super::{Asked, Listening, Opened, Sockets};
use crate::sys::activation::Inherited;
use socket2::{Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Weak};

/// What is being opened, beside what there is.
pub(super) struct Opening<'a> {
    pub(super) before: &'a Sockets,
    pub(super) config: &'a Config,
    pub(super) workers: usize,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    pub(super) listening: Vec<Vec<Listening>>,
    pub(super) opened: HashMap<Asked, Opened>,
    pub(super) inherited: Arc<Vec<Inherited>>,
    /// Ports 0 so far.
    pub(super) chosen: HashMap<(Transport, Option<IpAddr>), u32>,
}

impl Opening<'_> {
    /// A port of its own: the sockets there are, or new ones.
    pub(super) fn open_port(
        &mut self,
        index: usize,
        transport: Transport,
        address: Option<IpAddr>,
        port: u16,
    ) -> Result<(), Error> {
        let (asked, opened) = self.port(index, transport, address, port)?;
        let place = opened.place.clone();
        self.add(index, asked, place, opened);
        Ok(())
    }

    pub(super) fn port(
        &mut self,
        index: usize,
        transport: Transport,
        address: Option<IpAddr>,
        port: u16,
    ) -> Result<(Asked, Opened), Error> {
        let count = match port {
            0 => {
                let next = self.chosen.entry((transport, address)).or_default();
                *next += 1;
                *next
            }
            _ => 0,
        };
        let options = &self.config.listeners[index].options;
        let asked = Asked::Port { transport, address, port, count };
        let opened = match self.there_is(&asked)? {
            Some(opened) => opened,
            None => {
                // A place of ours that goes, such as all addresses, may be in the way: then they share the port so long.
                let share = port != 0 && self.before.has_port(transport, port);
                let (at, sockets) = open_at(options, transport, address, port, self.workers, share)?;
                self.fresh(transport, ListenPlace::Internet(at), sockets, options, None)
            }
        };
        Ok((asked, opened))
    }

    pub(super) fn fresh(
        &self,
        transport: Transport,
        place: ListenPlace,
        sockets: Vec<OwnedFd>,
        options: &SocketOptions,
        path: Option<Arc<PathGuard>>,
    ) -> Opened {
        let sockets = sockets.into_iter().map(Arc::new).collect();
        Opened { transport, place, sockets, options: options.clone(), path, sessions: Arc::default() }
    }

    /// What is there already.
    pub(super) fn there_is(&self, asked: &Asked) -> Result<Option<Opened>, Error> {
        if let Some(opened) = self.before.opened.get(asked) {
            return Ok(Some(opened.clone()));
        }
        let Some(retired) = self.before.retired.get(asked) else { return Ok(None) };
        let sockets: Vec<_> = retired.sockets.iter().map(Weak::upgrade).collect();
        if sockets.iter().all(Option::is_none) {
            return Ok(None);
        }
        // A worker may have closed its own a moment ago.
        let (ListenPlace::Internet(at), &Asked::Port { address, .. }) = (&retired.opened.place, asked) else {
            return Ok(None);
        };
        let at = *at;
        let again = |socket: Option<Arc<OwnedFd>>| match socket {
            Some(socket) => Ok(socket),
            None => {
                let Opened { options, transport, .. } = &retired.opened;
                let socket =
                    bind(options, *transport, address, at, true).and_then(|socket| match transport {
                        Transport::Tcp => listen(&socket, options).map(|()| socket),
                        Transport::Udp => Ok(socket),
                    });
                let socket = socket.map(|socket| Arc::new(OwnedFd::from(socket)));
                socket.map_err(|error| Error::Listen { place: at.to_string(), error })
            }
        };
        let sockets = sockets.into_iter().map(again).collect::<Result<_, _>>()?;
        Ok(Some(Opened { sockets, ..retired.opened.clone() }))
    }

    pub(super) fn open_path(&mut self, index: usize, path: &Path) -> Result<(), Error> {
        let options = &self.config.listeners[index].options;
        let asked = Asked::Path(path.to_owned());
        let place = ListenPlace::Unix(path.to_owned());
        if self.opened.contains_key(&asked) {
            return Err(Error::Listen { place: place.to_string(), error: io::ErrorKind::AddrInUse.into() });
        }
        let opened = match self.there_is(&asked)? {
            Some(opened) => opened,
            None => {
                let sockets = listen_at(path, options)
                    .and_then(|socket| shared(socket, self.workers))
                    .map_err(|error| Error::Listen { place: place.to_string(), error })?;
                let guard = Some(PathGuard::new(path));
                self.fresh(Transport::Tcp, place.clone(), sockets, options, guard)
            }
        };
        self.add(index, asked, place, opened);
        Ok(())
    }

    pub(super) fn take_inherited(&mut self, index: usize, name: &str) -> Result<(), Error> {
        let asked = Asked::Inherited(name.to_owned());
        if let Some(opened) = self.there_is(&asked)? {
            let place = opened.place.clone();
            self.add(index, asked, place, opened);
            return Ok(());
        }
        let problem = |problem: String| Error::Inherited { name: name.to_owned(), problem };
        let inherited = &*self.inherited;
        let number = name.parse::<usize>().ok();
        let at = inherited.iter().position(|socket| socket.name == name).or(number);
        let Some(at) = at.filter(|&at| at < inherited.len()) else {
            let names: Vec<_> = inherited.iter().map(|socket| socket.name.as_str()).collect();
            return Err(problem(match names.is_empty() {
                true => "no socket was handed over (LISTEN_FDS)".to_owned(),
                false => format!("no such socket was handed over, only {}", names.join(", ")),
            }));
        };
        // Those behind it keep their numbers.
        let socket = inherited[at].descriptor.try_clone().map(Socket::from);
        let socket = socket.map_err(|error| problem(error.to_string()))?;
        let looked_at = (|| {
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>((socket.r#type()?, socket.local_addr()?))
        })();
        let (kind, address) = looked_at.map_err(|error| problem(format!("it is no socket: {error}")))?;
        if kind == Type::STREAM && !rustix::net::sockopt::socket_acceptconn(&socket).unwrap_or(false) {
            let advice = "it does not listen: a systemd unit that opens it needs Accept=no";
            return Err(problem(advice.to_owned()));
        }
        let place = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => ListenPlace::Internet(address),
            (None, path) => ListenPlace::Unix(path.unwrap_or(Path::new("")).to_owned()),
        };
        let (transport, count) = match kind {
            Type::STREAM => (Transport::Tcp, self.workers),
            // Two workers would each have a session for one client.
            Type::DGRAM => (Transport::Udp, 1),
            _ => return Err(problem("it takes neither connections nor datagrams".to_owned())),
        };
        if transport == Transport::Udp {
            let listener = &self.config.listeners[index];
            if let Some(path) = stream_server(self.config, listener) {
                return Err(problem(datagrams_to(&format!("fd:{name}"), &path)));
            }
            prepare_udp(&socket, &address).map_err(|error| problem(error.to_string()))?;
        }
        let sockets = shared(socket, count).map_err(|error| problem(error.to_string()))?;
        let options = &self.config.listeners[index].options;
        let opened = self.fresh(transport, place.clone(), sockets, options, None);
        self.add(index, asked, place, opened);
        Ok(())
    }

    /// Gives each worker its socket. A process with another number of workers may have opened them: then a worker has several,
    /// or several share one; but of datagrams only one has a socket, since it has the sessions.
    pub(super) fn add(&mut self, index: usize, asked: Asked, place: ListenPlace, opened: Opened) {
        let port = match &place {
            ListenPlace::Internet(address) => address.port(),
            // Of many, each connection knows its own.
            ListenPlace::Many { .. } | ListenPlace::Unix(_) => 0,
        };
        let endpoint = Arc::new(Endpoint {
            transport: opened.transport,
            place,
            port,
            listener: index,
            asked: asked.clone(),
            sessions: Arc::clone(&opened.sessions),
        });
        let give = |listening: &mut Vec<Listening>, socket: &Arc<OwnedFd>| {
            let (endpoint, socket) = (Arc::clone(&endpoint), Arc::clone(socket));
            listening.push(Listening { endpoint, socket, retired: None, service: None });
        };
        let workers = self.workers;
        for (number, socket) in opened.sockets.iter().enumerate() {
            give(&mut self.listening[number % workers], socket);
        }
        if opened.transport == Transport::Tcp {
            for (number, listening) in self.listening.iter_mut().enumerate().skip(opened.sockets.len()) {
                give(listening, &opened.sockets[number % opened.sockets.len()]);
            }
        }
        self.endpoints.push(endpoint);
        self.opened.insert(asked, opened);
    }
}
