//! A proxy from its first socket until it is at work.

use super::access_log::AccessLog;
use super::admin::Answers;
use super::config::{Admin, Config, Transport};
use super::control::{Control, Listen, State};
use super::error::Error;
use super::handover::{self, Adoption, Predecessor, Taken};
use super::listen::{self, Asked, Opened, Sockets};
use super::notice::Notice;
use super::running::Running;
use super::share::Budget;
use super::shared::{ListenPlace, Shared};
use super::source;
use super::status::Status;
use super::token::Token;
use super::worker::Worker;
use crate::sys::{activation, affinity};
use mio::{Poll, Waker};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

/// A proxy whose sockets are bound: clients may connect, and wait until it [starts](Self::start).
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use wharf::proxy::config::{Config, Listener, Route, Server, Upstream};
/// use wharf::proxy::{ListenPlace, Proxy};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let place = server.local_addr()?.to_string().parse()?;
/// let config = Config {
///     // Port 0: one that the kernel chooses.
///     listeners: vec![Listener::on("127.0.0.1:tcp/0".parse()?, 0)],
///     upstreams: vec![Upstream { servers: vec![Server::at(place)], ..Upstream::default() }],
///     ..Config::default()
/// };
/// let proxy = Proxy::bind(&config)?;
/// let Some((_, ListenPlace::Internet(address))) = proxy.places().next() else { panic!("no port") };
/// let mut client = TcpStream::connect(address)?;
/// let proxy = proxy.start()?;
///
/// client.write_all(b"ping")?;
/// let (mut connection, _) = server.accept()?;
/// let mut asked = [0; 4];
/// connection.read_exact(&mut asked)?;
/// assert_eq!(&asked, b"ping");
/// drop((client, connection));
///
/// proxy.stop();
/// let totals = proxy.wait()?;
/// assert_eq!((totals.tcp.accepted, totals.tcp.bytes_up, totals.open()), (1, 4, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Proxy {
    shared: Arc<Shared>,
    state: State,
    admin: Option<(Admin, TcpListener)>,
    /// Set when it is started: the log's thread runs before.
    notice: Arc<OnceLock<Listen>>,
    /// What each worker gets.
    parts: Vec<Parts>,
    /// The process whose place this one takes, and what it had.
    predecessor: Option<(Predecessor, HashMap<Asked, Opened>)>,
}

#[derive(Debug)]
struct Parts {
    poll: Poll,
    waker: Option<Waker>,
    core: Option<usize>,
}

impl Proxy {
    /// What can be told of a configuration without opening or looking up anything: values are within bounds, routes lead
    /// somewhere, rules have ports, and what listeners ask for goes together with where they listen.
    ///
    /// # Errors
    /// [`Error::Value`], [`Error::Route`], [`Error::Shadowed`].
    pub fn check(config: &Config) -> Result<(), Error> {
        listen::check(config)
    }

    /// Binds all sockets, and looks up the names of servers.
    ///
    /// # Errors
    /// [`Error`]: a socket that cannot be bound, a name without an address, a CPU that cannot be used, too few
    /// descriptors.
    pub fn bind(config: &Config) -> Result<Self, Error> {
        Self::bind_while(config, None, || true)
    }

    /// The same as long as it is to `go_on`, which is asked while names are looked up.
    ///
    /// With a `predecessor` it is in the place of that other process, which hands its sockets over: those that the configuration
    /// does not ask for are closed, others opened. When it [starts](Self::start) the other one takes no more clients in, and it
    /// goes on with the UDP sessions of that one.
    ///
    /// # Errors
    /// As [`bind`](Self::bind); [`Error::Handover`] where nobody hands anything over, and [`Error::Ending`] where it was not to go
    /// on.
    pub fn bind_while(
        config: &Config,
        predecessor: Option<Predecessor>,
        go_on: impl Fn() -> bool,
    ) -> Result<Self, Error> {
        check_cores(&config.cores)?;
        source::check(config)?;
        let workers = match config.cores.len() {
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let taken = predecessor.as_ref().map(Predecessor::sockets).transpose().map_err(Error::Handover)?;
        let Taken { opened, steering, admin, servers } = taken.unwrap_or_default();
        let before = Sockets::before(opened, steering, activation::take());
        let mut sockets = before.open(config, workers)?;
        sockets.set(config)?;
        let admin = match (config.admin, admin) {
            (None, _) => None,
            (Some(config), Some((asked, listener))) if config.listen == asked => Some((config, listener)),
            (Some(config), _) => Some((config, listen_for_admin(config.listen)?)),
        };
        let notice = Arc::new(OnceLock::new());
        let log = match &config.access_log {
            None => None,
            Some(path) => {
                let told = Arc::clone(&notice);
                let failed =
                    move |error: &io::Error| tell(&told, Notice::LogFailed { problem: error.to_string() });
                let log = AccessLog::start(path, failed);
                let (log, _) = log.map_err(|error| Error::Log { path: path.clone(), error })?;
                Some(log)
            }
        };
        let failed = |error| Error::Worker { what: "make an event queue", error };
        let mut parts = Vec::new();
        for index in 0..workers {
            let poll = Poll::new().map_err(failed)?;
            let waker = Waker::new(poll.registry(), Token::Waker.into()).map_err(failed)?;
            parts.push(Parts { poll, waker: Some(waker), core: config.cores.get(index).copied() });
        }
        let budget = Budget::count(&sockets, workers);
        let mut state = State::new(config, sockets, budget, &go_on)?;
        let plan = state.plan(None);
        state.servers.go_on_from(servers, config, Instant::now());
        let shared = Arc::new(Shared::new(plan, log, workers));
        let predecessor = predecessor.map(|predecessor| (predecessor, before.opened));
        Ok(Self { shared, state, admin, notice, parts, predecessor })
    }

    /// Where it listens, in the order of the configuration, with the ports that the kernel chose.
    pub fn places(&self) -> impl Iterator<Item = (Transport, &ListenPlace)> {
        self.state.sockets.endpoints.iter().map(|endpoint| (endpoint.transport, &endpoint.place))
    }

    /// How many workers it will have.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.parts.len()
    }

