//! What should stand in Route 53 for a service: health checks by reference, and records on two levels.
//!
//! The public record is a failover (latency, geolocation, weighted) alias that takes its target's health; the target is
//! an internal weighted record that carries only the switch's check, so that a load balancer's blip moves nothing.
//! Computed from committed state alone, and only what is *settled* may be written: thresholds and roles follow the bits
//! as they stand, so nobody may ask for this while a run of the service is open.

use std::collections::BTreeMap;

use super::endpoint::{INTERVAL_S, outside_check};
use super::naming::{canary_name, fence_name, health_reference, internal_name, switch_path, switch_reference};
use super::vote::Tie;
use crate::fleet::{Bit, Switch};
use crate::ids::{FleetId, Region, ServiceName, SwitchGroup};
use crate::route53::{AliasTarget, EndpointCheck, Location, Policy, Protocol, RecordSet, RecordType};
use crate::service::{Endpoint, Pattern, PublicRecord, Routing, ServiceSpec, SwitchTransport, Target};

/// Answer and weight of a daemon's voice must be quick: one poll decides a child. A lost poll makes a daemon silent for
/// one interval, which changes nothing.
const SWITCH_FAILURE_THRESHOLD: u32 = 1;

/// Canary records are asked at the authoritative servers; the TTL only matters to whoever asks a cache.
const CANARY_TTL_S: u32 = 10;

/// Where a daemon answers Route 53's checkers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchEndpoint {
    /// Host name or address, reachable from the Internet.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub https: bool,
}

/// Everything that decides what should stand in Route 53.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// Fleet.
    pub fleet: &'a FleetId,
    /// Service.
    pub spec: &'a ServiceSpec,
    /// Active-passive: the Region that serves by committed state.
    pub primary: &'a Region,
    /// The committed switch of the service's group. Its bits also say what silence shall mean once this is written.
    pub switch: &'a Switch,
    /// Every daemon of the fleet, witnesses included.
    pub members: &'a BTreeMap<Region, SwitchEndpoint>,
    /// Seconds, for plain values whose manifest names no TTL.
    pub record_ttl_s: u32,
}

/// Why it cannot be said what should stand in Route 53.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesireProblem {
    /// This switch transport has no checks of this kind.
    #[error("switch transport {0:?} is not served by health checks on daemons")]
    Transport(SwitchTransport),
    /// The switch has no bit for a Region of the service.
    #[error("switch {group} has no bit for {region}")]
    NoBit {
        /// Group.
        group: SwitchGroup,
        /// Region.
        region: Region,
    },
    /// A signal's target cannot be asked by Route 53.
    #[error("{0}")]
    Signal(String),
    /// A fleet without daemons cannot answer.
    #[error("no daemon of the fleet advertises a switch endpoint")]
    NoDaemons,
}

/// What should stand in Route 53 for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Service.
    pub service: ServiceName,
    /// Its zone.
    pub zone: String,
    /// Its public names, with their types.
    pub public: Vec<(String, RecordType)>,
    /// Health checks, children before those who refer to them.
    pub checks: Vec<DesiredCheck>,
    /// Records, all but the fence.
    pub records: Vec<DesiredRecord>,
}

impl Desired {
    /// Name of the TXT record that fences the writers of these records.
    #[must_use]
    pub fn fence_name(&self) -> String {
        fence_name(&self.service, &self.zone)
    }
}

/// A health check by reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredCheck {
    /// Caller reference: makes creation idempotent and ownership recognisable.
    pub reference: String,
    /// What is asked.
    pub kind: DesiredKind,
    /// Report the opposite.
    pub inverted: bool,
}

/// What a desired check asks; children by reference, as nobody knows their ids yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesiredKind {
    /// An endpoint.
    Endpoint(EndpointCheck),
    /// Other checks.
    Calculated {
        /// Caller references.
        children: Vec<String>,
        /// How many must be healthy.
        threshold: u32,
    },
}

/// A record with its health check by reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRecord {
    /// The record, without a health check.
    pub record: RecordSet,
    /// Caller reference of its health check.
    pub check: Option<String>,
}

