//! The least that an AF_XDP program can do: count frames and give their chunks back, as xdpsock's `-r` does.
//!
//! Written over libc alone, so that it shares nothing with what it is compared with but the program in the kernel.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

const CHUNK: usize = 2048;
/// Chunks and entries of both rings: xdpsock's default.
const COUNT: usize = 4096;

struct Ring {
    producer: *const AtomicU32,
    consumer: *const AtomicU32,
    entries: *mut u8,
}

// The memory is shared with the kernel and with nobody else; it stays mapped until the program ends.
unsafe impl Send for Ring {}

pub(crate) struct Bare {
    socket: OwnedFd,
    rx: Ring,
    fill: Ring,
    /// Calls of `poll`.
    pub(crate) polls: u64,
}

fn check(result: libc::c_int) -> libc::c_int {
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
    result
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) {
    let length = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_ref(value).cast();
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_XDP, option, value, length) });
}

fn map(length: usize, flags: libc::c_int, file: libc::c_int, offset: i64) -> *mut u8 {
    let start = unsafe {
        libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, file, offset)
    };
    assert!(start != libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
    start.cast()
}

impl Bare {
    pub(crate) fn open(interface: u32, queue: u32) -> Self {
        let socket = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0))) };
        let memory = map(COUNT * CHUNK, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE, -1, 0);
        let registration = libc::xdp_umem_reg {
            addr: memory as u64,
            len: (COUNT * CHUNK) as u64,
            chunk_size: CHUNK as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set(&socket, libc::XDP_UMEM_REG, &registration);
        set(&socket, libc::XDP_UMEM_FILL_RING, &(COUNT as u32));
        set(&socket, libc::XDP_UMEM_COMPLETION_RING, &1_u32);
        set(&socket, libc::XDP_RX_RING, &(COUNT as u32));
        let mut offsets = unsafe { std::mem::zeroed::<libc::xdp_mmap_offsets>() };
        let mut length = size_of::<libc::xdp_mmap_offsets>() as libc::socklen_t;
        check(unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_XDP,
                libc::XDP_MMAP_OFFSETS,
                (&raw mut offsets).cast(),
                &raw mut length,
            )
        });
        let ring = |offset: &libc::xdp_ring_offset, size: usize, page: i64| {
            let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
            let start = map(offset.desc as usize + COUNT * size, flags, socket.as_raw_fd(), page);
            unsafe {
                Ring {
                    producer: start.add(offset.producer as usize).cast(),
                    consumer: start.add(offset.consumer as usize).cast(),
                    entries: start.add(offset.desc as usize),
                }
            }
        };
        let rx = ring(&offsets.rx, size_of::<libc::xdp_desc>(), libc::XDP_PGOFF_RX_RING);
        let fill = ring(&offsets.fr, 8, libc::XDP_UMEM_PGOFF_FILL_RING as i64);
        for index in 0..COUNT {
            unsafe { fill.entries.cast::<u64>().add(index).write((index * CHUNK) as u64) };
        }
        unsafe { &*fill.producer }.store(COUNT as u32, Ordering::Release);
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        check(unsafe {
            let length = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length)
        });
        Self { socket, rx, fill, polls: 0 }
    }

    /// Counts what there is, 64 at most.
    pub(crate) fn receive(&mut self) -> u32 {
        let (producer, consumer) = unsafe { (&*self.rx.producer, &*self.rx.consumer) };
        let fill = unsafe { &*self.fill.producer };
        let next = consumer.load(Ordering::Relaxed);
        let count = producer.load(Ordering::Acquire).wrapping_sub(next).min(64);
        if count == 0 {
            return 0;
        }
        let to = fill.load(Ordering::Relaxed);
        for number in 0..count {
            let mask = COUNT as u32 - 1;
            unsafe {
                let found =
                    self.rx.entries.cast::<libc::xdp_desc>().add((next.wrapping_add(number) & mask) as usize);
                let chunk = (*found).addr & !(CHUNK as u64 - 1);
                self.fill.entries.cast::<u64>().add((to.wrapping_add(number) & mask) as usize).write(chunk);
            }
        }
        fill.store(to.wrapping_add(count), Ordering::Release);
        consumer.store(next.wrapping_add(count), Ordering::Release);
        count
    }

    pub(crate) fn poll(&mut self) {
        self.polls += 1;
        let mut watched = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        unsafe { libc::poll(&raw mut watched, 1, 100) };
    }
}

impl AsFd for Bare {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
