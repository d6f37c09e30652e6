//! Both versions, against the specification's examples, another implementation, and whatever else.

use super::*;
use proptest::prelude::*;

/// A header's reading, as tests compare it.
fn read(bytes: &[u8]) -> Result<Decoded, Error> {
    match decode(bytes) {
        Prefix::Complete((header, length)) => Ok(Decoded::Header(header, length)),
        Prefix::NeedMore { length } => Ok(Decoded::Needs(length)),
        Prefix::Other(error) => Err(error),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect(text)
}

fn proxied(source: &str, destination: &str) -> Header {
    Header::Proxied { transport: Transport::Tcp, source: address(source), destination: address(destination) }
}

fn encoded(header: &Header, version: Version) -> Vec<u8> {
    let mut out = [0; MAX_WRITTEN];
    let length = encode(header, version, &mut out);
    out[..length].to_vec()
}

/// A version 2 header of these parts.
fn binary(version_command: u8, family_transport: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, &[version_command, family_transport], &length, rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 1, 187];

#[test]
fn lines_of_the_specification() {
    for (line, header) in [
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            proxied("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (
            "PROXY TCP6 ffff:f:f:f:f:f:f:ffff ffff::1 65535 0\r\n",
            proxied("[ffff:f:f:f:f:f:f:ffff]:65535", "[ffff::1]:0"),
        ),
        ("PROXY UNKNOWN\r\n", Header::Unknown),
        ("PROXY UNKNOWN ffff::ffff ffff::ffff 65535 65535\r\n", Header::Unknown),
    ] {
        assert_eq!(read(line.as_bytes()), Ok(Decoded::Header(header, line.len())), "{line}");
    }
}

#[test]
fn lines_that_are_not_in_the_specification() {
    for (line, what) in [
        ("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "TCP4, TCP6 or UNKNOWN"),
        ("PROXY UNKNOWNS\r\n", "TCP4, TCP6 or UNKNOWN"),
        ("PROXY \r\n", "TCP4, TCP6 or UNKNOWN"),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", "two addresses"),
        ("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "two addresses"),
        ("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "two addresses"),
        ("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", "two addresses"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "two ports"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", "two ports"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "two ports"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "two ports"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", "end of the line"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", "two ports"),
    ] {
        let error = read(line.as_bytes()).expect_err(line).to_string();
        assert!(error.contains(what), "{line:?}: {error}");
    }
    assert!(matches!(read(b"PROXY TCP4 \xff\r\n"), Err(Error::Expected("a line of ASCII"))));
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(read(&endless), Err(Error::LineTooLong));
    assert_eq!(read(&endless[..106]), Ok(Decoded::Needs(107)));
}

#[test]
fn binary_headers() {
    let header = proxied("192.0.2.7:40000", "198.51.100.1:443");
    let bytes = binary(0x21, 0x11, &V4);
    assert_eq!(read(&bytes), Ok(Decoded::Header(header, 28)));
    assert_eq!(encoded(&header, Version::V2), bytes);
    // Fields behind the addresses: ALPN and one of no meaning to us.
    let with_fields = binary(0x21, 0x11, &[&V4[..], b"\x01\0\x02h2\xe0\0\0"].concat());
    assert_eq!(read(&with_fields), Ok(Decoded::Header(header, with_fields.len())));
    let v6 = proxied("[2001:db8::1]:1", "[2001:db8::2]:2");
    assert_eq!(read(&encoded(&v6, Version::V2)), Ok(Decoded::Header(v6, 52)));
    let Header::Proxied { source, destination, .. } = header else { unreachable!() };
    let datagram = Header::Proxied { transport: Transport::Udp, source, destination };
    assert_eq!(encoded(&datagram, Version::V2), binary(0x21, 0x12, &V4));
    assert_eq!(read(&binary(0x21, 0x12, &V4)), Ok(Decoded::Header(datagram, 28)));
    assert_eq!(encoded(&datagram, Version::V1), b"PROXY UNKNOWN\r\n");
    assert_eq!(read(&binary(0x20, 0, b"")), Ok(Decoded::Header(Header::Local, 16)));
    assert_eq!(read(&binary(0x20, 0x11, &V4)), Ok(Decoded::Header(Header::Local, 28)));
    assert_eq!(read(&binary(0x21, 0, b"")), Ok(Decoded::Header(Header::Unknown, 16)));
    assert_eq!(read(&binary(0x21, 0x31, &[0; 216])), Ok(Decoded::Header(Header::Unknown, 232)));
    for header in [Header::Local, Header::Unknown] {
        assert_eq!(read(&encoded(&header, Version::V2)), Ok(Decoded::Header(header, 16)));
    }
}

#[test]
fn binary_headers_that_are_none() {
    for (bytes, error) in [
        (binary(0x11, 0x11, &V4), Error::Undefined { what: "version", value: 1 }),
        (binary(0x22, 0x11, &V4), Error::Undefined { what: "command", value: 2 }),
        (binary(0x21, 0x13, &V4), Error::Undefined { what: "transport", value: 3 }),
        (binary(0x21, 0x41, &V4), Error::Undefined { what: "address family", value: 4 }),
        (binary(0x21, 0x11, &V4[..11]), Error::TooShort { need: 12, have: 11 }),
        (binary(0x21, 0x21, &V4), Error::TooShort { need: 36, have: 12 }),
        (binary(0x21, 0x11, &[&V4[..], b"\x04"].concat()), Error::Field { kind: 4 }),
        (binary(0x21, 0x11, &[&V4[..], b"\x04\0\x02x"].concat()), Error::Field { kind: 4 }),
        (binary(0x21, 0x11, &[&V4[..], b"\x03\0\x03abc"].concat()), Error::Field { kind: 3 }),
        (binary(0x21, 0x11, &[0; 4081]), Error::TooLong(4097)),
    ] {
        assert_eq!(read(&bytes), Err(error));
    }
    // Said before the rest is waited for.
    assert_eq!(read(&binary(0x21, 0x11, &[0; 4081])[..16]), Err(Error::TooLong(4097)));
}

#[test]
fn a_checksum_is_held_against_the_header() {
    let mut bytes = binary(0x21, 0x11, &[&V4[..], b"\x03\0\x04\0\0\0\0\x04\0\x01x"].concat());
    let expected = crate::checksum::crc32c(&bytes);
    bytes[31..35].copy_from_slice(&expected.to_be_bytes());
    assert!(matches!(read(&bytes), Ok(Decoded::Header(..))));
    bytes[16] ^= 1;
    assert!(matches!(read(&bytes), Err(Error::Checksum { found, .. }) if found == expected));
}

#[test]
fn every_cut_needs_more() {
    for bytes in [
        encoded(&proxied("192.0.2.7:40000", "198.51.100.1:443"), Version::V1),
        encoded(&proxied("[2001:db8::1]:1", "[2001:db8::2]:2"), Version::V2),
    ] {
        for end in 0..bytes.len() {
            let decoded = read(&bytes[..end]);
            assert!(matches!(decoded, Ok(Decoded::Needs(length)) if length > end), "{end}: {decoded:?}");
            assert!(begins(&bytes[..end]) != Prefix::Other(()));
        }
    }
    for other in [&b"GET /"[..], b"PROXX", b"\r\n\r\n\x01", b"\r\nhello", b"\x16\x03"] {
        assert_eq!(read(other), Err(Error::Absent));
    }
}

#[test]
fn addresses_of_two_families_become_one() {
    for (source, destination, line) in [
        ("[::ffff:192.0.2.7]:1", "198.51.100.1:2", "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n"),
        ("[2001:db8::1]:1", "198.51.100.1:2", "PROXY TCP6 2001:db8::1 ::ffff:198.51.100.1 1 2\r\n"),
    ] {
        let header = proxied(source, destination);
        assert_eq!(encoded(&header, Version::V1), line.as_bytes());
        assert!(matches!(
            read(&encoded(&header, Version::V2)),
            Ok(Decoded::Header(Header::Proxied { .. }, _))
        ));
    }
    let longest = proxied(
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
    );
    assert!(matches!(read(&encoded(&longest, Version::V1)), Ok(Decoded::Header(..))));
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    (any::<bool>(), any::<u128>(), any::<u16>()).prop_map(|(v4, bits, port)| match v4 {
        true => SocketAddr::new(IpAddr::V4((bits as u32).into()), port),
        false => SocketAddr::new(IpAddr::V6(bits.into()), port),
    })
}

/// What the crate `ppp` makes of it.
fn by_ppp(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    use ppp::{HeaderResult, v1, v2};
    match HeaderResult::parse(bytes) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Tcp4(ip) => Some((
                (ip.source_address, ip.source_port).into(),
                (ip.destination_address, ip.destination_port).into(),
            )),
            v1::Addresses::Tcp6(ip) => Some((
                (ip.source_address, ip.source_port).into(),
                (ip.destination_address, ip.destination_port).into(),
            )),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(Ok(header)) => match header.addresses {
            v2::Addresses::IPv4(ip) => Some((
                (ip.source_address, ip.source_port).into(),
                (ip.destination_address, ip.destination_port).into(),
            )),
            v2::Addresses::IPv6(ip) => Some((
                (ip.source_address, ip.source_port).into(),
                (ip.destination_address, ip.destination_port).into(),
            )),
            _ => None,
        },
        _ => None,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_here_and_elsewhere(source in any_address(), destination in any_address(), binary: bool) {
        let header = Header::Proxied { transport: Transport::Tcp, source, destination };
        let version = if binary { Version::V2 } else { Version::V1 };
        let bytes = encoded(&header, version);
        let (source, destination) = of_one_family(source, destination);
        let header = Header::Proxied { transport: Transport::Tcp, source, destination };
        prop_assert_eq!(read(&bytes), Ok(Decoded::Header(header, bytes.len())));
        prop_assert_eq!(by_ppp(&bytes), Some((source, destination)));
    }

    #[test]
    fn whatever_comes_is_bounded(
        front in prop_oneof![Just(&b"PROXY TCP4 "[..]), Just(v2::SIGNATURE), Just(&b""[..])],
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [front, &rest].concat();
        match read(&bytes) {
            Ok(Decoded::Header(_, length)) => prop_assert!(length <= bytes.len()),
            Ok(Decoded::Needs(length)) => prop_assert!(length > bytes.len() && length <= MAX_LENGTH),
            Err(_) => {}
        }
    }
}
