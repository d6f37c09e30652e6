//! What is told to be sent is what another end counts, byte by byte and in time.

use crate::lacking;
use crate::support::network::{LIMIT, capture, quiet_lab, stop_and_collect};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use wharf::frame::{Batch, Record, Timestamp};
use wharf::sink::transmit::{Pace, Refusal, Sent, Speed, Transmit, TransmitOptions};
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};
use wharf::source::{Fill, Source};
use wharf::sys::lab::{Host, Lab};
use wharf::sys::{link, link_counters};

/// Neither host's, so that stacks stay silent.
fn traffic(frames: u64) -> Traffic {
    Traffic {
        frames,
        sizes: Sizes::Uniform(60..=1_514),
        ipv6_percent: 30,
        vlan_percent: 20,
        ..Traffic::default()
    }
}

fn open(host: &Host, options: TransmitOptions) -> Result<Transmit, String> {
    host.namespace.run(|| Ok(options.open().map_err(|error| error.to_string()))).expect("inside")
}

fn send_all(wire: &mut Transmit, mut source: impl Source) -> Sent {
    while let Fill::Batch(batch) = source.fill(256).expect("a batch") {
        assert!(wire.send(batch).expect("sent"));
    }
    wire.sent().clone()
}

pub(crate) fn what_was_sent_is_what_arrives() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let mut wire = open(&lab.client, Transmit::on("client")).expect("a sender");
    let index = lab.client.namespace.run(|| link::index_of("client")).expect("an index");
    let counters = || lab.client.namespace.run(|| link_counters(index)).expect("counters");
    let before = counters();
    let sent = send_all(&mut wire, Synthetic::new(&traffic(10_000)));
    let counted = counters() - before;
    let got = stop_and_collect(&mut capture);

    let source = Synthetic::new(&traffic(10_000));
    let made: Vec<&[u8]> = source.table().frames().map(|frame| frame.data).collect();
    assert_eq!((sent.offered, sent.frames, got.len()), (10_000, 10_000, 10_000));
    assert_eq!((sent.refusals(), sent.left, counted.tx_packets), (0, 0, 10_000));
    assert_eq!(sent.bytes, source.expected().total.bytes);
    for (at, (data, _)) in got.iter().enumerate() {
        assert_eq!(data, made[at % made.len()], "frame {at}");
    }
}

pub(crate) fn a_rate_is_kept() {
    let lab = quiet_lab();
    // Two seconds each, of which 1 % is more than the time slice that a machine takes for other things at either end.
    for (rate, frames) in [("10k", 20_000), ("100k", 200_000)] {
        let mut capture = capture(&lab.server);
        let options = Transmit::on("client").pace(Pace::Rate(rate.parse().expect("a rate")));
        let mut wire = open(&lab.client, options).expect("a sender");
        // Small: all of them wait in the ring.
        let small = Traffic { frames, sizes: Sizes::Uniform(60..=60), ..Traffic::default() };
        let sent = send_all(&mut wire, Synthetic::new(&small));
        let got = stop_and_collect(&mut capture);
        let times: Vec<Timestamp> = got.iter().filter_map(|(_, record)| record.time).collect();
        assert_eq!(times.len() as u64, frames);
        let wanted = if rate == "10k" { 10_000.0 } else { 100_000.0 };
        let seconds = times[times.len() - 1].nanos_since(times[0]) as f64 / 1e9;
        let expected = (frames - 1) as f64 / wanted;
        assert!((seconds - expected).abs() < expected * 0.01, "{rate}: {seconds} s, not {expected}");
        assert!(sent.late.slip == 0 || sent.packet_rate() < wanted, "{sent:?}");
    }
}

/// Frames of 60 bytes, 2 ms apart, and a pause of 60 ms in the middle.
fn recorded() -> Vec<Record> {
    let time = |number: u64| 1_000_000 * (number * 2 + if number > 10 { 58 } else { 0 });
    (0..30_u64)
        .map(|number| Record {
            offset: number as u32,
            captured: 60,
            wire_length: 60,
            number: number + 1,
            time: Some(Timestamp::new(1_700_000_000, time(number) as u32)),
            link_type: wharf::frame::LinkType::ETHERNET,
            ..Record::default()
        })
        .collect()
}

pub(crate) fn recorded_times_are_kept() {
    let lab = quiet_lab();
    for (speed, divisor) in [("1x", 1.0), ("2x", 2.0)] {
        // Stated: nine of ten frames within 10 ms, which a machine that does other things besides takes for a time slice. Half
        // of so short a recording is gone then, so one of three is held to it: one at the wrong speed never is.
        let attempts: Vec<Vec<f64>> = (0..3).map(|_| off_by(&lab, speed, divisor)).collect();
        let kept = attempts.iter().any(|off| off[off.len() * 9 / 10] < 10.0);
        assert!(kept, "{divisor}: off by {attempts:?} ms");
    }
}

