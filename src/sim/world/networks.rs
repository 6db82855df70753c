//! Where questions come from, by address: networks that stand for places. Route 53 knows the whole Internet; here a few
//! documented test networks do (198.18.0.0/15 is set aside for tests by RFC 2544).

use std::net::IpAddr;

use failoverd_domain::route53::{Origin, Place};

/// The third number of `198.18.N.0/24`, and where that network is.
pub const NETWORKS: [(u8, &str); 10] = [
    (1, "us-east-1"),
    (2, "us-west-2"),
    (3, "country=US,subdivision=CA"),
    (4, "country=CA"),
    (5, "country=IE"),
    (6, "country=DE"),
    (7, "country=JP"),
    (8, "country=BR"),
    (9, "country=AU"),
    (10, "country=ZA"),
];

/// Where an address is; `None` for one that stands for no place.
#[must_use]
pub fn place_of(address: IpAddr) -> Option<Place> {
    let IpAddr::V4(address) = address else { return None };
    let [198, 18, network, _] = address.octets() else { return None };
    let (_, origin) = NETWORKS.into_iter().find(|(number, _)| *number == network)?;
    origin.parse::<Origin>().ok()?.place().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_somewhere() {
        for (network, origin) in NETWORKS {
            let place = place_of(IpAddr::from([198, 18, network, 7])).unwrap_or_else(|| panic!("{origin}"));
            assert!(place.continent.is_some() && place.country.is_some() && !place.regions_by_latency.is_empty());
        }
        assert_eq!(place_of(IpAddr::from([192, 0, 2, 1])), None);
        assert_eq!(place_of(IpAddr::from([198, 18, 200, 1])), None);
    }
}
