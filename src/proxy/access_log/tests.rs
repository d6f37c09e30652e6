//! Lines, and what becomes of those for which there is no room.

use super::super::upstream::Address;
use super::*;
use std::io::Write;

fn label(route: Option<(Arc<str>, Arc<str>)>) -> Arc<Label> {
    Arc::new(Label::new("front".into(), route))
}

fn record(number: u64) -> Record {
    let address = Address::Ip { address: [192, 0, 2, 1].into(), port: None };
    Record {
        transport: Transport::Tcp,
        began: UNIX_EPOCH + Duration::from_millis(1_700_000_000_500),
        lasted: Duration::from_millis(1_250),
        connected_after: Some(Duration::from_micros(300)),
        peer: Some("[::ffff:10.0.0.1]:4000".parse().unwrap()),
        client: Some(([198, 51, 100, 7], 5_000).into()),
        local: Some("[::ffff:10.0.0.9]:443".parse().unwrap()),
        port: 443,
        label: label(Some(("all".into(), "web".into()))),
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
    log.record(Record { client: None, label: label(None), server: None, ..record(11) });
    assert_eq!(log.dropped(), 0);
    drop(log);
    thread.join().unwrap();
    let lines = lines(&path);
    let first = serde_json::json!({
        "time": "2023-11-14T22:13:20.5Z", "transport": "tcp", "client": "198.51.100.7:5000", "via": "10.0.0.1:4000",
        "listener": "front", "route": "all", "upstream": "web", "server": "192.0.2.1",
        "local": "10.0.0.9:443", "server_address": "192.0.2.1:443", "tried_before": 1,
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
    // It stays full for a while.
    output.add(&record(1));
    assert!(output.flush(&counts).is_err());
    assert_eq!((counts.written.load(Relaxed), counts.dropped.load(Relaxed), output.torn), (2, 3, true));
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
