//! Every packet goes to one output and is accounted for.

use crate::memory::{Memory, Witness, mixed, udp};
use wharf::engine::{Engine, Error};
use wharf::frame::Annotation;
use wharf::sink::{Discard, InterfaceStatistics};
use wharf::source::Counters;

#[test]
fn every_packet_goes_to_one_output_in_order() {
    let (mut dns, mut web, mut rest) = (Witness::default(), Witness::default(), Witness::default());
    let mut source = Memory::new(mixed());
    source.counters = Counters { dropped_ring: 7, filtered: 5, freezes: 2, ..Counters::default() };
    let report = Engine::builder()
        .source(source)
        .output("udp/53".parse().unwrap(), &mut dns)
        .output("any/80,8080".parse().unwrap(), &mut web)
        .rest(&mut rest)
        .run()
        .unwrap();

    for (first, count, witness) in [(1, 334, dns), (2, 333, web), (3, 333, rest)] {
        assert_eq!(witness.seen, (0..count).map(|n| n * 3 + first).collect::<Vec<_>>());
        assert_eq!(
            witness.finished,
            [[InterfaceStatistics { received: 1012, dropped: 7, ..Default::default() }]]
        );
    }
    assert!(report.balanced());
    assert_eq!(report.workers, std::slice::from_ref(&report.total));
    assert_eq!(
        report.to_string(),
        "1012 received = 1000 delivered + 5 filtered out + 7 dropped (7 kernel ring full)\n  \
         udp/53       334 received = 334 delivered + 0 filtered out + 0 dropped\n  \
         any/80,8080  333 received = 333 delivered + 0 filtered out + 0 dropped\n  \
         rest         333 received = 333 delivered + 0 filtered out + 0 dropped\n\
         the kernel's ring was full 2 times"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["received"], 1012);
    assert_eq!(json["dropped"]["kernel_ring_full"], 7);
    assert_eq!(json["outputs"][1]["rule"], "any/80,8080");
    assert_eq!(json["checksums"]["l4"]["absent"], 1000);
}

#[test]
fn a_source_that_hides_packets_unbalances_the_report() {
    let mut source = Memory::new(mixed());
    // Counted as received before, never handed out, not named.
    source.counters.received = 1;
    let report = Engine::builder().source(source).rest(Discard).run().unwrap();
    assert!(!report.balanced());
    assert_eq!(report.to_string(), "1001 received IS NOT 1000 delivered + 0 filtered out + 0 dropped");
}

#[test]
fn without_a_rest_output_the_rest_is_filtered_out() {
    let report = Engine::builder()
        .source(Memory::new(mixed()))
        .output("udp/53".parse().unwrap(), Discard)
        .run()
        .unwrap();
    assert!(report.balanced());
    assert_eq!((report.total.delivered, report.total.filtered_out), (334, 666));
}

#[test]
fn annotations_reach_every_output_before_the_packets_they_precede() {
    let (mut dns, mut rest) = (Witness::default(), Witness::default());
    let mut source = Memory::new([udp(1, 53), udp(1, 2)]);
    source.annotations = vec![Annotation { kind: 10, section: 0, body: Vec::new() }];
    let builder = Engine::builder().source(source);
    builder.output("udp/53".parse().unwrap(), &mut dns).rest(&mut rest).run().unwrap();
    assert_eq!((dns.seen, rest.seen), (vec![-10, 1], vec![-10, 2]));
}

#[test]
fn a_run_needs_a_source() {
    assert!(matches!(Engine::builder().rest(Discard).run(), Err(Error::NoSource)));
}
