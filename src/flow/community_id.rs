//! Community ID, version 1: a flow's name that other tools compute, too.

use super::FlowKey;
use crate::parse::{IpVersion, protocol};
use sha1::{Digest, Sha1};
use std::fmt;

/// A flow's name as Zeek, Suricata, Wireshark and others compute it (<https://github.com/corelight/community-id-spec>,
/// version 1): SHA-1 over a seed, the addresses, the protocol and the ports. VLANs and tunnels are not part of it.
///
/// ```
/// use wharf::flow::{CommunityId, FlowKey};
///
/// let (key, _) = FlowKey::new(("128.232.110.120".parse()?, 34_855), ("66.35.250.204".parse()?, 80), 6);
/// assert_eq!(CommunityId::of(&key, 0).to_string(), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommunityId([u8; 20]);

impl CommunityId {
    /// Of a flow. All that are to be joined must have the same `seed`; usually it is 0.
    #[must_use]
    pub fn of(key: &FlowKey, seed: u16) -> Self {
        let mut bytes = [0; 2 + 32 + 2 + 4];
        let mut length = 0;
        let mut put = |more: &[u8]| {
            bytes[length..][..more.len()].copy_from_slice(more);
            length += more.len();
        };
        put(&seed.to_be_bytes());
        let size = if key.ip_version() == IpVersion::V4 { 4 } else { 16 };
        key.addresses().iter().for_each(|address| put(&address[..size]));
        put(&[key.protocol(), 0]);
        if matches!(
            key.protocol(),
            protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMP | protocol::ICMPV6
        ) {
            [false, true].iter().for_each(|&upper| put(&key.end(upper).1.to_be_bytes()));
        }
        Self(Sha1::digest(&bytes[..length]).into())
    }
}

impl CommunityId {
    /// `1:` and the hash in Base64 (RFC 4648 4).
    pub(crate) fn text(&self) -> [u8; 30] {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        // With a byte of 0 at the end there are seven groups of three bytes; its digit is the padding.
        let mut bytes = [0; 21];
        bytes[..20].copy_from_slice(&self.0);
        let mut text = *b"1:............................";
        for (group, digits) in bytes.as_chunks::<3>().0.iter().zip(text[2..].as_chunks_mut::<4>().0) {
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            *digits = [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize]);
        }
        text[29] = b'=';
        text
    }
}

/// `1:` and the hash in Base64 (RFC 4648 4).
impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    /// Protocol, source, destination, ports, and the identifiers with seeds 0 and 1.
    type Vector = (u8, &'static str, &'static str, [u16; 2], &'static str, &'static str);

    /// The specification's baseline.
    const VECTORS: [Vector; 12] = [
        (
            58,
            "fe80::200:86ff:fe05:80da",
            "fe80::260:97ff:fe07:69ea",
            [135, 136],
            "dGHyGvjMfljg6Bppwm3bg0LO8TY",
            "kHa1FhMYIT6Ym2Vm2AOtoOARDzY",
        ),
        (
            58,
            "fe80::260:97ff:fe07:69ea",
            "fe80::200:86ff:fe05:80da",
            [135, 136],
            "zavyT/cezQr1fmImYCwYnMXbgck",
            "2hSqmsDZ2kdcY9kbiUzOEBic0iM",
        ),
        (
            58,
            "3ffe:501:1800:2345::2",
            "3ffe:507:0:1:200:86ff:fe05:80da",
            [3, 0],
            "2ObVBgIn28oZvibYZhZMBgh7WdQ",
            "lVEtCZpYu84Xqaa++3lXFyuu2n4",
        ),
        (
            58,
            "3ffe:501:410:0:2c0:dfff:fe47:33e",
            "3ffe:507:0:1:200:86ff:fe05:80da",
            [1, 4],
            "hLZd0XGWojozrvxqE0dWB1iM6R0",
            "W8MHwXpWzpoSTD+cGcaJr4u0ys8",
        ),
        (
            58,
            "3ffe:507:0:1:200:86ff:fe05:80da",
            "3ffe:501:0:1001::2",
            [128, 129],
            "+TW+HtLHvV1xnGhV1lv7XoJrqQg",
            "GfZxjAkDk2MkegpBYHV6tadtFXQ",
        ),
        (
            1,
            "192.168.0.89",
            "192.168.0.1",
            [8, 0],
            "X0snYXpgwiv9TZtqg64sgzUn6Dk",
            "03g6IloqVBdcZlPyX8r0hgoE7kA",
        ),
        (1, "10.0.0.1", "10.0.0.2", [11, 0], "YHxtAirCG//0OzkcVAukqKQN9xM", "XjUibYHaafLQ3pxQeiMI8g25q20"),
        (
            6,
            "2001:470:e5bf:dead:4957:2174:e82c:4887",
            "2607:f8b0:400c:c03::1a",
            [63_943, 25],
            "/qFaeAR+gFe1KYjMzVDsMv+wgU4",
            "eJYTW6AOzFLlSUoESovMjnu7rMw",
        ),
        (
            132,
            "192.168.170.8",
            "192.168.170.56",
            [7, 7],
            "MP2EtRCAUIZvTw6MxJHLV7N7JDs",
            "5w3ZRjeKBzqT3zsaEECDGjUbYeg",
        ),
        (
            6,
            "128.232.110.120",
            "66.35.250.204",
            [34_855, 80],
            "LQU9qZlK+B5F3KDmev6m5PMibrg",
            "3V71V58M3Ksw/yuFALMcW0LAHvc",
        ),
        (
            17,
            "192.168.1.52",
            "8.8.8.8",
            [54_585, 53],
            "d/FP5EW3wiY1vCndhwleRRKHowQ",
            "Q9We8WO3piVF8yEQBNJF4uiSVrI",
        ),
        (46, "10.1.12.1", "10.1.12.2", [0, 0], "KHlLkgoJW7ifUTyTSgyVfkFHzKw", "rYir8gphR31noO9iDRQmF/BteEI"),
    ];

    #[test]
    fn published_vectors() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (protocol, a, b, [sent, answered], zero, one) in VECTORS {
            let (a, b) = (address(a), address(b));
            let there = FlowKey::new((a, sent), (b, answered), protocol).0;
            let back = FlowKey::new((b, answered), (a, sent), protocol).0;
            // ICMP errors are not answered.
            for key in if [3, 11, 1].contains(&sent) { vec![there] } else { vec![there, back] } {
                assert_eq!(CommunityId::of(&key, 0).to_string(), format!("1:{zero}="));
                assert_eq!(CommunityId::of(&key, 1).to_string(), format!("1:{one}="));
            }
        }
    }
}
