//! A small world for tests, on paused time.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::ids::{HealthCheckId, Region};
use failoverd_domain::route53::{CheckKind, EndpointCheck, HealthCheckConfig, Policy, Protocol, RecordSet, RecordType};
use failoverd_domain::time::Timestamp;

use super::{SimulatedAws, Timing, TokioClock};

pub(crate) const NAME: &str = "api.example.com";

pub(crate) fn use1() -> Region {
    Region::from("us-east-1")
}

pub(crate) fn euw1() -> Region {
    Region::from("eu-west-1")
}

pub(crate) fn usw2() -> Region {
    Region::from("us-west-2")
}

/// A world with the zone `example.com`, a global cluster `gc`, a table `Orders` and buckets `media-use1`, `media-euw1`.
pub(crate) fn world() -> SimulatedAws {
    let clock = Arc::new(TokioClock::starting_at(Timestamp(1_000_000_000)));
    let aws = SimulatedAws::new(clock, 7, Timing::default());
    aws.create_zone("example.com", &[use1(), euw1()]);
    aws.create_global_cluster("gc", &[(use1(), "gc-use1".into()), (euw1(), "gc-euw1".into())]);
    aws.create_table("Orders", &[use1(), euw1()]);
    aws.create_bucket(&use1(), "media-use1", true);
    aws.create_bucket(&euw1(), "media-euw1", true);
    aws.set_rule("media-use1", "media-euw1");
    aws
}

pub(crate) async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

pub(crate) fn record(id: &str, policy: Policy, value: &str, check: Option<&HealthCheckId>) -> RecordSet {
    RecordSet {
        name: NAME.into(),
        record_type: RecordType::A,
        set_identifier: (policy != Policy::Simple).then(|| id.to_owned()),
        policy,
        ttl_s: Some(30),
        values: vec![value.into()],
        alias: None,
        health_check: check.cloned(),
    }
}

pub(crate) fn endpoint(host: &str, search: Option<&str>) -> HealthCheckConfig {
    let endpoint = EndpointCheck {
        protocol: Protocol::Http,
        host: host.into(),
        port: 80,
        path: "/".into(),
        search: search.map(Into::into),
        interval_s: 10,
        failure_threshold: 3,
    };
    HealthCheckConfig { kind: CheckKind::Endpoint(endpoint), inverted: false, disabled: false }
}

pub(crate) fn calculated(children: &[HealthCheckId], threshold: u32) -> HealthCheckConfig {
    let kind = CheckKind::Calculated { children: children.to_vec(), threshold };
    HealthCheckConfig { kind, inverted: false, disabled: false }
}
