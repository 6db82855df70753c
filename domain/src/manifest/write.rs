//! Specs back as manifests, for `export` and `-o yaml`. Reading what is written gives the same spec.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::drill::DRILL_KIND;
use super::duration::format_ms;
use super::service::{API_VERSION, KIND};
use super::stores::KEY_TYPES;
use crate::drill::{Blackout, DrillSpec, Guardrail, Schedule};
use crate::ids::Region;
use crate::route53::Location;
use crate::service::{
    Canary, Endpoint, Fence, Freeze, HealthSpec, KeyAttribute, NewTable, Policy, ProbeSpec, PublicRecord, ServiceSpec,
    Signal, Store, StoreKind, Target, Traffic,
};

/// The spec in the manifest's own shape.
#[must_use]
pub fn to_manifest(spec: &ServiceSpec) -> Value {
    let mut metadata = Object::default().with("name", &spec.name);
    if !spec.labels.is_empty() {
        metadata = metadata.with("labels", &spec.labels);
    }
    let body = Object::default()
        .with("pattern", spec.pattern)
        .with("regions", &spec.regions)
        .maybe("role_arn", spec.role_arn.as_ref())
        .maybe("follows", spec.follows.as_ref())
        .with(
            "objectives",
            json!({ "rto": format_ms(spec.objectives.rto_ms), "rpo": format_ms(spec.objectives.rpo_ms) }),
        )
        .with("policy", policy(&spec.policy))
        .with("health", health(&spec.health))
        .with("traffic", traffic(&spec.traffic))
        .with("data", spec.data.iter().map(store).collect::<Vec<_>>());
    json!({ "apiVersion": API_VERSION, "kind": KIND, "metadata": metadata.0, "spec": body.0 })
}

/// A drill in the manifest's own shape.
#[must_use]
pub fn drill_to_manifest(spec: &DrillSpec) -> Value {
    let mut metadata = Object::default().with("name", &spec.name);
    if !spec.labels.is_empty() {
        metadata = metadata.with("labels", &spec.labels);
    }
    let body = Object::default()
        .with("service", &spec.service)
        .with("kind", spec.kind)
        .maybe("from", spec.from.as_ref())
        .maybe("to", spec.to.as_ref())
        .maybe("schedule", spec.schedule.as_ref().map(schedule))
        .with("hypothesis", &spec.hypothesis)
        .with("guardrails", spec.guardrails.iter().map(guardrail).collect::<Vec<_>>())
        .with("hold", format_ms(spec.hold_ms))
        .with("return", spec.comes_back)
        .with("approvals", spec.approvals);
    json!({ "apiVersion": API_VERSION, "kind": DRILL_KIND, "metadata": metadata.0, "spec": body.0 })
}

fn schedule(schedule: &Schedule) -> Value {
    let days = |blackout: &Blackout| match blackout.from == blackout.until {
        true => blackout.from.clone(),
        false => format!("{}/{}", blackout.from, blackout.until),
    };
    let blackouts: Vec<String> = schedule.blackouts.iter().map(days).collect();
    let object = Object::default()
        .with("cron", &schedule.cron)
        .with("timezone", &schedule.timezone)
        .with("window", format_ms(schedule.window_ms));
    Value::Object(object.maybe("blackout", (!blackouts.is_empty()).then_some(blackouts)).0)
}

fn guardrail(guardrail: &Guardrail) -> Value {
    match guardrail {
        Guardrail::MaxDuration { ms } => json!({ "max_duration": format_ms(*ms) }),
        Guardrail::Signal { signal, region, unhealthy_for_ms } => {
            json!({ "signal": signal, "region": region, "unhealthy_for": format_ms(*unhealthy_for_ms) })
        }
        Guardrail::Alarm { name, region } => json!({ "cloudwatch_alarm": { "name": name, "region": region } }),
    }
}

/// A JSON object in the making; absent fields are left out.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn with(mut self, key: &str, value: impl serde::Serialize) -> Self {
        // Words, numbers, lists and maps with text keys: none of them can fail to become JSON.
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.0.insert(key.to_owned(), value);
        self
    }

    fn maybe(self, key: &str, value: Option<impl serde::Serialize>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }
}

fn policy(policy: &Policy) -> Value {
    let object = Object::default()
        .with("failover", policy.failover)
        .with("announce", format_ms(policy.announce_ms))
        .with("cooldown", format_ms(policy.cooldown_ms))
        .with("restore_pause", format_ms(policy.restore_pause_ms))
        .with("loss_over_budget", policy.loss_over_budget)
        .with("unfenced", policy.unfenced)
        .with("freeze", policy.freeze.iter().map(freeze).collect::<Vec<_>>())
        .maybe("require_drill_within", policy.require_drill_within_ms.map(format_ms));
    Value::Object(object.0)
}

fn freeze(freeze: &Freeze) -> Value {
    json!({ "cron": freeze.cron, "duration": format_ms(freeze.duration_ms), "timezone": freeze.timezone })
}

