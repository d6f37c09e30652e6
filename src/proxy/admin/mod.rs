//! The admin address: metrics and status over HTTP/1, on a thread of its own.
//!
//! | path | what |
//! | --- | --- |
//! | `/metrics` | for Prometheus |
//! | `/status` | a [`Status`] as JSON |
//! | `/health` | 200 while clients are taken, 503 while draining |
//!
//! One request a connection, and one connection after the other, each within two seconds: it is for a scraper and an
//! operator, not for clients. There is no access control but the address.

mod metrics;
mod process;

use super::status::Status;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// For a whole request and its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request's head.
const HEAD: usize = 8 << 10;

/// The thread that answers, once it is told to [begin](Self::begin). It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Answers {
    begun: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Answers {
    pub(super) fn start(
        listener: TcpListener,
        status: impl Fn() -> Status + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        listener.set_nonblocking(true)?;
        let mut poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Token(1))?;
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), Token(0), Interest::READABLE)?;
        let (begun, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (has_begun, stopped) = (Arc::clone(&begun), Arc::clone(&stop));
        let run = move || {
            let mut events = Events::with_capacity(4);
            while !stopped.load(Ordering::Relaxed) {
                // Interrupted or not: whoever waits is answered.
                let _ = poll.poll(&mut events, Some(Duration::from_secs(1)));
                while has_begun.load(Ordering::Relaxed)
                    && !stopped.load(Ordering::Relaxed)
                    && let Ok((stream, _)) = listener.accept()
                {
                    // What a scraper does wrong is its own affair.
                    let _ = answer(stream, &status);
                }
            }
        };
        let thread = std::thread::Builder::new().name("wharf-admin".to_owned()).spawn(run)?;
        Ok((Self { begun, stop, waker }, thread))
    }

    /// Whoever comes, or waits already, is answered from now on.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
        // At the latest it looks a second from now.
        let _ = self.waker.wake();
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.waker.wake();
    }
}

/// Reads a request and answers it.
fn answer(mut stream: TcpStream, status: &impl Fn() -> Status) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let end = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > HEAD {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => head.extend_from_slice(&buffer[..length]),
        }
    }
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    stream.write_all(&response(line, status))
}

