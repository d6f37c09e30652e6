//! Upstreams: which server a connection goes to.
//!
//! An [`Upstream`] is what the configuration says: servers with weights and a way to [balance](Balance). It does not change; a reload, or
//! a name that comes to mean other addresses, makes a new one around the same [`Server`]s, which carry what is
//! known of them. The workers share all of it without a lock: a server's state is a few atomic numbers, and whose
//! turn it is each worker remembers for itself ([`Turn`]).
//!
//! | file | what |
//! | --- | --- |
//! | `server` | one server's state: connections, health, failures |
//! | `maglev` | the table of the consistent hash |
//! | `hash` | the hash, the same on every instance |

mod hash;
mod maglev;
mod server;

pub(in crate::proxy) use server::Standing;
pub use server::{Address, Held, Server};

use super::config::{Balance, Ejection};
use hash::{hash, stir};
use maglev::Maglev;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// A server as an upstream has it.
#[derive(Clone, Debug)]
pub struct Member {
    /// The server.
    pub server: Arc<Server>,
    /// Its share beside the others'; 0 for none.
    pub weight: u32,
    /// The most connections it may have at a time; 0 for no limit.
    pub max_connections: u32,
    /// It keeps the connections it has and gets no new ones.
    pub draining: bool,
}

/// Servers, one of which a connection goes to.
#[derive(Debug)]
pub struct Upstream {
    members: Box<[Member]>,
    balance: Balance,
    ejection: Ejection,
    table: Option<Maglev>,
}

/// Whose turn it is, as one worker sees it.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// What each member is owed, for round robin: they sum to 0.
    owed: Vec<i64>,
    /// Where to look first among equals.
    start: usize,
}

impl Turn {
    /// For one of several workers, which begin at different servers.
    #[must_use]
    pub fn of_worker(worker: usize) -> Self {
        Self { owed: Vec::new(), start: worker }
    }
}

impl Upstream {
    /// Servers and how to choose among them. At most 65,535 count; their names should differ.
    #[must_use]
    pub fn new(balance: Balance, ejection: Ejection, members: Vec<Member>) -> Self {
        let shares = members.iter().map(|member| (member.server.name(), member.weight));
        let table = (balance == Balance::ConsistentHash).then(|| Maglev::new(shares)).flatten();
        Self { members: members.into(), balance, ejection, table }
    }

    /// Whether one of these would be the same.
    pub(in crate::proxy) fn is_of(&self, balance: Balance, ejection: Ejection, members: &[Member]) -> bool {
        let same = |(one, other): (&Member, &Member)| {
            Arc::ptr_eq(&one.server, &other.server)
                && (one.weight, one.max_connections, one.draining)
                    == (other.weight, other.max_connections, other.draining)
        };
        (self.balance, self.ejection) == (balance, ejection)
            && self.members.len() == members.len()
            && self.members.iter().zip(members).all(same)
    }

    /// Its servers, in the order given.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// A place at a server for a connection of `client` (`None`: a Unix socket's), `now`.
    ///
    /// Left out are those that drain, are full, were found ill by active checks, or were `tried` before. A
    /// server that is out for failures is chosen only when there is no other: a wrong guess must not turn an upstream off. `None`
    /// when none is left.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    /// use wharf::proxy::config::{Balance, Ejection};
    /// use wharf::proxy::upstream::{Address, Member, Server, Turn, Upstream};
    ///
    /// let now = Instant::now();
    /// let member = |name: &str| Member {
    ///     server: Arc::new(Server::new(
    ///         name,
    ///         Address::Ip { address: name.parse().unwrap(), port: Some(80) },
    ///         now,
    ///     )),
    ///     weight: 1,
    ///     max_connections: 0,
    ///     draining: false,
    /// };
    /// let members = vec![member("192.0.2.1"), member("192.0.2.2")];
    /// let upstream = Upstream::new(Balance::ConsistentHash, Ejection::default(), members);
    /// let (mut turn, client) = (Turn::default(), "198.51.100.7".parse().unwrap());
    /// let first = upstream.pick(&mut turn, Some(client), &[], now).unwrap();
    /// let tried = [Arc::clone(first.server())];
    /// let second = upstream.pick(&mut turn, Some(client), &tried, now).unwrap();
    /// assert_ne!(first.server().name(), second.server().name());
    /// ```
    #[must_use]
    pub fn pick(
        &self,
        turn: &mut Turn,
        client: Option<IpAddr>,
        tried: &[Arc<Server>],
        now: Instant,
    ) -> Option<Held> {
        let usable = |member: &Member, even_ejected: bool| {
            member.has_room()
                && member.server.is_healthy()
                && (even_ejected || !member.server.is_ejected(now))
                && !tried.iter().any(|server| Arc::ptr_eq(server, &member.server))
        };
        for even_ejected in [false, true] {
            // Another worker may take the last place first: the server is full then, and is not chosen again.
            for _ in 0..=self.members.len() {
                let usable = |member: &Member| usable(member, even_ejected);
                let chosen = match self.balance {
                    Balance::RoundRobin => self.in_turn(turn, usable),
                    Balance::LeastConnections => self.least(turn, usable),
                    Balance::ConsistentHash => self.by_client(client, usable),
                };
                let Some(member) = chosen.map(|index| &self.members[index]) else { break };
                if let Some(held) = member.server.take(member.max_connections, self.ejection) {
                    return Some(held);
                }
            }
        }
        None
    }

