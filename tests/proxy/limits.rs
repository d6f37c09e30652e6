//! How much it takes on: silent clients, descriptors, memory, ports.

use crate::network::in_a_network_of_its_own;
use crate::setup::{PATIENCE, command, config, connect, echo, listen, read_all, serve_at, start, until};
use crate::skip::skip;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn ask(address: SocketAddr) {
    let mut client = connect(address);
    client.write_all(b"ask").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client).unwrap(), b"ask");
}

/// Has this process as many as it may: it is both ends of what the proxy has.
fn all_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

#[test]
fn silent_clients_cost_little_and_keep_nobody_out() {
    const CLIENTS: usize = 1_000;
    all_descriptors();
    let listener = listen();
    let address = listener.local_addr().unwrap();
    // Accepts all, reads nothing.
    let keeper = std::thread::spawn(move || {
        let mut kept = Vec::new();
        while kept.len() < CLIENTS {
            kept.push(listener.accept().unwrap().0);
        }
        kept
    });
    let proxy = command(&[
        "--listen",
        &format!("127.0.0.1:tcp/0={address}"),
        "--listen",
        &format!("127.0.0.1:tcp/0={}", echo()),
    ]);
    let other = proxy.said[1].trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    ask(other);
    let before = proxy.memory();
    let clients: Vec<_> = (0..CLIENTS).map(|_| connect(proxy.address())).collect();
    let kept = keeper.join().unwrap();
    ask(other);
    let each = proxy.memory().saturating_sub(before) / CLIENTS;
    assert!(each <= 4096, "{each} bytes a connection");
    drop((clients, kept));
    let account = proxy.end();
    assert_eq!(account["tcp"]["accepted"], CLIENTS + 2);
}

