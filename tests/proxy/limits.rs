//! How much it takes on: silent clients, descriptors, memory, ports.

use crate::setup::{command, config, connect, echo, listen, read_all, start, until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

fn ask(address: SocketAddr) {
    let mut client = connect(address);
    client.write_all(b"ask").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client).unwrap(), b"ask");
}

#[test]
fn silent_clients_cost_little_and_keep_nobody_out() {
    const CLIENTS: usize = 400;
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

#[test]
fn ten_thousand_ports_start_soon() {
    let start = Instant::now();
    let server = echo();
    let rule = format!("127.77.0.1:tcp/20000-29999={server}");
    let proxy = command(&["--listen", &rule, "--cores", "0"]);
    let took = start.elapsed();
    // Two seconds on a machine at rest.
    assert!(took < Duration::from_secs(10), "{took:?}");
    for port in [20_000, 25_432, 29_999] {
        ask(([127, 77, 0, 1], port).into());
    }
    assert!(TcpStream::connect(("127.77.0.1", 19_999)).is_err());
    assert_eq!(proxy.end()["ended"]["complete"], 3);
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
        (&["--listen", "tcp/0=127.0.0.1:1", "--connect-timeout", "5"], "not a time"),
        (&[], "--listen"),
    ] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(reason) && said.lines().count() == 1, "{said}");
    }
    let (code, said) = run(&["--listen", "127.0.0.1:tcp/0=127.0.0.1:1", "--cores", "99999"]);
    assert!(code == Some(1) && said.contains("cannot run on CPU 99999"), "{said}");
}
