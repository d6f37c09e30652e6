//! AF_XDP over a veth pair in namespaces of its own: what a bare loop receives that only counts, and what wharf receives
//! while it parses, verifies checksums and counts by port. Sender on CPU 0, with the kernel's half of receiving; receiver
//! on CPU 1. A thread of the kernel's on a third CPU may take live frames in (threaded NAPI, GRO on); on either of these two it and
//! what spins there starve each other.
//!
//! Each round runs every receiver once; shown are medians. Needs root.

mod bare;
mod testpmd;

use bare::Bare;
use core_affinity::CoreId;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use testpmd::Testpmd;
use wharf::engine::{Engine, Shutdown};
use wharf::sink::Count;
use wharf::source::xdp::{AttachMode, Capture, Waiting};
use wharf::sys::bpf::Program;
use wharf::sys::lab::{Host, Lab};
use wharf::sys::link;
use wharf::sys::xdp::{Attachment, Copying, Sender, program};
use wharf::verify::Verdict;

/// How frames are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Feed {
    /// An AF_XDP socket, as fast as it goes: packets of the kernel's own kind come over the wire.
    Sockets,
    /// The kernel makes them itself (`BPF_F_TEST_XDP_LIVE_FRAMES`).
    Live,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Receiver {
    BareSpin,
    WharfSpin,
    BarePoll,
    WharfSleep,
    Testpmd,
}

/// What one run came to.
#[derive(Clone, Copy, Debug)]
struct Figures {
    sent: f64,
    received: f64,
    /// Of the receiver.
    cpu: f64,
    switches: f64,
}

/// CPU time and voluntary switches of the process or of the calling thread.
fn usage(who: libc::c_int) -> (f64, i64) {
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    unsafe { libc::getrusage(who, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_nvcsw)
}

/// An Ethernet frame with IPv4 and UDP, with both checksums right.
fn frame(port: u16, length: usize) -> Vec<u8> {
    use wharf::build::{Ethernet, Ipv4, Stack, Udp};
    let mut stack = Stack::new();
    stack
        .message(&vec![0x5a; length - 42])
        .wrap(Udp::new(40_000 + port, port))
        .wrap(Ipv4::new([10, 77, 0, 1], [198, 51, 100, 7]))
        .wrap(Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]));
    stack.bytes().to_vec()
}

fn send(feed: Feed, host: &Host, length: usize, over: &AtomicBool) -> io::Result<(u64, (f64, i64))> {
    core_affinity::set_for_current(CoreId { id: 0 });
    host.namespace.enter()?;
    let index = link::index_of(host.interface)?;
    let mut sent = 0_u64;
    match feed {
        Feed::Sockets => {
            let opened = Sender::open((index, 0), (2048, 1024), Copying::Auto);
            let mut sender = opened.map_err(|(_, error)| error)?;
            let frames: Vec<_> = (0..256).map(|number| frame(1000 + number % 16, length)).collect();
            let frames: Vec<_> = frames.iter().map(|frame| &frame[..]).collect();
            while !over.load(Ordering::Relaxed) {
                sent += sender.send_batch(&frames)? as u64;
            }
        }
        Feed::Live => {
            let program =
                Program::load_xdp("redirect", &program::redirect_to(index)).map_err(io::Error::other)?;
            let frame = frame(1000, length);
            while !over.load(Ordering::Relaxed) {
                program.test_run_live_frames(&frame, 50_000, 256)?;
                sent += 50_000;
            }
        }
    }
    Ok((sent, usage(libc::RUSAGE_THREAD)))
}

/// Has a thread of the kernel's take in what comes to a host, on the CPU that the variable NAPI names; without it, the sender's
/// CPU does. Such a thread wants a CPU of its own: a third one.
fn thread_of_its_own(host: &Host) -> io::Result<()> {
    let name = host.interface;
    let core = std::env::var("NAPI").unwrap_or_else(|_| "off".to_owned());
    if core == "off" {
        return Ok(());
    }
    let script = format!(
        "ethtool -K {name} gro on && mount -t sysfs none /sys && echo 1 >/sys/class/net/{name}/threaded || exit 1
         threads=$(pgrep -f '^\\[?napi/{name}') || exit 1
         for thread in $threads; do taskset -cp {core} $thread >/dev/null || exit 1; done"
    );
    let shell = || Command::new("unshare").args(["--mount", "sh", "-c", &script]).status();
    match host.namespace.run(shell)?.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("cannot have a NAPI thread on CPU {core}"))),
    }
}

/// Nanoseconds of CPU that a process has had, all threads, and times that they gave it up.
fn used_by(process: u32) -> io::Result<(f64, i64)> {
    let (mut nanoseconds, mut switches) = (0.0, 0);
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        let times = std::fs::read_to_string(task.join("schedstat"))?;
        nanoseconds += times.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0.0);
        let status = std::fs::read_to_string(task.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        switches += line.and_then(|count| count.trim().parse::<i64>().ok()).unwrap_or(0);
    }
    Ok((nanoseconds / 1e9, switches))
}

/// The same as [`run`] of another program.
fn run_testpmd(lab: &Lab, feed: Feed, length: usize, time: Duration) -> io::Result<Figures> {
    let scratch = std::env::temp_dir().join(format!("xdp-peers-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let receiving = Testpmd::start(&lab.server, &scratch)?;
    let (before, over, begun) = (used_by(receiving.id())?, AtomicBool::new(false), Instant::now());
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| send(feed, &lab.client, length, &over));
        thread::sleep(time);
        over.store(true, Ordering::Relaxed);
        sending.join().expect("the sender")
    });
    let (sent, elapsed) = (sent?.0, begun.elapsed().as_secs_f64());
    thread::sleep(Duration::from_millis(20));
    let after = used_by(receiving.id())?;
    let received = receiving.finish()?;
    std::fs::remove_dir_all(&scratch)?;
    Ok(Figures {
        sent: sent as f64 / elapsed,
        received: received as f64 / elapsed,
        cpu: (after.0 - before.0) / received as f64 * 1e9,
        switches: (after.1 - before.1) as f64 / elapsed,
    })
}

