//! SIGUSR2: a new process takes the place of the one that runs, under load.

use super::setup::{PATIENCE, ask, connect, named, named_udp, read, until};
use super::skip::skip;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Generations of a proxy, each started by the one before; all say what they do on one stream.
struct Generations {
    process: Pid,
    heard: Receiver<String>,
    /// What was heard and not asked for.
    before: Vec<String>,
}

impl Generations {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.arg("proxy").args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (told, heard) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        let process = Pid::from_child(&child);
        // Whoever it is that ends last, nobody is left to be waited for.
        thread::spawn(move || child.wait());
        Self { process, heard, before: Vec::new() }
    }

    /// The first line with this in it that was not asked for yet.
    fn line(&mut self, part: &str) -> String {
        if let Some(at) = self.before.iter().position(|line| line.contains(part)) {
            return self.before.remove(at);
        }
        loop {
            match self.heard.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => self.before.push(line),
                Err(_) => panic!("no line with {part}: {:#?}", self.before),
            }
        }
    }

    fn address(&mut self, kind: &str) -> SocketAddr {
        loop {
            let line = self.line(&format!("listening on {kind} "));
            if let Ok(address) = line.rsplit(' ').next().unwrap_or_default().parse() {
                return address;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.process, signal).unwrap();
    }

    /// Has a new process take over.
    fn upgrade(&mut self) {
        self.signal(Signal::USR2);
        let line = self.line("has taken over");
        let number = line.split_whitespace().find_map(|word| word.parse().ok()).expect(&line);
        self.process = Pid::from_raw(number).unwrap();
    }
}

impl Drop for Generations {
    fn drop(&mut self) {
        let _ = kill_process(self.process, Signal::KILL);
    }
}

fn exchange(socket: &UdpSocket) -> String {
    let mut bytes = [0; 16];
    socket.send(b"?").unwrap();
    let length = socket.recv(&mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A configuration of TCP, UDP and a path; `range` has ports of its own address.
fn write(file: &Path, directory: &Path, servers: [SocketAddr; 2], more: &str) {
    let [tcp, udp] = servers;
    let text = format!(
        r#"
        timeouts.drain = "60s"
        admin.listen = "127.0.0.1:0"
        [upstream]
        a.servers = ["{tcp}"]
        c.servers = ["{udp}"]
        [[listener]]
        bind = ["127.0.0.1:tcp/0", "unix:{path}"]
        to = "a"
        [[listener]]
        bind = ["127.0.0.1:udp/0"]
        to = "c"
        {more}
        "#,
        path = directory.join("x").display()
    );
    std::fs::write(file, text).unwrap();
}

/// A server whose answer tells the port that it was asked from.
fn port_teller() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((_, from)) = socket.recv_from(&mut [0; 2048]) {
            let _ = socket.send_to(from.port().to_string().as_bytes(), from);
        }
    });
    address
}

