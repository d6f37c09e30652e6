use super::keys::{CLIENT, Keys};
use super::*;
use crate::parse::tls::tests::{extension, handshake, server_name};
use aes_gcm::aes::cipher::KeyInit;
use aes_gcm::{AeadInOut, Aes128Gcm};

/// RFC 9001 and 9369 A.1: the id the client chose.
const ID: [u8; 8] = *b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";
const SERVER: &[u8] = b"server in";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Seals a payload as RFC 9001 5.3 and 5.4 say; the number is the header's last four bytes or the last `number_length`.
fn seal(keys: &Keys, header: &[u8], number: u64, number_length: usize, payload: &[u8]) -> Vec<u8> {
    let mut sealed = payload.to_vec();
    let tag = Aes128Gcm::new(&keys.key.into())
        .encrypt_inout_detached(&keys.nonce(number).into(), header, sealed.as_mut_slice().into())
        .unwrap();
    sealed.extend(tag);
    let sample = sealed[4 - number_length..].first_chunk().unwrap();
    let mask = keys.header_mask(*sample);
    let mut packet = header.to_vec();
    packet[0] ^= mask[0] & 0x0f;
    let at = header.len() - number_length;
    packet[at..].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
    packet.extend(sealed);
    packet
}

/// A client's Initial packet with these frames, made as long as the standard wants it.
pub(crate) fn client_initial(version: QuicVersion, id: &[u8], number: u8, frames: &[u8]) -> Vec<u8> {
    sealed_for(version, id, id, number, frames)
}

/// The same under the keys of `origin`.
fn sealed_for(version: QuicVersion, origin: &[u8], id: &[u8], number: u8, frames: &[u8]) -> Vec<u8> {
    let mut payload = frames.to_vec();
    payload.resize(frames.len().max(1_162), 0);
    let mut header = match version {
        QuicVersion::V1 => b"\xc0\0\0\0\x01".to_vec(),
        QuicVersion::V2 => b"\xd0\x6b\x33\x43\xcf".to_vec(),
    };
    header.push(u8::try_from(id.len()).unwrap());
    header.extend(id);
    header.extend([0, 0]);
    header.extend((0x4000 | u16::try_from(payload.len() + 17).unwrap()).to_be_bytes());
    header.push(number);
    seal(&Keys::derive(version, origin, CLIENT).unwrap(), &header, number.into(), 1, &payload)
}

/// A CRYPTO frame.
pub(crate) fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    let two = |value: usize| (0x4000 | u16::try_from(value).unwrap()).to_be_bytes();
    [&[6], &two(offset)[..], &two(data.len()), data].concat()
}

fn hello() -> Vec<u8> {
    handshake(&[extension(51, &[7; 1_300]), server_name("quic.test")])
}

fn name(collector: &mut HelloCollector, datagram: &[u8]) -> Result<Option<String>, NotQuic> {
    let hello = collector.push(datagram)?;
    Ok(hello.and_then(|hello| hello.server_name().map(str::to_owned)))
}

/// RFC 9001 A.2 and RFC 9369 A.2: the payload without its padding.
const PAYLOAD: &str = "
    060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868
    04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578
    616d706c652e636f6dff01000100000a00080006001d00170018001000070005
    04616c706e000500050100000000003300260024001d00209370b2c9caa47fba
    baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400
    0d0010000e0403050306030203080408050806002d00020101001c0002400100
    3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000
    75300901100f088394c8f03e51570806048000ffff";

#[test]
fn keys_are_those_of_the_standards_examples() {
    for (version, side, key, iv, header) in [
        (
            QuicVersion::V1,
            CLIENT,
            "1f369613dd76d5467730efcbe3b1a22d",
            "fa044b2f42a3fd3b46fb255c",
            "9f50449e04a0e810283a1e9933adedd2",
        ),
        (
            QuicVersion::V1,
            SERVER,
            "cf3a5331653c364c88f0f379b6067e37",
            "0ac1493ca1905853b0bba03e",
            "c206b8d9b9f0f37644430b490eeaa314",
        ),
        (
            QuicVersion::V2,
            CLIENT,
            "8b1a0bc121284290a29e0971b5cd045d",
            "91f73e2351d8fa91660e909f",
            "45b95e15235d6f45a6b19cbcb0294ba9",
        ),
        (
            QuicVersion::V2,
            SERVER,
            "82db637861d55e1d011f19ea71d5d2a7",
            "dd13c276499c0249d3310652",
            "edf6d05c83121201b436e16877593c3a",
        ),
    ] {
        let keys = Keys::derive(version, &ID, side).unwrap();
        assert_eq!(keys.key[..], hex(key), "{version:?}");
        assert_eq!(keys.iv[..], hex(iv), "{version:?}");
        assert_eq!(keys.header[..], hex(header), "{version:?}");
    }
}