/// How many milliseconds each frame of the recording came too early or too late, least first.
fn off_by(lab: &Lab, speed: &str, divisor: f64) -> Vec<f64> {
    let (slab, records) = ([2_u8; 100], recorded());
    let mut capture = capture(&lab.server);
    let speed: Speed = speed.parse().expect("a speed");
    let mut wire = open(&lab.client, Transmit::on("client").pace(Pace::Recorded(speed))).expect("a sender");
    assert!(wire.send(Batch::new(&slab, &records, &[])).expect("sent"));
    let got = stop_and_collect(&mut capture);
    assert_eq!(got.len(), records.len());
    let millis = |record: &Record, first: &Record| {
        let times = record.time.zip(first.time).expect("times");
        times.0.nanos_since(times.1) as f64 / 1e6
    };
    let off = got.iter().zip(&records).map(|((_, record), wanted)| {
        (millis(record, &got[0].1) - millis(wanted, &records[0]) / divisor).abs()
    });
    let mut off: Vec<f64> = off.collect();
    off.sort_by(f64::total_cmp);
    off
}

pub(crate) fn what_cannot_be_sent_is_told_and_the_rest_goes() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let mut wire = open(&lab.client, Transmit::on("client")).expect("a sender");
    let slab = vec![2; 4_000];
    let good = Record { captured: 60, link_type: wharf::frame::LinkType::ETHERNET, ..recorded()[0] };
    let records = [
        good,
        Record { captured: 1_600, wire_length: 1_600, ..good },
        Record { wire_length: 61, ..good },
        Record { link_type: wharf::frame::LinkType::RAW, ..good },
        Record { captured: 1_514, wire_length: 1_514, ..good },
        Record { captured: 3_000, wire_length: 3_000, ..good },
    ];
    assert!(wire.send(Batch::new(&slab, &records, &[])).expect("the rest is sent"));
    let sent = wire.sent();
    let reasons: Vec<_> = sent.refused.iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(reasons, [(Refusal::TooLong, 2), (Refusal::Cut, 1), (Refusal::LinkType, 1)]);
    assert_eq!((sent.offered, sent.frames, sent.bytes), (6, 2, 1_574));
    let lengths: Vec<_> = stop_and_collect(&mut capture).iter().map(|(data, _)| data.len()).collect();
    assert_eq!(lengths, [60, 1_514]);
}

pub(crate) fn the_end_comes_when_it_is_asked_for() {
    let lab = quiet_lab();
    let mut source = Synthetic::new(&traffic(256));
    let Ok(Fill::Batch(batch)) = source.fill(256) else { panic!("a batch") };
    let rate = Pace::Rate("1k".parse().expect("a rate"));
    let options = Transmit::on("client").pace(rate);
    let mut wire = open(&lab.client, options.clone().duration(Duration::from_millis(50))).expect("a sender");
    assert!(!wire.send(batch).expect("no failure"));
    assert_eq!(wire.sent().frames + wire.sent().left, 256);
    // Fewer where this machine stood still meanwhile.
    assert!(wire.sent().frames == 50 || wire.sent().late.slip > 0, "{:?}", wire.sent());
    let stop = Arc::new(AtomicBool::new(true));
    let mut wire = open(&lab.client, options.stop(stop)).expect("a sender");
    assert!(!wire.send(batch).expect("no failure") && wire.is_over());
    assert_eq!((wire.sent().frames, wire.sent().left), (0, 256));
}

