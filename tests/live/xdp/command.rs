//! The `wharf` command over AF_XDP.

use crate::ports::{bound, received};
use crate::support::frames;
use crate::support::network::{quiet_lab, send, sender};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use wharf::source::CaptureFile;
use wharf::source::{Fill, Source};
use wharf::sys::lab::{Host, Lab};

/// Starts the command inside a host and waits until it says what it takes.
pub(crate) fn start(host: &Host, arguments: &[&str]) -> (Child, BufReader<ChildStderr>, String) {
    let mut child = host
        .namespace
        .run(|| {
            // A run that waits for packets which do not come is stuck: it is ended, and that is a failure.
            // In the foreground a signal is passed on to the command once.
            Command::new("timeout")
                .args(["--foreground", "20", env!("CARGO_BIN_EXE_wharf")])
                .args(arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        })
        .expect("started");
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("TAKEN") {
        assert!(errors.read_line(&mut said).expect("a line") > 0, "it ended: {said}");
    }
    (child, errors, said)
}

/// What it wrote to standard output and, from here on, to standard error, once it has ended well.
pub(crate) fn finish(mut child: Child, mut errors: BufReader<ChildStderr>) -> (String, String) {
    let (mut shown, mut said) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut shown).expect("text");
    errors.read_to_string(&mut said).expect("text");
    assert!(child.wait().expect("ended").success(), "{said}");
    (shown, said)
}

pub(crate) fn sniff_takes_packets_and_says_so() {
    let lab = quiet_lab();
    let (child, errors, said) =
        start(&lab.server, &["sniff", "-i", "server", "--xdp", "-c", "1000", "--count"]);
    let how = "listening on server through AF_XDP (native mode, copying, 1 queue)";
    assert!(said.contains(how), "{said}");
    assert!(said.contains("server: packets are TAKEN from this host"), "{said}");
    let socket = sender(&lab.client);
    (0..1000).for_each(|number| send(&socket, &frames::udp(40_000, 53, number, 0)));
    let (shown, said) = finish(child, errors);
    assert!(shown.contains("1000") && shown.contains("53"), "{shown}");
    assert!(said.contains("1000 received = 1000 delivered + 0 filtered out + 0 dropped"), "{said}");
}

pub(crate) fn generic_mode_that_was_fallen_back_to_is_not_advised() {
    let lab = quiet_lab();
    let (child, errors, said) = start(&lab.server, &["sniff", "-i", "lo", "--xdp", "-c", "5", "--count"]);
    assert!(said.contains("listening on lo through AF_XDP (generic mode"), "{said}");
    assert!(
        said.contains("lo: generic mode, which costs more than native: its driver has no XDP\n"),
        "{said}"
    );
    assert!(!said.contains("--xdp=generic"), "{said}");
    let local = lab.server.namespace.run(|| std::net::UdpSocket::bind("127.0.0.1:0")).expect("bind");
    for _ in 0..5 {
        local.send_to(b"here", local.local_addr().expect("bound")).expect("sent");
    }
    let (_, said) = finish(child, errors);
    assert!(said.contains("5 received = 5 delivered"), "{said}");
}

/// The summary of a run that minds what the host lost, and its exit code, after frames that found no room at the veth.
fn strict_run(lab: &Lab, arguments: &[&str], too_long: u32) -> (String, Option<i32>) {
    let common = ["sniff", "-i", "server", "--xdp", "-c", "10", "--count", "--strict=host"];
    let (mut child, mut errors, _) = start(&lab.server, &[&common[..], arguments].concat());
    let socket = sender(&lab.client);
    for number in 0..too_long {
        socket.send(&frames::udp(1, 2, number, 1_000)).expect_err("too long for the other end");
    }
    (0..10).for_each(|number| send(&socket, &frames::udp(1, 2, number, 0)));
    let mut said = String::new();
    errors.read_to_string(&mut said).expect("text");
    (said, child.wait().expect("ended").code())
}

pub(crate) fn what_was_lost_before_the_ring_is_named_and_minded() {
    let lab = quiet_lab();
    let narrow = || Command::new("ip").args(["link", "set", "server", "mtu", "600"]).status();
    assert!(lab.server.namespace.run(narrow).expect("ip").success());
    let (said, code) = strict_run(&lab, &[], 7);
    let line = said.lines().find(|line| line.starts_with("lost before the ring, as far as the host tells: "));
    assert!(line.is_some_and(|line| line.contains("other end of server: 7 client tx_dropped")), "{said}");
    assert_eq!(code, Some(3), "{said}");
}

pub(crate) fn what_may_not_be_looked_at_is_minded_too() {
    let lab = quiet_lab();
    let (said, code) = strict_run(&lab, &["-Z", "nobody"], 0);
    assert!(said.contains("not to be seen: server: tx_dropped of the other end"), "{said}");
    assert_eq!(code, Some(3), "{said}");
}

pub(crate) fn split_leaves_to_the_host_what_no_rule_names() {
    let lab = quiet_lab();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("wanted.pcapng");
    let rule = format!("udp/5300={}", file.display());
    let [wanted, other] = [5300, 5301].map(|port| bound(&lab.server, port));
    let arguments = ["split", "-i", "server", "--xdp=native", "-c", "50", "--to", &rule];
    let (child, errors, said) = start(&lab.server, &arguments);
    assert!(said.contains("packets of udp/5300 are TAKEN from this host"), "{said}");
    let client = bound(&lab.client, 40_000);
    for number in 0..100_u8 {
        client.send_to(&[number; 9], (lab.server.v4, 5300 + u16::from(number % 2))).expect("sent");
    }
    let (_, said) = finish(child, errors);
    assert!(said.contains("50 received = 50 delivered"), "{said}");
    assert_eq!((received(&wanted), received(&other)), (0, 50));
    // And the file says of their checksums what is known.
    let mut copy = CaptureFile::open(&file).expect("a capture");
    let mut frames = 0;
    while let Fill::Batch(batch) = copy.fill(256).expect("whole") {
        assert!(batch.frames().all(|frame| frame.record.offload.checksum_not_ready));
        frames += batch.len();
    }
    assert_eq!(frames, 50);
}

/// A filter that asks for ports leaves the others to the host; one that may want anything takes all, and says so.
pub(crate) fn a_filter_of_ports_leaves_other_ports_to_the_host() {
    for (filter, others) in
        [("udp dst port 5300 and not host 10.77.0.9", 50), ("udp dst port 5300 or arp", 0)]
    {
        let lab = quiet_lab();
        let [wanted, other] = [5300, 5301].map(|port| bound(&lab.server, port));
        let (child, errors, said) =
            start(&lab.server, &["sniff", "-i", "server", "--xdp", "-c", "50", "--count", filter]);
        let named = format!(
            "server: packets of the ports in '{filter}' are TAKEN from this host, which gets all others"
        );
        assert_eq!(said.contains(&named), others > 0, "{said}");
        assert_eq!(said.contains("--ports leaves it all packets with other ports"), others == 0, "{said}");
        let client = bound(&lab.client, 40_000);
        for number in 0..100_u8 {
            client.send_to(&[number; 9], (lab.server.v4, 5300 + u16::from(number % 2))).expect("sent");
        }
        let (_, said) = finish(child, errors);
        assert!(said.contains(" = 50 delivered"), "{said}");
        assert_eq!(received(&wanted), 0);
        // The last one may come when the program is gone already.
        let got = received(&other);
        assert!((others..=others + 1).contains(&got), "{filter}: {got}");
    }
}