/// What should stand in Route 53.
///
/// # Errors
/// When the inputs do not fit together: see [`DesireProblem`].
pub fn desired(inputs: &Inputs<'_>) -> Result<Desired, DesireProblem> {
    let zone = lower(&inputs.spec.traffic.hosted_zone);
    let mut wanted = Desired {
        service: inputs.spec.name.clone(),
        zone,
        public: inputs.spec.traffic.records.iter().map(|record| (lower(&record.name), record.record_type)).collect(),
        checks: Vec::new(),
        records: Vec::new(),
    };
    match inputs.spec.traffic.switch {
        SwitchTransport::Http => wanted.checks = switch_checks(inputs)?,
        SwitchTransport::None => {}
        SwitchTransport::Cloudwatch => return Err(DesireProblem::Transport(SwitchTransport::Cloudwatch)),
    }
    for region in &inputs.spec.regions {
        add_canary(inputs, region, &mut wanted)?;
    }
    for record in &inputs.spec.traffic.records {
        for (region, target) in &record.targets {
            add_two_levels(inputs, record, region, target, &mut wanted)?;
        }
    }
    Ok(wanted)
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The switch's checks: per bit 2N children and P; for a pair also S.
fn switch_checks(inputs: &Inputs<'_>) -> Result<Vec<DesiredCheck>, DesireProblem> {
    if inputs.members.is_empty() {
        return Err(DesireProblem::NoDaemons);
    }
    let mut checks = Vec::new();
    let mut bits: Vec<&Region> = inputs.spec.regions.iter().map(|region| bit_region(inputs, region)).collect();
    bits.sort();
    bits.dedup();
    for region in bits {
        let bit = bit_of(inputs, region)?;
        let children: Vec<DesiredCheck> = inputs
            .members
            .iter()
            .flat_map(|(daemon, at)| {
                [child(inputs, region, bit, daemon, at, true), child(inputs, region, bit, daemon, at, false)]
            })
            .collect();
        checks.push(calculated(inputs, region, bit, &children));
        // Children first: a check can only be made when those exist that it refers to.
        let at = checks.len() - 1;
        checks.splice(at..at, children);
        if inputs.switch.pattern == Pattern::ActivePassive {
            checks.push(inverse(inputs, region));
        }
    }
    Ok(checks)
}

/// One daemon's voice: healthy on `switch=on`, or (inverted) unhealthy on `switch=off`.
fn child(
    inputs: &Inputs<'_>,
    region: &Region,
    bit: &Bit,
    daemon: &Region,
    at: &SwitchEndpoint,
    on: bool,
) -> DesiredCheck {
    let word = if on { "on" } else { "off" };
    let scheme = if at.https { "https" } else { "http" };
    DesiredCheck {
        reference: reference(inputs, region, &format!("{daemon}/{word}/{scheme}")),
        kind: DesiredKind::Endpoint(EndpointCheck {
            protocol: if at.https { Protocol::Https } else { Protocol::Http },
            host: lower(&at.host),
            port: at.port,
            path: switch_path(&bit.token),
            search: Some(format!("switch={word}")),
            interval_s: INTERVAL_S,
            failure_threshold: SWITCH_FAILURE_THRESHOLD,
        }),
        inverted: !on,
    }
}

/// P: healthy when as many daemons say on as say off, or more; a tie means what the bit is.
fn calculated(inputs: &Inputs<'_>, region: &Region, bit: &Bit, children: &[DesiredCheck]) -> DesiredCheck {
    let daemons = u32::try_from(inputs.members.len()).unwrap_or(u32::MAX - 1);
    DesiredCheck {
        reference: reference(inputs, region, "p"),
        kind: DesiredKind::Calculated {
            children: children.iter().map(|child| child.reference.clone()).collect(),
            threshold: Tie::of(bit.on).threshold(daemons),
        },
        inverted: false,
    }
}

/// S: the opposite of P, over P itself, so that one update of a threshold turns both at once.
fn inverse(inputs: &Inputs<'_>, region: &Region) -> DesiredCheck {
    DesiredCheck {
        reference: reference(inputs, region, "s"),
        kind: DesiredKind::Calculated { children: vec![reference(inputs, region, "p")], threshold: 1 },
        inverted: true,
    }
}

fn reference(inputs: &Inputs<'_>, bit: &Region, what: &str) -> String {
    switch_reference(inputs.fleet, &inputs.spec.switch_group(), bit, what)
}

/// The Region whose bit speaks for `region`: a pair shares the bit of its first Region.
fn bit_region<'a>(inputs: &Inputs<'a>, region: &'a Region) -> &'a Region {
    match inputs.switch.pattern {
        Pattern::ActivePassive => inputs.switch.regions.first().unwrap_or(region),
        Pattern::ActiveActive => region,
    }
}

fn bit_of<'a>(inputs: &Inputs<'a>, region: &Region) -> Result<&'a Bit, DesireProblem> {
    let missing = || DesireProblem::NoBit { group: inputs.spec.switch_group(), region: region.clone() };
    inputs.switch.bits.get(region).ok_or_else(missing)
}

/// The check that gates a Region's internal records.
fn gate(inputs: &Inputs<'_>, region: &Region) -> Option<String> {
    if inputs.spec.traffic.switch != SwitchTransport::Http {
        return None;
    }
    let bit = bit_region(inputs, region);
    Some(reference(inputs, bit, if bit == region { "p" } else { "s" }))
}