#[test]
fn under_load_nobody_is_refused_and_nothing_breaks() {
    const GENERATIONS: usize = 4;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    let range = "[[listener]]\nname = \"range\"\nbind = [\"127.88.9.1:tcp/21000-21099\"]\nto = \"a\"";
    write(&file, directory.path(), [named("a"), port_teller()], range);
    let mut proxy = Generations::start(&["--config", file.to_str().unwrap()], &[]);
    let (tcp, udp) = (proxy.address("tcp"), proxy.address("udp"));
    let admin = proxy.line("http://");
    let admin: SocketAddr = admin.rsplit('/').next().unwrap().parse().unwrap();
    proxy.line("at work");
    let mut long: Vec<_> = (0..200).map(|_| connect(tcp)).collect();
    for stream in &mut long {
        assert_eq!(read(stream, 1), "a");
    }
    let sessions: Vec<_> = (0..200).map(|_| client(udp)).collect();
    let ports: Vec<_> = sessions.iter().map(exchange).collect();
    let (stop, served, answered) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (pings, path) = (AtomicU64::new(0), directory.path().join("x"));
    let open = || !stop.load(Ordering::Relaxed);
    thread::scope(|scope| {
        for place in [tcp, "127.88.9.1:21077".parse().unwrap()] {
            let (served, open) = (&served, &open);
            scope.spawn(move || {
                while open() {
                    assert_eq!(ask(place, b"", 1), "a");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while open() {
                let mut stream = UnixStream::connect(&path).expect("the path is there all the time");
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                assert_eq!(&byte, b"a");
            }
        });
        // One that sends all the time: each datagram is answered, none is lost.
        scope.spawn(|| {
            let socket = client(udp);
            let port = exchange(&socket);
            while open() {
                assert_eq!(exchange(&socket), port);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        // And one on a long connection.
        scope.spawn(|| {
            let mut stream = connect(tcp);
            assert_eq!(read(&mut stream, 1), "a");
            while open() {
                stream.write_all(b"ping").unwrap();
                assert_eq!(read(&mut stream, 4), "ping");
                pings.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..GENERATIONS {
            let before = [&served, &answered, &pings].map(|count| count.load(Ordering::Relaxed));
            proxy.upgrade();
            until("all go on", || {
                let now = [&served, &answered, &pings].map(|count| count.load(Ordering::Relaxed));
                now.iter().zip(before).all(|(now, before)| *now > before + 20)
            });
            assert!(TcpStream::connect(admin).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
    });
    for stream in &mut long {
        stream.write_all(b"on").unwrap();
        assert_eq!(read(stream, 2), "on");
    }
    for (session, port) in sessions.iter().zip(&ports) {
        assert_eq!(&exchange(session), port, "the server sees the same session");
    }
    // The generations before end with their connections, and the path is the last one's.
    drop(long);
    for _ in 0..GENERATIONS {
        proxy.line("accepted = ");
    }
    assert!(UnixStream::connect(&path).is_ok());
    proxy.signal(Signal::TERM);
    assert!(!proxy.line("accepted = ").contains("failed"));
    until("the path is gone", || !path.exists());
}

#[test]
fn what_the_configuration_no_longer_has_ends_with_its_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    let servers = [named("a"), port_teller()];
    let more = "[[listener]]\nname = \"more\"\nbind = [\"[::1]:udp/0\", \"[::1]:tcp/0\"]\nto = \"MORE\""
        .replace("MORE", "d");
    let with = more.clone() + &format!("\n[upstream.d]\nservers = [\"{}\"]", named_udp("d"));
    write(&file, directory.path(), servers, &with);
    let mut proxy = Generations::start(&["--config", file.to_str().unwrap()], &[]);
    let tcp = proxy.address("tcp");
    let udp = proxy.address("udp");
    let more = proxy.address("udp");
    let more_tcp = proxy.address("tcp");
    proxy.line("at work");
    let (session, other) = (client(udp), UdpSocket::bind("[::1]:0").unwrap());
    other.connect(more).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = exchange(&session);
    assert_eq!(exchange(&other), "d?");
    write(&file, directory.path(), servers, "");
    for _ in 0..2 {
        proxy.upgrade();
        assert_eq!(ask(tcp, b"", 1), "a");
        assert_eq!(exchange(&session), port);
        assert_eq!(exchange(&other), "d?", "a session at a place that is gone, with a server that is gone");
        until("it is closed", || TcpStream::connect(more_tcp).is_err());
    }
    proxy.signal(Signal::TERM);
}

#[test]
fn what_was_counted_and_known_of_servers_goes_on() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    let text = format!(
        r#"
        admin.listen = "127.0.0.1:0"
        cores = [0]
        [upstream.a]
        servers = ["{}", "{gone}"]
        eject = {{ failures = 2, for = "1h" }}
        [[listener]]
        bind = ["127.0.0.1:tcp/0"]
        to = "a"
        "#,
        named("a")
    );
    std::fs::write(&file, text).unwrap();
    let mut proxy = Generations::start(&["--config", file.to_str().unwrap()], &[]);
    let tcp = proxy.address("tcp");
    let admin = proxy.line("http://");
    let admin: SocketAddr = admin.rsplit('/').next().unwrap().parse().unwrap();
    proxy.line("at work");
    let status = || -> serde_json::Value {
        let answer = ask(admin, b"GET /status HTTP/1.0\r\n\r\n", usize::MAX);
        serde_json::from_str(answer.split_once("\r\n\r\n").expect("a head").1).unwrap()
    };
    let mut long = connect(tcp);
    assert_eq!(read(&mut long, 1), "a");
    for _ in 0..9 {
        assert_eq!(ask(tcp, b"", 1), "a");
    }
    until("they have ended", || status()["connections_open"] == 1);
    for generation in 1..3 {
        let before = status();
        let upstream = before["upstreams"][0]["servers"].clone();
        assert!(upstream[1]["ejected"] == true && upstream[1]["failed"] == 2, "{upstream}");
        proxy.upgrade();
        let now = status();
        let totals = &now["totals"];
        assert_eq!(totals["tcp"], before["totals"]["tcp"]);
        assert_eq!((&totals["ended"]["left_behind"], &now["connections_open"]), (&1.into(), &0.into()));
        let servers = &now["upstreams"][0]["servers"];
        assert_eq!((&servers[1], &servers[0]["chosen"]), (&upstream[1], &upstream[0]["chosen"]));
        assert_eq!(ask(tcp, b"", 1), "a");
        until("it has ended", || status()["totals"]["ended"]["complete"].as_u64() >= Some(9 + generation));
        assert_eq!(status()["totals"]["tcp"]["accepted"], 10 + generation);
    }
    long.write_all(b"on").unwrap();
    assert_eq!(read(&mut long, 2), "on");
    proxy.signal(Signal::TERM);
}

/// Those whose server has answered are known as such to the new process.
#[test]
fn sessions_that_were_answered_stay_in_a_flood_after_an_upgrade() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    let text = format!(
        r#"
        cores = [0]
        limits.sessions = 3
        upstream.a.servers = ["{}"]
        [[listener]]
        bind = ["127.0.0.1:udp/0"]
        to = "a"
        "#,
        server.local_addr().unwrap()
    );
    std::fs::write(&file, text).unwrap();
    // It answers one client only, with the port that it was asked from.
    thread::spawn(move || {
        let mut bytes = [0; 16];
        while let Ok((length, from)) = server.recv_from(&mut bytes) {
            if &bytes[..length] == b"?" {
                let _ = server.send_to(from.port().to_string().as_bytes(), from);
            }
        }
    });
    let mut proxy = Generations::start(&["--config", file.to_str().unwrap()], &[]);
    let udp = proxy.address("udp");
    proxy.line("at work");
    let known = client(udp);
    let port = exchange(&known);
    proxy.upgrade();
    let flood: Vec<_> = (0..20).map(|_| client(udp)).collect();
    for client in &flood {
        client.send(b"false").unwrap();
    }
    assert_eq!(exchange(&known), port, "it is the same session");
    proxy.signal(Signal::TERM);
    let account = proxy.line("udp: 22 sessions");
    assert!(account.contains(" 18 evicted "), "{account}");
}

#[test]
fn who_waits_when_it_is_to_end_is_served() {
    let listen = format!("127.0.0.1:tcp/0={}", named("a"));
    for _ in 0..10 {
        let mut proxy = Generations::start(&["--listen", &listen, "--cores", "0", "--drain", "10s"], &[]);
        let tcp = proxy.address("tcp");
        proxy.line("at work");
        proxy.signal(Signal::STOP);
        // The kernel connects them; nobody takes them in.
        let mut clients: Vec<_> = (0..100).map(|_| connect(tcp)).collect();
        proxy.signal(Signal::TERM);
        proxy.signal(Signal::CONT);
        for client in &mut clients {
            assert_eq!(read(client, 1), "a");
        }
        assert!(TcpStream::connect(tcp).is_err(), "nobody else is taken in");
        drop(clients);
        assert!(proxy.line("accepted = ").contains("100 accepted"));
    }
}

#[test]
fn a_new_process_that_does_not_come_to_work_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    let servers = [named("a"), port_teller()];
    write(&file, directory.path(), servers, "");
    let mut proxy = Generations::start(&["--config", file.to_str().unwrap()], &[]);
    let (tcp, udp) = (proxy.address("tcp"), proxy.address("udp"));
    proxy.line("at work");
    let session = client(udp);
    let port = exchange(&session);
    std::fs::write(&file, "nonsense").unwrap();
    proxy.signal(Signal::USR2);
    proxy.line("line 1");
    let line = proxy.line("not handed over");
    assert!(line.ends_with("the new process ended before it was at work"), "{line}");
    assert_eq!((ask(tcp, b"", 1), exchange(&session)), ("a".to_owned(), port.clone()));
    // And when it is mended:
    write(&file, directory.path(), servers, "");
    proxy.upgrade();
    assert_eq!((ask(tcp, b"", 1), exchange(&session)), ("a".to_owned(), port));
    proxy.signal(Signal::TERM);
}

#[test]
fn a_service_manager_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let manager = std::os::unix::net::UnixDatagram::bind(directory.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("a state");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let listen = format!("127.0.0.1:tcp/0={}", named("a"));
    let at = directory.path().join("notify");
    let mut proxy = Generations::start(&["--listen", &listen], &[("NOTIFY_SOCKET", at.to_str().unwrap())]);
    assert_eq!(told(), "READY=1");
    proxy.upgrade();
    let mut states = [told(), told()];
    states.sort();
    assert_eq!(states, [format!("MAINPID={}", proxy.process.as_raw_nonzero()), "READY=1".to_owned()]);
    thread::sleep(Duration::from_millis(10));
    proxy.signal(Signal::TERM);
    assert_eq!(told(), "STOPPING=1");
}

#[test]
fn sockets_of_a_service_manager_are_taken_and_handed_on() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp_at, udp_at) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    // The numbers and the process are those of sd_listen_fds(3): two descriptors from 3 on.
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_wharf"));
    command.args(["proxy", "--listen", &format!("fd:web={}", named("a"))]);
    command.args(["--listen", &format!("fd:dns={}", port_teller()), "--drain", "1s"]);
    command.envs([("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:dns")]);
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(tcp)));
    command.stdout(Stdio::from(std::os::fd::OwnedFd::from(udp)));
    let mut proxy = Generations::run(command);
    assert_eq!((proxy.address("tcp"), proxy.address("udp")), (tcp_at, udp_at));
    proxy.line("at work");
    let session = client(udp_at);
    let port = exchange(&session);
    for _ in 0..2 {
        assert_eq!((ask(tcp_at, b"", 1), exchange(&session)), ("a".to_owned(), port.clone()));
        proxy.upgrade();
    }
    assert_eq!((ask(tcp_at, b"", 1), exchange(&session)), ("a".to_owned(), port));
    proxy.signal(Signal::TERM);
    proxy.line("accepted = ");
    let without = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["proxy", "--listen", "fd:web=127.0.0.1:1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&without.stderr);
    assert!(said.contains("no socket was handed over (LISTEN_FDS)"), "{said}");
}

#[test]
fn privileges_are_gone_and_the_port_is_kept() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if !rustix::process::geteuid().is_root() {
        return skip("-Z needs root");
    }
    // The account must be able to run it.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("wharf");
    // By another process: what this one writes is busy as long as a child that another test starts has it open.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_wharf")).arg(&program).status().unwrap().success());
    let mut command = Command::new(&program);
    // A port that only root may bind, at an address of its own; and one that a later process could not.
    let at: SocketAddr = "127.88.9.7:89".parse().unwrap();
    let (file, logs) = (directory.path().join("proxy.toml"), directory.path().join("logs"));
    let log = logs.join("access");
    let text = format!(
        "log.access = \"{}\"\ntimeouts.drain = \"1s\"\nupstream.a.servers = [\"{}\"]\n[[listener]]\nbind = [\"127.88.9.7:tcp/89\"]\nto = \"a\"\n",
        log.display(),
        named("a")
    );
    std::fs::write(&file, text).unwrap();
    let nobody = wharf::sys::privileges::User::named("nobody").unwrap();
    std::fs::create_dir(&logs).unwrap();
    std::os::unix::fs::chown(&logs, Some(nobody.uid), Some(nobody.gid)).unwrap();
    command.arg("proxy").arg("--config").arg(&file).args(["-Z", "nobody"]).stdin(Stdio::null());
    let mut proxy = Generations::run(command);
    proxy.line("at work");
    // The log is the user's: moved away and not, it can be opened anew.
    let is_theirs = || std::fs::metadata(&log).is_ok_and(|found| found.uid() == nobody.uid);
    assert!(is_theirs());
    proxy.signal(Signal::HUP);
    proxy.line("is in force");
    std::fs::rename(&log, logs.join("access.1")).unwrap();
    proxy.signal(Signal::HUP);
    proxy.line("is in force");
    until("it is opened anew", is_theirs);
    for _ in 0..2 {
        let id = proxy.process.as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let field = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(!field("Uid:").split_whitespace().any(|word| word == "0"), "{}", field("Uid:"));
        assert!(
            field("CapEff:").ends_with("0000000000000000") && field("CapPrm:").ends_with("0000000000000000")
        );
        assert_eq!(ask(at, b"", 1), "a");
        proxy.upgrade();
    }
    assert_eq!(ask(at, b"", 1), "a");
    proxy.signal(Signal::TERM);
}
