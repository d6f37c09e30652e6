//! What a meter may take, of memory and of time.

use super::*;

const DAY: u64 = 24 * 3_600;

/// Without timeouts a flow is looked at once a minute, be it silent for ever.
#[test]
fn silent_flows_that_never_time_out_are_seldom_looked_at() {
    let options = MeterOptions { idle_timeout: None, active_timeout: None, ..MeterOptions::default() };
    let mut bench = Bench::new(options);
    for port in 1..=100 {
        bench.udp(0, port);
    }
    for second in 1..=600 {
        bench.udp(second * 1_000, 7_000);
    }
    let looks = bench.meter.looks;
    assert!(looks <= 101 * 11, "{looks} looks at 101 flows in ten minutes");
    assert_eq!(bench.finish().0.len(), 101);
}

/// How long records may go on says nothing of how soon a silence is noticed.
#[test]
fn an_idle_flow_ends_soon_whatever_the_active_timeout() {
    for active in [seconds(60), seconds(1_800), seconds(DAY), seconds(30 * DAY), None] {
        let mut bench = Bench::new(MeterOptions { active_timeout: active, ..MeterOptions::default() });
        let most = (0..2_000).map(|at| {
            bench.udp(i64::from(at) * 1_000, 1_000 + at);
            bench.meter.len()
        });
        let most = most.max().unwrap();
        assert!((60..=63).contains(&most), "{most} flows at a time, {active:?}");
        // And at little cost: each is looked at when it is over, and once or twice before.
        let looks = bench.meter.looks;
        assert!(looks <= 3 * 2_000, "{looks} looks, {active:?}");
        assert_eq!(bench.finish().0.len(), 2_000);
    }
}

/// Flows that end early leave nothing behind that grows.
#[test]
fn what_ends_early_takes_no_room_on_the_wheel() {
    // Ports used again and again; connections that are refused at once; one that is asked for and refused over and over; a
    // flood in a small table.
    let syn = |sequence: u32| Tcp::new(40_000, 80).flags(Tcp::SYN).sequence(sequence);
    let reset = |sequence: u32| Tcp::new(80, 40_000).flags(Tcp::RST | Tcp::ACK).acknowledgment(sequence + 1);
    for kind in 0..4 {
        let mut bench = Bench::new(MeterOptions { max_flows: 64, ..MeterOptions::default() });
        let mut most = 0;
        for at in 0..40_000_u32 {
            // A tick of the wheel now and then.
            let time = i64::from(at) / 5;
            match kind {
                0 => bench.send(time, b"", &[&syn(at * 70_000), &Ipv4::new(HERE, THERE)]),
                1 => {
                    bench.send(time, b"", &[&syn(at * 70_000), &Ipv4::new(HERE, THERE)]);
                    bench.send(time, b"", &[&reset(at * 70_000), &Ipv4::new(THERE, HERE)]);
                }
                2 => {
                    bench.send(time, b"", &[&syn(5_000), &Ipv4::new(HERE, THERE)]);
                    bench.send(time, b"", &[&reset(5_000), &Ipv4::new(THERE, HERE)]);
                }
                _ => bench.udp(time, at as u16),
            }
            most = most.max(bench.meter.bytes());
        }
        // The table, and a thousand ticks.
        assert!(most < 120_000, "{most} bytes, kind {kind}");
        bench.finish();
    }
}

#[test]
fn the_largest_flows_come_first_and_no_others() {
    let mut bench = Bench::new(MeterOptions::default());
    for (at, port, packets) in [(0, 1, 3), (1, 2, 1), (2, 3, 5), (3, 4, 3), (4, 5, 2)] {
        (0..packets).for_each(|_| bench.udp(at, port));
    }
    let ports = |count: usize| -> Vec<u16> {
        bench.meter.largest(count).iter().map(|record| record.source().1).collect()
    };
    assert_eq!((ports(0), ports(3)), (vec![], vec![3, 1, 4]), "of those alike the earlier first");
    assert_eq!(ports(9), [3, 1, 4, 5, 2]);
}

/// A frame with a time of next year does not keep all others for ever; and captures may follow one another in any order.
#[test]
fn a_leap_of_time_is_undone_by_those_that_follow() {
    let mut bench = Bench::new(MeterOptions::default());
    bench.udp(365 * 24 * 3_600_000, 9);
    for at in 0..6_000_i64 {
        bench.udp(at * 100, 10_000 + (at % 50_000) as u16);
    }
    assert!(bench.meter.len() < 700, "{} flows of ten a second", bench.meter.len());
    let (records, _) = bench.finish();
    let ends = |end: EndReason| records.iter().filter(|record| record.end == end).count();
    assert!(ends(EndReason::IdleTimeout) > 5_300 && records.len() == 6_001, "{}", records.len());
}
