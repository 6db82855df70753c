//! I9 and more: what the simulated zone answers, sampled, against what the fleet has agreed.
//!
//! While the conditions of I9 hold for longer than a checker remembers, the answer must be that of the Region that
//! serves by the newest entry; and it may change to no other.

use std::collections::BTreeSet;

use failoverd_domain::fleet::{FleetState, ServiceState};
use failoverd_domain::ids::{LogIndex, Region, ServiceName, SwitchGroup};
use failoverd_domain::invariant::{AnswerWatch, answer_follows_entries};
use failoverd_domain::route53::RecordType;
use failoverd_domain::service::SwitchTransport;
use failoverd_domain::traffic::switch_alarm;

use super::checkers::Doors;
use super::judge::Judge;
use crate::sim::world::{Resolution, Series, SimulatedAws};

/// Longer than a checker takes to notice that a daemon's voice has changed: an interval, its patience, and a look.
pub(super) const CHECKERS_MEMORY_MS: u64 = 5_000;

/// Samples the answer.
pub(super) struct AnswerExam {
    watch: AnswerWatch,
    /// Since when, and for which turn of the switch, the conditions have held.
    held: Option<(u64, LogIndex)>,
    /// Daemons that could be heard at the last sample.
    heard: BTreeSet<Region>,
}

impl AnswerExam {
    pub(super) fn new() -> Self {
        Self { watch: AnswerWatch::default(), held: None, heard: BTreeSet::new() }
    }

    pub(super) fn sample(&mut self, service: &ServiceName, judge: &Judge, aws: &SimulatedAws, doors: &Doors) {
        let newest = judge.newest();
        let now = judge.elapsed_ms();
        let condition = newest.services.get(service).and_then(|state| condition(&newest, state, aws, doors));
        let heard: BTreeSet<Region> =
            doors.all().keys().filter(|region| aws.is_reachable_from_outside(region)).cloned().collect();
        // Who is heard again may have said what it last knew between two samples, and checkers remember that.
        if !heard.is_subset(&self.heard) {
            self.held = None;
        }
        self.heard = heard;
        let held = match (condition, self.held) {
            (Some(index), Some((since, of))) if index == of => Some((since, of)),
            (Some(index), _) => Some((now, index)),
            (None, _) => None,
        };
        self.held = held;
        let lasts = held.is_some_and(|(since, _)| now - since >= CHECKERS_MEMORY_MS);
        let Some(state) = newest.services.get(service).filter(|_| lasts) else {
            self.watch = AnswerWatch::default();
            return;
        };
        let Some(answer) = answer(aws, state) else {
            judge.blame(format!("I9 does not hold: {service} has no answer at all"));
            return;
        };
        judge.count(2);
        if let Some(violation) = answer_follows_entries(&mut self.watch, &newest, service, &answer) {
            judge.blame(violation.to_string());
        }
        if answer != state.primary {
            judge.blame(format!("I9 does not hold: {answer} is answered, {} serves", state.primary));
            // Once is enough.
            self.held = None;
        }
    }
}

/// The entry that last turned the switch, if the answer must follow it now.
fn condition(newest: &FleetState, state: &ServiceState, aws: &SimulatedAws, doors: &Doors) -> Option<LogIndex> {
    // Before the first settlement there are no records.
    state.settlement.settled?;
    // A pair's one bit is its first Region's.
    rests_on(newest, state, state.spec.regions.first()?, aws, doors)
}

/// The entry that last turned a Region's bit, if what daemons say of it must be by that entry now.
pub(super) fn rests_on(
    newest: &FleetState,
    state: &ServiceState,
    of: &Region,
    aws: &SimulatedAws,
    doors: &Doors,
) -> Option<LogIndex> {
    let group = state.spec.switch_group();
    let bit = newest.switches.get(&group)?.bits.get(of)?;
    let turned = bit.index;
    if state.spec.traffic.switch == SwitchTransport::Cloudwatch {
        // Every daemon has said something, and Route 53 keeps it whether the daemon lives or not.
        let said = |daemon: &Region| last_word(aws, newest, &group, of, daemon) == Some(bit.on);
        let newest_words = newest.members.keys().filter(|daemon| said(daemon)).count();
        return (newest_words * 2 > newest.members.len()).then_some(turned);
    }
    let (mut newer, mut older) = (0, 0);
    for (region, door) in doors.all().iter() {
        let bit = door.bit(&group, of).filter(|_| aws.is_reachable_from_outside(region));
        match bit.map(|bit| bit.index) {
            Some(index) if index == turned => newer += 1,
            Some(_) => older += 1,
            None => {}
        }
    }
    let holds = if state.is_settled() { newer >= older } else { newer > older };
    holds.then_some(turned)
}

/// What a daemon published last of a bit.
fn last_word(
    aws: &SimulatedAws,
    state: &FleetState,
    group: &SwitchGroup,
    bit: &Region,
    daemon: &Region,
) -> Option<bool> {
    let rule = switch_alarm(&state.fleet, group, bit, daemon).rule;
    let series = Series::new(&rule.namespace, &rule.metric, rule.dimensions);
    let found = aws.with(|world| world.published(daemon).find(|(held, _)| **held == series).map(|(_, value)| value));
    found.map(|value| value > 0.5)
}

/// The Region whose values the zone answers for the service's first public name.
pub(super) fn answer(aws: &SimulatedAws, state: &ServiceState) -> Option<Region> {
    let record = state.spec.traffic.records.first()?;
    let Resolution::Found(_, answer) = aws.with(|world| world.resolve(&record.name, RecordType::A, None)) else {
        return None;
    };
    record.targets.iter().find_map(|(region, target)| match &target.endpoint {
        failoverd_domain::service::Endpoint::Values(values) if *values == answer.values => Some(region.clone()),
        _ => None,
    })
}
