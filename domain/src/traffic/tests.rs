//! Desired and settled, against a small model of a zone that refuses what Route 53 refuses.

mod cloudwatch;
mod coming_back;
mod packing;
mod previewing;
mod resizing;
mod settling;
mod stale_writers;

use std::collections::BTreeMap;

use super::*;
use crate::fleet::{Bit, Switch};
use crate::health::Vote;
use crate::ids::{Epoch, FleetId, Generation, HealthCheckId, LogIndex, Region};
use crate::route53::{
    AliasTarget, Change, CheckKind, HealthCheck, HealthCheckConfig, Location, Policy, Protocol, RecordSet, RecordType,
    calculated_is_healthy,
};
use crate::service::{Endpoint, Pattern, ProbeSpec, PublicRecord, Routing, ServiceSpec, SwitchTransport, Target};
use crate::time::Timestamp;

const FLEET: [&str; 5] = ["us-east-1", "eu-west-1", "us-west-2", "ap-south-1", "sa-east-1"];
const ZONE: &str = "example.com";
const API: &str = "api.example.com";

pub(super) fn spec() -> ServiceSpec {
    let mut spec = crate::health::tests::spec("shop");
    let alias = AliasTarget {
        dns_name: "lb.amazonaws.com".into(),
        hosted_zone: "Z35SXDOTRQ7X7K".into(),
        evaluate_target_health: false,
    };
    let target = |endpoint| Target { endpoint, geo: vec![], weight: None };
    spec.traffic.records = vec![PublicRecord {
        name: API.into(),
        record_type: RecordType::A,
        routing: Routing::Failover,
        ttl_s: None,
        targets: BTreeMap::from([
            ("us-east-1".into(), target(Endpoint::Alias(alias))),
            ("eu-west-1".into(), target(Endpoint::Values(vec!["192.0.2.20".into(), "192.0.2.21".into()]))),
        ]),
    }];
    spec
}

fn bit(on: bool, token: &str) -> Bit {
    Bit { on, since: Timestamp(0), index: LogIndex(1), token: token.into(), share: 100 }
}

fn pair_switch(on: bool) -> Switch {
    Switch {
        pattern: Pattern::ActivePassive,
        regions: vec!["us-east-1".into(), "eu-west-1".into()],
        bits: BTreeMap::from([("us-east-1".into(), bit(on, "t0ken"))]),
    }
}

/// A service and the fleet around it; everything a test varies.
#[derive(Clone)]
struct Scene {
    fleet: FleetId,
    spec: ServiceSpec,
    primary: Region,
    switch: Switch,
    members: BTreeMap<Region, Option<SwitchEndpoint>>,
}

impl Scene {
    fn new(daemons: usize, on: bool) -> Self {
        let members = FLEET.iter().take(daemons).map(|region| {
            let host = format!("switch.{region}.example.net");
            (Region::from(*region), Some(SwitchEndpoint { host, port: 443, https: true }))
        });
        Self {
            fleet: "prod".into(),
            spec: spec(),
            primary: if on { "us-east-1" } else { "eu-west-1" }.into(),
            switch: pair_switch(on),
            members: members.collect(),
        }
    }

    fn try_desired(&self) -> Result<Desired, DesireProblem> {
        desired(&Inputs {
            fleet: &self.fleet,
            spec: &self.spec,
            spec_index: LogIndex(0),
            primary: &self.primary,
            switch: &self.switch,
            members: &self.members,
            record_ttl_s: 30,
        })
    }

    fn desired(&self) -> Desired {
        self.try_desired().unwrap()
    }
}

fn mark(generation: u64, index: u64) -> FenceMark {
    FenceMark { fleet: "prod".into(), generation: Generation(generation), epoch: Epoch(1), index: LogIndex(index) }
}

/// A hosted zone and an account's health checks.
#[derive(Clone, Default)]
struct Model {
    checks: Vec<HealthCheck>,
    records: Vec<RecordSet>,
}

