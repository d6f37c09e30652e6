//! What runs beside the workers: names looked up, servers checked, and new plans made of what came of it or of a new
//! configuration.

use super::config::{Config, Transport};
use super::counters::Totals;
use super::error::Error;
use super::handover;
use super::health::{Checked, Checks};
use super::listen::{self, Sockets};
use super::notice::Notice;
use super::plan::{self, Plan, Servers};
use super::resolve::{Meanings, Names, Resolver};
use super::share::{Budget, Share};
use super::shared::{ListenPlace, Shared};
use super::source;
use crossbeam::channel::{RecvTimeoutError, bounded};
use crossbeam::utils::CachePadded;
use mio::Waker;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Who is told what is worth telling.
pub(super) type Listen = Arc<dyn Fn(Notice) + Send + Sync>;

/// For workers to go by a new plan, which they do as soon as they have their turn.
const BUSY: Duration = Duration::from_secs(2);
/// Until it is looked whether to go on waiting for a name.
const LOOK: Duration = Duration::from_millis(50);

/// The control side of a proxy at work.
pub(super) struct Control {
    shared: Arc<Shared>,
    wakers: Arc<[Waker]>,
    state: Mutex<State>,
    names: OnceLock<Names>,
    checks: OnceLock<Checks>,
}

/// What a plan is made of.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Config,
    pub(super) meanings: Meanings,
    pub(super) servers: Servers,
    pub(super) sockets: Sockets,
    budget: Budget,
    share: Share,
    /// It listens nowhere any more, and never will again.
    closed: bool,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("state", &self.state).finish_non_exhaustive()
    }
}

impl State {
    /// Looks the names up that a configuration needs, and waits for it as long as it is to `go_on`. `sockets` are those it asks
    /// for, all open.
    pub(super) fn new(
        config: &Config,
        sockets: Sockets,
        budget: Budget,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        let mut state = Self {
            config: config.clone(),
            meanings: Meanings::new(),
            servers: Servers::default(),
            share: budget.share(config, &sockets)?,
            budget,
            sockets,
            closed: false,
        };
        state.meanings = look_up(state.unknown(config), &Resolver::default(), go_on)?;
        Ok(state)
    }

    /// Names whose meaning is not known yet, each once.
    fn unknown(&self, config: &Config) -> BTreeSet<String> {
        let unknown = plan::names(config).filter(|&name| !self.meanings.contains_key(name));
        unknown.map(str::to_owned).collect()
    }

    pub(super) fn plan(&mut self, before: Option<&Plan>) -> Plan {
        let Self { config, meanings, servers, sockets, share, .. } = self;
        Plan::new(config, meanings, servers, &sockets.workers, *share, before, Instant::now())
    }
}

impl Control {
    /// Starts what is needed beside the workers. Threads end some time after what is given here is dropped, and nobody
    /// waits for them: one may be looking a name up.
    pub(super) fn start(
        shared: Arc<Shared>,
        wakers: Arc<[Waker]>,
        state: State,
        notice: &Listen,
    ) -> Result<Arc<Self>, Error> {
        let control = Arc::new(Self {
            shared,
            wakers,
            state: Mutex::new(state),
            names: OnceLock::new(),
            checks: OnceLock::new(),
        });
        {
            let state = control.state.lock().unwrap_or_else(PoisonError::into_inner);
            control.start_threads(&state.config, notice)?;
            control.follow(&state.config, &control.shared.plan.get());
        }
        Ok(control)
    }

    /// Those threads that a configuration needs and that do not run yet.
    fn start_threads(self: &Arc<Self>, config: &Config, notice: &Listen) -> Result<(), Error> {
        let failed = |error| Error::Worker { what: "start a thread", error };
        if self.names.get().is_none() && plan::names(config).next().is_some() {
            let control = Arc::downgrade(self);
            let changed = move |meanings| {
                if let Some(control) = control.upgrade() {
                    control.names_changed(meanings);
                }
            };
            let notice = Arc::clone(notice);
            let complain = move |name: &str, error: &std::io::Error| {
                notice(Notice::NameFailed { name: name.to_owned(), problem: error.to_string() });
            };
            let (names, _) = Names::start(Resolver::default(), changed, complain).map_err(failed)?;
            let _ = self.names.set(names);
        }
        if self.checks.get().is_none() && config.upstreams.iter().any(|upstream| upstream.health.is_some()) {
            let notice = Arc::clone(notice);
            let changed = move |server: &super::upstream::Server, up| {
                notice(Notice::Server { server: server.name().to_owned(), up });
            };
            let (checks, _) = Checks::start(changed).map_err(failed)?;
            let _ = self.checks.set(checks);
        }
        Ok(())
    }

