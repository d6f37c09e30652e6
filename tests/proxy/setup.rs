//! Proxies, servers and clients for the tests.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wharf::proxy::config::{Config, Listener, Server, Timeouts, Upstream};
use wharf::proxy::{ListenPlace, Proxy, Running};

/// Longest wait for anything that should come soon, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration with one listener, which goes to these servers.
pub(crate) fn config(listen: &str, servers: &[String]) -> Config {
    let servers = servers.iter().map(|server| Server::at(server.parse().expect(server))).collect();
    Config {
        listeners: vec![Listener::on(listen.parse().expect(listen), 0)],
        upstreams: vec![Upstream { servers, ..Upstream::default() }],
        timeouts: Timeouts { drain: Duration::from_secs(1), ..Timeouts::default() },
        ..Config::default()
    }
}

/// Starts it; tells its first address.
pub(crate) fn start(config: &Config) -> (Running, SocketAddr) {
    let proxy = Proxy::bind(config).expect("bound");
    let Some((_, ListenPlace::Internet(address))) = proxy.places().next() else { panic!("no address") };
    let mut address = *address;
    if address.ip().is_unspecified() {
        // Where `[::]` was asked for it is IPv6 alone.
        address.set_ip(match address.is_ipv6() {
            true => Ipv6Addr::LOCALHOST.into(),
            false => Ipv4Addr::LOCALHOST.into(),
        });
    }
    (proxy.start().expect("started"), address)
}

/// A proxy on a port of its own before one server.
pub(crate) fn before(server: SocketAddr) -> (Running, SocketAddr) {
    start(&config("127.0.0.1:tcp/0", &[server.to_string()]))
}

/// A proxy and both ends of a connection through it.
pub(crate) fn pair() -> (Running, TcpStream, TcpStream) {
    let listener = listen();
    let (proxy, address) = before(listener.local_addr().unwrap());
    let client = connect(address);
    let server = accept(&listener);
    (proxy, client, server)
}

pub(crate) fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // Room for as many as a test opens at once: of those beyond, the kernel drops some that say nothing for good.
    rustix::net::listen(&listener, 4096).expect("room");
    listener
}

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(to).expect("connected");
    patient(connection)
}

pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    patient(listener.accept().expect("accepted").0)
}

fn patient(connection: TcpStream) -> TcpStream {
    connection.set_read_timeout(Some(PATIENCE)).expect("an option");
    connection.set_write_timeout(Some(PATIENCE)).expect("an option");
    connection
}

/// Has a close be a reset.
pub(crate) fn reset(connection: TcpStream) {
    let socket = socket2::SockRef::from(&connection);
    socket.set_linger(Some(Duration::ZERO)).expect("an option");
}

/// A server that gives each connection to `serve`, in a thread of its own, for as long as the process lives.
pub(crate) fn serve(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    serve_on(listen(), serve)
}

/// The same at a port.
pub(crate) fn serve_at(at: &str, serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    serve_on(TcpListener::bind(at).expect(at), serve)
}

fn serve_on(listener: TcpListener, serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (connection, serve) = (patient(connection.expect("accepted")), serve.clone());
            thread::spawn(move || serve(connection));
        }
    });
    address
}

/// A server that echoes until its client has said all.
pub(crate) fn echo() -> SocketAddr {
    serve(|mut connection| {
        let _ = std::io::copy(&mut connection.try_clone().expect("a descriptor"), &mut connection);
    })
}

/// Reads to the end; fails with a reset.
pub(crate) fn read_all(connection: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).map(|_| bytes)
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// `wharf proxy` as a process of its own.
pub(crate) struct Process {
    child: Child,
    /// What it said on standard error before it was at work.
    pub(crate) said: Vec<String>,
    rest: BufReader<std::process::ChildStderr>,
}

/// Starts `wharf proxy` with these arguments and waits until it is at work.
pub(crate) fn command(arguments: &[&str]) -> Process {
    begin(Command::new(env!("CARGO_BIN_EXE_wharf")).arg("proxy").args(arguments))
}

/// The same as a supervisor does it that has opened a socket for it, as `name` (`sd_listen_fds(3)`).
pub(crate) fn activated(socket: OwnedFd, name: &str, arguments: &[&str]) -> Process {
    // Whose process it will be is known in it only.
    let script = format!(
        r#"export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name}; exec "$0" proxy "$@" 3<&0 0</dev/null"#
    );
    let wharf = env!("CARGO_BIN_EXE_wharf");
    begin(Command::new("sh").stdin(socket).args(["-c", &script, wharf]).args(arguments))
}

fn begin(command: &mut Command) -> Process {
    let mut child = command
        .args(["--drain", "1s", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let rest = BufReader::new(child.stderr.take().expect("piped"));
    // Whose end it is, whatever fails from here on.
    let mut process = Process { child, said: Vec::new(), rest };
    loop {
        let mut line = String::new();
        let length = process.rest.read_line(&mut line).expect("read");
        assert!(length > 0, "it ended: {:?}", process.said);
        let done = line.contains("at work");
        process.said.push(line);
        if done {
            return process;
        }
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The port of the first line that names one.
    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.said[0].trim_end();
        line.rsplit(' ').next().and_then(|place| place.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    /// The next line that it says on standard error, which has to come.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.rest.read_line(&mut line).expect("read");
        line
    }

    /// Open descriptors by now.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("a process").count()
    }

    /// Bytes of memory that are the process's alone.
    pub(crate) fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect(line) << 10
    }

    /// Time of a CPU that it took so far, in hundredths of a second (proc(5)).
    pub(crate) fn time(&self) -> Duration {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("a process");
        let fields: Vec<_> = status.rsplit(')').next().expect("a name").split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// Ends it; its account.
    pub(crate) fn end(mut self) -> serde_json::Value {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("a signal");
        let mut account = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut account).expect("an account");
        let mut said = String::new();
        self.rest.read_to_string(&mut said).expect("read");
        let status = self.child.wait().expect("an end");
        assert!(status.success(), "{status}: {said}");
        let account: serde_json::Value =
            serde_json::from_str(&account).unwrap_or_else(|_| panic!("{account}"));
        // What the summary claims: each connection ended in one way.
        let ended: u64 =
            account["ended"].as_object().expect("ends").values().filter_map(|n| n.as_u64()).sum();
        assert_eq!(account["tcp"]["accepted"].as_u64(), Some(ended), "{account}");
        account
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Where a test has failed; otherwise it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
