//! PROXY headers, read and written.

use super::setup::{PATIENCE, connect, start, until};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use wharf::parse::Prefix;
use wharf::proxy::Running;
use wharf::proxy::proxy_protocol::{Header, decode};

/// A proxy before a server of ours; `accept` and `send` are TOML.
fn before(listener: &TcpListener, accept: &str, send: &str) -> (Running, SocketAddr) {
    let server = listener.local_addr().unwrap();
    let (proxy, places) = start(&format!(
        r#"
        [upstream.a]
        servers = ["{server}"]
        {send}
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        detect-timeout = "2s"
        to = "a"
        {accept}
        "#
    ));
    (proxy, places[0])
}

fn accept(listener: &TcpListener) -> TcpStream {
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn version_1_tells_the_server_who_the_client_is() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_proxy, address) = before(&listener, "", "send-proxy = \"v1\"");
    let mut client = connect(address);
    client.write_all(b"hello\n").unwrap();
    let mut server = BufReader::new(accept(&listener));
    let mut line = String::new();
    server.read_line(&mut line).unwrap();
    let port = client.local_addr().unwrap().port();
    assert_eq!(line, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}\r\n", address.port()));
    line.clear();
    server.read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    // And the other way.
    server.get_mut().write_all(b"back").unwrap();
    assert_eq!(super::setup::read(&mut client, 4), "back");
}

#[test]
fn a_server_that_speaks_first_is_told_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_proxy, address) = before(&listener, "", "send-proxy = \"v2\"");
    let mut client = connect(address);
    let mut server = accept(&listener);
    let mut bytes = [0; 28];
    server.read_exact(&mut bytes).unwrap();
    let Prefix::Complete((Header::Proxied { source, destination, .. }, 28)) = decode(&bytes) else {
        panic!("{bytes:?}")
    };
    assert_eq!((source, destination), (client.local_addr().unwrap(), address));
    server.write_all(b"220 hello").unwrap();
    assert_eq!(super::setup::read(&mut client, 9), "220 hello");
}

#[test]
fn each_datagram_says_who_its_client_is() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let (_proxy, places) = start(&format!(
        r#"
        [upstream.a]
        servers = ["{}"]
        send-proxy = "v2"
        [[listener]]
        bind = ["127.0.0.1:udp/0"]
        to = "a"
        "#,
        server.local_addr().unwrap()
    ));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(places[0]).unwrap();
    for said in [&b"one"[..], b"", b"three", &[7; 1_400]] {
        client.send(said).unwrap();
        let mut bytes = [0; 2048];
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        let Prefix::Complete((Header::Proxied { transport, source, destination }, header)) =
            decode(&bytes[..length])
        else {
            panic!("{:?}", &bytes[..length])
        };
        assert_eq!(transport, wharf::proxy::config::Transport::Udp);
        assert_eq!((source, destination), (client.local_addr().unwrap(), places[0]));
        assert_eq!(&bytes[header..length], said);
        // Answers are the server's own.
        server.send_to(b"answer", from).unwrap();
        assert_eq!(client.recv(&mut bytes).unwrap(), 6);
    }
}

#[test]
fn a_trusted_header_is_taken_out_and_passed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_proxy, address) = before(&listener, "accept-proxy = [\"127.0.0.0/8\"]", "send-proxy = \"v1\"");
    let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 443\r\n";
    let mut client = connect(address);
    // In pieces, the last one with the client's own first bytes.
    for piece in [&line[..3], &line[3..20], &[&line[20..], b"hello"].concat()] {
        client.write_all(piece).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut server = accept(&listener);
    let mut bytes = vec![0; line.len() + 5];
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [&line[..], b"hello"].concat());
}

#[test]
fn where_a_header_is_due_nothing_else_will_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, address) = before(&listener, "accept-proxy = [\"127.0.0.1\"]", "");
    for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 1.2.3.4", b""] {
        let mut client = connect(address);
        client.write_all(said).unwrap();
        assert_eq!(super::setup::read(&mut client, 1), "");
    }
    until("all are counted", || proxy.totals().ended.bad_header == 4);
    assert_eq!(proxy.totals().tcp.attempts, 0, "no server was bothered");
}

#[test]
fn who_is_not_trusted_is_not_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_proxy, address) = before(&listener, "accept-proxy = [\"192.0.2.0/24\"]", "");
    let mut client = connect(address);
    let line = b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n";
    client.write_all(line).unwrap();
    let mut bytes = [0; 32];
    accept(&listener).read_exact(&mut bytes[..line.len()]).unwrap();
    assert_eq!(&bytes[..line.len()], line, "it is the client's own");
}
