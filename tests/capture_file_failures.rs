//! Capture files that cannot be written: one error that says what there is.

mod capture;

use capture::{Frames, deliver, read_bytes};
use std::path::Path;
use std::sync::{Arc, Mutex};
use wharf::sink::{CaptureFileOptions, CaptureFileWriter, CaptureFormat, Error, Sink};

fn options() -> CaptureFileOptions {
    CaptureFileWriter::options()
}

#[test]
fn an_unwritable_path_is_an_error_of_opening() {
    assert!(matches!(CaptureFileWriter::create("/nonexistent/a.pcap"), Err(Error::Io { .. })));
}

/// Keeps so many bytes, then fails.
struct Full(usize, std::io::ErrorKind, Shared);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let length = bytes.len().min(self.0);
        self.0 -= length;
        if length == 0 { Err(self.1.into()) } else { self.2.write(&bytes[..length]) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_says_how_many_packets_there_are() {
    for format in [CaptureFormat::Pcap, CaptureFormat::PcapNg] {
        for size in [0, 10, 500, 10_000, 100_000] {
            let kept = Shared::default();
            let full = Full(size, std::io::ErrorKind::StorageFull, kept.clone());
            let mut writer =
                options().format(format).packet_buffered(true).write_to(full, "a device").unwrap();
            let frames = Frames::many(600);
            let result = frames.batches().try_for_each(|batch| deliver(batch, &mut writer));
            let error = result.unwrap_err().to_string();
            writer.finish(&[]).unwrap();
            let packets = read_bytes(&kept.0.lock().unwrap()).frames.len();
            assert!(error.contains(&format!("; {packets} packets were written")), "{packets}: {error}");
            assert!(error.starts_with("a device: "), "{error}");
            assert_eq!(writer.kept(), Some(packets as u64), "{error}");
        }
    }
}

#[test]
fn a_full_device_and_a_pipe_that_breaks_are_one_error_each() {
    let mut writer = CaptureFileWriter::create("/dev/full").unwrap();
    deliver(Frames::many(1).batches().next().unwrap(), &mut writer).unwrap();
    let error = writer.finish(&[]).unwrap_err().to_string();
    assert!(error.starts_with("/dev/full: ") && error.contains("space"), "{error}");
    assert!(Path::new("/dev/full").exists(), "a device is not removed");
    writer.finish(&[]).unwrap();

    let full = Full(0, std::io::ErrorKind::BrokenPipe, Shared::default());
    let mut writer = options().write_to(full, "a pipe").unwrap();
    deliver(Frames::many(1).batches().next().unwrap(), &mut writer).unwrap();
    // Only of standard output is that no failure.
    let error = writer.flush().unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path == "a pipe"), "{error}");
    writer.finish(&[]).unwrap();
}

/// Keeps what it is given, to be looked at meanwhile.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn packet_buffered_and_flush_show_what_is_there() {
    for packet_buffered in [true, false] {
        let shared = Shared::default();
        let mut writer =
            options().packet_buffered(packet_buffered).write_to(shared.clone(), "shared").unwrap();
        deliver(Frames::many(3).batches().next().unwrap(), &mut writer).unwrap();
        assert_eq!(shared.0.lock().unwrap().is_empty(), !packet_buffered);
        writer.flush().unwrap();
        assert_eq!(read_bytes(&shared.0.lock().unwrap()).frames.len(), 3);
    }
}
