//! What needs no AWS API: DNS questions and probes.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::ids::Region;
use failoverd_domain::route53::RecordType;
use failoverd_domain::service::ProbeSpec;
use failoverd_domain::traffic::Heard;
use tokio::time::sleep;

use super::SimulatedPorts;
use crate::ports::{Dns, Metrics, NotGood, Prober};
use crate::sim::world::Resolution;

/// TTL of answers that a name server goes on giving.
const OLD_TTL_S: u32 = 60;

#[async_trait]
impl Dns for SimulatedPorts {
    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Heard, String> {
        let (reachable, latency_ms, timeout_ms) = self
            .aws
            .with(|world| (world.faults.has_dns(&self.caller), world.timing.call_ms, world.timing.call_timeout_ms));
        sleep(Duration::from_millis(if reachable { latency_ms } else { timeout_ms })).await;
        if !reachable {
            return Err("no name server answered".to_owned());
        }
        if let Some(values) = self.aws.with(|world| world.faults.old_answer(&self.caller, name)) {
            return Ok(Heard { values, ttl_s: OLD_TTL_S });
        }
        match self.aws.with(|world| world.resolve(name, record_type, None)) {
            Resolution::NotAuthoritative => Err(format!("{name}: REFUSED")),
            Resolution::NoSuchName(_) => Ok(Heard::default()),
            Resolution::Found(_, mut answer) => {
                answer.values.sort();
                Ok(Heard { values: answer.values, ttl_s: answer.ttl_s })
            }
        }
    }
}

#[async_trait]
impl Prober for SimulatedPorts {
    async fn probe(&self, probe: &ProbeSpec, region: &Region) -> Result<String, NotGood> {
        let target = probe.target_in(region);
        if matches!(probe, ProbeSpec::CloudwatchAlarm { .. }) {
            return match self.alarm(region, &target).await {
                Ok(Some(true)) => Err(NotGood::Bad(format!("{target} is in ALARM"))),
                Ok(Some(false)) => Ok(format!("{target} is OK")),
                Ok(None) => Err(NotGood::Unknown(format!("{target} has insufficient data"))),
                Err(error) => Err(NotGood::Unknown(error.to_string())),
            };
        }
        let timeout_ms = match probe {
            ProbeSpec::Http { timeout_ms, .. } | ProbeSpec::Tcp { timeout_ms, .. } => *timeout_ms,
            ProbeSpec::CloudwatchAlarm { .. } => 0,
        };
        if !self.reference(region).await {
            sleep(Duration::from_millis(timeout_ms)).await;
            return Err(NotGood::Bad(format!("{target}: no answer in {timeout_ms} ms")));
        }
        self.knock(probe, region, &target)
    }

    async fn through(&self, probe: &ProbeSpec, name: &str, address: IpAddr) -> Result<String, NotGood> {
        let Some(region) = self.aws.with(|world| world.region_at(address)) else {
            return Err(NotGood::Bad(format!("{name}: nobody is at {address}")));
        };
        if !self.reference(&region).await {
            sleep(Duration::from_millis(probe.timeout_ms())).await;
            return Err(NotGood::Bad(format!("{name}: no answer in {} ms", probe.timeout_ms())));
        }
        self.knock(probe, &region, &probe.target_in(&region))
    }

    async fn reference(&self, region: &Region) -> bool {
        let (good, latency_ms) = self.aws.with(|world| {
            let near = &self.caller == region;
            let latency_ms = if near { world.timing.call_ms } else { world.timing.far_call_ms };
            (world.faults.is_up(region) && world.faults.reaches(&self.caller, region), latency_ms)
        });
        sleep(Duration::from_millis(latency_ms)).await;
        good
    }
}

impl SimulatedPorts {
    /// What a service says to somebody who has come as far as its Region.
    fn knock(&self, probe: &ProbeSpec, region: &Region, target: &str) -> Result<String, NotGood> {
        match (self.aws.with(|world| world.endpoint_is_bad(region, target)), probe) {
            (false, ProbeSpec::Http { expect_status, .. }) => Ok(format!("{target}: {expect_status}")),
            (false, _) => Ok(format!("{target}: connected")),
            (true, ProbeSpec::Http { .. }) => Err(NotGood::Bad(format!("{target}: 503"))),
            (true, _) => Err(NotGood::Bad(format!("{target}: connection refused"))),
        }
    }
}
