use super::*;

const CHUNK: usize = 2048;

/// What the kernel does with a chunk it was given: writes a frame into it.
fn fill(umem: &Umem, address: u64, byte: u8) {
    let (start, chunk) = (address as usize + 256, address as usize / CHUNK);
    assert_ne!(umem.kernels[chunk / WORD] & 1 << (chunk % WORD), 0, "it is the kernel's");
    // SAFETY: the chunk is the kernel's, whom this function plays: no borrow of it lives.
    unsafe { umem.shared.mapping.slice_mut(start..start + 100) }.fill(byte);
}

fn give(umem: &mut Umem, most: usize) -> Vec<u64> {
    let mut given = Vec::new();
    let count = umem.give(most, |address| given.push(address));
    assert_eq!(count, given.len());
    given
}

fn at(umem: &mut Umem, address: u64) -> Result<Received, Damage> {
    umem.receive(address + 256, 100)
}

#[test]
fn the_words_of_a_run() {
    let all = |run: Range<usize>| words(&run).collect::<Vec<_>>();
    assert_eq!(all(0..0), []);
    assert_eq!(all(0..64), [(0, u64::MAX)]);
    assert_eq!(all(3..5), [(0, 0b11000)]);
    assert_eq!(all(63..130), [(0, 1 << 63), (1, u64::MAX), (2, 0b11)]);
}

#[test]
fn frames_side_by_side_are_one_run_and_others_wait() {
    let mut umem = Umem::new(CHUNK, 128).unwrap();
    let given = give(&mut umem, 1000);
    assert_eq!((given.len(), umem.free()), (128, 0));
    assert!(given.is_sorted());
    fill(&umem, given[5], 5);
    fill(&umem, given[6], 6);
    assert_eq!(at(&mut umem, given[5]), Ok(Received::At(256)));
    assert_eq!(at(&mut umem, given[6]), Ok(Received::At(256 + 2048)));
    assert_eq!(at(&mut umem, given[4]), Ok(Received::Elsewhere));
    assert_eq!(umem.bytes().len(), 2 * CHUNK);
    assert_eq!((umem.bytes()[256], umem.bytes()[256 + 2048 + 99]), (5, 6));
    umem.release();
    assert!(umem.bytes().is_empty());
    assert_eq!(at(&mut umem, given[4]), Ok(Received::At(256)));
    umem.release();
    // Round again, in ascending order from where it was.
    assert_eq!(give(&mut umem, 2), [given[4], given[5]]);
    assert_eq!(give(&mut umem, 2), [given[6]]);
}

#[test]
fn what_the_kernel_was_not_given_is_damage() {
    let mut umem = Umem::new(CHUNK, 64).unwrap();
    let given = give(&mut umem, 32);
    for (address, length) in [
        (given[31] + 2048, 60),
        (64 * 2048, 60),
        (u64::MAX, 60),
        (given[0] + 2000, 60),
        (given[0], 2049),
        (given[0], u32::MAX),
    ] {
        assert!(umem.receive(address, length).is_err(), "{address} {length}");
    }
    assert_eq!(umem.receive(given[0], 2048), Ok(Received::At(0)));
    assert!(umem.receive(given[0], 60).is_err(), "it is ours by now");
    umem.release();
    assert!(umem.receive(given[0], 60).is_err(), "it was not given again");
}

#[test]
fn leases_come_back_in_any_order_and_outlive_the_memorys_owner() {
    let mut umem = Umem::new(CHUNK, 64).unwrap();
    let given = give(&mut umem, 64);
    let mut leases = Vec::new();
    for three in given[..9].chunks(3) {
        for (byte, &address) in (1..).zip(three) {
            fill(&umem, address, byte);
            assert!(matches!(at(&mut umem, address), Ok(Received::At(_))));
        }
        leases.push(umem.lease().unwrap());
        assert!(umem.lease().is_none() && umem.bytes().is_empty(), "it is held no longer");
    }
    assert_eq!((umem.leased(), umem.free()), (9, 0));
    let (other, second) = (leases[1].share(), leases.swap_remove(1));
    drop(second);
    umem.collect();
    assert_eq!(give(&mut umem, 64), [0; 0], "there is a reader yet");
    assert_eq!((other.bytes()[256], other.bytes()[256 + 2 * 2048]), (1, 3));
    std::thread::spawn(move || drop(other)).join().unwrap();
    umem.collect();
    assert_eq!((give(&mut umem, 64), umem.leased()), (given[3..6].to_vec(), 6));
    let last = leases.pop().unwrap();
    drop(leases);
    umem.collect();
    assert_eq!(umem.free(), 3);
    drop(umem);
    assert_eq!(last.bytes()[256], 1);
}

/// Readers of every run on threads of their own, against a kernel that fills whatever it is given at once.
#[test]
fn readers_on_other_threads_see_whole_frames_and_each_chunk_comes_back_once() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 3000 };
    let mut umem = Umem::new(CHUNK, 64).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (sender, receiver) = std::sync::mpsc::channel::<(u8, Lease)>();
                scope.spawn(move || {
                    for (byte, lease) in receiver {
                        for frame in lease.bytes().chunks(CHUNK) {
                            assert!(frame[256..356].iter().all(|&found| found == byte));
                        }
                    }
                });
                sender
            })
            .collect();
        for round in 0..ROUNDS {
            let byte = round as u8;
            let mut given = Vec::new();
            while given.is_empty() {
                umem.collect();
                given = give(&mut umem, 1 + round % 7);
                std::thread::yield_now();
            }
            for address in given {
                fill(&umem, address, byte);
                if at(&mut umem, address) == Ok(Received::Elsewhere) {
                    let lease = umem.lease().unwrap();
                    readers.iter().for_each(|reader| reader.send((byte, lease.share())).unwrap());
                    assert_eq!(at(&mut umem, address), Ok(Received::At(256)));
                }
            }
            let lease = umem.lease().unwrap();
            readers.iter().for_each(|reader| reader.send((byte, lease.share())).unwrap());
        }
    });
    umem.collect();
    assert_eq!((umem.leased(), umem.free()), (0, 64));
}
