//! Why a verdict of ours may differ from libpcap's: libpcap itself, asked the same again in a way that avoids a defect of it that
//! is known, says what we say, of that very frame. What cannot be shown so is unexplained.

use crate::carry;
use crate::differences::Reason;
use crate::frames::{Random, Sample};
use crate::libpcap::Libpcap;
use crate::pieces::{Piece, closing, moves};
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
    &[Reason::LinkType],
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
        Reason::LinkType,
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
/// How many places an expression may lead to.
const MOST_PLACES: usize = 16;
/// As often as a program that goes back is let do so.
const ROUNDS: u32 = 64;
const NO_END: &str = "it does not end";

/// `LINKTYPE_USER0`, of whose frames nothing is known but the bytes.
const PRIVATE: LinkType = LinkType(147);

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
            // It takes them to stand behind what is written before.
            error if error.starts_with("no VLAN") => Some(Reason::Moved),
            error if error.starts_with("no MPLS support") => Some(Reason::NoMpls),
            error if error.starts_with("unknown data link type") => Some(Reason::LinkType),
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
        if let Some(mut avoided) = self.agrees(pieces, sample, ours, None) {
            if !avoided.is_empty() {
                return Some(avoided);
            }
            // To take it apart was enough, for one of these reasons.
            let reason = match self.refused {
                // What is refused is not asked of this frame.
                Some(reason) => reason,
                None if pieces.any(&moves) => Reason::Moved,
                None if self.link_type == LinkType::IEEE802_11_RADIOTAP => Reason::Radiotap,
                None => return None,
            };
            avoided.insert(reason);
            return Some(avoided);
        }
        // Something rejects the frame, and it is chance whether it is asked; but whatever it had said, the verdict would be ours.
        let whatever = [true, false].map(|said| self.agrees(pieces, sample, ours, Some(said)));
        if let [Some(avoided), Some(others)] = whatever {
            return Some(
                [BTreeSet::from([Reason::Missing]), avoided, others].into_iter().flatten().collect(),
            );
        }
        // A byte is missing, and it is chance what asks for it first.
        let is_cut = sample.data.len() < sample.wire_length as usize;
        let mut all = BTreeSet::from([Reason::Missing]);
        for sample in fillings(sample) {
            let filled = self.ours(self.expression, &sample)?;
            if !is_cut && ours && !filled {
                return None;
            }
            all.extend(self.agrees(pieces, &sample, filled, None)?);
        }
        Some(all)
    }

    /// Whether libpcap says the same of the pieces, joined; and what was avoided for that. What rejects the frame is taken to have
    /// `said` that.
    fn agrees(
        &self,
        pieces: &Piece,
        sample: &Sample,
        ours: bool,
        said: Option<bool>,
    ) -> Option<BTreeSet<Reason>> {
        let instead = |stop: Stop| match (stop, said) {
            (Stop::Rejected, Some(said)) => Ok(said),
            (stop, _) => Err(stop),
        };
        // That shows that the pieces are what the expression is made of.
        let mut ask = |prefix: &[String], primitive: &str| {
            let holds = self.ours(&behind(prefix, primitive), sample);
            let fails = || self.ours(&behind(prefix, &format!("not ( {primitive} )")), sample);
            told(holds, fails).or_else(instead)
        };
        if verdict(&mut ask, pieces) != Some(ours) {
            return None;
        }
        ALLOWED.iter().find_map(|allowed| {
            let mut avoided = BTreeSet::new();
            let mut ask = |prefix: &[String], primitive: &str| {
                self.ask(prefix, primitive, allowed, sample, &mut avoided).or_else(instead)
            };
            (verdict(&mut ask, pieces) == Some(ours)).then_some(avoided)
        })
    }

    /// Why an expression that libpcap takes is rightly refused: libpcap itself refuses one of its primitives behind what it is joined
    /// to, or they lead to more places than is allowed.
    pub(crate) fn shows_refusal(&self, error: &str) -> Option<Reason> {
        let (mut is_refused, mut most) = (false, 0);
        let mut visit = |places: &BTreeSet<Vec<String>>, primitive: &str| {
            let refuses = |prefix: &Vec<String>| {
                self.library.compile(&behind(prefix, primitive), self.link_type, false).is_err()
            };
            is_refused |= places.iter().any(refuses);
            most = most.max(count(places));
        };
        let pieces = self.pieces.as_ref()?;
        let end = places(&mut visit, BTreeSet::from([Vec::new()]), pieces);
        if error.contains("too many places") {
            return (most.max(count(&end)) > MOST_PLACES).then_some(Reason::Places);
        }
        is_refused.then_some(Reason::Moved)
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
    ) -> Result<bool, Stop> {
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
        if self.refused == Some(Reason::LinkType) && avoid(Reason::LinkType) {
            sample.link_type = PRIVATE;
        }
        if let Some(written_otherwise) = with_divisors_times_one(&primitive)
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
        let of_link = asks_link(&primitive) && !prefix.iter().any(|text| text.starts_with("geneve"));
        let on_radiotap = sample.link_type == LinkType::IEEE802_11_RADIOTAP;
        if on_radiotap && !of_link && avoid(Reason::Radiotap) {
            sample = carry::to_ethernet(&sample);
        }
        let by_label = prefix.iter().chain([&primitive]).any(|text| text.starts_with("mpls"));
        if by_label && !of_link && sample.link_type != LinkType::ETHERNET && avoid(Reason::NoMpls) {
            sample = carry::to_ethernet(&sample);
        }
        let guards = headers_read(&primitive);
        if !guards.is_empty() && avoid(Reason::Guard) {
            for guard in guards {
                if !self.run(&behind(&prefix, &guard), &sample).map_err(|_| Stop::Unknown)? {
                    return Ok(false);
                }
            }
        }
        let holds = self.run(&behind(&prefix, &primitive), &sample).ok();
        told(holds, || self.run(&behind(&prefix, &format!("not ( {primitive} )")), &sample).ok())
    }

    fn run(&self, text: &str, sample: &Sample) -> Result<bool, String> {
        let mut programs = self.programs.borrow_mut();
        let program = programs.entry((text.to_owned(), sample.link_type)).or_insert_with(|| {
            Ok(unrolled(self.library.compile(text, sample.link_type, false)?.instructions()))
        });
        let seen = Seen { bytes: &sample.data, wire_length: Some(sample.wire_length), ..Seen::default() };
        match run(program.as_ref().map_err(Clone::clone)?, &seen) {
            ENDLESS => Err(NO_END.to_owned()),
            given => Ok(given != 0),
        }
    }
}

