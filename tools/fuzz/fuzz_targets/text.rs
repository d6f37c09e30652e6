//! The text and JSON sinks over any frame: nothing panics, and every object is valid JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf::demux::Rule;
use wharf::engine::Engine;
use wharf::sink::text::Dump;
use wharf::sink::{Json, Tee, Text, TextOptions};
use wharf::source::CaptureFile;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (link_type, verbosity, bytes) = input;
    // A pcap file with this one frame.
    let length = (bytes.len() as u32).to_le_bytes();
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, link_type, 0, 0, 0];
    file.extend([0; 8]);
    file.extend(length.iter().chain(&length).chain(bytes));
    let options = TextOptions {
        verbosity: verbosity % 4,
        link_header: verbosity & 4 != 0,
        numeric: true,
        utc: true,
        dump: Dump::HexAndText { link_header: true },
        ..TextOptions::default()
    };
    let (mut text, mut json) = (Vec::new(), Vec::new());
    let sink = Tee(Text::new(&mut text, options), Json::new(&mut json));
    let source = CaptureFile::from_reader(std::io::Cursor::new(file), "fuzz");
    if Engine::builder().source(source).output(Rule::Rest, sink).run().is_ok() {
        let object: serde_json::Value = serde_json::from_slice(&json).expect("valid JSON");
        assert_eq!(object["n"], 1);
    }
});
