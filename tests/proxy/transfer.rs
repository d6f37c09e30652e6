//! Bytes: each of them, in order, and none else.

use crate::setup::{
    accept, activated, before, command, config, connect, echo, listen, noise, pair, read_all, serve, start,
    until,
};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use wharf::proxy::Proxy;

#[test]
fn one_byte_at_a_time() {
    let (proxy, mut client, mut server) = pair();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let mut byte = [0];
    for number in 0..=255_u8 {
        client.write_all(&[number]).unwrap();
        server.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [number]);
        server.write_all(&[!number]).unwrap();
        client.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [!number]);
    }
    drop((client, server));
    proxy.stop();
    let totals = proxy.wait().unwrap();
    assert_eq!((totals.tcp.bytes_up, totals.tcp.bytes_down, totals.ended.complete), (256, 256, 1));
    assert_eq!(totals.tcp.bytes_spliced, 0, "small things are copied");
}

#[test]
fn a_server_may_speak_first() {
    let (_proxy, mut client, mut server) = pair();
    server.write_all(b"220 ready\r\n").unwrap();
    let mut banner = [0; 11];
    client.read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"220 ready\r\n");
}

/// A proxy at work, wherever it listens.
fn at_work(config: &wharf::proxy::config::Config) -> wharf::proxy::Running {
    Proxy::bind(config).unwrap().start().unwrap()
}

/// Sends and receives at the same time; what came.
fn exchange(connection: &TcpStream, bytes: Vec<u8>) -> Vec<u8> {
    let mut writer = connection.try_clone().unwrap();
    let sender = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let received = read_all(&mut connection.try_clone().unwrap()).unwrap();
    sender.join().unwrap();
    received
}

#[test]
fn large_transfers_both_ways_at_once() {
    const LENGTH: usize = 64 << 20;
    let listener = listen();
    let (proxy, address) = before(listener.local_addr().unwrap());
    let (up, down) = (noise(LENGTH, 1), noise(LENGTH - 12_345, 2));
    let sent = down.clone();
    let server = thread::spawn(move || exchange(&accept(&listener), sent));
    let received = exchange(&connect(address), up.clone());
    assert!(received == down, "{} bytes down, of {}", received.len(), down.len());
    let received = server.join().unwrap();
    assert!(received == up, "{} bytes up, of {}", received.len(), up.len());
    proxy.stop();
    let totals = proxy.wait().unwrap();
    assert_eq!((totals.tcp.bytes_up, totals.tcp.bytes_down), (up.len() as u64, down.len() as u64));
    assert_eq!((totals.tcp.accepted, totals.ended.complete), (1, 1));
    assert!(totals.tcp.bytes_spliced > LENGTH as u64, "it went by copies: {totals}");
}

/// Bytes each way.
const MUCH: usize = 1 << 30;
const BLOCK: usize = 1 << 20;

/// Sends so much at the same time as it receives as much, and compares every byte of that with what the other end has sent, which
/// it makes by another seed.
fn exchange_much(connection: &TcpStream, own: u64, other: u64) {
    // Each block begins elsewhere: what stands at one place of two of them differs.
    let block = |noise: &[u8], number: usize| number * 104 % BLOCK..number * 104 % BLOCK + noise.len() / 2;
    let mut writer = connection.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let noise = noise(2 * BLOCK, own);
        (0..MUCH / BLOCK).for_each(|number| writer.write_all(&noise[block(&noise, number)]).unwrap());
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let noise = noise(2 * BLOCK, other);
    let (mut reader, mut received) = (connection.try_clone().unwrap(), vec![0; BLOCK]);
    for number in 0..MUCH / BLOCK {
        reader.read_exact(&mut received).unwrap();
        assert!(received == noise[block(&noise, number)], "a byte is wrong in MiB {number}");
    }
    assert_eq!(reader.read(&mut received).unwrap(), 0, "more came than was sent");
    sender.join().unwrap();
}

#[test]
fn a_gib_each_way_at_once_is_the_same() {
    let listener = listen();
    let (proxy, address) = before(listener.local_addr().unwrap());
    let server = thread::spawn(move || exchange_much(&accept(&listener), !1, 1));
    exchange_much(&connect(address), 1, !1);
    server.join().unwrap();
    proxy.stop();
    let totals = proxy.wait().unwrap();
    let much = MUCH as u64;
    assert_eq!((totals.tcp.bytes_up, totals.tcp.bytes_down, totals.ended.complete), (much, much, 1));
}

