//! What the configuration comes to at a time: the workers' view of it, replaced as a whole.
//!
//! A reload, or a name that means other addresses, makes a new plan and [publishes](Published) it. A worker looks for one
//! when it is woken, which costs a read of a number. Connections keep what they began with until they have a server, and of it
//! only [names](Label) from then on: of plans that were replaced nothing stays for their sake.

use super::config::{self, Config, Place, Timeouts};
use super::detect::Condition;
use super::handover::{self, ServerNote};
use super::label::{Label, Labels};
use super::limits::Limits;
use super::listen::Listening;
use super::network::Network;
use super::proxy_protocol::Version;
use super::resolve::Meanings;
use super::share::Share;
use super::upstream::{Address, Member, Server, Upstream};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The workers' view.
#[derive(Debug)]
pub(super) struct Plan {
    /// For each listener of the configuration.
    pub(super) services: Vec<Arc<Service>>,
    /// As the configuration has them.
    pub(super) upstreams: Vec<(Arc<str>, Arc<Upstream>)>,
    pub(super) timeouts: Timeouts,
    /// Servers tried for one connection.
    pub(super) attempts: usize,
    pub(super) limits: Arc<Limits>,
    /// Each worker's sockets, and how much it may take on.
    pub(super) listening: Arc<Vec<Vec<Listening>>>,
    pub(super) share: Share,
    /// Another process takes this one's place: workers give it their sessions there.
    pub(super) handover: Option<handover::Receiver>,
}

/// What is done for those who connect to a listener.
#[derive(Debug)]
pub(super) struct Service {
    /// Of connections that have no route yet.
    pub(super) label: Arc<Label>,
    pub(super) no_delay: bool,
    pub(super) keep_alive: Option<Duration>,
    /// Who is trusted to say who the client is.
    pub(super) accept_proxy: Vec<Network>,
    pub(super) detect_timeout: Duration,
    /// Tried in order.
    pub(super) ways: Vec<Way>,
    /// Some of them are chosen by what the client says.
    pub(super) needs_bytes: bool,
}

/// Where a connection goes that fits.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) label: Arc<Label>,
    pub(super) condition: Condition,
    /// The upstream's place in the plan: whose turn it is, a worker knows by that.
    pub(super) index: usize,
    pub(super) upstream: Arc<Upstream>,
    pub(super) send_proxy: Option<Version>,
    /// Servers see the client's address.
    pub(super) transparent: bool,
}

/// The servers there are, by the names of their upstream and their own: a new plan goes on with what is known of them.
#[derive(Debug, Default)]
pub(super) struct Servers {
    there: HashMap<(String, String), Arc<Server>>,
    /// Those of former plans that have connections yet: one that comes back goes on with these.
    gone: HashMap<(String, String), Weak<Server>>,
}

impl Servers {
    /// What is known of each.
    pub(super) fn notes(&self, now: Instant) -> Vec<ServerNote> {
        let note = |((upstream, name), server): (&(String, String), &Arc<Server>)| ServerNote {
            upstream: upstream.clone(),
            server: name.clone(),
            standing: server.standing(now),
        };
        self.there.iter().map(note).collect()
    }

    /// Goes on from what another process knew of those that are the same in this configuration.
    pub(super) fn go_on_from(&self, notes: Vec<ServerNote>, config: &Config, now: Instant) {
        for ServerNote { upstream, server, standing } in notes {
            let mut checked = config.upstreams.iter().filter(|known| known.health.is_some());
            let checked = checked.any(|known| known.name == upstream);
            if let Some(server) = self.there.get(&(upstream, server)) {
                server.go_on_from(&standing, checked, now);
            }
        }
    }
}

