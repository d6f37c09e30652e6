//! One battery over every variant by name, against the reference and against known sums.

use super::*;

/// One sum both ways: as in a task of many, and as a plain call takes more than a few bytes.
struct BothWays<'a>(&'a [u8]);

impl Task for BothWays<'_> {
    type Output = [Sum; 2];

    fn run<K: Kernel>(self, kernel: K) -> [Sum; 2] {
        let Self(bytes) = self;
        let sum = kernel.sum(bytes);
        let plain = if bytes.len() > wide::SHORT { kernel.raw_long(bytes) } else { wide::short(bytes) };
        [sum, Sum::raw(plain, bytes)]
    }
}

/// Finds that both sums by a variant are the one that is right.
fn check(variant: Variant, bytes: &[u8], right: u16, what: &dyn std::fmt::Display) {
    for (sum, way) in variant.run(BothWays(bytes)).iter().zip(["in a task", "a plain call"]) {
        assert_eq!((sum.fold(), sum.odd), (right, bytes.len() % 2 == 1), "{variant}, {way}, {what}");
    }
}

/// Finds that both sums by a variant are what the reference says.
fn agrees(variant: Variant, bytes: &[u8]) {
    let at = bytes.as_ptr().addr() % 64;
    check(variant, bytes, scalar::sum(bytes), &format_args!("{} bytes at {at}", bytes.len()));
}

/// Bytes without a pattern that a sum could hide in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// `length` bytes of `bytes` that begin at an address of the given remainder modulo 64.
fn aligned(bytes: &[u8], remainder: usize, length: usize) -> &[u8] {
    let skip = (remainder + 64 - bytes.as_ptr().addr() % 64) % 64;
    &bytes[skip..][..length]
}

fn variants() -> impl Iterator<Item = Variant> {
    Variant::all_available()
}

#[test]
fn known_sums() {
    // RFC 1071 section 3; the odd last byte is a high half; the two representations of zero.
    let known: [(&[u8], u16); 8] = [
        (&[], 0),
        (&[0, 0, 0], 0),
        (&[1], 0x0100),
        (&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0xddf2),
        (&[0xff, 0xff], 0xffff),
        (&[0xff, 0xff, 0x00, 0x01], 0x0001),
        (&[0xff, 0xfe, 0x00, 0x01], 0xffff),
        (&[0x12, 0x34, 0x56], 0x6834),
    ];
    for variant in variants() {
        for (bytes, sum) in known {
            assert_eq!(variant.sum(bytes), sum, "{variant} over {bytes:02x?}");
            check(variant, bytes, sum, &format_args!("{bytes:02x?}"));
        }
    }
}

#[test]
fn the_plain_call_at_every_length_and_alignment() {
    let bytes = noise(4096 + 64);
    for length in 0..=4096 {
        let remainders = if length <= 160 { 0..64 } else { length % 64..length % 64 + 1 };
        for remainder in remainders {
            let bytes = aligned(&bytes, remainder, length);
            let sum = Sum::of(bytes);
            assert_eq!(sum.fold(), scalar::sum(bytes), "{length} bytes at {remainder}");
            assert_eq!(sum.odd, length % 2 == 1);
            assert_eq!(internet(bytes), !sum.fold());
        }
    }
    for bit in 0..wide::SHORT * 8 {
        let mut bytes = vec![0; wide::SHORT];
        bytes[bit / 8] = 1 << (bit % 8);
        assert_eq!(Sum::of(&bytes).fold(), scalar::sum(&bytes), "bit {bit}");
        let ones = vec![0xff; bit / 8];
        assert_eq!(Sum::of(&ones).fold(), scalar::sum(&ones), "{} bytes of ones", ones.len());
    }
}

#[test]
fn every_length() {
    let bytes = noise(4096);
    for variant in variants() {
        for length in 0..=4096 {
            agrees(variant, &bytes[..length]);
        }
    }
}

#[test]
fn every_alignment() {
    let bytes = noise(4096 + 128);
    for variant in variants() {
        for remainder in 0..64 {
            for length in (0..=320).chain([511, 512, 513, 576, 639, 640, 1023, 1460, 1500, 4095, 4096]) {
                agrees(variant, aligned(&bytes, remainder, length));
            }
        }
    }
}

#[test]
fn carries_of_all_ones() {
    let ones = vec![0xff; 1 << 20];
    for variant in variants() {
        for length in (1..=4096).chain([65_534, 65_535, 65_536, 1 << 20]) {
            let expected = if length % 2 == 0 { 0xffff } else { 0xff00 };
            check(variant, &ones[..length], expected, &format_args!("{length} bytes of ones"));
        }
    }
}