/// A read stops short of an urgent byte, which is not passed on, though there is more behind it: that must come too.
#[test]
fn what_stands_behind_an_urgent_byte_is_passed_on() {
    let sink = serve(|mut connection| {
        let bytes = read_all(&mut connection).unwrap();
        connection.write_all(&bytes).unwrap();
    });
    let (proxy, address) = before(sink);
    for _ in 0..100 {
        let mut client = connect(address);
        client.write_all(b"before").unwrap();
        rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).unwrap();
        client.write_all(b"behind").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut client).unwrap(), b"beforebehind");
    }
    proxy.stop();
    assert_eq!(proxy.wait().unwrap().ended.complete, 100);
}

/// The same amid bytes that go by pipe, from where it is not told from an end.
#[test]
fn an_urgent_byte_amid_bulk_stops_nothing() {
    const HALF: usize = 1 << 20;
    let sink = serve(|mut connection| {
        let bytes = read_all(&mut connection).unwrap();
        connection.write_all(&bytes).unwrap();
    });
    let (proxy, address) = before(sink);
    for seed in 0..20 {
        let bytes = noise(2 * HALF, seed);
        let mut client = connect(address);
        client.write_all(&bytes[..HALF]).unwrap();
        rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).unwrap();
        client.write_all(&bytes[HALF..]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let echoed = read_all(&mut client).unwrap();
        assert!(echoed == bytes, "{} bytes of {}", echoed.len(), bytes.len());
        // And with nothing but the end behind it.
        let mut client = connect(address);
        client.write_all(&bytes[..HALF]).unwrap();
        rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(read_all(&mut client).unwrap() == bytes[..HALF]);
    }
    proxy.stop();
    let totals = proxy.wait().unwrap();
    assert!(totals.ended.complete == 40 && totals.tcp.bytes_spliced > 0, "{totals}");
}

#[test]
fn a_supervisor_may_have_opened_the_socket() {
    let server = echo();
    for name in ["web", "0"] {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let proxy = activated(listener.into(), "web", &["--listen", &format!("fd:{name}={server}")]);
        assert_eq!(proxy.address(), address, "{:?}", proxy.said);
        let mut client = connect(address);
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut client).unwrap(), b"hello");
        proxy.end();
    }
}

/// `Accept=yes` in a systemd unit hands over connections, one for each process.
#[test]
fn an_inherited_socket_that_does_not_listen_is_refused() {
    let listener = listen();
    let _client = connect(listener.local_addr().unwrap());
    let connection = std::os::fd::OwnedFd::from(accept(&listener));
    let script = r#"export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec "$0" proxy --listen fd:web=127.0.0.1:9 3<&0 0</dev/null"#;
    let mut child = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_wharf")])
        .stdin(connection)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() && began.elapsed() < crate::setup::PATIENCE / 4 {
        thread::sleep(std::time::Duration::from_millis(10));
    }
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot listen on fd:web: it does not listen") && said.contains("Accept=no"),
        "{said}"
    );
}

#[test]
fn a_listening_socket_that_another_shuts_down_is_left() {
    let listener = listen();
    let ours = listener.try_clone().unwrap();
    let mut proxy = activated(listener.into(), "web", &["--listen", &format!("fd:web={}", echo())]);
    let place = proxy.address();
    rustix::net::shutdown(&ours, rustix::net::Shutdown::Both).unwrap();
    thread::sleep(std::time::Duration::from_millis(100));
    let before = proxy.time();
    thread::sleep(std::time::Duration::from_millis(500));
    let spent = proxy.time() - before;
    assert!(spent < std::time::Duration::from_millis(100), "it is busy for nothing: {spent:?}");
    let said = proxy.next_line();
    assert!(said.contains(&format!("{place} listens no more")), "{said}");
    assert!(proxy.end()["tcp"]["accept_errors"].as_u64() > Some(0));
}

