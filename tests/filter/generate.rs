//! Expressions at random: every primitive, joined and nested to depth 5.

use crate::frames::{PORTS, Random, V4, V6};

const DEPTH: u32 = 5;

/// An expression. Those that look behind tags mostly do so where we and libpcap mean the same: as parts of one `and`.
pub(crate) fn expression(random: &mut Random) -> String {
    let depth = random.below(DEPTH + 1);
    match random.below(20) {
        0..14 => nested(random, depth, false),
        14..19 => {
            let mut text = String::new();
            if random.one_in(2) {
                text = format!("( {} ) and ", nested(random, depth / 2, false));
            }
            text.push_str(&moving(random));
            if random.one_in(4) {
                text = format!("{text} and {}", moving(random));
            }
            if random.one_in(8) {
                text
            } else {
                format!("{text} and ( {} )", nested(random, depth / 2, false))
            }
        }
        _ => nested(random, depth, true),
    }
}

/// A primitive behind which everything is looked for elsewhere.
fn moving(random: &mut Random) -> String {
    (*random.of(&[
        "vlan",
        "vlan 100",
        "vlan 200",
        "vlan",
        "mpls",
        "mpls 1024",
        "mpls 100000",
        "pppoes",
        "pppoes 0x27",
        "geneve",
        "geneve 11",
    ]))
    .to_owned()
}

fn nested(random: &mut Random, depth: u32, moves: bool) -> String {
    if depth == 0 {
        return if moves && random.one_in(4) { moving(random) } else { primitive(random) };
    }
    let left = nested(random, depth - 1, moves);
    match random.below(10) {
        0 => format!("not {left}"),
        1 => format!("! ( {left} )"),
        2..6 => {
            let depth = random.below(depth);
            format!("{left} {} {}", random.of(&["and", "&&"]), nested(random, depth, moves))
        }
        6..9 => {
            let depth = random.below(depth);
            format!("{left} {} {}", random.of(&["or", "||"]), nested(random, depth, moves))
        }
        _ => {
            let depth = random.below(depth);
            format!("( {left} ) {} ( {} )", random.of(&["and", "or"]), nested(random, depth, moves))
        }
    }
}

fn address(random: &mut Random) -> String {
    let [a, b, c, d] = random.of(&V4);
    format!("{a}.{b}.{c}.{d}")
}

fn address6(random: &mut Random) -> String {
    std::net::Ipv6Addr::from(*random.of(&V6)).to_string()
}

fn mac(random: &mut Random) -> &'static str {
    random.of::<&str>(&["00:11:22:33:44:55", "66:77:88:99:aa:bb", "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:00"])
}

fn primitive(random: &mut Random) -> String {
    let direction = *random.of(&["", "", "", "src ", "dst ", "src or dst ", "src and dst "]);
    let port = *random.of(&PORTS);
    match random.below(34) {
        0..3 => format!("{direction}host {}", address(random)),
        3 => format!("{direction}host {}", address6(random)),
        4..6 => {
            let network =
                random.of(&["10.0.0.0/8", "192.168.0.0/16", "128.3.0.0/16", "10.0.0.0/30", "0.0.0.0/0"]);
            format!("{direction}net {network}")
        }
        6 => format!(
            "{direction}net {}",
            random.of(&["2001:db8::/32", "fe80::/10", "ff00::/8", "2001:db8::/46"])
        ),
        7..10 => format!("{}{direction}port {port}", random.of(&["", "tcp ", "udp ", "sctp "])),
        10 => {
            let end = port.saturating_add(random.below(100) as u16);
            format!("{}{direction}portrange {port}-{end}", random.of(&["", "tcp ", "udp "]))
        }
        11..15 => (*random.of(&[
            "ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "igmp", "sctp", "esp", "ah", "pim",
            "vrrp", "igrp",
        ]))
        .to_owned(),
        15 => format!(
            "{}proto {}",
            random.of(&["", "ip ", "ip6 "]),
            random.of(&["6", "17", "1", "58", "47", "\\tcp", "\\udp"])
        ),
        16 => format!(
            "ether proto {}",
            random.of(&["0x0800", "0x88cc", "0x8100", "\\arp", "\\ip6", "0x42", "\\stp"])
        ),
        17 => format!("ether {}host {}", random.of(&["", "src ", "dst "]), mac(random)),
        18 => (*random.of(&[
            "broadcast",
            "multicast",
            "ether broadcast",
            "ether multicast",
            "ip multicast",
            "ip6 multicast",
        ]))
        .to_owned(),
        19 => (*random.of(&["less 60", "less 100", "greater 60", "greater 80", "len > 66", "len <= 54"]))
            .to_owned(),
        20..22 => "pppoed".to_owned(),
        24 => format!("{}protochain {}", random.of(&["", "ip ", "ip6 "]), random.of(&["6", "17", "58"])),
        25 => (*random.of(&["llc", "stp", "iso", "ipx", "netbeui", "inbound", "outbound", "atalk", "aarp"]))
            .to_owned(),
        26 => format!("arp {direction}host {}", address(random)),
        27 => format!("ip {direction}host {}", address(random)),
        _ => relation(random),
    }
}

fn relation(random: &mut Random) -> String {
    let depth = random.below(3);
    let left = value(random, depth);
    let relation = *random.of(&["=", "==", "!=", ">", "<", ">=", "<="]);
    let right = if random.one_in(4) { value(random, 1) } else { number(random) };
    format!("{left} {relation} {right}")
}

fn number(random: &mut Random) -> String {
    (*random.of(&[
        "0",
        "1",
        "2",
        "4",
        "5",
        "6",
        "17",
        "64",
        "80",
        "0x45",
        "0xff",
        "1024",
        "443",
        "0x0a000001",
        "60",
    ]))
    .to_owned()
}

fn value(random: &mut Random, depth: u32) -> String {
    if depth > 0 {
        let left = value(random, depth - 1);
        let operator = *random.of(&["+", "-", "*", "&", "|", "^", "<<", ">>", "/", "%", "&", "&"]);
        let right = if random.one_in(4) { value(random, depth - 1) } else { number(random) };
        let right = if matches!(operator, "<<" | ">>") {
            (*random.of(&["1", "2", "4", "8"])).to_owned()
        } else {
            right
        };
        return format!("({left} {operator} {right})");
    }
    match random.below(12) {
        0 => "len".to_owned(),
        1 => number(random),
        2 => format!(
            "tcp[{}]",
            random.of(&["tcpflags", "0:2", "2:2", "13", "12", "4:4", "((tcp[12] & 0xf0) >> 2)"])
        ),
        3 => format!("udp[{}]", random.of(&["0:2", "2:2", "4:2", "8", "8:4"])),
        4 => format!("icmp[{}]", random.of(&["icmptype", "icmpcode", "0", "1"])),
        5 => format!("ip6[{}]", random.of(&["0", "4:2", "6", "7", "40", "8:4"])),
        6 => format!("arp[{}]", random.of(&["6:2", "7", "14:4", "24:4"])),
        7 => format!("ether[{}]", random.of(&["0", "12:2", "6:4", "14", "len - 1", "20:2"])),
        8 => format!("{}[{}]", random.of(&["sctp", "igmp", "icmp6"]), random.of(&["0", "0:2", "1"])),
        _ => format!(
            "ip[{}]",
            random.of(&["0", "1", "2:2", "6:2", "8", "9", "12:4", "16:4", "16", "ip[0] & 0xf"])
        ),
    }
}
