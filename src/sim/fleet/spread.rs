//! The service that both Regions serve at once: what a person types about it, what the zone may answer, and what must
//! come true again.
//!
//! Weighted answers differ from question to question, and geolocation's from place to place. So each answer is held to
//! this: a Region that is off by the newest entry is never answered, while what daemons say rests on that entry for
//! longer than checkers remember; and there is always an answer.

use std::collections::{BTreeMap, BTreeSet};

use failoverd_domain::fleet::{Command, FleetState, ServiceState};
use failoverd_domain::ids::{LogIndex, Region, ServiceName};
use failoverd_domain::plan::{Mode, Movement};
use failoverd_domain::route53::{Place, RecordType};
use failoverd_domain::service::Endpoint;

use super::answers::{CHECKERS_MEMORY_MS, rests_on};
use super::checkers::Doors;
use super::faults::below;
use super::ground::Ground;
use super::judge::Judge;
use super::person::remedy;
use super::whole::{EU_WEST, SPREAD, SimulatedFleet, US_EAST, region};
use crate::sim::world::{Draws, Resolution, SimulatedAws};

/// Samples the answers.
#[derive(Default)]
pub(super) struct SpreadExam {
    /// By Region that is off: since when what daemons say of it has rested on which entry.
    held: BTreeMap<Region, (u64, LogIndex)>,
    /// Daemons that could be heard at the last sample.
    heard: BTreeSet<Region>,
}

impl SpreadExam {
    pub(super) fn sample(&mut self, judge: &Judge, aws: &SimulatedAws, doors: &Doors) {
        let (newest, now) = (judge.newest(), judge.elapsed_ms());
        let Some(service) = newest.services.get(&ServiceName::from(SPREAD)) else { return };
        // Before the first settlement there are no records.
        if service.settlement.settled.is_none() {
            return;
        }
        let heard: BTreeSet<Region> =
            doors.all().keys().filter(|region| aws.is_reachable_from_outside(region)).cloned().collect();
        // Who is heard again may have said what it last knew between two samples, and checkers remember that.
        if !heard.is_subset(&self.heard) {
            self.held.clear();
        }
        self.heard = heard;
        for of in &service.spec.regions {
            let is_off = !newest.serving(service).contains(&of);
            match rests_on(&newest, service, of, aws, doors).filter(|_| is_off) {
                Some(index) if self.held.get(of).is_some_and(|(_, held)| *held == index) => {}
                Some(index) => {
                    self.held.insert(of.clone(), (now, index));
                }
                None => {
                    self.held.remove(of);
                }
            }
        }
        let lasts = |(since, _): &(u64, LogIndex)| now - since >= CHECKERS_MEMORY_MS;
        let off: Vec<Region> =
            self.held.iter().filter(|(_, held)| lasts(held)).map(|(region, _)| region.clone()).collect();
        judge.count(1);
        for (place, answer) in answers(aws, service) {
            match answer {
                None => judge.blame(format!("I9 does not hold: {SPREAD} has no answer for {place}")),
                Some(answer) if off.contains(&answer) => {
                    judge.blame(format!("I9 does not hold: {place} is answered {answer} for {SPREAD}, which is off"));
                    // Once is enough.
                    self.held.clear();
                }
                Some(_) => {}
            }
        }
    }
}

/// What the zone answers in each place: the Region whose values it gives.
fn answers(aws: &SimulatedAws, service: &ServiceState) -> Vec<(&'static str, Option<Region>)> {
    let Some(record) = service.spec.traffic.records.first() else { return Vec::new() };
    let asked = |continent: &str| {
        let place = Place { continent: Some(continent.to_owned()), ..Place::default() };
        let Resolution::Found(_, answer) = aws.with(|world| world.resolve(&record.name, RecordType::A, Some(place)))
        else {
            return None;
        };
        record.targets.iter().find_map(|(region, target)| match &target.endpoint {
            Endpoint::Values(values) if *values == answer.values => Some(region.clone()),
            _ => None,
        })
    };
    ["NA", "EU", "AS"].into_iter().map(|continent| (continent, asked(continent))).collect()
}