/// Long and short writes in turn: between copies and pipes nothing may get lost or out of order.
#[test]
fn bursts_of_any_length_keep_their_order() {
    let (_proxy, client, mut server) = pair();
    let mut bytes = Vec::new();
    for (seed, length) in
        [1, 100_000, 7, 900_000, 32 << 10, 3_000_000, 1, 64 << 10, 2].into_iter().enumerate()
    {
        bytes.extend(noise(length, seed as u64));
    }
    let sent = bytes.clone();
    let sender = thread::spawn(move || {
        let mut client = client;
        for (index, part) in sent.chunks(333_333).enumerate() {
            if index % 3 == 0 {
                part.chunks(1_000).for_each(|piece| client.write_all(piece).unwrap());
                thread::sleep(std::time::Duration::from_millis(5));
            } else {
                client.write_all(part).unwrap();
            }
        }
    });
    assert!(read_all(&mut server).unwrap() == bytes);
    sender.join().unwrap();
}

#[test]
fn many_small_connections_beside_a_huge_one() {
    let sink = serve(|mut connection| {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        if byte == [b'h'] {
            let _ = std::io::copy(&mut connection, &mut std::io::sink());
        } else {
            connection.write_all(&byte).unwrap();
        }
    });
    let (proxy, address) = before(sink);
    let mut huge = connect(address);
    huge.write_all(b"h").unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let stream = thread::spawn(move || {
        let block = vec![0; 1 << 20];
        // As long as there are others.
        while !over.load(Ordering::Relaxed) {
            huge.write_all(&block).unwrap();
        }
    });
    let mut times: Vec<_> = (0..200)
        .map(|number: u8| {
            // Not the one that says that it is huge.
            let number = number % 100;
            let began = std::time::Instant::now();
            let mut client = connect(address);
            client.write_all(&[number]).unwrap();
            assert_eq!(read_all(&mut client).unwrap(), [number]);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    is_over.store(true, Ordering::Relaxed);
    stream.join().unwrap();
    // A turn of the huge one is a MiB, well below a millisecond; the rest is what else this machine does.
    assert!(times[197] < std::time::Duration::from_secs(1), "p99 {:?}", times[197]);
    proxy.stop();
    let totals = proxy.wait().unwrap();
    assert!(totals.tcp.bytes_up > 16 << 20, "hardly anything huge: {totals}");
    assert_eq!(totals.ended.complete, 201);
}

#[test]
fn sockets_in_the_file_system_at_both_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (near, far) = (directory.path().join("near"), directory.path().join("far"));
    let listener = UnixListener::bind(&far).unwrap();
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).unwrap();
        connection.write_all(&bytes).unwrap();
    });
    let listen = format!("unix:{}", near.display());
    let config = config(&listen, &[format!("unix:{}", far.display())]);
    let proxy = wharf::proxy::Proxy::bind(&config).unwrap().start().unwrap();
    let mut client = UnixStream::connect(&near).unwrap();
    // Enough to be spliced.
    let bytes = noise(4 << 20, 3);
    client.write_all(&bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut echoed = Vec::new();
    client.read_to_end(&mut echoed).unwrap();
    assert!(echoed == bytes);
    server.join().unwrap();
    proxy.stop();
    assert_eq!(proxy.wait().unwrap().ended.complete, 1);
    assert!(!near.exists(), "the path was left behind");
    // What a killed process leaves is no obstacle.
    drop(UnixListener::bind(&near).unwrap());
    assert!(near.exists());
    wharf::proxy::Proxy::bind(&config).unwrap();
}

/// Says something with a descriptor beside it, which nobody passes on.
fn say_with_descriptor(to: &UnixStream, bytes: &[u8]) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [to.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = sendmsg(to, &[std::io::IoSlice::new(bytes)], &mut control, SendFlags::empty());
    assert_eq!(sent, Ok(bytes.len()));
}

/// The kernel gives such bytes message by message.
#[test]
fn what_comes_with_descriptors_comes_whole() {
    const PARTS: [&[u8]; 3] = [b"one ", b"two ", b"three"];
    let directory = tempfile::tempdir().unwrap();
    let (near, far) = (directory.path().join("near"), directory.path().join("far"));
    let listener = UnixListener::bind(&far).unwrap();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            PARTS.iter().for_each(|part| say_with_descriptor(&connection, part));
        }
    });
    let by_path = config(&format!("unix:{}", near.display()), &[echo().to_string()]);
    let by_path = wharf::proxy::Proxy::bind(&by_path).unwrap().start().unwrap();
    let (_to_path, address) = start(&config("127.0.0.1:tcp/0", &[format!("unix:{}", far.display())]));
    for _ in 0..50 {
        let mut client = UnixStream::connect(&near).unwrap();
        PARTS.iter().for_each(|part| say_with_descriptor(&client, part));
        client.shutdown(Shutdown::Write).unwrap();
        let mut echoed = Vec::new();
        client.read_to_end(&mut echoed).unwrap();
        assert_eq!(echoed, PARTS.concat());
        assert_eq!(read_all(&mut connect(address)).unwrap(), PARTS.concat());
    }
    by_path.stop();
    assert_eq!(by_path.wait().unwrap().ended.complete, 50);
}

