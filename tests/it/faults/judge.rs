//! The end of every scenario: the faults are over, and the whole fleet is held to account.

use std::collections::BTreeMap;

use failoverd::api::proto::peer_service_client::PeerServiceClient;
use failoverd::api::proto::{FetchEventsRequest, ListRunsRequest, Phase, RunState};
use failoverd::sim::fleet::{effect_seen, marks};
use failoverd_domain::fleet::{EventKind, HistoryEvent};
use failoverd_domain::invariant::effects_have_intents;

use super::stage::{PATIENCE, SERVICE, Stage};
use crate::process::bound::{seconds, within};
use crate::process::fleet::{MEMBERS, REGIONS};
use crate::process::history::same_and_whole;

/// What all daemons must see alike.
#[derive(Debug, PartialEq)]
struct Sight {
    service: (String, u64, Option<String>),
    switches: Vec<(String, String, i32, u64)>,
    runs: Vec<(String, i32, Option<String>)>,
    paused: bool,
}

impl Stage {
    /// Heals everything, starts who is stopped, and waits until all is well; then counts what was done against what was
    /// agreed.
    pub async fn judge(&mut self) {
        self.links.heal();
        self.databases.heal();
        for at in 0..REGIONS.len() {
            if !self.at(at).is_running() {
                self.start(at);
            }
        }
        self.leader_among(&[0, 1, 2]).await;
        let sight = within(PATIENCE, "all daemons see the same, at rest", || self.one_sight()).await;
        for (run, state, verdict) in &sight.runs {
            let ended = [RunState::Succeeded, RunState::Failed, RunState::Aborted].map(|state| state as i32);
            assert!(ended.contains(state) && verdict.is_some(), "{run} has no verdict: {sight:#?}");
        }
        for run in &self.runs {
            assert!(sight.runs.iter().any(|(known, ..)| known == run), "{run} is forgotten: {sight:#?}");
        }
        let primary = sight.service.0.clone();
        self.answers_from(&primary).await;
        // Histories are read to their end once they have what comes last.
        for paused in [!sight.paused, sight.paused] {
            self.change(0, paused).await;
        }
        let events = if self.has_databases {
            same_and_whole(self.fleet(), &self.acknowledged).await
        } else {
            self.told_by(0).await
        };
        self.effects_were_agreed(&events);
        self.all_hold(&events).await;
        let violations: Vec<_> = events.iter().filter(|event| event.kind == EventKind::Violation).collect();
        assert!(violations.is_empty(), "{violations:#?}");
        for daemon in &self.fleet().daemons {
            let log = daemon.logged();
            let bad = log.lines().find(|line| line.contains("panicked") || line.contains("does not hold"));
            assert_eq!(bad, None, "{}", daemon.region);
        }
    }

    async fn one_sight(&self) -> Option<Sight> {
        let mut sights = Vec::new();
        for at in 0..REGIONS.len() {
            let seen = self.at(at).seen().await?;
            let service = seen.services.iter().find(|service| service.name == SERVICE)?;
            let heard = seen.answered.as_ref()?.caught_up && seen.regions.iter().all(|region| region.reachable);
            if !heard || service.phase() != Phase::Steady || !seen.open_runs.is_empty() {
                return None;
            }
            let runs = self.at(at).status().list_runs(ListRunsRequest::default()).await.ok()?.into_inner().runs;
            let mut runs: Vec<_> = runs.into_iter().map(|run| (run.id, run.state, run.verdict)).collect();
            runs.sort();
            let switch = |switch: &failoverd::api::proto::Switch| {
                (switch.group.clone(), switch.region.clone(), switch.state, switch.index)
            };
            sights.push(Sight {
                service: (service.primary.clone(), service.epoch, service.attention.clone()),
                switches: seen.switches.iter().map(switch).collect(),
                runs,
                paused: seen.paused,
            });
        }
        sights.dedup();
        let [_] = sights.as_slice() else { return None };
        sights.pop()
    }

    /// I7 and I2 from outside: nothing was done that nobody had agreed to, nothing twice, and nobody wrote to the zone after
    /// somebody newer had.
    fn effects_were_agreed(&self, events: &[HistoryEvent]) {
        let effects = self.aws.effects();
        let seen: Vec<_> = effects.iter().filter_map(effect_seen).collect();
        let violation = effects_have_intents(&seen, events);
        assert!(violation.is_none(), "{}", violation.unwrap());
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        for effect in effects.iter().filter(|effect| effect.operation == "ChangeResourceRecordSets") {
            for (fence, index) in marks(&effect.arguments) {
                let newest = newest.entry(fence).or_default();
                assert!(index >= *newest, "intent {index} wrote at {fence} after intent {newest}");
                *newest = index;
            }
        }
        let moved = self.promotions();
        let changed = moved.iter().filter(|effect| effect.changed).count();
        let begun = events.iter().filter(|event| event.kind == EventKind::Started).count();
        assert!(changed <= begun, "{changed} moves of the database in {begun} runs: {moved:#?}");
    }

    /// Every daemon, asked as one daemon asks another, tells the same events, as far back as it still holds any.
    async fn all_hold(&self, events: &[HistoryEvent]) {
        for (at, region) in REGIONS.iter().enumerate() {
            for event in self.told_by(at).await {
                let known = events.iter().find(|known| known.seq == event.seq);
                assert!(known.is_none_or(|known| *known == event), "{region} holds another history: {event:#?}");
            }
        }
    }

    /// The events that a daemon still holds, or its history does. A witness has no history, and lets go of what all others
    /// have on record.
    async fn told_by(&self, at: usize) -> Vec<HistoryEvent> {
        let neighbour = self.secured.identity(REGIONS[(at + 1) % REGIONS.len()]);
        let peer = PeerServiceClient::new(self.at(at).channel_as(Some(neighbour)));
        if self.has_databases && !MEMBERS.contains(&at) {
            let told = peer.clone().fetch_events(FetchEventsRequest { from_seq: 1, limit: 10_000 }).await;
            return told.map(|told| read(&told.into_inner().events)).unwrap_or_default();
        }
        let told = within(seconds(20), "a daemon tells its events", || {
            let mut peer = peer.clone();
            async move { peer.fetch_events(FetchEventsRequest { from_seq: 1, limit: 10_000 }).await.ok() }
        })
        .await;
        read(&told.into_inner().events)
    }
}

fn read(events: &[Vec<u8>]) -> Vec<HistoryEvent> {
    events.iter().map(|event| serde_json::from_slice(event).unwrap()).collect()
}