impl Plan {
    /// The plan for a configuration whose names mean this. Servers of the plan before are taken from `servers`, and left
    /// there; so are the limits, where they are the same.
    pub(super) fn new(
        config: &Config,
        meanings: &Meanings,
        servers: &mut Servers,
        listening: &Arc<Vec<Vec<Listening>>>,
        share: Share,
        before: Option<&Self>,
        now: Instant,
    ) -> Self {
        let mut known = std::mem::take(&mut servers.there);
        let before_of = |name: &str| {
            let upstream = before?.upstreams.iter().find(|(known, _)| **known == *name);
            upstream.map(|(_, upstream)| upstream)
        };
        let upstreams: Vec<_> = config
            .upstreams
            .iter()
            .map(|upstream| {
                let name: Arc<str> = upstream.name.as_str().into();
                let members = servers.members(upstream, meanings, &mut known, now);
                let same = before_of(&name)
                    .filter(|known| known.is_of(upstream.balance, upstream.ejection, &members));
                let upstream = same.map_or_else(
                    || Arc::new(Upstream::new(upstream.balance, upstream.ejection, members)),
                    Arc::clone,
                );
                (name, upstream)
            })
            .collect();
        servers.part_with(known);
        let mut labels = Labels::known(
            before.into_iter().flat_map(|plan| &plan.services).flat_map(|service| service.labels()),
        );
        let way = |label: Arc<Label>, route: &config::Route| Way {
            label,
            condition: route.condition.clone(),
            index: route.upstream,
            upstream: Arc::clone(&upstreams[route.upstream].1),
            send_proxy: config.upstreams[route.upstream].send_proxy,
            transparent: config.upstreams[route.upstream].transparent,
        };
        let services = config.listeners.iter().map(|listener| {
            let name: Arc<str> = listener.name.as_str().into();
            let ways = listener.routes.iter().map(|route| {
                let upstream = Arc::clone(&upstreams[route.upstream].0);
                way(labels.get(&name, Some((route.name.as_str().into(), upstream))), route)
            });
            Arc::new(Service {
                ways: ways.collect(),
                label: labels.get(&name, None),
                no_delay: listener.options.no_delay,
                keep_alive: listener.options.keep_alive,
                accept_proxy: listener.accept_proxy.clone(),
                detect_timeout: listener.detect_timeout,
                needs_bytes: listener.routes.iter().any(|route| route.condition.needs_bytes()),
            })
        });
        let limits =
            before.map(|plan| &plan.limits).filter(|limits| limits.allowance() == config.limits.client);
        Self {
            services: services.collect(),
            timeouts: config.timeouts.clone(),
            attempts: usize::from(config.limits.attempts.max(1)),
            limits: limits.map_or_else(|| Arc::new(Limits::new(config.limits.client, now)), Arc::clone),
            upstreams,
            listening: Arc::clone(listening),
            share,
            handover: None,
        }
    }
}

impl Service {
    /// The labels of all that may come of it.
    pub(super) fn labels(&self) -> impl Iterator<Item = &Arc<Label>> {
        self.ways.iter().map(|way| &way.label).chain([&self.label])
    }
}

impl Servers {
    /// An upstream's servers: those `known` from the plan before, those that were gone and are not forgotten, and new ones.
    fn members(
        &mut self,
        upstream: &config::Upstream,
        meanings: &Meanings,
        known: &mut HashMap<(String, String), Arc<Server>>,
        now: Instant,
    ) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for server in &upstream.servers {
            for (name, address) in addresses(&server.place, meanings) {
                let key = (upstream.name.clone(), name.clone());
                let back = || self.gone.remove(&key).and_then(|server| server.upgrade());
                let made = known.remove(&key).or_else(back);
                let made = made.unwrap_or_else(|| Arc::new(Server::new(name, address, now)));
                // Two names for one place would be two servers of one name.
                if members.iter().any(|member| member.server.name() == made.name()) {
                    continue;
                }
                self.there.insert(key, Arc::clone(&made));
                members.push(Member {
                    server: made,
                    weight: server.weight.into(),
                    max_connections: server.max_connections,
                    draining: server.drain,
                });
            }
        }
        members
    }

    /// Remembers servers that no plan has any more, for as long as they have connections.
    fn part_with(&mut self, servers: HashMap<(String, String), Arc<Server>>) {
        self.gone.retain(|_, server| server.strong_count() > 0);
        self.gone.extend(servers.into_iter().map(|(key, server)| (key, Arc::downgrade(&server))));
    }
}

/// The addresses of a place, each with the name of the server there.
fn addresses(place: &Place, meanings: &Meanings) -> Vec<(String, Address)> {
    let named = |address: &IpAddr, port: Option<u16>| Address::Ip { address: *address, port };
    match place {
        Place::Address { address, port } => vec![(place.to_string(), named(address, *port))],
        Place::Unix(path) => vec![(place.to_string(), Address::Unix(path.clone()))],
        Place::Name { name, port } => {
            let found = meanings.get(name).map_or(&[][..], Vec::as_slice);
            found.iter().map(|address| (format!("{place}/{address}"), named(address, *port))).collect()
        }
    }
}

/// The names that a configuration's servers have.
pub(super) fn names(config: &Config) -> impl Iterator<Item = &str> {
    config.upstreams.iter().flat_map(|upstream| &upstream.servers).filter_map(|server| match &server.place {
        Place::Name { name, .. } => Some(name.as_str()),
        Place::Address { .. } | Place::Unix(_) => None,
    })
}

/// A value that one thread replaces and others look at.
#[derive(Debug)]
pub(super) struct Published<T> {
    /// How often it was replaced.
    version: AtomicU64,
    value: Mutex<Arc<T>>,
}

