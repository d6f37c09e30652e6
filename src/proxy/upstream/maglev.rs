//! Maglev's table: a client's hash chooses a server, the same on every instance that has the same servers.
//!
//! Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4. Each server
//! goes through the table's places in an order of its own and takes the next free one at its turns; a heavier server
//! has more turns. When a server goes, its places are shared out and few others change hands.

use super::hash::hash;

/// Places of a table for up to [`FEW`] servers: a prime, and over 100 times as many, so that shares differ
/// by less than 1 % (section 5.3).
const PLACES: u32 = 65_537;
/// The same for more.
const MORE_PLACES: u32 = 655_373;
/// Servers up to which the small table serves.
const FEW: usize = 600;

/// Which server each place belongs to.
#[derive(Clone, Debug)]
pub(super) struct Maglev {
    places: Box<[u16]>,
}

/// How one server goes through the table.
struct Walk {
    server: u16,
    at: u32,
    skip: u32,
    weight: u64,
    /// Sum of the weights it has used up, in units of the greatest weight.
    spent: u64,
}

impl Maglev {
    /// The table for servers by name and weight; those of weight 0 have no place. `None` when there is no other.
    ///
    /// The order of the servers does not matter; their names should differ. At most 65,535 servers count.
    pub(super) fn new<'a>(servers: impl IntoIterator<Item = (&'a str, u32)>) -> Option<Self> {
        let mut named: Vec<_> = (0..u16::MAX).zip(servers).filter(|(_, (_, weight))| *weight > 0).collect();
        named.sort_unstable_by_key(|(_, (name, _))| *name);
        let size = if named.len() > FEW { MORE_PLACES } else { PLACES };
        let greatest = u64::from(named.iter().map(|(_, (_, weight))| *weight).max()?);
        let mut walks: Vec<_> = named
            .into_iter()
            .map(|(server, (name, weight))| Walk {
                server,
                at: (hash(name.as_bytes(), 1) % u64::from(size)) as u32,
                skip: (hash(name.as_bytes(), 2) % u64::from(size - 1)) as u32 + 1,
                weight: u64::from(weight),
                spent: 0,
            })
            .collect();
        const FREE: u16 = u16::MAX;
        let mut places = vec![FREE; size as usize].into_boxed_slice();
        let mut left = size;
        for round in 1_u64.. {
            for walk in &mut walks {
                // The heaviest has a turn in every round, one of half its weight in every other.
                if round * walk.weight < walk.spent + greatest {
                    continue;
                }
                walk.spent += greatest;
                // The table's size is a prime: every walk comes by every place.
                while places[walk.at as usize] != FREE {
                    walk.at = (walk.at + walk.skip) % size;
                }
                places[walk.at as usize] = walk.server;
                left -= 1;
                if left == 0 {
                    return Some(Self { places });
                }
            }
        }
        None
    }

    /// The server, by its place in what the table was made of, that a client with this hash belongs to.
    pub(super) fn server(&self, client: u64) -> usize {
        // High bits times length: as even as a remainder, without a division.
        let place = (u128::from(client) * self.places.len() as u128) >> 64;
        usize::from(self.places[place as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::stir;
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("10.0.{}.{}:8080", index / 256, index % 256)).collect()
    }

    fn equal(names: &[String]) -> Maglev {
        Maglev::new(names.iter().map(|name| (name.as_str(), 1))).expect("servers")
    }

    const CLIENTS: u64 = 100_000;

    /// The bar: of N servers one goes; no more than 1/N + 2 % of the clients change servers.
    #[test]
    fn a_server_that_goes_takes_few_clients_along() {
        for count in [2, 3, 5, 10, 20, 50, 100, 500, 700] {
            let all = names(count);
            let before = equal(&all);
            for gone in [0, count / 2, count - 1] {
                let mut left = all.clone();
                left.remove(gone);
                let after = equal(&left);
                let moved = (0..CLIENTS)
                    .map(stir)
                    .filter(|&client| all[before.server(client)] != left[after.server(client)])
                    .count();
                let share = moved as f64 / CLIENTS as f64;
                assert!(share <= 1.0 / count as f64 + 0.02, "{gone} of {count}: {share}");
                assert!(share > 0.0, "nobody moved");
            }
        }
    }

    #[test]
    fn shares_are_even_and_follow_the_weights() {
        let named = names(5);
        let weights = [1, 2, 3, 4, 0];
        let table = Maglev::new(named.iter().map(String::as_str).zip(weights)).expect("servers");
        let mut shares = [0_u32; 5];
        for client in (0..CLIENTS).map(stir) {
            shares[table.server(client)] += 1;
        }
        for (share, weight) in shares.into_iter().zip(weights) {
            let (share, due) = (f64::from(share) / CLIENTS as f64, f64::from(weight) / 10.0);
            assert!((share - due).abs() <= 0.01, "{share} for {due}");
        }
        assert_eq!(shares[4], 0);
    }

    #[test]
    fn the_order_of_the_servers_does_not_matter() {
        let named = names(20);
        let mut turned = named.clone();
        turned.reverse();
        turned.rotate_left(7);
        let (one, other) = (equal(&named), equal(&turned));
        for client in (0..CLIENTS).map(stir) {
            assert_eq!(named[one.server(client)], turned[other.server(client)]);
        }
    }

    #[test]
    fn without_servers_there_is_no_table() {
        assert!(Maglev::new([]).is_none());
        assert!(Maglev::new([("a", 0)]).is_none());
        assert_eq!(Maglev::new([("a", 0), ("b", 7)]).map(|table| table.server(u64::MAX)), Some(1));
    }
}
