//! What should stand in Route 53 for a service: health checks by reference, and records on two levels.
//!
//! The public record is a failover (latency, geolocation, weighted) alias that takes its target's health; the target is
//! an internal weighted record that carries only the switch's check, so that a load balancer's blip moves nothing.
//! Computed from committed state alone, and only what is *settled* may be written: thresholds and roles follow the bits
//! as they stand, so nobody may ask for this while a run of the service is open.

use std::collections::BTreeMap;

use super::alarm::SwitchAlarm;
use super::naming::{fence_name, own_references};
use super::records::{add_canary, add_two_levels};
use super::switch_checks::switch_checks;
use crate::fleet::Switch;
use crate::ids::{FleetId, LogIndex, Region, ServiceName, SwitchGroup};
use crate::route53::{EndpointCheck, RecordSet, RecordType};
use crate::service::{ServiceSpec, SwitchTransport};

/// Where a daemon answers Route 53's checkers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// Log index at which that manifest was agreed.
    pub spec_index: LogIndex,
    /// Active-passive: the Region that serves by committed state.
    pub primary: &'a Region,
    /// The committed switch of the service's group. Its bits also say what silence shall mean once this is written.
    pub switch: &'a Switch,
    /// Every daemon of the fleet, witnesses included, with where it answers checkers, if it has said so. A switch
    /// through CloudWatch needs no such place.
    pub members: &'a BTreeMap<Region, Option<SwitchEndpoint>>,
    /// Seconds, for plain values whose manifest names no TTL.
    pub record_ttl_s: u32,
}

/// Why it cannot be said what should stand in Route 53.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesireProblem {
    /// A daemon that checkers shall ask has not said where. It will, once it has applied the fleet's entries.
    #[error("{0} has not said yet where checkers reach it (advertise.switch in its configuration)")]
    NoEndpoint(Region),
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
    #[error("the fleet has no daemons that could say what its switches are")]
    NoDaemons,
}

/// What should stand in Route 53 for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Service.
    pub service: ServiceName,
    /// Its zone.
    pub zone: String,
    /// Log index of the manifest that wants this: who wrote before it may have wanted something else.
    pub since: LogIndex,
    /// Its public names, with their types.
    pub public: Vec<(String, RecordType)>,
    /// Health checks, children before those who refer to them.
    pub checks: Vec<DesiredCheck>,
    /// Records, all but the fence.
    pub records: Vec<DesiredRecord>,
    /// What the caller references of this service's checks begin with.
    pub own_references: [String; 2],
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
    /// An alarm in that Region, with the rule that it should have.
    Alarm {
        /// Region of the alarm.
        region: Region,
        /// The alarm.
        alarm: SwitchAlarm,
    },
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
        since: inputs.spec_index,
        public: inputs.spec.traffic.records.iter().map(|record| (lower(&record.name), record.record_type)).collect(),
        checks: Vec::new(),
        records: Vec::new(),
        own_references: own_references(inputs.fleet, &inputs.spec.switch_group(), &inputs.spec.name),
    };
    match inputs.spec.traffic.switch {
        SwitchTransport::Http | SwitchTransport::Cloudwatch => wanted.checks = switch_checks(inputs)?,
        SwitchTransport::None => {}
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

/// Names as Route 53 gives them back: lower case, no trailing dot.
pub(super) fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
