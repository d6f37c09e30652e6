//! What is worth telling while a proxy runs.

use std::fmt;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As it should be.
    Info,
    /// Something is not well, and the proxy goes on without it.
    Warning,
}

impl Level {
    /// `info` or `warning`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }
}

/// Something that happened. `Display` gives it in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Active checks say that a server came up or went down.
    Server {
        /// Its name.
        server: String,
        /// It is up now.
        up: bool,
    },
    /// A name could not be looked up: what it meant before stays.
    NameFailed {
        /// As in the configuration.
        name: String,
        /// Why.
        problem: String,
    },
    /// A listening socket is left: another process, which has it too, has shut it down.
    ListenerDied {
        /// Where it listened.
        place: String,
    },
    /// The kernel refuses to watch a socket that a new configuration brought: nobody is served there.
    ListenerFailed {
        /// Where it listens.
        place: String,
        /// Why.
        problem: String,
    },
    /// The access log cannot be written; records are dropped, and counted, until it can.
    LogFailed {
        /// Why.
        problem: String,
    },
}

impl Notice {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Server { up: true, .. } => Level::Info,
            Self::Server { up: false, .. }
            | Self::NameFailed { .. }
            | Self::ListenerDied { .. }
            | Self::ListenerFailed { .. }
            | Self::LogFailed { .. } => Level::Warning,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { server, up: true } => write!(f, "server {server} is up"),
            Self::Server { server, up: false } => write!(f, "server {server} is down: its checks fail"),
            Self::NameFailed { name, problem } => {
                write!(f, "cannot look up {name}, so its servers stay as they are: {problem}")
            }
            Self::ListenerDied { place } => {
                write!(f, "{place} listens no more: another process has shut it down")
            }
            Self::ListenerFailed { place, problem } => {
                write!(f, "cannot watch {place}, so a worker serves nobody there: {problem}")
            }
            Self::LogFailed { problem } => write!(f, "cannot write the access log: {problem}"),
        }
    }
}
