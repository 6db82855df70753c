//! Addresses that no webhook may have: link-local ones, where machines find their credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether nothing is ever sent to that address.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
#[must_use]
pub fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_refused_v4(address),
        IpAddr::V6(address) => is_refused_v6(address),
    }
}

fn is_refused_v4(address: Ipv4Addr) -> bool {
    address.is_link_local() || address.is_unspecified() || address.is_multicast() || address.is_broadcast()
}

fn is_refused_v6(address: Ipv6Addr) -> bool {
    // Mapped, and as it was written before that (`::169.254.169.254`); `::1` is no link-local address by this.
    if let Some(address) = address.to_ipv4() {
        return is_refused_v4(address);
    }
    match address.segments() {
        // AWS's own services on the instance: fd00:ec2::254 and others beside it.
        [0xfd00, 0x0ec2, ..] => true,
        // A network that translates to IPv4.
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_refused_v4(Ipv4Addr::new(a, b, c, d))
        }
        // The same with prefixes of one's own (RFC 8215), where nobody knows which bits are the address.
        [0x0064, 0xff9b, 1, ..] => true,
        // 6to4.
        [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_refused_v4(Ipv4Addr::new(a, b, c, d))
        }
        _ => address.is_unicast_link_local() || address.is_unspecified() || address.is_multicast(),
    }
}

/// The address in a URL whose host is one, however it is written: browsers and HTTP clients read `2852039166` as
/// 169.254.169.254.
#[must_use]
pub fn literal(url: &str) -> Option<IpAddr> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
