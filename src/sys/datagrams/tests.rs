use super::super::socket_options::{set_packet_info, set_udp_gro};
use super::*;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

fn socket(address: &str) -> UdpSocket {
    UdpSocket::bind(address).expect(address)
}

/// Whole messages.
fn whole(inbox: &Inbox, order: &[u16]) -> Vec<Part> {
    let part = |&received: &u16| Part { received, bytes: 0..inbox.get(received.into()).unwrap().bytes.len() };
    order.iter().map(part).collect()
}

/// Waits for a datagram, which on loopback is there at once.
fn receive(inbox: &mut Inbox, socket: &UdpSocket) -> usize {
    for _ in 0..1_000 {
        match inbox.receive(socket, usize::MAX) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            result => return result.expect("datagrams"),
        }
    }
    panic!("nothing came");
}

#[test]
fn addresses_go_there_and_back() {
    for text in ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:65535", "0.0.0.0:0"] {
        let address: SocketAddr = text.parse().unwrap();
        let mut name = Name::EMPTY;
        let length = name.set(&address);
        assert_eq!(name.address(length), Some(address));
        assert_eq!(name.address(length - 9), None);
    }
}

#[test]
fn control_data_go_there_and_back() {
    for (from, segment) in [
        (None, None),
        (Some("192.0.2.1".parse::<IpAddr>().unwrap()), None),
        (Some("2001:db8::1".parse().unwrap()), Some(1200)),
    ] {
        let mut control = Control::EMPTY;
        let length = control.write(from, segment);
        // What the kernel takes as UDP_SEGMENT it gives as UDP_GRO.
        assert_eq!(control.read(length), control::Told { to: from, segment: None });
        assert_eq!(length == 0, (from, segment) == (None, None));
        for short in 0..length {
            control.read(short);
        }
    }
}

#[test]
fn whatever_stands_in_control_data_is_read_without_harm() {
    for seed in 0..=255_u8 {
        let mut control = Control::EMPTY;
        control.0.iter_mut().enumerate().for_each(|(at, byte)| *byte = seed.wrapping_mul(at as u8 | 1) % 41);
        for length in 0..=140 {
            control.read(length);
        }
    }
}

#[test]
fn datagrams_are_sent_on_from_the_address_they_were_sent_to() {
    let (near, client, server) = (socket("0.0.0.0:0"), socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    set_packet_info(&near, false).unwrap();
    let (mut inbox, mut outbox) = (Inbox::new(8, 2048), Outbox::new());
    assert_eq!(inbox.receive(&near, 8).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let to = SocketAddr::new("127.9.9.9".parse().unwrap(), near.local_addr().unwrap().port());
    for payload in ["one", "", "three"] {
        client.send_to(payload.as_bytes(), to).unwrap();
    }
    assert_eq!(receive(&mut inbox, &near), 3);
    let first = inbox.get(0).unwrap();
    assert_eq!((first.bytes, first.to, first.segment), (&b"one"[..], Some(to.ip()), None));
    assert_eq!(first.from, Some(client.local_addr().unwrap()));
    assert_eq!(inbox.get(1).unwrap().bytes, b"");
    assert_eq!(inbox.get(3), None);

    // The last two, together, to the server; the first one back to the client, from where it had been sent.
    let message = |parts, to: &UdpSocket, from| Message {
        parts,
        to: Some(to.local_addr().unwrap()),
        from,
        segment: None,
    };
    let messages = [message(0..2, &server, None), message(2..3, &client, Some(to.ip()))];
    assert_eq!(outbox.send(&near, &inbox, &messages, &whole(&inbox, &[2, 1, 0])).unwrap(), 2);
    let mut bytes = [0; 16];
    let (length, _) = server.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"three");
    let (length, from) = client.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..length], from), (&b"one"[..], to));
}

