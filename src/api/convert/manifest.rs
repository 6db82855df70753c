//! A service as the manifest that would make it: what `export` prints and what `apply` compares.

use failoverd_domain::route53::Location;
use failoverd_domain::service::{
    Canary, Endpoint, Fence, Freeze, Policy, ProbeSpec, PublicRecord, Routing, ServiceSpec, Signal, Store, StoreKind,
    Target, Traffic,
};
use serde_json::{Map, Value, json};

use super::words::serde_word;

/// The manifest of a service, in the words and units of manifests. Applying it again changes nothing.
#[must_use]
pub fn exported(spec: &ServiceSpec) -> Value {
    let signals: Vec<Value> = spec.health.signals.iter().map(signal).collect();
    let data: Vec<Value> = spec.data.iter().map(store).collect();
    let mut body = json!({
        "pattern": serde_word(spec.pattern),
        "regions": spec.regions,
        "objectives": {
            "rto": duration(spec.objectives.rto_ms),
            "rpo": duration(spec.objectives.rpo_ms),
        },
        "policy": policy(&spec.policy),
        "health": {
            "breach_after": duration(spec.health.breach_after_ms),
            "recover_after": duration(spec.health.recover_after_ms),
            "signals": signals,
        },
        "traffic": traffic(&spec.traffic),
    });
    put(&mut body, "data", (!data.is_empty()).then_some(Value::Array(data)));
    put(&mut body, "follows", spec.follows.as_ref().map(|name| json!(name)));
    let mut metadata = json!({ "name": spec.name });
    put(&mut metadata, "labels", (!spec.labels.is_empty()).then(|| json!(spec.labels)));
    json!({
        "apiVersion": "failoverd.dev/v1",
        "kind": "FailoverService",
        "metadata": metadata,
        "spec": body,
    })
}

/// Paths of the fields in which two manifests of a service differ, for people.
#[must_use]
pub fn fields_that_differ(old: &ServiceSpec, new: &ServiceSpec) -> Vec<String> {
    let mut paths = Vec::new();
    compare("", &exported(old), &exported(new), &mut paths);
    paths
}

fn compare(path: &str, old: &Value, new: &Value, paths: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&below, old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null), paths);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (n, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{n}]"), old, new, paths);
            }
        }
        _ if old != new => paths.push(path.to_owned()),
        _ => {}
    }
}

fn put(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (object.as_object_mut(), value) {
        fields.insert(key.to_owned(), value);
    }
}

/// One number in the largest unit that fits exactly.
fn duration(ms: u64) -> Value {
    const UNITS: [(&str, u64); 4] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let fits = UNITS.iter().find(|(_, size)| ms > 0 && ms.is_multiple_of(*size));
    json!(match fits {
        Some((unit, size)) => format!("{}{unit}", ms / size),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    })
}

fn policy(policy: &Policy) -> Value {
    let mut body = json!({
        "failover": serde_word(policy.failover),
        "announce": duration(policy.announce_ms),
        "cooldown": duration(policy.cooldown_ms),
        "loss_over_budget": serde_word(policy.loss_over_budget),
        "unfenced": serde_word(policy.unfenced),
    });
    let freeze: Vec<Value> = policy.freeze.iter().map(freeze).collect();
    put(&mut body, "freeze", (!freeze.is_empty()).then_some(Value::Array(freeze)));
    put(&mut body, "require_drill_within", policy.require_drill_within_ms.map(duration));
    body
}

fn freeze(freeze: &Freeze) -> Value {
    json!({ "cron": freeze.cron, "duration": duration(freeze.duration_ms), "timezone": freeze.timezone })
}

fn signal(signal: &Signal) -> Value {
    let mut body = json!({ "name": signal.name, "weight": serde_word(signal.weight) });
    let (key, mut probe, interval_ms) = match &signal.probe {
        ProbeSpec::Http { url, interval_ms, timeout_ms, expect_status } => {
            let http = json!({ "url": url, "timeout": duration(*timeout_ms), "expect_status": expect_status });
            ("http", http, *interval_ms)
        }
        ProbeSpec::Tcp { address, interval_ms, timeout_ms } => {
            ("tcp", json!({ "address": address, "timeout": duration(*timeout_ms) }), *interval_ms)
        }
        ProbeSpec::CloudwatchAlarm { name } => ("cloudwatch_alarm", json!({ "name": name }), None),
    };
    put(&mut probe, "interval", interval_ms.map(duration));
    put(&mut body, key, Some(probe));
    body
}

