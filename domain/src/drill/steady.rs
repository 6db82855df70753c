//! The steady state of a drill: what must hold before anything is done, and hold again afterwards.

use super::Course;
use super::run::{DrillRun, SteadyCheck, When};
use super::spec::{DrillSpec, Guardrail};
use crate::fleet::{Actor, FailoverRequest, FleetState, ServiceState, Severity, Trigger, outlook};
use crate::health::{Diagnosis, Matrix, Status, View, diagnose};
use crate::ids::{DrillRunId, Region};
use crate::plan::{Mode, Movement};
use crate::time::Timestamp;

/// Why a drill stands still while automatic action is off: its moves are automatic, the way back too.
pub(super) const PAUSED: &str = "automatic action is paused: resume it, or move the service by hand";

/// What is seen, now.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The proposer's clock.
    pub now: Timestamp,
    /// What is agreed.
    pub state: &'a FleetState,
    /// What is read.
    pub matrix: &'a Matrix,
    /// By whom, and by which limits.
    pub view: &'a View,
}

impl Sight<'_> {
    /// What must hold before.
    #[must_use]
    pub fn before(&self, spec: &DrillSpec, course: &Course) -> Vec<SteadyCheck> {
        let Some(service) = self.state.services.get(&spec.service) else { return Vec::new() };
        let mut checks = Checks { when: When::Before, all: Vec::new() };
        self.settled(&mut checks, service);
        checks.add("home-healthy", self.healthy(service, &course.home));
        checks.add("away-healthy", self.healthy(service, &course.away));
        let paused = self.state.is_paused(&spec.service);
        checks.add("not-paused", if paused { Err(PAUSED.to_owned()) } else { Ok("automatic action is on".to_owned()) });
        self.guards(&mut checks, spec, course);
        self.guardrails(&mut checks, spec);
        checks.all
    }

    /// What must hold afterwards.
    #[must_use]
    pub fn after(&self, run: &DrillRun) -> Vec<SteadyCheck> {
        let Some(service) = self.state.services.get(&run.spec.service) else { return Vec::new() };
        let mut checks = Checks { when: When::After, all: Vec::new() };
        self.settled(&mut checks, service);
        let serves = self.state.serving(service).contains(&&run.home);
        checks.add(
            "home-serves",
            match serves {
                true => Ok(format!("{} serves", run.home)),
                false => Err(format!("{} does not serve", run.home)),
            },
        );
        checks.add("home-healthy", self.healthy(service, &run.home));
        checks.add("away-healthy", self.healthy(service, &run.away));
        self.guardrails(&mut checks, &run.spec);
        checks.all
    }

    fn settled(&self, checks: &mut Checks, service: &ServiceState) {
        let name = &service.spec.name;
        let says = match (self.state.open_run(name), &service.attention) {
            (Some(run), _) => Err(format!("run {} is {}", run.id, run.state.word())),
            (None, Some(why)) => Err(why.clone()),
            (None, None) if !self.state.are_settled(service) => {
                Err("records and health checks do not match yet who serves".to_owned())
            }
            (None, None) if self.state.returning(service).is_some() => {
                Err("a Region is still coming back, in waves".to_owned())
            }
            (None, None) => Ok("records and health checks match who serves".to_owned()),
        };
        checks.add("settled", says);
    }

    fn healthy(&self, service: &ServiceState, region: &Region) -> Result<String, String> {
        let found = diagnose(self.now, self.view, &service.spec, region, self.matrix);
        let said = format!("{region} is {}: {}", found.diagnosis.word(), found.because);
        if found.diagnosis == Diagnosis::Healthy { Ok(said) } else { Err(said) }
    }

    /// Every guard that would block the graceful move itself.
    fn guards(&self, checks: &mut Checks, spec: &DrillSpec, course: &Course) {
        let request = request(&self.view.me, spec, course, Way::Out, None);
        match outlook(self.now, self.state, self.matrix, self.view, &request) {
            Err(rejection) => checks.add("plan", Err(rejection.reason)),
            Ok(seen) => {
                for verdict in seen.guards.into_iter().filter(|verdict| verdict.severity == Severity::Blocks) {
                    let says = if verdict.ok { Ok(verdict.reason) } else { Err(verdict.reason) };
                    checks.add(&verdict.guard.word(), says);
                }
            }
        }
    }

    fn guardrails(&self, checks: &mut Checks, spec: &DrillSpec) {
        for guardrail in &spec.guardrails {
            let says = match guardrail {
                Guardrail::MaxDuration { .. } => continue,
                Guardrail::Signal { signal, region, .. } => {
                    let (bad, _) = self.signal(spec, signal, region);
                    match bad < self.view.majority() {
                        true => Ok(format!("{signal} in {region} is not bad by quorum")),
                        false => Err(format!("{signal} in {region} is bad, say {bad} daemons")),
                    }
                }
                Guardrail::Alarm { name, region } => match self.alarm(spec, name, region) {
                    Some(Status::Good) => Ok(format!("alarm {name} in {region} is OK")),
                    Some(Status::Bad) => Err(format!("alarm {name} in {region} is in ALARM")),
                    _ => Err(format!("nobody can tell how alarm {name} in {region} stands")),
                },
            };
            checks.add("guardrail", says);
        }
    }

    /// How many daemons see a signal bad, and for how long the majority's weakest has, milliseconds.
    fn signal(&self, spec: &DrillSpec, signal: &crate::ids::SignalName, region: &Region) -> (usize, u64) {
        let mut held: Vec<u64> = self
            .view
            .members
            .iter()
            .filter_map(|observer| {
                self.matrix.counting(self.now, self.view, observer)?;
                let (received, reading) = self.matrix.signal(observer, &spec.service, region, signal)?;
                let age_ms = received.age_now_ms(self.now, 0);
                (reading.status == Status::Bad).then(|| reading.held_ms.saturating_add(age_ms))
            })
            .collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        let weakest = held.get(self.view.majority() - 1).copied().unwrap_or_default();
        (held.len(), weakest)
    }

    /// The worst fresh word on an alarm that was not "cannot tell".
    fn alarm(&self, spec: &DrillSpec, name: &str, region: &Region) -> Option<Status> {
        let signal = Guardrail::alarm_signal(name);
        let words = self.view.members.iter().filter_map(|observer| {
            self.matrix.counting(self.now, self.view, observer)?;
            let (received, reading) = self.matrix.signal(observer, &spec.service, region, &signal)?;
            let is_fresh = received.age_now_ms(self.now, reading.age_ms) <= self.view.stale_after_ms.max(90_000);
            (is_fresh && reading.status != Status::Unknown).then_some(reading.status)
        });
        words.max()
    }

    /// The guardrail that is hit, and what was seen.
    #[must_use]
    pub fn hit(&self, run: &DrillRun) -> Option<(String, String)> {
        run.spec.guardrails.iter().find_map(|guardrail| {
            let seen = match guardrail {
                Guardrail::MaxDuration { ms } => {
                    let lasted = self.now.since(run.began_at?);
                    (lasted > *ms).then(|| format!("it has lasted {} s", lasted / 1_000))
                }
                Guardrail::Signal { signal, region, unhealthy_for_ms } => {
                    let (bad, held_ms) = self.signal(&run.spec, signal, region);
                    let is_hit = bad >= self.view.majority() && held_ms >= *unhealthy_for_ms;
                    is_hit.then(|| format!("{bad} daemons see it bad, for {} s at least", held_ms / 1_000))
                }
                Guardrail::Alarm { name, region } => {
                    let is_hit = self.alarm(&run.spec, name, region) == Some(Status::Bad);
                    is_hit.then(|| "it is in ALARM".to_owned())
                }
            };
            seen.map(|seen| (guardrail.to_string(), seen))
        })
    }
}

