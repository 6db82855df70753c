//! Hosted zones, their record sets, and changes.

use failoverd_domain::route53::{Change, RecordSet, RecordType, escaped_name, plain_name};

use super::super::answer::{Answer, malformed};
use super::super::request::WireRequest;
use super::super::xml::{Node, Xml};
use super::records::{from_xml, to_xml};
use super::{document, page_size};
use crate::sim::world::{Refusal, World, Zone};

const MOST_ZONES: usize = 100;
const MOST_RECORDS: usize = 300;

fn zone_xml(zone: &Zone) -> Xml {
    Xml::new("HostedZone")
        .text("Id", format!("/hostedzone/{}", zone.id))
        .text("Name", escaped_name(&zone.name))
        .text("CallerReference", format!("simulated-{}", zone.id))
        .child(Xml::new("Config").text("PrivateZone", zone.private))
        .text("ResourceRecordSetCount", zone.records().count())
}

/// Names are ordered by their labels from the right.
fn order(name: &str) -> Vec<String> {
    plain_name(name).rsplit('.').map(str::to_owned).collect()
}

pub(super) fn list(world: &World, request: &WireRequest, operation: &str) -> Answer {
    let by_name = operation == "ListHostedZonesByName";
    let most = page_size(request, MOST_ZONES);
    let mut zones: Vec<&Zone> = world.zones().collect();
    zones.sort_by_key(|zone| if by_name { order(&zone.name) } else { vec![zone.id.clone()] });
    let (start, from) = match (by_name, request.parameter("dnsname"), request.parameter("marker")) {
        (true, Some(name), _) => (Some(order(name)), name),
        (false, _, Some(marker)) => (Some(vec![marker.to_owned()]), marker),
        _ => (None, ""),
    };
    let key = |zone: &Zone| if by_name { order(&zone.name) } else { vec![zone.id.clone()] };
    let mut rest = zones.into_iter().filter(|zone| start.as_ref().is_none_or(|start| &key(zone) >= start));
    let page: Vec<&Zone> = rest.by_ref().take(most).collect();
    let next = rest.next();
    let answer = document(&format!("{operation}Response")).list("HostedZones", page.into_iter().map(zone_xml));
    let answer = answer.maybe(if by_name { "DNSName" } else { "Marker" }, (!from.is_empty()).then_some(from));
    let answer = answer.text("IsTruncated", next.is_some()).text("MaxItems", most);
    Answer::xml(match (next, by_name) {
        (Some(next), true) => answer.text("NextDNSName", escaped_name(&next.name)).text("NextHostedZoneId", &next.id),
        (Some(next), false) => answer.text("NextMarker", &next.id),
        (None, _) => answer,
    })
}

pub(super) fn create(world: &mut World, body: &Node) -> Result<Answer, Refusal> {
    let name = body.of("Name").ok_or_else(|| malformed("there is no Name"))?;
    if world.zone(name).is_ok() {
        // Route 53 would make a second one; here a name has one zone.
        return Err(Refusal::new("ConflictingDomainExists", format!("There is a hosted zone {name} already.")));
    }
    let private = body.get("HostedZoneConfig").is_some_and(|config| config.flag("PrivateZone"));
    if private && body.get("VPC").is_none() {
        let message = "When you're creating a private hosted zone (when you specify true for PrivateZone), you must also specify values for VPCId and VPCRegion.";
        return Err(Refusal::new("InvalidInput", message));
    }
    // A VPC makes a zone private, whatever else is said.
    let id = if body.get("VPC").is_some() { world.create_private_zone(name) } else { world.create_zone(name, &[]) };
    let zone = world.zone(&id)?;
    let answer = document("CreateHostedZoneResponse").child(zone_xml(zone)).child(change_info("C0", true, world));
    Ok(Answer::xml(answer.child(delegation(zone)))
        .with_status(201)
        .with("location", format!("https://route53/2013-04-01/hostedzone/{id}")))
}

fn delegation(zone: &Zone) -> Xml {
    let servers = zone.records().filter(|set| set.record_type == RecordType::Ns && set.name == zone.name);
    let servers = servers.flat_map(|set| &set.values).map(|server| Xml::new("NameServer").body(server));
    Xml::new("DelegationSet").list("NameServers", servers)
}

