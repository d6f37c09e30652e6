use super::*;
use crate::parse::Prefix;

/// An extension.
pub(crate) fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized16(data)].concat()
}

/// `server_name` with one host.
pub(crate) fn server_name(host: &str) -> Vec<u8> {
    extension(0, &sized16(&[&[0], &sized16(host.as_bytes())[..]].concat()))
}

/// `application_layer_protocol_negotiation`.
pub(crate) fn alpn(names: &[&[u8]]) -> Vec<u8> {
    extension(16, &sized16(&names.iter().flat_map(|name| sized8(name)).collect::<Vec<_>>()))
}

fn versions(list: &[u16]) -> Vec<u8> {
    extension(43, &sized8(&list.iter().flat_map(|version| version.to_be_bytes()).collect::<Vec<_>>()))
}

fn sized8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn sized16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A handshake message: a hello with these extensions.
pub(crate) fn handshake(extensions: &[Vec<u8>]) -> Vec<u8> {
    let suites = sized16(b"\x5a\x5a\x13\x01\x13\x02");
    message(&[
        &b"\x03\x03"[..],
        &[7; 32],
        &sized8(&[9; 32]),
        &suites,
        b"\x01\0",
        &sized16(&extensions.concat()),
    ])
}

fn message(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[1], &u32::try_from(body.len()).unwrap().to_be_bytes()[1..], &body].concat()
}

/// The message in records of at most `most` bytes.
pub(crate) fn records(message: &[u8], most: usize) -> Vec<u8> {
    message.chunks(most).flat_map(|fragment| [b"\x16\x03\x01", &sized16(fragment)[..]].concat()).collect()
}

fn browser() -> Vec<u8> {
    handshake(&[
        extension(0x3a3a, b""),
        server_name("Example.com"),
        extension(51, &[3; 1200]),
        alpn(&[b"\x0a\x0a", b"h2", b"http/1.1"]),
        versions(&[0xcaca, 0x0304, 0x0303]),
        extension(0xdada, b"\0"),
    ])
}

fn complete(stream: &[u8]) -> ClientHello<'_> {
    ClientHello::read(stream).complete().expect("a whole hello")
}

