//! A line of JSON for every connection and session that ended.
//!
//! A worker hands over a [`Record`] and goes on: lines are made and written on a thread of their own, behind a queue of bounded
//! length. When that is full, since the disk or whoever reads is too slow, records are dropped, and counted
//! ([`AccessLog::dropped`]); so are those that cannot be written.

use super::config::Transport;
use super::upstream::Server;
use crate::sys::tcp_info::TcpInfo;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Records that may wait.
const QUEUE: usize = 8_192;
/// Bytes of lines that are written at a time, where more are waiting.
const LINES: usize = 8 << 10;

/// A connection or session that ended.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) transport: Transport,
    /// When it began.
    pub(super) began: SystemTime,
    /// From then to its end.
    pub(super) lasted: Duration,
    /// From its beginning until its server had accepted, in turns of the event loop: 0 where that was the same one.
    pub(super) connected_after: Option<Duration>,
    /// Who connected; `None` through a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// Who the client is by a PROXY header.
    pub(super) client: Option<SocketAddr>,
    /// The listener's name.
    pub(super) listener: Arc<str>,
    /// The route's, and the upstream's, once one was chosen.
    pub(super) route: Option<(Arc<str>, Arc<str>)>,
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
    listener: &'a str,
    route: Option<&'a str>,
    upstream: Option<&'a str>,
    server: Option<&'a str>,
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
            client: self.client.or(self.peer),
            via: self.client.and(self.peer),
            listener: &self.listener,
            route: self.route.as_ref().map(|(route, _)| &**route),
            upstream: self.route.as_ref().map(|(_, upstream)| &**upstream),
            server: self.server.as_ref().map(|server| server.name()),
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

/// A file, and the path it is at, or standard output.
struct Output {
    path: Option<PathBuf>,
    file: Box<dyn Write + Send>,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    /// A part of a line stands at the file's end.
    torn: bool,
}

