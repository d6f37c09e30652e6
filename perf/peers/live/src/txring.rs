//! A `TPACKET_V2` TX ring of 256 slots, handed over 64 at a time.

use super::socket;
use std::io::Error;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

const BURST: usize = 64;
const SLOT: usize = 2_048;
const SLOTS: usize = 256;
/// `TPACKET_ALIGN(sizeof(struct tpacket2_hdr))`: where a frame lies in its slot.
const HEADER: usize = 32;
/// `offsetof(struct tpacket2_hdr, tp_len)`.
const LENGTH: usize = 4;

pub(crate) fn send(interface: &str, frames: &[Vec<u8>], count: usize) {
    let socket = socket::open(interface);
    socket::set(socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as i32));
    let block = 64 * 1_024;
    socket::set(
        socket,
        libc::PACKET_TX_RING,
        &libc::tpacket_req {
            tp_block_size: block,
            tp_block_nr: (SLOT * SLOTS) as u32 / block,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: SLOTS as u32,
        },
    );
    let flags = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses addresses that nothing else uses.
    let ring = unsafe { libc::mmap(ptr::null_mut(), SLOT * SLOTS, flags, libc::MAP_SHARED, socket, 0) };
    assert!(ring != libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
    let ring: *mut u8 = ring.cast();
    // SAFETY: slots begin on multiples of their length within the mapping; the kernel accesses the word as we do.
    let status = |slot: usize| unsafe { AtomicU32::from_ptr(ring.add(slot * SLOT).cast()) };
    let kick = || {
        // SAFETY: no memory is passed.
        let sent = unsafe { libc::send(socket, ptr::null(), 0, 0) };
        let error = Error::last_os_error();
        assert!(sent >= 0 || error.raw_os_error() == Some(libc::ENOBUFS), "send: {error}");
    };
    for number in 0..count {
        let (slot, frame) = (number % SLOTS, &frames[number % frames.len()]);
        while status(slot).load(Ordering::Acquire) != libc::TP_STATUS_AVAILABLE {
            kick();
        }
        // SAFETY: an available slot is ours; header and frame fit it.
        unsafe {
            let start = ring.add(slot * SLOT);
            ptr::copy_nonoverlapping(frame.as_ptr(), start.add(HEADER), frame.len());
            start.add(LENGTH).cast::<u32>().write(frame.len() as u32);
        }
        status(slot).store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
        if number % BURST == BURST - 1 || number + 1 == count {
            kick();
        }
    }
    // The last ones.
    while (0..SLOTS).any(|slot| status(slot).load(Ordering::Acquire) != libc::TP_STATUS_AVAILABLE) {
        kick();
    }
}
