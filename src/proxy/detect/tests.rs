//! Routes chosen byte by byte.

use super::*;
use proptest::prelude::*;

/// A hello that asks for this host and these protocols, in one record.
fn hello(host: &str, protocols: &[&str]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let name = sized(&[b"\0", &sized(host.as_bytes())[..]].concat());
    let list: Vec<u8> = protocols
        .iter()
        .flat_map(|protocol| [&[u8::try_from(protocol.len()).unwrap()], protocol.as_bytes()].concat())
        .collect();
    let extensions = [&b"\0\0"[..], &sized(&name), b"\0\x10", &sized(&sized(&list))].concat();
    let body = [&b"\x03\x03"[..], &[7; 32], b"\0\0\x02\x13\x01\x01\0", &sized(&extensions)].concat();
    let message = [b"\x01\0", &sized(&body)[..]].concat();
    [b"\x16\x03\x01", &sized(&message)[..]].concat()
}

fn spoken(spoken: Spoken) -> Condition {
    Condition { spoken: vec![spoken], ..Condition::default() }
}

fn named(names: &[&str], alpn: &[&str]) -> Condition {
    Condition {
        names: names.iter().map(|name| name.parse().expect(name)).collect(),
        alpn: alpn.iter().map(|name| name.parse().expect(name)).collect(),
        ..Condition::default()
    }
}

/// What is chosen at the first cut at which anything is, and where that is. Each answer in front of it asks for more
/// than there is, and no asked-for length is beyond where it is told.
fn grown(conditions: &[Condition], bytes: &[u8]) -> (usize, Choice) {
    for end in 0..=bytes.len() {
        match choose(conditions, None, &bytes[..end], Patience::Left) {
            Choice::Needs(length) => assert!(length > end, "{length} at {end}"),
            choice => {
                // More of it changes nothing.
                assert_eq!(choose(conditions, None, bytes, Patience::Left), choice);
                return (end, choice);
            }
        }
    }
    (bytes.len(), Choice::Needs(bytes.len() + 1))
}

#[test]
fn each_protocol_is_known_by_its_first_bytes() {
    let all = Spoken::NAMES.map(|(_, protocol)| spoken(protocol));
    let of = |wanted| Choice::Route(Spoken::NAMES.iter().position(|(_, spoken)| *spoken == wanted).unwrap());
    for (bytes, end, choice) in [
        (&hello("a.example", &[])[..], 6, of(Spoken::Tls)),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 4, of(Spoken::Ssh)),
        (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 17, of(Spoken::Http1)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", 24, of(Spoken::Http2)),
        (b"PROXY TCP4 1", 12, of(Spoken::ProxyHeader)),
        (b"\r\n\r\n\0\r\nQUIT\n\x21", 12, of(Spoken::ProxyHeader)),
        (b"\x16\x03\x01\x02\0\x02", 6, Choice::None),
        (b"EHLO mail\r\n", 10, Choice::None),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", 1, Choice::None),
        (b"PRI * HTTP/2.0\r\n\r\nGET ", 19, Choice::None),
    ] {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(grown(&all, bytes), (end, choice), "{text:?}");
    }
}

#[test]
fn what_is_left_is_chosen_as_soon_as_it_is_sure() {
    let conditions = [spoken(Spoken::Ssh), Condition::default()];
    assert_eq!(grown(&conditions, b"GET / HTTP/1.1\r\n"), (1, Choice::Route(1)));
    assert_eq!(grown(&conditions, b"SSH?"), (4, Choice::Route(1)));
    assert_eq!(grown(&[Condition::default(), spoken(Spoken::Ssh)], b"SSH-"), (0, Choice::Route(0)));
    // Nothing comes: the server speaks first.
    assert_eq!(choose(&conditions, None, b"", Patience::Over), Choice::Route(1));
    assert_eq!(choose(&conditions[..1], None, b"SS", Patience::Over), Choice::None);
}

#[test]
fn names_choose_among_tls_and_http() {
    let conditions =
        [named(&["a.example"], &["h2"]), named(&["a.example", "*.b.example"], &[]), spoken(Spoken::Tls)];
    let chosen = |bytes: &[u8]| grown(&conditions, bytes).1;
    assert_eq!(chosen(&hello("A.example", &["h2", "http/1.1"])), Choice::Route(0));
    assert_eq!(chosen(&hello("a.example", &["http/1.1"])), Choice::Route(1));
    assert_eq!(chosen(&hello("x.b.example", &["h2"])), Choice::Route(1));
    assert_eq!(chosen(&hello("b.example", &["h2"])), Choice::Route(2));
    assert_eq!(chosen(b"GET / HTTP/1.1\r\nHost: a.example:80\r\n\r\n"), Choice::Route(1));
    assert_eq!(chosen(b"GET / HTTP/1.1\r\nHost: c.example\r\n\r\n"), Choice::None);
    assert_eq!(chosen(b"SSH-2.0-x\r\n"), Choice::None);
    // Not before the whole hello is there, and then at once.
    let bytes = hello("x.b.example", &["h2"]);
    assert_eq!(grown(&conditions, &bytes).0, bytes.len());
}

