//! `spec.health`.

use std::collections::BTreeSet;

use super::field::{Field, Mapping};
use super::names;
use crate::ids::SignalName;
use crate::service::{HealthSpec, ProbeSpec, Signal, Weight};

const BREACH_AFTER_MS: u64 = 30_000;
const RECOVER_AFTER_MS: u64 = 300_000;
const TIMEOUT_MS: u64 = 2_000;
const MAX_TIMEOUT_MS: u64 = 60_000;
const MIN_INTERVAL_MS: u64 = 100;
/// Words for whether a signal can prove a breach.
pub const WEIGHT: [(&str, Weight); 2] = [("required", Weight::Required), ("advisory", Weight::Advisory)];
/// Kinds of signal by their key.
const KINDS: [&str; 3] = ["http", "tcp", "cloudwatch_alarm"];

/// `spec.health`.
#[must_use]
pub fn health(field: &Field<'_>) -> Option<HealthSpec> {
    let keys = field.mapping()?;
    let breach_after_ms = keys.or("breach_after", BREACH_AFTER_MS, |field| field.positive_ms());
    let recover_after_ms = keys.or("recover_after", RECOVER_AFTER_MS, |field| field.duration_ms());
    let signals = keys.need("signals", |field| signals(&field));
    keys.finish();
    Some(HealthSpec { breach_after_ms: breach_after_ms?, recover_after_ms: recover_after_ms?, signals: signals? })
}

fn signals(field: &Field<'_>) -> Option<Vec<Signal>> {
    let mut names = BTreeSet::new();
    let signals = field.each(|item| signal(&item, &mut names))?;
    if !signals.iter().any(|signal| signal.weight == Weight::Required) {
        return field.refuse("needs at least one signal of weight required: without one nothing proves a breach");
    }
    Some(signals)
}

fn signal(field: &Field<'_>, names: &mut BTreeSet<String>) -> Option<Signal> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| unique_name(&field, names));
    let weight = keys.or("weight", Weight::Required, |field| field.choice(&WEIGHT));
    let probe = probe(&keys);
    keys.finish();
    Some(Signal { name: SignalName::new(name?), weight: weight?, probe: probe? })
}

/// A name that no sibling has.
pub fn unique_name(field: &Field<'_>, taken: &mut BTreeSet<String>) -> Option<String> {
    let name = names::name(field)?;
    if !taken.insert(name.clone()) {
        return field.refuse(format!("{name:?} is there twice: give each its own name"));
    }
    Some(name)
}

fn probe(keys: &Mapping<'_>) -> Option<ProbeSpec> {
    let there: Vec<&str> = KINDS.into_iter().filter(|kind| keys.get(kind).is_some()).collect();
    match there[..] {
        ["http"] => keys.need("http", |field| http(&field)),
        ["tcp"] => keys.need("tcp", |field| tcp(&field)),
        ["cloudwatch_alarm"] => keys.need("cloudwatch_alarm", |field| alarm(&field)),
        [] => keys.field().refuse(format!("says not how to look: add one of {}", KINDS.join(", "))),
        _ => keys.field().refuse(format!("has {}: a signal has exactly one", there.join(" and "))),
    }
}

fn http(field: &Field<'_>) -> Option<ProbeSpec> {
    let keys = field.mapping()?;
    let url = keys.need("url", |field| names::template(&field, names::check_http_url));
    let interval_ms = interval_ms(&keys);
    let timeout_ms = timeout_ms(&keys, interval_ms.flatten());
    let expect_status = keys.or("expect_status", 200, |field| field.number(100, 599));
    keys.finish();
    let expect_status = u16::try_from(expect_status?).ok()?;
    Some(ProbeSpec::Http { url: url?, interval_ms: interval_ms?, timeout_ms: timeout_ms?, expect_status })
}

fn tcp(field: &Field<'_>) -> Option<ProbeSpec> {
    let keys = field.mapping()?;
    let address = keys.need("address", |field| names::template(&field, names::check_host_port));
    let interval_ms = interval_ms(&keys);
    let timeout_ms = timeout_ms(&keys, interval_ms.flatten());
    keys.finish();
    Some(ProbeSpec::Tcp { address: address?, interval_ms: interval_ms?, timeout_ms: timeout_ms? })
}

fn alarm(field: &Field<'_>) -> Option<ProbeSpec> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| names::template(&field, |_| Ok(())));
    keys.finish();
    Some(ProbeSpec::CloudwatchAlarm { name: name? })
}

#[allow(clippy::option_option, reason = "absent and bad are different outcomes")]
fn interval_ms(keys: &Mapping<'_>) -> Option<Option<u64>> {
    keys.maybe("interval", |field| match field.duration_ms()? {
        ms if ms < MIN_INTERVAL_MS => field.refuse(format!("is shorter than {MIN_INTERVAL_MS}ms")),
        ms => Some(ms),
    })
}

fn timeout_ms(keys: &Mapping<'_>, interval_ms: Option<u64>) -> Option<u64> {
    let default = interval_ms.map_or(TIMEOUT_MS, |interval_ms| TIMEOUT_MS.min(interval_ms / 2));
    keys.or("timeout", default, |field| {
        let ms = field.positive_ms()?;
        if interval_ms.is_some_and(|interval_ms| ms >= interval_ms) {
            return field.refuse("must be shorter than the interval: a probe ends before the next begins");
        }
        if ms > MAX_TIMEOUT_MS {
            return field.refuse("is longer than a minute");
        }
        Some(ms)
    })
}
