//! I3 against the truth: an automatic move leaves only a Region that the world outside could really not reach lately, when
//! it is decided and when it begins, and rests on no daemon that could reach nobody.
//!
//! The judge of entries can only see what guards said. This one knows what was broken.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{GuardVerdict, Run, Severity, Trigger};
use failoverd_domain::health::Status;
use failoverd_domain::ids::{LogIndex, Region, ServiceName};

use super::judge::Judge;
use crate::sim::bus::Bus;
use crate::sim::world::SimulatedAws;

/// Checkers, DNS, readings and the way to a decision take less.
const MEMORY_MS: u64 = 15_000;
/// Before it begins, only readings are asked again, and they are seconds old.
const BEGIN_MEMORY_MS: u64 = 10_000;
/// Whoever has reached nobody for so long must know it, and so must whoever hears from it.
const KNOWS_MS: u64 = 12_000;

/// Remembers when each Region was last unreachable from outside, and since when daemons have been deaf.
#[derive(Default)]
pub(super) struct ProofExam {
    last_bad_ms: BTreeMap<Region, u64>,
    deaf_since_ms: BTreeMap<Region, u64>,
    judged: LogIndex,
    begun: LogIndex,
}

impl ProofExam {
    pub(super) fn look(&mut self, service: &ServiceName, judge: &Judge, aws: &SimulatedAws, bus: &Bus) {
        let (state, now) = (judge.newest(), judge.elapsed_ms());
        let Some(of) = state.services.get(service) else { return };
        for region in of.spec.regions.iter().filter(|region| !aws.endpoint_up(region, service)) {
            self.last_bad_ms.insert(region.clone(), now);
        }
        for member in state.members.keys() {
            let others = || state.members.keys().filter(|other| *other != member);
            if !aws.is_reachable_from_outside(member) && others().all(|other| bus.is_cut(other, member)) {
                self.deaf_since_ms.entry(member.clone()).or_insert(now);
            } else {
                self.deaf_since_ms.remove(member);
            }
        }
        let own = || state.runs.values().filter(|run| &run.service == service && run.trigger == Trigger::Automatic);
        for run in own().filter(|run| run.decided_index > self.judged) {
            judge.count(2);
            self.was_bad(run, "leaves", MEMORY_MS, now, judge);
            self.rests_on_nobody_deaf(run, now, judge);
        }
        // One that a person approved begins when the person says so.
        let asks = |verdict: &GuardVerdict| !verdict.ok && verdict.severity == Severity::NeedsApproval;
        let alone = |run: &&Run| run.epoch.is_some() && !run.guards.iter().any(asks);
        let mut begun = self.begun;
        for run in own().filter(|run| run.decided_index > self.begun).filter(alone) {
            judge.count(1);
            self.was_bad(run, "begins to leave", BEGIN_MEMORY_MS, now, judge);
            begun = begun.max(run.decided_index);
        }
        self.begun = begun;
        self.judged = state.applied;
    }

    fn was_bad(&self, run: &Run, does: &str, memory_ms: u64, now: u64, judge: &Judge) {
        let from = &run.plan.from;
        if self.last_bad_ms.get(from).is_none_or(|bad| now - bad > memory_ms) {
            judge.blame(format!("I3 does not hold: run {} {does} {from}, which everybody reaches", run.id));
        }
    }

    fn rests_on_nobody_deaf(&self, run: &Run, now: u64, judge: &Judge) {
        let opinions = run.evidence.first().map(|finding| finding.opinions.as_slice()).unwrap_or_default();
        for opinion in opinions.iter().filter(|opinion| opinion.counts && opinion.status == Status::Bad) {
            let since = self.deaf_since_ms.get(&opinion.observer);
            if since.is_some_and(|since| now - since > KNOWS_MS) {
                judge.blame(format!(
                    "I3 does not hold: run {} rests on the word of {}, which has reached nobody for {} s",
                    run.id,
                    opinion.observer,
                    (now - since.copied().unwrap_or(now)) / 1_000
                ));
            }
        }
    }
}
