//! Reloads under load: nobody who is there notices.

use super::setup::{all_descriptors, config, connect, named, named_udp, read, start, until};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use wharf::proxy::Error;

/// Connections, and as many sessions, that are open all the time.
const LONG: usize = 1_000;
const RELOADS: usize = 100;

#[test]
fn a_hundred_reloads_break_no_connection_and_no_session() {
    // Two descriptors at each of three ends, for connections and sessions.
    all_descriptors();
    let [a, b] = ["a", "b"].map(named);
    let [c, d] = ["c", "d"].map(named_udp);
    // Now and then there are two places more, and other options.
    let more = [
        "backlog = 512\n[[listener]]\nname = \"more\"\nbind = [\"127.0.0.1:any/0\"]\nto = \"three\"\n",
        "no-delay = false",
        "",
    ];
    let text = |tcp: &str, udp: &str, delay: usize| {
        let more = more[delay % more.len()];
        format!(
            r#"
            timeouts.udp-idle = "10m"
            [upstream]
            one.servers = [{tcp}]
            two.servers = [{udp}]
            three.servers = ["127.0.0.1:9"]
            [[listener]]
            bind = ["127.0.0.1:tcp/0"]
            detect-timeout = "{delay}s"
            route = [{{ to = "one", spoken = ["ssh"] }}, {{ to = "one" }}]
            [[listener]]
            bind = ["127.0.0.1:udp/0"]
            to = "two"
            {more}
            "#
        )
    };
    let (proxy, places) = start(&text(&format!("\"{a}\""), &format!("\"{c}\""), 1));
    // Each says a byte, so that it has its route.
    let mut long: Vec<_> = (0..LONG)
        .map(|_| {
            let mut stream = connect(places[0]);
            stream.write_all(b"!").unwrap();
            stream
        })
        .collect();
    for stream in &mut long {
        assert_eq!(read(stream, 2), "a!");
    }
    let sessions: Vec<_> = (0..LONG)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(places[1]).unwrap();
            socket.set_read_timeout(Some(super::setup::PATIENCE)).unwrap();
            socket
        })
        .collect();
    let exchange = |socket: &UdpSocket| {
        let mut bytes = [0; 16];
        socket.send(b"?").unwrap();
        let length = socket.recv(&mut bytes).expect("an answer");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    for socket in &sessions {
        assert_eq!(exchange(socket), "c?");
    }
    let (stop, short) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        // New clients all the while; each is served by the one or the other.
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = connect(places[0]);
                    stream.write_all(b"?").unwrap();
                    let answer = read(&mut stream, 2);
                    assert!(["a?", "b?"].contains(&answer.as_str()), "{answer:?}");
                    short.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 0..RELOADS {
            let (tcp, udp) = if number % 2 == 0 { (b, d) } else { (a, c) };
            let next = config(&text(&format!("\"{tcp}\""), &format!("\"{udp}\""), 1 + number % 3));
            proxy.reload(&next).expect("reloaded");
            // Some of those that are there go on meanwhile.
            for stream in long.iter_mut().skip(number).step_by(RELOADS) {
                stream.write_all(b"on").unwrap();
                assert_eq!(read(stream, 2), "on");
            }
            for socket in sessions.iter().skip(number).step_by(RELOADS) {
                assert_eq!(exchange(socket), "c?", "a session keeps its server");
            }
            thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(short.load(Ordering::Relaxed) > 10, "hardly any load");
    for stream in &mut long {
        stream.write_all(b"still").unwrap();
        assert_eq!(read(stream, 5), "still");
    }
    for socket in &sessions {
        assert_eq!(exchange(socket), "c?");
    }
    let ended = proxy.totals().ended;
    assert_eq!(ended.complete + ended.client_reset, proxy.totals().closed(), "{ended:?}");
    drop(long);
    until("all have ended", || proxy.totals().open() == 0);
}

#[test]
fn a_configuration_that_takes_a_restart_or_is_wrong_changes_nothing() {
    let (a, b) = (named("a"), named("b"));
    let text = |server: &str, more: &str| {
        format!(
            "upstream.x.servers = [\"{server}\"]\n[[listener]]\nbind = [\"127.0.0.1:tcp/0\"]\nto = \"x\"\n{more}"
        )
    };
    let (proxy, places) = start(&text(&a.to_string(), ""));
    let elsewhere = config(&text(&b.to_string(), "[admin]\nlisten = \"127.0.0.1:0\""));
    assert!(matches!(proxy.reload(&elsewhere), Err(Error::NeedsRestart { .. })));
    let taken = format!("[[listener]]\nbind = [\"127.0.0.1:tcp/{}\"]\nto = \"x\"", a.port());
    let taken = config(&text(&b.to_string(), &format!("backlog = 7\n{taken}")));
    assert!(matches!(proxy.reload(&taken), Err(Error::Listen { .. })));
    let mut nowhere = config(&text(&b.to_string(), ""));
    nowhere.listeners[0].routes[0].upstream = 9;
    assert!(matches!(proxy.reload(&nowhere), Err(Error::Route { .. })));
    let unknown = config(&text("not..a.name:80", ""));
    assert!(matches!(proxy.reload(&unknown), Err(Error::Resolve { .. })));
    assert_eq!(read(&mut connect(places[0]), 1), "a");
    proxy.reload(&config(&text(&b.to_string(), ""))).unwrap();
    until("the other server", || read(&mut connect(places[0]), 1) == "b");
    let mut rest = Vec::new();
    let mut stream = connect(places[0]);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"b");
}