impl Model {
    /// As Route 53: all or nothing, a DELETE must match exactly, a CREATE must not exist.
    fn change(&mut self, changes: &[Change]) -> Result<(), String> {
        let mut records = self.records.clone();
        for change in changes {
            match change {
                Change::Delete(gone) => {
                    let at = records.iter().position(|held| held == gone).ok_or(format!("not found: {}", gone.name))?;
                    records.remove(at);
                }
                Change::Create(new) => {
                    let key =
                        |record: &RecordSet| (record.name.clone(), record.record_type, record.set_identifier.clone());
                    if records.iter().any(|held| key(held) == key(new)) {
                        return Err(format!("exists: {}", new.name));
                    }
                    records.push(new.clone());
                }
            }
        }
        self.records = records;
        Ok(())
    }

    fn act(&mut self, action: &SettleAction) {
        match action {
            SettleAction::CreateCheck { reference, config } => {
                assert!(self.checks.iter().all(|check| &check.caller_reference != reference), "{reference} twice");
                let id = HealthCheckId::new(format!("check-{}", self.checks.len()));
                self.checks.push(HealthCheck {
                    id,
                    version: 1,
                    caller_reference: reference.clone(),
                    config: config.clone(),
                    copied: None,
                });
            }
            SettleAction::UpdateCheck { check, config } => {
                let held = self.checks.iter_mut().find(|held| held.id == check.id).unwrap();
                assert_eq!(held.version, check.version);
                held.version += 1;
                held.config = config.clone();
            }
            SettleAction::DeleteCheck { check } => {
                let counted = |other: &HealthCheck| match &other.config.kind {
                    CheckKind::Calculated { children, .. } => children.contains(&check.id),
                    _ => false,
                };
                assert!(!self.checks.iter().any(counted), "{} is still counted", check.caller_reference);
                self.checks.retain(|held| held.id != check.id);
            }
            SettleAction::ChangeRecords { changes } => self.change(changes).unwrap(),
            stop => panic!("stopped: {stop:?}"),
        }
    }

    fn next(&self, desired: &Desired, mark: &FenceMark) -> Vec<SettleAction> {
        settle(desired, mark, &self.checks, &self.records)
    }

    /// Does one action at a time and reads again, as a settler that is interrupted after each.
    fn settle(&mut self, desired: &Desired, mark: &FenceMark) -> usize {
        for steps in 0..100 {
            match self.next(desired, mark).first() {
                None => return steps,
                Some(action) => self.act(action),
            }
        }
        panic!("settlement does not end");
    }

    fn check(&self, id: &HealthCheckId) -> &HealthCheck {
        self.checks.iter().find(|check| &check.id == id).unwrap()
    }

    /// Health of a check as Route 53 derives it, from what each daemon answers.
    fn healthy(&self, id: &HealthCheckId, votes: &BTreeMap<String, Vote>) -> bool {
        let check = self.check(id);
        let healthy = match &check.config.kind {
            CheckKind::Endpoint(endpoint) => {
                let body = match votes[&endpoint.host] {
                    Vote::On => "switch=on",
                    Vote::Off => "switch=off",
                    Vote::Silent => "",
                };
                body == endpoint.search.as_deref().unwrap()
            }
            CheckKind::Calculated { children, threshold } => {
                let healthy = children.iter().filter(|child| self.healthy(child, votes)).count();
                calculated_is_healthy(u32::try_from(healthy).unwrap(), *threshold)
            }
            // A daemon's last word: there is no silence.
            CheckKind::Alarm { region, .. } => {
                let word = votes[&format!("switch.{region}.example.net")];
                assert_ne!(word, Vote::Silent);
                word == Vote::On
            }
            CheckKind::Other(_) => unreachable!(),
        };
        healthy != check.config.inverted
    }

