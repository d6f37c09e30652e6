//! Which server each balance picks, and which it leaves out.

use super::*;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::LazyLock;

fn members(weights: &[u32]) -> Vec<Member> {
    let names = ('a'..).map(String::from);
    names
        .zip(weights)
        .map(|(name, &weight)| Member {
            server: Arc::new(Server::new(name, Address::Unix("/run/it".into()), *NOW)),
            weight,
            max_connections: 0,
            draining: false,
        })
        .collect()
}

fn client(number: u32) -> Option<IpAddr> {
    Some(Ipv4Addr::from_bits(0x0a00_0000 + number).into())
}

static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

fn of(balance: Balance, members: Vec<Member>) -> Upstream {
    Upstream::new(balance, Ejection { failures: 1, ..Ejection::default() }, members)
}

/// The names of the servers of so many connections that end at once.
fn turns(upstream: &Upstream, turn: &mut Turn, count: u32) -> String {
    let pick = |number| upstream.pick(turn, client(number), &[], *NOW);
    (0..count)
        .map(pick)
        .map(|held| held.map_or("-".to_owned(), |held| held.server().name().to_owned()))
        .collect()
}

#[test]
fn round_robin_is_smooth() {
    let upstream = of(Balance::RoundRobin, members(&[5, 1, 1]));
    // The example of nginx's own description of it.
    assert_eq!(turns(&upstream, &mut Turn::default(), 14).replace("aabacaa", "."), "..");
    let upstream = of(Balance::RoundRobin, members(&[1, 0, 2, 1]));
    assert_eq!(turns(&upstream, &mut Turn::default(), 8), "cadccadc".to_owned());
}

#[test]
fn workers_begin_at_different_servers() {
    let upstream = of(Balance::RoundRobin, members(&[1, 1, 1]));
    let firsts: Vec<_> = (0..4).map(|worker| turns(&upstream, &mut Turn::of_worker(worker), 3)).collect();
    assert_eq!(firsts, ["abc", "bca", "cab", "abc"]);
}

#[test]
fn least_connections_fill_by_weight() {
    let upstream = of(Balance::LeastConnections, members(&[1, 2, 3]));
    let mut turn = Turn::default();
    let held: Vec<_> =
        (0..60).filter_map(|number| upstream.pick(&mut turn, client(number), &[], *NOW)).collect();
    let counts: Vec<_> = upstream.members().iter().map(|member| member.server.active()).collect();
    assert_eq!(counts, [10, 20, 30]);
    drop(held);
    // Among equals in turn: connections that end at once do not all go to one.
    let upstream = of(Balance::LeastConnections, members(&[1, 1, 1]));
    assert_eq!(turns(&upstream, &mut turn, 6).matches('b').count(), 2);
}

#[test]
fn a_client_keeps_its_server_and_only_those_of_a_server_that_is_ill_move() {
    let upstream = of(Balance::ConsistentHash, members(&[1; 10]));
    let homes = |count| turns(&upstream, &mut Turn::default(), count);
    let before = homes(10_000);
    assert_eq!(before, homes(10_000));
    upstream.members()[3].server.set_healthy(false);
    let during = homes(10_000);
    let mut moved_to = BTreeMap::<char, u32>::new();
    for (was, is) in before.chars().zip(during.chars()) {
        assert_eq!(was == 'd', was != is, "{was} to {is}");
        *moved_to.entry(is).or_default() += u32::from(was != is);
    }
    // A tenth of the clients moved, and each of the nine others has about a ninth of them.
    assert!(moved_to.iter().all(|(&name, &count)| name != 'd' && (60..180).contains(&count)), "{moved_to:?}");
    upstream.members()[3].server.set_healthy(true);
    assert_eq!(before, homes(10_000));
}

#[test]
fn an_address_is_the_same_client_over_either_family() {
    let upstream = of(Balance::ConsistentHash, members(&[1; 10]));
    for number in 0..1_000 {
        let Some(IpAddr::V4(address)) = client(number) else { unreachable!("an IPv4 address") };
        let name = |client| {
            upstream.pick(&mut Turn::default(), client, &[], *NOW).map(|held| held.server().name().to_owned())
        };
        assert_eq!(name(client(number)), name(Some(address.to_ipv6_mapped().into())));
    }
}

#[test]
fn every_balance_leaves_out_those_it_must() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::ConsistentHash] {
        let mut all = members(&[1; 6]);
        all[0].draining = true;
        all[1].weight = 0;
        all[2].max_connections = 1;
        all[3].server.set_healthy(false);
        let upstream = of(balance, all);
        let take = |index: usize| upstream.members()[index].server.take(1, upstream.ejection);
        assert!(take(4).expect("a place").failed(*NOW).is_some());
        let full = take(2);
        let mut turn = Turn::default();
        assert_eq!(turns(&upstream, &mut turn, 50), "f".repeat(50), "{balance:?}");
        // Tried before: then rather one that is out for failures than none.
        let tried = [Arc::clone(&upstream.members()[5].server)];
        let second = upstream.pick(&mut turn, client(1), &tried, *NOW).expect("another");
        assert_eq!(second.server().name(), "e", "{balance:?}");
        let tried = [4, 5].map(|index| Arc::clone(&upstream.members()[index].server));
        assert!(upstream.pick(&mut turn, client(1), &tried, *NOW).is_none(), "{balance:?}");
        drop(full);
        assert_eq!(upstream.pick(&mut turn, client(1), &tried, *NOW).expect("room").server().name(), "c");
    }
}

#[test]
fn nothing_to_choose_from_is_no_server() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::ConsistentHash] {
        assert_eq!(turns(&of(balance, Vec::new()), &mut Turn::of_worker(3), 2), "--");
        assert_eq!(turns(&of(balance, members(&[0])), &mut Turn::of_worker(3), 2), "--");
    }
}

#[test]
fn a_limit_holds_among_threads() {
    let mut all = members(&[1, 1]);
    all.iter_mut().for_each(|member| member.max_connections = 10);
    let upstream = of(Balance::LeastConnections, all);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let upstream = &upstream;
            scope.spawn(move || {
                let mut turn = Turn::of_worker(worker);
                for _ in 0..2_000 {
                    let held: Vec<_> =
                        (0..8).filter_map(|_| upstream.pick(&mut turn, None, &[], *NOW)).collect();
                    assert!(held.len() <= 8);
                    drop(held);
                }
            });
        }
    });
    assert_eq!(upstream.members().iter().map(|member| member.server.active()).sum::<u32>(), 0);
    let mut turn = Turn::default();
    let held: Vec<_> = (0..30).filter_map(|_| upstream.pick(&mut turn, None, &[], *NOW)).collect();
    assert_eq!(held.len(), 20);
}