/// The whole answer to a request line.
fn response(line: &str, status: &impl Fn() -> Status) -> Vec<u8> {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let plain = "text/plain; charset=utf-8";
    let (code, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => {
            ("200 OK", metrics::CONTENT_TYPE, metrics::text(&status()) + &process::text())
        }
        ("GET" | "HEAD", "/status") => {
            let json = serde_json::to_string_pretty(&status()).unwrap_or_default();
            ("200 OK", "application/json", json + "\n")
        }
        ("GET" | "HEAD", "/health") if status().draining => {
            ("503 Service Unavailable", plain, "draining\n".into())
        }
        ("GET" | "HEAD", "/health") => ("200 OK", plain, "ok\n".into()),
        ("GET" | "HEAD", _) => ("404 Not Found", plain, "there is /metrics, /status and /health\n".into()),
        _ => ("405 Method Not Allowed", plain, "only GET and HEAD\n".into()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    let body = if method == "HEAD" { String::new() } else { body };
    (head + &body).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::counters::Totals;
    use super::super::status::{RouteStatus, ServerStatus, UpstreamStatus};
    use super::*;
    use std::collections::HashSet;

    fn status(draining: bool) -> Status {
        let mut totals = Totals::default();
        totals.tcp.accepted = 7;
        totals.ended.complete = 5;
        totals.udp.unreachable = 3;
        let server = ServerStatus {
            name: "a\"b".to_owned(),
            address: "192.0.2.1:80".to_owned(),
            weight: 1,
            healthy: false,
            ejected: true,
            draining: false,
            active: 2,
            chosen: 7,
            failed: 1,
        };
        Status {
            version: "0",
            uptime_seconds: 3,
            draining,
            workers: 2,
            connections_open: totals.open(),
            sessions_open: 0,
            totals,
            datagrams_lost: 0,
            uncounted_clients: 0,
            log_written: 0,
            log_dropped: 0,
            routes: vec![RouteStatus {
                transport: "tcp",
                listener: "front".to_owned(),
                route: "all".to_owned(),
                upstream: "web".to_owned(),
                ended: 4,
                bytes_up: 5,
                bytes_down: 6,
            }],
            upstreams: vec![UpstreamStatus { name: "web".to_owned(), servers: vec![server] }],
        }
    }

    fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    }

    /// Each sample stands behind the type of its family, each family is there once, each line of samples, too, and what counts up
    /// is called a total.
    fn is_in_the_format(text: &str) {
        let (mut family, mut families, mut samples) = (String::new(), HashSet::new(), HashSet::new());
        for line in text.lines() {
            let mut words = line.split(' ');
            match (words.next().unwrap(), words.next().unwrap_or_default()) {
                ("#", "HELP") => {}
                ("#", "TYPE") => {
                    family = words.next().expect(line).to_owned();
                    assert!(families.insert(family.clone()), "twice: {line}");
                    let kind = words.next().expect(line);
                    assert_eq!(family.ends_with("_total"), kind == "counter", "{line}");
                }
                _ => {
                    let (sample, value) = line.rsplit_once(' ').expect(line);
                    assert!(value.parse::<f64>().is_ok(), "{line}");
                    assert_eq!(sample.split('{').next(), Some(&*family), "{line}");
                    assert!(samples.insert(sample.to_owned()), "twice: {line}");
                }
            }
        }
        assert!(families.len() > 20 && text.ends_with('\n'));
    }

    #[test]
    fn each_path_has_its_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, thread) = Answers::start(listener, || status(false)).unwrap();
        // Until it is told to, another process answers.
        let mut early = TcpStream::connect(address).unwrap();
        early.write_all(b"GET /health HTTP/1.1\r\n\r\n").unwrap();
        early.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(early.read(&mut [0]).is_err());
        answers.begin();
        early.set_read_timeout(Some(PATIENCE * 5)).unwrap();
        assert_eq!(early.read(&mut [0]).unwrap(), 1);
        let get = |path: &str| ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let metrics = get("/metrics?x=1");
        for line in [
            "# TYPE wharf_proxy_connections_accepted_total counter",
            "wharf_proxy_connections_accepted_total 7",
            "wharf_proxy_connections_open 2",
            "wharf_proxy_connections_ended_total{reason=\"complete\"} 5",
            "wharf_proxy_bytes_total{transport=\"udp\",direction=\"down\"} 0",
            "wharf_proxy_icmp_unreachable_total 3",
            "wharf_proxy_build_info{version=\"0\"} 1",
            "wharf_proxy_route_ended_total{transport=\"tcp\",listener=\"front\",route=\"all\",upstream=\"web\"} 4",
            "wharf_proxy_route_bytes_total{transport=\"tcp\",listener=\"front\",route=\"all\",upstream=\"web\",direction=\"down\"} 6",
            "# TYPE process_open_fds gauge",
            "wharf_proxy_server_up{upstream=\"web\",server=\"a\\\"b\"} 0",
            "wharf_proxy_server_ejected{upstream=\"web\",server=\"a\\\"b\"} 1",
        ] {
            assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
        }
        let (head, body) = metrics.split_once("\r\n\r\n").unwrap();
        is_in_the_format(body);
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        let json = get("/status");
        let json: serde_json::Value = serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(json["totals"]["tcp"]["accepted"], 7);
        assert_eq!(json["upstreams"][0]["servers"][0]["active"], 2);
        assert!(get("/health").starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(get("/").starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert!(ask(address, "HEAD /health HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
        // One that says nothing holds nobody up for long.
        let silent = TcpStream::connect(address).unwrap();
        assert!(get("/health").ends_with("ok\n"));
        drop((silent, answers));
        thread.join().unwrap();
        let draining = response("GET /health HTTP/1.1", &|| status(true));
        assert!(draining.starts_with(b"HTTP/1.1 503 "));
    }

    #[test]
    fn a_request_without_end_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, _thread) = Answers::start(listener, || status(false)).unwrap();
        answers.begin();
        let mut stream = TcpStream::connect(address).unwrap();
        let began = Instant::now();
        // It may be cut while we write.
        let _ = (0..100).try_for_each(|_| stream.write_all(&[b'x'; 1000]));
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() && began.elapsed() < Duration::from_secs(20));
    }
}
