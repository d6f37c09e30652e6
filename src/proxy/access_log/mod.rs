//! A line of JSON for every connection and session that ended.
//!
//! A worker hands over a [`Record`] and goes on: lines are made and written on a thread of their own, behind a queue of bounded
//! length. When that is full, since the disk or whoever reads is too slow, records are dropped, and counted
//! ([`AccessLog::dropped`]); so are those that cannot be written.
//!
//! | file | what |
//! | --- | --- |
//! | `output` | the file: written, and opened anew |

mod output;

use super::config::Transport;
use super::label::Label;
use super::upstream::Server;
use crate::sys::tcp_info::TcpInfo;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use output::{LINES, Output};
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Records that may wait.
const QUEUE: usize = 8_192;

/// A connection or session that ended.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) transport: Transport,
    /// When it began.
    pub(super) began: SystemTime,
    /// From then to its end.
    pub(super) lasted: Duration,
    /// From when the server was asked until it had accepted, in turns of the event loop: 0 where that was the same one.
    pub(super) connected_after: Option<Duration>,
    /// Who connected; `None` through a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// Who the client is by a PROXY header.
    pub(super) client: Option<SocketAddr>,
    /// Where the client came in; `None` through a Unix socket.
    pub(super) local: Option<SocketAddr>,
    /// The port that counts where the server's is the client's.
    pub(super) port: u16,
    /// The names of where it went.
    pub(super) label: Arc<Label>,
    /// The server that had it, or was tried last.
    pub(super) server: Option<Arc<Server>>,
    /// Servers tried before that one.
    pub(super) tried: usize,
    /// Bytes from the client to the server, and back.
    pub(super) bytes: [u64; 2],
    /// How it ended.
    pub(super) reason: &'static str,
    /// The kernel's view, towards the client and the server.
    pub(super) tcp: [Option<TcpInfo>; 2],
}

/// As it is written.
#[derive(Serialize)]
struct Line<'a> {
    /// UTC, RFC 3339.
    time: String,
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<SocketAddr>,
    /// The proxy in front of us, where a PROXY header told of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<SocketAddr>,
    /// Where it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<SocketAddr>,
    listener: &'a str,
    route: Option<&'a str>,
    upstream: Option<&'a str>,
    server: Option<&'a str>,
    /// Where that is, with the port.
    server_address: Option<String>,
    tried_before: usize,
    reason: &'static str,
    seconds: f64,
    connect_seconds: Option<f64>,
    bytes_up: u64,
    bytes_down: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_tcp: Option<Leg>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tcp: Option<Leg>,
}

/// What the kernel knows of one of the two connections.
#[derive(Serialize)]
struct Leg {
    rtt_us: u32,
    rtt_deviation_us: u32,
    min_rtt_us: u32,
    retransmissions: u32,
    bytes_retransmitted: u64,
    bytes_acknowledged: u64,
    bytes_received: u64,
}

impl From<TcpInfo> for Leg {
    fn from(info: TcpInfo) -> Self {
        Self {
            rtt_us: info.rtt,
            rtt_deviation_us: info.rtt_deviation,
            min_rtt_us: info.min_rtt,
            retransmissions: info.retransmissions,
            bytes_retransmitted: info.bytes_retransmitted,
            bytes_acknowledged: info.bytes_acknowledged,
            bytes_received: info.bytes_received,
        }
    }
}

impl Record {
    fn line(&self) -> Line<'_> {
        let seconds = |time: Duration| time.as_micros() as f64 / 1e6;
        let [client_tcp, server_tcp] = self.tcp.map(|info| info.map(Leg::from));
        Line {
            time: utc(self.began),
            transport: match self.transport {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            },
            client: self.client.or(self.peer).map(canonical),
            via: self.client.and(self.peer).map(canonical),
            local: self.local.map(canonical),
            listener: &self.label.listener,
            route: self.label.route.as_ref().map(|(route, _)| &**route),
            upstream: self.label.route.as_ref().map(|(_, upstream)| &**upstream),
            server: self.server.as_ref().map(|server| server.name()),
            server_address: self.server.as_ref().map(|server| {
                match server.address().socket_address(self.port) {
                    Some(address) => address.to_string(),
                    None => server.address().to_string(),
                }
            }),
            tried_before: self.tried,
            reason: self.reason,
            seconds: seconds(self.lasted),
            connect_seconds: self.connected_after.map(seconds),
            bytes_up: self.bytes[0],
            bytes_down: self.bytes[1],
            client_tcp,
            server_tcp,
        }
    }
}

/// An IPv4 address as such, where it came through a socket for both families.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let microseconds = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(microseconds).unwrap_or_default().to_string()
}

/// What the thread is told.
enum Message {
    Record(Box<Record>),
    /// To look whether the file is to be opened anew.
    Look,
    /// To be told when all before it is written.
    Flush(Sender<()>),
}

/// Where records go. Clones share one queue; the thread ends, with all written, when the last one is dropped.
#[derive(Clone)]
pub(super) struct AccessLog {
    queue: Sender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    /// The file is to be opened anew: no queue is too full for that.
    reopen: AtomicBool,
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl AccessLog {
    /// Opens a file to append to, or `-` for standard output, and starts the thread. `failed` is called there with the first error
    /// of several in a row.
    pub(super) fn start(
        path: &Path,
        failed: impl FnMut(&io::Error) + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let output = Output::open(path)?;
        let (queue, records) = bounded(QUEUE);
        let log = Self { queue, counts: Arc::default() };
        let counts = Arc::clone(&log.counts);
        let thread = std::thread::Builder::new().name("wharf-log".to_owned());
        let thread = thread.spawn(move || write(output, &records, &counts, failed))?;
        Ok((log, thread))
    }

    /// Hands a record over; never waits.
    pub(super) fn record(&self, record: Record) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Message::Record(Box::new(record)))
        {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Has the file opened anew, for the sake of who moved it away.
    pub(super) fn reopen(&self) {
        self.counts.reopen.store(true, Relaxed);
        // Where there is no room for it, there are others that have the thread look.
        let _ = self.queue.try_send(Message::Look);
    }

    /// Waits until what was handed over before is written, though not for ever.
    pub(super) fn flush(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let (done, is_done) = bounded(1);
        if self.queue.send_deadline(Message::Flush(done), end).is_ok() {
            let _ = is_done.recv_deadline(end);
        }
    }

    /// Records written.
    pub(super) fn written(&self) -> u64 {
        self.counts.written.load(Relaxed)
    }

    /// Records dropped: the queue was full, or they could not be written.
    pub(super) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Relaxed)
    }
}

fn write(
    mut output: Output,
    records: &Receiver<Message>,
    counts: &Counts,
    mut failed: impl FnMut(&io::Error),
) {
    let mut well = true;
    while let Ok(message) = records.recv() {
        let mut result = match counts.reopen.swap(false, Relaxed) {
            true => output.reopen(counts),
            false => Ok(()),
        };
        match message {
            Message::Look => {}
            Message::Flush(done) => {
                result = result.and(output.flush(counts));
                let _ = done.send(());
            }
            Message::Record(record) => {
                output.add(&record);
                // When nothing more waits: a line is seen soon, and many are written at once.
                if records.is_empty() || output.lines.len() >= LINES {
                    result = result.and(output.flush(counts));
                }
            }
        }
        if let Err(error) = &result
            && well
        {
            failed(error);
        }
        well = result.is_ok();
    }
    let _ = output.flush(counts);
}

#[cfg(test)]
mod tests;
