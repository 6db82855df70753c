//! Regions that are added to the fleet and removed from it.

use super::drills::drill;
use super::fixture::*;
use super::settings::modern;
use crate::drill::{DrillKind, DrillSpec, Guardrail};
use crate::fleet::*;
use crate::health::Status;
use crate::ids::Region;
use crate::plan::Mode;
use crate::service::SwitchTransport;
use crate::traffic::SwitchEndpoint;

pub(super) const FOURTH: &str = "ap-south-1";
const DISK: u64 = u64::MAX - 3;

fn endpoint(region: &str) -> SwitchEndpoint {
    SwitchEndpoint { host: format!("switch.{region}.example.com"), port: 443, https: true }
}

pub(super) fn enlist(region: &str, role: Role) -> Command {
    Command::Enlist { region: region.into(), role, switch: Some(endpoint(region)) }
}

pub(super) fn dismiss(region: &str) -> Command {
    Command::Dismiss { region: region.into(), disk: Some(DISK) }
}

/// Four daemons and a service, in the format that can say so.
fn four() -> Bench {
    let mut bench = modern(Bench::serving());
    bench.ok(person(), enlist(FOURTH, Role::Member));
    bench
}

/// A fleet that grew, shrank, and took the Region back, for the samples.
pub(super) fn came_and_went() -> Bench {
    let mut bench = four();
    bench.settle_now();
    bench.ok(person(), dismiss(FOURTH));
    bench.settle_now();
    bench.ok(person(), enlist(FOURTH, Role::Witness));
    bench
}

impl Bench {
    /// As a settler does that has seen the newest list.
    fn settle_now(&mut self) {
        let service = self.shop();
        let (service, epoch, spec_index) = (service.spec.name.clone(), service.epoch, service.spec_index);
        self.ok(daemon(), Command::Settled { service, epoch, spec_index, seen: self.state.applied });
    }
}

#[test]
fn a_region_that_is_added_counts_at_once_and_the_history_says_who_did_it() {
    let bench = four();
    let member = &bench.state.members[&Region::from(FOURTH)];
    assert_eq!((member.role, member.switch.as_ref()), (Role::Member, Some(&endpoint(FOURTH))));
    let told = bench.events.last().unwrap();
    assert_eq!((told.kind, told.actor.as_str()), (EventKind::Fleet, "operator:alice"));
    assert_eq!(told.region, Some(FOURTH.into()));
    assert_eq!(
        told.message,
        "ap-south-1 was added to the fleet as a member: 4 daemons instead of 3, of which 1 may be lost"
    );
}

#[test]
fn what_two_of_three_prove_two_of_four_do_not() {
    let mut three = modern(Bench::serving());
    let mut proven = three.automatic();
    let opinions = &mut proven.evidence[0].opinions;
    opinions.retain(|opinion| opinion.counts && opinion.status == Status::Bad);
    opinions.truncate(2);
    assert_eq!(opinions.len(), 2);
    three.clone().ok(daemon(), Command::Decide(Box::new(proven.clone())));
    three.ok(person(), enlist(FOURTH, Role::Member));
    assert_eq!(three.refused(daemon(), Command::Decide(Box::new(proven))), "NOT_PROVEN");
}

#[test]
fn whoever_settled_for_the_old_list_has_not_settled_for_the_new_one() {
    let mut bench = modern(Bench::serving());
    let before = bench.state.applied;
    for change in [enlist(FOURTH, Role::Member), dismiss(FOURTH)] {
        bench.settle_now();
        assert_eq!(bench.phase(), ServicePhase::Steady);
        bench.ok(person(), change);
        assert_eq!(bench.phase(), ServicePhase::Unsettled);
        let service = bench.shop();
        let (service, epoch, spec_index) = (service.spec.name.clone(), service.epoch, service.spec_index);
        bench.put(daemon(), Command::Settled { service, epoch, spec_index, seen: before });
        assert_eq!(bench.phase(), ServicePhase::Unsettled, "its checks are those of another list");
        bench.settle_now();
        assert_eq!(bench.phase(), ServicePhase::Steady);
    }
}

#[test]
fn a_region_that_is_removed_is_remembered_by_its_disk() {
    let mut bench = four();
    bench.ok(person(), dismiss(FOURTH));
    let at = bench.state.applied;
    assert_eq!(bench.state.members.len(), 3);
    let region = Region::from(FOURTH);
    assert_eq!(bench.state.dismissed(&region, DISK), Some(at));
    assert_eq!(bench.state.dismissed(&region, 7), None, "another disk is not meant");
    assert_eq!(bench.state.dismissed(&Region::from(EU), DISK), None);
    let told = &bench.events.last().unwrap().message;
    assert_eq!(told, "ap-south-1 was removed from the fleet: 3 daemons instead of 4, of which 1 may be lost");

    bench.ok(person(), enlist(FOURTH, Role::Witness));
    assert_eq!(bench.state.dismissed(&region, DISK), Some(at), "the old disk stays out, whoever came after it");
    bench.ok(person(), Command::Dismiss { region: region.clone(), disk: None });
    assert_eq!(bench.state.dismissed(&region, DISK), Some(bench.state.applied));
    let text = serde_json::to_string(&bench.state).unwrap();
    assert_eq!(serde_json::from_str::<FleetState>(&text).unwrap(), bench.state);
}

