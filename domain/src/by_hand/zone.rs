//! The part of a script that moves traffic: the fence in the zone, the health checks that gate the Regions' records, and
//! the roles of the public ones.
//!
//! Daemons move traffic by what they answer. With none of them left, the checks over their answers are held instead: a
//! disabled check counts as healthy, an inverted one as unhealthy, whatever the children say. So a daemon that comes
//! back with an old answer moves nothing either.

use std::fmt::Write;

use super::{ByHand, ByHandProblem, limit_s, plain, word};
use crate::ids::Region;
use crate::plan::{Movement, Step};
use crate::service::{PublicRecord, Routing, ServiceSpec, SwitchTransport};
use crate::traffic::{fence_name, internal_name};

/// The public zone, as Route 53 lists it.
fn zone_query(spec: &ServiceSpec) -> Result<String, ByHandProblem> {
    let zone = lower(&spec.traffic.hosted_zone);
    Ok(format!("\"HostedZones[?Name=='{}.' && Config.PrivateZone!=\\`true\\`].Id\"", plain(&zone)?))
}

/// As Route 53 gives names back, without the last dot.
fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// As Route 53 writes a name: the asterisk by its number.
fn listed(name: &str) -> String {
    lower(name).replace('*', "\\052")
}

/// A name of a record as it stands in JMESPath within double quotes of the shell: a backslash only ever comes from
/// [`listed`], and has to pass the shell and a raw string.
fn in_query(name: &str) -> Result<String, ByHandProblem> {
    plain(&lower(name))?;
    Ok(format!("{}.", listed(name).replace('\\', "\\\\")))
}

fn records(spec: &ServiceSpec) -> impl Iterator<Item = &PublicRecord> {
    spec.traffic.records.iter()
}

/// Takes the zone, before anything else is done; and the way to hand it back.
pub(super) fn take(asked: &ByHand<'_>) -> Result<String, ByHandProblem> {
    let mut hand_back = String::new();
    let mut take = String::new();
    for spec in &asked.specs {
        let fence = fence_name(&spec.name, &lower(&spec.traffic.hosted_zone));
        let arguments = format!("{} {} {}", word(&fence)?, word(asked.fleet.as_str())?, asked.generation);
        let find = format!("find_zone {}", zone_query(spec)?);
        let _ = writeln!(hand_back, "    {find}\n    hand_back {arguments}");
        let _ = writeln!(take, "{find}\ntake_zone {arguments}");
    }
    Ok(format!(
        "if [ \"${{1:-move}}\" = hand-back ]; then\n\
         {hand_back}    \
         say \"From now on failoverd writes these records again.\"\n    exit 0\nfi\n\n\
         step 'take the zone' \\\n    \
         'route53:ChangeResourceRecordSets: the fence of each service becomes that of the next generation' \\\n    \
         'how long: up to a minute' \\\n    \
         'risk: until it is handed back no daemon of the fleet changes these records; can be put back by hand-back'\n\
         agree 'no daemon will move this service meanwhile (all are dead, or automatic moves are paused): take its records from the fleet'\n\
         {take}"
    ))
}

/// Every Region whose gate changes, the one that shall be healthy first: nobody is left without an answer.
fn gates<'a>(asked: &'a ByHand<'_>, lead: &'a ServiceSpec) -> Vec<(&'a Region, bool)> {
    let (from, to) = (&asked.plan.from, &asked.plan.to);
    match asked.plan.movement {
        Movement::Failover => {
            let others = lead.regions.iter().filter(|region| *region != to).map(|region| (region, false));
            std::iter::once((to, true)).chain(others).collect()
        }
        Movement::Evacuate => vec![(from, false)],
        Movement::Restore => vec![(to, true)],
    }
}

/// Turns traffic.
pub(super) fn flip(asked: &ByHand<'_>, lead: &ServiceSpec) -> Result<String, ByHandProblem> {
    let mut out = format!("find_zone {}\n", zone_query(lead)?);
    if lead.traffic.switch != SwitchTransport::None {
        for (region, is_healthy) in gates(asked, lead) {
            let Some(query) = gate_query(lead, region)? else { continue };
            let _ = writeln!(out, "hold_check {query} {}", if is_healthy { "healthy" } else { "unhealthy" });
        }
    }
    if asked.plan.movement == Movement::Failover {
        for spec in &asked.specs {
            out += &roles(asked, spec)?;
        }
    }
    if asked.plan.movement == Movement::Restore {
        out += "say '   The Region gets the share of traffic that its records say; failoverd raises it once it lives again.'\n";
    }
    Ok(out)
}

