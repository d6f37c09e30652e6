//! Ranges of ports that share a socket: where the kernel lets us say which socket has a connection, a thousand ports cost no
//! more than one. Elsewhere each has a socket of its own, and nothing else is different.

use super::config::{Config, Transport};
use super::error::Error;
use super::listen::{Sockets, bind, open_at};
use super::shared::ListenPlace;
use crate::sys::port_steering::{MOST_RANGES, PortSteering, Ports};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;

/// Ports of one rule from which on it is worth it.
pub(super) const MANY: usize = 64;

/// What may share a socket.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The listener's place in the configuration.
    pub(super) listener: usize,
    pub(super) address: Option<IpAddr>,
    /// In order, each but once, none of them 0, at least one.
    pub(super) ports: Vec<u16>,
}

/// A port of an address, as a rule names it.
pub(super) type Named = (Transport, Option<IpAddr>, u16);

/// Opens them, sharing what can be shared. `taken`: all ports that the configuration names.
pub(super) fn open(
    sockets: &mut Sockets,
    config: &Config,
    candidates: Vec<Candidate>,
    taken: &HashSet<Named>,
) -> Result<(), Error> {
    let (shared, mut single): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| may_share(candidate, taken));
    let mut opened = Vec::new();
    for candidate in &shared {
        let options = &config.listeners[candidate.listener].options;
        opened.push(open_at(
            options,
            Transport::Tcp,
            candidate.address,
            candidate.ports[0],
            sockets.workers.len(),
        )?);
    }
    let ports =
        |candidate: &Candidate| Ports { address: candidate.address, ranges: ranges(&candidate.ports) };
    let rules: Vec<_> =
        shared.iter().map(ports).zip(opened.iter().map(|(_, sockets)| sockets[0].as_fd())).collect();
    let steering = if rules.is_empty() { None } else { PortSteering::attach(&rules).ok() };
    drop(rules);
    match steering {
        Some(steering) => {
            for (candidate, opened) in shared.into_iter().zip(opened) {
                nobody_else(config, &candidate, opened.0)?;
                let place = ListenPlace::Many { address: opened.0.ip(), ranges: ranges(&candidate.ports) };
                sockets.add(candidate.listener, Transport::Tcp, place, opened.1);
            }
            sockets.kept.steering = Some(steering);
        }
        // Not allowed, or an older kernel.
        None => {
            drop(opened);
            single.extend(shared);
        }
    }
    for Candidate { listener, address, ports } in single {
        for port in ports {
            sockets.open_port(&config.listeners[listener], listener, Transport::Tcp, address, port)?;
        }
    }
    Ok(())
}

/// Whether no other rule has one of the ports at another address: of two sockets the kernel prefers the one with the
/// address, and the one for many ports would come before both.
fn may_share(candidate: &Candidate, taken: &HashSet<Named>) -> bool {
    let other = |(transport, address, port): &Named| {
        *transport == Transport::Tcp
            && *address != candidate.address
            && candidate.ports.binary_search(port).is_ok()
    };
    ranges(&candidate.ports).len() <= MOST_RANGES && !taken.iter().any(other)
}

/// Another process that listens on one of the ports would lose it without a word: it is found out as it is where each
/// port has a socket.
fn nobody_else(config: &Config, candidate: &Candidate, at: SocketAddr) -> Result<(), Error> {
    let options = &config.listeners[candidate.listener].options;
    for &port in &candidate.ports[1..] {
        let address = SocketAddr::new(at.ip(), port);
        bind(options, Transport::Tcp, address, false)
            .map_err(|error| Error::Listen { place: format!("tcp {address}"), error })?;
    }
    Ok(())
}

/// Ports in order as ranges.
fn ranges(ports: &[u16]) -> Vec<RangeInclusive<u16>> {
    let runs = ports.chunk_by(|before, next| before.checked_add(1) == Some(*next));
    runs.filter_map(|run| Some(*run.first()?..=*run.last()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_a_row_are_a_range() {
        assert_eq!(ranges(&[1, 2, 3, 5, 65_534, 65_535]), [1..=3, 5..=5, 65_534..=65_535]);
        assert!(ranges(&[]).is_empty());
    }

    #[test]
    fn ports_that_another_address_has_too_are_not_shared() {
        let candidate = |address: &str| Candidate {
            listener: 0,
            address: Some(address.parse().unwrap()),
            ports: (100..200).collect(),
        };
        let taken = |address: &str, transport, port| {
            HashSet::from([(transport, Some(address.parse().unwrap()), port)])
        };
        assert!(may_share(&candidate("127.0.0.1"), &taken("127.0.0.1", Transport::Tcp, 150)));
        assert!(may_share(&candidate("127.0.0.1"), &taken("127.0.0.2", Transport::Tcp, 99)));
        assert!(may_share(&candidate("127.0.0.1"), &taken("127.0.0.2", Transport::Udp, 150)));
        assert!(!may_share(&candidate("127.0.0.1"), &taken("127.0.0.2", Transport::Tcp, 150)));
    }
}
