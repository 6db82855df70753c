//! Reads everything that this daemon can see of every service in every Region, and tells the others.
//!
//! Observing never stops: not when this daemon does not lead, not when automatic action is paused.

mod guardrails;
mod outside;
mod readiness;
mod rehearsals;
mod sheet;
mod signals;
mod stores;
mod through;

use std::collections::BTreeSet;
use std::sync::Arc;

use failoverd_domain::fleet::{FleetSettings, FleetState};
use failoverd_domain::format::Build;
use failoverd_domain::health::{Matrix, Report, Vote};
use failoverd_domain::ids::{LogIndex, Region, SwitchGroup};
use failoverd_domain::traffic::voices;
use tokio::sync::{mpsc, watch};

use self::sheet::Sheet;
use super::settler::Words;
use super::timing::Timing;
use super::voice::Spoken;
use crate::ports::{Agreement, Clock, History, Leadership, Peers, Viewpoint, World, holds};

/// One daemon's eyes.
#[derive(Clone)]
pub(super) struct Observer {
    pub(super) view: Viewpoint,
    pub(super) build: Build,
    pub(super) settings: FleetSettings,
    pub(super) timing: Timing,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: World,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) history: Option<Arc<dyn History>>,
    pub(super) matrix: watch::Receiver<Arc<Matrix>>,
    pub(super) inbox: mpsc::Sender<Report>,
    /// Reference endpoints outside the fleet.
    pub(super) references: Vec<Region>,
    /// What the settler last made of each service; empty while another daemon leads.
    pub(super) words: watch::Receiver<Words>,
    /// What this daemon has published of switches lately.
    pub(super) spoken: watch::Receiver<Spoken>,
}

impl Observer {
    /// Runs for ever.
    pub(super) async fn run(self) {
        let sheet = Arc::new(Sheet::default());
        tokio::join!(
            self.watch_signals(&sheet),
            self.watch_stores(&sheet),
            self.write_canaries(&sheet),
            self.watch_outside(&sheet),
            self.watch_readiness(&sheet),
            self.show_rehearsals(&sheet),
            self.watch_guardrails(&sheet),
            self.ask_through(&sheet),
            self.report(&sheet),
        );
    }

    fn state(&self) -> Arc<FleetState> {
        self.agreement.state().borrow().clone()
    }

    async fn report(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.report);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seq = 0;
        let mut was_isolated = false;
        loop {
            ticks.tick().await;
            seq += 1;
            let mut report = self.compose(sheet, seq).await;
            report.keep_sense();
            let isolated = report.reaches.is_empty()
                && self.view.now().members.len() > 1
                // Before the first look nobody knows.
                && !report.references.is_empty()
                && report.references.values().all(|answers| !answers);
            if isolated != std::mem::replace(&mut was_isolated, isolated) {
                if isolated {
                    tracing::error!(region = %self.view.me, "isolated: neither peers nor references answer; acting on nothing");
                } else {
                    tracing::info!(region = %self.view.me, "no longer isolated");
                }
            }
            // The board takes it like anybody's; a full inbox means the next one will do.
            let _ = self.inbox.try_send(report.clone());
            self.tell_peers(&report).await;
        }
    }

    async fn tell_peers(&self, report: &Report) {
        let members = self.view.now().members;
        let others = members.iter().filter(|peer| **peer != self.view.me);
        let told = others.map(|peer| async move {
            if let Err(error) = self.peers.share(peer, report).await {
                tracing::debug!(%peer, %error, "peer did not take the report");
            }
        });
        // A peer that hangs must not hold up the next report to the others.
        let all = futures_util::future::join_all(told);
        let _ = tokio::time::timeout(self.timing.report, all).await;
    }

    async fn compose(&self, sheet: &Sheet, seq: u64) -> Report {
        let now = self.clock.now();
        let leadership = self.agreement.leadership().borrow().clone();
        let state = self.state();
        let matrix = self.matrix.borrow().clone();
        let stale_ms = self.view.stale_after_ms;
        let is_fresh = |peer: &&Region| **peer != self.view.me && matrix.fresh(now, peer, stale_ms).is_some();
        Report {
            observer: self.view.me.clone(),
            build: self.build.clone(),
            settings: Some(self.settings.clone()),
            seq,
            sent_at: now,
            applied: state.applied,
            history_confirmed: self.history_confirmed(&state).await,
            reaches: self.view.over(&state).members.iter().filter(is_fresh).cloned().collect(),
            references: sheet.references(),
            signals: sheet.signals(now),
            stores: sheet.stores(now),
            route53: sheet.route53(now),
            control_planes: sheet.control_planes(),
            votes: votes(&state, &leadership, &self.spoken.borrow()),
            checks: sheet.checks(now, seq),
            rehearsals: sheet.rehearsals(now),
            through: sheet.through(now),
        }
    }

    /// In events behind, translated to "which index": the newest index whose events the database holds.
    async fn history_confirmed(&self, state: &FleetState) -> Option<LogIndex> {
        let history = self.history.as_ref()?;
        let head = tokio::time::timeout(self.timing.report / 2, history.head()).await.ok()?.ok()?;
        if head.seq >= state.head.seq {
            // One that has gone on from another past holds nothing of this one.
            let ours = match head.seq == state.head.seq {
                true => head.hash == state.head.hash,
                false => tokio::time::timeout(self.timing.report / 2, holds(history.as_ref(), &state.head))
                    .await
                    .ok()?
                    .ok()?,
            };
            return ours.then_some(state.applied);
        }
        let newest = tokio::time::timeout(self.timing.report / 2, history.range(head.seq, 1)).await.ok()?.ok()?;
        // An entry may have made several events, of which the newest stored one need not be the last.
        newest.first().map(|event| LogIndex(event.index.0.saturating_sub(1)))
    }
}

/// What this daemon tells Route 53: over HTTP what it answers; through CloudWatch what it has published lately, as that
/// may fail.
fn votes(state: &FleetState, leadership: &Leadership, spoken: &Spoken) -> Vec<(SwitchGroup, Region, Vote)> {
    let through: BTreeSet<&SwitchGroup> = voices(state).into_iter().map(|voice| voice.group).collect();
    let mut votes = Vec::new();
    for (group, switch) in &state.switches {
        for (region, bit) in &switch.bits {
            let said = match through.contains(group) {
                _ if !state.is_confirmed(group) => None,
                true => spoken.get(&(group.clone(), region.clone())).copied(),
                false => leadership.caught_up.then_some(bit.on),
            };
            let vote = match said {
                None => Vote::Silent,
                Some(true) => Vote::On,
                Some(false) => Vote::Off,
            };
            votes.push((group.clone(), region.clone(), vote));
        }
    }
    votes
}

#[cfg(test)]
mod tests;
