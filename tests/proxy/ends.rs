//! How connections end: in halves, by resets, by silence, by force.

use crate::network::in_a_network_of_its_own;
use crate::setup::{accept, before, config, connect, echo, listen, pair, read_all, reset, start, until};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[test]
fn a_client_may_end_first_and_read_on() {
    let (proxy, mut client, mut server) = pair();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server).unwrap(), b"question");
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(read_all(&mut client).unwrap(), b"answer");
    until("its end", || proxy.totals().ended.complete == 1);
}

#[test]
fn a_server_may_end_first_and_read_on() {
    let (proxy, mut client, mut server) = pair();
    server.write_all(b"greeting").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client).unwrap(), b"greeting");
    client.write_all(b"goodbye").unwrap();
    drop(client);
    assert_eq!(read_all(&mut server).unwrap(), b"goodbye");
    until("its end", || proxy.totals().ended.complete == 1);
}

/// Waits for the reset: what was sent before may come first.
fn is_reset(connection: &mut TcpStream) {
    let error = loop {
        match connection.read(&mut [0; 4096]) {
            Ok(0) => panic!("an end and no reset"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

#[test]
fn a_reset_of_the_client_reaches_the_server() {
    for before_that in [&b""[..], b"half a quest"] {
        let (proxy, mut client, mut server) = pair();
        client.write_all(before_that).unwrap();
        until("it came", || proxy.totals().tcp.bytes_up == before_that.len() as u64);
        reset(client);
        is_reset(&mut server);
        until("its end", || proxy.totals().ended.client_reset == 1);
    }
}

#[test]
fn a_reset_of_the_server_reaches_the_client() {
    for before_that in [&b""[..], b"half an ans"] {
        let (proxy, mut client, mut server) = pair();
        server.write_all(before_that).unwrap();
        until("it came", || proxy.totals().tcp.bytes_down == before_that.len() as u64);
        reset(server);
        is_reset(&mut client);
        until("its end", || proxy.totals().ended.server_reset == 1);
    }
}

/// The proxy cannot read the reset, since what came before it waits for the server.
#[test]
fn a_reset_behind_bytes_that_nobody_reads() {
    let (proxy, mut client, mut server) = pair();
    client.set_nonblocking(true).unwrap();
    fill(&mut client);
    reset(client);
    until("its end", || proxy.totals().ended.client_reset == 1);
    is_reset(&mut server);
}

#[test]
fn a_reset_after_the_half_of_the_other_has_ended() {
    let (proxy, client, mut server) = pair();
    server.shutdown(Shutdown::Write).unwrap();
    let mut reader = client.try_clone().unwrap();
    assert_eq!(read_all(&mut reader).unwrap(), b"");
    drop(reader);
    reset(client);
    is_reset(&mut server);
    until("its end", || proxy.totals().ended.client_reset == 1);
}

#[test]
fn a_reset_of_the_client_behind_the_end_of_its_half() {
    let (proxy, mut client, mut server) = pair();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server).unwrap(), b"question");
    // Its answer is under way.
    server.write_all(b"ans").unwrap();
    until("it came", || proxy.totals().tcp.bytes_down == 3);
    reset(client);
    until("its end", || proxy.totals().ended.client_reset == 1);
    let error = server.write_all(b"wer").and_then(|()| server.read(&mut [0]).map(drop)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

#[test]
fn a_reset_of_the_server_after_the_half_of_the_client_has_ended() {
    let (proxy, mut client, mut server) = pair();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server).unwrap(), b"question");
    server.write_all(b"ans").unwrap();
    until("it came", || proxy.totals().tcp.bytes_down == 3);
    reset(server);
    is_reset(&mut client);
    until("its end", || proxy.totals().ended.server_reset == 1);
}

/// Sends, or receives, without end: until it is to stop, or the other end is gone.
fn stream(connection: &TcpStream, sends: bool, stop: &Arc<AtomicBool>) -> JoinHandle<std::io::Result<()>> {
    let (mut connection, stop) = (connection.try_clone().unwrap(), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut block = vec![5; 256 << 10];
        while !stop.load(Ordering::Relaxed) {
            if sends {
                connection.write_all(&block)?;
                continue;
            }
            match connection.read(&mut block)? {
                0 => panic!("an end and no reset"),
                length => assert!(block[..length].iter().all(|&byte| byte == 5)),
            }
        }
        Ok(())
    })
}

/// While bytes go by pipes: each end as the one that sends, and as the one that does not.
#[test]
fn resets_amid_bulk_come_through_and_leave_nothing() {
    const ROUNDS: u64 = 5;
    let listener = listen();
    let mut config = config("127.0.0.1:tcp/0", &[listener.local_addr().unwrap().to_string()]);
    config.upstreams[0].ejection.failures = 0;
    let (proxy, address) = start(&config);
    for _ in 0..ROUNDS {
        for (client_sends, client_resets) in [(true, true), (true, false), (false, true), (false, false)] {
            let (client, server) = (connect(address), accept(&listener));
            let before = proxy.totals().tcp.bytes_spliced;
            let (stop, go_on) = (Arc::default(), Arc::default());
            let stop_of = |resets: bool| if resets { &stop } else { &go_on };
            let at_client = stream(&client, client_sends, stop_of(client_resets));
            let at_server = stream(&server, !client_sends, stop_of(!client_resets));
            until("it is bulk", || proxy.totals().tcp.bytes_spliced > before + (8 << 20));
            stop.store(true, Ordering::Relaxed);
            let (resets, its, others) = match client_resets {
                true => (client, at_client, at_server),
                false => (server, at_server, at_client),
            };
            its.join().unwrap().unwrap();
            reset(resets);
            let error = others.join().unwrap().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        }
    }
    until("all have ended", || proxy.totals().open() == 0);
    let ended = proxy.totals().ended;
    assert_eq!((ended.client_reset, ended.server_reset), (2 * ROUNDS, 2 * ROUNDS), "{ended:?}");
}

/// Writes as long as it is taken: until nothing was for a while.
fn fill(connection: &mut TcpStream) -> usize {
    let block = vec![9; 64 << 10];
    let (mut written, mut last) = (0, Instant::now());
    while last.elapsed() < Duration::from_millis(500) {
        match connection.write(&block) {
            Ok(length) => {
                written += length;
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
    written
}

/// What the proxy itself has of a direction at most: a pipe, and a buffer.
const HELD: usize = 2 << 20;

/// Bytes that the kernel has at most on the way from one socket to another: it may go a segment beyond each limit (tcp(7)).
fn buffers() -> usize {
    let most = |name: &str| -> usize {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
        text.split_whitespace().last().unwrap().parse().unwrap()
    };
    most("tcp_wmem") + most("tcp_rmem") + (128 << 10)
}

#[test]
fn a_server_that_never_reads_stops_the_client() {
    let (proxy, mut client, mut server) = pair();
    client.set_nonblocking(true).unwrap();
    let written = fill(&mut client);
    let sent_on = proxy.totals().tcp.bytes_up as usize;
    assert!(sent_on <= buffers(), "{sent_on} bytes were sent on");
    assert!(written - sent_on <= buffers() + HELD, "{} bytes were taken beyond", written - sent_on);
    // Once it reads, every byte comes.
    client.set_nonblocking(false).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let received = read_all(&mut server).unwrap();
    assert!(received.len() == written && received.iter().all(|&byte| byte == 9));
    drop((client, server));
    until("its end", || proxy.totals().ended.complete == 1);
}

/// The same the other way: what waits for the client is bounded, and comes when it reads.
#[test]
fn a_client_that_never_reads_stops_the_server() {
    let (proxy, mut client, mut server) = pair();
    server.set_nonblocking(true).unwrap();
    let written = fill(&mut server);
    let sent_on = proxy.totals().tcp.bytes_down as usize;
    assert!(sent_on <= buffers(), "{sent_on} bytes were sent on");
    assert!(written - sent_on <= buffers() + HELD, "{} bytes were taken beyond", written - sent_on);
    server.set_nonblocking(false).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let received = read_all(&mut client).unwrap();
    assert!(received.len() == written && received.iter().all(|&byte| byte == 9));
    drop((client, server));
    until("its end", || proxy.totals().ended.complete == 1);
}

/// Bytes of it lie in the proxy, which are the client's no more.
#[test]
fn a_reset_of_the_server_behind_bytes_that_nobody_reads() {
    let (proxy, mut client, mut server) = pair();
    server.set_nonblocking(true).unwrap();
    fill(&mut server);
    reset(server);
    until("its end", || proxy.totals().ended.server_reset == 1);
    is_reset(&mut client);
}

#[test]
fn a_reset_of_the_client_before_the_server_has_accepted() {
    let (listener, _waiting) = crate::backends::deaf();
    let (proxy, address) = before(listener.local_addr().unwrap());
    for said in [&b""[..], b"half a quest"] {
        let ended = proxy.totals().ended.client_reset;
        let mut client = connect(address);
        client.write_all(said).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        reset(client);
        until("its end", || proxy.totals().ended.client_reset == ended + 1);
        // Long before the server would have been given up.
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    assert_eq!(proxy.totals().open(), 0);
}

#[test]
fn silence_ends_a_connection() {
    let mut config = config("127.0.0.1:tcp/0", &[echo().to_string()]);
    config.timeouts.tcp_idle = Duration::from_millis(1_000);
    let (proxy, address) = start(&config);
    let (mut silent, mut busy) = (connect(address), connect(address));
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2_000) {
        busy.write_all(b"x").unwrap();
        busy.read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(read_all(&mut silent).unwrap(), b"");
    assert_eq!((proxy.totals().ended.idle, proxy.totals().open()), (1, 1));
}

/// A name server that says nothing must not hold up whoever wants to end it.
#[test]
fn a_start_that_waits_for_a_name_can_be_ended() {
    let name = "ends::a_start_that_waits_for_a_name_can_be_ended";
    in_a_network_of_its_own(name, &["--mount"], || {
        let silent = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
        silent.set_read_timeout(Some(crate::setup::PATIENCE)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let servers = directory.path().join("resolv.conf");
        std::fs::write(&servers, "nameserver 127.0.0.1\n").unwrap();
        let mount =
            Command::new("mount").arg("--bind").arg(&servers).arg("/etc/resolv.conf").status().unwrap();
        assert!(mount.success(), "mount(8)");
        let mut child = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["proxy", "--listen", "127.0.0.1:tcp/0=a.name.example:80"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        silent.recv(&mut [0; 512]).expect("a question");
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let began = Instant::now();
        let status = child.wait().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.success() && said.is_empty(), "{status}: {said}");
        // The question alone is waited for longer.
        assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    });
}

#[test]
fn at_the_end_open_connections_may_finish() {
    let listener = listen();
    let mut config = config("127.0.0.1:tcp/0", &[listener.local_addr().unwrap().to_string()]);
    config.timeouts.drain = crate::setup::PATIENCE;
    let (proxy, address) = start(&config);
    let mut client = connect(address);
    let mut server = accept(&listener);
    proxy.stop();
    until("new clients are refused", || TcpStream::connect(address).is_err());
    client.write_all(b"still here").unwrap();
    drop(client);
    assert_eq!(read_all(&mut server).unwrap(), b"still here");
    // With it goes what the proxy had still accepted from those that asked whether it does.
    drop((server, listener));
    let totals = proxy.wait().unwrap();
    let ended = totals.ended;
    let by_themselves = ended.complete + ended.client_reset + ended.server_reset + ended.refused;
    assert_eq!(by_themselves, totals.tcp.accepted, "{totals}");
    assert_eq!(ended.drained, 0);
}

#[test]
fn at_the_end_connections_that_do_not_finish_are_cut() {
    let listener = listen();
    let (proxy, address) = before(listener.local_addr().unwrap());
    let mut client = connect(address);
    let mut server = accept(&listener);
    let start = Instant::now();
    proxy.stop();
    let totals = proxy.wait().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    assert_eq!((totals.ended.drained, totals.open()), (1, 0));
    is_reset(&mut client);
    is_reset(&mut server);
}
