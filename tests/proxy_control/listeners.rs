//! Reloads that add, remove and change listeners.

use super::setup::{PATIENCE, ask, config, connect, named, named_udp, read, start, until};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use wharf::proxy::{ListenPlace, Running};

fn places(proxy: &Running) -> Vec<SocketAddr> {
    let places = proxy.places().into_iter().map(|(_, place)| match place {
        ListenPlace::Internet(address) => address,
        other => panic!("{other}"),
    });
    places.collect()
}

/// A client of datagrams.
fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn exchange(socket: &UdpSocket) -> String {
    let mut bytes = [0; 16];
    socket.send(b"?").unwrap();
    let length = socket.recv(&mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// Listeners at ports that the kernel chooses, each to the upstream named after the first `=`.
fn text(listeners: &[(&str, &str, &str)]) -> String {
    use std::sync::OnceLock;
    static SERVERS: OnceLock<String> = OnceLock::new();
    let servers = SERVERS.get_or_init(|| {
        let ([a, b], [c, d]) = (["a", "b"].map(named), ["c", "d"].map(named_udp));
        format!(
            "[upstream]\na.servers=[\"{a}\"]\nb.servers=[\"{b}\"]\nc.servers=[\"{c}\"]\nd.servers=[\"{d}\"]\n"
        )
    });
    let listener = |(number, (bind, to, more)): (usize, &(&str, &str, &str))| {
        format!("[[listener]]\nname = \"{number}\"\nbind = [\"{bind}\"]\nto = \"{to}\"\n{more}\n")
    };
    format!("timeouts.drain = \"1s\"\n{servers}")
        + &listeners.iter().enumerate().map(listener).collect::<String>()
}

#[test]
fn one_is_added_and_removed_and_those_who_are_there_stay() {
    let base = [("127.0.0.1:tcp/0", "a", ""), ("127.0.0.1:udp/0", "c", "")];
    let (proxy, _) = start(&text(&base));
    let with_more = [base[0], ("[::1]:tcp/0", "b", ""), base[1], ("[::1]:udp/0", "d", "")];
    let before = places(&proxy);
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(ask(before[0], b"", 1), "a", "what stays refuses nobody");
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        let session = client(before[1]);
        assert_eq!(exchange(&session), "c?");
        for _ in 0..20 {
            proxy.reload(&config(&text(&with_more))).unwrap();
            let now = places(&proxy);
            assert_eq!((now[0], now[2]), (before[0], before[1]), "the same sockets");
            let mut stays = connect(now[1]);
            assert_eq!(read(&mut stays, 1), "b");
            let other = UdpSocket::bind("[::1]:0").unwrap();
            other.connect(now[3]).unwrap();
            other.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(exchange(&other), "d?");
            proxy.reload(&config(&text(&base))).unwrap();
            until("it is closed", || TcpStream::connect(now[1]).is_err());
            // Both sockets are gone, those who are there go on.
            stays.write_all(b"on").unwrap();
            assert_eq!(read(&mut stays, 2), "on");
            assert_eq!(exchange(&other), "d?");
            assert_eq!(exchange(&session), "c?");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) > 20, "hardly any load");
    assert_eq!(proxy.totals().udp.opened, 21, "each client has had one session");
}

#[test]
fn a_place_without_a_listener_begins_no_session_and_may_come_back() {
    let tcp = ("127.0.0.1:tcp/0", "a", "");
    let (proxy, before) = start(&text(&[tcp, ("127.0.0.1:udp/0", "c", "")]));
    let (old, new) = (client(before[1]), client(before[1]));
    assert_eq!(exchange(&old), "c?");
    proxy.reload(&config(&text(&[tcp]))).unwrap();
    new.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    new.send(b"?").unwrap();
    assert!(new.recv(&mut [0; 16]).is_err(), "nobody listens there for new clients");
    assert_eq!(exchange(&old), "c?");
    // The same place for another server: who is there keeps the former one.
    proxy.reload(&config(&text(&[tcp, ("127.0.0.1:udp/0", "d", "")]))).unwrap();
    assert_eq!(places(&proxy)[1], before[1]);
    new.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(exchange(&new), "d?");
    assert_eq!(exchange(&old), "c?");
}

#[test]
fn a_port_without_sessions_is_free_again() {
    let tcp = ("127.0.0.1:tcp/0", "a", "");
    let (proxy, before) = start(
        &(text(&[tcp, ("127.0.0.1:udp/0", "c", "")]) + "[timeouts]\n")
            .replace("timeouts.drain = \"1s\"\n", "")
            .replace("[timeouts]\n", "[timeouts]\nudp-idle = \"500ms\"\n"),
    );
    let session = client(before[1]);
    assert_eq!(exchange(&session), "c?");
    let without = config(&text(&[tcp]).replace("drain = \"1s\"", "udp-idle = \"500ms\""));
    proxy.reload(&without).unwrap();
    assert!(UdpSocket::bind(before[1]).is_err(), "there is a session");
    until("the session is over", || UdpSocket::bind(before[1]).is_ok());
}

#[test]
fn options_change_and_the_socket_stays() {
    let with = |more| text(&[("127.0.0.1:tcp/0", "a", more)]);
    let (proxy, before) = start(&with(""));
    let accepted = || proxy.totals().tcp.accepted;
    for _ in 0..3 {
        proxy.reload(&config(&with("defer-accept = \"30s\"\nbacklog = 7\nkeep-alive = \"9s\""))).unwrap();
        let count = accepted();
        let mut silent = connect(before[0]);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(accepted(), count, "one that says nothing waits in the kernel");
        silent.write_all(b"!").unwrap();
        assert_eq!(read(&mut silent, 2), "a!");
        proxy.reload(&config(&with("no-delay = false"))).unwrap();
        let mut silent = connect(before[0]);
        assert_eq!(read(&mut silent, 1), "a");
    }
}

#[test]
fn who_waits_at_a_place_that_goes_is_taken_on() {
    let stays = ("127.0.0.1:tcp/0", "a", "");
    let one_worker =
        |listeners: &[_]| text(listeners).replace("timeouts.drain", "cores = [0]\ntimeouts.drain");
    let (proxy, before) = start(&one_worker(&[stays, ("127.0.0.1:tcp/0", "b", "")]));
    let back = format!("127.0.0.1:tcp/{}", before[1].port());
    // So many at once that some of them wait while it is reloaded.
    for _ in 0..10 {
        let streams: Vec<_> = (0..20).map(|_| connect(before[1])).collect();
        proxy.reload(&config(&one_worker(&[stays]))).unwrap();
        for mut stream in streams {
            assert_eq!(read(&mut stream, 1), "b");
        }
        until("the port is free", || {
            proxy.reload(&config(&one_worker(&[stays, (back.as_str(), "b", "")]))).is_ok()
        });
    }
}

#[test]
fn ranges_grow_and_shrink_and_lose_a_port() {
    // An address of its own, so that nobody else is there.
    let range = |ports: &str| format!("127.88.7.1:tcp/{ports}");
    let (one, other) = (range("20000-20099"), range("20050-20199"));
    let (single, first) = (range("20070"), range("20000"));
    let at = |port: u16| SocketAddr::from(([127, 88, 7, 1], port));
    let refused = |port| until("it is closed", || TcpStream::connect(at(port)).is_err());
    let proxy = wharf::proxy::Proxy::bind(&config(&text(&[(&one, "a", "")]))).unwrap().start().unwrap();
    let mut stays = connect(at(20_010));
    assert_eq!(read(&mut stays, 1), "a");
    for _ in 0..3 {
        proxy.reload(&config(&text(&[(&single, "b", ""), (&other, "a", "")]))).unwrap();
        refused(20_000);
        refused(20_049);
        for (port, server) in [(20_050, "a"), (20_070, "b"), (20_071, "a"), (20_199, "a")] {
            until("the new rules hold", || ask(at(port), b"", 1) == server);
        }
        proxy.reload(&config(&text(&[(&first, "b", "")]))).unwrap();
        refused(20_070);
        assert_eq!(ask(at(20_000), b"", 1), "b");
        proxy.reload(&config(&text(&[(&one, "a", "")]))).unwrap();
        refused(20_199);
        for port in [20_000, 20_050, 20_070, 20_099] {
            until("the first rules hold", || ask(at(port), b"", 1) == "a");
        }
        stays.write_all(b"on").unwrap();
        assert_eq!(read(&mut stays, 2), "on");
    }
}

#[test]
fn paths_stay_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let binds = ["x", "y"].map(|name| format!("unix:{}", path(name).display()));
    let tcp = ("127.0.0.1:tcp/0", "a", "");
    let proxy = config(&text(&[tcp, (&binds[0], "a", ""), (&binds[1], "a", "")]));
    let proxy = wharf::proxy::Proxy::bind(&proxy).unwrap().start().unwrap();
    proxy.reload(&config(&text(&[tcp, (&binds[1], "b", "backlog = 9")]))).unwrap();
    assert!(!path("x").exists());
    assert!(UnixStream::connect(path("y")).is_ok());
    proxy.stop();
    assert!(!path("y").exists());
    proxy.wait().unwrap();
    // Nobody has anything there any more.
    assert!(TcpListener::bind("127.0.0.1:0").is_ok());
}
