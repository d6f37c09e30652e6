//! What one client may take.

use super::setup::{connect, named, named_udp, read, start, until};
use std::net::UdpSocket;
use std::time::Duration;

#[test]
fn a_client_has_so_many_connections_and_another_its_own() {
    let server = named("a");
    let (proxy, places) = start(&format!(
        r#"
        limits.client-connections = 3
        upstream.a.servers = ["{server}"]
        [[listener]]
        bind = ["tcp/0"]
        to = "a"
        "#
    ));
    let port = places[0].port();
    let mut held: Vec<_> = (0..3).map(|_| connect(([127, 0, 0, 1], port).into())).collect();
    assert!(held.iter_mut().all(|stream| read(stream, 1) == "a"));
    assert_eq!(read(&mut connect(([127, 0, 0, 1], port).into()), 1), "");
    assert_eq!(proxy.totals().ended.limited, 1);
    // From another address: another client.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 7], 0)).into()).unwrap();
    socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let mut other = std::net::TcpStream::from(socket);
    assert_eq!(read(&mut other, 1), "a");
    held.pop();
    until("its place is free again", || read(&mut connect(([127, 0, 0, 1], port).into()), 1) == "a");
}

#[test]
fn a_client_comes_so_often() {
    let server = named("a");
    let (proxy, places) = start(&format!(
        r#"
        limits = {{ client-rate = 1, client-burst = 5 }}
        upstream.a.servers = ["{server}"]
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        to = "a"
        "#
    ));
    let served = (0..20).filter(|_| read(&mut connect(places[0]), 1) == "a").count();
    // Five at once, and one for each second that it took.
    assert!((5..15).contains(&served), "{served}");
    assert_eq!(proxy.totals().ended.limited, 20 - served as u64);
}

#[test]
fn sessions_count_too() {
    let server = named_udp("a");
    let (proxy, places) = start(&format!(
        r#"
        limits.client-connections = 2
        upstream.a.servers = ["{server}"]
        [[listener]]
        bind = ["127.0.0.1:udp/0"]
        to = "a"
        "#
    ));
    let sockets: Vec<_> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let answered = |socket: &UdpSocket, patience| {
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send_to(b"?", places[0]).unwrap();
        socket.recv(&mut [0; 16]).is_ok()
    };
    assert!(answered(&sockets[0], super::setup::PATIENCE));
    assert!(answered(&sockets[1], super::setup::PATIENCE));
    assert!(!answered(&sockets[2], Duration::from_millis(300)));
    assert!(answered(&sockets[0], super::setup::PATIENCE), "a session that is there goes on");
    assert_eq!(proxy.totals().udp.limited, 1);
}
