//! One port, several protocols and names.

use super::setup::{all_descriptors, ask, connect, hello, named, named_udp, read, start, until};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use wharf::proxy::Running;

/// A port on which what is said decides.
fn demux() -> (Running, SocketAddr) {
    let [ssh, web, api, rest] = ["ssh.", "web.", "api.", "rest"].map(named);
    let (proxy, places) = start(&format!(
        r#"
        cores = [0]
        [upstream]
        ssh.servers = ["{ssh}"]
        web.servers = ["{web}"]
        api.servers = ["{api}"]
        rest.servers = ["{rest}"]
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        detect-timeout = "300ms"
        route = [
            {{ to = "ssh", spoken = ["ssh"] }},
            {{ to = "api", names = ["*.api.example"], alpn = ["h2"] }},
            {{ to = "web", names = ["www.example"] }},
            {{ to = "web", spoken = ["http2"] }},
            {{ to = "rest" }},
        ]
        "#
    ));
    (proxy, places[0])
}

#[test]
fn each_goes_where_it_should_and_nothing_is_lost() {
    let (proxy, address) = demux();
    let http = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    for (said, server) in [
        (b"SSH-2.0-x\r\n".to_vec(), "ssh."),
        (hello("v1.api.example", "h2"), "api."),
        (hello("v1.api.example", "http/1.1"), "rest"),
        (hello("WWW.example", "h2"), "web."),
        (http("www.example:8080"), "web."),
        (http("other.example"), "rest"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "web."),
        (b"\0\x01binary".to_vec(), "rest"),
    ] {
        let mut stream = connect(address);
        stream.write_all(&said).unwrap();
        assert_eq!(read(&mut stream, 4), server);
        // All that decided is the server's to read.
        assert_eq!(read(&mut stream, said.len()), String::from_utf8_lossy(&said));
        stream.write_all(b"more").unwrap();
        assert_eq!(read(&mut stream, 4), "more");
    }
    assert_eq!(proxy.totals().tcp.accepted, 8);
}

#[test]
fn a_byte_at_a_time_is_the_same() {
    let (_proxy, address) = demux();
    let said = hello("www.example", "h2");
    let mut stream = connect(address);
    for byte in &said {
        stream.write_all(&[*byte]).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(read(&mut stream, 4), "web.");
    assert_eq!(read(&mut stream, said.len()), String::from_utf8_lossy(&said));
}

#[test]
fn a_silent_client_gets_the_server_that_speaks_first() {
    const CLIENTS: u64 = 1_000;
    all_descriptors();
    let (proxy, address) = demux();
    let mut streams: Vec<_> = (0..CLIENTS).map(|_| connect(address)).collect();
    until("all are accepted", || proxy.totals().tcp.accepted == CLIENTS);
    for stream in &mut streams {
        assert_eq!(read(stream, 4), "rest");
    }
    // One that began and stopped.
    assert_eq!(ask(address, b"SS", 6), "restSS");
}

/// A head may be longer than anybody looks, or its end may never come.
#[test]
fn the_host_counts_without_the_end_of_the_head() {
    let (_proxy, address) = demux();
    let head = b"GET / HTTP/1.1\r\nHost: www.example\r\nCookie: a=b";
    assert_eq!(ask(address, head, 4), "web.", "when the wait is over");
    let long = [&head[..], &[b'x'; wharf::proxy::detect::MOST]].concat();
    assert_eq!(ask(address, &long, 4), "web.", "at once");
    assert_eq!(ask(address, b"GET / HTTP/1.1\r\nCookie: a=b\r\nHost: www.exam", 4), "rest");
}

#[test]
fn a_client_that_is_reset_before_it_has_a_route_is_nobodys() {
    let (proxy, address) = demux();
    for (number, said) in (1..).zip([&b""[..], b"S", b"GET / HT"]) {
        let mut stream = connect(address);
        stream.write_all(said).unwrap();
        until("it is accepted", || proxy.totals().tcp.accepted == number);
        std::thread::sleep(std::time::Duration::from_millis(20));
        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(stream);
        until("it has ended", || proxy.totals().ended.client_reset == number);
    }
    assert_eq!((proxy.totals().open(), proxy.totals().tcp.attempts), (0, 0));
}

#[test]
fn a_client_that_closes_its_side_has_said_all() {
    let (_proxy, address) = demux();
    let mut stream = connect(address);
    stream.write_all(b"GET / HT").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read(&mut stream, 100), "restGET / HT");
}

#[test]
fn a_server_that_waits_for_the_end_is_told_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    let (_proxy, places) = start(&format!(
        r#"
        upstream.a.servers = ["{server}"]
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        route = [{{ to = "a", spoken = ["http"] }}, {{ to = "a" }}]
        "#
    ));
    let mut client = connect(places[0]);
    client.write_all(b"GET / HT").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(super::setup::PATIENCE)).unwrap();
    let mut said = String::new();
    server.read_to_string(&mut said).expect("told of the end");
    assert_eq!(said, "GET / HT");
    server.write_all(b"all of it").unwrap();
    drop(server);
    assert_eq!(read(&mut client, 100), "all of it");
}

#[test]
fn without_a_route_it_ends_and_is_counted() {
    let server = named("a");
    let (proxy, places) = start(&format!(
        r#"
        upstream.a.servers = ["{server}"]
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        detect-timeout = "100ms"
        route = [
            {{ to = "a", spoken = ["tls"] }},
            {{ to = "a", from = ["192.0.2.0/24"] }},
        ]
        "#
    ));
    assert_eq!(ask(places[0], b"not TLS", 1), "");
    assert_eq!(read(&mut connect(places[0]), 1), "");
    // One that goes away meanwhile.
    drop(connect(places[0]));
    until("all have ended", || proxy.totals().ended.no_route + proxy.totals().ended.client_reset == 3);
    assert!(proxy.totals().ended.no_route >= 2);
    assert_eq!(proxy.totals().open(), 0);
}

#[test]
fn networks_decide_for_datagrams_too() {
    let [a, b] = ["a", "b"].map(named_udp);
    let (_proxy, places) = start(&format!(
        r#"
        upstream.a.servers = ["{a}"]
        upstream.b.servers = ["{b}"]
        [[listener]]
        bind = ["127.0.0.1:udp/0"]
        route = [
            {{ to = "a", from = ["127.0.0.9"] }},
            {{ to = "b" }},
        ]
        "#
    ));
    for (from, answer) in [("127.0.0.9:0", "a?"), ("127.0.0.1:0", "b?")] {
        let socket = UdpSocket::bind(from).unwrap();
        socket.set_read_timeout(Some(super::setup::PATIENCE)).unwrap();
        socket.send_to(b"?", places[0]).unwrap();
        let mut bytes = [0; 16];
        let length = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], answer.as_bytes());
    }
}
