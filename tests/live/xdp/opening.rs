//! What opening says when it cannot, and what is left when nobody closes.

use crate::counting::{capture, open, read_to_end};
use crate::skip;
use crate::support::frames;
use crate::support::network::{LIMIT, quiet_lab, send, sender};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wharf::source::xdp::{Capture, Queues};
use wharf::source::{Fill, Source};
use wharf::sys::lab::Lab;
use wharf::sys::link;
use wharf::sys::xdp::{Copying, Receiver};

/// Where this is set to an interface, this program captures there, says so, and never ends.
pub(crate) const CHILD: &str = "WHARF_TEST_XDP_CHILD";

pub(crate) fn child(interface: &str) -> ! {
    let mut capture = Capture::on(interface).open().expect("a capture");
    println!("listening");
    loop {
        capture.fill(256).map(drop).expect("fill");
    }
}

pub(crate) fn a_second_program_is_refused() {
    let lab = quiet_lab();
    let _first = capture(&lab.server);
    let error = open(&lab.server, Capture::on("server")).expect_err("there is one").to_string();
    assert!(error.starts_with("server: an XDP program is attached to it already"), "{error}");
    assert!(error.contains("ip link set dev server xdp off"), "{error}");
}

pub(crate) fn a_busy_queue_says_so() {
    let lab = quiet_lab();
    let bound = lab.server.namespace.run(|| {
        let index = link::index_of("server")?;
        Ok(Receiver::open((index, 0), (2048, 64), Copying::Auto))
    });
    let _socket = bound.expect("inside").expect("a socket");
    let error = open(&lab.server, Capture::on("server")).expect_err("it is busy").to_string();
    assert_eq!(error, "server: queue 0 is busy: another AF_XDP socket has it");
    // And the program is gone with it.
    drop(_socket);
    capture(&lab.server);
}

pub(crate) fn no_such_queue_says_how_many_there_are() {
    let lab = quiet_lab();
    let error =
        open(&lab.server, Capture::on("server").queues(Queues::One(7))).expect_err("none").to_string();
    assert_eq!(error, "server: there is no queue 7: it has one, 0");
    let error = open(&lab.server, Capture::on("any")).expect_err("not one interface").to_string();
    assert!(error.contains("one Ethernet interface"), "{error}");
}

pub(crate) fn a_killed_process_leaves_nothing_behind() {
    let lab = quiet_lab();
    let mut child = lab
        .server
        .namespace
        .run(|| {
            let program = std::env::current_exe()?;
            Command::new(program).env(CHILD, "server").stdout(Stdio::piped()).spawn()
        })
        .expect("a child");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert_eq!(line, "listening\n");
    assert!(open(&lab.server, Capture::on("server")).is_err(), "its program is there");
    // SIGKILL: it cannot do anything about it.
    child.kill().expect("kill");
    child.wait().expect("gone");
    let begun = Instant::now();
    let mut capture = loop {
        match open(&lab.server, Capture::on("server")) {
            Ok(capture) => break capture,
            Err(error) => assert!(begun.elapsed() < LIMIT, "{error}"),
        }
        thread::sleep(Duration::from_millis(10));
    };
    send(&sender(&lab.client), &frames::udp(1, 2, 3, 0));
    assert!(matches!(capture.fill(1), Ok(Fill::Batch(batch)) if batch.len() == 1));
}

/// A macvlan says nothing of its queues, but the kernel made it with two; a tap was made with 256, one of which is in use.
pub(crate) fn queues_that_no_driver_tells_of_are_all_read() {
    let lab = Lab::of_queues(2).and_then(Lab::with_static_neighbours).expect("a laboratory");
    let ip = |arguments: &str| {
        let run = || Command::new("ip").args(arguments.split(' ')).status();
        lab.server.namespace.run(run).expect("ip").success()
    };
    if !ip("link add link server name upper numrxqueues 2 type macvlan mode passthru") {
        return skip("this kernel has no macvlan");
    }
    assert!(ip("link set upper up"));
    let mut capture = open(&lab.server, Capture::on("upper")).expect("a capture");
    assert_eq!(capture.queues(), 2, "{:?}", capture.notes());
    let socket = sender(&lab.client);
    (0..400).for_each(|number| send(&socket, &frames::udp(1_000 + number as u16, 53, number, 20)));
    capture.stop().expect("stop");
    let mut found = 0;
    read_to_end(&mut capture, |_| found += 1).expect("an orderly end");
    assert_eq!(found, 400, "through whichever queue");

    if !ip("tuntap add tap0 mode tap multi_queue") {
        return skip("this kernel has no tap");
    }
    assert!(ip("link set tap0 up"));
    let capture = open(&lab.server, Capture::on("tap0")).expect("a capture");
    assert_eq!(capture.queues(), 1, "{:?}", capture.notes());
}
