//! How much is served at once, and to whom: more with every switch, since every switch brings Route 53's checkers.

/// Checks of Route 53's that ask one daemon about one bit: one for `switch=on`, one for `switch=off`.
const CHECKS: u64 = 2;
/// Regions that checkers ask from: <https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html>
const REGIONS: u64 = 8;
/// Requests of one check from one of these Regions in a second. At the fast interval they are one or two.
const REQUESTS: u64 = 2;
/// Connections that the checkers of one check may hold in one of these Regions.
const CHECKERS: u64 = 4;
/// A checker may open a connection for every request, which is counted too.
const COUNTED: u64 = 2;

/// For whoever is curious, before there is any switch.
const SPARE_CONNECTIONS: u64 = 1_024;
const SPARE_CONNECTIONS_OF_A_SOURCE: u64 = 128;
const SPARE_REQUESTS: u64 = 128;

/// What a person has fixed; the rest follows from the number of switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchLimits {
    /// Open connections.
    pub connections: Option<u64>,
    /// Open connections of one source address.
    pub connections_of_a_source: Option<u64>,
    /// Requests and new connections of one source address in a second.
    pub requests_of_a_source: Option<u64>,
    /// Sockets and files that the process may open; connections get half of them.
    pub descriptors: Option<u64>,
}

/// What holds right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct Limits {
    pub(in crate::api) connections: usize,
    pub(in crate::api) connections_of_a_source: usize,
    /// A second.
    pub(in crate::api) requests_of_a_source: u64,
}

impl Limits {
    /// Every checker of every check may come from one source: a load balancer may stand in front, and Route 53's ranges
    /// are few. So a source may do whatever all checkers do together, and there is always room beside it.
    pub(super) fn of(bits: usize, fixed: &SwitchLimits) -> Self {
        let checks = (bits as u64).saturating_mul(CHECKS * REGIONS);
        let checkers = checks.saturating_mul(CHECKERS);
        let most = fixed.descriptors.map_or(u64::MAX, |descriptors| (descriptors / 2).max(1));
        let beside = checkers.saturating_mul(2).saturating_add(SPARE_CONNECTIONS);
        let connections = fixed.connections.unwrap_or(beside).min(most);
        let of_a_source = checkers.saturating_add(SPARE_CONNECTIONS_OF_A_SOURCE);
        let of_a_source =
            fixed.connections_of_a_source.unwrap_or(of_a_source).min((connections - connections / 4).max(1));
        let requests = checks.saturating_mul(REQUESTS * COUNTED).saturating_add(SPARE_REQUESTS);
        Self {
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            connections_of_a_source: usize::try_from(of_a_source).unwrap_or(usize::MAX),
            requests_of_a_source: fixed.requests_of_a_source.unwrap_or(requests).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_brings_its_checkers() {
        let none = SwitchLimits::default();
        let (few, many) = (Limits::of(1, &none), Limits::of(1_000, &none));
        assert_eq!((few.connections, few.connections_of_a_source, few.requests_of_a_source), (1_152, 192, 192));
        // Two checks, eight Regions, two requests a second each, and as many connections.
        assert_eq!(many.requests_of_a_source - SPARE_REQUESTS, 1_000 * 2 * 8 * 2 * 2);
        assert!(many.connections_of_a_source >= 64_000 && many.connections > many.connections_of_a_source);
    }

    #[test]
    fn no_source_may_have_every_connection() {
        let scarce = SwitchLimits { descriptors: Some(1_024), ..SwitchLimits::default() };
        let limits = Limits::of(1_000, &scarce);
        assert_eq!((limits.connections, limits.connections_of_a_source), (512, 384));
        let fixed = SwitchLimits { connections: Some(100), connections_of_a_source: Some(100), ..scarce };
        assert_eq!(Limits::of(1, &fixed).connections_of_a_source, 75);
    }

    #[test]
    fn what_is_fixed_does_not_grow() {
        let fixed = SwitchLimits {
            connections: Some(500),
            connections_of_a_source: Some(50),
            requests_of_a_source: Some(7),
            descriptors: None,
        };
        assert_eq!(Limits::of(1, &fixed), Limits::of(9_999, &fixed));
        assert_eq!(Limits::of(1, &fixed).requests_of_a_source, 7);
    }
}
