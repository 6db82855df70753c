//! Where the time of the demo's move goes, from outside as well as from inside: what Route 53's checkers and name servers
//! do is seen in the simulated AWS and over DNS, what the fleet does in its events and its states.

use failoverd_domain::fleet::{Cutter, EventKind, FleetState, HistoryEvent, Part};
use failoverd_domain::health::{Matrix, Status, View, diagnose};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::plan::{Plan, StepKind};
use failoverd_domain::route53::{CheckKind, EndpointCheck};
use failoverd_domain::service::ServiceSpec;
use failoverd_domain::time::Timestamp;

use crate::sim::world::SimulatedAws;

/// How exactly an instant is known: looks follow each other this closely, and clocks tell milliseconds.
pub(super) const RESOLUTION_MS: u64 = 60;

/// Instants of one move, as they are seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Stopwatch {
    /// The first failed probe of any daemon.
    failed: Option<Timestamp>,
    /// A majority has seen it for long enough.
    broken: Option<Timestamp>,
    /// Route 53's own checkers see it too.
    outside: Option<Timestamp>,
    decided: Option<Timestamp>,
    started: Option<Timestamp>,
    asked: Option<Timestamp>,
    /// A daemon has applied the entry that turns the switch.
    committed: Option<Timestamp>,
    /// The checks over that switch have turned.
    turned: Option<Timestamp>,
    answered: Option<Timestamp>,
}

/// What a daemon knows at one moment.
pub(super) struct Sight<'a> {
    pub(super) now: Timestamp,
    pub(super) state: &'a FleetState,
    pub(super) matrix: &'a Matrix,
    pub(super) view: &'a View,
}

fn first(slot: &mut Option<Timestamp>, at: Timestamp, so: bool) {
    if so && slot.is_none() {
        *slot = Some(at);
    }
}

impl Stopwatch {
    /// A look at the fleet and at Route 53; `from` is the Region that vanished.
    pub(super) fn look(&mut self, sight: &Sight<'_>, aws: &SimulatedAws, service: &ServiceName, from: &Region) {
        let Some(spec) = sight.state.services.get(service).map(|service| &service.spec) else { return };
        if self.failed.is_none() {
            self.failed = first_failure(sight.matrix, service, from);
        }
        let broken = || diagnose(sight.now, sight.view, spec, from, sight.matrix).diagnosis.is_breach();
        if self.broken.is_none() {
            first(&mut self.broken, sight.now, broken());
        }
        let group = spec.switch_group();
        let bit = sight.state.switches.get(&group).and_then(|switch| switch.bits.get(from));
        first(&mut self.committed, sight.now, bit.is_some_and(|bit| !bit.on));
        let (outside, vote) = (Watched::of_endpoint(aws, service, from), Watched::of_vote(aws, group.as_str(), from));
        first(&mut self.outside, sight.now, outside.is_some_and(|check| !check.healthy));
        first(&mut self.turned, sight.now, vote.is_some_and(|check| !check.healthy));
    }

    /// A name server has given the new answer.
    pub(super) fn answer_moved(&mut self, at: Timestamp) {
        first(&mut self.answered, at, true);
    }

    /// What the fleet put on record.
    pub(super) fn hear(&mut self, event: &HistoryEvent) {
        let of_flip = || event.data["step"].as_str().is_some_and(|step| step.starts_with("flip-switch/"));
        match event.kind {
            EventKind::Decided => first(&mut self.decided, event.at, true),
            EventKind::Started => first(&mut self.started, event.at, true),
            EventKind::StepIntent => first(&mut self.asked, event.at, of_flip()),
            _ => {}
        }
    }

    /// The parts, first failed probe to moved answer; `None` while an instant is missing.
    pub(super) fn parts(&self, spec: &ServiceSpec, plan: &Plan, aws: &SimulatedAws) -> Option<Vec<Part>> {
        let mut cutter = Cutter::new(self.failed?);
        // One look takes a moment: what it sees first may have come after what it sees last.
        let turned = self.turned?.min(self.answered?);
        let committed = self.committed?.min(turned);
        let policy = &spec.policy;
        let outside = self.broken?.max(self.outside?).min(self.decided?);
        let breach_ms = spec.health.breach_after_ms;
        cutter.cut("detect: quorum", self.broken?, breach_ms, "bad for breach_after, by a majority");
        cutter.cut("detect: Route 53", outside, 0, "its checkers ask at the same time");
        cutter.cut("detect: decision", self.decided?, 0, "every guard's yes: reports come once a second");
        cutter.cut("decide", self.started?, policy.announce_ms, "announce");
        let promotes = plan.steps.iter().any(|step| matches!(step.kind, StepKind::Promote { .. }));
        let promotion_ms = if promotes { aws.with(|world| world.timing.failover_ms) } else { 0 };
        cutter.cut("data", self.asked?, promotion_ms, "FailoverGlobalCluster in this AWS");
        cutter.cut("commit", committed, 0, "a majority's round trip");
        let (polls_ms, words) = switch_polls(aws, spec.switch_group().as_str())?;
        cutter.cut("checkers", turned, polls_ms, words);
        cutter.cut("answer", self.answered?, 0, "name servers follow their checkers at once");
        Some(cutter.parts())
    }

