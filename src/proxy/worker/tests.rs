//! A worker whose sockets are not what they should be.

use super::super::config::Config;
use super::super::control::State;
use super::super::listen::Sockets;
use super::super::share::Budget;
use super::*;
use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// A worker over one listening socket, what it goes by, and what it tells.
fn worker() -> (Worker, Arc<Shared>, Arc<Mutex<Vec<Notice>>>) {
    let text = "cores = [0]\nupstream.a.servers = [\"127.0.0.1:9\"]\n[[listener]]\nbind = [\"127.0.0.1:tcp/0\"]\nto = \"a\"\n";
    let config = Config::from_toml(text).unwrap();
    let sockets = Sockets::default().open(&config, 1).unwrap();
    let budget = Budget::count(&sockets, 1);
    let mut state = State::new(&config, sockets, budget, &|| true).unwrap();
    let shared = Arc::new(Shared::new(state.plan(None), None, 1));
    let told = Arc::new(Mutex::new(Vec::new()));
    let notices = Arc::clone(&told);
    let notice: Listen = Arc::new(move |notice| notices.lock().unwrap().push(notice));
    let worker = Worker::new(Arc::clone(&shared), notice, 0, Poll::new().unwrap()).unwrap();
    (worker, shared, told)
}

/// It would be asked again at once, for ever: those who wait there stay.
#[test]
fn where_every_accept_is_refused_accepting_rests() {
    let (mut worker, shared, told) = worker();
    let number = worker.listening.numbers().next().unwrap();
    // A socket that takes no connections refuses each accept, as a rule of the host's may.
    let refuses = Arc::new(OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap()));
    worker.listening.get_mut(number).unwrap().socket = refuses;
    let registry = worker.poll.registry().try_clone().unwrap();
    let now = Instant::now();
    let counters = &*shared.counters[0];
    let cx = Context { registry: &registry, counters, now };
    worker.waiting.push_back(number);
    worker.accept(cx);
    let errors = counters.tcp.accept_errors.get();
    assert!(errors > 0);
    assert_eq!((counters.tcp.pauses.get(), worker.waiting.len()), (1, 1), "it is not given up");
    let rest = worker.timeout(now).expect("an end of the rest");
    assert!(rest > Duration::ZERO, "it is asked again at once");
    worker.accept(Context { now: now + rest / 2, ..cx });
    assert_eq!(counters.tcp.accept_errors.get(), errors);
    worker.accept(Context { now: now + rest, ..cx });
    assert_eq!((counters.tcp.accept_errors.get(), counters.tcp.pauses.get()), (2 * errors, 2));
    assert!(told.lock().unwrap().is_empty());
}

#[test]
fn a_socket_that_cannot_be_watched_is_told_of_and_the_others_go_on() {
    let (mut worker, shared, told) = worker();
    let before = shared.plan.get();
    let good = before.listening[0][0].clone();
    // No event queue takes a file.
    let file = Arc::new(OwnedFd::from(File::open("/proc/self/status").unwrap()));
    let bad = Listening { socket: file, ..good.clone() };
    let listening = Arc::new(vec![vec![bad.clone(), good.clone()]]);
    shared.plan.set(Plan {
        services: before.services.clone(),
        upstreams: before.upstreams.clone(),
        timeouts: before.timeouts.clone(),
        attempts: before.attempts,
        limits: Arc::clone(&before.limits),
        listening,
        share: before.share,
        handover: None,
    });
    let registry = worker.poll.registry().try_clone().unwrap();
    let cx = Context { registry: &registry, counters: &shared.counters[0], now: Instant::now() };
    worker.follow(cx, shared.plan.get());
    let told = told.lock().unwrap();
    let [Notice::ListenerFailed { place, problem }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*place, good.endpoint.place.to_string());
    assert!(!problem.is_empty());
    let left: Vec<_> = worker.listening.numbers().filter_map(|number| worker.listening.get(number)).collect();
    assert!(left.len() == 1 && Arc::ptr_eq(&left[0].socket, &good.socket), "{left:?}");
}
