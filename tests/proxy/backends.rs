//! Servers that are not there, do not answer, die and come back.

use crate::setup::{PATIENCE, config, connect, echo, listen, noise, read_all, reset, serve, start, until};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use wharf::proxy::config::{Ejection, HealthCheck, Probe};

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    listen().local_addr().unwrap()
}

/// Asks and is answered, or not.
fn ask(address: SocketAddr) -> std::io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(b"ask")?;
    let mut answer = [0; 3];
    client.read_exact(&mut answer)?;
    assert_eq!(&answer, b"ask");
    Ok(())
}

#[test]
fn refused_by_all_is_a_reset() {
    let (proxy, address) = start(&config("127.0.0.1:tcp/0", &[nobody().to_string()]));
    let error = ask(address).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    until("it is counted", || proxy.totals().ended.refused == 1);
}

#[test]
fn another_server_is_tried_while_nothing_was_sent() {
    let servers = [nobody(), echo(), nobody()].map(|server| server.to_string());
    let (proxy, address) = start(&config("127.0.0.1:tcp/0", &servers));
    for _ in 0..30 {
        ask(address).unwrap();
    }
    // A client that says nothing at first, too.
    let mut client = connect(address);
    std::thread::sleep(Duration::from_millis(50));
    client.write_all(b"late").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client).unwrap(), b"late");
    let totals = proxy.totals();
    assert!(totals.tcp.retries > 0, "{totals}");
    assert_eq!((totals.ended.refused, totals.tcp.attempts - totals.tcp.retries), (0, totals.tcp.accepted));
}

/// A server that accepts and resets may have taken some bytes: the next one must not get those behind them.
#[test]
fn another_server_never_gets_the_rest_of_a_stream() {
    let bytes = noise(1 << 20, 7);
    let listener = listen();
    let resets = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(reset));
    let (told, heard) = channel();
    let records = serve(move |mut connection| {
        let mut first = [0; 8];
        if connection.read_exact(&mut first).is_ok() {
            let _ = told.send(first);
        }
        let _ = std::io::copy(&mut connection, &mut std::io::sink());
    });
    let mut config = config("127.0.0.1:tcp/0", &[resets, records].map(|server| server.to_string()));
    config.upstreams[0].ejection.failures = 0;
    let (proxy, address) = start(&config);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let mut client = connect(address);
                    let _ = client.write_all(&bytes);
                }
            });
        }
    });
    until("all have ended", || proxy.totals().open() == 0);
    let totals = proxy.totals();
    assert!(totals.ended.server_reset > 0 && totals.tcp.bytes_up > bytes.len() as u64, "{totals}");
    let mut streams = 0;
    while let Ok(first) = heard.try_recv() {
        assert!(first[..] == bytes[..8], "a stream that does not begin at its beginning");
        streams += 1;
    }
    assert!(streams > 0);
}

/// A server that does not accept: its queue is full, and the kernel drops what would come in.
pub(crate) fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(connection);
        assert!(waiting.len() < 100, "its queue has no end");
    }
    (listener, waiting)
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let (listener, _waiting) = deaf();
    let deaf = listener.local_addr().unwrap().to_string();
    let mut alone = config("127.0.0.1:tcp/0", std::slice::from_ref(&deaf));
    alone.timeouts.connect = Duration::from_millis(300);
    let (proxy, address) = start(&alone);
    let error = ask(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    assert_eq!(proxy.totals().ended.connect_timeout, 1);

    let mut with_another = config("127.0.0.1:tcp/0", &[deaf, echo().to_string()]);
    with_another.timeouts.connect = Duration::from_millis(300);
    let (proxy, address) = start(&with_another);
    for _ in 0..4 {
        ask(address).unwrap();
    }
    assert!(proxy.totals().tcp.retries > 0);
}

/// A server in the file system whose queue is full, and who waits there.
fn full(path: &Path) -> (UnixListener, Vec<socket2::Socket>) {
    use socket2::{Domain, SockAddr, Socket, Type};
    let address = SockAddr::unix(path).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                return (UnixListener::from(std::os::fd::OwnedFd::from(listener)), waiting);
            }
        }
        assert!(waiting.len() < 100, "its queue has no end");
    }
}

