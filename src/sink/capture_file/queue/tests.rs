//! Orders, bounds and failures of the queue.

use super::*;
use crate::frame::{Frame, Interface, LinkType};
use crate::sink::{CaptureFileWriter, CaptureFormat, Rotation, Sink};
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A disk that stands still until it is told to go on, then takes so many bytes before it is full.
struct Disk {
    held: Receiver<()>,
    room: usize,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nobody holds it any more once the other end is gone.
        let _ = self.held.recv();
        let length = bytes.len().min(self.room);
        self.room -= length;
        self.taken.lock().unwrap().extend_from_slice(&bytes[..length]);
        if length == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(length) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const DATA: [u8; 984] = [7; 984];

/// A file of pcap records of 1000 bytes, in pieces of four, of which eight may wait.
fn writer(room: usize) -> (CaptureFileWriter, Sender<()>, Arc<Mutex<Vec<u8>>>) {
    let (go_on, held) = channel();
    let taken = Arc::default();
    let disk = Disk { held, room, taken: Arc::clone(&taken) };
    let options = CaptureFileWriter::options().format(CaptureFormat::Pcap).buffer(4000).queue(8 * 4000);
    (options.write_to(disk, "a disk").unwrap(), go_on, taken)
}

fn write(writer: &mut CaptureFileWriter, packets: usize) -> Result<(), Error> {
    let interfaces = [Interface { link_type: LinkType::ETHERNET, ..Interface::default() }];
    let frame = Frame::new(LinkType::ETHERNET, &DATA);
    (0..packets).try_for_each(|_| writer.write_frame(&frame, &interfaces))
}

#[test]
fn a_disk_that_stands_still_holds_up_nobody_until_the_queue_is_full() {
    let (mut writer, go_on, taken) = writer(usize::MAX);
    // Eight pieces, whatever the thread has of them.
    write(&mut writer, 32).unwrap();
    assert!(taken.lock().unwrap().is_empty());
    let strain = writer.strain().unwrap();
    assert_eq!((strain.queued_most, strain.queue), (32 * 1000 + 24, 32_000));
    assert_eq!(strain.waited, Duration::ZERO);
    drop(go_on);
    writer.finish(&[]).unwrap();
    assert_eq!((writer.kept(), taken.lock().unwrap().len()), (Some(32), 24 + 32 * 1000));
}

/// With `-U`, each batch comes by itself.
#[test]
fn small_pieces_fill_the_queue_by_their_bytes_alone() {
    let (go_on, held) = channel();
    let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
    let disk = Disk { held, room: usize::MAX, taken: Arc::clone(&taken) };
    let options = CaptureFileWriter::options().format(CaptureFormat::Pcap).buffer(4000).queue(8 * 4000);
    let mut writer = options.write_to(disk, "a disk").unwrap();
    for _ in 0..31 {
        write(&mut writer, 1).unwrap();
        writer.flush().unwrap();
    }
    let strain = writer.strain().unwrap();
    assert_eq!((strain.queued_most, strain.waited), (31_024, Duration::ZERO));
    let queue = writer.queue.clone().unwrap();
    // The thread has one, or perhaps none yet; the others have joined, four to a piece, and with one request to show them
    // each.
    assert!(queue.shared.line().jobs.len() <= 18, "{}", queue.shared.line().jobs.len());
    drop(go_on);
    writer.finish(&[]).unwrap();
    assert_eq!((writer.kept(), taken.lock().unwrap().len()), (Some(31), 24 + 31 * 1000));
}

#[test]
fn beyond_the_queue_the_encoder_waits_and_nothing_is_lost() {
    let (mut writer, go_on, taken) = writer(usize::MAX);
    let slow = thread::spawn(move || {
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(2));
            let _ = go_on.send(());
        }
    });
    write(&mut writer, 400).unwrap();
    let strain = writer.strain().unwrap();
    // Beside those that wait, one is being written and one waits for a place.
    assert!((32_000..=44_000).contains(&strain.queued_most), "{strain:?}");
    assert!(strain.longest_write >= Duration::from_millis(1), "{strain:?}");
    assert!(strain.waited >= Duration::from_millis(100), "{strain:?}");
    writer.finish(&[]).unwrap();
    slow.join().unwrap();
    assert_eq!((writer.kept(), taken.lock().unwrap().len()), (Some(400), 24 + 400 * 1000));
}

#[test]
fn a_full_disk_is_told_once_with_what_it_holds() {
    for written in [20, 400] {
        let (mut writer, go_on, _) = writer(10_500);
        drop(go_on);
        let result = write(&mut writer, written).and_then(|()| writer.finish(&[]));
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("a disk: ") && error.contains("; 10 packets were written"), "{error}");
        assert_eq!(writer.kept(), Some(10));
        writer.finish(&[]).unwrap();
        assert_eq!(writer.kept(), Some(10));
    }
}

#[test]
fn a_file_that_is_written_over_was_complete_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcap");
    let rotation = Rotation { packets: Some(10), files: Some(1), ..Rotation::default() };
    let options = CaptureFileWriter::options().rotation(rotation).buffer(4000).queue(1 << 20);
    let mut writer = options.create(&path).unwrap();
    write(&mut writer, 1003).unwrap();
    writer.finish(&[]).unwrap();
    assert_eq!((writer.files(), writer.kept()), (101, Some(1003)));
    assert_eq!(std::fs::metadata(directory.path().join("a.pcap0")).unwrap().len(), 24 + 3 * 1000);
}

#[test]
fn a_file_that_cannot_be_opened_in_turn_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcap");
    std::fs::create_dir(directory.path().join("a.pcap1")).unwrap();
    let rotation = Rotation { packets: Some(10), ..Rotation::default() };
    let options = CaptureFileWriter::options().rotation(rotation).buffer(4000).queue(1 << 20);
    let mut writer = options.create(&path).unwrap();
    let result = write(&mut writer, 25).and_then(|()| writer.finish(&[]));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("a.pcap1: "), "{error}");
    assert_eq!(writer.kept(), Some(10));
}

#[test]
fn one_that_is_given_up_ends_its_thread() {
    let (mut writer, go_on, taken) = writer(usize::MAX);
    write(&mut writer, 8).unwrap();
    let shared = Arc::downgrade(&taken);
    drop((writer, taken, go_on));
    while shared.strong_count() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}
