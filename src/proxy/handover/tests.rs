//! Processes that do not come to work, played by a thread.

use super::super::config::Config;
use super::{HandoverError, Predecessor, Successor};
use crate::proxy::{ListenPlace, Proxy};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_place_that_went_just_before_an_upgrade_that_fails_is_closed() {
    let text = |binds: &str| {
        let text =
            format!("upstream.a.servers = [\"127.0.0.1:9\"]\n[[listener]]\nbind = [{binds}]\nto = \"a\"\n");
        Config::from_toml(&text).unwrap()
    };
    let (one, both) = (text("\"127.0.0.1:tcp/0\""), text("\"127.0.0.1:tcp/0\", \"127.0.0.2:tcp/0\""));
    let mut proxy = Proxy::bind(&both).unwrap().start().unwrap();
    let places: Vec<SocketAddr> = proxy
        .places()
        .into_iter()
        .map(|(_, place)| match place {
            ListenPlace::Internet(address) => address,
            other => panic!("{other}"),
        })
        .collect();
    proxy.reload(&one).unwrap();
    let (successor, theirs) = Successor::new().unwrap();
    let other = thread::spawn(move || {
        let predecessor = Predecessor::new(theirs).unwrap();
        drop(predecessor.sockets().unwrap());
        predecessor.sessions(&[]).unwrap();
        // It is gone just before it is at work, and after the time for those on their way.
        thread::sleep(Duration::from_millis(400));
    });
    let result = proxy.hand_over(&successor, || true);
    assert!(matches!(result, Err(HandoverError::Ended)), "{result:?}");
    other.join().unwrap();
    let end = Instant::now() + PATIENCE;
    while let Err(error) = TcpListener::bind(places[1]) {
        assert!(Instant::now() < end, "{}: {error}", places[1]);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(std::net::TcpStream::connect(places[0]).is_ok(), "what stays goes on");
}
