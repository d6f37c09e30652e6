//! Why a verdict of ours may differ from libpcap's: libpcap itself, asked the same again in a way that avoids a defect of it that
//! is known, says what we say, of that very frame. What cannot be shown so is unexplained.

use crate::carry;
use crate::differences::Reason;
use crate::frames::{Random, Sample};
use crate::libpcap::Libpcap;
use crate::pieces::{Piece, moves};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use wharf::filter::Filter;
use wharf::frame::{Frame, LinkType};
use wharf::sys::classic_bpf::{Instruction, Seen, run};

/// What may be avoided at once, from the least on.
const ALLOWED: &[&[Reason]] = &[
    &[],
    &[Reason::Guard],
    &[Reason::Division],
    &[Reason::Known],
    &[Reason::Family],
    &[Reason::Sap],
    &[Reason::Labels],
    &[Reason::NoMpls],
    &[Reason::Radiotap],
    &[Reason::Authentication],
    &[Reason::Guard, Reason::Division],
    &[Reason::Guard, Reason::Family],
    &[Reason::Guard, Reason::Labels],
    &[Reason::Guard, Reason::NoMpls],
    &[Reason::Guard, Reason::Radiotap],
    &[
        Reason::Guard,
        Reason::Division,
        Reason::Known,
        Reason::Family,
        Reason::Sap,
        Reason::Labels,
        Reason::NoMpls,
        Reason::Radiotap,
        Reason::Authentication,
    ],
];

/// Rounds of filling up what is missing of a frame.
const FILLINGS: usize = 16;
/// As often as a program that goes back is let do so.
const ROUNDS: u32 = 64;
const NO_END: &str = "it does not end";

type Compiled = Result<Vec<Instruction>, String>;

/// libpcap, to be asked again about one expression.
pub(crate) struct Again<'l> {
    library: &'l Libpcap,
    expression: &'l str,
    link_type: LinkType,
    pieces: Option<Piece>,
    /// Why libpcap refuses the whole of it.
    refused: Option<Reason>,
    /// By text and link type: libpcap's programs without its optimiser, and our filters.
    programs: RefCell<HashMap<(String, LinkType), Compiled>>,
    filters: RefCell<HashMap<String, Option<Filter>>>,
}

impl<'l> Again<'l> {
    pub(crate) fn new(library: &'l Libpcap, expression: &'l str, link_type: LinkType) -> Self {
        let refused = library.compile(expression, link_type, false).err().and_then(|error| match error {
            error if error.starts_with("no MPLS support") => Some(Reason::NoMpls),
            error if error == "division by zero" || error == "modulus by zero" => Some(Reason::Division),
            _ => None,
        });
        Self {
            library,
            expression,
            link_type,
            pieces: Piece::of(expression),
            refused,
            programs: RefCell::default(),
            filters: RefCell::default(),
        }
    }

    /// Why `ours` is right of the frame, where libpcap has said otherwise, or nothing.
    pub(crate) fn shows(&self, sample: &Sample, ours: bool) -> Option<BTreeSet<Reason>> {
        match self.run(self.expression, sample) {
            Ok(verdict) if verdict == ours => return Some(BTreeSet::from([Reason::Optimiser])),
            // It has gone round more often than so many bytes can have headers.
            Err(why) if why == NO_END && sample.data.len() < 8 * ROUNDS as usize => {
                return Some(BTreeSet::from([Reason::Endless]));
            }
            _ => {}
        }
        let pieces = self.pieces.as_ref()?;
        let whole = ALLOWED.iter().find_map(|allowed| {
            let (verdict, reasons) = self.judge(pieces, allowed, sample)?;
            (verdict == ours && self.judge_ourselves(pieces, sample) == Some(ours)).then_some(reasons)
        });
        whole.or_else(|| {
            // A byte is missing, and it is chance who asks for it first.
            let filled: Vec<Sample> = fillings(sample).collect();
            let allowed = ALLOWED.iter().find_map(|allowed| {
                let mut all = BTreeSet::from([Reason::Missing]);
                for sample in &filled {
                    let ours = self.ours(self.expression, sample)?;
                    let (verdict, reasons) = self.judge(pieces, allowed, sample)?;
                    if verdict != ours || self.judge_ourselves(pieces, sample) != Some(ours) {
                        return None;
                    }
                    all.extend(reasons);
                }
                Some(all)
            });
            allowed.filter(|_| self.misses(sample, ours, &filled))
        })
    }

    /// Whether a missing byte explains a verdict: we reject the frame, or it does not matter which bytes are there.
    fn misses(&self, sample: &Sample, ours: bool, filled: &[Sample]) -> bool {
        let is_cut = sample.data.len() < sample.wire_length as usize;
        is_cut || !ours || filled.iter().all(|sample| self.ours(self.expression, sample) == Some(ours))
    }

