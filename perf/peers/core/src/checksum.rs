//! The Internet checksum of bytes in the caches, at addresses as headers have them, and of 1 GiB in memory.
//!
//! Every contestant takes the checksums of the same ranges one after the other in its own loop, as a header holds them,
//! and has its short path inlined there if it can. Ours is the plain call; what it costs in a task, as a batch of packets
//! is verified, is a row of its own. The checksums are compared before the clock starts. From
//! 128 KiB on, peers with 32 bits of sum are wrong; ours is held to the reference there, and only the peers' time counts.

use std::cell::{OnceCell, RefCell};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use wharf::checksum::{Kernel, Sum, Task, Variant, copy_and_sum, internet};

use crate::contest::{Better, Contest, Pinned, Setup};

/// Where ranges begin, modulo 64: behind Ethernet, behind IPv4, behind TCP, behind a VLAN tag, anywhere.
const OFFSETS: [usize; 8] = [14, 34, 54, 18, 38, 2, 63, 0];

const GIB: usize = 1 << 30;

/// So many bytes may overflow 32 bits of sum.
const WRAPS: usize = 1 << 17;

/// What one byte count owes: to every peer, and what AVX2 alone owes.
struct Size {
    bytes: usize,
    owed: Option<f64>,
    owed_by_avx2: Option<f64>,
}

const SIZES: [Size; 11] = [
    Size { bytes: 8, owed: None, owed_by_avx2: None },
    Size { bytes: 20, owed: Some(1.2), owed_by_avx2: None },
    Size { bytes: 40, owed: Some(1.2), owed_by_avx2: None },
    Size { bytes: 64, owed: Some(1.2), owed_by_avx2: None },
    Size { bytes: 128, owed: None, owed_by_avx2: None },
    Size { bytes: 256, owed: None, owed_by_avx2: None },
    Size { bytes: 576, owed: Some(1.4), owed_by_avx2: None },
    Size { bytes: 1_460, owed: Some(2.0), owed_by_avx2: Some(1.15) },
    Size { bytes: 9_000, owed: Some(2.0), owed_by_avx2: None },
    Size { bytes: 65_536, owed: None, owed_by_avx2: None },
    Size { bytes: GIB, owed: None, owed_by_avx2: None },
];

/// Bytes without a pattern.
#[derive(Clone)]
struct Bytes(Rc<[u8]>);

impl Bytes {
    /// Enough for ranges of a size.
    fn for_ranges_of(size: usize) -> Self {
        let mut state = 1u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        Self(words.take((size + 128) / 8).collect::<Vec<_>>().as_flattened().into())
    }

    /// The ranges of a size: one beyond the caches, eight otherwise.
    fn ranges(&self, size: usize) -> Vec<&[u8]> {
        let aligned = &self.0[self.0.as_ptr().addr().wrapping_neg() % 64..];
        let offsets = if size >= GIB { &OFFSETS[..1] } else { &OFFSETS[..] };
        offsets.iter().map(|&offset| &aligned[offset..][..size]).collect()
    }
}

/// Sums every range, as often as asked for, in a task for the kernel of one variant: by that, as a batch of packets is
/// summed, or by plain calls all the same, for who wants to know what becomes of nothing but the other call.
/// The loop stands `PAD` bytes further on than it would: so small a loop takes up to a tenth more or less time by where the
/// compiler puts it.
struct Repeat<'a, const PLAIN: bool, const PAD: usize> {
    ranges: &'a [&'a [u8]],
    times: usize,
}

impl<const PLAIN: bool, const PAD: usize> Task for Repeat<'_, PLAIN, PAD> {
    type Output = ();

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        // SAFETY: instructions that do nothing.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            std::arch::asm!(".skip {pad}, 0x90", pad = const PAD, options(nomem, nostack, preserves_flags));
        }
        for _ in 0..self.times {
            for range in self.ranges {
                let range = black_box(*range);
                black_box(if PLAIN { internet(range) } else { kernel.sum(range).checksum() });
            }
        }
    }
}

/// Sums ranges, many times over.
type Run = Rc<dyn Fn(&[&[u8]], usize)>;

/// A way to take the checksum of one range. A call of it is compiled into the loop, as far as its crate lets it, as it is for
/// a user who writes it there: through a closure or a function as a value it may or may not be, as the compiler likes.
trait Way: 'static {
    fn checksum(bytes: &[u8]) -> u16;
}

/// Who sums one range in one call.
struct Contestant {
    name: &'static str,
    checksum: fn(&[u8]) -> u16,
    run: Run,
}

impl Contestant {
    fn new<W: Way>(name: &'static str) -> Self {
        let run = |ranges: &[&[u8]], times| {
            for _ in 0..times {
                for range in ranges {
                    black_box(W::checksum(black_box(range)));
                }
            }
        };
        Self { name, checksum: W::checksum, run: Rc::new(run) }
    }
}

