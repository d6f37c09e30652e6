//! One expression, four executions, one meaning: the evaluator, our program and libpcap's program in our interpreter, and
//! libpcap itself.
//!
//! libpcap is opened at run time, as the distribution has it, and only here; without it these tests say SKIPPED, and fail with `WHARF_ORACLES=require`. With
//! `WHARF_CORPUS` the frames of the captures there are asked too. `WHARF_FILTER_EXPRESSIONS=10000` and `WHARF_FILTER_FRAMES=2000`
//! set how many random expressions meet how many frames, `WHARF_FILTER_SEED` which.

mod carry;
mod differences;
mod frames;
mod generate;
mod kernel;
#[allow(unsafe_code)] // A C library is called.
mod libpcap;
#[path = "../support/oracles.rs"]
mod oracles;
mod pieces;
mod proof;

use differences::{Excused, Reason};
use frames::{Random, Sample, corpus, synthetic};
use libpcap::Libpcap;
use proof::{Again, ENDLESS, goes_back, unrolled};
use std::collections::{BTreeMap, BTreeSet};
use wharf::filter::Filter;
use wharf::filter::bpf::Program;
use wharf::filter::evaluate::Evaluator;
use wharf::frame::{Batch, Frame, LinkType, Record};
use wharf::sys::classic_bpf::{Instruction, Seen, run};

const LINK_TYPES: [LinkType; 6] = [
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::NULL,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::IEEE802_11_RADIOTAP,
];

