//! QUIC's clients through a proxy, by the name they ask for; and more datagrams than a worker keeps up with.

use super::super::control::State;
use super::super::listen::Sockets;
use super::super::share::Budget;
use super::{BATCH, BATCHES};
use crate::parse::quic::QuicVersion;
use crate::parse::quic::tests::{client_initial, crypto};
use crate::parse::tls::tests::{alpn, extension, handshake, server_name};
use crate::proxy::config::Config;
use crate::proxy::counters::{Counters, Udp};
use crate::proxy::shared::Shared;
use crate::proxy::slab::Slab;
use crate::proxy::tcp::Context;
use crate::proxy::token::Token;
use crate::proxy::{ListenPlace, Proxy, Running};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Three servers behind a port, the last one for all others if `rest`.
fn start(rest: bool) -> (Running, SocketAddr, [UdpSocket; 3]) {
    let servers = [(); 3].map(|()| socket());
    let [a, b, c] = servers.each_ref().map(|socket| socket.local_addr().unwrap());
    let rest = if rest { "[[listener.route]]\nto = \"c\"" } else { "" };
    let text = format!(
        r#"
        [upstream]
        a.servers = ["{a}"]
        b.servers = ["{b}"]
        c.servers = ["{c}"]
        [[listener]]
        bind = ["127.0.0.1:udp/0"]
        detect-timeout = "300ms"
        [[listener.route]]
        to = "a"
        names = ["a.test"]
        [[listener.route]]
        to = "b"
        spoken = ["quic"]
        names = ["*.b.test"]
        alpn = ["h3"]
        {rest}
        "#
    );
    let proxy = Proxy::bind(&Config::from_toml(&text).unwrap()).unwrap();
    let Some((_, &ListenPlace::Internet(at))) = proxy.places().next() else { panic!("a port") };
    (proxy.start().unwrap(), at, servers)
}

/// A hello in so many datagrams, the last part first.
fn hello(host: &str, count: usize) -> Vec<Vec<u8>> {
    let hello = handshake(&[alpn(&[b"h3"]), extension(51, &[7; 1_200]), server_name(host)]);
    let parts = hello.chunks(hello.len().div_ceil(count)).scan(0, |at, part| {
        *at += part.len();
        Some((*at - part.len(), part))
    });
    let mut parts: Vec<_> = parts
        .zip(0..)
        .map(|((at, part), number)| client_initial(QuicVersion::V1, b"ABCDEFGH", number, &crypto(at, part)))
        .collect();
    parts.reverse();
    parts
}

/// What a server receives next, and from where.
fn receive(server: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = [0; 2048];
    let (length, from) = server.recv_from(&mut bytes).expect("a datagram");
    (bytes[..length].to_vec(), from)
}

