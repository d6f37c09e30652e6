//! How much each worker may take on, by the descriptors there are.

use super::config::{Config, Transport};
use super::error::Error;
use super::listen::Sockets;
use rustix::process::{Resource, getrlimit};

/// Pipes of a worker, where there are descriptors enough.
const PIPES: usize = 256;
/// Large pipes of all workers: half of what a user without privileges has for pipes.
const LARGE_PIPES: usize = 32;
/// Descriptors left to the rest of the process, beside one for each worker: who asks at the admin address, names looked up, the log
/// opened anew, another process told of.
const RESERVE: usize = 16;
/// Most servers that are checked at a time, each with a descriptor, as far as those are left to it.
const CHECKS: usize = 64;

/// How much a worker may take on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) connections: usize,
    pub(super) sessions: usize,
    pub(super) pipes: usize,
    /// Of those, the ones that may be large.
    pub(super) large_pipes: usize,
}

/// Descriptors that no client may take.
fn reserve(config: &Config, workers: usize) -> usize {
    let checked = config.upstreams.iter().filter(|upstream| upstream.health.is_some());
    let checked: usize = checked.map(|upstream| upstream.servers.len()).sum();
    RESERVE + workers + checked.min(CHECKS)
}

/// The process's descriptors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    limit: usize,
    /// In use for something other than clients and listening sockets.
    others: usize,
    workers: usize,
}

impl Budget {
    /// Counted while these sockets are open, and nobody is there yet.
    pub(super) fn count(sockets: &Sockets, workers: usize) -> Self {
        let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
        // The one that reads the directory is among them.
        let used = std::fs::read_dir("/proc/self/fd").map_or(64, |entries| entries.count());
        Self { limit, others: used.saturating_sub(sockets.count()), workers }
    }

    /// What is left for each worker beside these sockets.
    pub(super) fn share(&self, config: &Config, sockets: &Sockets) -> Result<Share, Error> {
        let Self { limit, workers, .. } = *self;
        let used = self.others + sockets.count();
        let left = limit.saturating_sub(used + reserve(config, workers));
        let is_there = |wanted| sockets.endpoints.iter().any(|endpoint| endpoint.transport == wanted);
        let (tcp, udp) = (is_there(Transport::Tcp), is_there(Transport::Udp));
        // A connection has two, a session one; a pipe two.
        let pipes = (left / 16 / workers).min(PIPES);
        let left = if tcp { left - pipes * 2 * workers } else { left };
        let for_udp = match (tcp, udp) {
            (_, false) => 0,
            (false, true) => left,
            (true, true) => left / 4,
        };
        let most = |asked: usize, possible: usize| match asked {
            0 => possible,
            // One at least: the kernel hands each worker clients.
            asked => asked.div_ceil(workers).min(possible),
        };
        let share = Share {
            connections: if tcp {
                most(config.limits.connections, (left - for_udp) / 2 / workers)
            } else {
                0
            },
            sessions: if udp { most(config.limits.sessions, for_udp / workers) } else { 0 },
            pipes,
            large_pipes: (LARGE_PIPES / workers).max(1),
        };
        match (tcp && share.connections == 0) || (udp && share.sessions == 0) {
            true => Err(Error::Descriptors { limit, used }),
            false => Ok(share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_left_for_workers_and_checks() {
        let text = |health: &str, servers: usize| {
            let servers: Vec<_> =
                (0..servers).map(|last| format!("\"10.0.{}.{}:1\"", last / 200, last % 200)).collect();
            let text = format!(
                "[upstream.a]\nservers = [{}]\n{health}\n[[listener]]\nbind = [\"tcp/80\"]\nto = \"a\"\n",
                servers.join(",")
            );
            Config::from_toml(&text).unwrap()
        };
        assert_eq!(reserve(&text("", 9), 4), 20);
        assert_eq!(reserve(&text("health.interval = \"1s\"", 9), 4), 29);
        assert_eq!(reserve(&text("health.interval = \"1s\"", 300), 4), 84);
    }
}