    /// Has the threads look after what a plan has.
    fn follow(&self, config: &Config, plan: &Plan) {
        if let Some(names) = self.names.get() {
            names.set(plan::names(config).map(str::to_owned).collect());
        }
        self.check(config, plan);
    }

    fn check(&self, config: &Config, plan: &Plan) {
        let Some(checks) = self.checks.get() else { return };
        let mut checked = Vec::new();
        for (upstream, (_, live)) in config.upstreams.iter().zip(&plan.upstreams) {
            if let Some(check) = &upstream.health {
                let member = |member: &super::upstream::Member| Checked {
                    server: Arc::clone(&member.server),
                    check: check.clone(),
                };
                checked.extend(live.members().iter().map(member));
            }
        }
        checks.set(checked);
    }

    fn publish(&self, plan: Plan) {
        self.shared.plan.set(plan);
        for waker in &*self.wakers {
            // A worker that is gone needs no plan.
            let _ = waker.wake();
        }
    }

    /// What plans are made of; nobody makes one meanwhile.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted so far.
    pub(super) fn totals(&self) -> Totals {
        self.shared.totals()
    }

    pub(super) fn workers(&self) -> usize {
        self.shared.counters.len()
    }

    /// Has the workers go by what there is by now, and give their sessions away if there is somebody for them.
    pub(super) fn publish_for(&self, state: &mut State, handover: Option<handover::Receiver>) {
        let mut plan = state.plan(Some(&self.shared.plan.get()));
        plan.handover = handover;
        self.publish(plan);
    }

    /// Waits until each worker goes by the plan, so that none passes over one with a place at which clients are by then. A
    /// worker that is very busy, or gone, is not waited for any longer.
    fn wait_for_workers(&self) {
        let (version, end) = (self.shared.plan.version(), Instant::now() + BUSY);
        let follows = |followed: &CachePadded<AtomicU64>| followed.load(Ordering::Acquire) >= version;
        while !self.shared.followed.iter().all(follows) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Names mean something else.
    fn names_changed(&self, meanings: Meanings) {
        let mut state = self.state();
        // What could not be looked up by now means what it meant at the start.
        state.meanings.extend(meanings);
        let plan = state.plan(Some(&self.shared.plan.get()));
        self.check(&state.config, &plan);
        self.publish(plan);
    }

    /// Goes by another configuration from now on, unless it is not to `go_on`.
    pub(super) fn reload(
        self: &Arc<Self>,
        config: &Config,
        notice: &Listen,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let unknown = {
            let state = self.state();
            if let Some(what) = needs_restart(&state.config, config) {
                return Err(Error::NeedsRestart { what });
            }
            state.unknown(config)
        };
        source::check(config)?;
        listen::check(config)?;
        // It may take long: whoever wants to end it meanwhile does not wait for it.
        let found = look_up(unknown, &Resolver::default(), go_on)?;
        let mut state = self.state();
        if state.closed {
            return Err(Error::Ending);
        }
        let mut sockets = state.sockets.open(config, self.shared.counters.len())?;
        let share = state.budget.share(config, &sockets)?;
        state.meanings.extend(found);
        self.start_threads(config, notice)?;
        sockets.set(config)?;
        state.config = config.clone();
        state.share = share;
        // What nobody asks for any more is closed by the workers.
        let before = std::mem::replace(&mut state.sockets, sockets);
        let wanted: Vec<_> = plan::names(config).map(str::to_owned).collect();
        state.meanings.retain(|name, _| wanted.contains(name));
        let plan = state.plan(Some(&self.shared.plan.get()));
        self.follow(config, &plan);
        self.publish(plan);
        self.wait_for_workers();
        // The kernel's rules and the paths among it go now, when new ones are in force.
        drop(before);
        if let Some(log) = &self.shared.access_log {
            log.reopen();
        }
        Ok(())
    }

    /// Where it listens, in the order of the configuration.
    pub(super) fn places(&self) -> Vec<(Transport, ListenPlace)> {
        let state = self.state();
        let places = state.sockets.endpoints.iter();
        places.map(|endpoint| (endpoint.transport, endpoint.place.clone())).collect()
    }

    /// Listens nowhere from now on.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let none = state.sockets.none();
        let before = std::mem::replace(&mut state.sockets, none);
        let plan = state.plan(Some(&self.shared.plan.get()));
        self.publish(plan);
        drop(before);
    }
}