#[test]
fn a_server_in_the_file_system_with_a_full_queue_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full");
    let (listener, _waiting) = full(&path);
    let mut config = config("127.0.0.1:tcp/0", &[format!("unix:{}", path.display())]);
    config.upstreams[0].ejection.failures = 1;
    let milliseconds = Duration::from_millis;
    config.upstreams[0].health = Some(HealthCheck {
        probe: Probe::Connect,
        interval: milliseconds(20),
        timeout: milliseconds(100),
        rise: 1,
        fall: 100,
    });
    let (proxy, address) = start(&config);
    let mut client = connect(address);
    client.write_all(b"ask").unwrap();
    thread::sleep(milliseconds(300));
    let server = || proxy.status().upstreams[0].servers[0].clone();
    assert_eq!((proxy.totals().open(), server().failed, server().healthy), (1, 0, true));
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = std::io::copy(&mut connection.try_clone().unwrap(), &mut connection);
            });
        }
    });
    let mut answer = [0; 3];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ask");
    drop(client);
    until("its end", || proxy.totals().ended.complete == 1);
    assert_eq!((proxy.totals().tcp.attempts, proxy.totals().tcp.retries), (1, 0));
}

#[test]
fn a_server_in_the_file_system_that_takes_nobody_in_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full");
    let (_listener, _waiting) = full(&path);
    let mut config = config("127.0.0.1:tcp/0", &[format!("unix:{}", path.display())]);
    config.timeouts.connect = Duration::from_millis(300);
    let (proxy, address) = start(&config);
    let began = Instant::now();
    let error = ask(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    assert_eq!(proxy.totals().ended.connect_timeout, 1);
    assert_eq!(proxy.status().upstreams[0].servers[0].failed, 1);
}

#[test]
fn a_server_in_the_file_system_with_a_full_queue_holds_up_nobody_who_has_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full");
    let (_listener, _waiting) = full(&path);
    let servers = [format!("unix:{}", path.display()), echo().to_string()];
    let (proxy, address) = start(&config("127.0.0.1:tcp/0", &servers));
    let began = Instant::now();
    (0..4).for_each(|_| ask(address).unwrap());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let totals = proxy.totals();
    assert!(totals.tcp.retries > 0, "{totals}");
    assert_eq!(totals.tcp.attempts - totals.tcp.retries, totals.tcp.accepted, "{totals}");
    // A check finds it ill, and then it is not asked at all.
    let mut checked = config("127.0.0.1:tcp/0", &servers);
    checked.upstreams[0].health = Some(HealthCheck {
        probe: Probe::Connect,
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(100),
        rise: 1,
        fall: 3,
    });
    let (proxy, address) = start(&checked);
    until("it is found ill", || !proxy.status().upstreams[0].servers[0].healthy);
    (0..4).for_each(|_| ask(address).unwrap());
    assert_eq!(proxy.totals().tcp.retries, 0);
}

/// Where another one cannot be had, it is waited for as if it were alone.
#[test]
fn a_server_in_the_file_system_with_a_full_queue_is_waited_for_beside_one_that_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full");
    let (listener, _waiting) = full(&path);
    let mut config = config("127.0.0.1:tcp/0", &[format!("unix:{}", path.display()), echo().to_string()]);
    config.upstreams[0].servers[1].max_connections = 1;
    config.cores = vec![0];
    let (proxy, address) = start(&config);
    let mut first = connect(address);
    first.write_all(b"a").unwrap();
    first.read_exact(&mut [0]).unwrap();
    let mut second = connect(address);
    second.write_all(b"b").unwrap();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(proxy.totals().open(), 2, "{}", proxy.totals());
    // As soon as there is room at either it is let in; at this one nobody makes any.
    drop(first);
    second.read_exact(&mut [0]).unwrap();
    drop(listener);
}

/// It was not tried in earnest: once the one that was tried instead has failed, there may be room.
#[test]
fn a_server_in_the_file_system_whose_queue_was_full_is_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full");
    let (listener, _waiting) = full(&path);
    let (deaf, _others) = deaf();
    let servers = [format!("unix:{}", path.display()), deaf.local_addr().unwrap().to_string()];
    let mut config = config("127.0.0.1:tcp/0", &servers);
    config.cores = vec![0];
    config.timeouts.connect = Duration::from_millis(700);
    let (proxy, address) = start(&config);
    let mut client = connect(address);
    client.write_all(b"ask").unwrap();
    until("the other one is tried", || proxy.totals().tcp.attempts == 2);
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = std::io::copy(&mut connection.try_clone().unwrap(), &mut connection);
            });
        }
    });
    let mut answer = [0; 3];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ask");
    let failed: Vec<_> = proxy.status().upstreams[0].servers.iter().map(|server| server.failed).collect();
    assert_eq!((failed, proxy.totals().tcp.attempts), (vec![0, 1], 3));
}

/// That it accepts does not make up for it.
#[test]
fn a_server_that_accepts_and_dies_at_once_is_taken_out() {
    let dies = serve(|mut connection| {
        let _ = connection.read(&mut [0; 3]);
        reset(connection);
    });
    let mut config = config("127.0.0.1:tcp/0", &[dies.to_string(), echo().to_string()]);
    config.cores = vec![0];
    let hour = Duration::from_secs(3_600);
    config.upstreams[0].ejection = Ejection { failures: 3, first: hour, longest: hour };
    let (proxy, address) = start(&config);
    let failed = (0..20).filter(|_| ask(address).is_err()).count();
    assert_eq!(failed, 3);
    let servers = proxy.status().upstreams[0].servers.clone();
    assert_eq!((servers[0].ejected, servers[0].failed, servers[1].failed), (true, 3, 0), "{servers:?}");
}

