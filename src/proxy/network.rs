//! Networks of addresses, as trust, routes and limits name them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address and how many of its leading bits count: a CIDR block (RFC 4632 section 3.1, RFC 4291 section 2.3).
///
/// An IPv4 address that came in its IPv6 form (`::ffff:10.0.0.1`, as sockets for both families give it) is looked at as
/// the IPv4 address it is.
///
/// ```
/// use wharf::proxy::Network;
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().unwrap()));
/// assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!network.contains("11.0.0.0".parse().unwrap()));
/// # Ok::<(), wharf::proxy::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Bits behind the prefix are 0.
    address: IpAddr,
    /// 0 to 32, or to 128 with IPv6.
    prefix: u8,
}

/// Why a text names no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no network: {reason}")]
pub struct NetworkError {
    /// As given.
    pub text: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Network {
    /// Whether an address is one of these.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                // A shift by the width: an empty prefix, which every address has.
                let shift = 32 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Without the bits behind the prefix.
    fn masked(address: IpAddr, prefix: u8) -> IpAddr {
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// `ADDRESS/PREFIX`, or an address for itself alone. Bits set behind the prefix are an error: one of the two
    /// was not meant.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = |reason: String| NetworkError { text: text.to_owned(), reason };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(error(
                "write an address and a prefix length, such as 10.0.0.0/8 or 2001:db8::/32".into(),
            ));
        };
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => {
                let digits = Some(digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let prefix = digits.and_then(|digits| digits.parse().ok()).filter(|&prefix| prefix <= bits);
                prefix.ok_or_else(|| error(format!("behind the slash stands a number from 0 to {bits}")))?
            }
        };
        let masked = Self::masked(address, prefix);
        if masked != address {
            return Err(error(format!(
                "bits are set behind its prefix: write {masked}/{prefix}, or {address} for the address alone"
            )));
        }
        if address.to_canonical() != address {
            return Err(error(format!("write the IPv4 address itself, {}", address.to_canonical())));
        }
        Ok(Self { address, prefix })
    }
}

/// In the notation that [`FromStr`] reads.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().expect(network).contains(address.parse().expect(address))
    }

    #[test]
    fn holds_what_shares_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::/0", "fe80::1", "127.0.0.1"),
            ("127.0.0.0/8", "::ffff:127.9.9.9", "::127.9.9.9"),
        ] {
            assert!(contains(network, inside), "{inside} in {network}");
            assert!(!contains(network, outside), "{outside} in {network}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, reason) in [
            ("10.0.0.1/8", "write 10.0.0.0/8, or 10.0.0.1 for"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/+8", "from 0 to 32"),
            ("10.0.0.0/", "from 0 to 32"),
            ("example.org", "such as 10.0.0.0/8"),
            ("::ffff:10.0.0.1", "itself, 10.0.0.1"),
            ("", "such as"),
        ] {
            let error = text.parse::<Network>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn is_read_back_as_written() {
        for text in ["10.0.0.0/8", "192.0.2.1/32", "0.0.0.0/0", "2001:db8::/32", "::1/128"] {
            assert_eq!(text.parse::<Network>().map(|network| network.to_string()).as_deref(), Ok(text));
        }
    }
}
