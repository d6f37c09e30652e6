//! What can go wrong, in words that say what to do.

use crate::sys::bpf::AttachMode;
use crate::sys::xdp::AttachError;
use crate::sys::xdp::receiver::Step;
use std::io;

/// What wharf needs beyond what AF_PACKET does.
fn missing(capability: &str) -> String {
    let program = std::env::current_exe()
        .map_or_else(|_| "/path/to/wharf".to_owned(), |path| path.display().to_string());
    format!(
        "{capability} missing: AF_XDP needs root, or: sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep \
         {program} (root within a user namespace is not enough)"
    )
}

/// Why a program cannot be attached to the interface.
pub(super) fn attach(error: &AttachError, name: &str, mode: AttachMode) -> String {
    let cause = match error {
        AttachError::Map(cause) | AttachError::Attach(cause) => cause,
        AttachError::Load(load) => &load.error,
    };
    match (error, cause.raw_os_error()) {
        (AttachError::Map(_), Some(libc::EPERM)) => format!(
            "{}; before Linux 5.11 also where too little memory may be locked: ulimit -l unlimited",
            missing("CAP_BPF")
        ),
        (AttachError::Load(_), Some(libc::EPERM)) => missing("CAP_BPF or CAP_NET_ADMIN"),
        (AttachError::Attach(_), Some(libc::EPERM | libc::EACCES)) => missing("CAP_NET_ADMIN"),
        (AttachError::Attach(_), Some(libc::EBUSY | libc::EEXIST)) => format!(
            "an XDP program is attached to it already; end the program that put it there, or: ip link set dev {name} \
             xdp off"
        ),
        (AttachError::Attach(_), Some(libc::EOPNOTSUPP)) => {
            "its driver has no XDP: take --xdp=generic, which goes with any interface".to_owned()
        }
        (AttachError::Attach(_), Some(libc::EINVAL | libc::ERANGE | libc::ENOSPC))
            if mode == AttachMode::Native =>
        {
            format!(
                "its driver refuses the XDP program ({cause}): the MTU may be too large, or LRO on; or the kernel is \
                 older than 5.9"
            )
        }
        (AttachError::Attach(_), Some(libc::EINVAL)) => format!("{error}: it needs Linux 5.9"),
        _ => error.to_string(),
    }
}

/// Why generic mode was taken where native mode was to be had first.
pub(super) fn fallback(error: &AttachError, name: &str) -> String {
    let why = match error {
        AttachError::Attach(cause) if cause.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            "its driver has no XDP".to_owned()
        }
        _ => attach(error, name, AttachMode::Native),
    };
    format!("generic mode, which costs more than native: {why}")
}

/// Why a queue cannot be opened; `queues` is how many there are, if the driver says so.
pub(super) fn queue(step: Step, error: &io::Error, queue: u32, queues: Option<u32>, bytes: usize) -> String {
    let size = format!("{} KiB of memory", bytes.div_ceil(1 << 10));
    match (step, error.raw_os_error()) {
        (Step::Open, Some(libc::EPERM | libc::EACCES)) => missing("CAP_NET_RAW"),
        (Step::Open, Some(libc::EAFNOSUPPORT)) => "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)".to_owned(),
        (Step::Memory, Some(libc::ENOBUFS)) => format!(
            "{size} cannot be locked for a queue: raise the limit (ulimit -l), take CAP_IPC_LOCK, or ask for less (-B)"
        ),
        (Step::Memory | Step::Rings, Some(libc::ENOMEM)) => {
            format!("no memory: a queue needs {size}, ask for less (-B)")
        }
        (Step::Bind, Some(libc::EBUSY)) => {
            format!("queue {queue} is busy: another AF_XDP socket has it")
        }
        (Step::Bind, Some(libc::EINVAL)) => no_such_queue(queue, queues),
        (Step::Bind, Some(libc::EOPNOTSUPP)) => {
            format!("its driver has no AF_XDP for queue {queue}: take --xdp=generic")
        }
        _ => format!("cannot open queue {queue}: {error}"),
    }
}

pub(super) fn no_such_queue(queue: u32, queues: Option<u32>) -> String {
    match queues {
        Some(1) => format!("there is no queue {queue}: it has one, 0"),
        Some(count) if queue >= count => format!("there is no queue {queue}: it has {count}, from 0"),
        _ => format!("there is no queue {queue}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    #[test]
    fn each_says_what_to_do() {
        let attach = |number, mode| attach(&AttachError::Attach(of(number)), "eth7", mode);
        assert!(attach(libc::EBUSY, AttachMode::Native).contains("ip link set dev eth7 xdp off"));
        assert!(attach(libc::EOPNOTSUPP, AttachMode::Native).contains("--xdp=generic"));
        let fallback = |number| fallback(&AttachError::Attach(of(number)), "eth7");
        assert_eq!(
            fallback(libc::EOPNOTSUPP),
            "generic mode, which costs more than native: its driver has no XDP"
        );
        assert!(fallback(libc::EINVAL).contains("the MTU may be too large"));
        assert!(attach(libc::EPERM, AttachMode::Generic).contains("setcap"));
        let queue = |step, number| queue(step, &of(number), 3, Some(2), 1 << 20);
        assert_eq!(queue(Step::Bind, libc::EBUSY), "queue 3 is busy: another AF_XDP socket has it");
        assert_eq!(queue(Step::Bind, libc::EINVAL), "there is no queue 3: it has 2, from 0");
        assert!(queue(Step::Memory, libc::ENOBUFS).contains("ulimit -l"));
        assert!(queue(Step::Open, libc::EPERM).contains("CAP_NET_RAW missing"));
    }
}