fn hand_written() -> impl Iterator<Item = &'static str> {
    include_str!("expressions.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn libpcap() -> Option<Libpcap> {
    let library = Libpcap::open();
    match &library {
        Some(library) => eprintln!("held against {}", library.version()),
        None => oracles::missing("there is no libpcap.so.0.8 (Debian: libpcap0.8)"),
    }
    library
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What was found over many expressions.
#[derive(Default)]
struct Tally {
    expressions: usize,
    verdicts: usize,
    matches: usize,
    /// Verdicts that differ and were shown to be right.
    excused: Excused,
    unexplained: Vec<String>,
    /// Our instructions to libpcap's.
    ratios: Vec<f64>,
    refused_by_both: usize,
    /// Expressions for which we have more instructions, for whoever wants to see.
    longer: Vec<String>,
}

impl Tally {
    fn differ(&mut self, expression: &str, link_type: LinkType, what: &str) {
        self.unexplained.push(format!("{link_type} {expression:?}: {what}"));
    }

    fn report(&mut self, name: &str) {
        self.ratios.sort_by(f64::total_cmp);
        let median = self.ratios.get(self.ratios.len() / 2).copied().unwrap_or_default();
        eprintln!(
            "{name}: {} expressions, {} verdicts, {} matches; {} refused by both; instructions {median:.3} of libpcap's at the median; unexplained {}{}",
            self.expressions,
            self.verdicts,
            self.matches,
            self.refused_by_both,
            self.unexplained.len(),
            self.excused
        );
        if std::env::var_os("WHARF_FILTER_LONGER").is_some() {
            eprintln!("{}", self.longer.join("\n"));
        }
        let shown = &self.unexplained[..self.unexplained.len().min(number("WHARF_FILTER_SHOWN", 60))];
        assert!(shown.is_empty(), "\n{}", shown.join("\n"));
    }
}

/// Asks every frame in every way.
fn compare(library: &Libpcap, expression: &str, link_type: LinkType, frames: &[Sample], tally: &mut Tally) {
    let ours = expression.parse::<Filter>().and_then(|filter| filter.test(link_type));
    // Its optimiser refuses some of what it has compiled: there its plain program is asked.
    let optimised = library.compile(expression, link_type, true);
    let is_plain = optimised.is_err();
    let theirs = optimised.or_else(|_| library.compile(expression, link_type, false));
    let test = match (ours, &theirs) {
        (Ok(test), _) => test,
        (Err(_), Err(_)) => {
            tally.refused_by_both += 1;
            return;
        }
        (Err(error), Ok(_)) => {
            match Again::new(library, expression, link_type).shows_refusal(&error.to_string()) {
                Some(reason) => tally.excused.count(BTreeMap::from([(reason.to_string(), 1)])),
                None => tally.differ(expression, link_type, &format!("refused by us alone: {error}")),
            }
            return;
        }
    };
    tally.expressions += 1;
    let program = Program::compile(&test, 262_144).unwrap_or_else(|error| panic!("{expression}: {error}"));
    assert!(Program::new(program.instructions().to_vec()).is_ok(), "{expression}\n{program}");
    assert_eq!(Program::read(&program.show(wharf::filter::bpf::Form::Decimal)).as_ref(), Ok(&program));
    let evaluator = Evaluator::new(&test, link_type).unwrap();
    if let Ok(theirs) = &theirs {
        let theirs = theirs.instructions();
        // With `protochain` libpcap goes back, which nothing else does, and leaves the program as it is.
        if !is_plain && !theirs.iter().any(|instruction| goes_back(*instruction)) {
            let (our_length, their_length) = (program.instructions().len(), theirs.len());
            tally.ratios.push(our_length as f64 / their_length as f64);
            if our_length > their_length {
                tally.longer.push(format!("{our_length} {their_length} {link_type} {expression}"));
            }
        }
    }
    let judge = theirs.map(|theirs| Theirs::new(theirs, expression));
    let again = Again::new(library, expression, link_type);
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    for (sample, chosen) in frames.iter().zip(choose(&evaluator, link_type, frames)) {
        let Sample { data, wire_length, .. } = sample;
        let seen = Seen { bytes: data, wire_length: Some(*wire_length), ..Seen::default() };
        let mut frame = Frame::new(link_type, data);
        frame.record.wire_length = *wire_length;
        let by_evaluator = evaluator.matches_frame(&frame);
        assert_eq!(
            by_evaluator, chosen,
            "{expression} on {link_type}: a frame alone and among others differ about {data:02x?}"
        );
        let by_program = program.run(&seen) != 0;
        assert_eq!(
            by_program, by_evaluator,
            "{expression} on {link_type}: program and evaluator differ about {data:02x?}\n{program}"
        );
        let verdict = judge.as_ref().map(|judge| judge.judge(&seen));
        tally.verdicts += 1;
        tally.matches += usize::from(by_program);
        if verdict == Ok(Some(by_program)) {
            continue;
        }
        let is_cut =
            judge.as_ref().is_ok_and(|judge| excusably_cut(&judge.program, &program, &evaluator, sample));
        let reasons =
            if is_cut { Some(BTreeSet::from([Reason::Cut])) } else { again.shows(sample, by_program) };
        let Some(reasons) = reasons else {
            let says = match verdict {
                Ok(Some(verdict)) => format!("libpcap {verdict}"),
                Ok(None) => "libpcap does not end".to_owned(),
                Err(error) => format!("refused by libpcap alone: {error}"),
            };
            let what =
                format!("ours {by_program}, {says}, of {} of {wire_length} bytes: {data:02x?}", data.len());
            return tally.differ(expression, link_type, &what);
        };
        let names: Vec<String> = reasons.iter().map(Reason::to_string).collect();
        *shown.entry(names.join(" + ")).or_default() += 1;
    }
    tally.excused.count(shown);
}

/// libpcap's program, and libpcap.
struct Theirs<'l> {
    library: libpcap::Theirs<'l>,
    expression: &'l str,
    program: Vec<Instruction>,
    has_loop: bool,
    /// libpcap's own interpreter knows nothing of what the kernel knows beside the bytes.
    asks_kernel: bool,
    /// Where it has lost sight of what it keeps in mind, it reads a word of memory that it has not written, which is whatever
    /// stood on its stack. 0 is as good.
    is_chance: bool,
}

impl<'l> Theirs<'l> {
    fn new(library: libpcap::Theirs<'l>, expression: &'l str) -> Self {
        let program = library.instructions();
        let unwritten = Program::new(program.clone());
        Self {
            has_loop: program.iter().any(|instruction| goes_back(*instruction)),
            asks_kernel: program.iter().any(|instruction| {
                matches!(instruction.code, 0x20 | 0x28 | 0x30) && instruction.constant >= 0xffff_f000
            }),
            is_chance: matches!(unwritten, Err(wharf::filter::bpf::Invalid::Unwritten { .. })),
            program: unrolled(program),
            library,
            expression,
        }
    }

