//! How much one client may take: connections at a time, and new ones a second. (How many there may be in all the data
//! path knows: beyond it, it accepts none.)
//!
//! The workers share a table of fixed size without a lock. A client is an IPv4 address or an IPv6 network of 64 bits, as
//! that is what one host gets; its entry is two atomic words, found by a hash with a secret key in it, so that
//! nobody can choose addresses that meet. An entry without connections whose allowance is full again says nothing a new
//! one would not, and may be taken over. Where all places for an entry are in use, the client is let in
//! uncounted, and that is counted: a full table must not lock everybody out. Two workers that first meet a client in the
//! same moment may each make an entry for it, and let in as many more while both are in use.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Instant;

/// What is allowed. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Connections at a time, of one client: up to 65,534.
    pub client_connections: u32,
    /// New connections a second, of one client: up to 10,000.
    pub client_rate: u32,
    /// New connections of one client that may come at once after it was quiet; 0 for as many as in a second. Up
    /// to 10,000.
    pub client_burst: u32,
}

impl Allowance {
    /// Most connections that may be allowed at a time.
    pub const MOST_CONNECTIONS: u32 = 65_534;
    /// Most connections that may be allowed a second, or at once.
    pub const MOST_RATE: u32 = 10_000;
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// This client has as many as it may.
    #[error("the client has as many connections as it may")]
    ClientFull,
    /// This client comes too often.
    #[error("the client connects more often than it may")]
    ClientRate,
}

/// Places in which one client's entry may be.
const WAYS: usize = 8;
/// Sets of them: a table of 1 MiB, for 65,536 clients that are connected at a time or were of late.
const SETS: usize = 8_192;

/// What one client has: `connections` in the upper 16 bits, then 24 bits of its allowance in thousandths of a connection, and
/// 24 bits of the time at which that was so, in milliseconds (it comes round after 4.6 hours).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    connections: u16,
    tokens: u32,
    at: u32,
}

const TIME: u32 = (1 << 24) - 1;
/// Thousandths for one connection.
const ONE: u32 = 1_000;
/// What fits in 24 bits.
const MOST_TOKENS: u32 = 10_000 * ONE;

impl State {
    fn of(word: u64) -> Self {
        Self { connections: (word >> 48) as u16, tokens: (word >> 24) as u32 & TIME, at: word as u32 & TIME }
    }

    fn word(self) -> u64 {
        u64::from(self.connections) << 48 | u64::from(self.tokens) << 24 | u64::from(self.at)
    }
}

/// One client's entry.
#[derive(Debug, Default)]
struct Entry {
    /// The client's hash; 0 while nobody has it.
    client: AtomicU64,
    state: AtomicU64,
}

/// Counts of those let in, shared by the workers.
#[derive(Debug)]
pub struct Limits {
    allowance: Allowance,
    key: RandomState,
    start: Instant,
    table: Box<[Entry]>,
    uncounted: AtomicU64,
}

/// A connection's right to be there; dropping it gives it back.
#[derive(Debug)]
pub struct Admission {
    /// The entry that counts it.
    entry: Option<(Arc<Limits>, usize)>,
}

impl Limits {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(allowance: Allowance, now: Instant) -> Self {
        let by_client = allowance.client_connections > 0 || allowance.client_rate > 0;
        let entries = if by_client { SETS * WAYS } else { 0 };
        Self {
            allowance,
            key: RandomState::new(),
            start: now,
            table: (0..entries).map(|_| Entry::default()).collect(),
            uncounted: AtomicU64::new(0),
        }
    }

    /// Lets a connection in, or says why not. A Unix socket's (`None`) is not counted.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    /// use wharf::proxy::limits::{Allowance, Limits, Refusal};
    ///
    /// let now = Instant::now();
    /// let limits = Arc::new(Limits::new(Allowance { client_connections: 1, ..Allowance::default() }, now));
    /// let client = Some("192.0.2.1".parse().unwrap());
    /// let admission = limits.admit(client, now).unwrap();
    /// assert_eq!(limits.admit(client, now).unwrap_err(), Refusal::ClientFull);
    /// drop(admission);
    /// assert!(limits.admit(client, now).is_ok());
    /// ```
    ///
    /// # Errors
    /// A [`Refusal`]: nothing was counted.
    pub fn admit(self: &Arc<Self>, client: Option<IpAddr>, now: Instant) -> Result<Admission, Refusal> {
        let Some(client) = client.filter(|_| !self.table.is_empty()) else {
            return Ok(Admission { entry: None });
        };
        let entry = self.admit_client(self.hash(client), now)?;
        if entry.is_none() {
            self.uncounted.fetch_add(1, Relaxed);
        }
        Ok(Admission { entry: entry.map(|index| (Arc::clone(self), index)) })
    }