/// Route 53's own view of a Region: a check from outside, and the pair of TXT records that tells it over DNS.
fn add_canary(inputs: &Inputs<'_>, region: &Region, wanted: &mut Desired) -> Result<(), DesireProblem> {
    let Some(asked) = outside_check(inputs.spec, region) else { return Ok(()) };
    let endpoint = asked.map_err(DesireProblem::Signal)?;
    let protocol = match endpoint.protocol {
        Protocol::Http => "http",
        Protocol::Https => "https",
        Protocol::Tcp => "tcp",
    };
    let reference = health_reference(inputs.fleet, &inputs.spec.name, region, protocol);
    let name = canary_name(region, &inputs.spec.name, &wanted.zone);
    wanted.checks.push(DesiredCheck {
        reference: reference.clone(),
        kind: DesiredKind::Endpoint(endpoint),
        inverted: false,
    });
    for (word, primary) in [("healthy", true), ("unhealthy", false)] {
        wanted.records.push(DesiredRecord {
            record: RecordSet {
                name: name.clone(),
                record_type: RecordType::Txt,
                set_identifier: Some(word.to_owned()),
                policy: Policy::Failover { primary },
                ttl_s: Some(CANARY_TTL_S),
                values: vec![word.to_owned()],
                alias: None,
                health_check: None,
            },
            check: primary.then(|| reference.clone()),
        });
    }
    Ok(())
}

fn add_two_levels(
    inputs: &Inputs<'_>,
    record: &PublicRecord,
    region: &Region,
    target: &Target,
    wanted: &mut Desired,
) -> Result<(), DesireProblem> {
    if inputs.spec.traffic.switch == SwitchTransport::Http {
        bit_of(inputs, bit_region(inputs, region))?;
    }
    wanted.records.push(internal(inputs, record, region, target));
    let public = policies(inputs, record, region, target).into_iter().map(|(set_identifier, policy)| DesiredRecord {
        record: public_alias(record, region, &wanted.zone, set_identifier, policy),
        check: None,
    });
    let public: Vec<DesiredRecord> = public.collect();
    wanted.records.extend(public);
    Ok(())
}

/// Carries the switch's check and the real target.
fn internal(inputs: &Inputs<'_>, record: &PublicRecord, region: &Region, target: &Target) -> DesiredRecord {
    let (values, alias) = match &target.endpoint {
        Endpoint::Values(values) => (values.clone(), None),
        Endpoint::Alias(alias) => (Vec::new(), Some(AliasTarget { dns_name: lower(&alias.dns_name), ..alias.clone() })),
    };
    DesiredRecord {
        record: RecordSet {
            name: internal_name(region, &lower(&record.name)),
            record_type: record.record_type,
            set_identifier: Some(region.to_string()),
            policy: Policy::Weighted(1),
            ttl_s: alias.is_none().then(|| record.ttl_s.unwrap_or(inputs.record_ttl_s)),
            values,
            alias,
            health_check: None,
        },
        check: gate(inputs, region),
    }
}

/// Routes to the internal record and takes its health.
fn public_alias(record: &PublicRecord, region: &Region, zone: &str, set: String, policy: Policy) -> RecordSet {
    let name = lower(&record.name);
    RecordSet {
        record_type: record.record_type,
        set_identifier: Some(set),
        policy,
        ttl_s: None,
        values: Vec::new(),
        alias: Some(AliasTarget {
            dns_name: internal_name(region, &name),
            hosted_zone: zone.to_owned(),
            evaluate_target_health: true,
        }),
        health_check: None,
        name,
    }
}

/// The public records of one Region by set identifier: one, or for geolocation one for each place.
fn policies(inputs: &Inputs<'_>, record: &PublicRecord, region: &Region, target: &Target) -> Vec<(String, Policy)> {
    let set = region.to_string();
    match record.routing {
        Routing::Failover => vec![(set, Policy::Failover { primary: region == inputs.primary })],
        Routing::Latency => vec![(set, Policy::Latency(region.clone()))],
        Routing::Weighted => vec![(set, Policy::Weighted(target.weight.unwrap_or(1)))],
        Routing::Geolocation => {
            let place =
                |location: &Location| (format!("{set} {}", label(location)), Policy::Geolocation(location.clone()));
            target.geo.iter().map(place).collect()
        }
    }
}

fn label(location: &Location) -> String {
    match location {
        Location::Default => "default".to_owned(),
        Location::Continent(code) => format!("continent={code}"),
        Location::Country(code) => format!("country={code}"),
        Location::Subdivision(country, code) => format!("country={country} subdivision={code}"),
    }
}