#[test]
fn networks_choose_without_a_byte() {
    let inside = Condition { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Condition::default() };
    let inside_ssh = Condition { spoken: vec![Spoken::Ssh], ..inside.clone() };
    let conditions = [inside_ssh, inside, spoken(Spoken::Tls)];
    let chosen = |source: &str, bytes: &[u8]| choose(&conditions, source.parse().ok(), bytes, Patience::Left);
    assert_eq!(chosen("10.0.0.1", b""), Choice::Needs(4));
    assert_eq!(chosen("10.0.0.1", b"SSH-"), Choice::Route(0));
    assert_eq!(chosen("10.0.0.1", b"x"), Choice::Route(1));
    assert_eq!(chosen("11.0.0.1", b"SSH-"), Choice::None);
    assert_eq!(choose(&conditions, None, b"x", Patience::Left), Choice::None, "a Unix socket's client");
}

#[test]
fn a_beginning_without_end_is_given_up() {
    let conditions = [named(&["a"], &[]), Condition::default()];
    let endless = [b"GET / HTTP/1.1\r\nX: ", &[b'x'; 2 * MOST][..]].concat();
    assert_eq!(choose(&conditions, None, &endless[..MOST - 1], Patience::Left), Choice::Needs(MOST));
    assert_eq!(choose(&conditions, None, &endless[..MOST], Patience::Left), Choice::Route(1));
    assert_eq!(choose(&conditions, None, &endless, Patience::Left), Choice::Route(1));
}

proptest! {
    /// Whatever comes, in whatever pieces: an answer once given stays, and each call asks for more than there is.
    #[test]
    fn an_answer_stays(
        front in prop_oneof![
            Just(hello("a.example", &["h2"])),
            Just(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec()),
            Just(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            Just(b"PROXY ".to_vec()),
            Just(b"SSH-2".to_vec()),
            Just(Vec::new()),
        ],
        cut in 0_usize..100,
        rest in proptest::collection::vec(any::<u8>(), 0..40),
        order in any::<u8>(),
    ) {
        let mut conditions = vec![named(&["a.example"], &[]), named(&["*"], &["h2"]), Condition::default()];
        conditions.extend(Spoken::NAMES.map(|(_, protocol)| spoken(protocol)));
        let turn = usize::from(order) % conditions.len();
        conditions.rotate_left(turn);
        let bytes = [&front[..cut.min(front.len())], &rest].concat();
        grown(&conditions, &bytes);
    }
}

#[test]
fn datagrams_are_told_by_quics_hello() {
    use crate::parse::quic::tests::{client_initial, crypto};
    use crate::parse::quic::{HelloCollector, QuicVersion};
    use crate::parse::tls::tests::{alpn, extension, handshake, server_name};

    let hello = handshake(&[alpn(&[b"h3"]), extension(51, &[7; 1_300]), server_name("a.example")]);
    let mut collector = HelloCollector::default();
    let part = |number: u8, range: std::ops::Range<usize>| {
        client_initial(QuicVersion::V1, b"ABCDEFGH", number, &crypto(range.start, &hello[range.clone()]))
    };
    assert!(collector.push(&part(0, 0..700)).unwrap().is_none());
    let last = part(1, 700..hello.len());
    let whole = collector.push(&last).unwrap().expect("both parts");

    let named = |name: &str, alpn: &[&str], spoken: &[Spoken]| Condition {
        names: vec![name.parse().unwrap()],
        alpn: alpn.iter().map(|text| text.parse().unwrap()).collect(),
        spoken: spoken.to_vec(),
        ..Condition::default()
    };
    let conditions = [
        named("a.example", &["h2"], &[]),
        named("a.example", &[], &[Spoken::Tls]),
        named("*.example", &["h3"], &[Spoken::Tls, Spoken::Quic]),
        Condition::default(),
    ];
    let choose = |heard: &Heard<'_>, patience| choose_for_datagrams(&conditions, None, heard, patience);
    assert_eq!(choose(&Heard::Hello(whole), Patience::Left), Choice::Route(2));
    assert_eq!(choose(&Heard::Some, Patience::Left), Choice::Needs(1));
    assert_eq!(choose(&Heard::Some, Patience::Over), Choice::Route(3));
    assert_eq!(choose(&Heard::Other, Patience::Left), Choice::Route(3));
    assert_eq!(choose_for_datagrams(&conditions[1..2], None, &Heard::Some, Patience::Left), Choice::None);
}