fn reason(stream: &[u8]) -> NotTls {
    match ClientHello::read(stream) {
        Prefix::Other(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_browsers_hello_tells_host_protocols_and_versions() {
    let stream = records(&browser(), 1 << 14);
    let hello = complete(&stream);
    assert_eq!(hello.server_name(), Some("Example.com"));
    assert_eq!(hello.alpn().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
    assert_eq!(hello.versions().collect::<Vec<_>>(), [Version::TLS_1_3, Version::TLS_1_2]);
    assert_eq!(hello.highest_version(), Some(Version::TLS_1_3));
}

#[test]
fn every_cut_needs_more_and_says_how_much() {
    for most in [2, 3, 7, 64, 700, 1 << 14] {
        // What follows the message is none of its business, in its last record or after it.
        let mut stream = records(&[&browser()[..], b"\0\0"].concat(), most);
        let whole = complete(&stream).server_name().map(str::to_owned);
        assert_eq!(whole.as_deref(), Some("Example.com"));
        stream.extend(b"anything");
        let mut needed = 0;
        for end in 0..stream.len() {
            match ClientHello::read(&stream[..end]) {
                Prefix::NeedMore { length } => {
                    assert!(length > end, "records of {most}, cut at {end}: {length}");
                    needed = length;
                }
                Prefix::Complete(hello) => {
                    assert_eq!(hello, complete(&stream));
                    assert!(end >= needed, "complete at {end}, before {needed}");
                }
                Prefix::Other(reason) => panic!("records of {most}, cut at {end}: {reason}"),
            }
        }
    }
}

#[test]
fn one_record_is_borrowed_and_several_are_joined() {
    let message = browser();
    let stream = records(&message, 1 << 14);
    let hello = complete(&stream);
    let name = hello.server_name_bytes().unwrap();
    assert!(stream.as_ptr_range().contains(&name.as_ptr()), "the name was copied");
    assert_eq!(complete(&records(&message, 100)), hello);
}

#[test]
fn without_records_it_is_the_same() {
    let message = browser();
    let stream = records(&message, 1 << 14);
    assert_eq!(ClientHello::read_unframed(&message), Prefix::Complete(complete(&stream)));
    for end in 0..message.len() {
        let read = ClientHello::read_unframed(&message[..end]);
        assert!(matches!(read, Prefix::NeedMore { length } if length > end), "cut at {end}: {read:?}");
    }
}

#[test]
fn old_hellos_have_no_extensions() {
    let bare = message(&[b"\x03\x01", &[7; 32], b"\0", b"\0\x02\0\x2f", b"\x01\0"]);
    let stream = records(&bare, 1 << 14);
    let hello = complete(&stream);
    assert_eq!((hello.server_name(), hello.alpn().count()), (None, 0));
    assert_eq!(hello.versions().map(|version| version.to_string()).collect::<Vec<_>>(), ["TLS 1.0"]);
}

#[test]
fn a_name_must_be_printable_and_loses_its_last_dot() {
    let read = |host: &str| {
        let stream = records(&handshake(&[server_name(host)]), 1 << 14);
        complete(&stream).server_name().map(str::to_owned)
    };
    assert_eq!(read("a.test.").as_deref(), Some("a.test"));
    for unprintable in ["", ".", "a b", "a\x1b[2Jb", "a\0", "ü.test"] {
        assert_eq!(read(unprintable), None, "{unprintable:?}");
    }
    // A name of another kind stands before the host's.
    let list = [&b"\x01"[..], &sized16(b"other"), b"\0", &sized16(b"b.test")].concat();
    let stream = records(&handshake(&[extension(0, &sized16(&list))]), 1 << 14);
    assert_eq!(complete(&stream).server_name(), Some("b.test"));
}

#[test]
fn what_is_no_hello_is_told_by_its_first_wrong_byte() {
    for other in
        [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x", b"\x16\x02", b"\x17\x03\x03", b"\x80\x2e\x01\x03\x01"]
    {
        assert_eq!(reason(other), NotTls::NotARecord);
    }
    assert_eq!(reason(b"\x16\x03\x01\0\0"), NotTls::NotARecord, "an empty fragment");
    assert_eq!(reason(b"\x16\x03\x01\x40\x01"), NotTls::NotARecord, "a fragment above 2^14");
    assert_eq!(reason(b"\x16\x03\x09\x01\x01"), NotTls::NotARecord, "a version to come");
    assert_eq!(reason(b"\x16\x03\x03\0\x7a\x02"), NotTls::NotAHello);
    assert_eq!(reason(b"\x16\x03\x03\0\x7a\x01\xff\xff\xff"), NotTls::TooLong);
}

#[test]
fn hostile_lengths_are_malformed() {
    let twice = handshake(&[server_name("a.test"), server_name("b.test")]);
    let two_hosts = [&b"\0"[..], &sized16(b"a"), b"\0", &sized16(b"b")].concat();
    let mut cases = vec![
        twice,
        handshake(&[extension(0, &sized16(&two_hosts))]),
        handshake(&[extension(0, b"\0\x09\0\0\x20a")]),
        handshake(&[extension(0, b"\0\x04\0\0\x01a!")]),
        handshake(&[extension(16, b"\0\x01\0")]),
        handshake(&[extension(43, b"\x01\x03")]),
        handshake(&[b"\0\x2b\xff\xff\x02\x03\x04".to_vec()]),
        message(&[b"\x03\x03", &[7; 32], b"\x21", &[9; 33], b"\0\x02\x13\x01", b"\x01\0"]),
        message(&[b"\x03\x03", &[7; 32], b"\0", b"\0\x03\x13\x01\0", b"\x01\0"]),
        message(&[b"\x03\x03", &[7; 32], b"\0", b"\0\x02\x13\x01", b"\x01\0", b"\0\0", b"!"]),
    ];
    let whole = browser();
    // The message's length is as the bytes are, the inner ones are not; without its extensions it is an old one.
    const BARE: usize = 4 + 2 + 32 + 33 + 8 + 2;
    cases.extend((4..whole.len() - 1).map(|end| message(&[&whole[4..=end]])).filter(|cut| cut.len() != BARE));
    for case in cases {
        let read = ClientHello::read_unframed(&case);
        assert_eq!(read, Prefix::Other(NotTls::Malformed), "{} bytes", case.len());
    }
}

#[test]
fn a_stream_of_small_records_is_given_up() {
    let hello = handshake(&[extension(21, &[0; 60_000])]);
    assert_eq!(reason(&records(&hello, 1)), NotTls::TooLong);
    assert!(ClientHello::read(&records(&hello, 64)).complete().is_some());
}

#[test]
fn a_longest_stream_is_read_in_little_time() {
    // Read again at each length asked for, as a proxy does: work may not grow with the square of it.
    let stream = records(&handshake(&[extension(21, &[0; 60_000])]), 64);
    let (mut have, mut reads) = (0, 0);
    while let Prefix::NeedMore { length } = ClientHello::read(&stream[..have]) {
        (have, reads) = (length, reads + 1);
    }
    assert!(ClientHello::read(&stream[..have]).complete().is_some());
    assert!(reads < 2_100, "{reads} reads");
}