    /// Its verdict, in our interpreter and by libpcap's two ways; `None` where it comes to none, and libpcap would never come back.
    fn judge(&self, seen: &Seen<'_>) -> Option<bool> {
        let given = run(&self.program, seen);
        if self.has_loop && given == ENDLESS {
            return None;
        }
        let verdict = given != 0;
        if !self.asks_kernel && !self.is_chance {
            let wire_length = seen.wire_length.unwrap_or_default();
            let theirs = self.library.matches(seen.bytes, wire_length);
            let expression = self.expression;
            assert_eq!(
                self.library.run(seen.bytes, wire_length),
                theirs,
                "{expression}: libpcap differs with itself"
            );
            assert_eq!(verdict, theirs, "{expression}: our interpreter, of {:02x?}", seen.bytes);
        }
        Some(verdict)
    }
}

/// What the evaluator says of each frame when it has all of them at once.
fn choose(evaluator: &Evaluator, link_type: LinkType, frames: &[Sample]) -> Vec<bool> {
    let (mut slab, mut records) = (Vec::new(), Vec::new());
    for Sample { data, wire_length, .. } in frames {
        let (offset, captured) = (slab.len() as u32, data.len() as u32);
        records.push(Record { offset, captured, wire_length: *wire_length, link_type, ..Record::default() });
        slab.extend_from_slice(data);
    }
    let mut wanted = Vec::new();
    evaluator.choose(Batch::new(&slab, &records, &[]), &mut wanted);
    let mut chosen = vec![false; frames.len()];
    wanted.into_iter().for_each(|index| chosen[usize::from(index)] = true);
    chosen
}

/// Whether the frame was cut, and all agree about it once it is filled up again, with whatever bytes: then they differ only in what
/// they read first. Which of two loads fails decides the frame, and libpcap's optimiser moves loads about, as ours does.
fn excusably_cut(
    theirs: &[Instruction],
    program: &Program,
    evaluator: &Evaluator,
    Sample { link_type, data, wire_length }: &Sample,
) -> bool {
    let mut random = Random::new(3);
    data.len() < *wire_length as usize
        && (0..64).all(|round| {
            let mut whole = data.clone();
            whole.resize_with(*wire_length as usize, || match round {
                0 => 0,
                1 => 0xff,
                _ => random.next() as u8,
            });
            let seen = Seen { bytes: &whole, wire_length: Some(*wire_length), ..Seen::default() };
            let verdict = run(theirs, &seen) != 0;
            verdict == (program.run(&seen) != 0)
                && verdict == evaluator.matches_frame(&Frame::new(*link_type, &whole))
        })
}

#[test]
fn hand_written_expressions_mean_what_they_mean_to_libpcap() {
    let Some(library) = libpcap() else { return };
    assert!(hand_written().count() >= 300);
    let mut tally = Tally::default();
    for link_type in LINK_TYPES {
        let frames = synthetic(link_type, number("WHARF_FILTER_FRAMES", 300), 1);
        for expression in hand_written() {
            compare(&library, expression, link_type, &frames, &mut tally);
        }
    }
    tally.report("hand written");
}

#[test]
fn random_expressions_mean_what_they_mean_to_libpcap() {
    let Some(library) = libpcap() else { return };
    let mut random = Random::new(number("WHARF_FILTER_SEED", 1) as u64);
    let count = number("WHARF_FILTER_EXPRESSIONS", 200);
    let mut tally = Tally::default();
    let frames = LINK_TYPES.map(|link_type| synthetic(link_type, number("WHARF_FILTER_FRAMES", 300), 2));
    for _ in 0..count {
        // Most links are Ethernet.
        let which = if random.one_in(3) { random.below(LINK_TYPES.len() as u32) as usize } else { 0 };
        let expression = generate::expression(&mut random);
        compare(&library, &expression, LINK_TYPES[which], &frames[which], &mut tally);
    }
    tally.report("random");
}

/// By a program, which is asked of frames one by one, as by what lays them out in lanes.
#[test]
fn more_frames_than_there_are_indices_are_refused() {
    let records = vec![Record { link_type: LinkType::ETHERNET, ..Record::default() }; 65_537];
    let program: Filter = Program::read("1\n6 0 0 1\n").unwrap().into();
    for filter in [program, "tcp".parse().unwrap()] {
        let matcher = filter.on(LinkType::ETHERNET).unwrap();
        let mut wanted = Vec::new();
        matcher.choose(Batch::new(&[], &records[1..], &[]), &mut wanted);
        let choose = || matcher.choose(Batch::new(&[], &records, &[]), &mut Vec::new());
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(choose)).unwrap_err();
        let said = panic.downcast_ref::<String>().map_or("", String::as_str);
        assert!(said.contains("65537 frames are more than"), "{said}");
    }
}