/// Waits until so much is counted.
fn until(proxy: &Running, is_so: impl Fn(&Udp) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so(&proxy.totals().udp) {
        assert!(Instant::now() < end, "{}", proxy.totals());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn quic_goes_by_name_and_stays() {
    let (proxy, at, [a, b, c]) = start(true);
    for (host, count, server) in
        [("a.test", 3, &a), ("a.test", 1, &a), ("x.b.test", 2, &b), ("x.b.test", 1, &b), ("b.test", 2, &c)]
    {
        let client = socket();
        client.connect(at).unwrap();
        let said = hello(host, count);
        for datagram in &said {
            client.send(datagram).unwrap();
        }
        let mut session = None;
        for datagram in &said {
            let (received, from) = receive(server);
            assert!(received == *datagram, "{host}: not what was sent, in its order");
            assert_eq!(*session.get_or_insert(from), from, "one session");
        }
        // What follows says no name any more.
        client.send(b"\x40 a packet").unwrap();
        assert_eq!(receive(server), (b"\x40 a packet".to_vec(), session.unwrap()));
        server.send_to(b"answer", session.unwrap()).unwrap();
        assert_eq!(receive(&client), (b"answer".to_vec(), at));
    }
    // The last one is counted a moment after it was sent.
    until(&proxy, |udp| udp.sent >= 9 + 5 + 5);
    let udp = proxy.totals().udp;
    assert_eq!((udp.opened, udp.received, udp.sent), (5, 9 + 5 + 5, 9 + 5 + 5));
}

#[test]
fn what_is_no_quic_goes_on_at_once_and_what_stops_after_a_while() {
    let (proxy, at, [_, _, c]) = start(true);
    let client = socket();
    client.send_to(b"no QUIC", at).unwrap();
    assert_eq!(receive(&c).0, b"no QUIC");
    let empty = socket();
    empty.send_to(b"", at).unwrap();
    assert_eq!(receive(&c).0, b"");
    let (stopped, began) = (socket(), Instant::now());
    let first = hello("a.test", 2).swap_remove(0);
    stopped.send_to(&first, at).unwrap();
    assert!(receive(&c).0 == first);
    assert!(began.elapsed() >= Duration::from_millis(250), "it was waited for");
    assert_eq!(proxy.totals().udp.opened, 3);
}

#[test]
fn without_a_route_datagrams_are_dropped_and_counted() {
    let (proxy, at, _servers) = start(false);
    let clients = [(); 3].map(|()| socket());
    clients[0].send_to(b"no QUIC", at).unwrap();
    clients[1].send_to(&hello("c.test", 1)[0], at).unwrap();
    clients[2].send_to(&hello("a.test", 2)[0], at).unwrap();
    until(&proxy, |udp| udp.no_session >= 3);
    let udp = proxy.totals().udp;
    assert_eq!((udp.opened, udp.received, udp.sent, udp.no_session), (0, 3, 0, 3));
}

#[test]
fn those_who_never_say_enough_are_bounded() {
    let (proxy, at, _servers) = start(false);
    let first = &hello("a.test", 2)[0];
    // More than are kept at a time: the oldest ones make room.
    let clients: Vec<_> = (0..300).map(|_| socket()).collect();
    for client in &clients {
        client.send_to(first, at).unwrap();
    }
    // One that goes on and on is no client of QUIC.
    for _ in 0..40 {
        clients[0].send_to(first, at).unwrap();
    }
    until(&proxy, |udp| udp.no_session >= udp.received && udp.received >= 340);
    assert_eq!(proxy.totals().udp.opened, 0);
}

/// Each turn of the loop costs the others as much as the one before.
#[test]
fn a_socket_with_more_than_it_keeps_up_with_waits_for_its_turn_once() {
    const MUCH: usize = BATCH * BATCHES;
    let server = socket();
    let text = format!(
        "cores = [0]\n[upstream]\na.servers = [\"{}\"]\n[[listener]]\nbind = [\"127.0.0.1:udp/0\"]\nto = \"a\"\n",
        server.local_addr().unwrap()
    );
    let config = Config::from_toml(&text).unwrap();
    let sockets = Sockets::default().open(&config, 1).unwrap();
    let ListenPlace::Internet(at) = sockets.endpoints[0].place else { panic!("a port") };
    let budget = Budget::count(&sockets, 1);
    let mut state = State::new(&config, sockets, budget, &|| true).unwrap();
    let shared = Arc::new(Shared::new(state.plan(None), None, 1));
    let plan = shared.plan.get();
    let mut listening = Slab::new();
    let number = listening.insert(plan.listening[0][0].clone());
    let poll = mio::Poll::new().unwrap();
    let counters = Counters::default();
    let cx = Context { registry: poll.registry(), counters: &counters, now: Instant::now() };
    let mut udp = super::Udp::new(Arc::clone(&shared), 0, plan, cx.now);
    let client = socket();
    // As much as one turn takes, again and again.
    let fill = || (0..MUCH).for_each(|_| drop(client.send_to(b"x", at)));
    for round in 1..=4 {
        fill();
        udp.receive_from_clients(cx, &listening, number);
        assert_eq!(udp.ready, [Token::Datagrams(number)], "round {round}");
    }
    fill();
    udp.turn(cx, &listening);
    assert_eq!(udp.ready, [Token::Datagrams(number)]);
    assert_eq!(counters.udp.received.get(), 5 * MUCH as u64);
}
