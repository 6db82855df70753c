//! One `Drill` document.

use super::duration::{format_ms, parse_ms};
use super::field::{Field, Mapping};
use super::names;
use super::policy::checked;
use crate::drill::{Blackout, ComesBack, DrillKind, DrillSpec, Guardrail, MOVES_MS, Schedule, check_date};
use crate::freeze::{check_cron, check_timezone};
use crate::ids::{DrillName, Region, ServiceName, SignalName};
use crate::service::{Pattern, ServiceSpec, SwitchTransport};

/// The kind of document that declares a drill.
pub const DRILL_KIND: &str = "Drill";
/// Words for what is practised.
pub const KINDS: [(&str, DrillKind); 4] = [
    ("simulate", DrillKind::Simulate),
    ("switchover", DrillKind::Switchover),
    ("evacuate", DrillKind::Evacuate),
    ("region-loss", DrillKind::RegionLoss),
];
const COMES_BACK: [(&str, ComesBack); 2] = [("automatic", ComesBack::Automatic), ("manual", ComesBack::Manual)];
/// Kinds of guardrail by their key.
const GUARDRAILS: [&str; 3] = ["max_duration", "signal", "cloudwatch_alarm"];

const HOLD_MS: u64 = 300_000;
/// A service that is away for longer is not drilled, it has moved.
const MOST_HOLD: &str = "24h";
const MOST_APPROVALS: u64 = 20;

/// Reads `spec`; name and labels are the caller's.
#[must_use]
pub fn spec(field: &Field<'_>) -> Option<DrillSpec> {
    let keys = field.mapping()?;
    let service = keys.need("service", |field| names::name(&field));
    let kind = keys.need("kind", |field| field.choice(&KINDS));
    let from = keys.maybe("from", |field| field.text());
    let to = keys.maybe("to", |field| field.text());
    let schedule = keys.maybe("schedule", |field| schedule(&field));
    let hypothesis = keys.maybe("hypothesis", |field| field.text());
    let guardrails = keys.or("guardrails", Vec::new(), |field| field.each(|item| guardrail(&item)));
    let hold_ms = keys.or("hold", HOLD_MS, |field| hold(&field));
    let comes_back = keys.or("return", ComesBack::Automatic, |field| field.choice(&COMES_BACK));
    let approvals = keys.or("approvals", 0, |field| field.number(0, MOST_APPROVALS));
    keys.finish();
    refuse_one_place(&keys);
    if let (Some(Some(schedule)), Some(hold_ms), Some(kind)) = (&schedule, hold_ms, kind) {
        refuse_short_window(&keys, schedule, hold_ms, kind);
    }
    let service = ServiceName::new(service?);
    Some(DrillSpec {
        name: DrillName::default(),
        labels: std::collections::BTreeMap::new(),
        kind: kind?,
        from: from?.map(Region::new),
        to: to?.map(Region::new),
        schedule: schedule?,
        hypothesis: hypothesis?.unwrap_or_else(|| format!("{service} keeps its objectives")),
        guardrails: guardrails?,
        hold_ms: hold_ms?,
        comes_back: comes_back?,
        approvals: u32::try_from(approvals?).unwrap_or(u32::MAX),
        service,
    })
}

fn schedule(field: &Field<'_>) -> Option<Schedule> {
    let keys = field.mapping()?;
    let cron = keys.need("cron", |field| checked(&field, check_cron));
    let timezone = keys.or("timezone", "UTC".to_owned(), |field| checked(&field, check_timezone));
    let window_ms = keys.need("window", |field| field.positive_ms());
    let blackouts = keys.or("blackout", Vec::new(), |field| field.each(|item| blackout(&item)));
    keys.finish();
    Some(Schedule { cron: cron?, timezone: timezone?, window_ms: window_ms?, blackouts: blackouts? })
}

/// `2026-12-31`, or `2026-12-24/2027-01-02` with both days included.
fn blackout(field: &Field<'_>) -> Option<Blackout> {
    let text = field.text()?;
    let (from, until) = text.split_once('/').unwrap_or((&text, &text));
    match (check_date(from), check_date(until)) {
        (Ok(first), Ok(last)) if first > last => field.refuse(format!("{text:?} ends before it begins")),
        (Ok(_), Ok(_)) => Some(Blackout { from: from.to_owned(), until: until.to_owned() }),
        (Err(why), _) | (_, Err(why)) => field.refuse(why),
    }
}

fn hold(field: &Field<'_>) -> Option<u64> {
    let ms = field.duration_ms()?;
    if parse_ms(MOST_HOLD).is_ok_and(|most| ms > most) {
        return field.refuse(format!("is longer than {MOST_HOLD}: what stays away for longer has moved"));
    }
    Some(ms)
}

fn guardrail(field: &Field<'_>) -> Option<Guardrail> {
    let keys = field.mapping()?;
    let there: Vec<&str> = GUARDRAILS.into_iter().filter(|key| keys.get(key).is_some()).collect();
    let read = match there[..] {
        ["max_duration"] => {
            keys.need("max_duration", |field| field.positive_ms()).map(|ms| Guardrail::MaxDuration { ms })
        }
        ["signal"] => signal(&keys),
        ["cloudwatch_alarm"] => keys.need("cloudwatch_alarm", |field| alarm(&field)),
        _ => {
            return field.refuse(format!("must have exactly one of {}", GUARDRAILS.join(", ")));
        }
    };
    keys.finish();
    read
}

