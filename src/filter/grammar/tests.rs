use super::super::explain::explain;
use super::*;
use crate::filter::error::Error;
use std::time::{Duration, Instant};

fn parsed(text: &str) -> Result<Option<Node>, Error> {
    parse(text, &mut Names::default()).map_err(|fault| fault.within(text))
}

/// The explanation in one line, as the parse it stands for.
fn words(text: &str) -> String {
    let node = parsed(text).unwrap_or_else(|error| panic!("{text}: {error}\n{}", error.excerpt()));
    let explained = explain(node.as_ref());
    explained.lines().map(|line| line.replace("  ", "> ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn primitives() {
    for (text, expected) in [
        ("", "every packet"),
        ("tcp", "TCP"),
        ("src host 192.0.2.1", "IP, ARP or RARP from 192.0.2.1"),
        ("ip6 dst 2001:db8::1", "IPv6 to 2001:db8::1"),
        ("net 10.1", "IP, ARP or RARP from or to 10.1.0.0/16"),
        ("net 10", "IP, ARP or RARP from or to 10.0.0.0/8"),
        ("net 10/8", "IP, ARP or RARP from or to 10.0.0.0/8"),
        ("net 10.1.2 mask 255.255.255", "IP, ARP or RARP from or to 10.1.2.0/24"),
        ("dst net 2001:db8::/32", "IP, ARP or RARP to 2001:db8::/32"),
        ("net 10.0.0.1 mask 255.0.0.255", "IP, ARP or RARP from or to 10.0.0.1 of the bits 255.0.0.255"),
        ("src and dst port 53", "TCP, UDP or SCTP both from and to port 53"),
        ("dst or src port 53", "TCP, UDP or SCTP from or to port 53"),
        ("udp portrange 6000-6008", "UDP from or to ports 6000 to 6008"),
        ("portrange 6008-6000", "TCP, UDP or SCTP from or to ports 6000 to 6008"),
        ("tcp dst port https", "TCP to port 443"),
        (r"ip proto \tcp", "IPv4 carrying protocol 6"),
        ("proto 47", "IPv4 or IPv6 carrying protocol 47"),
        (r"ether proto \ip6", "EtherType 0x86dd"),
        (r"ether proto \stp", "IEEE 802.2 with service access point 0x42"),
        ("ip6 protochain 6", "IPv6 carrying protocol 6, behind any extension headers"),
        (r"iso proto \isis", "OSI protocol 0x83"),
        ("ether src 02:00:5e:00:53:01", "frame from station 02:00:5e:00:53:01"),
        ("wlan addr2 2:0:0:0:0:1", "frame with second address station 02:00:00:00:00:01"),
        ("decnet host 1.5", "DECnet from or to node 1.5"),
        ("link host $1f", "frame from or to ARCNET station 0x1f"),
        ("ether broadcast", "frame to all stations"),
        ("ip broadcast", "IPv4 to all of the network"),
        ("ip6 multicast", "IPv6 to a group"),
        ("less 100", "at most 100 bytes long"),
        ("byte 3 & 5", "byte 3 has any of the bits of 5"),
        ("vlan (100)", "tagged with VLAN 100"),
        ("mpls", "with an MPLS label"),
        ("pppoes 0x27", "in PPPoE session 39"),
        (
            "vlan 5 and (mpls or geneve) and not vlan",
            "all of:\n> tagged with VLAN 5; and then behind the tag:\n> any of:\n> > with an MPLS label; and then behind it:\n> > in a Geneve network; and then within it:\n> not tagged with a VLAN",
        ),
        ("llc rnr", "IEEE 802.2 supervisory frame of control 0x05"),
        ("wlan type mgt subtype beacon", "IEEE 802.11 frame whose first byte, of the bits 0xfc, has 0x80"),
        ("subtype ack", "IEEE 802.11 frame whose first byte, of the bits 0xfc, has 0xd4"),
        ("dir tods", "IEEE 802.11 frame to the distribution system"),
        ("on em0", "logged by pf on interface em0"),
        (
            "host localhost and not ip6",
            "all of:\n> IP, ARP or RARP from or to localhost: 127.0.0.1\n> not IPv6",
        ),
    ] {
        let found = words(text);
        let same_host = text.contains("localhost")
            && found.starts_with("all of:\n> IP, ARP or RARP from or to localhost: ");
        assert!(found == expected || same_host, "{text}:\n{found}");
    }
}

#[test]
fn values() {
    for (text, expected) in [
        ("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", "(tcp[13] & (2 | 16)) = 2"),
        ("ip[6:2] & 0x1fff = 0", "(ip[6:2] & 8191) = 0"),
        (
            "((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0",
            "((ip[2:2] - ((ip[0] & 15) << 2)) - ((tcp[12] & 240) >> 2)) != 0",
        ),
        ("1 + 2 * 3 << 4 & 5 | 6 = len", "((((1 + (2 * 3)) << 4) & 5) | 6) = len"),
        ("1 - 2 - 3 < 4", "((1 - 2) - 3) < 4"),
        // As libpcap has them.
        ("ip[0] % 3 + 1 >= 5", "(ip[0] % (3 + 1)) >= 5"),
        ("ip[0] & 1 ^ ip[1] <= 3", "(ip[0] & (1 ^ ip[1])) <= 3"),
        ("ip[0] * 2 % 3 > 1", "(ip[0] * (2 % 3)) > 1"),
        ("- ip[0] + 3 != -1", "(-ip[0] + 3) != -1"),
        ("tcp[ip[0]:2] = 5", "tcp[ip[0]:2] = 5"),
        ("icmp6[icmp6type] = icmp6-echo", "icmp6[0] = 128"),
        ("ether[-4:4] = 0", "ether[-4:4] = 0"),
    ] {
        assert_eq!(words(text), expected, "{text}");
    }
}

#[test]
fn and_and_or_are_equal_and_ids_carry_qualifiers_over() {
    let port = |number| format!("TCP from or to port {number}");
    for (text, expected) in [
        ("tcp port 80 or 443", format!("any of:\n> {}\n> {}", port(80), port(443))),
        ("tcp port (80 or 443)", format!("any of:\n> {}\n> {}", port(80), port(443))),
        (
            "tcp port 80 or (443 or 8080)",
            format!("any of:\n> {}\n> any of:\n> > {}\n> > {}", port(80), port(443), port(8080)),
        ),
        ("tcp port 80 or not 443", format!("any of:\n> {}\n> not {}", port(80), port(443))),
        ("tcp port not 80", format!("not {}", port(80))),
        (
            "tcp port 80 and (ip or arp) or 443",
            format!(
                "any of:\n> all of:\n> > {}\n> > any of:\n> > > IPv4\n> > > ARP\n> {}",
                port(80),
                port(443)
            ),
        ),
        ("ip or arp and rarp", "all of:\n> any of:\n> > IPv4\n> > ARP\n> RARP".to_owned()),
        (
            "ip and (arp || rarp) && !ip6",
            "all of:\n> IPv4\n> any of:\n> > ARP\n> > RARP\n> not IPv6".to_owned(),
        ),
        ("not not ip", "IPv4".to_owned()),
        ("not (ip and arp)", "not all of:\n> IPv4\n> ARP".to_owned()),
        ("(ip)", "IPv4".to_owned()),
        ("port 80 and (5) > 3", "all of:\n> TCP, UDP or SCTP from or to port 80\n> 5 > 3".to_owned()),
    ] {
        assert_eq!(words(text), expected, "{text}");
    }
}

#[test]
fn faults_point_at_their_place_and_help() {
    for (text, column, message) in [
        ("tcp prot 80", 5, "expected `and`, `or` or the end, found `prot` (did you mean `port`?)"),
        (
            "TCP",
            1,
            "expected a primitive, such as `tcp`, `host NAME`, `port NUMBER`, or a value to compare, found `TCP` (did you mean `tcp`?)",
        ),
        (
            "1.2.3.4",
            1,
            "expected a primitive, such as `tcp`, `host NAME`, `port NUMBER`, or a value to compare, found `1.2.3.4` (an address needs `host` or `net` before it)",
        ),
        (
            "tcp and",
            8,
            "expected a primitive, such as `tcp`, `host NAME`, `port NUMBER`, or a value to compare, found the end",
        ),
        (
            "tcp and 80",
            9,
            "a number alone says nothing: of a host, a port, a length? (such as `port 80`, or `len > 80`)",
        ),
        ("(tcp", 1, "a `(` that is not closed"),
        ("tcp)", 4, "a `)` without a `(` before it"),
        ("tcp[13", 7, "expected `]`, or `:` and a number of bytes, found the end"),
        ("tcp[5:3] = 1", 7, "expected a number of bytes: 1, 2 or 4, found `3`"),
        ("tcp[13]", 1, "a value is to be compared with another (such as `!= 0` behind it)"),
        ("ip[0] / 0 = 1", 9, "division by 0"),
        ("ip[0] << 32 = 1", 10, "a shift by more than 31 bits"),
        ("port 80000", 6, "80000 is no port: at most 65535"),
        ("port htpps", 6, "unknown port `htpps` (did you mean `https`?)"),
        ("udp port 80-90", 10, "unknown port `80-90` (/etc/services does not know it)"),
        ("vlan 4096", 6, "4096 is beyond a VLAN: at most 4095"),
        (
            "ip proto tcp",
            10,
            "expected a protocol's number or name, found `tcp` (`tcp` is a keyword: as a name it is written `\\tcp`)",
        ),
        ("icmp host 1.2.3.4", 11, "`icmp` has no such hosts (write `icmp and host ...`)"),
        ("ip6 host 1.2.3.4", 10, "an address of another family than `ip6`"),
        ("icmp port 80", 11, "`icmp` has no ports (`tcp`, `udp` and `sctp` have)"),
        (
            "net 10.1.2 mask 255.255.0.0",
            5,
            "the address has bits set that are not the network's (the network's address is 10.1.0.0)",
        ),
        ("net 10.0.0.0/40", 14, "expected the length of an IPv4 network: 0 to 32, found `40`"),
        ("host 10.0.0.0/8", 14, "only a network has a mask (write `net` before the address)"),
        (
            "len-20 > 5",
            1,
            "expected a primitive, such as `tcp`, `host NAME`, `port NUMBER`, or a value to compare, found `len-20` (a `-` that subtracts needs blanks around it)",
        ),
        ("src or ip 5", 8, "expected `dst`, found `ip`"),
        ("ether host 1.2.3.4.5", 12, "unknown station `1.2.3.4.5` (/etc/ethers does not know it)"),
        ("vci 5", 1, "ATM and SS7 primitives have no meaning on any capture wharf reads"),
        (
            "llc foo",
            5,
            "`foo` is not an LLC frame (i, s, u, rr, rnr, rej, ui, ua, disc, dm, sabme, test, xid, frmr)",
        ),
    ] {
        let error = parsed(text).expect_err(text);
        assert_eq!(error.to_string(), format!("column {column}: {message}"), "{text}");
    }
}

#[test]
fn hostile_expressions_end_at_once() {
    let nested = |open: &str, count: usize, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(count), close.repeat(count))
    };
    let started = Instant::now();
    for text in [
        "tcp or ".repeat(150_000),
        "a".repeat(1 << 20),
        "9".repeat(1 << 17),
        nested("(", 10_000, "tcp", ")"),
        "(".repeat(10_000),
        "not ".repeat(10_000),
        "!".repeat(100_000),
        format!("{}1 = 1", "-".repeat(100_000)),
        format!("{}1 = 1", "1 + ".repeat(10_000)),
        format!("{}1 = 1", "1 % ".repeat(10_000)),
        nested("ip[", 10_000, "0", "]"),
        "ip and arp or ".repeat(5_000) + "ip",
        format!("port {}", nested("(", 10_000, "1", ")")),
        format!("port {}1", "not ".repeat(10_000)),
        format!("vlan {}1", "(".repeat(100_000)),
        format!("host {}", ":".repeat(100_000)),
        format!("host {}", "1:".repeat(100_000)),
        "\\".repeat(100_000),
    ] {
        parsed(&text).expect_err(&text[..20]);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // What is long but sensible can be read: ten thousand hosts.
    let hosts = (0..10_000).map(|n| format!("host 10.0.{}.{}", n / 256, n % 256)).collect::<Vec<_>>();
    parsed(&hosts.join(" or ")).unwrap();
    parsed(&nested("(", DEEPEST - 1, "tcp", ")")).unwrap();
    parsed(&nested("not (", DEEPEST / 2 - 1, "tcp", ")")).unwrap();
}

proptest::proptest! {
    #[test]
    fn any_text_is_an_expression_or_a_fault_within_it(text in r"(tcp|ip|port|not|and|or|\(|\)|\[|\]|:|=|[0-9]{1,3}|vlan|src|dst|host|net|-|%|é|\\| ){0,12}") {
        if let Err(error) = parsed(&text) {
            proptest::prop_assert!((1..=text.chars().count() + 1).contains(&error.column()), "{}", error);
            let _ = error.excerpt();
        }
    }
}