/// Only failures in a row count: an answer makes them good, and so does an end without one.
#[test]
fn a_server_that_answers_or_ends_well_in_between_stays() {
    let server = serve(|mut connection| {
        let mut asked = [0; 3];
        let _ = connection.read(&mut asked);
        match &asked {
            b"die" => reset(connection),
            b"ask" => connection.write_all(b"ask").unwrap(),
            b"hey" => {
                connection.write_all(b"hey").unwrap();
                let _ = connection.read(&mut asked);
            }
            _ => {}
        }
    });
    let mut config = config("127.0.0.1:tcp/0", &[server.to_string()]);
    config.cores = vec![0];
    let hour = Duration::from_secs(3_600);
    config.upstreams[0].ejection = Ejection { failures: 3, first: hour, longest: hour };
    let (proxy, address) = start(&config);
    let say = |word: &[u8]| {
        let ended = proxy.totals().closed();
        let mut client = connect(address);
        client.write_all(word).unwrap();
        let _ = read_all(&mut client);
        drop(client);
        until("it has ended", || proxy.totals().closed() == ended + 1);
        let server = proxy.status().upstreams[0].servers[0].clone();
        (server.failed, server.ejected)
    };
    for good in [b"ask", b"end"] {
        let before = say(good).0;
        assert_eq!([say(b"die"), say(b"die")], [(before + 1, false), (before + 2, false)]);
        assert_eq!(say(good), (before + 2, false));
    }
    // One that was answered and goes on has its say, too.
    assert_eq!([say(b"die"), say(b"die")].map(|(_, out)| out), [false; 2]);
    let mut stays = connect(address);
    stays.write_all(b"hey").unwrap();
    stays.read_exact(&mut [0; 3]).unwrap();
    assert_eq!([say(b"die"), say(b"die"), say(b"die")].map(|(_, out)| out), [false, false, true]);
}

#[test]
fn what_a_server_said_before_it_broke_reaches_the_client() {
    // More than the client's socket takes in while nobody reads there.
    let tail = noise(200 << 10, 3);
    let (told, heard) = channel();
    let says = tail.clone();
    let server = serve(move |mut connection| {
        connection.write_all(&says).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        told.send(()).unwrap();
        let _ = connection.read(&mut [0; 3]);
        reset(connection);
    });
    let (proxy, address) = start(&config("127.0.0.1:tcp/0", &[server.to_string()]));
    let mut client = connect(address);
    heard.recv_timeout(PATIENCE).unwrap();
    until("it has come through", || proxy.totals().tcp.bytes_down == 200 << 10);
    client.write_all(b"ask").unwrap();
    until("it is over", || proxy.totals().ended.server_reset == 1);
    assert!(read_all(&mut client).unwrap() == tail);
}

/// Servers there are that a host without their family, or without a route, has no way to.
#[test]
fn a_server_that_this_host_has_no_way_to_is_passed_over() {
    let mut servers: Vec<_> = (1..=5).map(|last| format!("224.0.0.{last}:9")).collect();
    servers.push(echo().to_string());
    let mut config = config("127.0.0.1:tcp/0", &servers);
    config.limits.attempts = 2;
    let (proxy, address) = start(&config);
    (0..4).for_each(|_| ask(address).unwrap());
    let failed: u64 = proxy.status().upstreams[0].servers.iter().map(|server| server.failed).sum();
    assert_eq!(failed, 0);
}

#[test]
fn a_server_may_die_and_come_back() {
    let serve = |listener: TcpListener| {
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            // Until the one that says so.
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut asked = [0; 3];
                if connection.read_exact(&mut asked).is_err() || &asked == b"end" {
                    break;
                }
                connection.write_all(&asked).unwrap();
                seen.push(connection);
            }
        })
    };
    let listener = listen();
    let at = listener.local_addr().unwrap();
    let (proxy, address) = start(&config("127.0.0.1:tcp/0", &[at.to_string()]));
    let server = serve(listener);
    for _ in 0..10 {
        ask(address).unwrap();
    }
    connect(address).write_all(b"end").unwrap();
    server.join().unwrap();
    until("it is refused", || ask(address).is_err());
    let server = serve(TcpListener::bind(at).unwrap());
    ask(address).unwrap();
    connect(address).write_all(b"end").unwrap();
    server.join().unwrap();
    let totals = proxy.totals();
    assert!(totals.ended.refused > 0, "{totals}");
}