#[test]
fn carries_that_meet() {
    // The last word and one of those before it overflow; the next fills up what is left, and the carry overflows it again.
    for words in 3..=64 {
        for at in 0..words - 2 {
            let mut bytes = vec![0; words * 8];
            for (index, word) in [(at, 5), (at + 1, !4), (words - 1, u64::MAX)] {
                bytes[index * 8..][..8].copy_from_slice(&word.to_ne_bytes());
            }
            variants().for_each(|variant| agrees(variant, &bytes));
        }
    }
}

#[test]
fn one_bit_anywhere() {
    // A lost lane or a carry dropped between lanes shows up with a single bit set.
    for variant in variants() {
        // One length for each way to put vectors together, each of them with a part of a vector, and with a last byte.
        for length in [31, 57, 87, 121, 251, 520] {
            let mut bytes = vec![0; length];
            for bit in 0..length * 8 {
                bytes[bit / 8] = 1 << (bit % 8);
                let expected = u16::from(bytes[bit / 8]) << (8 * ((bit / 8 + 1) % 2));
                check(variant, &bytes, expected, &format_args!("bit {bit} of {length} bytes"));
                bytes[bit / 8] = 0;
            }
        }
    }
}

#[test]
fn up_to_a_mebibyte() {
    let bytes = noise((1 << 20) + 128);
    for variant in variants() {
        for length in [9_000, 16_383, 65_515, 65_534, 65_535, 65_536, 65_537, 131_071, 262_145, 1 << 20] {
            for remainder in [0, 1, 2, 31, 32, 33, 63] {
                agrees(variant, aligned(&bytes, remainder, length));
            }
        }
        // Whatever is left behind a run.
        for more in (1..200).step_by(if variant == Variant::Scalar { 50 } else { 1 }) {
            agrees(variant, aligned(&bytes, more % 64, 65_536 + more));
        }
    }
}

#[test]
fn nothing_overflows() {
    // More than one run of every loop, with words that take each accumulator to its bounds: ones and zeros, which
    // are the largest and, where words are signed, the smallest there are.
    let length = (4 << 20) + 131;
    for fill in [0xff, 0x00, 0x7f, 0x80] {
        let bytes = vec![fill; length];
        let expected = scalar::sum(&bytes);
        for variant in variants() {
            check(variant, &bytes, expected, &format_args!("{length} times {fill:#x}"));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes too long")]
fn beyond_a_gibibyte() {
    // Zeros that nobody has written to take no memory.
    let mut bytes = vec![0; (1 << 30) + 1_003];
    let last = bytes.len() - 1;
    for at in [0, 777, 1 << 30, last] {
        bytes[at] = 0x21;
    }
    for variant in variants().filter(|variant| *variant != Variant::Scalar) {
        check(variant, &bytes, 0x2100 + 0x0021 + 0x2100 + 0x2100, &"beyond a gibibyte");
    }
}

#[test]
fn sums_compose_over_any_split() {
    let bytes = noise(331);
    let whole = Sum::of(&bytes);
    assert_eq!(whole.fold(), scalar::sum(&bytes));
    for first in 0..=bytes.len() {
        let (head, rest) = bytes.split_at(first);
        assert_eq!(Sum::of(head).add(rest), whole, "split at {first}");
        assert_eq!(Sum::of(head).then(Sum::of(rest)), whole, "split at {first}");
        for second in (0..=rest.len()).step_by(7) {
            let (middle, tail) = rest.split_at(second);
            assert_eq!(Sum::of(head).add(middle).add(tail), whole, "split at {first} and {second}");
        }
    }
}

#[test]
fn a_task_sums_by_the_kernel_it_is_given() {
    struct Pieces<'a>(&'a [u8]);
    impl Task for Pieces<'_> {
        type Output = Sum;

        fn run<K: Kernel>(self, kernel: K) -> Sum {
            self.0.chunks(37).fold(Sum::ZERO, |sum, piece| sum.then(kernel.sum(piece)))
        }
    }
    let bytes = noise(5_000);
    for variant in variants() {
        assert_eq!(variant.run(Pieces(&bytes)), Sum::of(&bytes), "{variant}");
    }
}

/// Copies with one variant by name: as in a task, or as a plain call copies more than a few bytes.
struct Copy<'a, const PLAIN: bool>(&'a mut [u8], &'a [u8]);

impl<const PLAIN: bool> Task for Copy<'_, PLAIN> {
    type Output = Sum;

    fn run<K: Kernel>(self, kernel: K) -> Sum {
        let Self(to, from) = self;
        if PLAIN && from.len() > wide::SHORT {
            Sum::raw(kernel.raw_copy_long(to, from), from)
        } else {
            kernel.copy_and_sum(to, from)
        }
    }
}

