use super::*;
use crate::build::{DnsMessage as Message, DnsRecord, DnsType, Header, Ipv4, Stack, Tcp, Udp};
use crate::parse::dns::RecordType;
use crate::parse::parse;
use crate::parse::quic::QuicVersion;
use crate::parse::quic::tests::{client_initial, crypto};
use crate::parse::tls::tests::{alpn, handshake, records, server_name};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const OTHER: [u8; 4] = [10, 0, 0, 2];
const RESOLVER: [u8; 4] = [10, 0, 0, 53];
const SERVER: [u8; 4] = [192, 0, 2, 7];
const GROUP: [u8; 4] = [224, 0, 0, 251];
const LLMNR_GROUP: [u8; 4] = [224, 0, 0, 252];

/// Names, and a clock of milliseconds.
struct Scene {
    names: Names,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        Self { names: Names::new(NamesOptions::default()), now: 0 }
    }

    fn time(&self) -> Timestamp {
        Timestamp::new((self.now / 1_000) as i64, (self.now % 1_000) as u32 * 1_000_000)
    }

    fn packet(&mut self, from: [u8; 4], to: [u8; 4], header: &dyn Header, data: &[u8]) -> Option<FlowNames> {
        let mut stack = Stack::new();
        stack.message(data).wrap(header).wrap(Ipv4::new(from, to));
        let mut frame = stack.frame();
        frame.record.time = Some(self.time());
        let layers = parse(&frame);
        let packet = Packet::new(frame, &layers);
        let keyed = FlowKey::of(&packet).unwrap();
        self.names.observe(&packet, &keyed, self.time())
    }

    fn udp(&mut self, from: ([u8; 4], u16), to: ([u8; 4], u16), data: &[u8]) -> Option<FlowNames> {
        self.packet(from.0, to.0, &Udp::new(from.1, to.1), data)
    }

    fn tcp(
        &mut self,
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        sequence: u32,
        data: &[u8],
    ) -> Option<FlowNames> {
        self.packet(from.0, to.0, &Tcp::new(from.1, to.1).sequence(sequence), data)
    }

    fn ask(&mut self, message: &Message) {
        assert_eq!(self.udp((CLIENT, 40_000), (RESOLVER, 53), message.bytes()), None);
    }

    fn answer(&mut self, message: &Message) {
        assert_eq!(self.udp((RESOLVER, 53), (CLIENT, 40_000), message.bytes()), None);
    }

    fn name(&self, client: [u8; 4], server: [u8; 4]) -> Option<&str> {
        self.names.name_for(client.into(), server.into(), self.time())
    }

    fn finished(&mut self) -> Vec<Lookup> {
        std::iter::from_fn(|| self.names.lookups().take()).collect()
    }

    fn counts(&mut self) -> LookupCounts {
        *self.names.lookups().counts()
    }
}

fn query(id: u16, name: &str) -> Message {
    Message::query(id, name, DnsType::A).unwrap()
}

/// To the query, with that address.
fn response(query: &Message, address: [u8; 4]) -> Message {
    Message::response(query).answer(60, DnsRecord::A(address.into())).unwrap()
}

/// A message with any records of the Internet: owner, type, data.
fn with_records(question: &[u8], records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
    let mut bytes = b"\0\x07\x81\x80\0".to_vec();
    bytes.push(u8::from(!question.is_empty()));
    bytes.extend((records.len() as u16).to_be_bytes());
    bytes.extend([0; 4]);
    if !question.is_empty() {
        bytes.extend(question);
        bytes.extend([0, 1, 0, 1]);
    }
    for (owner, kind, data) in records {
        bytes.extend(*owner);
        bytes.extend(kind.to_be_bytes());
        bytes.extend(b"\0\x01\0\0\0\x3c");
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(*data);
    }
    bytes
}