/// The check of a Region's internal records: one for all names.
fn gate_query(spec: &ServiceSpec, region: &Region) -> Result<Option<String>, ByHandProblem> {
    let names = records(spec).filter(|record| record.targets.contains_key(region)).map(|record| {
        let name = in_query(&internal_name(region, &lower(&record.name)))?;
        Ok(format!("(Name=='{name}' && Type=='{}')", record.record_type))
    });
    let names = names.collect::<Result<Vec<String>, ByHandProblem>>()?;
    if names.is_empty() {
        return Ok(None);
    }
    let region = plain(region.as_str())?;
    Ok(Some(format!("\"ResourceRecordSets[?SetIdentifier=='{region}' && ({})].[HealthCheckId]\"", names.join(" || "))))
}

/// Failover records: the new Region's is PRIMARY, so that the answer is right even once the checks are freed. Deleted as
/// read and made anew in one batch with the fence, so that a stranger's change, or another holder of the zone, stops it.
fn roles(asked: &ByHand<'_>, spec: &ServiceSpec) -> Result<String, ByHandProblem> {
    let to = plain(asked.plan.to.as_str())?;
    let mut changes = Vec::new();
    let mut wrong = Vec::new();
    for record in records(spec).filter(|record| record.routing == Routing::Failover) {
        let sets = format!("Name=='{}' && Type=='{}'", in_query(&record.name)?, record.record_type);
        for (mine, role) in
            [(format!("SetIdentifier=='{to}'"), "PRIMARY"), (format!("SetIdentifier!='{to}'"), "SECONDARY")]
        {
            let of = format!("ResourceRecordSets[?{sets} && {mine} && Failover!='{role}']");
            changes.push(format!("{of}.{{Action:'DELETE',ResourceRecordSet:@}}"));
            wrong.push(format!("{of}.{{Action:'CREATE',ResourceRecordSet:merge(@,{{Failover:'{role}'}})}}"));
        }
    }
    if changes.is_empty() {
        return Ok(String::new());
    }
    // Deletes first.
    changes.extend(wrong);
    let fence = word(&fence_name(&spec.name, &lower(&spec.traffic.hosted_zone)))?;
    let fleet = word(asked.fleet.as_str())?;
    let next = asked.generation.0 + 1;
    Ok(format!(
        "find_zone {}\n\
         changes=$(zone_json \"[{}][]\")\n\
         if [ \"$(printf '%s' \"$changes\" | tr -d ' \\n')\" = '[]' ]; then\n    \
         say '   the records have their roles already'\nelse\n    \
         read_mark {fence} {fleet}\n    \
         [ \"$GENERATION $INDEX\" = '{next} 0' ] || stop \"somebody else took the zone meanwhile (generation $GENERATION, index $INDEX)\"\n    \
         changes=${{changes#?}} changes=${{changes%?}}\n    \
         change_zone \"{{\\\"Changes\\\":[$(mark_change {fence} {fleet} {next} \"$EPOCH\" 0),$changes]}}\"\n    \
         say '   the records have their new roles'\nfi\n",
        zone_query(spec)?,
        changes.join(", "),
    ))
}

/// Waits until the zone's servers give the answer.
pub(super) fn verify(asked: &ByHand<'_>, step: &Step) -> Result<String, ByHandProblem> {
    let mut out = String::new();
    for spec in &asked.specs {
        let _ = writeln!(out, "find_zone {}", zone_query(spec)?);
        for record in records(spec) {
            let (of, ask) = match asked.plan.movement {
                Movement::Failover => (&asked.plan.to, "answers_as"),
                Movement::Evacuate => (&asked.plan.from, "answers_without"),
                // Who is near is not asked from here: that its own name answers is all that can be seen.
                Movement::Restore => (&asked.plan.to, "answers_as"),
            };
            if !record.targets.contains_key(of) {
                continue;
            }
            let internal = word(&internal_name(of, &lower(&record.name)))?;
            let public = match asked.plan.movement {
                Movement::Restore => internal.clone(),
                Movement::Failover | Movement::Evacuate => word(&lower(&record.name))?,
            };
            let _ = writeln!(
                out,
                "until_seen {} {public}' is not answered so' {ask} {public} {} {internal} ||\n    \
                 stop 'the answer has not moved: look at the health checks and records, and run this again'",
                limit_s(step),
                record.record_type
            );
        }
    }
    Ok(out)
}
