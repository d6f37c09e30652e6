//! Questions and answers over many connections at a time, by one thread.

use crate::MESSAGE;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What came of it.
pub(crate) struct Outcome {
    a_second: f64,
    /// Microseconds.
    median: f64,
    p99: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}\t{:.0}\t{:.0}", self.a_second, self.median, self.p99)
    }
}

struct Client {
    connection: TcpStream,
    asked: bool,
    got: usize,
    since: Instant,
}

fn client(poll: &Poll, to: SocketAddr, number: usize) -> Client {
    let mut connection = TcpStream::connect(to).expect("a connection");
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut connection, Token(number), interest).expect("registered");
    Client { connection, asked: false, got: 0, since: Instant::now() }
}

/// With `anew` each question has a connection of its own, which the server ends behind its answer: to the next of so many
/// ports from the address's on.
pub(crate) fn run(to: SocketAddr, clients: usize, time: Duration, anew: bool, ports: u16) -> Outcome {
    let mut opened = 0;
    let mut next = move || {
        opened = (opened + 1) % ports;
        SocketAddr::new(to.ip(), to.port() + opened)
    };
    let mut poll = Poll::new().expect("an event queue");
    let mut events = Events::with_capacity(1024);
    let mut times: Vec<u32> = Vec::with_capacity(1 << 22);
    let mut clients: Vec<_> = (0..clients).map(|number| client(&poll, next(), number)).collect();
    // The first tenth warms up and is not counted.
    let (start, warm) = (Instant::now(), time / 10);
    let mut counting = None;
    loop {
        poll.poll(&mut events, Some(Duration::from_secs(5))).expect("events");
        assert!(!events.is_empty(), "nothing moves");
        let now = Instant::now();
        if counting.is_none() && now - start > warm {
            counting = Some(now);
            times.clear();
        }
        if now - start > time {
            break;
        }
        for event in &events {
            let number = event.token().0;
            let this = &mut clients[number];
            if !this.asked && event.is_writable() {
                this.connection.write_all(&[number as u8; MESSAGE]).expect("asked");
                this.asked = true;
            }
            if !event.is_readable() {
                continue;
            }
            let mut answer = [0; MESSAGE * 2];
            match this.connection.read(&mut answer) {
                Ok(0) => {
                    assert!(anew && this.got == MESSAGE, "closed after {} bytes", this.got);
                    times.push(this.since.elapsed().as_micros() as u32);
                    *this = client(&poll, next(), number);
                    continue;
                }
                Ok(length) => {
                    assert!(answer[..length].iter().all(|&byte| byte == number as u8), "another's answer");
                    this.got += length;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            }
            if this.got < MESSAGE {
                continue;
            }
            if anew {
                // The end may have come with the answer.
                if let Ok(0) = this.connection.read(&mut answer) {
                    times.push(this.since.elapsed().as_micros() as u32);
                    *this = client(&poll, next(), number);
                }
                continue;
            }
            times.push(this.since.elapsed().as_micros() as u32);
            this.got = 0;
            this.since = Instant::now();
            this.connection.write_all(&[number as u8; MESSAGE]).expect("asked");
        }
    }
    let seconds = counting.expect("time enough").elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| f64::from(times[((times.len() - 1) as f64 * share) as usize]);
    Outcome { a_second: times.len() as f64 / seconds, median: at(0.5), p99: at(0.99) }
}