/// A contestant by its name and what it does with `bytes`.
macro_rules! contestant {
    ($name:literal, |$bytes:ident| $checksum:expr) => {{
        struct This;
        impl Way for This {
            #[inline(always)]
            fn checksum($bytes: &[u8]) -> u16 {
                $checksum
            }
        }
        Contestant::new::<This>($name)
    }};
}

fn ours() -> Contestant {
    contestant!("wharf", |bytes| internet(bytes))
}

fn by_variant(variant: Variant) -> Run {
    repeated::<false, 0>(variant)
}

fn repeated<const PLAIN: bool, const PAD: usize>(variant: Variant) -> Run {
    Rc::new(move |ranges, times| variant.run(Repeat::<PLAIN, PAD> { ranges, times }))
}

/// The same loop at four places.
fn at_places<const PLAIN: bool>(variant: Variant) -> [Run; 4] {
    [
        repeated::<PLAIN, 0>(variant),
        repeated::<PLAIN, 16>(variant),
        repeated::<PLAIN, 32>(variant),
        repeated::<PLAIN, 48>(variant),
    ]
}

fn peers() -> Vec<Contestant> {
    vec![
        contestant!("internet-checksum", |bytes| u16::from_be_bytes(internet_checksum::checksum(bytes))),
        contestant!("etherparse", |bytes| {
            etherparse::checksum::Sum16BitWords::new().add_slice(bytes).ones_complement().to_be()
        }),
        // No word is left out.
        contestant!("pnet_packet", |bytes| pnet_packet::util::checksum(bytes, GIB)),
        contestant!("smoltcp", |bytes| !smoltcp::wire::checksum::data(bytes)),
        #[cfg(dpdk)]
        contestant!("DPDK rte_raw_cksum", |bytes| dpdk::checksum(bytes)),
    ]
}

#[cfg(dpdk)]
mod dpdk {
    unsafe extern "C" {
        /// In dpdk.c.
        fn peer_dpdk_raw_cksum(bytes: *const u8, length: usize) -> u16;
    }

    pub fn checksum(bytes: &[u8]) -> u16 {
        // SAFETY: reads that many bytes from there, and keeps nothing.
        !u16::from_be(unsafe { peer_dpdk_raw_cksum(bytes.as_ptr(), bytes.len()) })
    }
}

/// Nanoseconds for one range, or GB/s where it is large.
fn measure(setup: &Setup, bytes: &Bytes, size: usize, run: Run) -> impl FnMut() -> f64 + 'static {
    let (bytes, core) = (bytes.clone(), setup.cores[1]);
    // About a millisecond, which is seldom disturbed.
    let times = ((setup.scale * 4e6 / (size + 100) as f64) as usize).max(1);
    move || {
        let ranges = bytes.ranges(size);
        let _pinned = Pinned::to(core);
        if size < GIB {
            run(&ranges, 1);
        }
        let start = Instant::now();
        run(&ranges, times);
        let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / (times * ranges.len()) as f64;
        if size < SMALL { nanoseconds } else { size as f64 / nanoseconds }
    }
}

/// Sizes below are a matter of nanoseconds, those above of GB/s.
const SMALL: usize = 576;

fn metric(what: &str, bytes: usize) -> (String, Better) {
    let size = if bytes == GIB { "1 GiB".to_owned() } else { format!("{bytes} B") };
    if bytes < SMALL {
        (format!("{what}, {size}, ns"), Better::Lower)
    } else {
        (format!("{what}, {size}, GB/s"), Better::Higher)
    }
}

/// What the checksum has to show.
pub fn contests(setup: &Setup) -> Vec<Contest> {
    if !cfg!(dpdk) {
        eprintln!("SKIPPED: DPDK is not compared, its headers are missing (Debian: libdpdk-dev)");
    }
    eprintln!("checksum variant: {}", Variant::chosen());
    // With --check a little less.
    let sizes = SIZES.iter().filter(|size| setup.scale >= 1.0 || size.bytes < GIB);
    let most = sizes.clone().map(|size| size.bytes).max().unwrap_or(0);
    let bytes = Bytes::for_ranges_of(most);
    let mut contests = Vec::new();
    for size in sizes {
        contests.extend(of_size(setup, &bytes, size));
    }
    contests.extend([64, 576, 1_460, 9_000, 65_536].map(|size| of_copy(setup, &bytes, size)));
    contests.push(of_every_length(setup, &bytes));
    contests
}