#[test]
fn what_would_leave_something_dangling_is_refused_with_its_name() {
    let mut bench = modern(Bench::serving());
    assert_eq!(bench.refused(person(), enlist(EU, Role::Member)), "ALREADY_MEMBER");
    assert_eq!(bench.refused(person(), dismiss(FOURTH)), "UNKNOWN_REGION");
    assert_eq!(bench.refused(person(), dismiss(WITNESS)), "TOO_FEW");
    let nowhere = Command::Enlist { region: FOURTH.into(), role: Role::Witness, switch: None };
    assert_eq!(bench.refused(person(), nowhere.clone()), "NO_ENDPOINT");
    bench.ok(person(), enlist(FOURTH, Role::Member));
    for region in [US, EU] {
        let refused = bench.put(person(), dismiss(region)).result.unwrap_err();
        assert_eq!(
            (refused.code.as_str(), refused.reason.contains("service shop")),
            ("REGION_IN_USE", true),
            "{refused}"
        );
    }

    let mut drill = drill(DrillKind::Switchover);
    let alarm = |region: &str| Guardrail::Alarm { name: "slo".into(), region: region.into() };
    let guarded = DrillSpec { guardrails: vec![alarm(FOURTH)], ..drill.clone() };
    let left = DrillSpec { from: Some(FOURTH.into()), guardrails: vec![], ..drill.clone() };
    let reached = DrillSpec { to: Some(FOURTH.into()), guardrails: vec![], ..drill.clone() };
    let with =
        |drill: &DrillSpec| Command::Apply { specs: vec![], drills: vec![drill.clone()], prune: false, tokens: vec![] };
    for drill in [guarded, left, reached] {
        bench.ok(person(), with(&drill));
        let refused = bench.put(person(), dismiss(FOURTH)).result.unwrap_err();
        assert!(refused.reason.contains(&format!("drill {}", drill.name)), "{refused}");
    }
    drill.guardrails = vec![alarm(EU)];
    bench.ok(person(), with(&drill));
    bench.ok(person(), dismiss(FOURTH));
}

#[test]
fn nothing_changes_while_a_run_or_a_drill_is_open() {
    let mut bench = four();
    bench.settle_now();
    let run = bench.decide(bench.asked(Mode::Graceful));
    assert_eq!(bench.refused(person(), dismiss(FOURTH)), "RUN_OPEN");
    assert_eq!(bench.refused(person(), enlist("sa-east-1", Role::Witness)), "RUN_OPEN");
    bench.ok(person(), Command::Abort { run, reason: "later".into() });
    bench.ok(person(), dismiss(FOURTH));

    let mut bench = modern(Bench::serving());
    bench.ok(
        person(),
        Command::Apply { specs: vec![], drills: vec![drill(DrillKind::Switchover)], prune: false, tokens: vec![] },
    );
    bench.ok(person(), Command::OpenDrill { drill: "gameday".into(), scheduled_for: None });
    assert_eq!(bench.refused(person(), enlist(FOURTH, Role::Witness)), "DRILL_OPEN");
}

#[test]
fn a_fleet_whose_switches_need_no_endpoint_takes_one_without() {
    let mut spec = shop();
    spec.traffic.switch = SwitchTransport::Cloudwatch;
    let mut bench = modern(Bench::serving_spec(spec));
    bench.ok(person(), Command::Enlist { region: FOURTH.into(), role: Role::Witness, switch: None });
}

#[test]
fn no_other_daemon_asks_for_it_and_no_older_one_meets_it() {
    for command in [enlist(FOURTH, Role::Member), dismiss(FOURTH)] {
        for actor in [person(), Actor::Daemon(FOURTH.into())] {
            assert!(Entry::new(NOW, actor, command.clone()).may_be_forwarded().is_err());
        }
        let mut old = Bench::serving();
        assert_eq!(old.refused(person(), command), "FORMAT_NOT_AGREED");
    }
}

#[test]
fn how_many_may_be_lost_is_what_a_majority_leaves() {
    let lost: Vec<usize> = (1..=7).map(may_be_lost).collect();
    assert_eq!(lost, [0, 0, 1, 1, 2, 2, 3]);
}