#[test]
fn a_server_without_a_port_has_the_one_the_client_came_to() {
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_proxy, address) = start(&config(&format!("127.0.0.1:tcp/{port}"), &["127.0.0.2".to_owned()]));
    let mut client = connect(address);
    client.write_all(b"here").unwrap();
    let mut bytes = [0; 4];
    accept(&listener).read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"here");
}

#[test]
fn both_families_without_an_address() {
    let proxy = command(&["--listen", &format!("tcp/0={}", echo())]);
    let port = proxy.address().port();
    for address in ["127.0.0.1", "::1"] {
        let Ok(mut client) = TcpStream::connect((address, port)) else {
            assert_eq!(address, "::1", "IPv4 must work");
            continue;
        };
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut client).unwrap(), b"hello");
    }
    proxy.end();
}

#[test]
fn all_addresses_of_one_family_leave_the_other_alone() {
    // Servers that say who they are.
    let [four, six] =
        [b"4", b"6"].map(|name| serve(move |mut connection| connection.write_all(name).unwrap()));
    // The port that the kernel has free for one family may be another's in the other one.
    let both = (0..20).find_map(|_| {
        let (first, address) = start(&config("[::]:tcp/0", &[six.to_string()]));
        let second = config(&format!("0.0.0.0:tcp/{}", address.port()), &[four.to_string()]);
        let second = Proxy::bind(&second).ok()?.start().unwrap();
        Some((first, second, address.port()))
    });
    let (_first, _second, port) = both.expect("a port of both families");
    for (host, name) in [("127.0.0.1", b"4"), ("::1", b"6")] {
        let mut client = TcpStream::connect((host, port)).unwrap();
        assert_eq!(read_all(&mut client).unwrap(), name, "{host}");
    }
    // And where they share a socket, each has all of them.
    let range = |host: &str| format!("{host}:tcp/31000-31099");
    let _first = at_work(&config(&range("[::]"), &[six.to_string()]));
    let _second = at_work(&config(&range("0.0.0.0"), &[four.to_string()]));
    for (host, name) in [("127.0.0.1", b"4"), ("::1", b"6")] {
        let mut client = TcpStream::connect((host, 31_042)).unwrap();
        assert_eq!(read_all(&mut client).unwrap(), name, "{host}");
    }
}

#[test]
fn nothing_is_left_behind() {
    let server = echo();
    let proxy = command(&["--listen", &format!("127.0.0.1:tcp/0={server}"), "--cores", "0"]);
    let address = proxy.address();
    let round = |seed: u64| {
        for number in 0..40_u64 {
            let mut client = connect(address);
            let bytes = noise(if number % 10 == 0 { 2 << 20 } else { 100 }, seed + number);
            let mut writer = client.try_clone().unwrap();
            let sent = bytes.clone();
            let sender = thread::spawn(move || {
                let _ = writer.write_all(&sent);
            });
            match number % 4 {
                0 | 1 => {
                    let mut echoed = vec![0; bytes.len()];
                    client.read_exact(&mut echoed).unwrap();
                    assert!(echoed == bytes);
                }
                2 => crate::setup::reset(client),
                _ => {}
            }
            sender.join().unwrap();
        }
    };
    round(0);
    until("all closed", || proxy.descriptors() < 100);
    thread::sleep(std::time::Duration::from_millis(200));
    // Pipes are kept for the next one.
    let (descriptors, memory) = (proxy.descriptors(), proxy.memory());
    (1..6).for_each(|seed| round(seed * 1_000));
    // And there are as many as were ever in use at once, two connections' more at most here, not one a connection.
    until("as many descriptors as before", || proxy.descriptors() <= descriptors + 8);
    let more = proxy.memory().saturating_sub(memory);
    assert!(more < 2 << 20, "{more} bytes more than before");
    proxy.end();
}