    /// The Region whose internal record the public failover pair leads to.
    fn answers(&self, votes: &BTreeMap<String, Vote>) -> String {
        let public: Vec<&RecordSet> = self.records.iter().filter(|record| record.name == API).collect();
        let healthy = |record: &RecordSet| {
            let target = &record.alias.as_ref().unwrap().dns_name;
            let internal = self.records.iter().find(|record| &record.name == target).unwrap();
            self.healthy(internal.health_check.as_ref().unwrap(), votes)
        };
        let role =
            |wanted| *public.iter().find(|record| record.policy == Policy::Failover { primary: wanted }).unwrap();
        // Primary if healthy, else secondary if healthy, else primary.
        let chosen = if healthy(role(true)) || !healthy(role(false)) { role(true) } else { role(false) };
        chosen.set_identifier.clone().unwrap()
    }
}

fn settled(scene: &Scene, index: u64) -> Model {
    let mut model = Model::default();
    model.settle(&scene.desired(), &mark(1, index));
    model
}

fn ballots(scene: &Scene) -> Vec<BTreeMap<String, Vote>> {
    let mut all: Vec<BTreeMap<String, Vote>> = vec![BTreeMap::new()];
    for endpoint in scene.members.values().flatten() {
        let with = |votes: &BTreeMap<String, Vote>, vote| {
            let mut votes = votes.clone();
            votes.insert(endpoint.host.clone(), vote);
            votes
        };
        all = all.iter().flat_map(|votes| [Vote::On, Vote::Off, Vote::Silent].map(|vote| with(votes, vote))).collect();
    }
    all
}

/// DESIGN's table, through the checks and records that are really made, for both settled states and one to five daemons.
#[test]
fn the_records_answer_as_the_table_says() {
    for daemons in 1..=5 {
        for settled_on in [true, false] {
            let scene = Scene::new(daemons, settled_on);
            let model = settled(&scene, 10);
            for votes in ballots(&scene) {
                let count = |wanted| votes.values().filter(|vote| **vote == wanted).count();
                let (on, off) = (count(Vote::On), count(Vote::Off));
                let first = on > off || on == off && settled_on;
                let expected = if first { "us-east-1" } else { "eu-west-1" };
                assert_eq!(model.answers(&votes), expected, "settled on={settled_on}, {votes:?}");
            }
        }
    }
}

/// From one settled state to the other, stopped after every single action: with all daemons agreeing, or some silent
/// and none against, no step of settlement moves the answer.
#[test]
fn settlement_never_moves_the_answer_while_a_daemon_speaks() {
    let mut model = settled(&Scene::new(3, true), 10);
    let scene = Scene::new(3, false);
    let desired = scene.desired();
    let silent: BTreeMap<_, _> = scene.members.values().flatten().map(|at| (at.host.clone(), Vote::Silent)).collect();
    let mut without_anybody = Vec::new();
    loop {
        without_anybody.push(model.answers(&silent));
        for votes in ballots(&scene) {
            let off = votes.values().filter(|vote| **vote == Vote::Off).count();
            if off > 0 && !votes.values().any(|vote| *vote == Vote::On) {
                assert_eq!(model.answers(&votes), "eu-west-1", "{votes:?}");
            }
        }
        match model.next(&desired, &mark(1, 20)).first() {
            Some(action) => model.act(action),
            None => break,
        }
    }
    assert_eq!(model.answers(&silent), "eu-west-1", "settled: losing everything changes nothing");
    without_anybody.dedup();
    assert_eq!(
        without_anybody,
        ["us-east-1", "eu-west-1"],
        "silence means the old Region, and from one write on the new"
    );
}

#[test]
fn after_settlement_nothing_is_left_to_do() {
    let scene = Scene::new(3, true);
    let mut model = Model::default();
    assert!(model.settle(&scene.desired(), &mark(1, 10)) > 0);
    assert_eq!(model.next(&scene.desired(), &mark(1, 10)), []);
    assert_eq!(model.next(&scene.desired(), &mark(1, 99)), [], "a later intent alone is no reason to write");
    // 6 children, P, S, and one outside view for each Region.
    assert_eq!(model.checks.len(), 10);
    // 2 public, 2 internal, 2 pairs of canaries, the fence.
    assert_eq!(model.records.len(), 9);
}