fn signal(keys: &Mapping<'_>) -> Option<Guardrail> {
    let signal = keys.need("signal", |field| names::name(&field));
    let region = keys.need("region", |field| field.text());
    let unhealthy_for_ms = keys.need("unhealthy_for", |field| field.positive_ms());
    Some(Guardrail::Signal {
        signal: SignalName::new(signal?),
        region: Region::new(region?),
        unhealthy_for_ms: unhealthy_for_ms?,
    })
}

fn alarm(field: &Field<'_>) -> Option<Guardrail> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| field.text());
    let region = keys.need("region", |field| field.text());
    keys.finish();
    Some(Guardrail::Alarm { name: name?, region: Region::new(region?) })
}

fn refuse_one_place(keys: &Mapping<'_>) {
    let (Some(from), Some(to)) = (keys.field().peek(&["from"]), keys.field().peek(&["to"])) else { return };
    if let Some(there) = from.code().filter(|from| to.is_word(from)) {
        to.refuse::<()>(format!("from and to are both {there}: name two Regions, or leave one out"));
    }
}

fn refuse_short_window(keys: &Mapping<'_>, schedule: &Schedule, hold_ms: u64, kind: DrillKind) {
    let needed = hold_ms.saturating_add(MOVES_MS);
    let Some(window) = keys.field().peek(&["schedule", "window"]) else { return };
    if kind != DrillKind::Simulate && schedule.window_ms < needed {
        let (window_ms, hold) = (format_ms(schedule.window_ms), format_ms(hold_ms));
        window.refuse::<()>(format!(
            "{window_ms} is too short for a hold of {hold} and the ways out and back: give it {} or more, or hold for less",
            format_ms(needed)
        ));
    }
}

/// Why a drill cannot be of the services as they will be: field and reason. Nothing is said of a service that is not among
/// them where `complete` is false: its document may be one that could not be read.
#[must_use]
pub fn misfits(drill: &DrillSpec, services: &[&ServiceSpec], complete: bool) -> Vec<(String, String)> {
    let Some(service) = services.iter().find(|spec| spec.name == drill.service) else {
        let unknown = ("spec.service".to_owned(), format!("there is no service {}", drill.service));
        return complete.then_some(unknown).into_iter().collect();
    };
    let mut found = Vec::new();
    let mut say = |path: &str, why: String| found.push((path.to_owned(), why));
    let group = service.switch_group();
    if group.as_str() != service.name.as_str()
        && services.iter().any(|spec| spec.name.as_str() == group.as_str() && spec.is_of_switch(&group))
    {
        say("spec.service", format!("{} shares the switch of {group} and moves with it: drill {group}", service.name));
    }
    if service.policy.failover == crate::service::Automation::Manual {
        let why =
            "has policy.failover: manual, so that a drill would prove nothing of it: write approval or automatic there";
        say("spec.service", format!("{} {why}", service.name));
    }
    if let Some(why) = unfit_kind(drill.kind, service) {
        say("spec.kind", why);
    }
    let elsewhere = |region: &Region| {
        let regions: Vec<&str> = service.regions.iter().map(Region::as_str).collect();
        let why = || format!("{} does not live in {region}, but in {}", service.name, regions.join(" and "));
        (!service.regions.contains(region)).then(why)
    };
    for (path, region) in [("spec.from", &drill.from), ("spec.to", &drill.to)] {
        if let Some(why) = region.as_ref().and_then(elsewhere) {
            say(path, why);
        }
    }
    for (at, guardrail) in drill.guardrails.iter().enumerate() {
        match guardrail {
            Guardrail::MaxDuration { .. } => {}
            Guardrail::Signal { signal, region, .. } => {
                let known: Vec<&str> = service.health.signals.iter().map(|signal| signal.name.as_str()).collect();
                if !known.contains(&signal.as_str()) {
                    let why = format!("{} has no signal {signal}; it has {}", service.name, known.join(", "));
                    say(&format!("spec.guardrails[{at}].signal"), why);
                }
                if let Some(why) = elsewhere(region) {
                    say(&format!("spec.guardrails[{at}].region"), why);
                }
            }
            Guardrail::Alarm { region, .. } => {
                if let Some(why) = elsewhere(region) {
                    say(&format!("spec.guardrails[{at}].cloudwatch_alarm.region"), why);
                }
            }
        }
    }
    found
}

fn unfit_kind(kind: DrillKind, service: &ServiceSpec) -> Option<String> {
    let name = &service.name;
    match (kind, service.pattern) {
        (DrillKind::Switchover, Pattern::ActiveActive) => {
            Some(format!("{name} is active-active, where several Regions serve: use evacuate"))
        }
        (DrillKind::Evacuate, Pattern::ActivePassive) => {
            let writer = service.data.iter().find(|store| store.kind.has_single_writer())?;
            Some(format!(
                "evacuate moves traffic only, and {} of {name} has one writer, which would stay behind: use switchover",
                writer.name
            ))
        }
        (DrillKind::RegionLoss, _) if service.traffic.switch == SwitchTransport::None => {
            Some(format!("{name} has traffic.switch: none and never moves by itself (I5): use switchover"))
        }
        _ => None,
    }
}
