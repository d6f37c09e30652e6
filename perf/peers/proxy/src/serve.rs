//! The servers behind the proxies.

use crate::MESSAGE;
use crate::bulk::LAST;
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;

pub(crate) fn run(port: u16) {
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    thread::spawn(move || discard(at(port + 1)));
    thread::spawn(move || crate::sums::serve(at(port + 3)));
    thread::spawn(move || echo_datagrams(at(port)));
    echo(at(port), at(port + 2));
}

/// Reads up to the last byte, then says how much that was.
fn discard(at: SocketAddr) {
    let listener = std::net::TcpListener::bind(at).expect("a port");
    for connection in listener.incoming() {
        let mut connection = connection.expect("a connection");
        thread::spawn(move || {
            let mut block = vec![0; 256 << 10];
            let mut counted = 0_u64;
            loop {
                let Ok(length @ 1..) = connection.read(&mut block) else { return };
                counted += length as u64;
                if block[length - 1] == LAST {
                    break;
                }
            }
            let _ = connection.write_all(&counted.to_be_bytes());
        });
    }
}

fn echo_datagrams(at: SocketAddr) {
    let mut poll = Poll::new().expect("an event queue");
    let mut socket = UdpSocket::bind(at).expect("a port");
    poll.registry().register(&mut socket, Token(0), Interest::READABLE).expect("registered");
    let (mut events, mut bytes) = (Events::with_capacity(4), [0; 2048]);
    loop {
        poll.poll(&mut events, None).expect("events");
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], from);
        }
    }
}

/// Echoes what comes at one port; at the other answers the first message and closes.
fn echo(at: SocketAddr, once_at: SocketAddr) {
    let mut poll = Poll::new().expect("an event queue");
    let listen = |at| {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        socket.set_nonblocking(true).expect("an option");
        socket.bind(&at).expect("a port");
        socket.listen(4096).expect("listening");
        TcpListener::from_std(socket.into())
    };
    let mut listeners = [listen(at.into()), listen(once_at.into())];
    for (number, listener) in listeners.iter_mut().enumerate() {
        poll.registry().register(listener, Token(number), Interest::READABLE).expect("registered");
    }
    let mut connections: HashMap<usize, (TcpStream, bool)> = HashMap::new();
    let (mut next, mut free) = (2, Vec::new());
    let (mut events, mut bytes) = (Events::with_capacity(1024), [0; MESSAGE * 16]);
    loop {
        poll.poll(&mut events, None).expect("events");
        for event in &events {
            let number = event.token().0;
            if let Some(listener) = listeners.get(number) {
                while let Ok((mut connection, _)) = listener.accept() {
                    let token = free.pop().unwrap_or_else(|| {
                        next += 1;
                        next - 1
                    });
                    let interest = Interest::READABLE;
                    poll.registry().register(&mut connection, Token(token), interest).expect("registered");
                    connections.insert(token, (connection, number == 1));
                }
                continue;
            }
            let Some((connection, once)) = connections.get_mut(&number) else { continue };
            let over = loop {
                match connection.read(&mut bytes) {
                    Ok(0) => break true,
                    // What is echoed is small: it fits the socket's buffer.
                    Ok(length) if connection.write_all(&bytes[..length]).is_err() => break true,
                    Ok(_) if *once => break true,
                    Ok(length) if length < bytes.len() => break false,
                    Ok(_) => {}
                    Err(error) => break error.kind() != ErrorKind::WouldBlock,
                }
            };
            if over {
                connections.remove(&number);
                free.push(number);
            }
        }
    }
}
