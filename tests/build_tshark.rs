//! What an independent dissector says of frames that `build` wrote: checksums right, nothing malformed.
//!
//! Skipped, aloud, where TShark 4.0 is not installed: other versions name some protocols otherwise.

#[path = "support/oracles.rs"]
mod oracles;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use wharf::build::*;

mod stacks;

/// A pcap file of one link type, microseconds, little-endian.
fn pcap(link_type: u16, frames: &[&Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, u32::from(link_type)] {
        file.extend(word.to_le_bytes());
    }
    for frame in frames {
        let length = frame.len() as u32;
        for word in [0, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(*frame);
    }
    file
}

/// Each frame's values of `fields`, joined by `|`.
fn tshark(link_type: u16, frames: &[&Vec<u8>], fields: &[&str]) -> Option<Vec<String>> {
    let version =
        Command::new("tshark").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    if !version.starts_with(b"TShark (Wireshark) 4.0.") {
        oracles::missing("TShark 4.0 is not installed");
        return None;
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&pcap(link_type, frames)).expect("written");
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file.path()).args([
        "-n",
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "occurrence=a",
    ]);
    for preference in [
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "sctp.checksum:CRC-32C",
        "udplite.check_checksum:TRUE",
        "tcp.analyze_sequence_numbers:FALSE",
        "ip.defragment:FALSE",
        "ipv6.defragment:FALSE",
    ] {
        command.args(["-o", preference]);
    }
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let output = command.output().expect("tshark runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect())
}

const STATUS: [&str; 8] = [
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
    "sctp.checksum.status",
    "igmp.checksum.status",
    "gre.checksum.status",
];

#[test]
fn every_stack_is_good_to_tshark() {
    let stacks = stacks::all(Checksum::Right);
    let mut by_link: BTreeMap<u16, Vec<&stacks::Named>> = BTreeMap::new();
    for stack in &stacks {
        by_link.entry(stack.link_type.0).or_default().push(stack);
    }
    let mut wrong = Vec::new();
    for (link_type, stacks) in by_link {
        let frames: Vec<_> = stacks.iter().map(|stack| &stack.bytes).collect();
        let fields = [&["frame.protocols", "_ws.malformed"][..], &STATUS].concat();
        let Some(lines) = tshark(link_type, &frames, &fields) else { return };
        assert_eq!(lines.len(), stacks.len());
        for (stack, line) in stacks.iter().zip(&lines) {
            let values: Vec<_> = line.split('|').collect();
            let statuses: Vec<_> = values[2..].iter().flat_map(|status| status.split(',')).collect();
            let right = values[0].ends_with(stack.protocols)
                && values[1].is_empty()
                && statuses.iter().all(|status| ["", "1"].contains(status))
                && statuses.iter().filter(|status| **status == "1").count() >= stack.checksums;
            if !right {
                wrong.push(format!("{}: {line}", stack.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn wrong_checksums_are_bad_to_tshark() {
    let mut stack = Stack::new();
    let wrong = Checksum::Wrong;
    let (source, destination) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let ip = Ipv4::new(source, destination).checksum(wrong);
    let frames = [
        stack.message(b"x").wrap(Tcp::new(1, 2).checksum(wrong)).wrap(ip).bytes().to_vec(),
        stack.message(b"x").wrap(Udp::new(1, 2).checksum(wrong)).wrap(ip).bytes().to_vec(),
        stack.message(b"x").wrap(Icmp::echo_request(1, 2).checksum(wrong)).wrap(ip).bytes().to_vec(),
        stack
            .message(b"x")
            .wrap(SctpData::new(1))
            .wrap(Sctp::new(1, 2).checksum(wrong))
            .wrap(ip)
            .bytes()
            .to_vec(),
        stack.message(b"").wrap(Igmp::leave([224, 0, 0, 5]).checksum(wrong)).wrap(ip).bytes().to_vec(),
    ];
    let Some(lines) = tshark(101, &frames.iter().collect::<Vec<_>>(), &STATUS) else { return };
    assert_eq!(lines[0], "0|0||||||");
    assert_eq!(lines[1], "0||0|||||");
    assert_eq!(lines[2], "0|||0||||");
    assert_eq!(lines[3], "0|||||0||");
    assert_eq!(lines[4], "0||||||0|");
}
