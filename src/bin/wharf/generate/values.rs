//! How counts, lengths, mixes and addresses are written.

use super::feed::Passes;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use wharf::source::synthetic::{Protocol, Sizes};

/// `3`, or `forever`.
pub(super) fn passes(text: &str) -> Result<Passes, String> {
    match text {
        "forever" => Ok(Passes::FOREVER),
        _ => match text.parse() {
            Ok(0) | Err(_) => Err("not a number of times, or `forever`".to_owned()),
            Ok(times) => Ok(Passes(times)),
        },
    }
}

/// Shortest frame with anything in it, and the longest an IPv4 packet makes.
const LENGTHS: RangeInclusive<u16> = 42..=65_535;

/// `64`, `64-1514`, `imix`, or lengths with weights: `60:7,590:4,1514:1`.
pub(super) fn sizes(text: &str) -> Result<Sizes, String> {
    let wrong = || {
        format!(
            "not a length such as 64, 64-1514, imix or 60:7,590:4,1514:1 (bytes, {LENGTHS:?}, no check sequence)"
        )
    };
    let length = |text: &str| text.parse().ok().filter(|length| LENGTHS.contains(length));
    if text == "imix" {
        return Ok(Sizes::Imix);
    }
    if let Some((first, last)) = text.split_once('-') {
        let range = length(first).zip(length(last)).filter(|(first, last)| first <= last);
        return range.map(|(first, last)| Sizes::Uniform(first..=last)).ok_or_else(wrong);
    }
    if !text.contains([',', ':']) {
        return length(text).map(Sizes::Fixed).ok_or_else(wrong);
    }
    weighted(text, length).map(Sizes::Mix).ok_or_else(wrong)
}

/// Protocols with weights: `tcp`, `tcp:9,udp:1`.
pub(super) fn protocols(text: &str) -> Result<Vec<(Protocol, u32)>, String> {
    let protocol = |text: &str| match text {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        "icmp" => Some(Protocol::Icmp),
        _ => None,
    };
    weighted(text, protocol)
        .ok_or_else(|| "not protocols such as udp or tcp:9,udp:1 (tcp, udp, sctp, icmp)".to_owned())
}

/// A list of choices, each with a weight of at least 1, which is 1 where it is left out.
fn weighted<T>(text: &str, choice: impl Fn(&str) -> Option<T>) -> Option<Vec<(T, u32)>> {
    let parts = text.split(',').map(|part| {
        let (name, weight) = part.split_once(':').unwrap_or((part, "1"));
        Some((choice(name)?, weight.parse().ok().filter(|weight| *weight > 0)?))
    });
    parts.collect()
}

/// Ports and ranges of them: `53,80,8000-8999`.
pub(super) fn ports(text: &str) -> Result<Vec<RangeInclusive<u16>>, String> {
    let ranges: Option<_> = text.split(',').map(range).collect();
    ranges.ok_or_else(|| "not ports such as 53 or 80,443,8000-8999".to_owned())
}

/// A VLAN, or a range of them.
pub(super) fn vlans(text: &str) -> Result<RangeInclusive<u16>, String> {
    let vlans = range(text).filter(|range| *range.end() < 4_096);
    vlans.ok_or_else(|| "not a VLAN such as 100, or VLANs such as 100-199 (0 to 4095)".to_owned())
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse().ok()?..=last.parse().ok()?;
    (range.start() <= range.end()).then_some(range)
}

/// An Ethernet address: `02:00:00:00:00:01`.
pub(super) fn mac(text: &str) -> Result<[u8; 6], String> {
    let wrong = || "not an Ethernet address such as 02:00:00:00:00:01".to_owned();
    let byte =
        |text: &str| u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
}

/// An address, or a network that flows are numbered through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    V4(Ipv4Addr, u8),
    V6(Ipv6Addr, u8),
}

/// `10.1.0.0/16`, `2001:db8::1`.
pub(super) fn network(text: &str) -> Result<Network, String> {
    let wrong = || "not an address or network such as 10.1.0.1, 10.1.0.0/16 or 2001:db8::/64".to_owned();
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let length = |most: u8| match prefix {
        None => Ok(most),
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= most).ok_or_else(wrong),
    };
    match address.parse().map_err(|_| wrong())? {
        IpAddr::V4(address) => Ok(Network::V4(address, length(32)?)),
        IpAddr::V6(address) => Ok(Network::V6(address, length(128)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_passes() {
        assert_eq!((passes("3"), passes("forever")), (Ok(Passes(3)), Ok(Passes::FOREVER)));
        assert!(passes("0").is_err() && passes("ever").is_err());
    }

    #[test]
    fn lengths_and_mixes() {
        assert_eq!(sizes("64"), Ok(Sizes::Fixed(64)));
        assert_eq!(sizes("64-1514"), Ok(Sizes::Uniform(64..=1_514)));
        assert_eq!(sizes("60:7,1514"), Ok(Sizes::Mix(vec![(60, 7), (1_514, 1)])));
        assert_eq!(sizes("imix"), Ok(Sizes::Imix));
        for text in ["", "41", "1514-64", "64-", "64:0", "64,", "70000", "small"] {
            assert!(sizes(text).is_err(), "{text:?}");
        }
        assert_eq!(protocols("tcp:9,udp"), Ok(vec![(Protocol::Tcp, 9), (Protocol::Udp, 1)]));
        assert!(["", "tcp:", "tcp:x", "igmp", "tcp,,udp"].iter().all(|text| protocols(text).is_err()));
        assert_eq!(ports("53,8000-8001"), Ok(vec![53..=53, 8_000..=8_001]));
        assert!(["", "80-", "9-8", "65536", "http"].iter().all(|text| ports(text).is_err()));
        assert!(vlans("4096").is_err() && vlans("5-7") == Ok(5..=7));
    }

    #[test]
    fn addresses() {
        assert_eq!(mac("02:00:00:0a:ff:01"), Ok([2, 0, 0, 10, 255, 1]));
        assert!(
            ["", "02:00:00:00:00", "2:0:0:0:0:1", "02:00:00:00:00:0g", "+2:00:00:00:00:00"]
                .iter()
                .all(|text| mac(text).is_err())
        );
        assert_eq!(network("10.1.0.0/16"), Ok(Network::V4([10, 1, 0, 0].into(), 16)));
        assert_eq!(network("::1"), Ok(Network::V6(Ipv6Addr::LOCALHOST, 128)));
        assert!(
            ["", "10.1", "10.1.0.0/33", "::1/129", "10.0.0.1/"].iter().all(|text| network(text).is_err())
        );
    }
}