/// Copies `from` to each of some alignments of a buffer, and finds it there whole and nothing beside it touched.
fn copies(variant: Variant, from: &[u8], remainders: impl Iterator<Item = usize>) {
    let mut buffer = vec![0; from.len() + 192];
    for (remainder, plain) in remainders.flat_map(|remainder| [(remainder, false), (remainder, true)]) {
        buffer.fill(0xa5);
        let skip = 64 + (remainder + 64 - buffer.as_ptr().addr() % 64) % 64;
        let end = skip + from.len();
        let to = &mut buffer[skip..end];
        let sum =
            if plain { variant.run(Copy::<true>(to, from)) } else { variant.run(Copy::<false>(to, from)) };
        let what = format!("{variant}, {} bytes to {remainder}", from.len());
        assert_eq!((sum.fold(), sum.odd), (scalar::sum(from), from.len() % 2 == 1), "{what}");
        assert!(buffer[skip..end] == *from, "{what}");
        assert!(buffer[..skip].iter().chain(&buffer[end..]).all(|&byte| byte == 0xa5), "{what}");
    }
}

#[test]
fn a_copy_of_every_length() {
    let bytes = noise(4096 + 64);
    for variant in variants() {
        for length in 0..=4096 {
            let from = aligned(&bytes, length % 64, length);
            copies(variant, from, [length / 5 % 64, 0].into_iter());
        }
    }
}

#[test]
fn a_copy_to_every_alignment() {
    let bytes = noise(5_001 + 128);
    for variant in variants() {
        for length in [0, 1, 2, 7, 20, 33, 63, 64, 65, 127, 128, 191, 255, 576, 4_095, 4_097, 5_001] {
            for remainder in [0, 1, 14, 33, 63] {
                copies(variant, aligned(&bytes, remainder, length), 0..64);
            }
        }
    }
}

#[test]
fn a_copy_beyond_one_run() {
    for fill in [0xff, 0x00, 0x80] {
        let bytes = vec![fill; (1 << 18) + 77];
        for variant in variants() {
            copies(variant, &bytes, [0, 31].into_iter());
        }
    }
    let bytes = noise(10_000);
    for length in (0..=130).chain([3_071, 3_072, 3_073, 4_096, 10_000]) {
        let mut copied = vec![0; length];
        assert_eq!(copy_and_sum(&mut copied, &bytes[..length]), Sum::of(&bytes[..length]));
        assert!(copied == bytes[..length], "{length} bytes");
    }
}

#[test]
#[should_panic(expected = "copied bytes must fit exactly")]
fn a_copy_must_fit() {
    copy_and_sum(&mut [0; 9_999], &[0; 10_000]);
}

#[test]
#[should_panic(expected = "copy_from_slice")]
fn a_short_copy_must_fit() {
    copy_and_sum(&mut [0; 5], &[0; 4]);
}

#[test]
#[should_panic(expected = "copy_from_slice")]
fn a_short_copy_must_have_room() {
    copy_and_sum(&mut [0; 63], &[0; 64]);
}

#[test]
fn an_update_is_a_new_sum() {
    let mut bytes = noise(200);
    for at in (0..200).step_by(2) {
        let before = internet(&bytes);
        let old = [bytes[at], bytes[at + 1]];
        let new = [old[1] ^ 0x5a, old[0].wrapping_add(3)];
        bytes[at..at + 2].copy_from_slice(&new);
        assert_eq!(update_word(before, u16::from_be_bytes(old), u16::from_be_bytes(new)), internet(&bytes));
        assert_eq!(update(before, &old, &new), internet(&bytes));
    }
}

#[test]
fn names_and_errors() {
    for &variant in Variant::ALL {
        assert_eq!(
            variant.available().then(|| variant.name().parse()),
            variant.available().then_some(Ok(variant))
        );
    }
    let error = "sclar".parse::<Variant>().unwrap_err();
    let names: Vec<_> = variants().map(Variant::name).collect();
    assert_eq!(
        error.to_string(),
        format!("no checksum variant \"sclar\": WHARF_CHECKSUM is one of {}", names.join(", "))
    );
    assert!(names.starts_with(&["scalar", "wide"]));
    assert!(Variant::best().available());
}

#[test]
fn crc32c_known_values() {
    // RFC 3720 appendix B.4.
    let ascending: Vec<u8> = (0..32).collect();
    let descending: Vec<u8> = (0..32).rev().collect();
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc32c(&ascending), 0x46dd_794e);
    assert_eq!(crc32c(&descending), 0x113f_db5c);
    let bytes = noise(100);
    for at in 0..=100 {
        assert_eq!(
            Crc32c::new().add(&bytes[..at]).add(&bytes[at..]).value(),
            crc32c(&bytes),
            "split at {at}"
        );
    }
}
