//! rtnetlink messages (RFC 3549, rtnetlink(7)): build one, send it, read the answer.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct nlmsghdr` of `linux/netlink.h`, Linux 6.1.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

const _: () = assert!(size_of::<Header>() == size_of::<libc::nlmsghdr>());

/// Messages and attributes start on multiples of 4 (`NLMSG_ALIGNTO`, `NLA_ALIGNTO`).
const ALIGNMENT: usize = 4;

/// A request under construction.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of a kind (`RTM_*`) with its fixed part; `NLM_F_REQUEST` is added to the flags.
    #[must_use]
    pub(crate) fn new(kind: u16, flags: libc::c_int, body: &(impl IntoBytes + Immutable)) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        let header = Header { length: 0, kind, flags, sequence: 1, port: 0 };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(body.as_bytes());
        Self { bytes }
    }

    /// Appends an attribute.
    #[must_use]
    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.push(kind, value);
        self
    }

    /// Appends an attribute whose value `fill` appends: further attributes, or a structure and attributes.
    #[must_use]
    pub(crate) fn with_nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.push(kind, &[]);
        let mut filled = fill(self);
        let length = (filled.bytes.len() - start) as u16;
        filled.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled
    }

    /// Appends bare bytes, as the fixed part within a nested attribute.
    #[must_use]
    pub(crate) fn with_bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn push(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }
}

/// A conversation with the kernel about the network namespace of the thread that opens it.
#[derive(Debug)]
pub(crate) struct Netlink(Socket);

impl Netlink {
    /// # Errors
    /// As `socket(2)`.
    pub(crate) fn open() -> io::Result<Self> {
        Self::with(libc::NETLINK_ROUTE)
    }

    /// A conversation by generic netlink, with whatever family a message is for.
    ///
    /// # Errors
    /// As `socket(2)`.
    pub(crate) fn open_generic() -> io::Result<Self> {
        Self::with(libc::NETLINK_GENERIC)
    }

    fn with(protocol: i32) -> io::Result<Self> {
        let protocol = Some(Protocol::from(protocol));
        Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, protocol).map(Self)
    }

    /// Sends a change and waits until it is made.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(crate) fn change(&self, message: Message) -> io::Result<()> {
        self.converse(message, libc::NLM_F_ACK, |_, _| {})
    }

    /// Asks for one thing; `each` gets the kind and the body of every message of the answer.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(crate) fn ask(&self, message: Message, each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.converse(message, libc::NLM_F_ACK, each)
    }

    /// Asks for a whole table; `each` gets the kind and the body of every message of the answer.
    ///
    /// # Errors
    /// The kernel's refusal, or `InvalidData` when the answer does not hold together.
    pub(crate) fn dump(&self, message: Message, each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.converse(message, libc::NLM_F_DUMP, each)
    }

    fn converse(&self, message: Message, flags: i32, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let mut request = message.finish();
        let flags = flags as u16 | u16::from_ne_bytes([request[6], request[7]]);
        request[6..8].copy_from_slice(&flags.to_ne_bytes());
        retry(|| self.0.send(&request))?;
        // The kernel fits each part of a dump into 32 KiB.
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = retry(|| (&self.0).read(&mut buffer))?;
            if read_answer(&buffer[..length], &mut each)? {
                return Ok(());
            }
        }
    }
}

/// Calls again what a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Walks the messages of one datagram; true when the answer ends with it.
fn read_answer(mut bytes: &[u8], each: &mut impl FnMut(u16, &[u8])) -> io::Result<bool> {
    while let Ok((header, _)) = Header::read_from_prefix(bytes) {
        let length = header.length as usize;
        let body = bytes.get(size_of::<Header>()..length).ok_or(io::ErrorKind::InvalidData)?;
        match i32::from(header.kind) {
            // Either ends with an error number, negated: a dump may fail in its middle.
            libc::NLMSG_DONE | libc::NLMSG_ERROR => {
                let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                return if code < 0 {
                    Err(io::Error::from_raw_os_error(code.wrapping_neg()))
                } else {
                    Ok(true)
                };
            }
            _ => each(header.kind, body),
        }
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(false)
}

/// The attributes in a run of them: kind (without its flag bits) and value; ends at the first that is malformed.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & libc::NLA_TYPE_MASK as u16;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_read_back_as_written_and_stop_at_damage() {
        let message = Message::new(16, 0, &[0_u8; 4])
            .with(3, b"abcde")
            .with_nested(18, |inner| inner.with(1, b"veth").with_bytes(&[9; 4]));
        let bytes = message.finish();
        assert_eq!(bytes.len(), u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize);
        let found: Vec<_> = attributes(&bytes[20..]).collect();
        assert_eq!(found[0], (3, &b"abcde"[..]));
        assert_eq!(found[1].0, 18);
        assert_eq!(attributes(found[1].1).next(), Some((1, &b"veth"[..])));
        for cut in 0..bytes.len() - 20 {
            attributes(&bytes[20..20 + cut]).for_each(drop);
        }
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0, "a length below its own head");
    }

    #[test]
    fn an_answer_ends_with_its_error() {
        let ending = |kind: i32, code: i32| {
            let header = Header { length: 20, kind: kind as u16, flags: 0, sequence: 1, port: 0 };
            let bytes = [header.as_bytes(), &code.to_ne_bytes()].concat();
            read_answer(&bytes, &mut |_, _| {}).map_err(|error| error.raw_os_error())
        };
        for kind in [libc::NLMSG_DONE, libc::NLMSG_ERROR] {
            assert_eq!(ending(kind, 0), Ok(true));
            assert_eq!(ending(kind, -libc::EPERM), Err(Some(libc::EPERM)));
        }
    }

    #[test]
    fn damaged_answers_are_errors_not_panics() {
        let header = Header { length: 100, kind: 16, flags: 0, sequence: 1, port: 0 };
        assert!(read_answer(header.as_bytes(), &mut |_, _| {}).is_err(), "longer than the datagram");
        let header = Header { length: 3, kind: 16, flags: 0, sequence: 1, port: 0 };
        assert!(read_answer(header.as_bytes(), &mut |_, _| {}).is_err(), "shorter than itself");
    }
}
