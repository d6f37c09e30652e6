//! The access log and the admin address of a proxy at work.

use super::setup::{ask, config, connect, named, named_udp, read};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use wharf::proxy::{ListenPlace, Proxy};

#[test]
fn what_ended_is_in_the_log_with_the_wires_truth() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.jsonl");
    let (server, udp) = (named("a"), named_udp("u"));
    let text = format!(
        r#"
        log.access = "{}"
        admin.listen = "127.0.0.1:0"
        timeouts = {{ drain = "100ms", udp-idle = "100ms" }}
        upstream.a.servers = ["{server}"]
        upstream.u.servers = ["{udp}"]
        [[listener]]
        name = "front"
        bind = ["127.0.0.1:tcp/0"]
        route = [{{ name = "all", to = "a" }}]
        [[listener]]
        name = "dgrams"
        bind = ["127.0.0.1:udp/0"]
        to = "u"
        "#,
        log.display()
    );
    let proxy = Proxy::bind(&config(&text)).unwrap();
    let places: Vec<_> = proxy.places().map(|(_, place)| place.clone()).collect();
    let [ListenPlace::Internet(tcp), ListenPlace::Internet(datagrams)] = places[..] else {
        panic!("{places:?}")
    };
    let admin = proxy.admin_address().expect("an admin address");
    let proxy = proxy.start().unwrap();
    let mut client = connect(tcp);
    client.write_all(&[b'x'; 1000]).unwrap();
    assert_eq!(read(&mut client, 1001).len(), 1001);
    let get = |path: &str| {
        let mut stream = TcpStream::connect(admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let metrics = get("/metrics");
    for line in [
        "wharf_proxy_connections_open 1".to_owned(),
        "wharf_proxy_datagrams_dropped_total{reason=\"kernel\"} 0".to_owned(),
        format!("wharf_proxy_server_active{{upstream=\"a\",server=\"{server}\"}} 1"),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    let from = client.local_addr().unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read(&mut client, 1), "");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"12345", datagrams).unwrap();
    socket.set_read_timeout(Some(super::setup::PATIENCE)).unwrap();
    assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 6);
    super::setup::until("the session is over", || proxy.totals().udp.idle == 1);
    proxy.stop();
    proxy.wait().unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    let tcp = lines.iter().find(|line| line["transport"] == "tcp").expect("a connection");
    for (key, value) in [
        ("client", from.to_string().into()),
        ("local", places[0].to_string().into()),
        ("server_address", server.to_string().into()),
        ("listener", "front".into()),
        ("route", "all".into()),
        ("upstream", "a".into()),
        ("server", server.to_string().into()),
        ("reason", "complete".into()),
        ("bytes_up", serde_json::json!(1000)),
        ("bytes_down", serde_json::json!(1001)),
        ("tried_before", serde_json::json!(0)),
    ] {
        assert_eq!(tcp[key], value, "{key} in {tcp}");
    }
    // The kernel counts the end of each, too.
    assert_eq!(tcp["client_tcp"]["bytes_received"], 1001);
    assert_eq!(tcp["server_tcp"]["bytes_received"], 1002);
    assert!(tcp["client_tcp"]["rtt_us"].as_u64() > Some(0) && tcp["connect_seconds"].as_f64() >= Some(0.0));
    let udp = lines.iter().find(|line| line["transport"] == "udp").expect("a session");
    assert_eq!(
        (&udp["bytes_up"], &udp["bytes_down"], &udp["reason"]),
        (&5.into(), &6.into(), &"idle".into())
    );
}

/// What a client takes until it is known where it goes is its own time, and no server's.
#[test]
fn the_time_to_connect_is_the_servers() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.jsonl");
    let text = format!(
        r#"
        log.access = "{}"
        upstream.a.servers = ["{}"]
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        route = [{{ to = "a", spoken = ["ssh"] }}]
        "#,
        log.display(),
        named("a")
    );
    let (proxy, places) = super::setup::start(&text);
    let mut client = connect(places[0]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    client.write_all(b"SSH-2.0-late\r\n").unwrap();
    assert_eq!(read(&mut client, 1), "a");
    drop(client);
    proxy.stop();
    proxy.wait().unwrap();
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&log).unwrap()).unwrap();
    let seconds = |key: &str| line[key].as_f64().unwrap();
    assert!(seconds("seconds") >= 1.0 && seconds("connect_seconds") < 0.9, "{line}");
}

#[test]
fn a_log_that_cannot_be_opened_is_told_at_the_start() {
    let server = named("a");
    let text = format!(
        "log.access = \"/nowhere/log\"\nupstream.a.servers = [\"{server}\"]\n[[listener]]\nbind = [\"127.0.0.1:tcp/0\"]\nto = \"a\"\n"
    );
    let error = Proxy::bind(&config(&text)).unwrap_err().to_string();
    assert!(error.starts_with("cannot open the access log /nowhere/log: "), "{error}");
    let _ = ask(server, b"", 1);
}