#[test]
fn a_client_has_the_name_it_asked_for_last() {
    let mut scene = Scene::new();
    let first = query(1, "One.test");
    scene.ask(&first);
    scene.answer(&response(&first, SERVER));
    assert_eq!((scene.name(CLIENT, SERVER), scene.name(OTHER, SERVER)), (Some("one.test"), None));
    let second = query(2, "two.test");
    scene.answer(&response(&second, SERVER));
    let asked_by_other = query(3, "three.test");
    let response = response(&asked_by_other, SERVER);
    scene.udp((RESOLVER, 53), (OTHER, 40_000), response.bytes());
    assert_eq!(
        (scene.name(CLIENT, SERVER), scene.name(OTHER, SERVER)),
        (Some("two.test"), Some("three.test"))
    );
    // For its TTL and some minutes more, and not before it was said.
    scene.now = 360_000;
    assert_eq!(scene.name(CLIENT, SERVER), Some("two.test"));
    scene.now = 360_001;
    assert_eq!(scene.name(CLIENT, SERVER), None);
    assert_eq!(scene.names.name_for(CLIENT.into(), SERVER.into(), Timestamp::new(-1, 0)), None);
}

#[test]
fn the_name_is_the_one_asked_for_at_the_head_of_a_chain() {
    let (asked, cdn, edge, alien) = (
        &b"\x03www\x04test\0"[..],
        &b"\x03cdn\x04test\0"[..],
        &b"\x04edge\x04test\0"[..],
        &b"\x05alien\0"[..],
    );
    let (one, two, three) = ([192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]);
    // In any order, with a loop at its end, and with a record that has nothing to do with it.
    let answer = with_records(
        asked,
        &[
            (edge, 1, &one),
            (b"\x03CDN\x04test\0", 5, edge),
            (asked, 5, cdn),
            (edge, 5, asked),
            (edge, 1, &two),
            (alien, 1, &three),
        ],
    );
    let mut scene = Scene::new();
    scene.udp((RESOLVER, 53), (CLIENT, 40_000), &answer);
    for (address, expected) in [(one, "www.test"), (two, "www.test"), (three, "alien")] {
        assert_eq!(scene.name(CLIENT, address), Some(expected));
    }
}

#[test]
fn multicast_answers_name_an_address_for_everybody() {
    let mut scene = Scene::new();
    let announcement = with_records(b"", &[(b"\x07printer\x05local\0", 1, &SERVER)]);
    scene.udp((SERVER, 5353), (GROUP, 5353), &announcement);
    assert_eq!(
        (scene.name(CLIENT, SERVER), scene.name(OTHER, SERVER)),
        (Some("printer.local"), Some("printer.local"))
    );
    assert_eq!(scene.counts().announcements, 1);
}

#[test]
fn addresses_are_bounded() {
    let mut addresses = AddressNames::new(100);
    for index in 0..1_000_u16 {
        let [high, low] = index.to_be_bytes();
        let bytes = with_records(b"\x01a\x04test\0", &[(b"\xc0\x0c", 1, &[10, 9, high, low])]);
        let message = DnsMessage::parse(&bytes).unwrap();
        addresses.learn(Some(CLIENT.into()), &message, Timestamp::default());
        assert!(addresses.len() <= 100);
    }
    assert_eq!(addresses.evicted() + addresses.len() as u64, 1_000);
    let at = |low| addresses.name_for(CLIENT.into(), [10, 9, 3, low].into(), Timestamp::default());
    // 999 = 3 * 256 + 231.
    assert_eq!((at(231), at(182), at(100)), (Some("a.test"), Some("a.test"), None));
}

#[test]
fn a_lookup_has_its_latency_result_and_answers() {
    let mut scene = Scene::new();
    let asked = query(7, "One.test");
    scene.ask(&asked);
    scene.now = 12;
    scene.answer(&response(&asked, SERVER));
    let [lookup] = &scene.finished()[..] else { panic!("one lookup") };
    let reply = lookup.reply().unwrap();
    assert_eq!((&*lookup.name, lookup.kind, lookup.id), ("One.test", RecordType::A, 7));
    assert_eq!((lookup.client, lookup.server), ((CLIENT.into(), 40_000), (RESOLVER.into(), 53)));
    assert_eq!((reply.latency, reply.rcode, lookup.failed()), (Duration::from_millis(12), 0, false));
    let [answer] = &reply.answers[..] else { panic!("one answer") };
    assert_eq!((&*answer.name, answer.ttl, &*answer.data), ("One.test", 60, "192.0.2.7"));
}