impl Output {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::over(None, Box::new(io::stdout())));
        }
        let file = Self::file(path)?;
        Ok(Self::over(Some(path.to_owned()), Box::new(file)))
    }

    fn over(path: Option<PathBuf>, file: Box<dyn Write + Send>) -> Self {
        Self { path, file, lines: Vec::with_capacity(2 * LINES), torn: false }
    }

    fn file(path: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(path)
    }

    /// Opens the file anew, whether or not what was to come before can be written to the old one.
    fn reopen(&mut self, counts: &Counts) -> io::Result<()> {
        let flushed = self.flush(counts);
        if let Some(path) = &self.path {
            self.file = Box::new(Self::file(path)?);
            self.torn = false;
        }
        flushed
    }

    fn add(&mut self, record: &Record) {
        // To memory, of what has no map with other keys than text: that cannot fail.
        let _ = serde_json::to_writer(&mut self.lines, &record.line());
        self.lines.push(b'\n');
    }

    /// Writes the lines there are, and counts how many of them were and were not.
    fn flush(&mut self, counts: &Counts) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let result = match std::mem::take(&mut self.torn) {
            true => self.file.write_all(b"\n"),
            false => Ok(()),
        };
        let mut done = 0;
        let result = result.and_then(|()| {
            while done < self.lines.len() {
                match self.file.write(&self.lines[done..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(length) => done += length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.file.flush()
        });
        let ends = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let (written, lost) = self.lines.split_at(done);
        self.torn = written.last().is_some_and(|&byte| byte != b'\n');
        counts.written.fetch_add(ends(written), Relaxed);
        counts.dropped.fetch_add(ends(lost), Relaxed);
        self.lines.clear();
        result
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
mod tests {
    use super::super::upstream::Address;
    use super::*;

    fn record(number: u64) -> Record {
        let address = Address::Ip { address: [192, 0, 2, 1].into(), port: Some(80) };
        Record {
            transport: Transport::Tcp,
            began: UNIX_EPOCH + Duration::from_millis(1_700_000_000_500),
            lasted: Duration::from_millis(1_250),
            connected_after: Some(Duration::from_micros(300)),
            peer: Some(([10, 0, 0, 1], 4_000).into()),
            client: Some(([198, 51, 100, 7], 5_000).into()),
            listener: "front".into(),
            route: Some(("all".into(), "web".into())),
            server: Some(Arc::new(Server::new(address.to_string(), address, Instant::now()))),
            tried: 1,
            bytes: [number, 20],
            reason: "complete",
            tcp: [Some(TcpInfo { rtt: 42, retransmissions: 1, ..TcpInfo::default() }), None],
        }
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[test]
    fn a_record_becomes_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let (log, thread) = AccessLog::start(&path, |error| panic!("{error}")).unwrap();
        log.record(record(10));
        log.record(Record { client: None, route: None, server: None, ..record(11) });
        assert_eq!(log.dropped(), 0);
        drop(log);
        thread.join().unwrap();
        let lines = lines(&path);
        let first = serde_json::json!({
            "time": "2023-11-14T22:13:20.5Z", "transport": "tcp", "client": "198.51.100.7:5000", "via": "10.0.0.1:4000",
            "listener": "front", "route": "all", "upstream": "web", "server": "192.0.2.1:80", "tried_before": 1,
            "reason": "complete", "seconds": 1.25, "connect_seconds": 0.0003, "bytes_up": 10, "bytes_down": 20,
            "client_tcp": {
                "rtt_us": 42, "rtt_deviation_us": 0, "min_rtt_us": 0, "retransmissions": 1,
                "bytes_retransmitted": 0, "bytes_acknowledged": 0, "bytes_received": 0,
            },
        });
        assert_eq!(lines[0], first);
        assert_eq!((&lines[1]["client"], lines[1].get("via")), (&"10.0.0.1:4000".into(), None));
        assert_eq!(
            (&lines[1]["route"], &lines[1]["server"]),
            (&serde_json::Value::Null, &serde_json::Value::Null)
        );
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
        let (log, thread) = AccessLog::start(&path, |error| panic!("{error}")).unwrap();
        log.record(record(1));
        while log.written() == 0 {
            std::thread::yield_now();
        }
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        log.record(record(2));
        drop(log);
        thread.join().unwrap();
        assert_eq!(
            (lines(&moved)[0]["bytes_up"].as_u64(), lines(&path)[0]["bytes_up"].as_u64()),
            (Some(1), Some(2))
        );
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_once() {
        let errors = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&errors);
        let failed = move |_: &io::Error| {
            told.fetch_add(1, Relaxed);
        };
        // Every write fails: no space is left.
        let (log, thread) = AccessLog::start(Path::new("/dev/full"), failed).unwrap();
        for number in 0..100 {
            log.record(record(number));
            std::thread::sleep(Duration::from_millis(1));
        }
        let counts = Arc::clone(&log.counts);
        drop(log);
        thread.join().unwrap();
        let (written, dropped) = (counts.written.load(Relaxed), counts.dropped.load(Relaxed));
        assert_eq!((written, dropped), (0, 100));
        assert!(errors.load(Relaxed) >= 1);
        assert!(AccessLog::start(Path::new("/nowhere/log"), |_| ()).is_err());
    }

    /// What there is of a line when the disk is full.
    #[test]
    fn what_was_written_in_part_is_counted_line_by_line() {
        struct Full(Vec<u8>, usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let length = bytes.len().min(self.1 - self.0.len());
                self.0.extend(&bytes[..length]);
                if length == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(length) }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let counts = Counts::default();
        let mut output = Output::over(None, Box::new(io::sink()));
        output.add(&record(1));
        let length = output.lines.len();
        output.file = Box::new(Full(Vec::new(), 2 * length + 9));
        (0..3).for_each(|_| output.add(&record(1)));
        assert!(output.flush(&counts).is_err());
        assert_eq!((counts.written.load(Relaxed), counts.dropped.load(Relaxed), output.torn), (2, 2, true));
        // The next line is one by itself.
        let (mut end, file) = io::pipe().unwrap();
        output.file = Box::new(file);
        output.add(&record(1));
        output.flush(&counts).unwrap();
        drop(output);
        let mut text = String::new();
        io::Read::read_to_string(&mut end, &mut text).unwrap();
        assert!(text.starts_with('\n') && text.len() == length + 1, "{text:?}");
        assert_eq!(counts.written.load(Relaxed), 3);
    }

    /// Nobody reads: a pipe fills up, then the queue, and then records are dropped while their makers go on.
    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, records) = bounded(2);
        let log = AccessLog { queue, counts: Arc::default() };
        (0..5).for_each(|number| log.record(record(number)));
        assert_eq!((records.len(), log.dropped()), (2, 3));
        // Nor does that keep the file from being opened anew, or a disk on which there is no room.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut output = Output::open(Path::new("/dev/full")).unwrap();
        output.path = Some(path.clone());
        output.add(&record(5));
        log.reopen();
        let counts = Arc::clone(&log.counts);
        drop(log);
        write(output, &records, &counts, |_| ());
        assert_eq!(lines(&path).len(), 2);
        assert_eq!((counts.written.load(Relaxed), counts.dropped.load(Relaxed)), (2, 4));
    }
}
