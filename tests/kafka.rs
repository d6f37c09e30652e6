//! Flow records to Kafka, against librdkafka's own mock cluster: what was promised is there, whatever its broker does.

#[path = "support/records.rs"]
mod records;

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};
use wharf::engine::Engine;
use wharf::flow::FlowRecord;
use wharf::frame::Timestamp;
use wharf::parse::TcpFlags;
use wharf::sink::{CaptureFileWriter, FlowExport, Kafka, KafkaCounts, KafkaOptions};
use wharf::source::synthetic::{Synthetic, Traffic};

const TOPIC: &str = "flows";
const PARTITIONS: i32 = 4;

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster
}

fn options(cluster: &Cluster) -> KafkaOptions {
    let options = KafkaOptions::new(&cluster.bootstrap_servers(), TOPIC);
    // A broker that comes back is soon found.
    let properties = vec![("reconnect.backoff.max.ms".to_owned(), "200".to_owned())];
    KafkaOptions { properties, ..options }
}

/// A record whose packets number it; every fifth is of the same flow.
fn record(at: u32) -> FlowRecord {
    let port = if at.is_multiple_of(5) { 7 } else { (at % 60_000) as u16 };
    FlowRecord {
        first: Some(Timestamp::new(1_700_000_000, 0)),
        last: Some(Timestamp::new(1_700_000_002, 0)),
        packets: [at.into(), 0],
        bytes: [300, 0],
        payload: [100, 0],
        tcp_flags: [TcpFlags(0x1b), TcpFlags(0)],
        ttl: [(63, 64), (0, 0)],
        ..records::record(([10, 0, 0, 1].into(), port), ([192, 0, 2, 7].into(), 443), 6)
    }
}

fn write(kafka: &mut Kafka, numbers: std::ops::Range<u32>) {
    numbers.for_each(|at| kafka.write(&record(at)).unwrap());
}

/// Waits until it holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: never");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All that is in the topic: numbers of records, and the partitions of each key.
fn consumed(cluster: &Cluster) -> (BTreeSet<u64>, BTreeMap<String, BTreeSet<i32>>, usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut numbers, mut keys, mut messages, mut ends) =
        (BTreeSet::new(), BTreeMap::new(), 0, BTreeSet::new());
    let begun = Instant::now();
    while ends.len() < PARTITIONS as usize {
        assert!(begun.elapsed() < Duration::from_secs(60), "the end of {ends:?} only");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let flow: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                assert_eq!(flow["community_id"], key);
                keys.entry(key).or_insert_with(BTreeSet::new).insert(message.partition());
                numbers.insert(flow["packets"][0].as_u64().unwrap());
                messages += 1;
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => drop(ends.insert(partition)),
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    (numbers, keys, messages)
}

#[test]
fn nothing_is_lost_over_a_broker_that_stops_and_starts() {
    let cluster = cluster();
    let mut kafka = Kafka::connect(options(&cluster)).unwrap();
    write(&mut kafka, 0..2_000);
    until("the first deliveries", || {
        kafka.flush().unwrap();
        kafka.counts().delivered > 0
    });
    cluster.broker_down(1).unwrap();
    write(&mut kafka, 2_000..5_000);
    let down = kafka.counts();
    assert!(down.waiting >= 3_000, "nobody takes them now: {down:?}");
    std::thread::sleep(Duration::from_millis(500));
    kafka.flush().unwrap();
    assert!(kafka.counts().waiting >= 3_000, "{:?}", kafka.counts());
    cluster.broker_up(1).unwrap();
    write(&mut kafka, 5_000..6_000);
    kafka.finish().unwrap();
    let expected = KafkaCounts { records: 6_000, delivered: 6_000, ..KafkaCounts::default() };
    assert_eq!(kafka.counts(), expected);
    assert!(
        kafka.account().starts_with("kafka: 6000 records = 6000 delivered + 0 lost"),
        "{}",
        kafka.account()
    );
    let (numbers, keys, messages) = consumed(&cluster);
    assert!(numbers == (0..6_000).collect() && messages >= 6_000, "{} of 6000", numbers.len());
    assert!(keys.values().all(|partitions| partitions.len() == 1), "a key has a partition");
    let used: BTreeSet<i32> = keys.values().flatten().copied().collect();
    assert_eq!(used.len(), PARTITIONS as usize, "and keys are spread");
}