    /// Joins what libpcap says of the pieces, and tells what was avoided for that.
    fn judge(
        &self,
        piece: &Piece,
        allowed: &[Reason],
        sample: &Sample,
    ) -> Option<(bool, BTreeSet<Reason>)> {
        let mut avoided = BTreeSet::new();
        let mut ask =
            |prefix: &[String], primitive: &str| self.ask(prefix, primitive, allowed, sample, &mut avoided);
        let verdict = !holding(&mut ask, Vec::new(), piece)?.is_empty();
        if avoided.is_empty() {
            avoided.insert(match () {
                // Where what it refuses is not asked of the frame.
                () if self.refused.is_some() => self.refused?,
                () if piece.any(&moves) => Reason::Moved,
                () if self.link_type == LinkType::IEEE802_11_RADIOTAP => Reason::Radiotap,
                () => return None,
            });
        }
        Some((verdict, avoided))
    }

    /// The same of ourselves, which shows that the pieces are what the expression is made of.
    fn judge_ourselves(&self, piece: &Piece, sample: &Sample) -> Option<bool> {
        let mut ask = |prefix: &[String], primitive: &str| self.ours(&behind(prefix, primitive), sample);
        Some(!holding(&mut ask, Vec::new(), piece)?.is_empty())
    }

    fn ours(&self, text: &str, sample: &Sample) -> Option<bool> {
        let mut filters = self.filters.borrow_mut();
        let filter = filters.entry(text.to_owned()).or_insert_with(|| text.parse().ok());
        let mut frame = Frame::new(sample.link_type, &sample.data);
        frame.record.wire_length = sample.wire_length;
        Some(filter.as_ref()?.on(sample.link_type).ok()?.matches(&frame))
    }

    /// What libpcap says of one primitive behind others.
    fn ask(
        &self,
        prefix: &[String],
        primitive: &str,
        allowed: &[Reason],
        sample: &Sample,
        avoided: &mut BTreeSet<Reason>,
    ) -> Option<bool> {
        let mut avoid = |reason| {
            let is_allowed = allowed.contains(&reason);
            avoided.extend(is_allowed.then_some(reason));
            is_allowed
        };
        let mut sample = sample.clone();
        let mut prefix = prefix.to_vec();
        let mut primitive = primitive.to_owned();
        if is_of_kernel(&primitive) && avoid(Reason::Known) {
            prefix.clear();
            sample.link_type = LinkType::ETHERNET;
        }
        if let Some(written_otherwise) = without_leading_zero(&primitive)
            && avoid(Reason::Division)
        {
            primitive = written_otherwise;
        }
        if let Some(own) = carry::with_own_family(&sample)
            && avoid(Reason::Family)
        {
            sample = own;
        }
        if let Some(cooked) = carry::to_cooked(&sample)
            && is_by_sap(&primitive)
            && avoid(Reason::Sap)
        {
            sample = cooked;
        }
        if primitive.contains("protochain")
            && let Some(bare) = carry::without_authentication(&sample)
            && avoid(Reason::Authentication)
        {
            sample = bare;
        }
        let in_geneve = prefix.iter().chain([&primitive]).any(|text| text.starts_with("geneve"));
        if in_geneve
            && prefix.first().is_some_and(|first| first.starts_with("mpls"))
            && let Some(bare) = carry::without_labels(&sample)
            && avoid(Reason::Labels)
        {
            prefix.retain(|text| !text.starts_with("mpls"));
            sample = bare;
        }
        let of_link = asks_link(&primitive);
        let on_radiotap = sample.link_type == LinkType::IEEE802_11_RADIOTAP;
        if on_radiotap && !of_link && avoid(Reason::Radiotap) {
            sample = carry::to_ethernet(&sample);
        }
        let by_label = prefix.iter().chain([&primitive]).any(|text| text.starts_with("mpls"));
        if by_label && !of_link && sample.link_type != LinkType::ETHERNET && avoid(Reason::NoMpls) {
            sample = carry::to_ethernet(&sample);
        }
        let mut asked = vec![primitive.clone()];
        let guards = headers_read(&primitive);
        if !guards.is_empty() && avoid(Reason::Guard) {
            asked.splice(0..0, guards);
        }
        let mut verdicts = asked.iter().map(|text| self.run(&behind(&prefix, text), &sample));
        // Whichever is not so decides, and is not to be asked further.
        verdicts.try_fold(true, |all, verdict| verdict.ok().map(|verdict| all && verdict))
    }

    fn run(&self, text: &str, sample: &Sample) -> Result<bool, String> {
        let mut programs = self.programs.borrow_mut();
        let program = programs.entry((text.to_owned(), sample.link_type)).or_insert_with(|| {
            Ok(unrolled(self.library.compile(text, sample.link_type, false)?.instructions()))
        });
        let seen =
            Seen { bytes: &sample.data, wire_length: Some(sample.wire_length), ..Seen::default() };
        match run(program.as_ref().map_err(Clone::clone)?, &seen) {
            ENDLESS => Err(NO_END.to_owned()),
            given => Ok(given != 0),
        }
    }
}