#[test]
fn repeats_duplicates_and_failures_are_counted() {
    let mut scene = Scene::new();
    let asked = query(7, "no.test");
    scene.ask(&asked);
    scene.now = 5_000;
    scene.ask(&asked);
    scene.now = 5_020;
    let refused = Message::response(&asked).code(3);
    scene.answer(&refused);
    scene.answer(&refused);
    let [lookup] = &scene.finished()[..] else { panic!("one lookup") };
    assert_eq!((lookup.repeats, lookup.failed()), (1, true));
    assert_eq!(
        lookup.reply().map(|reply| (reply.rcode, reply.latency)),
        Some((3, Duration::from_millis(5_020)))
    );
    let expected = LookupCounts {
        queries: 2,
        responses: 2,
        asked: 1,
        repeats: 1,
        answered: 1,
        answers: 1,
        duplicates: 1,
        ..LookupCounts::default()
    };
    assert_eq!(scene.counts(), expected);
}

#[test]
fn responses_that_answer_nothing_are_told_apart() {
    let mut scene = Scene::new();
    let asked = query(7, "one.test");
    scene.ask(&asked);
    // Another identifier; another name or type under the same one; an error without a question.
    scene.answer(&Message::response(&query(8, "one.test")));
    scene.answer(&Message::response(&query(7, "two.test")));
    scene.answer(&Message::response(&Message::query(7, "one.test", DnsType::AAAA).unwrap()));
    let counts = scene.counts();
    assert_eq!((counts.unsolicited, counts.mismatched, counts.answered), (1, 2, 0));
    scene.udp((RESOLVER, 53), (CLIENT, 40_000), b"\0\x07\x80\x05\0\0\0\0\0\0\0\0");
    assert_eq!(scene.finished()[0].reply().map(|reply| reply.rcode), Some(5));
    // Too short for a header.
    scene.udp((RESOLVER, 53), (CLIENT, 40_000), b"\0\x07");
    assert_eq!(scene.counts().unreadable, 1);
}

#[test]
fn silence_is_told_after_the_timeout_and_what_is_open_at_the_end() {
    let mut scene = Scene::new();
    scene.ask(&query(1, "one.test"));
    scene.now = 9_999;
    scene.ask(&query(2, "two.test"));
    assert!(scene.finished().is_empty());
    // The same ports and identifier for another name: nobody waits for the first any more.
    scene.ask(&query(2, "three.test"));
    scene.now = 10_000;
    scene.ask(&query(4, "four.test"));
    let told: Vec<_> =
        scene.finished().iter().map(|lookup| (lookup.name.clone(), lookup.outcome.clone())).collect();
    assert_eq!(told, [("two.test".into(), Outcome::Unanswered), ("one.test".into(), Outcome::Unanswered)]);
    // Too late.
    scene.answer(&Message::response(&query(1, "one.test")));
    scene.names.lookups().finish();
    let told: Vec<_> =
        scene.finished().iter().map(|lookup| (lookup.name.clone(), lookup.outcome.clone())).collect();
    assert_eq!(told, [("three.test".into(), Outcome::Open), ("four.test".into(), Outcome::Open)]);
    let counts = scene.counts();
    assert_eq!((counts.asked, counts.unanswered, counts.unsolicited, counts.open()), (4, 2, 1, 2));
}

#[test]
fn open_questions_are_bounded() {
    let mut lookups = Lookups::new(Duration::from_secs(10), 50);
    let seen = |port| Seen {
        time: Timestamp::default(),
        source: (CLIENT.into(), port),
        destination: (RESOLVER.into(), 53),
        tcp: false,
        service: Service::Dns,
    };
    let asked = query(1, "one.test");
    for port in 0..1_000 {
        lookups.observe(&DnsMessage::parse(asked.bytes()).unwrap(), &seen(port));
    }
    let evicted: Vec<_> = std::iter::from_fn(|| lookups.take()).collect();
    assert!(evicted.iter().all(|lookup| lookup.outcome == Outcome::Evicted));
    assert_eq!((evicted.len(), lookups.counts().evicted, lookups.counts().open()), (950, 950, 50));
}

