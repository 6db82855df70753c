//! What a real daemon is made of, out of its configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::ids::{Generation, Region};
use failoverd_domain::traffic::SwitchEndpoint;

use super::accepted::Accepted;
use super::refusal::Refusal;
use super::world;
use crate::adapters::clock::SystemClock;
use crate::adapters::postgres::{Limits, PostgresHistory};
use crate::adapters::webhook::{HookSettings, HttpWebhooks};
use crate::config::{Config, Database};
use crate::consensus::Disk;
use crate::daemon::{Listeners, Setup};
use crate::ports::{Clock, History, SteadyClock, Webhooks};
use crate::runtime::{Keep, Timing};
use crate::telemetry::{LogControl, Meters, Spans, Telemetry};

/// Every part of the daemon, ready to be started.
///
/// # Errors
/// [`Refusal::Probes`], [`Refusal::Dns`], [`Refusal::Webhooks`], [`Refusal::Traces`].
pub fn setup(
    accepted: Accepted,
    listeners: Listeners,
    history: Option<Arc<PostgresHistory>>,
    logs: LogControl,
    join: Option<Generation>,
) -> Result<Setup, Refusal> {
    let Accepted { config, secured, switch, webhooks, traces, variables, .. } = accepted;
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new(Arc::new(SystemClock)));
    let spans = traces.map(|traces| Spans::begin(&traces, &config.fleet, &config.region, clock.clone())).transpose()?;
    let meters = Meters::new(clock.now(), spans);
    let timing = timing(&config);
    Ok(Setup {
        settings: config.fleet_settings(),
        peers: peer_urls(&config),
        members: config.members(),
        references: config.references.keys().cloned().collect(),
        world: world::of(&config, clock.clone(), timing.mutation, variables, meters.clone())?,
        timing,
        heartbeat: Duration::from_millis(config.timing.heartbeat_ms),
        election_timeout: Duration::from_millis(config.timing.election_timeout_ms),
        me: config.region,
        fleet: config.fleet,
        join,
        advertise: config.advertise.switch.map(|switch| SwitchEndpoint {
            host: switch.host,
            port: switch.port,
            https: switch.https,
        }),
        listeners,
        switch,
        secured,
        disk: Disk::Directory(config.data_dir),
        keep: keep(config.database.as_ref(), history.clone()),
        history: history.map(|history| history as Arc<dyn History>),
        webhooks: webhooks_of(webhooks)?,
        telemetry: Telemetry { meters, logs },
        clock,
    })
}

fn keep(database: Option<&Database>, history: Option<Arc<PostgresHistory>>) -> Option<Keep> {
    Some(Keep { history: history?, at_least: Duration::from_millis(database?.keep_ms?) })
}

fn webhooks_of(hooks: Vec<HookSettings>) -> Result<Option<Arc<dyn Webhooks>>, Refusal> {
    if hooks.is_empty() {
        return Ok(None);
    }
    let webhooks = HttpWebhooks::new(hooks).map_err(|error| Refusal::Webhooks(error.to_string()))?;
    Ok(Some(Arc::new(webhooks)))
}

/// This Region's history. Connects when it is first used: a database that is away stops nobody.
pub fn history(accepted: &Accepted) -> Option<Arc<PostgresHistory>> {
    let url = accepted.database.clone()?;
    Some(Arc::new(PostgresHistory::connect(url, accepted.config.fleet.clone(), Limits::default())))
}

/// Where each daemon serves gRPC.
pub fn peer_urls(config: &Config) -> BTreeMap<Region, String> {
    config.peers.iter().map(|(region, peer)| (region.clone(), peer.url.clone())).collect()
}

/// The leader's lease is twice the election timeout; a mutating call must end well before it does, and one of a leader
/// that is gone is waited out for longer than it could take.
fn timing(config: &Config) -> Timing {
    let probe = Duration::from_millis(config.timing.probe_interval_ms);
    let election_timeout = Duration::from_millis(config.timing.election_timeout_ms);
    let default = Timing::default();
    Timing {
        probe,
        stale_after: default.stale_after.max(probe * 3),
        mutation: election_timeout * 4 / 5,
        afterlife: election_timeout * 2,
        ..default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(timing: &str) -> Config {
        let text = format!(
            "{{ fleet: prod, region: us-west-2, role: witness, data_dir: /tmp/x, timing: {timing}, \
             advertise: {{ switch: {{ host: s.example.com }} }}, \
             peers: {{ us-west-2: 'https://a:1', us-east-1: 'https://b:1', eu-west-1: 'https://c:1' }} }}"
        );
        Config::parse("test", text.as_bytes(), std::iter::empty()).unwrap()
    }

    #[test]
    fn defaults_are_those_for_real_regions() {
        assert_eq!(timing(&config("{}")), Timing::default());
    }

    #[test]
    fn a_slow_fleet_waits_longer_for_its_calls_and_its_readings() {
        let slow = timing(&config("{ heartbeat: 1s, election_timeout: 5s, probe_interval: 30s }"));
        assert_eq!((slow.mutation.as_secs(), slow.afterlife.as_secs()), (4, 10));
        assert_eq!((slow.probe.as_secs(), slow.stale_after.as_secs()), (30, 90));
    }
}