    /// What is allowed.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Connections let in without being counted for their client, as the table had no place for it.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.uncounted.load(Relaxed)
    }

    /// Never 0, which stands for nobody.
    fn hash(&self, client: IpAddr) -> u64 {
        let host = match client.to_canonical() {
            IpAddr::V4(address) => (4_u8, u64::from(address.to_bits())),
            IpAddr::V6(address) => (6, (address.to_bits() >> 64) as u64),
        };
        self.key.hash_one(host).max(1)
    }

    /// The entry that counts it now, or `None` where there is no place for one.
    fn admit_client(&self, client: u64, now: Instant) -> Result<Option<usize>, Refusal> {
        let milliseconds = now.saturating_duration_since(self.start).as_millis() as u32 & TIME;
        let set = (client >> 32) as usize % SETS * WAYS;
        // Whoever changes an entry first wins; the others look again. They are few, so that this ends soon.
        loop {
            let own = (set..set + WAYS).find(|&index| self.table[index].client.load(Relaxed) == client);
            let Some(index) = own else {
                match self.claim(set, client, milliseconds) {
                    Claim::Mine(index) => return Ok(Some(index)),
                    Claim::Lost => continue,
                    Claim::NoPlace => return Ok(None),
                }
            };
            let entry = &self.table[index];
            // With the client that it is the state of, as `claim` stored it.
            let word = entry.state.load(Acquire);
            // Taken over in between, or about to be.
            if word == TAKEN || entry.client.load(Relaxed) != client {
                continue;
            }
            let next = self.one_more(State::of(word), milliseconds)?;
            if entry.state.compare_exchange_weak(word, next.word(), AcqRel, Relaxed).is_ok() {
                return Ok(Some(index));
            }
        }
    }

    /// An entry that nobody needs, with this client's first connection in it.
    fn claim(&self, set: usize, client: u64, now: u32) -> Claim {
        for index in set..set + WAYS {
            let entry = &self.table[index];
            let word = entry.state.load(Relaxed);
            let unused = entry.client.load(Relaxed) == 0;
            if word == TAKEN || !(unused || self.says_nothing(State::of(word), now)) {
                continue;
            }
            if entry.state.compare_exchange(word, TAKEN, Acquire, Relaxed).is_err() {
                return Claim::Lost;
            }
            // Ours alone until its state is another one.
            entry.client.store(client, Relaxed);
            let fresh = State { connections: 0, tokens: self.burst(), at: now };
            // A full allowance has room for one.
            let first = self.one_more(fresh, now).unwrap_or(fresh);
            entry.state.store(first.word(), Release);
            return Claim::Mine(index);
        }
        Claim::NoPlace
    }

    /// Whether it is as good as new.
    fn says_nothing(&self, state: State, now: u32) -> bool {
        state.connections == 0
            && (self.allowance.client_rate == 0 || self.refilled(state, now) >= self.burst())
    }

    /// Its allowance by now.
    fn refilled(&self, state: State, now: u32) -> u32 {
        let passed = u64::from(now.wrapping_sub(state.at) & TIME);
        // A thousandth a millisecond is one a second.
        let earned = passed * u64::from(self.allowance.client_rate.min(10_000));
        u32::try_from(u64::from(state.tokens) + earned).unwrap_or(u32::MAX).min(self.burst())
    }

    fn burst(&self) -> u32 {
        let Allowance { client_rate, client_burst, .. } = self.allowance;
        let burst = if client_burst > 0 { client_burst } else { client_rate };
        burst.saturating_mul(ONE).min(MOST_TOKENS)
    }

    fn one_more(&self, state: State, now: u32) -> Result<State, Refusal> {
        let most = match self.allowance.client_connections {
            0 => u16::MAX,
            most => u16::try_from(most).unwrap_or(u16::MAX),
        };
        // The last value is kept for entries that change hands.
        if state.connections >= most.min(u16::MAX - 1) {
            return Err(Refusal::ClientFull);
        }
        let mut tokens = self.refilled(state, now);
        if self.allowance.client_rate > 0 {
            tokens = tokens.checked_sub(ONE).ok_or(Refusal::ClientRate)?;
        }
        Ok(State { connections: state.connections + 1, tokens, at: now })
    }
}

/// The state of an entry that is changing hands: no client has so many connections.
const TAKEN: u64 = u64::MAX;

/// What became of the wish for an entry.
enum Claim {
    Mine(usize),
    /// Somebody else was quicker: look again.
    Lost,
    NoPlace,
}