    /// Smooth weighted round robin: each is owed its weight a turn, and the one owed most pays for all.
    fn in_turn(&self, turn: &mut Turn, usable: impl Fn(&Member) -> bool) -> Option<usize> {
        let count = self.members.len();
        if turn.owed.len() != count {
            turn.owed = vec![0; count];
        }
        let (mut best, mut total) = (None, 0);
        // Each worker's round begins elsewhere.
        for index in from(turn.start, count) {
            let member = &self.members[index];
            if !usable(member) {
                continue;
            }
            total += i64::from(member.weight);
            turn.owed[index] += i64::from(member.weight);
            if best.is_none_or(|best: usize| turn.owed[index] > turn.owed[best]) {
                best = Some(index);
            }
        }
        turn.owed[best?] -= total;
        best
    }

    /// Fewest connections, this one counted, for the weight; among equals in turn.
    fn least(&self, turn: &mut Turn, usable: impl Fn(&Member) -> bool) -> Option<usize> {
        let count = self.members.len();
        turn.start = turn.start.wrapping_add(1);
        let load = |index: usize| u64::from(self.members[index].server.active()) + 1;
        let mut best: Option<(usize, u64)> = None;
        for index in from(turn.start, count) {
            if !usable(&self.members[index]) {
                continue;
            }
            let (load, weight) = (load(index), u64::from(self.members[index].weight));
            // a / b < c / d, without a division.
            if best.is_none_or(|(best, least)| load * u64::from(self.members[best].weight) < least * weight) {
                best = Some((index, load));
            }
        }
        best.map(|(index, _)| index)
    }

    /// The server the table gives. While that one is not usable its clients, and no others, are shared out: each draws
    /// again from the same table, with a hash that follows from its own, so that every instance draws the same.
    fn by_client(&self, client: Option<IpAddr>, usable: impl Fn(&Member) -> bool) -> Option<usize> {
        /// Draws before all servers are compared instead: one draw in two would still have to miss a hundred times.
        const DRAWS: u32 = 100;
        let table = self.table.as_ref()?;
        let mut drawn = client_hash(client);
        for _ in 0..DRAWS {
            let index = table.server(drawn);
            if usable(&self.members[index]) {
                return Some(index);
            }
            drawn = stir(drawn.wrapping_add(1));
        }
        // Nearly nobody is usable: the highest hash of server and client wins.
        let score = |member: &Member| hash(member.server.name().as_bytes(), drawn);
        let usable = self.members.iter().enumerate().filter(|(_, member)| usable(member));
        usable.max_by_key(|(_, member)| score(member)).map(|(index, _)| index)
    }
}

impl Member {
    fn has_room(&self) -> bool {
        let full = self.max_connections > 0 && self.server.active() >= self.max_connections;
        self.weight > 0 && !self.draining && !full
    }
}

/// All of `count` places, from one on and round.
fn from(start: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| (start % count + step) % count)
}

/// Clients are told apart by their address; all that have none are one.
fn client_hash(client: Option<IpAddr>) -> u64 {
    match client.map(|client| client.to_canonical()) {
        Some(IpAddr::V4(address)) => hash(&address.octets(), 0),
        Some(IpAddr::V6(address)) => hash(&address.octets(), 0),
        None => hash(&[], 0),
    }
}

#[cfg(test)]
mod tests;
