//! A switch's health checks: every daemon's voice, and the votes over them. Over HTTP a daemon has two voices, through
//! CloudWatch one (`vote.rs` says why).

use super::alarm::switch_alarm;
use super::desired::{DesireProblem, DesiredCheck, DesiredKind, Inputs, SwitchEndpoint, lower};
use super::endpoint::INTERVAL_S;
use super::naming::{switch_path, switch_reference};
use super::vote::Tie;
use crate::fleet::Bit;
use crate::ids::Region;
use crate::route53::{EndpointCheck, Protocol};
use crate::sabotage::{self, Sabotage};
use crate::service::{Pattern, SwitchTransport};

/// One poll decides a child, so that a turned switch is seen at once. A lost poll makes a daemon silent for one
/// interval, which changes nothing.
pub const SWITCH_FAILURE_THRESHOLD: u32 = 1;

/// The switch's checks: per bit the daemons' voices and P; for a pair also S.
pub(super) fn switch_checks(inputs: &Inputs<'_>) -> Result<Vec<DesiredCheck>, DesireProblem> {
    if inputs.members.is_empty() {
        return Err(DesireProblem::NoDaemons);
    }
    let mut checks = Vec::new();
    let mut bits: Vec<&Region> = inputs.spec.regions.iter().map(|region| bit_region(inputs, region)).collect();
    bits.sort();
    bits.dedup();
    for region in bits {
        let bit = bit_of(inputs, region)?;
        let children = match inputs.spec.traffic.switch {
            SwitchTransport::Cloudwatch => alarms(inputs, region),
            SwitchTransport::Http | SwitchTransport::None => endpoints(inputs, region, bit)?,
        };
        let vote = calculated(inputs, region, bit, &children);
        let opposite = (inputs.switch.pattern == Pattern::ActivePassive).then(|| inverse(inputs, region, &vote));
        // Children first: a check can only be made when those exist that it refers to.
        checks.extend(children);
        checks.push(vote);
        checks.extend(opposite);
    }
    Ok(checks)
}

/// Two voices of every daemon.
fn endpoints(inputs: &Inputs<'_>, region: &Region, bit: &Bit) -> Result<Vec<DesiredCheck>, DesireProblem> {
    let mut children = Vec::new();
    for (daemon, at) in inputs.members {
        let at = at.as_ref().ok_or_else(|| DesireProblem::NoEndpoint(daemon.clone()))?;
        children.extend([true, false].map(|on| child(inputs, region, bit, daemon, at, on)));
    }
    Ok(children)
}

/// One voice of every daemon: the data behind its alarm, and what it said last when no data comes.
fn alarms(inputs: &Inputs<'_>, region: &Region) -> Vec<DesiredCheck> {
    let group = inputs.spec.switch_group();
    let child = |daemon: &Region| DesiredCheck {
        reference: reference(inputs, region, &format!("{daemon}/alarm")),
        kind: DesiredKind::Alarm { region: daemon.clone(), alarm: switch_alarm(inputs.fleet, &group, region, daemon) },
        inverted: false,
    };
    inputs.members.keys().map(child).collect()
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
    let tie = Tie::of(bit.on);
    let threshold = match inputs.spec.traffic.switch {
        SwitchTransport::Cloudwatch => tie.threshold_of_words(daemons),
        SwitchTransport::Http | SwitchTransport::None if sabotage::is(Sabotage::SilenceIsOff) => 2 * daemons,
        SwitchTransport::Http | SwitchTransport::None => tie.threshold(daemons),
    };
    DesiredCheck {
        reference: reference(inputs, region, "p"),
        kind: DesiredKind::Calculated {
            children: children.iter().map(|child| child.reference.clone()).collect(),
            threshold,
        },
        inverted: false,
    }
}

/// S: the opposite of P, over the same children, as Route 53 lets no calculated check count another ("Health checks to
/// monitor" in <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html>).
///
/// So a threshold changes in two calls. Between them a tie, and only a tie, finds both healthy or both unhealthy; either
/// way the static roles decide, which are those of before.
fn inverse(inputs: &Inputs<'_>, region: &Region, vote: &DesiredCheck) -> DesiredCheck {
    DesiredCheck { reference: reference(inputs, region, "s"), kind: vote.kind.clone(), inverted: true }
}

fn reference(inputs: &Inputs<'_>, bit: &Region, what: &str) -> String {
    switch_reference(inputs.fleet, &inputs.spec.switch_group(), bit, what)
}

/// The Region whose bit speaks for `region`: a pair shares the bit of its first Region.
pub(super) fn bit_region<'a>(inputs: &Inputs<'a>, region: &'a Region) -> &'a Region {
    match inputs.switch.pattern {
        Pattern::ActivePassive => inputs.switch.regions.first().unwrap_or(region),
        Pattern::ActiveActive => region,
    }
}

pub(super) fn bit_of<'a>(inputs: &Inputs<'a>, region: &Region) -> Result<&'a Bit, DesireProblem> {
    let missing = || DesireProblem::NoBit { group: inputs.spec.switch_group(), region: region.clone() };
    inputs.switch.bits.get(region).ok_or_else(missing)
}

/// The check that gates a Region's internal records.
pub(super) fn gate(inputs: &Inputs<'_>, region: &Region) -> Option<String> {
    if inputs.spec.traffic.switch == SwitchTransport::None {
        return None;
    }
    let bit = bit_region(inputs, region);
    Some(reference(inputs, bit, if bit == region { "p" } else { "s" }))
}
