//! Datagrams there and back, some always under way.

use crate::MESSAGE;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Datagrams of a client under way.
const WINDOW: usize = 16;

/// Answers a second.
pub(crate) fn run(to: SocketAddr, clients: usize, time: Duration) -> f64 {
    let mut poll = Poll::new().expect("an event queue");
    let mut events = Events::with_capacity(1024);
    let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().expect("an address");
    let sockets: Vec<_> = (0..clients)
        .map(|number| {
            let mut socket = UdpSocket::bind(any).expect("a socket");
            socket.connect(to).expect("connected");
            poll.registry().register(&mut socket, Token(number), Interest::READABLE).expect("registered");
            socket
        })
        .collect();
    let ask = |number: usize, times: usize| {
        for _ in 0..times {
            let _ = sockets[number].send(&[number as u8; MESSAGE]);
        }
    };
    (0..clients).for_each(|number| ask(number, WINDOW));
    let (start, warm) = (Instant::now(), time / 10);
    let (mut answers, mut counting) = (0_u64, None);
    loop {
        poll.poll(&mut events, Some(Duration::from_millis(100))).expect("events");
        let now = Instant::now();
        if counting.is_none() && now - start > warm {
            (answers, counting) = (0, Some(now));
        }
        if now - start > time {
            break;
        }
        if events.is_empty() {
            // All that was under way was lost.
            (0..clients).for_each(|number| ask(number, WINDOW));
        }
        for event in &events {
            let number = event.token().0;
            let mut answer = [0; MESSAGE];
            let mut got = 0;
            while let Ok(length) = sockets[number].recv(&mut answer) {
                assert!(length == MESSAGE && answer == [number as u8; MESSAGE], "another's answer");
                got += 1;
            }
            answers += got as u64;
            ask(number, got);
        }
    }
    answers as f64 / counting.expect("time enough").elapsed().as_secs_f64()
}