#[test]
fn records_wait_for_their_checks_and_children_come_first() {
    let scene = Scene::new(2, true);
    let mut model = Model::default();
    let first = model.next(&scene.desired(), &mark(1, 10));
    let endpoint = |action: &SettleAction| matches!(action, SettleAction::CreateCheck { config, .. } if matches!(config.kind, CheckKind::Endpoint(_)));
    assert_eq!(first.len(), 6);
    assert!(first.iter().all(endpoint), "{first:?}");
    first.iter().for_each(|action| model.act(action));
    let second = model.next(&scene.desired(), &mark(1, 10));
    assert!(
        matches!(&second[..], [SettleAction::CreateCheck { reference: p, .. }, SettleAction::CreateCheck { reference: s, .. }]
            if p.ends_with("/p") && s.ends_with("/s")),
        "{second:?}"
    );
}

/// Route 53 refuses a calculated check that counts another.
#[test]
fn no_calculated_check_counts_a_calculated_one() {
    let model = settled(&Scene::new(3, false), 10);
    for check in &model.checks {
        let CheckKind::Calculated { children, .. } = &check.config.kind else { continue };
        let nested = |child: &&HealthCheckId| matches!(model.check(child).config.kind, CheckKind::Calculated { .. });
        assert_eq!(children.iter().find(nested), None, "{}", check.caller_reference);
    }
}

#[test]
fn the_two_levels_are_as_designed() {
    let model = settled(&Scene::new(3, false), 10);
    let find = |name: &str, set: &str| {
        let found = |record: &&RecordSet| record.name == name && record.set_identifier.as_deref() == Some(set);
        model.records.iter().find(found).unwrap()
    };
    let public = find(API, "eu-west-1");
    assert_eq!(public.policy, Policy::Failover { primary: true });
    assert_eq!((public.health_check.as_ref(), public.ttl_s), (None, None));
    let alias = public.alias.as_ref().unwrap();
    assert_eq!((alias.dns_name.as_str(), alias.hosted_zone.as_str()), ("fo-eu-west-1.api.example.com", ZONE));
    assert!(alias.evaluate_target_health);
    assert_eq!(find(API, "us-east-1").policy, Policy::Failover { primary: false });

    let standby = find("fo-eu-west-1.api.example.com", "eu-west-1");
    assert_eq!((standby.policy.clone(), standby.ttl_s), (Policy::Weighted(1), Some(30)));
    assert_eq!(standby.values, ["192.0.2.20", "192.0.2.21"]);
    let first = find("fo-us-east-1.api.example.com", "us-east-1");
    assert!(!first.alias.as_ref().unwrap().evaluate_target_health, "a load balancer's blip must not move traffic");
    let reference = |record: &RecordSet| model.check(record.health_check.as_ref().unwrap()).caller_reference.clone();
    assert_eq!(reference(first), "failoverd/prod/sw/shop/us-east-1/p");
    assert_eq!(reference(standby), "failoverd/prod/sw/shop/us-east-1/s");

    let fence = model.records.iter().find(|record| record.name == "_failoverd.shop.example.com").unwrap();
    assert_eq!(fence.values, ["fleet=prod generation=1 epoch=1 index=10"]);
    let canary = find("_failoverd-canary.us-east-1.shop.example.com", "healthy");
    assert_eq!(
        (canary.policy.clone(), canary.values.clone()),
        (Policy::Failover { primary: true }, vec!["healthy".into()])
    );
    assert_eq!(reference(canary), "failoverd/prod/hc/shop/us-east-1/tcp");
    assert_eq!(find("_failoverd-canary.us-east-1.shop.example.com", "unhealthy").health_check, None);
}