/// The ways in which a piece holds behind what has moved: each the primitives behind which one is then.
fn holding(
    ask: &mut impl FnMut(&[String], &str) -> Option<bool>,
    prefix: Vec<String>,
    piece: &Piece,
) -> Option<Vec<Vec<String>>> {
    Some(match piece {
        Piece::Primitive(text) => match ask(&prefix, text)? {
            false => Vec::new(),
            true if moves(text) => vec![[prefix, vec![text.clone()]].concat()],
            true => vec![prefix],
        },
        Piece::And(left, right) => {
            let mut ways = Vec::new();
            for prefix in holding(ask, prefix, left)? {
                ways.extend(holding(ask, prefix, right)?);
            }
            ways
        }
        Piece::Or(left, right) => {
            [holding(ask, prefix.clone(), left)?, holding(ask, prefix, right)?].concat()
        }
        Piece::Not(piece) => match holding(ask, prefix.clone(), piece)?.is_empty() {
            true => vec![prefix],
            false => Vec::new(),
        },
    })
}

fn behind(prefix: &[String], primitive: &str) -> String {
    prefix.iter().fold(String::new(), |text, before| text + before + " and ") + primitive
}

/// The frame filled up, so that no byte is missing that anything could read.
fn fillings(sample: &Sample) -> impl Iterator<Item = Sample> + '_ {
    let mut random = Random::new(3);
    (0..FILLINGS).map(move |round| {
        let mut sample = sample.clone();
        let length = (sample.wire_length as usize).max(sample.data.len() + 256);
        sample.data.resize_with(length, || match round {
            0 => 0,
            1 => 0xff,
            _ => random.next() as u8,
        });
        sample
    })
}

/// What an unrolled program gives that would still go on.
pub(crate) const ENDLESS: u32 = 0xdead;

/// A program that goes back (as libpcap's for `protochain` does) as one that does so [`ROUNDS`] times at most: copies of it, one behind
/// the other, and each way back leads to the next one. Others as they are.
pub(crate) fn unrolled(program: Vec<Instruction>) -> Vec<Instruction> {
    if !program.iter().any(|instruction| goes_back(*instruction)) {
        return program;
    }
    let length = program.len() as u32;
    let mut copies: Vec<Instruction> = (0..ROUNDS).flat_map(|_| program.iter().copied()).collect();
    for instruction in copies.iter_mut().filter(|instruction| goes_back(**instruction)) {
        instruction.constant = length.wrapping_add(instruction.constant);
    }
    let end = Instruction { code: 0x06, then: 0, otherwise: 0, constant: ENDLESS };
    copies.extend((0..length).map(|_| end));
    copies
}

pub(crate) fn goes_back(instruction: Instruction) -> bool {
    instruction.code == 0x05 && instruction.constant > 0x7fff_ffff
}

/// `inbound` and `outbound`: wherever it is asked, it is the frame's.
fn is_of_kernel(primitive: &str) -> bool {
    primitive == "inbound" || primitive == "outbound"
}

fn asks_link(primitive: &str) -> bool {
    const WORDS: [&str; 9] =
        ["ether", "link", "wlan", "radio", "broadcast", "multicast", "llc", "less", "greater"];
    WORDS.iter().any(|word| primitive.contains(word) && !primitive.starts_with("ip"))
        || primitive.contains("len")
        || is_of_kernel(primitive)
        || is_by_sap(primitive)
}

/// Protocols that IEEE 802.2 has service access points for.
fn is_by_sap(primitive: &str) -> bool {
    let names = ["ipx", "netbeui", "iso", "stp", "isis", "esis", "clnp", "0x42"];
    names.iter().any(|name| primitive.contains(name))
}

/// Of divisors that begin with an offset 0 others of the same value.
fn without_leading_zero(primitive: &str) -> Option<String> {
    let mut written = String::new();
    let mut rest = primitive;
    while let Some(at) = rest.find(['/', '%']) {
        let (before, divisor) = rest.split_at(at + 1);
        let divisor = divisor.trim_start();
        let parentheses = divisor.len() - divisor.trim_start_matches('(').len();
        let (opening, divisor) = divisor.split_at(parentheses);
        written += before;
        written += opening;
        let name = divisor.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(divisor.len());
        if divisor[name..].starts_with("[0") && !divisor.starts_with(|c: char| c.is_ascii_digit()) {
            let end = name + divisor[name..].find(']')? + 1;
            written += &format!("(1 * {})", &divisor[..end]);
            rest = &divisor[end..];
        } else {
            rest = divisor;
        }
    }
    written += rest;
    (written.replace(' ', "") != primitive.replace(' ', "")).then_some(written)
}

/// Whether there are the headers that it reads of, as questions that libpcap asks rightly.
fn headers_read(primitive: &str) -> Vec<String> {
    let names: BTreeSet<&str> = primitive
        .match_indices('[')
        .map(|(at, _)| primitive[..at].rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
        .filter(|name| !["ether", "link", "wlan", "radio", "fddi", "tr", "ppp", "slip"].contains(name))
        .collect();
    names.into_iter().map(|name| format!("{name}[0] >= 0")).collect()
}