impl Admission {
    /// For one that was let in elsewhere, and counts for nobody here.
    pub(super) fn uncounted() -> Self {
        Self { entry: None }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some((limits, index)) = &self.entry {
            // An entry with a connection in it stays its client's.
            limits.table[*index].state.fetch_sub(1 << 48, Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn limits(allowance: Allowance) -> (Arc<Limits>, Instant) {
        let now = Instant::now();
        (Arc::new(Limits::new(allowance, now)), now)
    }

    fn client(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(number).into())
    }

    fn counted(limits: &Limits) -> u32 {
        let states = limits.table.iter().map(|entry| State::of(entry.state.load(Relaxed)));
        states.map(|state| u32::from(state.connections)).sum()
    }

    #[test]
    fn each_client_has_its_own_limit() {
        let (limits, now) = limits(Allowance { client_connections: 2, ..Allowance::default() });
        let mut held: Vec<_> = [1, 1, 2, 2].map(|number| limits.admit(client(number), now).unwrap()).into();
        assert_eq!(limits.admit(client(1), now).unwrap_err(), Refusal::ClientFull);
        held.push(limits.admit(None, now).unwrap());
        assert_eq!(counted(&limits), 4);
        held.remove(0);
        assert!(limits.admit(client(2), now).is_err() && limits.admit(client(1), now).is_ok());
        drop(held);
        assert_eq!((counted(&limits), limits.uncounted()), (0, 0));
        let (limits, now) = self::limits(Allowance::default());
        assert!((0..100).all(|_| limits.admit(client(1), now).is_ok()), "no limit");
    }

    #[test]
    fn a_rate_allows_a_burst_and_then_one_at_a_time() {
        let (limits, now) = limits(Allowance { client_rate: 10, client_burst: 3, ..Allowance::default() });
        let admit = |milliseconds| limits.admit(client(1), now + Duration::from_millis(milliseconds)).is_ok();
        assert_eq!([0; 4].map(admit), [true, true, true, false]);
        assert_eq!([99, 100, 100, 199, 200].map(admit), [false, true, false, false, true]);
        assert_eq!([5_000; 4].map(admit), [true, true, true, false], "no more than the burst is saved up");
        assert!(limits.admit(client(2), now).is_ok(), "another client");
        // The time comes round after 4.6 hours.
        let round = u64::from(TIME) + 1;
        assert_eq!([round + 5_100, round + 5_100].map(admit), [true, false]);
    }

    #[test]
    fn an_ipv6_client_is_a_network_of_64_bits() {
        let (limits, now) = limits(Allowance { client_connections: 1, ..Allowance::default() });
        let admit = |text: &str| limits.admit(Some(text.parse().unwrap()), now);
        let _held = [admit("2001:db8::1").unwrap(), admit("192.0.2.1").unwrap()];
        assert_eq!(admit("2001:db8::ffff:2").unwrap_err(), Refusal::ClientFull);
        assert_eq!(admit("::ffff:192.0.2.1").unwrap_err(), Refusal::ClientFull);
        assert!(admit("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn a_full_table_lets_in_and_says_so() {
        let (limits, now) = limits(Allowance { client_connections: 1, ..Allowance::default() });
        let held: Vec<_> = (0..200_000).map(|number| limits.admit(client(number), now).unwrap()).collect();
        let uncounted = limits.uncounted();
        assert!((130_000..200_000).contains(&uncounted), "{uncounted}");
        drop(held);
        // Nobody is there any more: all places are free again.
        let held: Vec<_> = (0..10_000).map(|number| limits.admit(client(!number), now).unwrap()).collect();
        assert_eq!((limits.uncounted(), counted(&limits)), (uncounted, 10_000));
        drop(held);
    }

    #[test]
    fn threads_do_not_lose_count() {
        let (limits, now) =
            limits(Allowance { client_connections: 3, client_rate: 0, ..Allowance::default() });
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let limits = &limits;
                scope.spawn(move || {
                    for step in 0..30_000_u32 {
                        // A few clients met by all, and many that each comes by once, for whom entries change hands.
                        let few = limits.admit(client(step % 7), now);
                        let many = limits.admit(client((thread + 1) * 1_000_000 + step), now);
                        drop((few, many));
                    }
                });
            }
        });
        assert_eq!((counted(&limits), limits.uncounted()), (0, 0));
        for number in 0..7 {
            let admit = || limits.admit(client(number), now);
            let held = [admit(), admit(), admit()];
            assert!(held.iter().all(Result::is_ok) && admit().is_err());
        }
    }
}
