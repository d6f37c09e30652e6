//! The readers of capture files: they end, and hand out no more than the input holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use wharf::source::{BATCH, CaptureFile, Fill, Source};

fuzz_target!(|bytes: &[u8]| {
    let mut file = CaptureFile::from_reader(Cursor::new(bytes.to_vec()), "fuzz");
    let mut frames = 0;
    while let Ok(Fill::Batch(batch)) = file.fill(BATCH) {
        for frame in batch.frames() {
            frames += 1;
            assert_eq!(frame.record.number, frames);
            let _ = frame.options.iter().count();
        }
    }
});