#[test]
fn clients_beyond_the_limit_wait_for_their_turn() {
    let mut config = config("127.0.0.1:tcp/0", &[echo().to_string()]);
    config.cores = vec![0];
    config.limits.connections = 2;
    let (proxy, address) = start(&config);
    let mut clients: Vec<_> = (0..5).map(|_| connect(address)).collect();
    for client in &mut clients {
        client.write_all(b"x").unwrap();
    }
    let mut byte = [0];
    clients[0].read_exact(&mut byte).unwrap();
    clients[1].read_exact(&mut byte).unwrap();
    clients[4].set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert_eq!(clients[4].read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!((proxy.totals().open(), proxy.totals().tcp.pauses), (2, 1));
    clients.drain(..2);
    for client in &mut clients {
        client.set_read_timeout(Some(crate::setup::PATIENCE)).unwrap();
    }
    for mut client in clients {
        client.read_exact(&mut byte).unwrap();
    }
}

#[test]
fn without_descriptors_accepting_rests_and_goes_on() {
    let proxy = command(&["--listen", &format!("127.0.0.1:tcp/0={}", echo()), "--cores", "0"]);
    ask(proxy.address());
    until("it is closed", || proxy.descriptors() < 30);
    // Below what it counted on when it started.
    let most = proxy.descriptors() as u64 + 8;
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    let id = Pid::from_raw(proxy.id() as i32).unwrap();
    prlimit(Some(id), Resource::Nofile, limit).unwrap();
    let mut clients: Vec<_> = (0..40).map(|_| connect(proxy.address())).collect();
    for client in &mut clients {
        // One that was accepted with the last descriptor, when none was left towards the server, is reset at once.
        let _ = client.write_all(b"ask");
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut served = 0;
    // Each that ends makes room for others.
    for mut client in clients {
        let mut answer = [0; 3];
        match client.read_exact(&mut answer) {
            Ok(()) => served += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
    assert!(served >= 35, "{served} of 40");
    until("there is room", || TcpStream::connect(proxy.address()).is_ok());
    ask(proxy.address());
    let account = proxy.end();
    assert!(account["tcp"]["pauses"].as_u64() > Some(0), "{account}");
}

#[test]
fn servers_that_never_read_cost_bounded_memory() {
    let listener = listen();
    let proxy = command(&["--listen", &format!("127.0.0.1:tcp/0={}", listener.local_addr().unwrap())]);
    let before = proxy.memory();
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let mut client = connect(proxy.address());
        servers.push(listener.accept().unwrap().0);
        client.set_nonblocking(true).unwrap();
        let block = vec![0; 1 << 20];
        while client.write(&block).is_ok() {}
        clients.push(client);
    }
    std::thread::sleep(Duration::from_millis(500));
    let more = proxy.memory().saturating_sub(before);
    assert!(more < 50 * (64 << 10) + (1 << 20), "{more} bytes");
    drop((clients, servers));
    proxy.end();
}

/// Starts with ports 20000 to 29999 of this address, asks at some of them, says how many descriptors that took.
fn ten_thousand_ports(address: &str, more: &[&str]) -> usize {
    let start = Instant::now();
    // A port of its own for one of them.
    let rules = [format!("{address}:tcp/25000={}", echo()), format!("{address}:tcp/20000-29999={}", echo())];
    let mut arguments = vec!["--listen", &rules[0], "--listen", &rules[1]];
    arguments.extend(more);
    let proxy = command(&arguments);
    let took = start.elapsed();
    // The bar is two seconds of a release build on a machine at rest (perf/peers/proxy.sh, `start`); this is neither.
    assert!(took < Duration::from_secs(10), "{took:?}");
    let host: std::net::IpAddr = address.parse().unwrap();
    for port in [20_000, 25_000, 25_432, 29_999] {
        ask((host, port).into());
    }
    assert!(TcpStream::connect((host, 19_999)).is_err());
    let descriptors = proxy.descriptors();
    // Who is there already is not robbed of his port, either way.
    let taken = TcpStream::connect((host, 20_001)).is_ok();
    assert!(taken);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["proxy", "--listen", &format!("{address}:tcp/20000=127.0.0.1:1")])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert_eq!(proxy.end()["tcp"]["accepted"], 5);
    assert!(TcpStream::connect((host, 20_000)).is_err());
    descriptors
}

#[test]
fn ten_thousand_ports_start_soon() {
    let descriptors = ten_thousand_ports("127.77.0.1", &["--cores", "0", "--socket-per-port"]);
    assert!(descriptors > 10_000, "{descriptors}");
}

#[test]
fn ten_thousand_ports_share_a_socket_where_the_kernel_lets_them() {
    let descriptors = ten_thousand_ports("127.77.0.2", &[]);
    if descriptors > 10_000 {
        skip("ports on one socket: it takes CAP_BPF and CAP_NET_ADMIN, and Linux 5.9");
    } else {
        assert!(descriptors < 200, "{descriptors}");
    }
}

#[test]
fn a_port_of_many_is_the_port_at_the_server() {
    let server = std::net::TcpListener::bind("127.77.0.4:20077").unwrap();
    let proxy = command(&["--listen", "127.77.0.3:tcp/20000-20099=127.77.0.4"]);
    let mut client = TcpStream::connect("127.77.0.3:20077").unwrap();
    client.write_all(b"same").unwrap();
    let mut bytes = [0; 4];
    server.accept().unwrap().0.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"same");
    drop(client);
    proxy.end();
}

#[test]
fn what_cannot_be_done_is_said() {
    let taken = listen().local_addr().unwrap();
    let _taken = std::net::TcpListener::bind(taken).unwrap();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"))
            .arg("proxy")
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["--listen", &format!("127.0.0.1:tcp/{}=127.0.0.1:1", taken.port())]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&format!("cannot listen on tcp {taken}")) && said.contains("another process"),
        "{said}"
    );
    for (arguments, reason) in [
        (&["--listen", "tcp/80"][..], "expected RULE=UPSTREAM"),
        (&["--listen", "tcp/80=a b"], "no server"),
        (&["--listen", "sctp/80=a:1"], "SCTP"),
        (&["--listen", "udp/0=unix:/x"], "datagrams cannot"),
        (&["--listen", "tcp/0=127.0.0.1:1", "--connect-timeout", "5"], "a number without a unit"),
        (&[], "--listen"),
    ] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(reason) && said.lines().count() == 1, "{said}");
    }
    let (code, said) = run(&["--listen", "127.0.0.1:tcp/0=127.0.0.1:1", "--cores", "99999"]);
    assert!(code == Some(1) && said.contains("cannot run on CPU 99999"), "{said}");
}

/// Ports from which the host may connect there.
const PORTS: usize = 10;

#[test]
fn without_ports_clients_are_reset_and_counted_and_later_served() {
    let name = "limits::without_ports_clients_are_reset_and_counted_and_later_served";
    in_a_network_of_its_own(name, &[], with_few_ports);
}

