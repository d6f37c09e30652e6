//! Numbered frames, and chunks in which each of them is to come once.

use super::frames;
use super::network::send;
use wharf::source::{Chunk, Source};
use wharf::sys::packet_socket::PacketSocket;

/// That of the number.
pub(crate) fn frame(number: u32) -> Vec<u8> {
    frames::udp(40_000, if number.is_multiple_of(2) { 53 } else { 80 }, number, 700)
}

/// Even numbers go to port 53, odd ones to port 80.
pub(crate) fn send_some(socket: &PacketSocket, numbers: std::ops::Range<u32>) {
    numbers.for_each(|number| send(socket, &frame(number)));
}

/// The next chunk that is not empty; `None` when there is none for a while.
pub(crate) fn next(capture: &mut impl Source) -> Option<Chunk> {
    let mut chunk = Chunk::default();
    assert!(capture.chunks().expect("chunks").fill_chunk(&mut chunk, u64::MAX).expect("fill"), "no end yet");
    (!chunk.is_empty()).then_some(chunk)
}

/// Every frame of it is as it was sent; gives their numbers.
pub(crate) fn check(chunk: &Chunk) -> Vec<u32> {
    let numbers = chunk.batches().flat_map(|batch| batch.frames()).map(|seen| {
        let (_, _, number) = frames::read(seen.data).expect("a frame of ours");
        assert_eq!(seen.data, frame(number), "frame {number}");
        number
    });
    numbers.collect()
}

/// Gives back the older half of the chunks that are out, the newest of them first; `seen` are the numbers that came.
pub(crate) fn give_back(out: &mut Vec<Chunk>, seen: &mut [bool]) {
    for chunk in out.drain(..out.len().div_ceil(2)).rev() {
        for number in check(&chunk) {
            assert!(!std::mem::replace(&mut seen[number as usize], true), "{number} came twice");
        }
    }
}
