//! An interface that goes away.

use crate::support::frames;
use crate::support::network::{LIMIT, capture, open, quiet_lab, send, sender};
use std::thread;
use std::time::Instant;
use wharf::source::packet::Capture;
use wharf::source::{Error, Fill, Source};
use wharf::sys::lab::Lab;
use wharf::sys::link;

pub(crate) fn an_interface_that_goes_down_is_reported_once() {
    ends_with(300, "the interface went down", |lab| {
        lab.server.namespace.run(|| link::set_up("server", false)).expect("down");
    });
}

pub(crate) fn an_interface_that_is_removed_is_reported_once() {
    for sent in [300, 0] {
        ends_with(sent, "the interface is gone", |lab| {
            lab.client.namespace.run(|| link::remove("client")).expect("removed");
        });
    }
}

fn ends_with(sent: u32, expected: &str, end: fn(&Lab)) {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let socket = sender(&lab.client);
    for number in 0..sent {
        send(&socket, &frames::udp(1, 2, number, 0));
    }
    let mut handed = 0;
    let begun = Instant::now();
    let error = thread::scope(|scope| {
        // Beside the reader, who sees an interface that is on its way out.
        scope.spawn(|| end(&lab));
        loop {
            assert!(begun.elapsed() < LIMIT, "never reported");
            match capture.fill(100) {
                Ok(Fill::Batch(batch)) => handed += batch.len(),
                Ok(Fill::Idle) => {}
                Ok(Fill::End) => panic!("the end without a word"),
                Err(error) => break error,
            }
        }
    });
    assert_eq!(handed, sent as usize, "what lay before comes first");
    let Error::Interface { interface, reason, .. } = error else { panic!("{error}") };
    assert_eq!((interface.as_str(), reason.as_str()), ("server", expected));
    for _ in 0..3 {
        assert!(matches!(capture.fill(100), Ok(Fill::End)), "once only");
    }
    let counters = capture.counters();
    assert_eq!((counters.received, counters.unread), (u64::from(sent), 0));
    capture.stop().expect("nothing to stop any more");
}

pub(crate) fn a_namespace_lives_as_long_as_a_capture_in_it() {
    let lab = quiet_lab();
    let mut capture = open(&lab.server, Capture::on("lo")).expect("a capture");
    drop(lab);
    for _ in 0..3 {
        assert!(matches!(capture.fill(1), Ok(Fill::Idle)), "nothing comes, and that is all");
    }
    capture.stop().expect("stop");
    assert!(matches!(capture.fill(1), Ok(Fill::End)));
}

pub(crate) fn a_wire_whose_other_end_is_in_a_namespace_that_goes_is_gone() {
    let Lab { client, server } = quiet_lab();
    let mut capture = open(&server, Capture::on(server.interface)).expect("a capture");
    drop(client);
    let begun = Instant::now();
    let error = loop {
        assert!(begun.elapsed() < LIMIT, "never reported");
        match capture.fill(1) {
            Ok(Fill::End) => panic!("the end without a word"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "server: the interface is gone");
}
