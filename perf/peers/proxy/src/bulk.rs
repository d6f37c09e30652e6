//! As many bytes as go through.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const BLOCK: usize = 256 << 10;
/// What ends a stream, whose other bytes are 7.
pub(crate) const LAST: u8 = 8;

/// Gb/s, from the first byte to the discarding server's count of the last, over connections that last as long as this.
pub(crate) fn run(to: SocketAddr, streams: usize, time: Duration) -> f64 {
    let start = Instant::now();
    let stream = move || transfer(to, BLOCK, |_| start.elapsed() < time);
    over(start, streams, stream)
}

/// The same where each connection has so many bytes, and another follows it.
pub(crate) fn run_transfers(to: SocketAddr, streams: usize, bytes: u64, time: Duration) -> f64 {
    let start = Instant::now();
    let stream = move || {
        let mut sent = 0;
        while start.elapsed() < time {
            sent += transfer(to, BLOCK.min(bytes as usize), |sent| sent < bytes);
        }
        sent
    };
    over(start, streams, stream)
}

/// So many streams side by side, each of which tells its bytes.
fn over(start: Instant, streams: usize, stream: impl Fn() -> u64 + Copy + Send + 'static) -> f64 {
    let threads: Vec<_> = (0..streams).map(|_| thread::spawn(stream)).collect();
    let bytes: u64 = threads.into_iter().map(|thread| thread.join().expect("a stream")).sum();
    bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9
}

/// Sends blocks on one connection while there is `more` behind what was sent; tells how much that came to.
fn transfer(to: SocketAddr, block: usize, more: impl Fn(u64) -> bool) -> u64 {
    let mut connection = TcpStream::connect(to).expect("a connection");
    let block = vec![7; block];
    let mut sent = 0_u64;
    while more(sent) {
        connection.write_all(&block).expect("sent");
        sent += block.len() as u64;
    }
    // A byte unlike all others is the last one: not every proxy passes on that one half has ended.
    connection.write_all(&[LAST]).expect("ended");
    sent += 1;
    let mut counted = [0; 8];
    connection.read_exact(&mut counted).expect("a count");
    assert_eq!(u64::from_be_bytes(counted), sent, "bytes were lost or made up");
    sent
}
