//! A batch of any bytes, read at once and frame by frame: both find the same, and neither panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf::batch::Findings;
use wharf::demux::{OutputId, PortMap};
use wharf::frame::{Batch, Interface, LinkType, Offload, Record};
use wharf::parse::{Packet, parse};
use wharf::verify::{Checksums, Verdict, verify};

/// Each frame has two bytes before it: 11 bits of length, and what is known of it.
fn records(slab: &[u8]) -> Vec<Record> {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some(&[low, high]) = slab.get(at..at + 2) {
        let length = usize::from(u16::from_le_bytes([low, high]) & 0x7ff);
        let captured = length.min(slab.len() - at - 2);
        let offload = Offload {
            checksum_not_ready: high & 0xc0 == 0x40,
            checksum_valid: high & 0x80 != 0,
            segmented: false,
            checksum_unsure: high & 0xc0 == 0xc0,
        };
        records.push(Record {
            offset: at as u32 + 2,
            captured: captured as u32,
            wire_length: length as u32,
            link_type: LinkType(if high & 0x38 == 0x38 { 101 } else { 1 }),
            offload,
            ..Record::default()
        });
        at += 2 + captured;
    }
    records
}

fuzz_target!(|slab: &[u8]| {
    let records = records(slab);
    let interfaces = [Interface::default()];
    let batch = Batch::new(slab, &records, &interfaces);
    let rules = ["tcp/80,443", "udp/0-1023", "any/5000-60000"].map(|rule| rule.parse().expect("a rule"));
    let map = PortMap::new(rules.iter().zip((0..).map(OutputId)), OutputId(3));

    let (mut findings, mut outputs) = (Findings::new(), Vec::new());
    // Once more: what was found before must not show.
    for batch in [batch, batch.cold()] {
        findings.read(batch);
        map.route(findings.summaries(), &mut outputs);
        let (mut checksums, mut malformed) = (Checksums::default(), Vec::new());
        for (index, frame) in batch.frames().enumerate() {
            let layers = parse(&frame);
            let verdicts = verify(&Packet::new(frame, &layers));
            let (summary, ip) = (findings.summaries()[index], layers.outer.unwrap_or_default());
            assert_eq!(findings.verdicts(index), verdicts);
            assert_eq!(findings.layers(&frame, index), &layers);
            assert_eq!(summary.transport(), ip.transport);
            if ip.transport.has_ports() {
                assert_eq!(summary.ports(), Some((ip.source_port, ip.destination_port)));
            }
            let codes = [summary.ip_code(), summary.l4_code()].map(|code| Verdict::NAMES[code]);
            assert_eq!(codes, [verdicts.ip.name(), verdicts.l4.name()]);
            assert_eq!(outputs[index], map.output(&layers));
            checksums.add(&verdicts);
            malformed.extend(layers.malformed);
        }
        assert_eq!(findings.checksums(), &checksums);
        assert_eq!(findings.malformed().collect::<Vec<_>>(), malformed);
    }
});
