//! Upstreams as the workers have them, of what the configuration says.

use super::config::{self, Place};
use super::error::Error;
use super::upstream::{Address, Member, Server, Upstream};
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Instant;

/// Looks names up, once, and waits for it.
pub(super) fn upstream(config: &config::Upstream) -> Result<Upstream, Error> {
    let now = Instant::now();
    let mut members = Vec::new();
    for server in &config.servers {
        for address in addresses(&server.place)? {
            members.push(Member {
                server: Arc::new(Server::new(address.to_string(), address, now)),
                weight: server.weight.into(),
                max_connections: server.max_connections,
                draining: server.drain,
            });
        }
    }
    Ok(Upstream::new(config.balance, config.ejection, members))
}

fn addresses(place: &Place) -> Result<Vec<Address>, Error> {
    match place {
        Place::Address { address, port } => Ok(vec![Address::Ip { address: *address, port: *port }]),
        Place::Unix(path) => Ok(vec![Address::Unix(path.clone())]),
        Place::Name { name, port } => {
            let failed = |error| Error::Resolve { name: name.clone(), error };
            let found = (name.as_str(), port.unwrap_or(0)).to_socket_addrs().map_err(failed)?;
            let mut found: Vec<_> =
                found.map(|found| Address::Ip { address: found.ip(), port: *port }).collect();
            found.dedup();
            match found.is_empty() {
                true => Err(failed(io::Error::from(io::ErrorKind::NotFound))),
                false => Ok(found),
            }
        }
    }
}