/// Why there is no answer to go on with.
enum Stop {
    /// It rejects the frame, whatever stands around it: it reads beyond the end, or divides by 0.
    Rejected,
    Unknown,
}

/// What is neither so nor not so rejects the frame.
fn told(holds: Option<bool>, fails: impl FnOnce() -> Option<bool>) -> Result<bool, Stop> {
    match holds {
        Some(true) => Ok(true),
        Some(false) if fails() == Some(true) => Ok(false),
        Some(false) => Err(Stop::Rejected),
        None => Err(Stop::Unknown),
    }
}

/// A question about a primitive behind others.
trait Ask: FnMut(&[String], &str) -> Result<bool, Stop> {}
impl<F: FnMut(&[String], &str) -> Result<bool, Stop>> Ask for F {}

fn verdict(ask: &mut impl Ask, piece: &Piece) -> Option<bool> {
    match holding(ask, Vec::new(), piece) {
        Ok(ways) => Some(!ways.is_empty()),
        Err(Stop::Rejected) => Some(false),
        Err(Stop::Unknown) => None,
    }
}

/// The ways in which a piece holds behind what has moved: each the primitives behind which one is then.
fn holding(ask: &mut impl Ask, prefix: Vec<String>, piece: &Piece) -> Result<Vec<Vec<String>>, Stop> {
    Ok(match piece {
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
            let mut ways = holding(ask, prefix.clone(), left)?;
            match holding(ask, prefix.clone(), right) {
                Ok(others) => ways.extend(others),
                // Where the left one holds, all that the right one could add is another place.
                Err(_) if ways.contains(&prefix) => {}
                Err(stop) => return Err(stop),
            }
            ways
        }
        Piece::Not(piece) => match holding(ask, prefix.clone(), piece)?.is_empty() {
            true => vec![prefix],
            false => Vec::new(),
        },
    })
}

