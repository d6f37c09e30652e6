//! Ranges of ports that share a socket: where the kernel lets us say which socket has a connection, a thousand ports cost no
//! more than one. Elsewhere each has a socket of its own, and nothing else is different.

use super::super::config::Transport;
use super::super::error::Error;
use super::super::shared::ListenPlace;
use super::opening::Opening;
use super::socket::bind;
use super::{Asked, Opened};
use crate::sys::port_steering::{MOST_RANGES, PortSteering, Ports};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

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

/// Ports, and the socket that has them.
type Rule = (Ports, Arc<OwnedFd>);

/// The kernel's part, and what it was told: the same rules for the same sockets need no other one.
#[derive(Debug)]
pub(in super::super) struct Steering {
    pub(in super::super) rules: Vec<Rule>,
    pub(in super::super) kernel: PortSteering,
}

impl Steering {
    fn does(&self, rules: &[Rule]) -> bool {
        let same = |(one, other): (&Rule, &Rule)| one.0 == other.0 && Arc::ptr_eq(&one.1, &other.1);
        self.rules.len() == rules.len() && self.rules.iter().zip(rules).all(same)
    }
}

/// Opens them, sharing what can be shared. `taken`: all ports that the configuration names.
pub(super) fn open(
    opening: &mut Opening<'_>,
    candidates: Vec<Candidate>,
    taken: &HashSet<Named>,
) -> Result<Option<Arc<Steering>>, Error> {
    let (shared, mut single): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| may_share(candidate, taken));
    let mut opened: Vec<(Asked, Opened)> = Vec::new();
    for candidate in &shared {
        opened.push(opening.port(
            candidate.listener,
            Transport::Tcp,
            candidate.address,
            candidate.ports[0],
        )?);
    }
    let ports =
        |candidate: &Candidate| Ports { address: candidate.address, ranges: ranges(&candidate.ports) };
    let rules: Vec<_> = shared
        .iter()
        .map(ports)
        .zip(opened.iter().map(|(_, opened)| Arc::clone(&opened.sockets[0])))
        .collect();
    let before = opening.before.steering.as_ref();
    let steering = match before.filter(|steering| steering.does(&rules)) {
        _ if rules.is_empty() => None,
        Some(steering) => Some(Arc::clone(steering)),
        None => {
            let borrowed: Vec<_> =
                rules.iter().map(|(ports, socket)| (ports.clone(), socket.as_fd())).collect();
            let kernel = PortSteering::attach(&borrowed).ok();
            kernel.map(|kernel| Arc::new(Steering { rules, kernel }))
        }
    };
    match &steering {
        Some(_) => {
            for (candidate, (asked, opened)) in shared.into_iter().zip(opened) {
                let ListenPlace::Internet(at) = opened.place else { continue };
                nobody_else(opening, &candidate, at)?;
                let place = ListenPlace::Many { address: at.ip(), ranges: ranges(&candidate.ports) };
                opening.add(candidate.listener, asked, place, opened);
            }
        }
        // Not allowed, or an older kernel.
        None => {
            drop(opened);
            single.extend(shared);
        }
    }
    for Candidate { listener, address, ports } in single {
        for port in ports {
            opening.open_port(listener, Transport::Tcp, address, port)?;
        }
    }
    Ok(steering)
}

/// Whether no other rule has one of the ports at another address of the family: of two sockets the kernel prefers the one
/// with the address, and the one for many ports would come before both.
fn may_share(candidate: &Candidate, taken: &HashSet<Named>) -> bool {
    let apart = |one: Option<IpAddr>, other: Option<IpAddr>| {
        one.zip(other).is_some_and(|(one, other)| one.is_ipv4() != other.is_ipv4())
    };
    let other = |(transport, address, port): &Named| {
        *transport == Transport::Tcp
            && *address != candidate.address
            && !apart(*address, candidate.address)
            && candidate.ports.binary_search(port).is_ok()
    };
    ranges(&candidate.ports).len() <= MOST_RANGES && !taken.iter().any(other)
}

/// Another process that listens on one of the ports would lose it without a word: it is found out as it is where each
/// port has a socket. Those that have one of ours by now are ours.
fn nobody_else(opening: &Opening<'_>, candidate: &Candidate, at: SocketAddr) -> Result<(), Error> {
    let options = &opening.config.listeners[candidate.listener].options;
    for &port in &candidate.ports[1..] {
        let asked = Asked::Port { transport: Transport::Tcp, address: candidate.address, port, count: 0 };
        if opening.before.opened.contains_key(&asked) {
            continue;
        }
        let address = SocketAddr::new(at.ip(), port);
        bind(options, Transport::Tcp, candidate.address, address, false)
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
        assert!(may_share(&candidate("::"), &taken("0.0.0.0", Transport::Tcp, 150)));
        assert!(!may_share(&candidate("::"), &taken("::1", Transport::Tcp, 150)));
        let both = HashSet::from([(Transport::Tcp, None, 150)]);
        assert!(!may_share(&candidate("::"), &both) && !may_share(&candidate("0.0.0.0"), &both));
    }
}