#[test]
fn what_finds_no_room_is_counted_and_the_rest_comes() {
    let cluster = cluster();
    let options = KafkaOptions { queue: 1 << 20, ..options(&cluster) };
    let mut kafka = Kafka::connect(options).unwrap();
    cluster.broker_down(1).unwrap();
    // Some 5 MB.
    write(&mut kafka, 0..10_000);
    let down = kafka.counts();
    assert!(down.queue_full > 1_000 && down.waiting > 1_000 && down.delivered == 0, "{down:?}");
    cluster.broker_up(1).unwrap();
    kafka.finish().unwrap();
    let counts = kafka.counts();
    let KafkaCounts { delivered, queue_full, .. } = counts;
    assert_eq!(counts, KafkaCounts { records: 10_000, delivered, queue_full, ..KafkaCounts::default() });
    assert_eq!(consumed(&cluster).0.len() as u64, delivered);
}

#[test]
fn a_file_waits_for_room_and_loses_nothing() {
    let cluster = cluster();
    let options = KafkaOptions { queue: 1 << 20, wait: true, ..options(&cluster) };
    let mut kafka = Kafka::connect(options).unwrap();
    cluster.broker_down(1).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| write(&mut kafka, 0..10_000));
        std::thread::sleep(Duration::from_secs(1));
        cluster.broker_up(1).unwrap();
    });
    kafka.finish().unwrap();
    assert_eq!(kafka.counts(), KafkaCounts { records: 10_000, delivered: 10_000, ..KafkaCounts::default() });
    assert_eq!(consumed(&cluster).0.len(), 10_000);
}

#[test]
fn the_end_does_not_wait_for_ever_and_says_what_is_not_known() {
    let cluster = cluster();
    let options = KafkaOptions { patience: Duration::from_millis(300), ..options(&cluster) };
    let mut kafka = Kafka::connect(options).unwrap();
    cluster.broker_down(1).unwrap();
    write(&mut kafka, 0..100);
    let begun = Instant::now();
    kafka.finish().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(kafka.counts(), KafkaCounts { records: 100, waiting: 100, ..KafkaCounts::default() });
    assert!(kafka.account().contains("100 not known to be delivered; last error: "), "{}", kafka.account());
}

/// A broker that has died is waited for once, not with every record that comes after it.
#[test]
fn a_broker_that_has_died_is_waited_for_once() {
    let cluster = cluster();
    let patience = Duration::from_secs(1);
    let options = KafkaOptions { queue: 1 << 20, wait: true, patience, ..options(&cluster) };
    let mut kafka = Kafka::connect(options).unwrap();
    cluster.broker_down(1).unwrap();
    let full = (0..20_000).find(|&at| {
        kafka.write(&record(at)).unwrap();
        kafka.counts().queue_full > 0
    });
    let full = full.expect("there is not room for all");
    let begun = Instant::now();
    write(&mut kafka, full + 1..full + 101);
    kafka.finish().unwrap();
    assert!(begun.elapsed() < 10 * patience, "{:?}", begun.elapsed());
    let down = kafka.counts();
    assert_eq!((down.queue_full, down.delivered), (101, 0));
    // Once something is delivered there is a point in waiting again.
    cluster.broker_up(1).unwrap();
    until("the first deliveries", || {
        kafka.flush().unwrap();
        kafka.counts().delivered > 0
    });
    write(&mut kafka, full + 101..full + 8_101);
    kafka.finish().unwrap();
    let counts = kafka.counts();
    assert_eq!((counts.queue_full, counts.waiting, counts.delivered), (101, 0, u64::from(full) + 8_000));
}

/// That records no longer wait does not keep the end from waiting: its broker may be there again.
#[test]
fn the_end_waits_although_a_record_had_waited_in_vain() {
    let cluster = cluster();
    let patience = Duration::from_secs(2);
    let options = KafkaOptions { queue: 1 << 20, wait: true, patience, ..options(&cluster) };
    let mut kafka = Kafka::connect(options).unwrap();
    cluster.broker_down(1).unwrap();
    let lost = (0..20_000).find(|&at| {
        kafka.write(&record(at)).unwrap();
        kafka.counts().queue_full > 0
    });
    let taken = u64::from(lost.expect("there is not room for all"));
    cluster.broker_up(1).unwrap();
    kafka.finish().unwrap();
    let expected =
        KafkaCounts { records: taken + 1, delivered: taken, queue_full: 1, ..KafkaCounts::default() };
    assert_eq!(kafka.counts(), expected);
}

