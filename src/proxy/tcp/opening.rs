//! What a connection says before it goes anywhere: who its client is, by a PROXY header, and which route it takes.
//!
//! The bytes are looked at where they are (`MSG_PEEK`), so that a client that is silent costs nothing and what it said is
//! still all there for the server; only a PROXY header is taken out.

use super::super::counters::Counters;
use super::super::detect::{self, Choice, Condition, Patience};
use super::super::plan::Plan;
use super::super::proxy_protocol::{self, Header, MAX_WRITTEN};
use super::connection::Connection;
use crate::parse::Prefix;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::net::SocketAddr;
use std::time::Instant;

/// Bytes that are looked at again whenever there are more: one that takes no more to be told may be told by fewer that it
/// is none.
const CHEAP: usize = 64;

/// Why a connection goes nowhere; each has its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// The client has as many connections as it may, or comes too often.
    Limited,
    /// No PROXY header, or one not to go by, from where there has to be one.
    BadHeader,
    /// No route is for it.
    NoRoute,
    /// The client has gone.
    Failed(Errno),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A route was chosen.
    Connect,
    /// The client has to say more.
    Wait,
    /// It is over.
    Over(Nowhere),
}

impl Nowhere {
    pub(super) fn counter(self, counters: &Counters) -> Option<&super::Counter> {
        match self {
            Self::Limited => Some(&counters.ended.limited),
            Self::BadHeader => Some(&counters.ended.bad_header),
            Self::NoRoute => Some(&counters.ended.no_route),
            Self::Failed(_) => None,
        }
    }
}

/// Goes on with a connection that has no route yet. `buffer` has room for [`detect::MOST`] bytes at least.
pub(super) fn go_on(
    connection: &mut Connection,
    plan: &Plan,
    buffer: &mut [u8],
    mut patience: Patience,
    now: Instant,
) -> Step {
    if connection.wants_header {
        match take_header(connection, buffer, patience) {
            Ok(true) => connection.wants_header = false,
            Ok(false) => return Step::Wait,
            Err(nowhere) => return Step::Over(nowhere),
        }
    }
    let source = connection.source().map(|source| source.ip());
    if connection.admission.is_none() {
        match plan.limits.admit(source, now) {
            Ok(admission) => connection.admission = Some(admission),
            Err(_) => return Step::Over(Nowhere::Limited),
        }
    }
    let Some(service) = connection.service() else { return Step::Connect };
    let choice = match service.ways.as_slice() {
        [way] if way.condition == Condition::default() => Choice::Route(0),
        ways => {
            let conditions = ways.iter().map(|way| &way.condition);
            let mut bytes = &[][..];
            if service.needs_bytes {
                bytes = match peek(connection, &mut buffer[..detect::MOST]) {
                    Ok(Some(bytes)) => bytes,
                    // It has closed its side: no more will come.
                    Ok(None) => {
                        patience = Patience::Over;
                        &[]
                    }
                    Err(error) => return Step::Over(Nowhere::Failed(error)),
                };
            }
            if bytes.len() > CHEAP && bytes.len() < connection.needs && patience == Patience::Left {
                return Step::Wait;
            }
            detect::choose(conditions, source, bytes, patience)
        }
    };
    match choice {
        Choice::Route(way) => {
            connection.way = Some(way);
            Step::Connect
        }
        Choice::Needs(length) => {
            connection.needs = length;
            Step::Wait
        }
        Choice::None => Step::Over(Nowhere::NoRoute),
    }
}