fn receive_bare(host: &Host, spin: bool, over: &AtomicBool) -> io::Result<u64> {
    core_affinity::set_for_current(CoreId { id: 1 });
    let (mut bare, _attached) = host.namespace.run(|| {
        let index = link::index_of(host.interface)?;
        let attached = Attachment::new(index, AttachMode::Native, 1, None).map_err(io::Error::other)?;
        let bare = Bare::open(index, 0);
        attached.add(0, &bare)?;
        Ok((bare, attached))
    })?;
    let mut received = 0;
    while !over.load(Ordering::Relaxed) {
        match bare.receive() {
            0 if !spin => bare.poll(),
            count => received += u64::from(count),
        }
    }
    Ok(received)
}

fn receive_wharf(host: &Host, waiting: Waiting, end: &Shutdown) -> io::Result<u64> {
    let opened = host.namespace.run(|| Ok(Capture::on(host.interface).waiting(waiting).open()))?;
    let mut count = Count::new();
    let built = Engine::builder().source(opened.map_err(io::Error::other)?).rest(&mut count);
    let report = built.cores([1]).shutdown(end.clone()).run().map_err(io::Error::other)?;
    assert!(report.balanced(), "{report}");
    assert_eq!(report.checksums.l4.of(Verdict::Bad { found: 0, expected: 0 }), 0, "{report}");
    assert_eq!(report.total.delivered, count.table().packets);
    Ok(report.total.delivered)
}

fn run(feed: Feed, receiver: Receiver, length: usize, time: Duration) -> io::Result<Figures> {
    let lab = Lab::new()?.with_static_neighbours()?;
    if feed == Feed::Live {
        thread_of_its_own(&lab.server)?;
    }
    if receiver == Receiver::Testpmd {
        return run_testpmd(&lab, feed, length, time);
    }
    let (over, end, stop) = (AtomicBool::new(false), Shutdown::default(), AtomicBool::new(false));
    let (over, stop) = (Arc::new(over), Arc::new(stop));
    thread::scope(|scope| {
        let before = usage(libc::RUSAGE_SELF);
        let receiving = scope.spawn(|| match receiver {
            Receiver::BareSpin => receive_bare(&lab.server, true, &stop),
            Receiver::BarePoll => receive_bare(&lab.server, false, &stop),
            Receiver::WharfSpin => receive_wharf(&lab.server, Waiting::Spin, &end),
            Receiver::WharfSleep => receive_wharf(&lab.server, Waiting::Sleep, &end),
            Receiver::Testpmd => unreachable!("a program of its own"),
        });
        thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        let sending = scope.spawn(|| send(feed, &lab.client, length, &over));
        thread::sleep(time);
        over.store(true, Ordering::Relaxed);
        let (sent, (sender_cpu, sender_switches)) = sending.join().expect("the sender")?;
        let elapsed = begun.elapsed().as_secs_f64();
        thread::sleep(Duration::from_millis(20));
        stop.store(true, Ordering::Relaxed);
        end.request();
        let received = receiving.join().expect("the receiver")?;
        let after = usage(libc::RUSAGE_SELF);
        Ok(Figures {
            sent: sent as f64 / elapsed,
            received: received as f64 / elapsed,
            cpu: (after.0 - before.0 - sender_cpu) / received as f64 * 1e9,
            switches: (after.1 - before.1 - sender_switches) as f64 / elapsed,
        })
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let feeds = match arguments.next().as_deref() {
        Some("live") => vec![Feed::Live],
        Some("sockets") => vec![Feed::Sockets],
        _ => vec![Feed::Sockets, Feed::Live],
    };
    let rounds: usize = arguments.next().map_or(5, |text| text.parse().expect("a number of rounds"));
    let time =
        Duration::from_millis(arguments.next().map_or(1000, |text| text.parse().expect("milliseconds")));
    let length: usize = arguments.next().map_or(60, |text| text.parse().expect("bytes"));
    let mut all = vec![Receiver::BareSpin, Receiver::WharfSpin, Receiver::BarePoll, Receiver::WharfSleep];
    if testpmd::is_here() {
        all.push(Receiver::Testpmd);
    } else {
        eprintln!("SKIPPED: no testpmd with AF_XDP (Debian: dpdk-dev, librte-net-af-xdp23)");
    }
    println!("feed\treceiver\tbytes\tsent k/s\treceived k/s\tCPU ns a frame\tswitches/s");
    for feed in feeds {
        let mut found: Vec<Vec<Figures>> = vec![Vec::new(); all.len()];
        for _ in 0..rounds {
            for (figures, &receiver) in found.iter_mut().zip(&all) {
                figures.push(run(feed, receiver, length, time)?);
            }
        }
        for (figures, receiver) in found.iter().zip(&all) {
            let of = |field: fn(&Figures) -> f64| median(figures.iter().map(field).collect());
            println!(
                "{feed:?}\t{receiver:?}\t{length}\t{:.0}\t{:.0}\t{:.0}\t{:.0}",
                of(|one| one.sent) / 1e3,
                of(|one| one.received) / 1e3,
                of(|one| one.cpu),
                of(|one| one.switches),
            );
        }
    }
    Ok(())
}
