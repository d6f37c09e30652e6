//! Where we differ from libpcap, and why we are right: the whole list.

use wharf::frame::LinkType;

/// What an expression has, or what the difference says, and the reason.
type Rule = (fn(&str, LinkType, &str) -> bool, &'static str);

/// Found by asking libpcap again.
pub(crate) const OPTIMISER: &str =
    "libpcap's own program says the same as ours before its optimiser has been over it";

const RULES: &[Rule] = &[
    (
        |_, _, what| what.contains("refused by libpcap alone: no MPLS support for"),
        "labels are found behind more link-layer headers than libpcap looks behind",
    ),
    (
        |_, _, what| what.contains("refused by libpcap alone: unknown data link type"),
        "a link type that this libpcap does not know yet",
    ),
    (
        |_, _, what| what.ends_with("alone: division by zero") || what.ends_with("alone: modulus by zero"),
        "of `ip[8] / ip[0]` libpcap takes the 0 for the divisor, which is an offset",
    ),
    (
        |expression, link_type, _| {
            link_type == LinkType::IEEE802_11_RADIOTAP && expression.contains(['=', '<', '>'])
        },
        "behind an arithmetic comparison libpcap keeps the radiotap header's length, which it reads first, in the word of memory that the comparison then overwrites",
    ),
    (
        |expression, _, _| forgets_a_guard(expression),
        "of `ip[2:2] - tcp[12]` libpcap asks only whether the left part is there, and reads the right one of any packet",
    ),
    (
        |expression, _, _| is_moved(expression),
        "of `vlan 5 or vlan 6` libpcap seeks the 6 behind a first tag, and so with all that is written behind `vlan`, `mpls`, `pppoes` and `geneve`, be it an alternative",
    ),
    (
        |_, link_type, what| {
            link_type == LinkType::IEEE802_11_RADIOTAP && captured(what).is_some_and(|bytes| bytes < 44)
        },
        "libpcap reads all headers before 802.11's data first, and rejects a frame that ends in them though nothing depends on it",
    ),
    (
        |expression, link_type, _| {
            expression.contains("bound")
                && (link_type == LinkType::IEEE802_11_RADIOTAP || expression.contains("geneve"))
        },
        "what the kernel knows of a frame libpcap loads relative to a header of varying length, where it is not",
    ),
    (
        |_, link_type, what| {
            let of_others =
                [": [18,", ": [1c,", ": [1e,", ": [00,"].iter().any(|family| what.contains(family));
            link_type == LinkType::NULL && of_others
        },
        "a loopback capture has the number that its own system has for IPv6, in its byte order: libpcap knows but the reader's",
    ),
    (
        |expression, link_type, _| {
            let by_sap = ["ipx", "netbeui", "iso", "stp", "isis", "esis", "clnp", "0x42"];
            link_type == LinkType::LINUX_SLL2 && by_sap.iter().any(|name| expression.contains(name))
        },
        "behind a Linux cooked header of version 2 libpcap takes LLC's numbers for EtherTypes",
    ),
    (
        |expression, link_type, _| {
            let labelled = expression.split_once("mpls").is_some_and(|(_, rest)| rest.contains("geneve"));
            labelled || link_type == LinkType::IEEE802_11_RADIOTAP && expression.contains("geneve")
        },
        "libpcap loses the place of what is in Geneve behind MPLS labels, and where the link-layer header's length varies",
    ),
];

/// Whether a comparison reads of a protocol that its first part is not about.
fn forgets_a_guard(expression: &str) -> bool {
    let text = ["<<", ">>"].iter().fold(expression.to_owned(), |text, shift| text.replace(shift, "@"));
    let text = text.replace("&&", " and ").replace("||", " or ");
    text.split(" and ").flat_map(|part| part.split(" or ")).flat_map(|part| part.split(['=', '<', '>'])).any(
        |side| {
            let names = side.match_indices('[').map(|(at, _)| {
                side[..at].rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
            });
            let names: Vec<_> = names.collect();
            let side = side.trim_start_matches(|c: char| "(! ".contains(c));
            let side = side.trim_start_matches("not ").trim_start_matches(|c: char| "(! ".contains(c));
            names.iter().any(|name| *name != names[0])
                || names.first().is_some_and(|name| !side.starts_with(*name))
        },
    )
}

/// Whether something is written behind a `vlan` (or one of its kind) that is not asked behind the tag: it stands in an
/// alternative, or in something negated.
fn is_moved(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('!', " ! ");
    let (mut depth, mut alternatives, mut moves, mut before) = (0, false, false, "");
    for word in spaced.split_ascii_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "or" | "||" if depth == 0 => alternatives = true,
            "vlan" | "mpls" | "pppoes" | "geneve" => {
                if depth > 0 || before == "not" || before == "!" {
                    return true;
                }
                moves = true;
            }
            _ => {}
        }
        before = word;
    }
    moves && alternatives
}

/// Captured bytes, as the difference tells.
fn captured(what: &str) -> Option<usize> {
    let (_, count) = what.split_once(", of ")?;
    count.split(' ').next()?.parse().ok()
}

/// The reason why it may differ so.
pub(crate) fn excused(expression: &str, link_type: LinkType, what: &str) -> Option<&'static str> {
    RULES.iter().find(|(applies, _)| applies(expression, link_type, what)).map(|(_, reason)| *reason)
}