/// What is there to read, left there; `None` where the client has said all and it was taken.
fn peek<'a>(connection: &Connection, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, Errno> {
    loop {
        match recv(&connection.client.socket, &mut *buffer, RecvFlags::PEEK) {
            Ok((_, 0)) => return Ok(None),
            Ok((_, length)) => return Ok(Some(&buffer[..length])),
            Err(Errno::AGAIN) => return Ok(Some(&[])),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes a PROXY header out; false where it is not all there yet.
fn take_header(connection: &mut Connection, buffer: &mut [u8], patience: Patience) -> Result<bool, Nowhere> {
    let room = proxy_protocol::MAX_LENGTH;
    let bytes = match peek(connection, &mut buffer[..room]) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Nowhere::BadHeader),
        Err(error) => return Err(Nowhere::Failed(error)),
    };
    match proxy_protocol::decode(bytes) {
        Prefix::Complete((header, length)) => {
            // They are there: it takes one call.
            match recv(&connection.client.socket, &mut buffer[..length], RecvFlags::empty()) {
                Ok((_, taken)) if taken == length => {}
                Ok(_) => return Err(Nowhere::BadHeader),
                Err(error) => return Err(Nowhere::Failed(error)),
            }
            if let Header::Proxied { source, destination, .. } = header {
                connection.proxied = Some(Box::new((source, destination)));
            }
            Ok(true)
        }
        Prefix::NeedMore { .. } if patience == Patience::Left => Ok(false),
        Prefix::NeedMore { .. } | Prefix::Other(_) => Err(Nowhere::BadHeader),
    }
}

/// The PROXY header for the server, if the route wants one.
pub(super) fn header(connection: &Connection, way: &super::super::plan::Way) -> Option<Box<[u8]>> {
    let version = way.send_proxy?;
    let asked = || -> Option<SocketAddr> {
        let address = rustix::net::getsockname(&connection.client.socket).ok()?;
        SocketAddr::try_from(address).ok()
    };
    let ends = match &connection.proxied {
        Some(ends) => Some(**ends),
        None => connection.peer.zip(asked()),
    };
    let header = match ends {
        Some((source, destination)) => {
            Header::Proxied { transport: super::super::config::Transport::Tcp, source, destination }
        }
        None => Header::Unknown,
    };
    let mut out = [0; MAX_WRITTEN];
    let length = proxy_protocol::encode(&header, version, &mut out);
    Some(out[..length].into())
}

#[cfg(test)]
mod tests {
    use super::super::super::config::Config;
    use super::super::super::plan::Servers;
    use super::super::super::share::Share;
    use super::super::side::Side;
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    /// A client that trickles is not read from its beginning for each byte.
    #[test]
    fn a_route_is_asked_for_again_when_it_may_be_another_answer() {
        let text = r#"
            upstream.a.servers = ["192.0.2.1:1"]
            [[listener]]
            bind = ["tcp/80"]
            route = [{ to = "a", spoken = ["http2"] }, { to = "a", spoken = ["http"] }]
        "#;
        let config = Config::from_toml(text).unwrap();
        let now = Instant::now();
        let mut servers = Servers::default();
        let (listening, share) = (Arc::default(), Share::default());
        let plan = Plan::new(&config, &Default::default(), &mut servers, &listening, share, None, now);
        let (socket, mut client) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let side = Side::new(socket.into(), true, true);
        let service = Arc::clone(&plan.services[0]);
        let mut connection = Connection::new(service, 80, None, side, 0, now);
        let mut buffer = vec![0; detect::MOST];
        let mut go_on = |connection: &mut Connection, patience| {
            let step = super::go_on(connection, &plan, &mut buffer, patience, now);
            (step, connection.needs)
        };
        // HTTP/2's preface is 24 bytes; that this is none is told by two of them.
        for (said, step) in [
            (&b""[..], (Step::Wait, 24)),
            (b"P", (Step::Wait, 24)),
            (b"UT / HTTP/1.0", (Step::Wait, 15)),
            (b"\r\n\r\n", (Step::Connect, 15)),
        ] {
            client.write_all(said).unwrap();
            assert_eq!(go_on(&mut connection, Patience::Left), step);
        }
        // As if some other answer had been that a hundred are needed: fewer are not looked at once they are many.
        connection.needs = 100;
        assert_eq!(go_on(&mut connection, Patience::Left), (Step::Connect, 100));
        client.write_all(&[b'x'; CHEAP]).unwrap();
        assert_eq!(go_on(&mut connection, Patience::Left), (Step::Wait, 100));
        // Who says no more is judged by what is there.
        assert_eq!(go_on(&mut connection, Patience::Over), (Step::Connect, 100));
        client.write_all(&[b'x'; 100]).unwrap();
        assert_eq!(go_on(&mut connection, Patience::Left), (Step::Connect, 100));
    }
}