fn traffic(traffic: &Traffic) -> Value {
    let records: Vec<Value> = traffic.records.iter().map(record).collect();
    let mut body = json!({
        "hosted_zone": traffic.hosted_zone,
        "switch": serde_word(traffic.switch),
        "records": records,
    });
    put(&mut body, "switch_group", traffic.switch_group.as_ref().map(|group| json!(group)));
    body
}

fn record(record: &PublicRecord) -> Value {
    let targets: Map<String, Value> =
        record.targets.iter().map(|(region, it)| (region.to_string(), target(record.routing, it))).collect();
    let mut body = json!({
        "name": record.name,
        "type": record.record_type.to_string(),
        "routing": serde_word(record.routing),
        "targets": targets,
    });
    put(&mut body, "ttl", record.ttl_s.map(|ttl_s| duration(u64::from(ttl_s) * 1000)));
    body
}

fn target(routing: Routing, target: &Target) -> Value {
    let mut body = match &target.endpoint {
        Endpoint::Alias(alias) => json!({ "alias": {
            "dns_name": alias.dns_name,
            "hosted_zone": alias.hosted_zone,
            "evaluate_target_health": alias.evaluate_target_health,
        } }),
        Endpoint::Values(values) => json!({ "values": values }),
    };
    if routing == Routing::Geolocation {
        put(&mut body, "geo", Some(target.geo.iter().map(place).collect()));
    }
    put(&mut body, "weight", target.weight.map(|weight| json!(weight)));
    body
}

fn place(place: &Location) -> Value {
    match place {
        Location::Default => json!({ "default": true }),
        Location::Continent(code) => json!({ "continent": code }),
        Location::Country(code) => json!({ "country": code }),
        Location::Subdivision(country, code) => json!({ "country": country, "subdivision": code }),
    }
}

fn store(store: &Store) -> Value {
    let mut body = json!({ "name": store.name });
    let (key, kind) = match &store.kind {
        StoreKind::Aurora { global_cluster, clusters } => {
            ("aurora", json!({ "global_cluster": global_cluster, "clusters": clusters }))
        }
        StoreKind::Dynamodb { table, ensure_replicas } => {
            ("dynamodb", json!({ "table": table, "ensure_replicas": ensure_replicas }))
        }
        StoreKind::S3 { buckets, bidirectional, role_arn } => {
            let mut s3 = json!({ "buckets": buckets, "bidirectional": bidirectional });
            put(&mut s3, "role_arn", role_arn.as_ref().map(|arn| json!(arn)));
            ("s3", s3)
        }
    };
    put(&mut body, key, Some(kind));
    put(&mut body, "canary", store.canary.as_ref().map(canary));
    put(
        &mut body,
        "fence",
        store.fence.as_ref().map(|Fence::SecurityGroup(groups)| json!({ "security_group": groups })),
    );
    body
}

fn canary(canary: &Canary) -> Value {
    match canary {
        Canary::Dsn { dsn_env } => json!({ "dsn_env": dsn_env }),
        Canary::Table { table } => json!({ "table": table }),
        Canary::Prefix { prefix } => json!({ "prefix": prefix }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake::spec;

    #[test]
    fn a_manifest_says_durations_as_people_write_them() {
        let manifest = exported(&spec("checkout"));
        assert_eq!(manifest["spec"]["objectives"], json!({ "rto": "5m", "rpo": "5s" }));
        assert_eq!(manifest["spec"]["policy"]["failover"], "automatic");
        assert_eq!(duration(1_500), json!("1500ms"));
    }

    #[test]
    fn only_what_differs_is_named() {
        let old = spec("checkout");
        let mut new = old.clone();
        assert!(fields_that_differ(&old, &new).is_empty());
        new.objectives.rpo_ms = 7_000;
        new.health.signals[0].name = "other".into();
        assert_eq!(fields_that_differ(&old, &new), ["spec.health.signals[0].name", "spec.objectives.rpo"]);
    }
}