#[test]
fn the_daemons_are_asked_for_their_answer_at_the_token() {
    let scene = Scene::new(3, true);
    let asked = scene.desired().checks;
    let find = |reference: &str| asked.iter().find(|check| check.reference == reference).unwrap();
    let on = find("failoverd/prod/sw/shop/us-east-1/us-west-2/on/https");
    let off = find("failoverd/prod/sw/shop/us-east-1/us-west-2/off/https");
    let (DesiredKind::Endpoint(on_at), DesiredKind::Endpoint(off_at)) = (&on.kind, &off.kind) else { panic!() };
    assert_eq!(
        (on_at.host.as_str(), on_at.port, on_at.path.as_str()),
        ("switch.us-west-2.example.net", 443, "/s/t0ken")
    );
    assert_eq!((on_at.protocol, on_at.interval_s), (Protocol::Https, 10));
    assert_eq!((on_at.search.as_deref(), on.inverted), (Some("switch=on"), false));
    assert_eq!((off_at.search.as_deref(), off.inverted), (Some("switch=off"), true));
}

#[test]
fn each_active_active_region_has_its_own_bit_and_gate() {
    let mut scene = Scene::new(3, true);
    scene.spec.pattern = Pattern::ActiveActive;
    scene.spec.traffic.records[0].routing = Routing::Latency;
    scene.switch = Switch {
        pattern: Pattern::ActiveActive,
        regions: scene.spec.regions.clone(),
        bits: BTreeMap::from([("us-east-1".into(), bit(true, "a")), ("eu-west-1".into(), bit(false, "b"))]),
    };
    let model = settled(&scene, 10);
    let threshold = |reference: &str| {
        let check = model.checks.iter().find(|check| check.caller_reference == reference).unwrap();
        let CheckKind::Calculated { threshold, children } = &check.config.kind else { panic!() };
        (*threshold, children.len())
    };
    assert_eq!(threshold("failoverd/prod/sw/shop/us-east-1/p"), (3, 6));
    assert_eq!(threshold("failoverd/prod/sw/shop/eu-west-1/p"), (4, 6));
    assert!(model.checks.iter().all(|check| !check.caller_reference.ends_with("/s")));
    let public = model.records.iter().find(|record| record.policy == Policy::Latency("eu-west-1".into())).unwrap();
    assert_eq!(public.alias.as_ref().unwrap().dns_name, "fo-eu-west-1.api.example.com");
}

#[test]
fn other_routings_keep_the_two_levels() {
    let mut scene = Scene::new(1, true);
    let record = &mut scene.spec.traffic.records[0];
    record.routing = Routing::Geolocation;
    record.targets.get_mut("us-east-1").unwrap().geo = vec![Location::Default, Location::Country("US".into())];
    record.targets.get_mut("eu-west-1").unwrap().geo = vec![Location::Continent("EU".into())];
    let model = settled(&scene, 10);
    let mut sets: Vec<_> = model.records.iter().filter(|record| record.name == API).collect();
    sets.sort_by_key(|record| record.set_identifier.clone());
    let sets: Vec<_> = sets.iter().map(|record| record.set_identifier.as_deref().unwrap()).collect();
    assert_eq!(sets, ["eu-west-1 continent=EU", "us-east-1 country=US", "us-east-1 default"]);

    scene.spec.traffic.records[0].routing = Routing::Weighted;
    scene.spec.traffic.records[0].targets.get_mut("us-east-1").unwrap().weight = Some(80);
    let weighted = scene.desired();
    assert!(
        weighted.records.iter().any(|wanted| wanted.record.name == API && wanted.record.policy == Policy::Weighted(80))
    );
}

#[test]
fn without_a_switch_the_roles_alone_route() {
    let mut scene = Scene::new(3, false);
    scene.spec.traffic.switch = SwitchTransport::None;
    let desired = scene.desired();
    assert!(desired.checks.iter().all(|check| check.reference.contains("/hc/")));
    let internal = desired.records.iter().filter(|wanted| wanted.record.name.starts_with("fo-"));
    assert!(internal.into_iter().all(|wanted| wanted.check.is_none()));
}

