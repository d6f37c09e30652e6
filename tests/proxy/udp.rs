//! Datagrams and sessions.

use crate::network::in_a_network_of_its_own;
use crate::setup::{PATIENCE, config, start, until};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::proxy::Totals;

/// A server that answers each datagram with the same and the port it came from.
fn server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], from);
        }
    });
    address
}

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Asks there; from where the answer came.
fn ask(client: &UdpSocket, to: SocketAddr, bytes: &[u8]) -> SocketAddr {
    client.send_to(bytes, to).unwrap();
    let mut answer = vec![0; 1 << 16];
    let (length, from) = client.recv_from(&mut answer).unwrap();
    assert!(answer[..length] == *bytes, "{length} bytes for {}", bytes.len());
    from
}

/// What came in is what went on and what was dropped.
fn adds_up(totals: Totals) {
    let udp = totals.udp;
    let dropped = udp.no_session + udp.full + udp.too_long + udp.failed;
    assert_eq!(udp.received, udp.sent + dropped, "{totals}");
}

#[test]
fn answers_come_from_where_was_asked() {
    let (proxy, address) = start(&config("udp/0", &[server().to_string()]));
    let client = client();
    for host in ["127.0.0.1", "127.1.2.3", "127.0.0.1"] {
        let to = SocketAddr::new(host.parse().unwrap(), address.port());
        assert_eq!(ask(&client, to, b"where"), to);
    }
    // The same client at two addresses has two sessions.
    assert_eq!(proxy.totals().udp.opened, 2);
    proxy.stop();
    let totals = proxy.wait().unwrap();
    assert_eq!((totals.udp.received, totals.udp.sent, totals.sessions()), (6, 6, 0));
    adds_up(totals);
}

#[test]
fn ipv6_clients_reach_ipv4_servers() {
    let (_proxy, address) = start(&config("udp/0", &[server().to_string()]));
    let Ok(client) = UdpSocket::bind("[::1]:0") else { return };
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = SocketAddr::new("::1".parse().unwrap(), address.port());
    assert_eq!(ask(&client, to, b"six"), to);
}

#[test]
fn datagrams_of_every_size_stay_what_they_are() {
    let (proxy, address) = start(&config("127.0.0.1:udp/0", &[server().to_string()]));
    let client = client();
    for length in [0, 1, 1_472, 1_473, 9_000, 65_507] {
        ask(&client, address, &crate::setup::noise(length, 5));
    }
    proxy.stop();
    adds_up(proxy.wait().unwrap());
}

/// Bursts of several clients at a time: each gets its own, in order.
#[test]
fn nobody_gets_what_is_anothers() {
    let (proxy, address) = start(&config("127.0.0.1:udp/0", &[server().to_string()]));
    let clients: Vec<_> = (0..8).map(|_| client()).collect();
    for round in 0..50_u8 {
        for step in 0..4_u8 {
            for (number, client) in clients.iter().enumerate() {
                // Lengths that can and that cannot go together.
                let length = 10 + usize::from(step / 2) * 7;
                let bytes: Vec<_> = [number as u8, round, step].into_iter().cycle().take(length).collect();
                client.send_to(&bytes, address).unwrap();
            }
        }
        for (number, client) in clients.iter().enumerate() {
            for step in 0..4 {
                let mut answer = [0; 64];
                let (length, from) = client.recv_from(&mut answer).unwrap();
                assert_eq!((&answer[..3], from), (&[number as u8, round, step][..], address));
                assert_eq!(length, 10 + usize::from(step / 2) * 7);
            }
        }
    }
    proxy.stop();
    let totals = proxy.wait().unwrap();
    assert_eq!((totals.udp.opened, totals.udp.received, totals.udp.sent), (8, 3_200, 3_200), "{totals}");
}

#[test]
fn the_session_silent_longest_makes_room() {
    let mut config = config("127.0.0.1:udp/0", &[server().to_string()]);
    config.cores = vec![0];
    config.limits.sessions = 3;
    let (proxy, address) = start(&config);
    let clients: Vec<_> = (0..4).map(|_| client()).collect();
    for number in [0, 1, 2, 0, 3] {
        ask(&clients[number], address, b"a");
    }
    assert_eq!((proxy.totals().udp.opened, proxy.totals().udp.evicted), (4, 1));
    // The second one had been silent longest: it is a new one now, and takes the place of the third.
    ask(&clients[0], address, b"b");
    assert_eq!(proxy.totals().udp.opened, 4);
    ask(&clients[1], address, b"b");
    assert_eq!((proxy.totals().udp.opened, proxy.totals().udp.evicted), (5, 2));
    // A crowd in one batch: everybody is served, each by a session of its own for a moment.
    let crowd: Vec<_> = (0..30).map(|_| client()).collect();
    for (number, client) in crowd.iter().enumerate() {
        client.send_to(&[number as u8; 9], address).unwrap();
    }
    until("all were taken", || proxy.totals().udp.opened == 35);
    assert_eq!(proxy.totals().sessions(), 3);
    for (number, client) in crowd.iter().enumerate() {
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut answer = [0; 16];
        if let Ok(length) = client.recv(&mut answer) {
            assert_eq!(answer[..length], [number as u8; 9], "another's answer");
        }
    }
    proxy.stop();
    adds_up(proxy.wait().unwrap());
}