pub(crate) fn an_interface_that_fails_is_told() {
    let lab = quiet_lab();
    let mut source = Synthetic::new(&traffic(256));
    let Ok(Fill::Batch(batch)) = source.fill(256) else { panic!("a batch") };
    let refused = |options| open(&lab.client, options).expect_err("refused");
    assert!(refused(Transmit::on("clinet")).contains("did you mean client?"));
    assert!(refused(Transmit::on("any")).contains("name it"));

    let mut wire = open(&lab.client, Transmit::on("client")).expect("a sender");
    lab.server.namespace.run(|| link::set_up("server", false)).expect("down");
    let without_carrier = wire.send(batch).expect_err("nobody there").to_string();
    assert!(without_carrier.contains("taken nothing for a second: it has no carrier"), "{without_carrier}");
    assert_eq!(wire.sent().frames + wire.sent().left, 256);
    // The kernel may take its time to say so of the other end.
    let begun = Instant::now();
    let without_carrier = loop {
        match open(&lab.client, Transmit::on("client")) {
            Err(refusal) => break refusal,
            Ok(_) => assert!(begun.elapsed() < LIMIT, "still open"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(without_carrier.contains("no carrier"), "{without_carrier}");

    lab.client.namespace.run(|| link::set_up("client", false)).expect("down");
    assert!(refused(Transmit::on("client")).contains("ip link set dev client up"));
}

fn ip(host: &Host, arguments: &str) -> Output {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    host.namespace.run(|| Command::new("ip").args(&arguments).output()).expect("ip")
}

pub(crate) fn an_interface_with_a_default_route_is_refused() {
    let lab = quiet_lab();
    let refusal = || open(&lab.client, Transmit::on("client")).err().unwrap_or_default();
    assert_eq!(refusal(), "");
    for (add, remove) in [
        ("route add default via 10.77.0.2", "route del default"),
        ("route add default via 10.77.0.2 table 77", "route del default table 77"),
        ("route add 128.0.0.0/1 dev client", "route del 128.0.0.0/1"),
        (
            "route add default nexthop via 10.77.0.2 dev client weight 1 nexthop via 10.77.0.3 dev client weight 2",
            "route del default",
        ),
    ] {
        let added = ip(&lab.client, add);
        assert!(added.status.success(), "{add}: {added:?}");
        assert!(refusal().contains("--yes-on-this-interface"), "{add}: {:?}", refusal());
        open(&lab.client, Transmit::on("client").with_default_route(true)).expect("it is meant");
        assert!(ip(&lab.client, remove).status.success(), "{remove}");
        assert_eq!(refusal(), "", "{remove}");
    }
    // And on what stands on it, in either order.
    for kind in ["vlan id 5", "macvlan"] {
        if !ip(&lab.client, &format!("link add link client name upper type {kind}")).status.success() {
            lacking(&format!("{kind} to stand on another device"));
            continue;
        }
        assert!(ip(&lab.client, "link set upper up").status.success());
        assert_eq!(refusal(), "");
        let added = ip(&lab.client, "route add default dev upper");
        assert!(added.status.success(), "{added:?}");
        assert!(refusal().contains("default route"), "{kind}");
        // The frames of what stands on the one with the route go out there.
        let added = ip(&lab.client, "route replace default via 10.77.0.2 dev client");
        assert!(added.status.success(), "{added:?}");
        let on_upper = |allowed| open(&lab.client, Transmit::on("upper").with_default_route(allowed));
        assert!(on_upper(false).err().unwrap_or_default().contains("default route"), "{kind}");
        on_upper(true).expect("it is meant");
        assert!(ip(&lab.client, "route del default").status.success());
        on_upper(false).expect("no route");
        assert!(ip(&lab.client, "link del upper").status.success());
    }
}

pub(crate) fn a_default_route_over_ipv6_counts() {
    let lab = quiet_lab();
    let lab = match lab.with_ipv6() {
        Ok(lab) => lab,
        Err(error) => return lacking(&format!("IPv6: {error}")),
    };
    let added = ip(&lab.client, "-6 route add default via fd77::2 dev client");
    assert!(added.status.success(), "{added:?}");
    let refusal = open(&lab.client, Transmit::on("client")).err().unwrap_or_default();
    assert!(refusal.contains("--yes-on-this-interface"), "{refusal}");
}

/// The command in the client's namespace: exit code and what it says.
fn gen_command(lab: &Lab, arguments: &str) -> (Option<i32>, serde_json::Value, String) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let wharf = env!("CARGO_BIN_EXE_wharf");
    let run = || Command::new(wharf).arg("gen").args(&arguments).output();
    let output = lab.client.namespace.run(run).expect("wharf gen");
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) fn the_command_sends_what_it_says() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let (code, json, err) = gen_command(
        &lab,
        "-i client --count 5k --size 60-200 --protocol udp --stamp --cores 0 --json --strict",
    );
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!((&json["packets"], &json["left"]), (&5_000.into(), &0.into()), "{json}");
    assert_eq!(json["counters"]["tx_packets"], 5_000, "{json}");
    let got = stop_and_collect(&mut capture);
    let bytes: usize = got.iter().map(|(data, _)| data.len()).sum();
    assert_eq!((got.len(), Some(bytes as u64)), (5_000, json["bytes"].as_u64()));
    for (number, (data, _)) in got.iter().enumerate() {
        let stamp: Vec<u32> =
            data[42..50].chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
        assert_eq!(stamp, [0xbe9b_e955, number as u32]);
    }
    assert!(ip(&lab.client, "route add default via 10.77.0.2").status.success());
    let (code, _, err) = gen_command(&lab, "-i client --count 1");
    assert_eq!(code, Some(1));
    assert!(err.starts_with("wharf: client: a default route leads through it"), "{err}");
    let (code, json, err) = gen_command(&lab, "-i client --count 1 --yes-on-this-interface --json");
    assert_eq!((code, &json["packets"]), (Some(0), &1.into()), "{err}");
    let (code, _, err) = gen_command(&lab, "-i client --count 1 --yes-on-this-interface --size 1515");
    assert_eq!(code, Some(1));
    assert!(err.contains("frames of 1515 bytes are longer than its MTU allows (1514)"), "{err}");
}

pub(crate) fn several_threads_send_each_frame_once() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let cores =
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) { "0,1" } else { "0" };
    let arguments = format!("-i client --count 20k --size 60-200 --rate 200k --cores {cores} --json");
    let (code, json, err) = gen_command(&lab, &arguments);
    assert_eq!((code, &json["packets"]), (Some(0), &20_000.into()), "{err}");
    let source = Synthetic::new(&Traffic { sizes: Sizes::Uniform(60..=200), ..Traffic::default() });
    let table = source.table();
    let mut made: Vec<&[u8]> = (0..20_000).map(|at| table.frame(at % table.len()).data).collect();
    let mut got: Vec<_> = stop_and_collect(&mut capture).into_iter().map(|(data, _)| data).collect();
    made.sort_unstable();
    got.sort_unstable();
    assert!(got == made, "{} frames, or others than were made", got.len());
}
