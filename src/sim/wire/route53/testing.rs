//! `TestDNSAnswer`: what the name servers would say, to whom.

use failoverd_domain::route53::{RecordType, quoted_text};

use super::super::answer::Answer;
use super::super::request::WireRequest;
use super::super::xml::Xml;
use super::document;
use crate::sim::world::{Refusal, Resolution, World, place_of};

pub(super) fn answer(world: &mut World, request: &WireRequest) -> Result<Answer, Refusal> {
    let invalid = |what: String| Refusal::new("InvalidInput", what);
    let need = |name: &str| request.parameter(name).ok_or_else(|| invalid(format!("{name} must be given.")));
    let (zone, name, word) = (need("hostedzoneid")?, need("recordname")?, need("recordtype")?);
    let zone = world.zone(zone)?.name.clone();
    let record_type = RecordType::named(word).ok_or_else(|| invalid(format!("There is no record type {word}.")))?;
    let subnet = request.parameter("edns0clientsubnetip").or_else(|| request.parameter("resolverip"));
    let from = match subnet.map(|address| address.parse().map_err(|_| address)) {
        Some(Err(address)) => return Err(invalid(format!("{address} is not a valid IP address."))),
        Some(Ok(address)) => place_of(address),
        None => None,
    };
    let (code, values) = match world.resolve(name, record_type, from) {
        Resolution::Found(apex, answer) if apex == zone => ("NOERROR", answer.values),
        Resolution::NoSuchName(apex) if apex == zone => ("NXDOMAIN", Vec::new()),
        _ => return Err(invalid(format!("{name} is not in the hosted zone {zone}."))),
    };
    let entry = |value: String| {
        let value = if record_type == RecordType::Txt { quoted_text(&value) } else { value };
        Xml::new("RecordDataEntry").body(value)
    };
    Ok(Answer::xml(
        document("TestDNSAnswerResponse")
            .text("Nameserver", "ns-0.awsdns-00.com")
            .text("RecordName", name)
            .text("RecordType", record_type)
            .list("RecordData", values.into_iter().map(entry))
            .text("ResponseCode", code)
            .text("Protocol", "UDP"),
    ))
}