#[test]
fn addresses_for_all_of_a_network_are_those_of_libpcap() {
    let Some(library) = libpcap() else { return };
    let mut wanted = 0;
    for (link_type, prefix) in
        [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL].into_iter().zip([24, 8, 0])
    {
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
        for expression in ["ip broadcast", "not ip broadcast and udp", "ip broadcast or tcp port 80"] {
            let filter: Filter = expression.parse().unwrap();
            assert!(filter.on(link_type).is_err() && library.compile(expression, link_type, true).is_err());
            let filter = filter.in_network(mask.into()).on(link_type).unwrap();
            let theirs = library.compile_in(expression, link_type, true, mask.to_be()).unwrap();
            for mut sample in synthetic(link_type, 400, 4) {
                // Many of them to such an address.
                let at = sample.data.len().min(30);
                if wanted % 3 == 0 {
                    sample.data[at.saturating_sub(3)..at].fill(0xff);
                }
                let matches = filter.matches(&Frame::new(link_type, &sample.data));
                let verdict = theirs.matches(&sample.data, sample.data.len() as u32);
                assert_eq!(matches, verdict, "{expression} on {link_type}: {:02x?}", sample.data);
                wanted += usize::from(matches);
            }
        }
    }
    assert!(wanted > 100, "{wanted}");
}

#[test]
fn frames_of_captures_are_judged_alike() {
    let Some(corpus_folder) = std::env::var_os("WHARF_CORPUS") else {
        oracles::missing("WHARF_CORPUS is not set");
        return;
    };
    let Some(library) = libpcap() else { return };
    let mut by_link_type: BTreeMap<LinkType, Vec<Sample>> = BTreeMap::new();
    for sample in corpus(corpus_folder.as_ref()) {
        by_link_type.entry(sample.link_type).or_default().push(sample);
    }
    let mut tally = Tally::default();
    for (link_type, frames) in &by_link_type {
        // Evenly, where there are many.
        let step = (frames.len() / number("WHARF_FILTER_FRAMES", 300)).max(1);
        let chosen: Vec<Sample> = frames.iter().step_by(step).cloned().collect();
        for expression in hand_written() {
            compare(&library, expression, *link_type, &chosen, &mut tally);
        }
    }
    tally.report("captures");
}

/// `SO_ATTACH_FILTER` checks a program as for any socket; it takes no privilege on one of UDP.
#[test]
fn the_kernel_takes_every_program() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    let mut random = Random::new(5);
    let made = (0..300).map(|_| generate::expression(&mut random));
    let mut loaded = 0;
    for expression in hand_written().map(str::to_owned).chain(made) {
        let Ok(filter) = expression.parse::<Filter>() else { continue };
        for link_type in LINK_TYPES {
            for test in [filter.test(link_type), filter.socket_test(link_type)].into_iter().flatten() {
                let program = Program::compile(&test, 262_144).unwrap();
                if let Err(error) = socket.attach_filter(&program.for_socket()) {
                    panic!("{expression} on {link_type}: {error}\n{program}");
                }
                loaded += 1;
            }
        }
    }
    eprintln!("{loaded} programs loaded");
    assert!(loaded > 3_000);
    // Jumps farther than 255 instructions, and a program that is too long.
    let hosts = |count: u32| {
        let hosts: Vec<String> =
            (0..count).map(|host| format!("host 10.{}.{}.1", host / 200, host % 200)).collect();
        let filter: Filter = hosts.join(" or ").parse().unwrap();
        Program::compile(&filter.test(LinkType::ETHERNET).unwrap(), 262_144)
    };
    let long = hosts(450).unwrap();
    assert!(long.instructions().len() > 3_000, "{}", long.instructions().len());
    socket.attach_filter(&long.for_socket()).unwrap();
    let error = hosts(3_000).unwrap_err();
    assert!(matches!(error, wharf::filter::bpf::CompileError::TooLong { .. }), "{error}");
}
