//! Frames out of an interface.

use crate::counting::open;
use crate::support::frames;
use crate::support::network::{capture, quiet_lab, stop_and_collect};
use std::io;
use std::process::Command;
use std::time::Duration;
use wharf::source::xdp::Capture;
use wharf::source::{Fill, Source};
use wharf::sys::bpf::Program;
use wharf::sys::lab::Host;
use wharf::sys::link;
use wharf::sys::xdp::{Copying, Sender, program};

fn xdp_sender(host: &Host, chunks: u32) -> Sender {
    let opened = host.namespace.run(|| {
        let index = link::index_of(host.interface)?;
        Ok(Sender::open((index, 0), (2048, chunks), Copying::Auto))
    });
    opened.expect("inside").expect("a sender")
}

pub(crate) fn frames_arrive_as_sent_and_in_order() {
    const FRAMES: u32 = 20_000;
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let mut sender = xdp_sender(&lab.client, 256);
    let frames: Vec<_> =
        (0..FRAMES).map(|number| frames::udp(1, 2, number, number as usize % 1400)).collect();
    let frames: Vec<_> = frames.iter().map(|frame| &frame[..]).collect();
    let mut left = &frames[..];
    while !left.is_empty() {
        let batch = &left[..left.len().min(100)];
        let sent = sender.send_batch(batch).expect("sent");
        left = &left[sent..];
    }
    assert_eq!(sender.flush(Duration::from_secs(5)).expect("flushed"), 0);
    let counts = sender.counts();
    assert_eq!((counts.queued, counts.completed, counts.refused), (FRAMES.into(), FRAMES.into(), 0));
    assert_eq!(sender.statistics().expect("counts").tx_invalid, 0);
    let found = stop_and_collect(&mut capture);
    assert_eq!(found.len(), frames.len());
    assert!(found.iter().zip(frames).all(|((found, _), sent)| found == sent));
}

pub(crate) fn frames_too_long_are_refused() {
    let lab = quiet_lab();
    let mut sender = xdp_sender(&lab.client, 64);
    let (good, long) = ([0; 60], [0; 2049]);
    for bad in [&long[..], &[]] {
        let error = sender.send_batch(&[&good, bad]).expect_err("it does not fit");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!((sender.longest(), sender.in_flight(), sender.counts().queued), (2048, 0, 0));
}

/// The other end takes frames of up to 614 bytes, and the kernel takes longer ones of us and throws them away.
pub(crate) fn what_the_device_throws_away_is_not_called_sent() {
    let lab = quiet_lab();
    let narrow = || Command::new("ip").args(["link", "set", "server", "mtu", "600"]).status();
    assert!(lab.server.namespace.run(narrow).expect("ip").success());
    for (sizes, fitting) in [("1000", 0..=0), ("1000,60", 2_000..=3_000)] {
        let mut capture = capture(&lab.server);
        let arguments =
            ["gen", "-i", "client", "--xdp", "--count", "5000", "--size", sizes, "--json", "--strict"];
        let run = || Command::new(env!("CARGO_BIN_EXE_wharf")).args(arguments).output();
        let output = lab.client.namespace.run(run).expect("wharf gen");
        let account: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an account");
        let packets = account["packets"].as_u64().expect("a number");
        assert!(fitting.contains(&packets), "{account}");
        assert_eq!(account["refused"]["dropped by the interface"], 5_000 - packets, "{account}");
        assert_eq!(account["counters"]["tx_packets"], packets, "{account}");
        assert_eq!((&account["retries"], &account["left"]), (&0.into(), &0.into()), "{account}");
        assert_eq!(stop_and_collect(&mut capture).len() as u64, packets);
        assert_eq!(output.status.code(), Some(3), "{account}");
    }
}

pub(crate) fn live_frames_are_sent_by_the_kernel() {
    const FRAMES: u32 = 10_000;
    let lab = quiet_lab();
    let mut capture = open(&lab.server, Capture::on(lab.server.interface)).expect("a capture");
    let frame = frames::udp(1, 2, 77, 18);
    let sent = lab.client.namespace.run(|| {
        let code = program::redirect_to(link::index_of(lab.client.interface)?);
        let program = Program::load_xdp("redirect", &code).map_err(io::Error::other)?;
        program.test_run_live_frames(&frame, FRAMES, 64)
    });
    sent.expect("live frames");
    let mut handed = 0;
    while let Fill::Batch(batch) = capture.fill(256).expect("fill") {
        assert!(batch.frames().all(|found| found.data == frame));
        handed += batch.len() as u64;
    }
    // What does not fit the 256 entries of the veth pair's own ring is lost before it comes to us.
    assert!(handed >= 256 && handed + capture.counters().dropped_ring <= FRAMES.into(), "{handed}");
}
