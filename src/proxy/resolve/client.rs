//! The addresses of a name: from the hosts file, from the host's name servers, or else from the system's resolver.

use super::message::{Answer, Family, answer, question};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// For an answer of one server, each attempt.
const PATIENCE: Duration = Duration::from_secs(2);
/// Attempts at all servers.
const ROUNDS: usize = 2;
/// Bounds of how long addresses are kept: a time of 0 must not keep us asking, and a week not make us blind.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
/// How long what comes without a time is kept: of the hosts file, and of the system's resolver.
pub(super) const WITHOUT_TIME: Duration = Duration::from_secs(30);

/// Where names are looked up.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// `resolv.conf(5)`.
    pub configuration: PathBuf,
    /// `hosts(5)`.
    pub hosts: PathBuf,
    /// Port of the name servers.
    pub port: u16,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { configuration: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into(), port: 53 }
    }
}

/// The addresses of a name, in order, and how long they are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Sorted, each once; at least one.
    pub addresses: Vec<IpAddr>,
    /// The shortest time of the records that gave them, within a second and an hour.
    pub good_for: Duration,
}

impl Resolver {
    /// Looks a name up, and blocks meanwhile, for some 10 s where no server answers. Names with a dot are asked of the
    /// name servers as they are; where these do not know, and for names without a dot, the system's resolver is asked, which
    /// knows search lists and other sources, but gives no time: such addresses are good for 30 s.
    ///
    /// # Errors
    /// Those of the system's resolver; [`io::ErrorKind::NotFound`] when the name has no address.
    pub fn look_up(&self, name: &str) -> io::Result<Found> {
        let from_hosts =
            std::fs::read_to_string(&self.hosts).map(|text| hosts(&text, name)).unwrap_or_default();
        if !from_hosts.is_empty() {
            return Ok(Found { addresses: from_hosts, good_for: WITHOUT_TIME });
        }
        if name.trim_end_matches('.').contains('.')
            && let Some(found) = self.ask(name)
        {
            return Ok(found);
        }
        let addresses = sorted((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect());
        match addresses.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            false => Ok(Found { addresses, good_for: WITHOUT_TIME }),
        }
    }

    /// Asks the name servers for both families; nothing when none of them knows the name.
    fn ask(&self, name: &str) -> Option<Found> {
        let servers = name_servers(&std::fs::read_to_string(&self.configuration).unwrap_or_default());
        let servers: Vec<_> =
            servers.into_iter().map(|address| SocketAddr::new(address, self.port)).collect();
        let (mut addresses, mut good_for) = (Vec::new(), LONGEST);
        for family in [Family::V4, Family::V6] {
            match exchange(&servers, name, family) {
                Some(Answer::Addresses(found, time)) if !found.is_empty() => {
                    addresses.extend(found);
                    good_for = good_for.min(time);
                }
                Some(Answer::Addresses(..)) => {}
                // Half of the addresses would look as if the others had gone.
                _ => return None,
            }
        }
        let good_for = good_for.max(SHORTEST);
        (!addresses.is_empty()).then(|| Found { addresses: sorted(addresses), good_for })
    }
}

fn sorted(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The servers of `resolv.conf(5)`: three at most, and this host's own where there is none.
fn name_servers(text: &str) -> Vec<IpAddr> {
    let words = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    let servers: Vec<_> = text.lines().filter_map(words).take(3).collect();
    if servers.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { servers }
}

/// The addresses that `hosts(5)` has for a name.
fn hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let of_line = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    sorted(text.lines().filter_map(of_line).collect())
}

/// Asks one server after the other until one says something.
fn exchange(servers: &[SocketAddr], name: &str, family: Family) -> Option<Answer> {
    for _ in 0..ROUNDS {
        for server in servers {
            match by_udp(*server, name, family) {
                Ok(Answer::Truncated) => match by_tcp(*server, name, family) {
                    Ok(Answer::Truncated | Answer::Failed) | Err(_) => {}
                    Ok(answer) => return Some(answer),
                },
                // It is out of order: another one may know.
                Ok(Answer::Failed) | Err(_) => {}
                Ok(answer) => return Some(answer),
            }
        }
    }
    None
}

/// An identifier that nobody off the path can guess.
fn identifier() -> u16 {
    RandomState::new().hash_one(Instant::now()) as u16
}

fn by_udp(server: SocketAddr, name: &str, family: Family) -> io::Result<Answer> {
    let id = identifier();
    let question = question(id, name, family).ok_or(io::ErrorKind::InvalidInput)?;
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of the kernel's choice; connected, so that only this server's datagrams come.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(&question)?;
    let end = Instant::now() + PATIENCE;
    let mut bytes = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut bytes)?;
        if let Some(answer) = answer(&bytes[..length], id, name, family) {
            return Ok(answer);
        }
    }
}

