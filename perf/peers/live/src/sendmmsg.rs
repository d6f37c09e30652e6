//! `sendmmsg(2)`, 64 at a time, every header prepared before.

use super::socket;
use std::io::Error;
use std::mem::zeroed;

const BURST: usize = 64;

pub(crate) fn send(interface: &str, frames: &[Vec<u8>], count: usize) {
    let socket = socket::open(interface);
    let mut vectors: Vec<libc::iovec> = frames
        .iter()
        .map(|frame| libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .map(|vector| {
            // SAFETY: plain data, of which zeroes are an empty value.
            let mut message: libc::mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let (mut done, mut at) = (0, 0);
    while done < count {
        let burst = BURST.min(messages.len() - at).min(count - done);
        // SAFETY: `burst` messages from `at` on lie in the list, each with a vector over a frame that lives on.
        let sent = unsafe { libc::sendmmsg(socket, messages[at..].as_mut_ptr(), burst as u32, 0) };
        if sent < 0 {
            let error = Error::last_os_error();
            assert!(error.raw_os_error() == Some(libc::ENOBUFS), "sendmmsg: {error}");
            continue;
        }
        done += sent as usize;
        at = (at + sent as usize) % messages.len();
    }
}