pub(super) fn get(world: &World, id: &str) -> Result<Answer, Refusal> {
    let zone = world.zone(id)?;
    Ok(Answer::xml(document("GetHostedZoneResponse").child(zone_xml(zone)).child(delegation(zone))))
}

pub(super) fn delete(world: &mut World, id: &str) -> Result<Answer, Refusal> {
    world.delete_zone(id)?;
    Ok(Answer::xml(document("DeleteHostedZoneResponse").child(change_info("C0", true, world))))
}

/// Where a record set stands in Route 53's order.
fn position(set: &RecordSet) -> (Vec<String>, &'static str, Option<&str>) {
    (order(&set.name), set.record_type.as_str(), set.set_identifier.as_deref())
}

pub(super) fn records(world: &World, request: &WireRequest, id: &str) -> Result<Answer, Refusal> {
    let zone = world.zone(id)?;
    let most = page_size(request, MOST_RECORDS);
    let mut sets: Vec<&RecordSet> = zone.records().collect();
    sets.sort_by(|a, b| position(a).cmp(&position(b)));
    let name = request.parameter("name").map(order);
    let (record_type, identifier) = (request.parameter("type"), request.parameter("identifier"));
    if record_type.is_some() && name.is_none() {
        return Err(Refusal::new("InvalidInput", "A type to start at needs a name to start at."));
    }
    let starts = |set: &&RecordSet| {
        let Some(name) = &name else { return true };
        let (at, kind, id) = position(set);
        (at, kind, id) >= (name.clone(), record_type.unwrap_or_default(), identifier)
    };
    let mut rest = sets.into_iter().skip_while(|set| !starts(set));
    let page: Vec<&RecordSet> = rest.by_ref().take(most).collect();
    let next = rest.next();
    let answer = document("ListResourceRecordSetsResponse")
        .list("ResourceRecordSets", page.into_iter().map(|set| to_xml(set, zone)))
        .text("IsTruncated", next.is_some());
    let answer = match next {
        Some(next) => answer
            .text("NextRecordName", escaped_name(&next.name))
            .text("NextRecordType", next.record_type)
            .maybe("NextRecordIdentifier", next.set_identifier.as_ref()),
        None => answer,
    };
    Ok(Answer::xml(answer.text("MaxItems", most)))
}

pub(super) fn change(world: &mut World, id: &str, body: &Node) -> Result<Answer, Refusal> {
    let batch = body.get("ChangeBatch").ok_or_else(|| malformed("there is no ChangeBatch"))?;
    let zone = world.zone(id)?;
    let mut changes = Vec::new();
    for change in batch.items("Changes") {
        let set = change.get("ResourceRecordSet").ok_or_else(|| malformed("a change names no record set"))?;
        let set = from_xml(set, zone)?;
        match change.of("Action").unwrap_or_default() {
            "CREATE" => changes.push(Change::Create(set)),
            "DELETE" => changes.push(Change::Delete(set)),
            "UPSERT" => {
                let same = |other: &&RecordSet| {
                    (&other.name, other.record_type, &other.set_identifier)
                        == (&set.name, set.record_type, &set.set_identifier)
                };
                changes.extend(zone.records().find(same).cloned().map(Change::Delete));
                changes.push(Change::Create(set));
            }
            other => return Err(Refusal::new("InvalidInput", format!("There is no action {other}."))),
        }
    }
    let change = world.change_records(id, &changes)?;
    let info = change_info(&change, false, world);
    Ok(Answer::xml(document("ChangeResourceRecordSetsResponse").child(info)))
}

pub(super) fn change_status(world: &World, id: &str) -> Result<Answer, Refusal> {
    let in_sync = world.change_in_sync(id)?;
    Ok(Answer::xml(document("GetChangeResponse").child(change_info(id, in_sync, world))))
}

fn change_info(id: &str, in_sync: bool, world: &World) -> Xml {
    Xml::new("ChangeInfo")
        .text("Id", format!("/change/{id}"))
        .text("Status", if in_sync { "INSYNC" } else { "PENDING" })
        .text("SubmittedAt", super::super::time_text(world.now()))
}
