//! Messages with descriptors between two processes: JSON over a `SOCK_SEQPACKET` pair, `SCM_RIGHTS` beside it (unix(7)).

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// Most descriptors in one message; the kernel takes 253 (`SCM_MAX_FD`).
pub(super) const MOST: usize = 64;
/// Bytes of a message: that of so many descriptors, each with the longest path and names.
const ROOM: usize = 1 << 17;
/// For the other process to make room for a message.
const STUCK: Duration = Duration::from_secs(20);
/// Until it is looked whether to go on waiting.
const LOOK: Duration = Duration::from_millis(200);

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

/// Both ends; the second is for the new process.
pub(super) fn pair() -> io::Result<(Channel, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Channel::over(ours)?, theirs))
}

impl Channel {
    /// The end that was inherited.
    pub(super) fn over(socket: OwnedFd) -> io::Result<Self> {
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LOOK))?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(STUCK))?;
        Ok(Self(socket))
    }

    pub(super) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > ROOM || descriptors.len() > MOST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                result => return Ok(result.map(drop)?),
            }
        }
    }

    /// The next message; waits as long as `patient` says so.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other process is gone, `TimedOut` without patience, `InvalidData` for what is no message.
    pub(super) fn receive<T: DeserializeOwned>(
        &self,
        mut patient: impl FnMut() -> bool,
    ) -> io::Result<(T, Vec<OwnedFd>)> {
        let mut bytes = vec![0; ROOM];
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let received =
                recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
            let length = match received {
                Ok(message) if message.bytes == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(message) => message.bytes,
                Err(Errno::INTR | Errno::AGAIN) if patient() => continue,
                Err(Errno::INTR | Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(Errno::CONNRESET) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error.into()),
            };
            let mut descriptors = Vec::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            return Ok((serde_json::from_slice(&bytes[..length])?, descriptors));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_come_with_what_is_said_of_them() {
        let (ours, theirs) = pair().unwrap();
        let theirs = Channel::over(theirs).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        ours.send(&vec!["a"; MOST], &vec![listener.as_fd(); MOST]).unwrap();
        let (said, descriptors): (Vec<String>, _) = theirs.receive(|| true).unwrap();
        assert_eq!((said.len(), descriptors.len()), (MOST, MOST));
        drop(listener);
        let mut client = TcpStream::connect(at).unwrap();
        client.write_all(b"x").unwrap();
        let copy = TcpListener::from(descriptors.into_iter().next_back().unwrap());
        assert!(copy.accept().is_ok(), "it is the same socket");
        // Nothing comes, nonsense comes, the other is gone.
        assert_eq!(theirs.receive::<String>(|| false).unwrap_err().kind(), io::ErrorKind::TimedOut);
        ours.send(&7, &[]).unwrap();
        assert_eq!(theirs.receive::<String>(|| true).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(ours);
        assert_eq!(theirs.receive::<String>(|| true).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