/// Whoever sends under false addresses is not answered, and takes no room from those who are.
#[test]
fn sessions_that_are_answered_stay_in_a_flood() {
    // It answers one client only.
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((length, from)) = server.recv_from(&mut bytes) {
            if &bytes[..length] == b"known" {
                server.send_to(&bytes[..length], from).unwrap();
            }
        }
    });
    let mut config = config("127.0.0.1:udp/0", &[at.to_string()]);
    config.cores = vec![0];
    config.limits.sessions = 3;
    let (proxy, address) = start(&config);
    let asks = |client: &UdpSocket| {
        client.send_to(b"known", address).unwrap();
        client.recv(&mut [0; 16]).unwrap();
    };
    let known = client();
    asks(&known);
    let flood: Vec<_> = (0..20).map(|_| client()).collect();
    for client in &flood {
        client.send_to(b"false", address).unwrap();
    }
    until("all were taken", || proxy.totals().udp.opened == 21);
    asks(&known);
    assert_eq!((proxy.totals().udp.opened, proxy.totals().sessions()), (21, 3));
    // Of those that are answered the one silent longest goes, where there is no other.
    let others: Vec<_> = (0..3).map(|_| client()).collect();
    others.iter().for_each(asks);
    assert_eq!((proxy.totals().udp.opened, proxy.totals().udp.evicted), (24, 21));
    others.iter().for_each(asks);
    assert_eq!(proxy.totals().udp.opened, 24);
}

/// As on a host without IPv6, or with one of two uplinks down.
#[test]
fn a_server_that_this_host_has_no_way_to_is_passed_over() {
    let name = "udp::a_server_that_this_host_has_no_way_to_is_passed_over";
    in_a_network_of_its_own(name, &[], || {
        let mut servers: Vec<_> = (1..=5).map(|last| format!("192.0.2.{last}:9")).collect();
        servers.push("[2001:db8::1]:9".to_owned());
        servers.push(server().to_string());
        let mut config = config("127.0.0.1:udp/0", &servers);
        config.cores = vec![0];
        let (proxy, address) = start(&config);
        for _ in 0..4 {
            ask(&client(), address, b"where");
        }
        let failed: u64 = proxy.status().upstreams[0].servers.iter().map(|server| server.failed).sum();
        assert_eq!((proxy.totals().udp.opened, proxy.totals().udp.no_session, failed), (4, 0, 0));
    });
}

#[test]
fn silent_clients_are_forgotten() {
    let mut config = config("127.0.0.1:udp/0", &[server().to_string()]);
    config.timeouts.udp_idle = Duration::from_millis(200);
    let (proxy, address) = start(&config);
    let client = client();
    ask(&client, address, b"once");
    until("it is forgotten", || proxy.totals().udp.idle == 1);
    ask(&client, address, b"again");
    assert_eq!(proxy.totals().udp.opened, 2);
}

#[test]
fn what_icmp_says_is_heeded() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = gone.local_addr().unwrap();
    drop(gone);
    let (proxy, address) = start(&config("127.0.0.1:udp/0", &[at.to_string()]));
    let client = client();
    client.send_to(b"anybody?", address).unwrap();
    until("it is told", || proxy.totals().udp.unreachable > 0);
    assert_eq!((proxy.totals().udp.refused, proxy.totals().sessions()), (1, 0));
    let back = UdpSocket::bind(at).unwrap();
    back.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"now?", address).unwrap();
    let (mut bytes, mut length, mut from) = ([0; 16], 0, at);
    while &bytes[..length] != b"now?" {
        (length, from) = back.recv_from(&mut bytes).unwrap();
    }
    back.send_to(b"yes", from).unwrap();
    let (length, from) = client.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..length], from), (&b"yes"[..], address));
}

#[test]
fn at_the_end_sessions_that_are_in_use_go_on() {
    let mut config = config("127.0.0.1:udp/0", &[server().to_string()]);
    config.timeouts.drain = PATIENCE;
    let (proxy, address) = start(&config);
    let client = client();
    ask(&client, address, b"before");
    proxy.stop();
    let stopped = Instant::now();
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(100));
        ask(&client, address, b"still here");
    }
    let late = self::client();
    late.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    late.send_to(b"new", address).unwrap();
    assert!(late.recv(&mut [0; 16]).is_err(), "nobody new is taken on");
    let totals = proxy.wait().unwrap();
    let took = stopped.elapsed();
    assert!(took >= Duration::from_millis(2_400) && took < PATIENCE, "{took:?}");
    assert_eq!((totals.udp.opened, totals.udp.drained, totals.sessions()), (1, 1, 0));
    adds_up(totals);
}

#[test]
fn at_the_end_sessions_that_never_fall_silent_are_cut() {
    let mut config = config("127.0.0.1:udp/0", &[server().to_string()]);
    config.timeouts.drain = Duration::from_secs(2);
    let (proxy, address) = start(&config);
    let client = client();
    ask(&client, address, b"before");
    let stopped = Instant::now();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let talks = thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            let _ = client.send_to(b"on", address);
            thread::sleep(Duration::from_millis(20));
        }
    });
    proxy.stop();
    let totals = proxy.wait().unwrap();
    let took = stopped.elapsed();
    is_over.store(true, Ordering::Relaxed);
    talks.join().unwrap();
    assert!(took >= Duration::from_millis(1_900) && took < PATIENCE / 2, "{took:?}");
    assert_eq!(totals.udp.drained, 1);
}