/// Looks names up on a thread of its own, which nobody waits for any more once it is not to `go_on`.
fn look_up(
    names: BTreeSet<String>,
    resolver: &Resolver,
    go_on: &dyn Fn() -> bool,
) -> Result<Meanings, Error> {
    let mut meanings = Meanings::new();
    if names.is_empty() {
        return Ok(meanings);
    }
    let wanted = names.len();
    let (told, heard) = bounded(wanted);
    let resolver = resolver.clone();
    let work = move || {
        names.into_iter().try_for_each(|name| {
            let found = resolver.look_up(&name);
            told.send((name, found)).map_err(drop)
        })
    };
    let thread = thread::Builder::new().name("wharf-names".to_owned()).spawn(work);
    let thread = thread.map_err(|error| Error::Worker { what: "start a thread", error })?;
    while meanings.len() < wanted {
        match heard.recv_timeout(LOOK) {
            Ok((name, Ok(found))) => drop(meanings.insert(name, found.addresses)),
            Ok((name, Err(error))) => return Err(Error::Resolve { name, error }),
            Err(RecvTimeoutError::Timeout) if go_on() => {}
            Err(_) => return Err(Error::Ending),
        }
    }
    // It has told all, and is gone at once: whoever gives up privileges next does so for all threads.
    let _ = thread.join();
    Ok(meanings)
}

/// What two configurations differ in that takes a new process.
fn needs_restart(before: &Config, after: &Config) -> Option<String> {
    [
        (before.cores != after.cores, "cores"),
        (before.admin != after.admin, "the admin address"),
        (before.access_log != after.access_log, "the access log's path"),
    ]
    .into_iter()
    .find_map(|(differs, what)| differs.then(|| what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name server that does not answer holds a reload up, but nobody who wants to end it.
    #[test]
    fn looking_names_up_can_be_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (configuration, hosts) = (directory.path().join("resolv.conf"), directory.path().join("hosts"));
        std::fs::write(&configuration, "nameserver 127.0.0.1\n").unwrap();
        std::fs::write(&hosts, "192.0.2.1 here.example\n").unwrap();
        let resolver = Resolver { configuration, hosts, port: silent.local_addr().unwrap().port() };
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let found = look_up(names(&["here.example"]), &resolver, &|| true).unwrap();
        assert_eq!(found, Meanings::from([("here.example".to_owned(), vec![[192, 0, 2, 1].into()])]));
        let began = Instant::now();
        let go_on = || began.elapsed() < Duration::from_millis(200);
        let result = look_up(names(&["here.example", "nowhere.example"]), &resolver, &go_on);
        assert!(matches!(result, Err(Error::Ending)), "{result:?}");
        // Each question alone takes longer.
        assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    }

    #[test]
    fn what_takes_a_restart_is_told() {
        let text = "cores = [0]\n[upstream.a]\nservers = [\"10.0.0.1:80\"]\n[[listener]]\nname = \"x\"\nbind = [\"tcp/80\"]\nto = \"a\"\n";
        let config = Config::from_toml(text).unwrap();
        let after = |from: &str, to: &str| {
            needs_restart(&config, &Config::from_toml(&text.replace(from, to)).unwrap())
        };
        assert_eq!(after("", ""), None);
        assert_eq!(after("10.0.0.1", "10.0.0.2"), None);
        assert_eq!(after("name = \"x\"", "name = \"y\"\ndetect-timeout = \"1s\""), None);
        assert_eq!(after("tcp/80", "tcp/81"), None);
        assert_eq!(after("to =", "backlog = 1\nto ="), None);
        assert_eq!(after("cores = [0]", "cores = [1]").as_deref(), Some("cores"));
        assert!(after("cores = [0]", "cores = [0]\n[admin]\nlisten = \"127.0.0.1:1\"").is_some());
    }
}