/// One pass against two.
fn of_copy(setup: &Setup, bytes: &Bytes, size: usize) -> Contest {
    // The same for both: how the two addresses lie to each other modulo a page counts.
    let buffer = Rc::new(RefCell::new(vec![0; size + 128]));
    let measured = |copy: fn(&mut [u8], &[u8]) -> u16| {
        let buffer = Rc::clone(&buffer);
        let (bytes, core) = (bytes.clone(), setup.cores[1]);
        let times = ((setup.scale * 4e6 / (size + 100) as f64) as usize).max(1);
        move || {
            let ranges = bytes.ranges(size);
            let _pinned = Pinned::to(core);
            // Where a frame's payload lands behind 42 bytes of headers.
            let mut buffer = buffer.borrow_mut();
            let skip = buffer.as_ptr().addr().wrapping_neg() % 64 + 42;
            let to = &mut buffer[skip..][..size];
            for range in &ranges {
                assert_eq!(copy(to, range), Sum::of(range).checksum());
                assert!(to == *range);
            }
            let start = Instant::now();
            for _ in 0..times {
                for range in &ranges {
                    black_box(copy(black_box(&mut *to), black_box(range)));
                }
            }
            let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / (times * ranges.len()) as f64;
            if size < SMALL { nanoseconds } else { size as f64 / nanoseconds }
        }
    };
    let (metric, better) = metric("copy and sum", size);
    let two_passes = |to: &mut [u8], from: &[u8]| {
        to.copy_from_slice(from);
        internet(from)
    };
    Contest::new(metric, better, measured(|to, from| copy_and_sum(to, from).checksum())).owed(
        "memcpy, then sum",
        NOISE,
        measured(two_passes),
    )
}

/// How often each length is measured, ours and the scalar one in turns: each place of one loop beside each of the other, six
/// times. Of some 300 lengths the worst one counts, and of the medians of nine turns one was always far off by chance.
const TURNS: usize = 96;

/// Of two figures that are the same, the medians differ by up to so much.
const NOISE: f64 = 0.97;

/// The length at which the plain call is worst against our own scalar kernel: the one of 64 bits at a time, by name and
/// without a choice before it.
fn of_every_length(setup: &Setup, bytes: &Bytes) -> Contest {
    let sampled = (257..4_096).step_by(if setup.scale < 1.0 { 1_024 } else { 61 }).chain([4_096]);
    let lengths: Vec<usize> = (0..=256).chain(sampled).collect();
    // Each in the same loop, so that only the sums differ.
    let (ours, scalar) = (at_places::<true>(Variant::Wide), at_places::<false>(Variant::Wide));
    let (bytes, setup) = (bytes.clone(), Setup { scale: setup.scale / 20.0, ..*setup });
    let worst = move || {
        let figures = lengths.iter().map(|&length| {
            let measured = |run: &Run| measure(&setup, &bytes, length, Rc::clone(run));
            let (mut ours, mut scalar) = (ours.each_ref().map(measured), scalar.each_ref().map(measured));
            let ratios = (0..TURNS).map(|turn| faster(length, ours[turn % 4](), scalar[turn / 4 % 4]()));
            let mut ratios: Vec<f64> = ratios.collect();
            ratios.sort_by(f64::total_cmp);
            (ratios[TURNS / 2], length)
        });
        let figures: Vec<_> = figures.collect();
        for (ratio, length) in figures.iter().filter(|(ratio, _)| *ratio < NOISE) {
            eprintln!("slower than our scalar: {length} bytes, {ratio:.2} times as fast");
        }
        let &(ratio, length) = figures.iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are lengths");
        eprintln!("plain call against our scalar: worst at {length} bytes, {ratio:.2} times as fast");
        ratio
    };
    // So long a measurement is never undisturbed, and has medians of its own: once is enough.
    let ratio = OnceCell::new();
    let worst = move || *ratio.get_or_init(&worst);
    Contest::new("slowest of lengths 0 to 4096, times", Better::Higher, worst).owed(
        "wharf, wide",
        NOISE,
        || 1.0,
    )
}

/// How many times faster ours is: a time below [`SMALL`], a rate from there on.
fn faster(length: usize, ours: f64, peer: f64) -> f64 {
    if length < SMALL { peer / ours } else { ours / peer }
}

fn of_size(setup: &Setup, bytes: &Bytes, size: &Size) -> Vec<Contest> {
    let &Size { bytes: size, owed, owed_by_avx2 } = size;
    let ours = ours();
    let measured = |run: &Run| measure(setup, bytes, size, Rc::clone(run));
    let against_peers = |what: &str, run: &Run, owed: Option<f64>| {
        let (metric, better) = metric(what, size);
        peers().iter().fold(Contest::new(metric, better, measured(run)), |contest, peer| match owed {
            Some(owed) => contest.owed(peer.name, owed, measured(&peer.run)),
            None => contest.peer(peer.name, measured(&peer.run)),
        })
    };
    for range in bytes.ranges(size) {
        let right = !Variant::Scalar.sum(range);
        let judged = if size < WRAPS { peers() } else { Vec::new() };
        for Contestant { name, checksum, .. } in judged.iter().chain([&ours]) {
            assert_eq!(checksum(range), right, "{name} over {size} bytes");
        }
    }
    let mut contests = vec![
        against_peers("checksum", &ours.run, owed)
            .peer("wharf, in a task", measured(&by_variant(Variant::chosen())))
            .peer("wharf, wide", measured(&by_variant(Variant::Wide))),
    ];
    #[cfg(target_arch = "x86_64")]
    if let (Some(owed), true) = (owed_by_avx2, Variant::Avx2.available()) {
        contests.push(against_peers("checksum, AVX2 alone", &by_variant(Variant::Avx2), Some(owed)));
    }
    contests
}
