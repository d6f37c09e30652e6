//! Checks of servers that come and go on loopback.

use super::*;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

fn check(probe: Probe) -> HealthCheck {
    let milliseconds = Duration::from_millis;
    HealthCheck { probe, interval: milliseconds(20), timeout: milliseconds(500), rise: 2, fall: 2 }
}

fn server(address: SocketAddr) -> Arc<Server> {
    let address = Address::Ip { address: address.ip(), port: Some(address.port()) };
    Arc::new(Server::new(address.to_string(), address, Instant::now()))
}

/// Checks, and what they say, as the servers' names and states.
fn started() -> (Checks, Receiver<(String, bool)>, JoinHandle<()>) {
    let (told, heard) = unbounded();
    let changed = move |server: &Server, up| {
        assert_eq!(server.is_healthy(), up);
        let _ = told.send((server.name().to_owned(), up));
    };
    let (checks, thread) = Checks::start(changed).unwrap();
    (checks, heard, thread)
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_server_that_stops_listening_goes_down_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = server(address);
    let name = server.name().to_owned();
    let (checks, heard, thread) = started();
    checks.set(vec![Checked { server: Arc::clone(&server), check: check(Probe::Connect) }]);
    assert!(heard.recv_timeout(Duration::from_millis(200)).is_err(), "it is up, as was thought");
    drop(listener);
    assert_eq!(heard.recv_timeout(LONG), Ok((name.clone(), false)));
    let listener = TcpListener::bind(address).unwrap();
    assert_eq!(heard.recv_timeout(LONG), Ok((name.clone(), true)));
    drop(listener);
    assert_eq!(heard.recv_timeout(LONG), Ok((name, false)));
    // No longer checked: no longer held against it.
    checks.set(Vec::new());
    let end = Instant::now() + LONG;
    while !server.is_healthy() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(server.is_healthy());
    drop(checks);
    thread.join().unwrap();
}

#[test]
fn a_datagram_is_answered_or_not() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let [answers, does_not] = [&socket, &silent].map(|socket| server(socket.local_addr().unwrap()));
    let is_enough = Arc::new(AtomicBool::new(false));
    let enough = Arc::clone(&is_enough);
    let echo = std::thread::spawn(move || {
        let mut bytes = [0; 16];
        socket.set_read_timeout(Some(LONG)).unwrap();
        while let Ok((length, client)) = socket.recv_from(&mut bytes) {
            assert_eq!(&bytes[..length], b"are you there?");
            socket.send_to(b"yes", client).unwrap();
            if enough.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    let (checks, heard, thread) = started();
    let mut check = check(Probe::Datagram(b"are you there?".to_vec()));
    check.timeout = Duration::from_millis(100);
    checks.set(
        [&answers, &does_not]
            .map(|server| Checked { server: Arc::clone(server), check: check.clone() })
            .into(),
    );
    assert_eq!(heard.recv_timeout(LONG), Ok((does_not.name().to_owned(), false)));
    assert!(answers.is_healthy());
    // The other one falls silent, too.
    is_enough.store(true, Ordering::Relaxed);
    echo.join().unwrap();
    assert_eq!(heard.recv_timeout(LONG), Ok((answers.name().to_owned(), false)));
    drop(checks);
    thread.join().unwrap();
}

/// Names that mean something else again and again must not keep anybody from being checked.
#[test]
fn what_is_checked_is_set_anew_all_the_time() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let up = TcpListener::bind("127.0.0.1:0").unwrap();
    let [first, gone, does_not_answer] =
        [up.local_addr().unwrap(), nobody, silent.local_addr().unwrap()].map(server);
    let mut asks = check(Probe::Datagram(b"?".to_vec()));
    (asks.timeout, asks.interval) = (Duration::from_millis(60), Duration::from_millis(80));
    let mut connects = check(Probe::Connect);
    connects.interval = Duration::from_millis(80);
    let (checks, heard, thread) = started();
    let end = Instant::now() + LONG;
    let mut down = Vec::new();
    for round in 0.. {
        // With another one between them now and then, so that they move.
        let other = server(([127, 0, 0, 2], 9).into());
        let all = [&first, &other, &gone, &does_not_answer].into_iter().enumerate();
        let all = all.filter(|(index, _)| *index != 1 || round % 2 == 0).map(|(index, server)| Checked {
            server: Arc::clone(server),
            check: if index == 3 { asks.clone() } else { connects.clone() },
        });
        checks.set(all.collect());
        std::thread::sleep(Duration::from_millis(10));
        let known = [&gone, &does_not_answer].map(|server| server.name().to_owned());
        down.extend(heard.try_iter().filter(|(name, _)| known.contains(name)));
        if down.len() == 2 {
            break;
        }
        assert!(Instant::now() < end, "only {down:?}");
    }
    assert!(down.iter().all(|(_, up)| !up), "{down:?}");
    assert!(first.is_healthy());
    drop(checks);
    thread.join().unwrap();
}