#[test]
fn what_cannot_be_made_is_said() {
    let mut scene = Scene::new(3, true);
    scene.members.insert("us-west-2".into(), None);
    assert_eq!(scene.try_desired(), Err(DesireProblem::NoEndpoint("us-west-2".into())));
    let mut scene = Scene::new(0, true);
    assert_eq!(scene.try_desired(), Err(DesireProblem::NoDaemons));
    scene = Scene::new(3, true);
    scene.switch.bits.clear();
    assert!(matches!(scene.try_desired(), Err(DesireProblem::NoBit { .. })));
    scene = Scene::new(3, true);
    scene.spec.health.signals[0].probe =
        ProbeSpec::Http { url: "nonsense".into(), interval_ms: None, timeout_ms: 1, expect_status: 200 };
    assert!(matches!(scene.try_desired(), Err(DesireProblem::Signal(reason)) if reason.contains("front-door")));
}

/// The engine over the records that settlement makes, with the health that the committed bits come to.
#[test]
fn what_is_believed_follows_the_bits_and_a_region_that_is_down() {
    for (on, down, serves) in [
        (true, None, "us-east-1"),
        (true, Some("us-east-1"), "eu-west-1"),
        (true, Some("eu-west-1"), "us-east-1"),
        (false, None, "eu-west-1"),
        (false, Some("eu-west-1"), "us-east-1"),
    ] {
        let scene = Scene::new(3, on);
        let model = settled(&scene, 10);
        let state = crate::fleet::FleetState {
            fleet: scene.fleet.clone(),
            switches: BTreeMap::from([(scene.spec.switch_group(), scene.switch.clone())]),
            ..Default::default()
        };
        let down: std::collections::BTreeSet<Region> = down.into_iter().map(Region::from).collect();
        let believed = Believed::new(&state, &model.checks, &down);
        let query = crate::route53::Query {
            name: API.into(),
            record_type: RecordType::A,
            from: crate::route53::Place::default(),
            draw: 0,
        };
        let answered = crate::route53::answer(&model.records, &|check| believed.is_healthy(check), &query);
        assert_eq!(answered.path.first().map(String::as_str), Some(serves), "{on} {down:?}: {answered:?}");
        assert!(believed.assumed().is_empty(), "everything of a switch is known");
    }
}

#[test]
fn whoever_would_be_sent_elsewhere_is_told_by_place() {
    let mut scene = Scene::new(3, true);
    let state = |scene: &Scene| crate::fleet::FleetState {
        fleet: scene.fleet.clone(),
        switches: BTreeMap::from([(scene.spec.switch_group(), scene.switch.clone())]),
        ..Default::default()
    };
    let told = |scene: &Scene, down: &str| {
        let down = std::collections::BTreeSet::from([Region::from(down)]);
        let all = shifts(&scene.desired(), &state(scene), &down);
        all.into_iter()
            .map(|it| format!("{}: {} -> {}", it.place, it.now.join(" "), it.then.join(" ")))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&scene, "us-east-1"), ["everywhere: us-east-1 -> eu-west-1"]);
    assert!(told(&scene, "eu-west-1").is_empty(), "nobody is there");

    let record = &mut scene.spec.traffic.records[0];
    record.routing = Routing::Geolocation;
    let continent = |code: &str| Location::Continent(code.to_owned());
    record.targets.get_mut("us-east-1").unwrap().geo = vec![continent("NA"), Location::Default];
    record.targets.get_mut("eu-west-1").unwrap().geo = vec![continent("EU")];
    scene.switch = Switch {
        pattern: Pattern::ActiveActive,
        regions: scene.spec.regions.clone(),
        bits: BTreeMap::from([("us-east-1".into(), bit(true, "a")), ("eu-west-1".into(), bit(true, "b"))]),
    };
    assert_eq!(told(&scene, "eu-west-1"), ["continent=EU: eu-west-1 -> us-east-1"]);
}