#[test]
fn the_clients_packet_of_the_standards_examples_gives_its_hello() {
    // The whole packets are in the standards; a tag covers every byte of them.
    for (version, header, first, last) in [
        (
            QuicVersion::V1,
            "c300000001088394c8f03e5157080000449e00000002",
            "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
            "7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241e221af44860018ab0856972e194cd934",
        ),
        (
            QuicVersion::V2,
            "d36b3343cf088394c8f03e5157080000449e00000002",
            "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
            "3cfb5a05e08d0b209973b2172b4d21fb69745a262ccde96ba18b2faa745b6fe189cf772a9f84cbfc",
        ),
    ] {
        let mut payload = hex(PAYLOAD);
        payload.resize(1_162, 0);
        let keys = Keys::derive(version, &ID, CLIENT).unwrap();
        let packet = seal(&keys, &hex(header), 2, 4, &payload);
        assert!(packet.starts_with(&hex(first)) && packet.ends_with(&hex(last)), "{version:?}");
        let mut collector = HelloCollector::default();
        let hello = collector.push(&packet).unwrap().expect("one packet holds it");
        assert_eq!(hello.server_name(), Some("example.com"));
        assert_eq!(hello.alpn().collect::<Vec<_>>(), [b"alpn"]);
    }
}

#[test]
fn the_servers_packet_of_the_standards_examples_opens_with_its_keys_only() {
    let payload = hex("02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739
        88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94
        0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304");
    for packet in [
        "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a
         5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3
         dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84
         022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4
         2158407dd074ee",
        "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d
         9b89237bbf87263017915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4c
         fa52382dd16a393e42757507698075b2c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a
         3e2c43edd9ce7ca84bed8521e2e140",
    ] {
        let packet = hex(packet);
        let initial = initials(&packet).next().expect("an Initial packet");
        assert_eq!((initial.destination, initial.source), (&[][..], &hex("f067a5502a4262b5")[..]));
        let keys = |side| Keys::derive(initial.version, &ID, side).unwrap();
        assert_eq!(initial.open(&keys(SERVER)), Some(payload.clone()));
        assert_eq!(initial.open(&keys(CLIENT)), None);
    }
}

#[test]
fn a_shuffled_hello_over_several_datagrams_is_put_in_order() {
    let hello = hello();
    let cuts = [900..hello.len(), 3..40, 0..5, 500..901, 40..200, 190..520];
    let pieces = cuts.map(|cut| crypto(cut.start, &hello[cut]));
    let ping = [1_u8];
    let ack = [2_u8, 5, 0, 1, 2, 0, 1];
    let first = [&pieces[0][..], &ping, &[0; 9], &pieces[1]].concat();
    let second = [&ack[..], &pieces[2], &pieces[3]].concat();
    for version in [QuicVersion::V1, QuicVersion::V2] {
        let mut collector = HelloCollector::default();
        assert_eq!(name(&mut collector, &client_initial(version, &ID, 0, &first)), Ok(None));
        // What the server says in between, and what is no QUIC at all, changes nothing.
        assert_eq!(name(&mut collector, b"\x40 short header"), Ok(None));
        let to_the_servers_id = sealed_for(version, &ID, b"\x11\x22\x33\x44", 1, &second);
        assert_eq!(name(&mut collector, &to_the_servers_id), Ok(None));
        // Two packets in one datagram.
        let rest = [4, 5].map(|index| client_initial(version, &ID, index as u8, &pieces[index])).concat();
        assert_eq!(name(&mut collector, &rest), Ok(Some("quic.test".to_owned())));
    }
}

#[test]
fn after_a_retry_the_hello_comes_under_other_keys() {
    let hello = hello();
    let mut collector = HelloCollector::default();
    let first = client_initial(QuicVersion::V1, &ID, 0, &crypto(0, &hello[..700]));
    assert_eq!(name(&mut collector, &first), Ok(None));
    let again = client_initial(QuicVersion::V1, b"retryid8", 1, &crypto(0, &hello));
    assert_eq!(name(&mut collector, &again), Ok(Some("quic.test".to_owned())));
}

#[test]
fn what_gives_no_hello_is_told() {
    let push = |datagram: &[u8]| HelloCollector::default().push(datagram).map(|hello| hello.is_some());
    let initial = client_initial(QuicVersion::V1, &ID, 0, &crypto(0, &hello()));
    assert_eq!(push(&initial), Ok(true));
    assert_eq!(push(b""), Err(NotQuic::NotInitial));
    // A version to come, a connection id too long, a length beyond the datagram, a Retry.
    let changed = |at: usize, to: u8| {
        let mut datagram = initial.clone();
        datagram[at] = to;
        datagram
    };
    for datagram in [changed(4, 9), changed(5, 21), initial[..initial.len() - 1].to_vec(), changed(0, 0xf0)] {
        assert_eq!(push(&datagram), Err(NotQuic::NotInitial));
    }
    // A bit that is not as it was sealed.
    assert_eq!(push(&changed(initial.len() - 1, 0)), Ok(false));
    // A handshake message that is no ClientHello.
    let other = client_initial(QuicVersion::V1, &ID, 0, &crypto(0, b"\x02\0\0\x01\0"));
    assert_eq!(push(&other), Err(NotQuic::Tls(crate::parse::tls::NotTls::NotAHello)));
}

#[test]
fn a_hello_that_does_not_come_is_given_up() {
    let pushed = |datagram: &[u8]| {
        let mut collector = HelloCollector::default();
        (1..=99).find_map(|count| collector.push(datagram).err().map(|reason| (count, reason)))
    };
    let first_piece = client_initial(QuicVersion::V1, &ID, 0, &crypto(0, &hello()[..9]));
    assert_eq!(pushed(&first_piece), Some((32, NotQuic::TooLong)));
    let sealed = sealed_for(QuicVersion::V1, b"somebody", &ID, 0, &crypto(0, &hello()));
    assert_eq!(pushed(&sealed), Some((32, NotQuic::Sealed)));
}

#[test]
fn pieces_are_kept_within_bounds() {
    use super::crypto_stream::{CryptoStream, NoRoom};
    use super::frames::Crypto;
    let mut stream = CryptoStream::default();
    fn piece(offset: usize, data: &[u8]) -> Crypto<'_> {
        Crypto { offset, data }
    }
    // Ahead of a gap: so many, and not one more; the same one again takes no room.
    for index in 0..64 {
        assert_eq!(stream.push(piece(2 * index + 1, &[index as u8])), Ok(()));
    }
    assert_eq!(stream.push(piece(131, b"!")), Err(NoRoom));
    assert_eq!(stream.push(piece(1, b"x")), Ok(()));
    assert_eq!(stream.push(piece(MAX_CRYPTO - 1, b"xx")), Err(NoRoom));
    assert_eq!(stream.push(piece(usize::MAX, b"xx")), Err(NoRoom));
    // The gaps close from the first on, by pieces that hold more than is missing.
    for index in 0..64 {
        assert_eq!(stream.push(piece(2 * index, &[b'-', index as u8, b'-'])), Ok(()));
    }
    let expected: Vec<u8> = (0..64).flat_map(|index| [b'-', index]).chain([b'-']).collect();
    assert_eq!(stream.in_order(), expected);
}

#[test]
fn no_cut_and_no_changed_byte_panics() {
    let initial = client_initial(QuicVersion::V2, &ID, 0, &crypto(0, &hello()));
    for end in 0..60 {
        let _ = HelloCollector::default().push(&initial[..end]);
        for value in [0, 0x3f, 0x7f, 0xff] {
            let mut datagram = initial.clone();
            datagram[end] = value;
            let _ = HelloCollector::default().push(&datagram);
        }
    }
    // Frames of any kind with lengths of any size, behind a right seal.
    for frame in [
        &b"\x06\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\x02\x80\0\0\0\0\xbf\xff\xff\xff",
        b"\x1c\0\0\x7f\xff",
        b"\x08",
    ] {
        let datagram = client_initial(QuicVersion::V1, &ID, 0, frame);
        assert_eq!(HelloCollector::default().push(&datagram), Ok(None));
    }
}