/// A live capture does not wait for its brokers: what it has seen does.
#[test]
fn a_capture_may_begin_before_its_brokers_do() {
    let cluster = cluster();
    cluster.broker_down(1).unwrap();
    let options = KafkaOptions { must_answer: false, ..options(&cluster) };
    let mut kafka = Kafka::connect(options).unwrap();
    assert!(kafka.unanswered().is_some_and(|why| why.starts_with("no broker answers (")));
    write(&mut kafka, 0..1_000);
    kafka.flush().unwrap();
    assert_eq!((kafka.counts().waiting, kafka.lost()), (1_000, 1_000), "not known to have come");
    cluster.broker_up(1).unwrap();
    kafka.finish().unwrap();
    assert_eq!(kafka.counts(), KafkaCounts { records: 1_000, delivered: 1_000, ..KafkaCounts::default() });
    assert_eq!((consumed(&cluster).0.len(), kafka.lost()), (1_000, 0));
}

/// What brokers refuse is lost as what was dropped is: `--strict` minds it.
#[test]
fn strict_minds_records_that_were_not_delivered() {
    let cluster = cluster();
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("in.pcapng");
    let traffic = Traffic { frames: 100, flows: 20, ..Traffic::default() };
    let writer = CaptureFileWriter::create(&capture).unwrap();
    Engine::builder().source(Synthetic::new(&traffic)).rest(writer).run().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["flows", "--csv", "-r"])
            .arg(&capture)
            .args(["--kafka", &format!("{}/{TOPIC}", cluster.bootstrap_servers())])
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run(&["--strict"]);
    assert!(code == Some(0) && told.contains("20 records = 20 delivered"), "{code:?} {told}");
    for (arguments, expected) in [(&["--strict"][..], 3), (&[], 0)] {
        cluster.clear_request_errors(RDKafkaApiKey::Produce);
        let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        cluster.request_errors(RDKafkaApiKey::Produce, &[refusal; 100]);
        let (code, told) = run(arguments);
        assert!(
            told.contains("20 records = 0 delivered + 0 lost as the queue was full + 20 refused"),
            "{told}"
        );
        assert_eq!(code, Some(expected), "{told}");
    }
}

#[test]
fn wrong_ends_are_told_at_once() {
    let cluster = cluster();
    let mut wrong = options(&cluster);
    wrong.properties.push(("no.such.property".to_owned(), "1".to_owned()));
    let Err(error) = Kafka::connect(wrong) else { panic!("there is no such property") };
    assert!(error.to_string().contains("no.such.property"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pcap");
    let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 101];
    std::fs::write(&empty, header.map(u32::to_le_bytes).concat()).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["flows", "-r"])
            .arg(&empty)
            .arg("--kafka")
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, words) in [
        (&["here"][..], "here: brokers and a topic are"),
        (&["here:1/topic", "--kafka-set", "x"], "x: a property is NAME=VALUE"),
    ] {
        let (code, told) = run(arguments);
        assert!(code == Some(2) && told.contains(words), "{code:?} {told}");
    }
    let (code, told) = run(&["here:1/topic", "--kafka-set", "security.protocol=ssl"]);
    assert!(code == Some(1) && told.contains("there is no TLS"), "{code:?} {told}");
    // What is wrong has nothing to do with that.
    let secure = ["--kafka-set", "sasl.mechanism=PLAIN", "--kafka-set", "no.such.property=1"];
    let (code, told) = run(&[&["here:1/topic"][..], &secure].concat());
    let words = told.contains("no.such.property") && !told.contains("there is no TLS");
    assert!(code == Some(1) && words, "{code:?} {told}");
    // Nobody listens there any more.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, told) = run(&[&format!("{nobody}/flows")]);
    assert!(
        code == Some(1) && told.contains(&format!("kafka://{nobody}/flows: no broker answers (")),
        "{code:?} {told}"
    );
    let (code, told) = run(&[&format!("{}/flows", cluster.bootstrap_servers())]);
    let account = "kafka: 0 records = 0 delivered + 0 lost as the queue was full + 0 refused + 0 not known";
    assert!(code == Some(0) && told.contains(account), "{code:?} {told}");
}