    /// Whether the parts are the whole and none is shorter than it can be; and the whole, milliseconds.
    pub(super) fn adds_up(&self, parts: &[Part]) -> (bool, u64) {
        let whole = self.failed.zip(self.answered).map_or(0, |(from, to)| to.since(from));
        let sum: u64 = parts.iter().map(|part| part.ms).sum();
        (sum == whole && parts.iter().all(|part| part.ms + RESOLUTION_MS >= part.floor_ms), whole)
    }
}

/// When any daemon's probes of the service in that Region began to fail.
fn first_failure(matrix: &Matrix, service: &ServiceName, from: &Region) -> Option<Timestamp> {
    let failing = matrix.reports().flat_map(|(_, received)| {
        let readings = received.signals(service, from).iter().filter(|reading| reading.status == Status::Bad);
        readings.map(|reading| received.at.minus_ms(reading.held_ms))
    });
    failing.min()
}

/// A health check as Route 53 sees it.
struct Watched {
    healthy: bool,
}

impl Watched {
    fn find(aws: &SimulatedAws, is_it: impl Fn(&str) -> bool) -> Option<Self> {
        aws.with(|world| {
            let check = world.checks.iter().find(|check| is_it(&check.caller_reference))?.id.clone();
            Some(Self { healthy: world.check_is_healthy(&check) })
        })
    }

    /// The check on the service's own front door.
    fn of_endpoint(aws: &SimulatedAws, service: &ServiceName, region: &Region) -> Option<Self> {
        Self::find(aws, |reference| reference.contains(&format!("/hc/{service}/{region}/")))
    }

    /// The vote over all daemons' voices that gates the first Region's records.
    fn of_vote(aws: &SimulatedAws, group: &str, bit: &Region) -> Option<Self> {
        Self::find(aws, |reference| reference.ends_with(&format!("/sw/{group}/{bit}/p")))
    }
}

/// What the checkers of a switch's voices need at least, and how often they ask.
fn switch_polls(aws: &SimulatedAws, group: &str) -> Option<(u64, String)> {
    let part = format!("/sw/{group}/");
    let (endpoint, percent): (EndpointCheck, u64) = aws.with(|world| {
        let mut voices = world.checks.iter().filter(|check| check.caller_reference.contains(&part));
        let found = voices.find_map(|check| match &check.config.kind {
            CheckKind::Endpoint(endpoint) => Some(endpoint.clone()),
            _ => None,
        })?;
        Some((found, world.timing.checker_interval_percent))
    })?;
    let interval_ms = u64::from(endpoint.interval_s) * 10 * percent;
    let words = format!("each asks every {interval_ms} ms; {} answer decides", endpoint.failure_threshold);
    Some((interval_ms * u64::from(endpoint.failure_threshold.saturating_sub(1)), words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Stopwatch {
        let at = |ms: u64| Some(Timestamp(1_000_000 + ms));
        Stopwatch {
            failed: at(0),
            broken: at(5_100),
            outside: at(2_000),
            decided: at(5_200),
            started: at(7_300),
            asked: at(17_000),
            committed: at(17_040),
            turned: at(17_900),
            answered: at(17_920),
        }
    }

    fn measured(watch: &Stopwatch) -> (Vec<Part>, bool, u64) {
        let aws = crate::api::fake::simulated_aws();
        let endpoint = EndpointCheck {
            protocol: failoverd_domain::route53::Protocol::Http,
            host: "switch.example.net".to_owned(),
            port: 80,
            path: "/s/token".to_owned(),
            search: Some("switch=on".to_owned()),
            interval_s: 10,
            failure_threshold: 1,
        };
        let config = failoverd_domain::route53::HealthCheckConfig {
            kind: CheckKind::Endpoint(endpoint),
            inverted: false,
            disabled: false,
        };
        let reference = "failoverd/sandbox/sw/checkout/us-east-1/eu-west-1/on/http";
        aws.with(|world| world.create_check(reference, config)).unwrap();
        let mut spec = crate::api::fake::spec("checkout");
        spec.health.breach_after_ms = 5_000;
        spec.policy.announce_ms = 2_000;
        let run = crate::api::fake::run("checkout-1");
        let parts = watch.parts(&spec, &run.plan, &aws).unwrap();
        let (holds, whole) = watch.adds_up(&parts);
        (parts, holds, whole)
    }

    #[test]
    fn parts_follow_each_other_and_are_the_whole() {
        let (parts, _, whole) = measured(&watch());
        let brief: Vec<(&str, u64)> = parts.iter().map(|part| (part.name, part.ms)).collect();
        let expected = [
            ("detect: quorum", 5_100),
            ("detect: Route 53", 0),
            ("detect: decision", 100),
            ("decide", 2_100),
            ("data", 9_700),
            ("commit", 40),
            ("checkers", 860),
            ("answer", 20),
        ];
        assert_eq!((brief.as_slice(), whole), (expected.as_slice(), 17_920));
        assert!(parts[6].floor.contains("every 10000 ms"), "{parts:?}");
    }

    #[test]
    fn a_part_below_its_floor_is_told() {
        let too_soon = Stopwatch { broken: Some(Timestamp(1_004_000)), ..watch() };
        let (parts, holds, _) = measured(&too_soon);
        assert!(!holds && parts[0].floor_ms == 5_000, "{parts:?}");
        assert!(
            Stopwatch { turned: None, ..watch() }
                .parts(
                    &crate::api::fake::spec("checkout"),
                    &crate::api::fake::run("r").plan,
                    &crate::api::fake::simulated_aws()
                )
                .is_none()
        );
    }
}