#[test]
fn multicast_questions_are_answered_by_name_whoever_says_it() {
    let mut scene = Scene::new();
    let asked = query(0, "printer.local");
    for client in [CLIENT, OTHER] {
        scene.udp((client, 5353), (GROUP, 5353), asked.bytes());
    }
    scene.now = 30;
    let announcement = with_records(b"", &[(b"\x07PRINTER\x05local\0", 1, &SERVER), (b"\x01x\0", 1, &OTHER)]);
    scene.udp((SERVER, 5353), (GROUP, 5353), &announcement);
    let told = scene.finished();
    assert_eq!(told.len(), 2);
    for (lookup, client) in told.iter().zip([CLIENT, OTHER]) {
        assert_eq!((lookup.client.0, lookup.server.0), (client.into(), SERVER.into()));
        let reply = lookup.reply().unwrap();
        assert_eq!((reply.answers.len(), reply.latency), (1, Duration::from_millis(30)));
    }
    // Asked of a group, answered by one: by LLMNR, and by multicast DNS to a client without the port.
    for (port, group) in [(5355, LLMNR_GROUP), (5353, GROUP)] {
        scene.udp((CLIENT, 40_000), (group, port), query(9, "host").bytes());
        let reply = response(&query(9, "host"), SERVER);
        scene.udp((SERVER, port), (CLIENT, 40_000), reply.bytes());
        let [lookup] = &scene.finished()[..] else { panic!("one lookup") };
        assert_eq!((lookup.server, lookup.reply().is_some()), ((SERVER.into(), port), true));
    }
    assert_eq!((scene.counts().asked, scene.counts().answered), (4, 4));
}

#[test]
fn dns_over_tcp_is_read_over_segments_out_of_order() {
    let framed =
        |message: &Message| [&(message.bytes().len() as u16).to_be_bytes()[..], message.bytes()].concat();
    let asked = query(7, "tcp.test");
    let (client, server) = ((CLIENT, 40_000), (RESOLVER, 53));
    let mut scene = Scene::new();
    scene.tcp(client, server, 100, &framed(&asked));
    scene.now = 3;
    let stream = framed(&response(&asked, SERVER));
    scene.tcp(server, client, 500, &stream[..9]);
    scene.tcp(server, client, 529, &stream[29..]);
    scene.tcp(server, client, 500, &stream[..9]);
    assert!(scene.finished().is_empty());
    scene.tcp(server, client, 509, &stream[9..29]);
    let [lookup] = &scene.finished()[..] else { panic!("one lookup") };
    assert_eq!((lookup.tcp, lookup.reply().is_some()), (true, true));
    assert_eq!(scene.name(CLIENT, SERVER), Some("tcp.test"));
    // A new connection with the same ports begins anew.
    scene.tcp(server, client, 600, b"\x09\x09broken");
    scene.packet(RESOLVER, CLIENT, &Tcp::new(53, 40_000).flags(Tcp::SYN | Tcp::ACK).sequence(9), b"");
    let again = query(8, "tcp.test");
    scene.tcp(client, server, 100 + framed(&asked).len() as u32, &framed(&again));
    scene.tcp(server, client, 10, &framed(&response(&again, SERVER)));
    assert_eq!(scene.finished().len(), 1);
}

/// The answer to a zone transfer is of several messages.
#[test]
fn what_goes_on_with_a_zone_transfer_is_no_duplicate() {
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let (client, server) = ((CLIENT, 40_000), (RESOLVER, 53));
    let mut scene = Scene::new();
    // AXFR of the zone `z`.
    let asked = b"\0\x07\0\0\0\x01\0\0\0\0\0\0\x01z\0\0\xfc\0\x01";
    scene.tcp(client, server, 100, &framed(asked));
    let first = [&b"\0\x07\x84\0"[..], &asked[4..]].concat();
    let rest = b"\0\x07\x84\0\0\0\0\0\0\0\0\0";
    scene.tcp(server, client, 500, &[framed(&first), framed(rest), framed(rest)].concat());
    let counts = scene.counts();
    assert_eq!((counts.responses, counts.answers, counts.answered, counts.duplicates), (3, 3, 1, 0));
    // However long it takes: the timeout, of 10 s, is for the next message.
    let mut sequence = 500 + (framed(&first).len() + 2 * framed(rest).len()) as u32;
    for seconds in (9..60).step_by(9) {
        scene.now = seconds * 1_000;
        scene.tcp(server, client, sequence, &framed(rest));
        sequence += framed(rest).len() as u32;
    }
    let counts = scene.counts();
    assert_eq!((counts.answers, counts.unsolicited), (9, 0));
    scene.now = 64_000;
    scene.tcp(server, client, sequence, &framed(rest));
    assert_eq!(scene.counts().unsolicited, 1, "nobody waits for it any more");
}

