//! Servers that say who they are, and proxies before them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};
use wharf::proxy::config::Config;
use wharf::proxy::{ListenPlace, Proxy, Running};

/// Longest wait for anything that should come soon, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A TCP server that says its name at once and then echoes, for as long as the process lives.
pub(crate) fn named(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Room for as many as a test opens at once: of those beyond, the kernel drops some that say nothing for good.
    rustix::net::listen(&listener, 4096).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.write_all(name.as_bytes());
                let _ = std::io::copy(&mut stream.try_clone().unwrap(), &mut stream);
            });
        }
    });
    address
}

/// A UDP server that answers each datagram with its name and the datagram.
pub(crate) fn named_udp(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok((length, client)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&[name.as_bytes(), &bytes[..length]].concat(), client);
        }
    });
    address
}

/// The configuration of a text.
pub(crate) fn config(text: &str) -> Config {
    Config::from_toml(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A proxy at work, and where it listens, in order.
pub(crate) fn start(text: &str) -> (Running, Vec<SocketAddr>) {
    let proxy = Proxy::bind(&config(text)).expect("bound");
    let places = proxy.places().map(|(_, place)| match place {
        ListenPlace::Internet(address) => *address,
        other => panic!("{other}"),
    });
    let places = places.collect();
    (proxy.start().expect("started"), places)
}

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Has this process as many as it may: it is all ends of what the proxy has.
pub(crate) fn all_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all).unwrap();
}

/// What comes first, up to so many bytes; fewer at the end.
pub(crate) fn read(stream: &mut TcpStream, length: usize) -> String {
    let mut bytes = Vec::new();
    let _ = stream.take(length as u64).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Says something and tells what comes back, up to so many bytes.
pub(crate) fn ask(to: SocketAddr, bytes: &[u8], length: usize) -> String {
    let mut stream = connect(to);
    stream.write_all(bytes).expect("sent");
    read(&mut stream, length)
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A `ClientHello` for a host and a protocol, in one record.
pub(crate) fn hello(host: &str, protocol: &str) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let name = sized(&[b"\0", &sized(host.as_bytes())[..]].concat());
    let list = [&[u8::try_from(protocol.len()).unwrap()], protocol.as_bytes()].concat();
    let extensions = [&b"\0\0"[..], &sized(&name), b"\0\x10", &sized(&sized(&list))].concat();
    let body = [&b"\x03\x03"[..], &[7; 32], b"\0\0\x02\x13\x01\x01\0", &sized(&extensions)].concat();
    [b"\x16\x03\x01", &sized(&[b"\x01\0", &sized(&body)[..]].concat())[..]].concat()
}
