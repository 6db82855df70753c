//! Resource record sets and the changes of a batch.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{HealthCheckId, Region};

/// Record types that failoverd reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Canonical name.
    Cname,
    /// Text.
    Txt,
    /// Name servers.
    Ns,
    /// Start of authority.
    Soa,
    /// Mail exchanger; this and what follows is never failoverd's own, only seen beside it.
    Mx,
    /// Service locator.
    Srv,
    /// Certification authorities that may issue.
    Caa,
    /// Pointer.
    Ptr,
    /// Sender policy, of old.
    Spf,
    /// Delegation signer.
    Ds,
    /// Naming authority pointer.
    Naptr,
    /// HTTPS binding.
    Https,
    /// Service binding.
    Svcb,
    /// SSH fingerprint.
    Sshfp,
    /// TLS authentication.
    Tlsa,
}

impl RecordType {
    /// Every type that Route 53 knows.
    pub const ALL: [Self; 17] = [
        Self::A,
        Self::Aaaa,
        Self::Cname,
        Self::Txt,
        Self::Ns,
        Self::Soa,
        Self::Mx,
        Self::Srv,
        Self::Caa,
        Self::Ptr,
        Self::Spf,
        Self::Ds,
        Self::Naptr,
        Self::Https,
        Self::Svcb,
        Self::Sshfp,
        Self::Tlsa,
    ];

    /// The type as Route 53 and DNS write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
            Self::Ns => "NS",
            Self::Soa => "SOA",
            Self::Mx => "MX",
            Self::Srv => "SRV",
            Self::Caa => "CAA",
            Self::Ptr => "PTR",
            Self::Spf => "SPF",
            Self::Ds => "DS",
            Self::Naptr => "NAPTR",
            Self::Https => "HTTPS",
            Self::Svcb => "SVCB",
            Self::Sshfp => "SSHFP",
            Self::Tlsa => "TLSA",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|record_type| record_type.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One resource record set. Names are lower case, fully qualified, without the trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// Name.
    pub name: String,
    /// Type.
    pub record_type: RecordType,
    /// Tells apart the sets of one name and type; absent for simple routing.
    pub set_identifier: Option<String>,
    /// Routing policy of this set.
    pub policy: Policy,
    /// Seconds; absent for aliases.
    pub ttl_s: Option<u32>,
    /// Values; empty for aliases. TXT values are given without their quotes.
    pub values: Vec<String>,
    /// Alias target.
    pub alias: Option<AliasTarget>,
    /// Health check that gates this set.
    pub health_check: Option<HealthCheckId>,
}

impl RecordSet {
    /// The only set of its name and type, answered to everybody; `ttl_s` in seconds.
    pub fn simple(name: impl Into<String>, record_type: RecordType, ttl_s: u32, values: Vec<String>) -> Self {
        Self {
            name: name.into(),
            record_type,
            set_identifier: None,
            policy: Policy::Simple,
            ttl_s: Some(ttl_s),
            values,
            alias: None,
            health_check: None,
        }
    }
}

/// Routing policy of one record set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// One set per name and type.
    Simple,
    /// Primary (`true`) or secondary.
    Failover {
        /// Whether this is the PRIMARY.
        primary: bool,
    },
    /// Weight 0–255.
    Weighted(u8),
    /// By latency to this Region.
    Latency(Region),
    /// By the asker's place.
    Geolocation(Location),
    /// Up to eight healthy sets at random.
    MultiValue,
    /// A policy that failoverd only ever sees beside its own records (geoproximity, CIDR), by AWS's word.
    Other(String),
}

/// A place as geolocation records name it, from widest to narrowest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// Everyone whom nothing else fits (`CountryCode: *`).
    Default,
    /// Continent code, for example `EU`.
    Continent(String),
    /// ISO 3166-1 alpha-2, for example `DE`.
    Country(String),
    /// Country (US or UA) and subdivision, for example `US`, `CA`.
    Subdivision(String, String),
}

/// Alias target of a record set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasTarget {
    /// Name it points at, without a trailing dot.
    pub dns_name: String,
    /// Zone of that name; this very zone for aliases between its own records.
    pub hosted_zone: String,
    /// Take the target's health.
    pub evaluate_target_health: bool,
}

/// One change of a batch. UPSERT does not exist here on purpose: a change must name exactly what it replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Fails the batch when the set exists.
    Create(RecordSet),
    /// Fails the batch unless the set exists exactly so.
    Delete(RecordSet),
}