/// The same over TCP (RFC 1035 section 4.2.2): a length of two bytes in front of each message.
fn by_tcp(server: SocketAddr, name: &str, family: Family) -> io::Result<Answer> {
    let id = identifier();
    let question = question(id, name, family).ok_or(io::ErrorKind::InvalidInput)?;
    let mut socket = TcpStream::connect_timeout(&server, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    socket.write_all(&[&length.to_be_bytes()[..], &question].concat())?;
    let mut length = [0; 2];
    socket.read_exact(&mut length)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    socket.read_exact(&mut bytes)?;
    answer(&bytes, id, name, family).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{record, reply};
    use super::*;
    use std::net::TcpListener;

    /// A name server on loopback that gives `answers` replies by UDP and TCP, over one resolver's files.
    fn served(
        name_of_server: &str,
        udp: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
        tcp: impl Fn(&[u8]) -> Vec<u8> + Send + 'static,
    ) -> (Resolver, tempfile::TempDir) {
        // A port that is free for both, which takes several tries where other tests take theirs.
        let pair = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let port = socket.local_addr().unwrap().port();
            TcpListener::bind(("127.0.0.1", port)).ok().map(|listener| (socket, port, listener))
        };
        let (socket, port, listener) = (0..100).find_map(|_| pair()).expect("a free port");
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut bytes) {
                for message in udp(&bytes[..length]) {
                    let _ = socket.send_to(&message, client);
                }
            }
        });
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut bytes = [0; 512];
                let Ok(length) = stream.read(&mut bytes) else { continue };
                let message = tcp(&bytes[2..length.max(2)]);
                let _ = stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], &message].concat());
            }
        });
        let directory = tempfile::tempdir().unwrap();
        let (configuration, hosts) = (directory.path().join("resolv.conf"), directory.path().join("hosts"));
        std::fs::write(&configuration, format!("# x\nnameserver {name_of_server}\n")).unwrap();
        std::fs::write(&hosts, "192.0.2.7 in-file.example other # not.this\n::1 in-file.example\n").unwrap();
        (Resolver { configuration, hosts, port }, directory)
    }

    /// Two addresses to a question for IPv4, none to one for IPv6.
    fn two(question: &[u8]) -> Vec<u8> {
        let asks_v4 = question[question.len() - 3] == 1;
        let records: Vec<_> = [2, 1]
            .iter()
            .filter(|_| asks_v4)
            .map(|&last| record("a.example", 1, 40, &[192, 0, 2, last]))
            .collect();
        reply(question, 0, &records)
    }

    fn found(last: &[u8], seconds: u64) -> Found {
        let addresses = last.iter().map(|&last| Ipv4Addr::new(192, 0, 2, last).into()).collect();
        Found { addresses, good_for: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_server_is_asked_and_its_time_kept() {
        let (resolver, _files) = served("127.0.0.1", |question| vec![b"junk".to_vec(), two(question)], two);
        assert_eq!(resolver.look_up("a.example").unwrap(), found(&[1, 2], 40));
    }

    #[test]
    fn what_does_not_fit_is_asked_over_tcp() {
        let (resolver, _files) = served("127.0.0.1", |question| vec![reply(question, 0x200, &[])], two);
        assert_eq!(resolver.look_up("a.example").unwrap(), found(&[1, 2], 40));
    }

    #[test]
    fn the_hosts_file_comes_first() {
        let (resolver, _files) = served("127.0.0.1", |_| Vec::new(), two);
        let addresses = vec!["192.0.2.7".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(
            resolver.look_up("IN-file.example.").unwrap(),
            Found { addresses, good_for: WITHOUT_TIME }
        );
        assert_eq!(resolver.look_up("other").unwrap(), found(&[7], 30));
    }

    #[test]
    fn a_server_out_of_order_leaves_it_to_the_system() {
        let (resolver, _files) = served("127.0.0.1", |question| vec![reply(question, 2, &[])], two);
        // The system knows this one without a server.
        let found = resolver.look_up("127.0.0.9").unwrap();
        assert_eq!(
            found,
            Found { addresses: vec![Ipv4Addr::new(127, 0, 0, 9).into()], good_for: WITHOUT_TIME }
        );
    }

    #[test]
    fn files_are_read_as_the_system_reads_them() {
        let text = "search x\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 x\n#nameserver 192.0.2.9\nnameserver x\nnameserver 1.1.1.1\nnameserver 1.1.1.2";
        let servers: Vec<IpAddr> =
            ["192.0.2.1", "2001:db8::1", "1.1.1.1"].map(|text| text.parse().unwrap()).into();
        assert_eq!(name_servers(text), servers);
        assert_eq!(name_servers(""), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
}