#[test]
fn several_datagrams_travel_as_one_message() {
    let (near, server) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let plain = socket("127.0.0.1:0");
    set_udp_gro(&server).unwrap();
    let client = socket("127.0.0.1:0");
    for payload in ["aaaa", "bbbb", "cc"] {
        client.send_to(payload.as_bytes(), near.local_addr().unwrap()).unwrap();
    }
    let (mut inbox, mut outbox, mut end) = (Inbox::new(4, 2048), Outbox::new(), Inbox::new(4, 2048));
    assert_eq!(receive(&mut inbox, &near), 3);
    let to = |socket: &UdpSocket| Message {
        parts: 0..3,
        to: Some(socket.local_addr().unwrap()),
        from: None,
        segment: Some(4),
    };
    assert_eq!(
        outbox.send(&near, &inbox, &[to(&server), to(&plain)], &whole(&inbox, &[0, 1, 2])).unwrap(),
        2
    );
    // Whoever asked for it gets them in one; whoever did not, one by one.
    assert_eq!(receive(&mut end, &server), 1);
    let whole = end.get(0).unwrap();
    assert_eq!((whole.bytes, whole.segment, whole.datagrams()), (&b"aaaabbbbcc"[..], Some(4), 3));
    assert_eq!(receive(&mut end, &plain), 3);
    assert_eq!(end.get(2).unwrap().bytes, b"cc");
}

#[test]
fn what_is_too_long_is_cut_and_told() {
    let (near, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    client.send_to(&[7; 100], near.local_addr().unwrap()).unwrap();
    let mut inbox = Inbox::new(1, 64);
    assert_eq!(receive(&mut inbox, &near), 1);
    let message = inbox.get(0).unwrap();
    assert!(message.truncated && message.bytes == [7; 64]);
}

#[test]
fn a_socket_for_both_families_knows_ipv4_addresses_too() {
    let Ok(near) = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None) else { return };
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    near.set_only_v6(false).unwrap();
    let Ok(()) = near.bind(&any.into()) else { return };
    let near = UdpSocket::from(near);
    set_packet_info(&near, true).unwrap();
    let client = socket("127.0.0.1:0");
    let to = SocketAddr::new("127.3.3.3".parse().unwrap(), near.local_addr().unwrap().port());
    client.send_to(b"ask", to).unwrap();
    let mut inbox = Inbox::new(1, 64);
    assert_eq!(receive(&mut inbox, &near), 1);
    let received = inbox.get(0).unwrap();
    let (from, asked) = (received.from, received.to);
    assert_eq!(asked.map(|address| address.to_canonical()), Some(to.ip()));
    let message = Message { parts: 0..1, to: from, from: asked, segment: None };
    assert_eq!(Outbox::new().send(&near, &inbox, &[message], &whole(&inbox, &[0])).unwrap(), 1);
    let mut bytes = [0; 16];
    assert_eq!(client.recv_from(&mut bytes).unwrap(), (3, to));
}

#[test]
fn what_came_to_several_sockets_lies_behind_one_another() {
    let (one, other, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let send = |to: &UdpSocket, payload: &str| client.send_to(payload.as_bytes(), to.local_addr().unwrap());
    let mut inbox = Inbox::new(4, 64);
    let told = |inbox: &Inbox| -> Vec<_> {
        (0..inbox.received())
            .map(|index| {
                let message = inbox.get(index).unwrap();
                assert_eq!(inbox.bytes(index), Some(message.bytes));
                (String::from_utf8_lossy(message.bytes).into_owned(), message.from)
            })
            .collect()
    };
    for round in ["a", "bb", "ccc"] {
        send(&one, round).unwrap();
        assert_eq!(receive(&mut inbox, &one), 1);
        assert_eq!(told(&inbox), [(round.to_owned(), Some(client.local_addr().unwrap()))]);
        for payload in ["1", "2", "3"] {
            send(&one, payload).unwrap();
        }
        send(&other, round).unwrap();
        assert_eq!(inbox.receive_connected(&other, 4).unwrap(), 1);
        assert_eq!(inbox.receive_connected(&other, 4).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(inbox.receive_connected(&one, 2).unwrap(), 2);
        assert_eq!(inbox.receive_connected(&one, 4).unwrap(), 1);
        let all = [round, "1", "2", "3"].map(|payload| (payload.to_owned(), None));
        assert_eq!(told(&inbox), all);
        assert_eq!((inbox.get(4), inbox.bytes(4)), (None, None));
    }
    inbox.clear();
    assert_eq!((inbox.received(), inbox.get(0)), (0, None));
}
