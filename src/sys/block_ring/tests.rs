use super::*;

const BLOCK: usize = 4096;

/// What the kernel does: fills the block, then hands it over.
fn fill(ring: &mut BlockRing, index: usize, byte: u8) {
    assert_eq!(owner(ring, index), 0, "it waits for its block");
    // SAFETY: the block is the kernel's, whom this function plays: no borrow of it lives.
    unsafe { ring.blocks.mapping.slice_mut(index * BLOCK + 48..(index + 1) * BLOCK) }.fill(byte);
    ring.blocks.mapping.word(index * BLOCK + 8).store(STATUS_USER, Ordering::Release);
}

fn owner(ring: &BlockRing, index: usize) -> u32 {
    ring.blocks.mapping.word(index * BLOCK + 8).load(Ordering::Acquire)
}

#[test]
fn a_leased_block_goes_back_with_its_last_reader_while_the_ring_goes_on() {
    let mut ring = BlockRing::in_memory(BLOCK, 3).unwrap();
    let mut leases = Vec::new();
    for index in 0..3 {
        fill(&mut ring, index, index as u8);
        assert!(ring.take());
        leases.push(ring.lease().unwrap());
        assert!(ring.lease().is_none() && ring.body().is_none(), "it is held no longer");
    }
    assert!(!ring.take(), "the first one is still being read, although its mark is set");
    let watch = ring.watch();
    assert_eq!((ring.leased(), watch.in_use(), watch.blocks()), (3, 3, 3));

    // The second comes back before the first, and is not out of turn: the kernel stands before the first.
    let (other, second) = (leases[1].share(), leases.swap_remove(1));
    drop(second);
    assert_eq!((owner(&ring, 1), other.bytes()), (STATUS_USER, &[1; BLOCK - 48][..]));
    drop(other);
    assert_eq!((owner(&ring, 1), ring.leased(), watch.in_use()), (0, 2, 2));
    fill(&mut ring, 1, 9);
    assert!(!ring.take());
    let first = leases.swap_remove(0);
    std::thread::spawn(move || assert_eq!(first.bytes(), [0; BLOCK - 48])).join().unwrap();
    assert_eq!(owner(&ring, 0), 0);
    assert!(!ring.take(), "given back, not filled yet");
    fill(&mut ring, 0, 8);
    for byte in [8, 9] {
        assert!(ring.take());
        assert_eq!(ring.body().unwrap(), [byte; BLOCK - 48]);
        ring.release();
    }

    // The last one outlives the ring.
    drop(ring);
    assert_eq!(leases[0].bytes(), [2; BLOCK - 48]);
}

/// Three readers of every block on threads of their own, against a ring that the kernel keeps filling.
#[test]
fn readers_on_other_threads_see_whole_blocks_and_each_goes_back_once() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 3000 };
    let mut ring = BlockRing::in_memory(BLOCK, 4).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (sender, receiver) = std::sync::mpsc::channel::<(u8, Lease)>();
                scope.spawn(move || {
                    for (byte, lease) in receiver {
                        assert!(lease.bytes().iter().all(|&found| found == byte));
                    }
                });
                sender
            })
            .collect();
        for round in 0..ROUNDS {
            let (index, byte) = (round % 4, round as u8);
            while owner(&ring, index) != 0 {
                std::thread::yield_now();
            }
            fill(&mut ring, index, byte);
            while !ring.take() {
                std::thread::yield_now();
            }
            let lease = ring.lease().unwrap();
            readers.iter().for_each(|reader| reader.send((byte, lease.share())).unwrap());
        }
    });
    assert_eq!(ring.leased(), 0);
    assert!((0..4).all(|index| owner(&ring, index) == 0));
}

#[test]
fn blocks_come_in_turn_and_go_back() {
    let mut ring = BlockRing::in_memory(BLOCK, 3).unwrap();
    assert!(!ring.take() && ring.body().is_none() && ring.body_mut().is_none());
    assert!(ring.descriptor().is_none());
    for turn in 0..7 {
        let index = turn % 3;
        fill(&mut ring, index, turn as u8);
        assert!(ring.take());
        assert_eq!(ring.body().unwrap(), [turn as u8; BLOCK - 48]);
        assert_eq!(ring.descriptor().unwrap().status, STATUS_USER);
        ring.body_mut().unwrap().fill(0);
        assert_eq!(owner(&ring, index), STATUS_USER, "held until released");
        ring.release();
        assert_eq!(owner(&ring, index), 0);
        assert!(ring.body().is_none() && !ring.take());
    }
}

#[test]
fn blocks_that_wait_are_counted() {
    for start in 0..7 {
        for count in 0..=7 {
            let mut ring = BlockRing::in_memory(BLOCK, 7).unwrap();
            for index in 0..start {
                fill(&mut ring, index, 0);
                assert!(ring.take());
                ring.release();
            }
            (0..count).for_each(|ahead| fill(&mut ring, (start + ahead) % 7, 0));
            assert_eq!(ring.filled(), count, "from {start}");
            if ring.take() {
                assert_eq!(ring.filled(), count, "the held one too");
                let _lease = ring.lease();
                assert_eq!(ring.filled(), count - 1, "a leased one waits no more");
            }
        }
    }
}

#[test]
fn a_block_out_of_turn_waits() {
    let mut ring = BlockRing::in_memory(BLOCK, 2).unwrap();
    fill(&mut ring, 1, 1);
    assert!(!ring.take());
    ring.release();
    fill(&mut ring, 0, 0);
    assert!(ring.take());
    ring.release();
    assert!(ring.take());
    assert_eq!(ring.body().unwrap()[0], 1);
}

#[test]
fn geometries_that_cannot_be_are_refused() {
    for (size, count) in [(0, 4), (40, 100), (4097, 2), (usize::MAX, 2)] {
        assert!(BlockRing::in_memory(size, count).is_err(), "{size} x {count}");
    }
}
