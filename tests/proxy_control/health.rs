//! Servers that go and come back.

use super::setup::{ask, config, named, start, until};
use std::net::TcpListener;
use std::sync::mpsc;
use wharf::proxy::{ListenPlace, Notice, Proxy};

/// The address of a port on which nobody listens, for now.
fn nobody() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn checks_take_a_server_out_and_bring_it_back() {
    let (good, gone) = (named("good"), nobody());
    let text = format!(
        r#"
        [upstream.a]
        servers = ["{good}", "{gone}"]
        eject.failures = 0
        health = {{ interval = "20ms", rise = 1, fall = 1 }}
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        to = "a"
        "#
    );
    let proxy = Proxy::bind(&config(&text)).unwrap();
    let Some((_, &ListenPlace::Internet(address))) = proxy.places().next() else { panic!("a port") };
    let (told, heard) = mpsc::channel();
    let proxy = proxy.start_with(move |notice| told.send(notice).unwrap_or_default()).unwrap();
    let expect = |up| {
        let notice = heard.recv_timeout(super::setup::PATIENCE).expect("a notice");
        assert_eq!(notice, Notice::Server { server: gone.to_string(), up });
    };
    expect(false);
    let before = proxy.totals().tcp;
    for _ in 0..20 {
        assert_eq!(ask(address, b"", 4), "good");
    }
    assert_eq!(proxy.totals().tcp.retries, before.retries, "nobody tried the one that is down");
    let listener = TcpListener::bind(gone).unwrap();
    expect(true);
    let servers = proxy.status().upstreams[0].servers.clone();
    assert!(servers.iter().all(|server| server.healthy));
    drop(listener);
    expect(false);
    assert!(!proxy.status().upstreams[0].servers[1].healthy);
}

#[test]
fn failures_take_a_server_out_and_clients_do_not_notice() {
    let (good, gone) = (named("good"), nobody());
    let (proxy, places) = start(&format!(
        r#"
        cores = [0]
        [upstream.a]
        servers = ["{good}", "{gone}"]
        eject = {{ failures = 2, for = "1h" }}
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        to = "a"
        "#
    ));
    for _ in 0..20 {
        assert_eq!(ask(places[0], b"", 4), "good");
    }
    let status = proxy.status();
    let servers = &status.upstreams[0].servers;
    assert!(servers[1].ejected && servers[1].failed == 2, "{servers:?}");
    assert_eq!(status.totals.tcp.retries, 2);
    until("all have ended", || proxy.status().upstreams[0].servers[0].active == 0);
}
