//! What the names of servers mean, looked up again when their time is over, on a thread of its own.
//!
//! The system's resolver gives no times, so that name servers are asked directly, over UDP and, where an answer does not
//! fit, TCP; what they do not know is left to the system ([`Resolver::look_up`] says in what order). Names are looked
//! up one after the other: name servers that do not answer delay the next name by some 10 s, and change nothing, as
//! what a name meant stays until something else is known.
//!
//! | file | what |
//! | --- | --- |
//! | `message` | questions and answers |
//! | `client` | asking: files, servers, the system |
//! | `schedule` | when which name is due |

mod client;
mod message;
mod schedule;

pub use client::{Found, Resolver};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use schedule::Schedule;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What names mean: only those that were looked up with success.
pub(super) type Meanings = BTreeMap<String, Vec<IpAddr>>;

/// The thread that looks names up. It ends when this is dropped, once a look-up that it is at is over.
#[derive(Debug)]
pub(super) struct Names {
    names: Sender<BTreeSet<String>>,
}

impl Names {
    /// Begins with no name. `changed` is called on the thread with what all names mean whenever one means something else;
    /// `failed` with each look-up that failed.
    pub(super) fn start(
        resolver: Resolver,
        changed: impl FnMut(Meanings) + Send + 'static,
        failed: impl FnMut(&str, &io::Error) + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (names, wanted) = unbounded();
        let thread = std::thread::Builder::new().name("wharf-names".to_owned());
        let thread = thread.spawn(move || run(&resolver, &wanted, changed, failed))?;
        Ok((Self { names }, thread))
    }

    /// The names that matter from now on. What is known of those that mattered before is kept.
    pub(super) fn set(&self, names: BTreeSet<String>) {
        // It fails only when the thread has ended, and then nobody wants to know.
        let _ = self.names.send(names);
    }
}

fn run(
    resolver: &Resolver,
    wanted: &Receiver<BTreeSet<String>>,
    mut changed: impl FnMut(Meanings),
    mut failed: impl FnMut(&str, &io::Error),
) {
    let mut schedule = Schedule::default();
    loop {
        let now = Instant::now();
        let wait = match schedule.next(now) {
            Ok(name) => {
                let name = name.to_owned();
                let result = resolver.look_up(&name);
                if let Err(error) = &result {
                    failed(&name, error);
                }
                if schedule.note(&name, &result, Instant::now()) {
                    changed(meanings(&schedule));
                }
                Some(Duration::ZERO)
            }
            Err(wait) => wait,
        };
        let received = match wait {
            Some(wait) => wanted.recv_timeout(wait),
            None => wanted.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(names) => schedule.set(names, Instant::now()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn meanings(schedule: &Schedule) -> Meanings {
    let known = schedule.addresses().filter(|(_, addresses)| !addresses.is_empty());
    known.map(|(name, addresses)| (name.to_owned(), addresses.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_change_told() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = directory.path().join("hosts");
        std::fs::write(&hosts, "192.0.2.1 here.example\n").unwrap();
        let (told, heard) = unbounded();
        let (complained, complaints) = unbounded();
        let resolver = Resolver { configuration: directory.path().join("none"), hosts, port: 1 };
        let (names, thread) = Names::start(
            resolver,
            move |meanings| told.send(meanings).unwrap(),
            move |name, _| complained.send(name.to_owned()).unwrap(),
        )
        .unwrap();
        // No name: `.invalid` is none (RFC 6761 section 6.4), and an empty label asks no server.
        names.set(["here.example".to_owned(), "not..invalid".to_owned()].into());
        let meanings = heard.recv_timeout(Duration::from_secs(20)).expect("a meaning");
        assert_eq!(meanings, BTreeMap::from([("here.example".to_owned(), vec![[192, 0, 2, 1].into()])]));
        assert_eq!(complaints.recv_timeout(Duration::from_secs(20)).as_deref(), Ok("not..invalid"));
        drop(names);
        thread.join().unwrap();
    }
}