fn with_few_ports() {
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", format!("40000 {}", 40_000 + PORTS - 1))
        .unwrap();
    let server = serve_at("127.0.0.9:7000", |mut connection| {
        let _ = std::io::copy(&mut connection.try_clone().unwrap(), &mut connection);
    });
    // Clients take no port.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("near");
    let config = config(&format!("unix:{}", path.display()), &[server.to_string()]);
    let proxy = wharf::proxy::Proxy::bind(&config).unwrap().start().unwrap();
    let client = || {
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = client.write_all(b"ask");
        client
    };
    let answered = |client: &mut UnixStream| {
        let mut answer = [0; 3];
        client.read_exact(&mut answer).map(|()| assert_eq!(&answer, b"ask"))
    };
    let mut held: Vec<_> = (0..PORTS).map(|_| client()).collect();
    held.iter_mut().for_each(|client| answered(client).unwrap());
    for _ in 0..5 {
        let error = answered(&mut client()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{error}");
    }
    until("they have ended", || proxy.totals().closed() == 5);
    let ended = proxy.totals().ended;
    assert_eq!((ended.no_port, proxy.totals().open()), (5, PORTS as u64), "{ended:?}");
    assert_eq!(proxy.status().upstreams[0].servers[0].failed, 0, "it is not the server's fault");
    for client in &mut held {
        client.write_all(b"ask").unwrap();
        answered(client).unwrap();
    }
    drop(held);
    // The kernel keeps each port for a second yet.
    until("there are ports again", || answered(&mut client()).is_ok());
}

#[test]
fn a_server_killed_and_back_under_load_leaves_nothing_behind() {
    let at = listen().local_addr().unwrap();
    let server = echo();
    // A process, so that it can be killed with all that it has.
    let backend = || command(&["--listen", &format!("127.0.0.1:tcp/{}={server}", at.port()), "--cores", "0"]);
    let mut killed = Some(backend());
    let proxy = command(&["--listen", &format!("127.0.0.1:tcp/0={at}"), "--cores", "0"]);
    let address = proxy.address();
    let bulk = crate::setup::noise(300_000, 9);
    let exchange = |bytes: &[u8]| -> std::io::Result<()> {
        let client = TcpStream::connect(address)?;
        client.set_read_timeout(Some(PATIENCE))?;
        let mut writer = client.try_clone()?;
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || writer.write_all(bytes));
            let mut echoed = Vec::new();
            let result = (&client).take(bytes.len() as u64).read_to_end(&mut echoed);
            // What came before the end is what was sent.
            assert!(bytes.starts_with(&echoed), "wrong bytes");
            let sent = sender.join().unwrap();
            result.and(sent)?;
            if echoed.len() == bytes.len() { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
        })
    };
    (0..20).for_each(|_| exchange(&bulk).unwrap());
    until("all closed", || proxy.descriptors() < 100);
    std::thread::sleep(Duration::from_millis(200));
    let (descriptors, memory) = (proxy.descriptors(), proxy.memory());
    let (stop, served, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let bytes = if number < 2 { &bulk[..100] } else { &bulk[..] };
            let (stop, served, failed, exchange) = (&stop, &served, &failed, &exchange);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let count = if exchange(bytes).is_ok() { served } else { failed };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..4 {
            let before = served.load(Ordering::Relaxed);
            until("they are served", || served.load(Ordering::Relaxed) > before + 20);
            drop(killed.take());
            let before = failed.load(Ordering::Relaxed);
            until("it is noticed", || failed.load(Ordering::Relaxed) > before + 5);
            killed = Some(backend());
        }
        let before = served.load(Ordering::Relaxed);
        until("they are served again", || served.load(Ordering::Relaxed) > before + 20);
        stop.store(true, Ordering::Relaxed);
    });
    // Pipes are kept for the next one: two ends of each that four connections had in use.
    until("as many descriptors as before", || proxy.descriptors() <= descriptors + 4 * 4);
    let more = proxy.memory().saturating_sub(memory);
    assert!(more < 2 << 20, "{more} bytes more than before");
    let ended = proxy.end()["ended"].clone();
    let count = |reason: &str| ended[reason].as_u64().unwrap();
    assert!(count("refused") > 0 && count("complete") > 0 && count("failed") == 0, "{ended}");
}