impl<G: Ground> SimulatedFleet<G> {
    /// The service as agreed, in the fleets that have it.
    #[must_use]
    pub fn spread(&self) -> Option<(std::sync::Arc<FleetState>, ServiceState)> {
        let state = self.state();
        let service = state.services.get(&ServiceName::from(SPREAD)).cloned()?;
        Some((state, service))
    }

    /// Where its database is written, where it has one.
    fn spread_writer(&self) -> Option<Region> {
        self.writer_of("search-global")
    }

    /// Anything a person could type about it.
    pub(super) fn type_of_spread(&self, at: &Region, draws: &mut Draws) {
        let name = ServiceName::from(SPREAD);
        let of = region([US_EAST, EU_WEST][below(draws, 2)]);
        let mode = [None, None, Some(Mode::Graceful), Some(Mode::Forced)][below(draws, 4)];
        let open = self.state_at(at).and_then(|state| state.open_run(&name).cloned());
        let command = match (below(draws, 12), &open) {
            (0..=2, _) => self.decision(at, SPREAD, Movement::Evacuate, &of, mode).ok(),
            (3..=5, _) => self.decision(at, SPREAD, Movement::Restore, &of, mode).ok(),
            (6, Some(run)) => Some(Command::Abort { run: run.id.clone(), reason: "changed my mind".to_owned() }),
            (7..=8, Some(run)) => remedy(run, draws),
            (9, _) => Some(Command::Pause { service: Some(name) }),
            (10, _) => Some(Command::Resume { service: Some(name) }),
            (11, _) => Some(turn(&of, below(draws, 2) == 0)),
            _ => None,
        };
        if let Some(command) = command {
            self.type_at(at, command);
        }
    }

    /// Answers what the fleet asks of it, and brings back what was left.
    pub(super) fn tidy_spread(&self, at: &Region, draws: &mut Draws) {
        let Some((state, service)) = self.spread() else { return };
        if service.paused {
            self.type_at(at, Command::Resume { service: Some(SPREAD.into()) });
        }
        if let Some(run) = state.open_run(&service.spec.name) {
            if let Some(command) = remedy(run, draws) {
                self.type_at(at, command);
            }
            return;
        }
        let serving = state.serving(&service);
        // A move that was stopped half-way is made once more: it looks first, and finds what is done already.
        let astray = self.spread_writer().is_some_and(|writer| writer != service.primary);
        if astray && serving.len() == service.spec.regions.len() {
            match self.decision(at, SPREAD, Movement::Evacuate, &service.primary, None) {
                Ok(again) => self.type_at(at, again),
                Err(refused) => self.judge.tell(format!("a person reads: {refused}")),
            }
            return;
        }
        let off = service.spec.regions.iter().find(|region| !serving.contains(region));
        let command = match off {
            // What a stopped run left is finished by hand: nothing else is accepted before that.
            Some(off) if service.primary != service.chosen => Some(turn(off, true)),
            Some(off) => self.decision(at, SPREAD, Movement::Restore, off, None).ok(),
            // Whatever was left half-way is finished by hand.
            None => service.attention.as_ref().map(|_| turn(&service.primary, true)),
        };
        if let Some(command) = command {
            self.type_at(at, command);
        }
    }

    /// What is not yet as it should be of it.
    #[must_use]
    pub fn spread_unrest(&self) -> Option<String> {
        self.shop.spread.as_ref()?;
        let Some((state, service)) = self.spread() else { return Some(format!("{SPREAD} is not applied")) };
        let (phase, serving) = (state.phase(&service), state.serving(&service));
        if phase != failoverd_domain::fleet::ServicePhase::Steady {
            return Some(format!("{SPREAD} is {}", phase.word()));
        }
        if serving.len() != service.spec.regions.len() {
            return Some(format!("{SPREAD} serves from {serving:?} only"));
        }
        if let Some(writer) = self.spread_writer().filter(|writer| *writer != service.primary) {
            return Some(format!("{writer} writes for {SPREAD}, {} should", service.primary));
        }
        let lost = answers(&self.aws, &service).into_iter().find(|(_, answer)| answer.is_none());
        lost.map(|(place, _)| format!("{SPREAD} has no answer for {place}"))
    }
}

/// `failoverctl switch set search REGION on|off`.
fn turn(of: &Region, on: bool) -> Command {
    Command::SetSwitch { group: SPREAD.into(), region: of.clone(), on, run: None }
}
