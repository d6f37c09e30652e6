//! As many bytes as go through.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const BLOCK: usize = 256 << 10;
/// What ends a stream, whose other bytes are 7.
pub(crate) const LAST: u8 = 8;

/// Gb/s, from the first byte to the discarding server's count of the last.
pub(crate) fn run(to: SocketAddr, streams: usize, time: Duration) -> f64 {
    let start = Instant::now();
    let stream = move || {
        let mut connection = TcpStream::connect(to).expect("a connection");
        let block = vec![7; BLOCK];
        let mut sent = 0_u64;
        while start.elapsed() < time {
            connection.write_all(&block).expect("sent");
            sent += BLOCK as u64;
        }
        // A byte unlike all others is the last one: not every proxy passes on that one half has ended.
        connection.write_all(&[LAST]).expect("ended");
        sent += 1;
        let mut counted = [0; 8];
        connection.read_exact(&mut counted).expect("a count");
        assert_eq!(u64::from_be_bytes(counted), sent, "bytes were lost or made up");
        sent
    };
    let threads: Vec<_> = (0..streams).map(|_| thread::spawn(stream)).collect();
    let bytes: u64 = threads.into_iter().map(|thread| thread.join().expect("a stream")).sum();
    bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9
}
