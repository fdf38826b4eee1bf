//! Where nothing is sent: a webhook's address is somebody's word, and must not make the server speak to what only the server
//! can reach. A name is judged by what it resolves to, in the moment of connecting and by the resolver of the connection
//! itself, so a name that changes its mind between a look and the connection is judged by its last word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an endpoint may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// On the Internet.
    Public,
    /// There or in a private network, this machine included; but never at addresses that are of the machine's own cloud.
    Private,
    /// On this machine alone.
    Own,
}

impl Reach {
    /// Whether it may be there.
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        let address = plain(address);
        match self {
            Self::Public => is_public(address),
            Self::Private => !is_of_the_cloud(address) && !is_of_the_cloud(led_to(address)),
            Self::Own => address.is_loopback(),
        }
    }
}

/// An IPv4 address that is written as an IPv6 one (mapped, or by NAT64), as it is.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of_segments(high, low),
        _ => address,
    }
}

/// The IPv4 address that an IPv6 one leads to where somebody translates or tunnels: compatible (RFC 4291), by NAT64 of a
/// network's own (RFC 8215), by 6to4 (RFC 3056), and Teredo's server (RFC 4380).
fn led_to(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..]
        | [0x2001, 0, high, low, ..]
        | [0, 0, 0, 0, 0, 0, high, low] => of_segments(high, low),
        _ => address,
    }
}

fn of_segments(high: u16, low: u16) -> IpAddr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d).into()
}

/// Where clouds answer their machines, with credentials among other things: link-local addresses, Azure's, and the ones that
/// AWS and Alibaba have in private ranges.
fn is_of_the_cloud(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || matches!(v4.octets(), [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192])
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            const AMAZON: [u16; 8] = [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];
            const GOOGLE: [u16; 8] = [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254];
            segments[0] & 0xffc0 == 0xfe80 || segments == AMAZON || segments == GOOGLE
        }
    }
}

/// By the registries of special addresses (IANA, RFC 6890), read in November 2026.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4) && !is_of_the_cloud(address),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    match v4.octets() {
        // This network, private, loopback, link-local.
        [0 | 10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [169, 254, ..] => false,
        // Shared by carriers, protocol assignments, documentation, the former 6to4 relay, benchmarks.
        [100, 64..=127, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => false,
        [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => false,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => false,
        _ => true,
    }
}

/// Of IPv6 only what is given out to the public (2000::/3), without what is special in it.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    match v6.segments() {
        // Protocol assignments and Teredo, documentation, 6to4, which hides an IPv4 address, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_only_the_server_reaches_is_refused() {
        for refused in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.9.9",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "192.88.99.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
        ] {
            assert!(!Reach::Public.allows(at(refused)), "{refused}");
        }
        for allowed in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "198.20.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(Reach::Public.allows(at(allowed)), "{allowed}");
        }
    }

    #[test]
    fn what_clouds_tell_their_machines_is_refused_even_where_private_addresses_are_not() {
        for allowed in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "1.1.1.1"] {
            assert!(Reach::Private.allows(at(allowed)), "{allowed}");
        }
        for refused in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::",
            "fe80::1",
            "fd00:ec2::254",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
        ] {
            assert!(!Reach::Private.allows(at(refused)), "{refused}");
        }
    }
}
