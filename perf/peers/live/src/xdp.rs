//! An `AF_XDP` socket in copy mode: frames are copied into chunks of its own memory, handed over 64 at a time, and their
//! chunks taken back.

use super::socket;
use std::io::Error;
use std::mem::{size_of, zeroed};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

const BURST: usize = 64;
/// Chunks, and entries of both rings.
const CHUNKS: usize = 2_048;
const CHUNK: usize = 2_048;

struct Ring {
    producer: *const AtomicU32,
    consumer: *const AtomicU32,
    entries: *mut u8,
}

impl Ring {
    /// SAFETY of both: the words lie in the ring's mapping, which lives until the process ends; the kernel accesses them as
    /// we do.
    fn producer(&self) -> &AtomicU32 {
        unsafe { &*self.producer }
    }

    fn consumer(&self) -> &AtomicU32 {
        unsafe { &*self.consumer }
    }

    /// SAFETY: the index is within the ring, whose entries have that type, and the entry is ours to access now.
    unsafe fn entry<T>(&self, index: u32) -> *mut T {
        unsafe { self.entries.cast::<T>().add(index as usize % CHUNKS) }
    }
}

pub(crate) fn send(interface: &str, frames: &[Vec<u8>], count: usize) {
    let (socket, memory, tx, completion) = open(interface);
    let mut free: Vec<u64> = (0..CHUNKS as u64).map(|chunk| chunk * CHUNK as u64).collect();
    let (mut done, mut queued, mut taken_back) = (0, 0_u32, 0_u32);
    while done < count || free.len() < CHUNKS {
        let ready = completion.producer().load(Ordering::Acquire);
        while taken_back != ready {
            // SAFETY: the kernel has filled the entry, and fills it again only when we have moved on.
            free.push(unsafe { *completion.entry(taken_back) });
            taken_back = taken_back.wrapping_add(1);
        }
        completion.consumer().store(taken_back, Ordering::Release);
        let now = free.len().min(BURST).min(count - done);
        for address in free.drain(free.len() - now..) {
            let frame = &frames[done % frames.len()];
            // SAFETY: a free chunk is ours alone and has room for the frame; there are as many entries as chunks, so that the
            // kernel is done with this one.
            unsafe {
                ptr::copy_nonoverlapping(frame.as_ptr(), memory.add(address as usize), frame.len());
                tx.entry::<libc::xdp_desc>(queued).write(libc::xdp_desc {
                    addr: address,
                    len: frame.len() as u32,
                    options: 0,
                });
            }
            (done, queued) = (done + 1, queued.wrapping_add(1));
        }
        tx.producer().store(queued, Ordering::Release);
        // SAFETY: no memory is passed.
        let sent = unsafe { libc::sendto(socket, ptr::null(), 0, libc::MSG_DONTWAIT, ptr::null(), 0) };
        let error = Error::last_os_error();
        let again = [libc::EAGAIN, libc::EBUSY, libc::ENOBUFS];
        assert!(sent >= 0 || again.map(Some).contains(&error.raw_os_error()), "sendto: {error}");
    }
}

/// The socket, bound to queue 0, its memory, and its rings for sending.
fn open(interface: &str) -> (i32, *mut u8, Ring, Ring) {
    // SAFETY: no memory is passed.
    let socket = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0) };
    socket::check(socket, "socket");
    let memory = map(CHUNKS * CHUNK, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE, -1, 0);
    let registration = libc::xdp_umem_reg {
        addr: memory as u64,
        len: (CHUNKS * CHUNK) as u64,
        chunk_size: CHUNK as u32,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    set(socket, libc::XDP_UMEM_REG, &registration);
    // The kernel wants a fill ring also of who receives nothing.
    set(socket, libc::XDP_UMEM_FILL_RING, &1_u32);
    set(socket, libc::XDP_UMEM_COMPLETION_RING, &(CHUNKS as u32));
    set(socket, libc::XDP_TX_RING, &(CHUNKS as u32));
    // SAFETY: plain data, of which the kernel writes at most `length` bytes.
    let offsets = unsafe {
        let mut offsets: libc::xdp_mmap_offsets = zeroed();
        let mut length = size_of::<libc::xdp_mmap_offsets>() as u32;
        let value = (&raw mut offsets).cast();
        let result = libc::getsockopt(socket, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, value, &raw mut length);
        socket::check(result, "getsockopt");
        offsets
    };
    let ring = |offset: &libc::xdp_ring_offset, size: usize, page: i64| {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let start = map(offset.desc as usize + CHUNKS * size, flags, socket, page);
        // SAFETY: the kernel's own offsets into the mapping.
        unsafe {
            Ring {
                producer: start.add(offset.producer as usize).cast(),
                consumer: start.add(offset.consumer as usize).cast(),
                entries: start.add(offset.desc as usize),
            }
        }
    };
    let tx = ring(&offsets.tx, size_of::<libc::xdp_desc>(), libc::XDP_PGOFF_TX_RING);
    let completion = ring(&offsets.cr, size_of::<u64>(), libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64);
    let name = std::ffi::CString::new(interface).expect("a name");
    // SAFETY: the name ends with a zero byte; the address is plain data that lives through the call.
    unsafe {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_COPY,
            sxdp_ifindex: libc::if_nametoindex(name.as_ptr()),
            sxdp_queue_id: 0,
            sxdp_shared_umem_fd: 0,
        };
        let length = size_of::<libc::sockaddr_xdp>() as u32;
        // Whoever had the queue before may not have let go of it yet.
        let mut bound = libc::bind(socket, (&raw const address).cast(), length);
        for _ in 0..100 {
            if bound == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::EBUSY) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            bound = libc::bind(socket, (&raw const address).cast(), length);
        }
        socket::check(bound, "bind");
    }
    (socket, memory, tx, completion)
}

fn map(length: usize, flags: i32, file: i32, offset: i64) -> *mut u8 {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses addresses that nothing else uses.
    let start = unsafe { libc::mmap(ptr::null_mut(), length, access, flags, file, offset) };
    assert!(start != libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
    start.cast()
}

fn set<T>(socket: i32, option: i32, value: &T) {
    let length = size_of::<T>() as u32;
    // SAFETY: the kernel reads `length` bytes at `value`.
    let result =
        unsafe { libc::setsockopt(socket, libc::SOL_XDP, option, std::ptr::from_ref(value).cast(), length) };
    socket::check(result, "setsockopt");
}
