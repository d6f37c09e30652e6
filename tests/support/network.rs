//! Captures and senders in a laboratory network.

use std::fs;
use std::io;
use std::time::{Duration, Instant};
use wharf::frame::{Frame, Record};
use wharf::source::packet::{Capture, Options};
use wharf::source::{Error, Fill, Source};
use wharf::sys::lab::{Host, Lab};
use wharf::sys::link;
use wharf::sys::packet_socket::{Mode, PacketSocket};

/// A test that waits longer than this is stuck.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Two hosts whose wire nothing disturbs.
pub(crate) fn quiet_lab() -> Lab {
    Lab::new().and_then(Lab::with_static_neighbours).expect("a laboratory")
}

/// Opens a capture inside a host.
pub(crate) fn open(host: &Host, options: Options) -> Result<Capture, Error> {
    host.namespace.run(|| Ok(options.open())).expect("inside the namespace")
}

/// A capture of the host's wire.
pub(crate) fn capture(host: &Host) -> Capture {
    open(host, Capture::on(host.interface)).expect("a capture")
}

/// A socket that sends frames on the host's wire.
pub(crate) fn sender(host: &Host) -> PacketSocket {
    host.namespace
        .run(|| {
            let socket = PacketSocket::open(Mode::Raw)?;
            socket.bind(link::index_of(host.interface)?, 0)?;
            Ok(socket)
        })
        .expect("a sender")
}

/// Sends, waiting while the queue is full.
pub(crate) fn send(socket: &PacketSocket, frame: &[u8]) {
    loop {
        match socket.send(frame) {
            Ok(sent) => return assert_eq!(sent, frame.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(105) => std::thread::yield_now(),
            Err(error) => panic!("send: {error}"),
        }
    }
}

/// Reads on until the source ends; every frame goes to `each`.
pub(crate) fn read_to_end(capture: &mut Capture, mut each: impl FnMut(Frame<'_>)) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        match capture.fill(256)? {
            Fill::Batch(batch) => batch.frames().for_each(&mut each),
            Fill::Idle => assert!(begun.elapsed() < LIMIT, "the source does not end"),
            Fill::End => return Ok(()),
        }
    }
}

/// Stops the capture and gives all it had, the frames and what is known of them.
pub(crate) fn stop_and_collect(capture: &mut Capture) -> Vec<(Vec<u8>, Record)> {
    capture.stop().expect("stop");
    let mut frames = Vec::new();
    read_to_end(capture, |frame| frames.push((frame.data.to_vec(), frame.record))).expect("an orderly end");
    frames
}

/// Packets a host's interface has received and sent, and dropped in either direction, as the device counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceCounters {
    pub(crate) received: u64,
    pub(crate) received_dropped: u64,
    pub(crate) sent: u64,
    pub(crate) sent_dropped: u64,
}

pub(crate) fn device_counters(host: &Host) -> DeviceCounters {
    let table = host.namespace.run(|| fs::read_to_string("/proc/thread-self/net/dev")).expect("net/dev");
    let line = table.lines().find_map(|line| line.trim().strip_prefix(host.interface)?.strip_prefix(':'));
    let numbers: Vec<u64> =
        line.expect("the interface").split_whitespace().map(|word| word.parse().expect("a number")).collect();
    DeviceCounters {
        received: numbers[1],
        received_dropped: numbers[3],
        sent: numbers[9],
        sent_dropped: numbers[11],
    }
}