impl<T> Published<T> {
    pub(super) fn new(value: T) -> Self {
        Self { version: AtomicU64::new(0), value: Mutex::new(Arc::new(value)) }
    }

    pub(super) fn set(&self, value: T) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
        // After the value: who sees the number finds it, or a later one.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// How often it was replaced so far.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value, if it was replaced since `seen`, which is brought up to date: a reader waits for nobody unless it was.
    pub(super) fn newer(&self, seen: &mut u64) -> Option<Arc<T>> {
        let version = self.version.load(Ordering::Acquire);
        (std::mem::replace(seen, version) != version).then(|| self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[upstream.a]\nservers = [\"10.0.0.1:80\", \"a.example:81\"]\n\
        [upstream.b]\nservers = [\"10.0.0.1:80\"]\n[[listener]]\nbind = [\"tcp/80\"]\nto = \"a\"\n";

    fn members(plan: &Plan, upstream: usize) -> Vec<String> {
        plan.upstreams[upstream].1.members().iter().map(|member| member.server.name().to_owned()).collect()
    }

    #[test]
    fn servers_are_kept_from_one_plan_to_the_next() {
        let config = Config::from_toml(TEXT).unwrap();
        let now = Instant::now();
        let mut servers = Servers::default();
        let plan = |config: &Config, meanings: &Meanings, servers: &mut Servers, before: Option<&Plan>| {
            Plan::new(config, meanings, servers, &Arc::default(), Share::default(), before, now)
        };
        let mean = |last: &[u8]| -> Meanings {
            [("a.example".to_owned(), last.iter().map(|&last| [192, 0, 2, last].into()).collect())].into()
        };
        assert_eq!(names(&config).collect::<Vec<_>>(), ["a.example"]);
        let first = plan(&config, &mean(&[1]), &mut servers, None);
        assert_eq!(members(&first, 0), ["10.0.0.1:80", "a.example:81/192.0.2.1"]);
        let second = plan(&config, &mean(&[2, 1]), &mut servers, Some(&first));
        assert_eq!(members(&second, 0), ["10.0.0.1:80", "a.example:81/192.0.2.2", "a.example:81/192.0.2.1"]);
        let server = |plan: &Plan, upstream: usize, member: usize| {
            Arc::clone(&plan.upstreams[upstream].1.members()[member].server)
        };
        assert!(Arc::ptr_eq(&server(&first, 0, 0), &server(&second, 0, 0)));
        assert!(Arc::ptr_eq(&server(&first, 0, 1), &server(&second, 0, 2)));
        // The same address in another upstream is another server, and those that went are forgotten.
        assert!(!Arc::ptr_eq(&server(&first, 0, 0), &server(&first, 1, 0)));
        let upstream = |plan: &Plan, upstream: usize| Arc::clone(&plan.upstreams[upstream].1);
        assert!(Arc::ptr_eq(&upstream(&first, 1), &upstream(&second, 1)), "nothing about it is new");
        assert!(!Arc::ptr_eq(&upstream(&first, 0), &upstream(&second, 0)));
        assert!(Arc::ptr_eq(&first.limits, &second.limits));
        let third = plan(&config, &Meanings::new(), &mut servers, Some(&second));
        assert_eq!((members(&third, 0).len(), servers.there.len()), (1, 2));
        // Back again, it is the one that has a connection, and one nobody remembers is new.
        let (one, other) = (server(&second, 0, 2), Arc::downgrade(&server(&second, 0, 1)));
        let held = one.take(0, config.upstreams[0].ejection);
        drop((first, second));
        assert!(other.upgrade().is_none(), "what went is let go of");
        let back = plan(&config, &mean(&[1, 2]), &mut servers, Some(&third));
        assert!(Arc::ptr_eq(&server(&back, 0, 1), &one));
        assert_eq!([server(&back, 0, 1).active(), server(&back, 0, 2).active()], [1, 0]);
        drop(held);
        let mut tighter = config.clone();
        tighter.limits.client.client_rate = 1;
        let fourth = plan(&tighter, &Meanings::new(), &mut servers, Some(&third));
        assert!(!Arc::ptr_eq(&third.limits, &fourth.limits));
    }

    #[test]
    fn a_reader_sees_each_new_value_once() {
        let published = Published::new(1);
        let mut seen = 0;
        assert_eq!(published.newer(&mut seen), None);
        published.set(2);
        published.set(3);
        assert_eq!(published.newer(&mut seen).as_deref(), Some(&3));
        assert_eq!(published.newer(&mut seen), None);
    }
}
