//! Why a proxy cannot run.

use crate::sys::affinity::CoreProblem;
use std::io;
use std::path::PathBuf;

/// Why a proxy cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration has no listener.
    #[error("nothing to listen on")]
    NoListener,
    /// A listener has no route, or one to an upstream that is not there or has no server.
    #[error("listener {listener}: {problem}")]
    Route {
        /// The listener's name.
        listener: String,
        /// What is wrong.
        problem: String,
    },
    /// A number or a time that the proxy cannot work with.
    #[error("{place}: {problem}")]
    Value {
        /// What it is a part of.
        place: String,
        /// Which it is, and what it may be.
        problem: String,
    },
    /// A rule that no client would ever come to.
    #[error(
        "listener {listener}: rules before it have all ports of `{rule}`, and the first one that names a port has it"
    )]
    Shadowed {
        /// The listener's name.
        listener: String,
        /// As written.
        rule: String,
    },
    /// A socket cannot be opened there.
    #[error("cannot listen on {place}: {error}{}", advice(.error))]
    Listen {
        /// Protocol, address and port, or a path.
        place: String,
        /// The kernel's word.
        #[source]
        error: io::Error,
    },
    /// An inherited socket is not there, or cannot be used.
    #[error("cannot listen on fd:{name}: {problem}")]
    Inherited {
        /// As written.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A server's name has no address.
    #[error("cannot resolve {name}: {error}")]
    Resolve {
        /// As written.
        name: String,
        /// The resolver's word.
        #[source]
        error: io::Error,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log {}: {error}", path.display())]
    Log {
        /// As written.
        path: PathBuf,
        /// The kernel's word.
        #[source]
        error: io::Error,
    },
    /// A configuration read anew asks for what only a start gives.
    #[error("the configuration changes {what}, which takes a restart; everything stays as it was")]
    NeedsRestart {
        /// What differs.
        what: String,
    },
    /// It was asked to end before another configuration was in force.
    #[error("it is about to end")]
    Ending,
    /// Servers cannot be shown the client's address.
    #[error(
        "upstream {upstream}: `transparent` needs CAP_NET_ADMIN, as long as the proxy runs: start it as root, or with AmbientCapabilities=CAP_NET_ADMIN in its systemd unit, and without -Z ({error})"
    )]
    Transparent {
        /// Its name.
        upstream: String,
        /// The kernel's word.
        #[source]
        error: io::Error,
    },
    /// The process whose place this one is to take does not hand its sockets over.
    #[error("cannot take another process's place: {0}")]
    Handover(#[source] io::Error),
    /// A worker cannot run where it should.
    #[error("cannot run on CPU {core}: {problem}")]
    Core {
        /// The CPU asked for.
        core: usize,
        /// What is the matter with it.
        #[source]
        problem: CoreProblem,
    },
    /// The kernel refused what every worker needs: an event queue, a thread.
    #[error("cannot {what}: {error}")]
    Worker {
        /// What was tried.
        what: &'static str,
        /// The kernel's word.
        #[source]
        error: io::Error,
    },
    /// There are too few descriptors for even one connection.
    #[error(
        "of {limit} descriptors {used} are in use: none are left for connections; raise the limit (ulimit -n)"
    )]
    Descriptors {
        /// The process's limit (`RLIMIT_NOFILE`).
        limit: usize,
        /// Those in use once all sockets listen.
        used: usize,
    },
}

/// What to do about it.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrInUse => "; another process listens there (see ss -lntup)",
        io::ErrorKind::AddrNotAvailable => "; no interface of this host has that address",
        _ if error.raw_os_error() == Some(libc::EMFILE) => "; raise the limit of descriptors (ulimit -n)",
        _ => "",
    }
}
