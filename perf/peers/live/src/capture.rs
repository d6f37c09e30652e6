//! A `TPACKET_V3` ring of 64 MiB in blocks of 1 MiB: every packet is stepped over and counted, none is looked at.

use super::socket;
use std::io::Error;
use std::mem::{size_of, zeroed};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 64;
const SLOT: usize = 2_048;
/// Milliseconds after which the kernel hands over a block that is not full.
const RETIRE: u32 = 50;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_signal: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Counts until SIGINT, and prints what it saw, and what the kernel says that it lost.
pub(crate) fn count(interface: &str) {
    // SAFETY: the handler does nothing but store an atomic.
    unsafe { libc::signal(libc::SIGINT, interrupt as extern "C" fn(i32) as libc::sighandler_t) };
    let socket = socket::open(interface);
    socket::set(socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as i32));
    socket::set(
        socket,
        libc::PACKET_RX_RING,
        &libc::tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: (BLOCK / SLOT * BLOCKS) as u32,
            tp_retire_blk_tov: RETIRE,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        },
    );
    let flags = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses addresses that nothing else uses.
    let ring = unsafe { libc::mmap(ptr::null_mut(), BLOCK * BLOCKS, flags, libc::MAP_SHARED, socket, 0) };
    assert!(ring != libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
    socket::listen(socket, interface);
    let (mut packets, mut bytes) = (0, 0);
    for number in (0..BLOCKS).cycle() {
        // SAFETY: within the mapping, as `number` is below BLOCKS.
        let block = unsafe { ring.cast::<u8>().add(number * BLOCK) };
        if !wait(socket, block) {
            break;
        }
        // SAFETY: the block is ours until it is given back.
        let (these, length) = unsafe { walk(block) };
        packets += these;
        bytes += length;
        status(block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
    let (received, dropped) = statistics(socket);
    println!("{packets} packets, {bytes} bytes; the kernel: {received} received, {dropped} dropped");
}

/// False after SIGINT, once nothing has come for as long as a block is kept.
fn wait(socket: i32, block: *mut u8) -> bool {
    let mut quiet = 0;
    while status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
        if INTERRUPTED.load(Ordering::Relaxed) {
            quiet += 1;
        }
        if quiet > 1 {
            return false;
        }
        let mut poll = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry that lives through the call; an interrupted call is as good as one that timed out.
        unsafe { libc::poll(&raw mut poll, 1, 2 * RETIRE as i32) };
    }
    true
}

/// `offsetof(struct tpacket_block_desc, hdr.bh1.block_status)`.
const STATUS: usize = 8;

fn status<'a>(block: *mut u8) -> &'a AtomicU32 {
    // SAFETY: a block of the mapping, which lives until the process ends; the kernel accesses the word as we do.
    unsafe { AtomicU32::from_ptr(block.add(STATUS).cast()) }
}

/// Packets of a block, and their bytes.
///
/// # Safety
///
/// The kernel has handed `block` over.
unsafe fn walk(block: *mut u8) -> (u64, u64) {
    // SAFETY: the descriptor lies at the block's start, and each header where the one before says.
    unsafe {
        let descriptor = &(*block.cast::<libc::tpacket_block_desc>()).hdr.bh1;
        let mut header: *const libc::tpacket3_hdr = block.add(descriptor.offset_to_first_pkt as usize).cast();
        let mut bytes = 0;
        for _ in 0..descriptor.num_pkts {
            bytes += u64::from((*header).tp_snaplen);
            header = header.byte_add((*header).tp_next_offset as usize);
        }
        (u64::from(descriptor.num_pkts), bytes)
    }
}

fn statistics(socket: i32) -> (u32, u32) {
    // SAFETY: plain data; the kernel writes at most `length` bytes of it.
    unsafe {
        let mut statistics: libc::tpacket_stats_v3 = zeroed();
        let mut length = size_of::<libc::tpacket_stats_v3>() as u32;
        let value = (&raw mut statistics).cast();
        let result =
            libc::getsockopt(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS, value, &raw mut length);
        socket::check(result, "getsockopt");
        (statistics.tp_packets, statistics.tp_drops)
    }
}