/// Places that are told apart: which number a tag has makes no other place, and Geneve has four, over IPv4 and IPv6, with Ethernet
/// inside or without.
fn count(places: &BTreeSet<Vec<String>>) -> usize {
    let kinds = |prefix: &Vec<String>| -> Vec<String> {
        prefix.iter().map(|text| text.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    let places: BTreeSet<Vec<String>> = places.iter().map(kinds).collect();
    let ways =
        |kinds: &Vec<String>| 4_usize.pow(kinds.iter().filter(|kind| *kind == "geneve").count() as u32);
    places.iter().map(ways).sum()
}

/// Where one may be behind a piece, begun anywhere of `begin`, whatever the frame; each primitive is shown with where it is asked.
fn places(
    visit: &mut impl FnMut(&BTreeSet<Vec<String>>, &str),
    begin: BTreeSet<Vec<String>>,
    piece: &Piece,
) -> BTreeSet<Vec<String>> {
    match piece {
        Piece::Primitive(text) => {
            visit(&begin, text);
            if !moves(text) {
                return begin;
            }
            begin.into_iter().map(|prefix| [prefix, vec![text.clone()]].concat()).collect()
        }
        Piece::And(left, right) => {
            let begin = places(visit, begin, left);
            places(visit, begin, right)
        }
        Piece::Or(left, right) => {
            let mut behind = places(visit, begin.clone(), left);
            behind.extend(places(visit, begin, right));
            behind
        }
        Piece::Not(piece) => {
            places(visit, begin.clone(), piece);
            begin
        }
    }
}

fn behind(prefix: &[String], primitive: &str) -> String {
    prefix.iter().fold(String::new(), |text, before| text + before + " and ") + primitive
}

/// The frame filled up, so that no byte is missing that anything could read. A header that says how long it is says no more than there
/// is, and few headers follow one another.
fn fillings(sample: &Sample) -> impl Iterator<Item = Sample> + '_ {
    let mut random = Random::new(3);
    (0..FILLINGS).map(move |round| {
        let mut filled = sample.clone();
        let length = (sample.wire_length as usize).max(sample.data.len() + 256);
        filled.data.resize_with(length, || if round == 0 { 0xff } else { random.next() as u8 });
        if sample.link_type == LinkType::IEEE802_11_RADIOTAP && sample.data.len() < 8 {
            let header = [0, 0, 8 + 4 * (round % 5) as u8, 0, 0x22 & filled.data[4], 0, 0, 0];
            let known = sample.data.len();
            filled.data[known..8].copy_from_slice(&header[known..]);
        }
        filled
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

/// The same with each divisor that is no number written as itself times 1; `None` where there is none.
fn with_divisors_times_one(primitive: &str) -> Option<String> {
    let at = primitive.match_indices(['/', '%']).map(|(at, _)| at + 1).find(|at| {
        let divisor = primitive[*at..].trim_start();
        // Those that were written so already, and `net 10.0.0.0/8`.
        !divisor.starts_with("(1 * ") && !divisor.starts_with(|c: char| c.is_ascii_digit())
    })?;
    let (before, divisor) = primitive.split_at(at);
    let divisor = divisor.trim_start();
    let end = operand(divisor)?;
    let written = format!("{before} (1 * {}){}", &divisor[..end], &divisor[end..]);
    Some(with_divisors_times_one(&written).unwrap_or(written))
}

/// Where a number, bytes of a header, or what is in parentheses ends.
fn operand(text: &str) -> Option<usize> {
    let name = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let pair = match text[name..].chars().next() {
        Some('[') => ['[', ']'],
        Some('(') if name == 0 => ['(', ')'],
        _ => return Some(name),
    };
    Some(name + 1 + closing(&text[name + 1..], pair)? + 1)
}

/// Whether there are the headers that it reads of, as questions that libpcap asks rightly.
fn headers_read(primitive: &str) -> Vec<String> {
    let names: BTreeSet<&str> = primitive
        .match_indices('[')
        .map(|(at, _)| {
            primitive[..at].rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
        })
        .filter(|name| !["ether", "link", "wlan", "radio", "fddi", "tr", "ppp", "slip"].contains(name))
        .collect();
    names.into_iter().map(|name| format!("{name}[0] >= 0")).collect()
}