#[test]
fn a_flow_is_named_by_its_first_bytes() {
    let tls = records(&handshake(&[server_name("TLS.test"), alpn(&[b"h2", b"http/1.1"])]), 1 << 14);
    let quic = client_initial(
        QuicVersion::V1,
        b"somebody",
        0,
        &crypto(0, &handshake(&[server_name("quic.test"), alpn(&[b"h3"])])),
    );
    let (client, server) = ((CLIENT, 40_000), (SERVER, 443));
    let mut scene = Scene::new();
    let named = |server: Option<&str>, from, application: Option<&str>| {
        Some(FlowNames {
            server: server.map(Into::into),
            server_from: from,
            of_source: false,
            application: application.map(Into::into),
        })
    };
    assert_eq!(scene.tcp(client, server, 1, &tls), named(Some("tls.test"), Some("tls"), None));
    assert_eq!(scene.udp(client, server, &quic), named(Some("quic.test"), Some("quic"), Some("h3")));
    assert_eq!(scene.udp(client, server, &quic), None, "it is known");
    let http = b"GET / HTTP/1.1\r\nHost: HTTP.test\r\n\r\n";
    assert_eq!(scene.tcp(client, server, 1, http), named(Some("http.test"), Some("http"), Some("http/1.1")));
    let http = b"GET / HTTP/1.1\r\nHost: 192.0.2.7\r\n\r\n";
    assert_eq!(scene.tcp(client, server, 1, http), named(None, None, Some("http/1.1")));

    // Cut anywhere, the pieces in any order but the first.
    for cut in [5, 40, tls.len() - 1] {
        let client = (CLIENT, cut as u16);
        let last = (cut + 1).max(tls.len() - 3);
        let at = |offset: usize| 1 + offset as u32;
        assert_eq!(scene.tcp(client, server, at(0), &tls[..cut]), None);
        assert_eq!(scene.tcp(client, server, at(last), &tls[last.min(tls.len())..]), None);
        let named = scene.tcp(client, server, at(cut), &tls[cut..last.min(tls.len())]).unwrap();
        assert_eq!(named.server.as_deref(), Some("tls.test"));
    }
    assert_eq!(scene.names.streams_given_up(), 0);
}

/// Overtaken by what follows it, or lost and sent again, the beginning of an opening is still waited for.
#[test]
fn an_opening_whose_end_comes_first_is_put_together() {
    let tls = records(&handshake(&[server_name("tls.test")]), 1 << 14);
    let (client, server) = ((CLIENT, 40_000), (SERVER, 443));
    let (first, last) = tls.split_at(40);
    let named = |seen_after: u64, comes_after: u64| {
        let mut scene = Scene::new();
        scene.packet(CLIENT, SERVER, &Tcp::new(40_000, 443).flags(Tcp::SYN).sequence(99), b"");
        scene.now = seen_after;
        assert_eq!(scene.tcp(client, server, 140, last), None);
        scene.now = comes_after;
        scene.tcp(client, server, 100, first).and_then(|names| names.server)
    };
    assert_eq!(named(20, 20).as_deref(), Some("tls.test"));
    assert_eq!(named(20, 5_000).as_deref(), Some("tls.test"), "it was sent again");
    assert_eq!(named(9_000, 9_000), None, "it is no beginning so late");
    // Of QUIC each packet says where what it has belongs.
    let hello = handshake(&[server_name("quic.test")]);
    let packet = |number, from: usize, to: usize| {
        client_initial(QuicVersion::V1, b"somebody", number, &crypto(from, &hello[from..to]))
    };
    let mut scene = Scene::new();
    assert_eq!(scene.udp(client, server, &packet(1, 30, hello.len())), None);
    let names = scene.udp(client, server, &packet(0, 0, 30)).unwrap();
    assert_eq!(names.server.as_deref(), Some("quic.test"));
}

#[test]
fn hostile_streams_stay_within_their_bound() {
    let mut scene = Scene::new();
    // A hello of 16,000 bytes is announced and never comes, from many ports; so is a DNS message.
    let opening = [&b"\x16\x03\x01\x3e\x80\x01\0\x3e\x7c"[..], &[0; 1_000]].concat();
    for port in 1_024..40_000 {
        scene.tcp((CLIENT, port), (SERVER, 443), 1, &opening);
        scene.tcp((CLIENT, port), (RESOLVER, 53), 1, &[0xff; 1_000]);
    }
    let given_up = scene.names.streams_given_up();
    // 8 MiB hold some 8,000 of each.
    assert!((2 * 30_000..2 * 38_976).contains(&given_up), "{given_up}");
}
