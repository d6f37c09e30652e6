//! Load for proxies: servers, and clients that ask them and say how fast they were answered.
//!
//! ```text
//! proxy-load serve PORT                          PORT echoes (TCP, UDP), PORT+1 discards, PORT+2 answers once,
//!                                                PORT+3 exchanges a GiB
//! proxy-load bulk ADDRESS STREAMS SECONDS        Gb/s into a discarding port
//! proxy-load transfers ADDRESS STREAMS KIB SECONDS  the same with a connection for so many KiB
//! proxy-load sums ADDRESS                        Gb/s of a GiB each way, at an exchanging port; their sums compared
//! proxy-load connect ADDRESS AT_A_TIME SECONDS   connections a second at an answering port; p50 and p99 of each in us
//! proxy-load spread ADDRESS PORTS AT_A_TIME SECONDS  the same, each to the next of so many ports
//! proxy-load ask ADDRESS CONNECTIONS SECONDS     requests a second at an echoing port; p50 and p99 in us
//! proxy-load datagrams ADDRESS CLIENTS SECONDS   answers a second from an echoing port, 16 of 64 bytes under way a client
//! proxy-load idle ADDRESS CONNECTIONS            opens them, says `ready`, keeps them until its input ends
//! ```

mod bulk;
mod datagrams;
mod exchange;
mod serve;
mod sums;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of a request, an answer, a datagram.
pub(crate) const MESSAGE: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let usage = "usage: see the top of src/main.rs";
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let time = |text: &str| Duration::from_secs_f64(text.parse().expect("seconds"));
    match texts[..] {
        ["serve", port] => serve::run(port.parse().expect("a port")),
        ["bulk", to, streams, seconds] => {
            println!("{:.3}", bulk::run(address(to), number(streams), time(seconds)))
        }
        ["transfers", to, streams, kib, seconds] => {
            let bytes = number(kib) as u64 * 1024;
            println!("{:.3}", bulk::run_transfers(address(to), number(streams), bytes, time(seconds)));
        }
        ["sums", to] => println!("{:.3}", sums::run(address(to))),
        ["connect", to, at_a_time, seconds] => {
            println!("{}", exchange::run(address(to), number(at_a_time), time(seconds), true, 1));
        }
        ["spread", to, ports, at_a_time, seconds] => {
            let ports = ports.parse().expect("ports");
            println!("{}", exchange::run(address(to), number(at_a_time), time(seconds), true, ports));
        }
        ["ask", to, connections, seconds] => {
            println!("{}", exchange::run(address(to), number(connections), time(seconds), false, 1));
        }
        ["datagrams", to, clients, seconds] => {
            println!("{:.0}", datagrams::run(address(to), number(clients), time(seconds)));
        }
        ["idle", to, connections] => idle(address(to), number(connections)),
        _ => panic!("{usage}"),
    }
}

/// Connections that have asked once, been answered, and say nothing more.
fn idle(to: SocketAddr, connections: usize) {
    let open = |_| {
        let mut connection = TcpStream::connect(to).expect("a connection");
        let mut answer = [0; MESSAGE];
        connection.write_all(&[1; MESSAGE]).expect("asked");
        connection.read_exact(&mut answer).expect("answered");
        assert_eq!(answer, [1; MESSAGE]);
        connection
    };
    let connections: Vec<_> = (0..connections).map(open).collect();
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    drop(connections);
}