fn health(health: &HealthSpec) -> Value {
    json!({
        "breach_after": format_ms(health.breach_after_ms),
        "recover_after": format_ms(health.recover_after_ms),
        "signals": health.signals.iter().map(signal).collect::<Vec<_>>(),
    })
}

fn signal(signal: &Signal) -> Value {
    let object = Object::default().with("name", &signal.name).with("weight", signal.weight);
    let object = match &signal.probe {
        ProbeSpec::Http { url, interval_ms, timeout_ms, expect_status } => {
            let http = Object::default()
                .with("url", url)
                .maybe("interval", interval_ms.map(format_ms))
                .with("timeout", format_ms(*timeout_ms))
                .with("expect_status", expect_status);
            object.with("http", http.0)
        }
        ProbeSpec::Tcp { address, interval_ms, timeout_ms } => {
            let tcp = Object::default()
                .with("address", address)
                .maybe("interval", interval_ms.map(format_ms))
                .with("timeout", format_ms(*timeout_ms));
            object.with("tcp", tcp.0)
        }
        ProbeSpec::CloudwatchAlarm { name } => object.with("cloudwatch_alarm", json!({ "name": name })),
    };
    Value::Object(object.0)
}

fn traffic(traffic: &Traffic) -> Value {
    let object = Object::default()
        .with("hosted_zone", &traffic.hosted_zone)
        .with("switch", traffic.switch)
        .maybe("switch_group", traffic.switch_group.as_ref())
        .with("records", traffic.records.iter().map(record).collect::<Vec<_>>());
    Value::Object(object.0)
}

fn record(record: &PublicRecord) -> Value {
    let targets: BTreeMap<&Region, Value> =
        record.targets.iter().map(|(region, target)| (region, self::target(target))).collect();
    let object = Object::default()
        .with("name", &record.name)
        .with("type", record.record_type)
        .with("routing", record.routing)
        .maybe("ttl", record.ttl_s.map(|seconds| format_ms(u64::from(seconds) * 1_000)))
        .with("targets", targets);
    Value::Object(object.0)
}

fn target(target: &Target) -> Value {
    let object = match &target.endpoint {
        Endpoint::Alias(alias) => Object::default().with("alias", alias),
        Endpoint::Values(values) => Object::default().with("values", values),
    };
    let geo: Vec<Value> = target.geo.iter().map(location).collect();
    let object = object.maybe("geo", (!geo.is_empty()).then_some(geo)).maybe("weight", target.weight);
    Value::Object(object.0)
}

fn location(location: &Location) -> Value {
    match location {
        Location::Default => json!({ "default": true }),
        Location::Continent(continent) => json!({ "continent": continent }),
        Location::Country(country) => json!({ "country": country }),
        Location::Subdivision(country, subdivision) => json!({ "country": country, "subdivision": subdivision }),
    }
}

fn store(store: &Store) -> Value {
    let object = Object::default().with("name", &store.name);
    let object = match &store.kind {
        StoreKind::Aurora { global_cluster, clusters } => {
            object.with("aurora", json!({ "global_cluster": global_cluster, "clusters": clusters }))
        }
        StoreKind::Rds { instances, rebuild } => {
            let rebuild = if *rebuild { "automatic" } else { "manual" };
            object.with("rds", json!({ "instances": instances, "rebuild": rebuild }))
        }
        StoreKind::Dynamodb { table, ensure_replicas, replicas, create } => {
            let dynamodb = Object::default()
                .with("table", table)
                .with("ensure_replicas", ensure_replicas)
                .maybe("replicas", (!replicas.is_empty()).then_some(replicas))
                .maybe("create", create.as_ref().map(new_table));
            object.with("dynamodb", dynamodb.0)
        }
        StoreKind::S3 { buckets, bidirectional, role_arn, time_control } => {
            let s3 = Object::default()
                .with("buckets", buckets)
                .with("bidirectional", bidirectional)
                .maybe("role_arn", role_arn.as_ref())
                .maybe("time_control", time_control.then_some(true));
            object.with("s3", s3.0)
        }
    };
    let object =
        object.maybe("canary", store.canary.as_ref().map(canary)).maybe("fence", store.fence.as_ref().map(fence));
    Value::Object(object.0)
}

fn new_table(new: &NewTable) -> Value {
    let attribute = |attribute: &KeyAttribute| {
        let word = KEY_TYPES.iter().find(|(_, kind)| *kind == attribute.kind).map_or("S", |(word, _)| *word);
        json!({ "name": attribute.name, "type": word })
    };
    let object = Object::default().with("partition_key", attribute(&new.partition_key));
    Value::Object(object.maybe("sort_key", new.sort_key.as_ref().map(attribute)).0)
}

fn canary(canary: &Canary) -> Value {
    match canary {
        Canary::Dsn { dsn_env } => json!({ "dsn_env": dsn_env }),
        Canary::Table { table } => json!({ "table": table }),
        Canary::Prefix { prefix } => json!({ "prefix": prefix }),
    }
}

fn fence(fence: &Fence) -> Value {
    match fence {
        Fence::SecurityGroup(groups) => json!({ "security_group": groups }),
    }
}