    /// Where it tells how it is doing, with the port that the kernel chose.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|(_, listener)| listener.local_addr().ok())
    }

    /// Starts the workers, and what runs beside them.
    ///
    /// # Errors
    /// [`Error::Worker`]: no thread can be started; [`Error::Handover`] when the process whose place it takes is gone.
    pub fn start(self) -> Result<Running, Error> {
        self.start_with(|_| ())
    }

    /// The same; what happens that is worth telling is told to `notice`, on whatever thread it happens.
    ///
    /// # Errors
    /// [`Error::Worker`]: no thread can be started.
    pub fn start_with(self, notice: impl Fn(Notice) + Send + Sync + 'static) -> Result<Running, Error> {
        let Self { shared, state, admin, notice: told, mut parts, predecessor } = self;
        let notice: Listen = Arc::new(notice);
        let _ = told.set(Arc::clone(&notice));
        let wakers: Arc<[Waker]> = parts.iter_mut().filter_map(|parts| parts.waker.take()).collect();
        // The other process's until this one is at work.
        let paths: Vec<_> = state.sockets.opened.values().filter_map(|opened| opened.path.clone()).collect();
        let mut adopted: Vec<Adoption> = Vec::new();
        if let Some((predecessor, before)) = &predecessor {
            let wanted = &state.sockets.opened;
            let unwanted: Vec<_> =
                before.keys().filter(|asked| !wanted.contains_key(asked)).cloned().collect();
            let (sessions, totals) = predecessor.sessions(&unwanted).map_err(Error::Handover)?;
            let _ = shared.before.set(totals);
            adopted = handover::adopt(&state.sockets, before, sessions, parts.len());
        }
        let mut adopted = adopted.into_iter();
        let control = Control::start(Arc::clone(&shared), Arc::clone(&wakers), state, &notice)?;
        let began = Instant::now();
        let mut answers = None;
        if let Some((_, listener)) = &admin {
            let failed = |error| Error::Worker { what: "start a thread", error };
            let listener = listener.try_clone().map_err(failed)?;
            let shared = Arc::clone(&shared);
            let status = move || Status::of(&shared, began, Instant::now());
            answers = Some(Answers::start(listener, status).map_err(failed)?.0);
        }
        let mut running = Running {
            shared,
            threads: Vec::new(),
            wakers,
            control: Some(control),
            answers,
            admin,
            notice,
            began,
        };
        for (index, Parts { poll, waker: _, core }) in parts.into_iter().enumerate() {
            let failed = |what| move |error| Error::Worker { what, error };
            let worker = Worker::new(Arc::clone(&running.shared), Arc::clone(&running.notice), index, poll);
            let mut worker = worker.map_err(failed("watch a socket"))?;
            worker.adopt(adopted.next().unwrap_or_default()).map_err(failed("watch a socket"))?;
            let work = move || {
                if let Some(core) = core {
                    let _ = affinity::pin(core);
                }
                worker.run()
            };
            let thread = thread::Builder::new().name(format!("wharf-proxy-{index}")).spawn(work);
            running.threads.push(thread.map_err(failed("start a thread"))?);
        }
        if let Some((predecessor, before)) = predecessor {
            // What is not asked for is the other's alone, who closes it when nobody waits there any more.
            drop(before);
            predecessor.at_work().map_err(Error::Handover)?;
            paths.iter().for_each(|path| path.keep());
        }
        // Not before: until now the other process has, which knew what there was.
        if let Some(answers) = &running.answers {
            answers.begin();
        }
        Ok(running)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("shared", &self.shared).finish_non_exhaustive()
    }
}

fn tell(told: &OnceLock<Listen>, notice: Notice) {
    if let Some(told) = told.get() {
        told(notice);
    }
}

fn listen_for_admin(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .map_err(|error| Error::Listen { place: format!("tcp {address} (admin)"), error })
}

/// Whether a worker can run on each of these.
fn check_cores(cores: &[usize]) -> Result<(), Error> {
    let checked = affinity::check(cores);
    checked
        .map_err(|error| Error::Worker { what: "start a thread", error })?
        .map_err(|(core, problem)| Error::Core { core, problem })
}
