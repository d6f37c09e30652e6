//! A GiB each way at the same time, and the sums of what was sent and of what came.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 1 << 10;

/// Gb/s both ways together; fails where a byte is not the one that was sent.
pub(crate) fn run(to: SocketAddr) -> f64 {
    let start = Instant::now();
    let mut connection = TcpStream::connect(to).expect("a connection");
    exchange(&connection, 1);
    connection.write_all(b".").expect("a word");
    connection.read_exact(&mut [0]).expect("a word that all came right");
    (2 * BLOCK * BLOCKS) as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9
}

/// The other end.
pub(crate) fn serve(at: SocketAddr) {
    let listener = TcpListener::bind(at).expect("a port");
    for connection in listener.incoming() {
        let mut connection = connection.expect("a connection");
        thread::spawn(move || {
            exchange(&connection, 2);
            let _ = connection.read_exact(&mut [0]).and_then(|()| connection.write_all(b"."));
        });
    }
}

/// Sends this end's bytes, with their sum behind them, and compares what comes with the sum that comes behind it.
fn exchange(connection: &TcpStream, seed: u64) {
    let mut writer = connection.try_clone().expect("a descriptor");
    let sender = thread::spawn(move || {
        let noise = noise(2 * BLOCK, seed);
        let sum = (0..BLOCKS).fold(0, |before, number| {
            // Each begins elsewhere: what stands at one place of two of them differs.
            let block = &noise[number * 104 % BLOCK..][..BLOCK];
            writer.write_all(block).expect("sent");
            sum(before, block)
        });
        writer.write_all(&sum.to_le_bytes()).expect("sent");
    });
    let (mut reader, mut block) = (connection, vec![0; BLOCK]);
    let received = (0..BLOCKS).fold(0, |before, _| {
        reader.read_exact(&mut block).expect("received");
        sum(before, &block)
    });
    let mut sent = [0; 8];
    reader.read_exact(&mut sent).expect("a sum");
    assert_eq!(received, u64::from_le_bytes(sent), "other bytes came than were sent");
    sender.join().expect("all was sent");
}

/// Goes on with a sum that each word and its place changes.
fn sum(before: u64, bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
    words.fold(before, |sum, word| (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5))
}

/// Bytes that differ from place to place and from seed to seed (xorshift).
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8).flatten().collect()
}
