//! Ranges of IP addresses. Their meaning is left to the caller.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8`, `::1` or `127.0.0.1`.
///
/// IPv4 and IPv6 are two families: `::/0` is all of IPv6 and nothing of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// All bits after the prefix are 0.
    first: IpAddr,
    /// At most 32 for IPv4, at most 128 for IPv6.
    prefix: u8,
}

impl Cidr {
    /// Whether the address is in this range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && network(address, self.prefix) == self.first
    }
}

/// Clears all bits of the address after the prefix.
fn network(address: IpAddr, prefix: u8) -> IpAddr {
    // With a prefix of 0 the shift is by all bits, and leaves an empty mask.
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= bits).ok_or(CidrError::Prefix { bits })?,
            None => bits,
        };
        let first = network(address, prefix);
        if first == address { Ok(Self { first, prefix }) } else { Err(CidrError::HostBits { first, prefix }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// Why a text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CidrError {
    /// The part before the slash is not an IP address.
    Address,
    /// The prefix is not a number that the address's family allows.
    Prefix {
        /// The longest prefix of this family.
        bits: u8,
    },
    /// The address has bits after the prefix, so it is not clear which range is meant.
    HostBits {
        /// The address with those bits cleared.
        first: IpAddr,
        /// The prefix.
        prefix: u8,
    },
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str(
                "this is not a range of IP addresses (RFC 4632 section 3.1); write something like 10.0.0.0/8, \
                 127.0.0.1 or ::1",
            ),
            Self::Prefix { bits } => {
                write!(f, "the prefix is not a number from 0 to {bits} (RFC 4632 section 3.1); put one after the slash")
            }
            Self::HostBits { first, prefix } => write!(
                f,
                "the address has bits after its prefix (RFC 4632 section 3.1); write {first}/{prefix} for the whole \
                 range, or leave the prefix out for one address"
            ),
        }
    }
}

impl std::error::Error for CidrError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect(text)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn ranges_contain_their_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::1", "::1", "::2"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            assert!(cidr(range).contains(ip(inside)), "{range} {inside}");
            assert!(!cidr(range).contains(ip(outside)), "{range} {outside}");
        }
        assert_eq!(cidr("::1").to_string(), "::1/128");
    }

    #[test]
    fn the_faults_of_a_range_are_told_apart() {
        for (text, error) in [
            ("", CidrError::Address),
            ("localhost", CidrError::Address),
            ("10.0.0.0/33", CidrError::Prefix { bits: 32 }),
            ("10.0.0.0/", CidrError::Prefix { bits: 32 }),
            ("::/129", CidrError::Prefix { bits: 128 }),
            ("::/256", CidrError::Prefix { bits: 128 }),
            ("10.1.2.3/8", CidrError::HostBits { first: ip("10.0.0.0"), prefix: 8 }),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text:?}");
        }
    }
}