struct Checks {
    when: When,
    all: Vec<SteadyCheck>,
}

impl Checks {
    fn add(&mut self, name: &str, says: Result<String, String>) {
        let (ok, reason) = match says {
            Ok(reason) => (true, reason),
            Err(reason) => (false, reason),
        };
        self.all.push(SteadyCheck { when: self.when, name: name.to_owned(), ok, reason });
    }
}

/// Out or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Away from home.
    Out,
    /// Home again.
    Back,
}

/// The move that a drill asks for.
#[must_use]
pub fn request(
    me: &Region,
    spec: &DrillSpec,
    course: &Course,
    way: Way,
    execution: Option<&DrillRunId>,
) -> FailoverRequest {
    let (movement, from, to) = match (way, course.movement) {
        (Way::Out, movement) => (movement, &course.home, &course.away),
        (Way::Back, Movement::Failover) => (Movement::Failover, &course.away, &course.home),
        (Way::Back, _) => (Movement::Restore, &course.away, &course.home),
    };
    let reason = match (way, execution) {
        (Way::Out, Some(id)) => format!("drill {id}: {}", spec.hypothesis),
        (Way::Back, Some(id)) => format!("drill {id} returns"),
        (_, None) => format!("drill {}", spec.name),
    };
    FailoverRequest {
        service: spec.service.clone(),
        movement,
        from: (movement != Movement::Restore).then(|| from.clone()),
        to: Some(to.clone()),
        mode: Some(Mode::Graceful),
        trigger: Trigger::Drill,
        actor: Actor::Daemon(me.clone()),
        reason: Some(reason),
        plan_hash: None,
        drill: execution.cloned(),
    }
}
