//! An `AF_PACKET` socket that sends past the queueing discipline, and receives nothing until it is told to.

use std::io::Error;
use std::mem::{size_of, zeroed};

pub(crate) fn open(interface: &str) -> i32 {
    // SAFETY: no memory is passed.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    check(socket, "socket");
    bind(socket, interface, 0);
    set(socket, libc::PACKET_QDISC_BYPASS, &1_i32);
    socket
}

/// Has a socket receive whatever passes its interface.
pub(crate) fn listen(socket: i32, interface: &str) {
    bind(socket, interface, (libc::ETH_P_ALL as u16).to_be());
}

fn bind(socket: i32, interface: &str, protocol: u16) {
    let name = std::ffi::CString::new(interface).expect("a name");
    // SAFETY: plain system calls with values that live through them; `sockaddr_ll` is plain data.
    unsafe {
        let index = libc::if_nametoindex(name.as_ptr());
        assert!(index > 0, "{interface}: no such interface");
        let mut address: libc::sockaddr_ll = zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = index as i32;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        check(libc::bind(socket, (&raw const address).cast(), length), "bind");
    }
}

pub(crate) fn set<T>(socket: i32, option: i32, value: &T) {
    // SAFETY: the kernel reads `size_of::<T>()` bytes at `value`.
    let result = unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        )
    };
    check(result, "setsockopt");
}

pub(crate) fn check(result: i32, what: &str) {
    assert!(result >= 0, "{what}: {}", Error::last_os_error());
}
