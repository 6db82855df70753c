//! Plans as a person reads them, scenario by scenario, and everything that a plan may not be.

use std::fmt::Write;
use std::path::PathBuf;

use super::*;
use crate::fleet::Role;
use crate::ids::{LogIndex, Region, StepName};
use crate::manifest::read_set;
use crate::route53::{Location, RecordType};
use crate::service::{Endpoint, Pattern, PublicRecord, Routing, ServiceSpec, SwitchTransport, Target};

const US: &str = "us-east-1";
const EU: &str = "eu-west-1";

fn scenario(name: &str, file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(name).join(file)
}

fn spec(name: &str) -> ServiceSpec {
    let text = std::fs::read(scenario(name, "input.yaml")).unwrap();
    let fleet = [(US, Role::Member), (EU, Role::Member), ("us-west-2", Role::Witness)];
    let fleet = fleet.map(|(region, role)| (region.into(), role)).into();
    read_set([("input.yaml", text.as_slice())], &fleet, &[]).unwrap().services.remove(0)
}

fn planned(spec: &ServiceSpec, from: &str, to: &str, mode: Mode) -> Plan {
    let (from, to) = (Region::from(from), Region::from(to));
    plan(&PlanRequest {
        spec,
        spec_index: LogIndex(7),
        from: &from,
        to: &to,
        mode,
        movement: Movement::Failover,
        moves_writers: true,
    })
}

fn as_text(plan: &Plan) -> String {
    let mut text = format!("{} {} {} -> {}  {}\n", plan.mode, plan.service, plan.from, plan.to, plan.hash());
    for step in &plan.steps {
        let kind = if step.critical { "" } else { ", off the critical path" };
        let back = if step.is_point_of_no_return() { ", no return" } else { "" };
        let plane = format!("{:?}", step.plane).to_lowercase();
        let (region, seconds) = (&step.region, step.timeout_ms / 1000);
        writeln!(text, "\n{}  {region}, {plane} plane, {seconds} s{kind}{back}", step.name).unwrap();
        if !step.after.is_empty() {
            let after: Vec<&str> = step.after.iter().map(|name| name.as_str()).collect();
            writeln!(text, "  after {}", after.join(", ")).unwrap();
        }
        step.calls.iter().for_each(|call| writeln!(text, "  {call}").unwrap());
    }
    text
}

/// `UPDATE_EXPECTED=1 cargo test` writes what is found; read the difference before it is committed.
#[track_caller]
fn reads(name: &str, plan: &Plan, file: &str) {
    let (path, found) = (scenario(name, file), as_text(plan));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", path.display());
}

#[test]
fn plans_read_as_expected_and_pass_their_checks() {
    for name in ["checkout", "rds", "two-writers", "unfenced", "table-only"] {
        let spec = spec(name);
        for (mode, from, to, file) in [
            (Mode::Forced, US, EU, "forced.txt"),
            (Mode::Graceful, US, EU, "graceful.txt"),
            (Mode::Graceful, EU, US, "back.txt"),
        ] {
            let plan = planned(&spec, from, to, mode);
            reads(name, &plan, file);
            assert_eq!(check_plan(&plan, &spec), vec![], "{name} {mode}");
        }
    }
}

#[test]
fn the_same_request_has_the_same_hash_and_any_other_another() {
    let spec = spec("checkout");
    let plan = planned(&spec, US, EU, Mode::Forced);
    assert_eq!(plan.hash(), planned(&spec.clone(), US, EU, Mode::Forced).hash());
    let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!((read.hash(), read.hash().len()), (plan.hash(), 12));
    let mut longer = spec.clone();
    longer.data.pop();
    let others = [
        planned(&spec, US, EU, Mode::Graceful),
        planned(&spec, EU, US, Mode::Forced),
        planned(&longer, US, EU, Mode::Forced),
        Plan { spec_index: LogIndex(8), ..plan.clone() },
    ];
    for other in others {
        assert_ne!(other.hash(), plan.hash());
    }
}

/// What the checker says of a sound forced plan after `edit`.
fn spoiled(edit: impl FnOnce(&mut Plan, &mut ServiceSpec)) -> Vec<String> {
    let mut spec = spec("checkout");
    let mut plan = planned(&spec, US, EU, Mode::Forced);
    edit(&mut plan, &mut spec);
    check_plan(&plan, &spec).iter().map(ToString::to_string).collect()
}

fn step<'a>(plan: &'a mut Plan, name: &str) -> &'a mut Step {
    plan.steps.iter_mut().find(|step| step.name.as_str() == name).unwrap()
}

const PROMOTE: &str = "promote/orders-db";
const FLIP: &str = "flip-switch/checkout";

#[test]
fn i4_somewhere_must_serve_afterwards() {
    let nowhere = spoiled(|plan, _| plan.to = "mars-1".into());
    assert!(nowhere.contains(&"I4: checkout does not run in mars-1 (it runs in us-east-1, eu-west-1)".to_owned()));
    let itself = spoiled(|plan, _| plan.to = US.into());
    assert!(itself.contains(&"I4: checkout cannot move from us-east-1 to itself".to_owned()));
    for edit in [
        |kind: &mut StepKind| *kind = StepKind::FlipSwitch { group: "checkout".into(), bit: US.into(), on: true },
        |kind: &mut StepKind| *kind = StepKind::FlipSwitch { group: "checkout".into(), bit: EU.into(), on: true },
        |kind: &mut StepKind| *kind = StepKind::FlipSwitch { group: "other".into(), bit: US.into(), on: false },
    ] {
        let said = spoiled(|plan, _| edit(&mut step(plan, FLIP).kind));
        assert_eq!(said, ["I4: step flip-switch/checkout does not make eu-west-1 serve"]);
    }
}

#[test]
fn i5_a_forced_plan_needs_neither_the_failed_region_nor_route53() {
    let said = spoiled(|plan, _| step(plan, PROMOTE).region = US.into());
    assert_eq!(said, ["I5: step promote/orders-db needs us-east-1, the Region that is being left"]);
    let said = spoiled(|plan, _| step(plan, "fence/orders-db").critical = true);
    assert!(said.iter().any(|problem| problem.starts_with("I5: step fence/orders-db needs us-east-1")), "{said:?}");
    let said = spoiled(|_, spec| spec.traffic.switch = SwitchTransport::None);
    assert_eq!(said, ["I5: with `switch: none` traffic moves only through Route 53's control plane in us-east-1"]);
    let mut spec = spec("checkout");
    spec.traffic.switch = SwitchTransport::None;
    let said = check_plan(&planned(&spec, US, EU, Mode::Graceful), &spec);
    assert_eq!(said.len(), 1, "its records would be rewritten only after the run has waited for them");
    assert_eq!(
        said[0].to_string(),
        "switch-none: moving a service with `switch: none` is not supported by this version"
    );
}

#[test]
fn i1_a_promotion_knows_how_the_old_writer_is_kept_out() {
    let said = spoiled(|plan, _| step(plan, PROMOTE).after.clear());
    assert_eq!(said, ["I1: step promote/orders-db does not wait for fence/orders-db"]);
    let builtin = StepKind::Promote { store: "orders-db".into(), fencing: Fencing::Builtin };
    let said = spoiled(|plan, _| step(plan, PROMOTE).kind = builtin);
    assert_eq!(said, ["I1: step promote/orders-db is forced and cannot fence by itself"]);
}

#[test]
fn every_asker_gets_an_answer_after_a_geolocation_moves() {
    let target = |geo| Target { endpoint: Endpoint::Values(vec!["192.0.2.1".into()]), geo, weight: None };
    let geo = |us: Vec<Location>, eu: Vec<Location>| PublicRecord {
        name: "geo.example.com".into(),
        record_type: RecordType::A,
        routing: Routing::Geolocation,
        ttl_s: Some(30),
        targets: [(US.into(), target(us)), (EU.into(), target(eu))].into(),
    };
    let europe = || Location::Continent("EU".into());
    let lonely = geo(vec![Location::Default], vec![europe()]);
    let said = spoiled(|_, spec| spec.traffic.records.push(lonely));
    let expected = "geolocation-default: geo.example.com has no default location outside us-east-1: \
                    some askers would get no answer";
    assert_eq!(said, [expected]);
    let covered = geo(vec![Location::Default], vec![europe(), Location::Default]);
    assert_eq!(spoiled(|_, spec| spec.traffic.records.push(covered)), Vec::<String>::new());
}

#[test]
fn the_switch_waits_for_the_data_whatever_the_list_looks_like() {
    let said = spoiled(|plan, _| step(plan, FLIP).after.clear());
    assert!(said.contains(&"order: step flip-switch/checkout does not wait for promote/orders-db".to_owned()));
    let said = spoiled(|plan, _| step(plan, "verify-answer/checkout").after.clear());
    assert_eq!(said, ["order: step verify-answer/checkout does not wait for flip-switch/checkout"]);
    let said = spoiled(|plan, _| {
        let promote = plan.steps.remove(1);
        plan.steps.insert(5, promote);
    });
    assert!(said.contains(&"order: step promote/orders-db comes after the switch".to_owned()), "{said:?}");
    let said = spoiled(|plan, _| plan.steps.truncate(6));
    assert_eq!(said, ["order: a plan ends by turning the switch and verifying the answer"]);
    let said = spoiled(|plan, _| plan.steps.clear());
    assert_eq!(said.len(), 2, "{said:?}");
    let said = spoiled(|plan, _| drop(plan.steps.remove(5)));
    assert!(said.contains(&"order: a plan ends by turning the switch and verifying the answer".to_owned()));
    let said = spoiled(|plan, _| step(plan, "check-data/orders").name = "check-data/media".into());
    assert!(said.contains(&"order: two steps are called check-data/media".to_owned()), "{said:?}");
    let said = spoiled(|plan, _| plan.steps.swap(0, 1));
    assert_eq!(said, ["order: step promote/orders-db waits for fence/orders-db, which does not come before it"]);
}

#[test]
fn no_writer_stays_behind() {
    let said = spoiled(|plan, _| {
        plan.steps.retain(|step| !step.name.as_str().ends_with("/orders-db"));
        let left: Vec<_> = plan.steps.iter().map(|step| step.name.clone()).collect();
        plan.steps.iter_mut().for_each(|step| step.after.retain(|name| left.contains(name)));
    });
    assert_eq!(said, ["data: the writer of orders-db would stay in us-east-1"]);
    let said = spoiled(|plan, _| step(plan, PROMOTE).critical = false);
    assert_eq!(said, ["data: the writer of orders-db would stay in us-east-1"]);
}

/// A service that both Regions serve, and a sound plan for it.
fn of_both(movement: Movement, mode: Mode) -> (Plan, ServiceSpec) {
    let spec = ServiceSpec { pattern: Pattern::ActiveActive, ..spec("checkout") };
    let (from, to) = (Region::from(US), Region::from(EU));
    let (from, to) = if movement == Movement::Restore { (to, from) } else { (from, to) };
    let moves_writers = movement == Movement::Evacuate;
    let request =
        PlanRequest { spec: &spec, spec_index: LogIndex(7), from: &from, to: &to, mode, movement, moves_writers };
    (plan(&request), spec)
}

/// What the checker says of it after `edit`.
fn spoiled_of_both(movement: Movement, edit: impl FnOnce(&mut Plan, &mut ServiceSpec)) -> Vec<String> {
    let (mut plan, mut spec) = of_both(movement, Mode::Graceful);
    assert_eq!(check_plan(&plan, &spec), vec![], "before it is spoiled");
    edit(&mut plan, &mut spec);
    check_plan(&plan, &spec).iter().map(ToString::to_string).collect()
}

#[test]
fn a_move_fits_the_pattern_and_leaves_a_region_that_serves() {
    for movement in [Movement::Evacuate, Movement::Restore] {
        let said = spoiled_of_both(movement, |_, spec| spec.pattern = Pattern::ActivePassive);
        assert_eq!(said, [format!("pattern: no {} of checkout: its pattern has other moves", movement.word())]);
    }
    let said = spoiled(|_, spec| spec.pattern = Pattern::ActiveActive);
    assert_eq!(said, ["pattern: no failover of checkout: its pattern has other moves"]);
    let said = spoiled(|plan, _| plan.from = "mars-1".into());
    assert_eq!(said, ["I4: checkout does not run in mars-1"]);
}

#[test]
fn a_switch_of_one_of_several_is_that_of_the_region_that_goes_or_comes() {
    let flip = |bit: &str, on| StepKind::FlipSwitch { group: "checkout".into(), bit: bit.into(), on };
    for (movement, wrong, should) in [
        (Movement::Evacuate, [flip(US, true), flip(EU, false)], "stop us-east-1 from serving"),
        (Movement::Restore, [flip(US, false), flip(EU, true)], "make us-east-1 serve"),
    ] {
        for kind in wrong {
            let said = spoiled_of_both(movement, |plan, _| step(plan, FLIP).kind = kind);
            assert_eq!(said, [format!("I4: step flip-switch/checkout does not {should}")]);
        }
    }
}

#[test]
fn a_region_is_off_before_anything_else_is_done_there_and_on_after_everything() {
    let said = spoiled_of_both(Movement::Evacuate, |plan, _| step(plan, "check-data/orders").after.clear());
    assert_eq!(said, ["order: step check-data/orders does not wait for flip-switch/checkout"]);
    let said = spoiled_of_both(Movement::Restore, |plan, _| {
        step(plan, FLIP).after.retain(|name| name.as_str() != "check-data/orders");
    });
    assert_eq!(said, ["order: step flip-switch/checkout does not wait for check-data/orders"]);
    for movement in [Movement::Evacuate, Movement::Restore] {
        let said = spoiled_of_both(movement, |plan, _| {
            step(plan, "verify-answer/checkout").after.retain(|name| name.as_str() != FLIP);
        });
        assert_eq!(said, ["order: step verify-answer/checkout does not wait for flip-switch/checkout"]);
    }
    // However far back: what the switch waits for may itself have waited.
    let said = spoiled(|plan, _| {
        let last =
            plan.steps.iter().filter(|step| step.critical).find(|step| step.name.as_str() == "check-data/orders-db");
        let last = last.unwrap().name.clone();
        let flip = step(plan, FLIP);
        flip.after.retain(|name| *name != StepName::from(PROMOTE));
        assert!(flip.after.contains(&last), "which waits for the promotion");
    });
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn a_region_that_comes_back_moves_no_writer_and_one_that_goes_moves_each_or_none() {
    let promote = StepKind::Promote { store: "orders-db".into(), fencing: Fencing::None };
    let said = spoiled_of_both(Movement::Restore, |plan, _| step(plan, "check-data/orders").kind = promote);
    assert_eq!(said, ["data: restoring us-east-1 moves no writer"]);
    // Not the Region where it is written: the plan has no promotion, and needs none.
    let spec = ServiceSpec { pattern: Pattern::ActiveActive, ..spec("checkout") };
    let (from, to) = (Region::from(EU), Region::from(US));
    let request = PlanRequest {
        spec: &spec,
        spec_index: LogIndex(7),
        from: &from,
        to: &to,
        mode: Mode::Graceful,
        movement: Movement::Evacuate,
        moves_writers: false,
    };
    let stays = plan(&request);
    assert_eq!(check_plan(&stays, &spec), vec![]);
    let waits = stays.steps.iter().find(|step| matches!(step.kind, StepKind::Drain { .. }));
    assert_eq!(waits, None, "what was taken there goes on being replicated from there");
    let said = spoiled_of_both(Movement::Evacuate, |plan, spec| {
        let mut other = spec.data.iter().find(|store| store.name.as_str() == "orders-db").unwrap().clone();
        other.name = "ledger-db".into();
        spec.data.push(other);
        assert!(plan.steps.iter().any(|step| step.name.as_str() == PROMOTE));
    });
    assert_eq!(said, ["data: the writer of ledger-db would stay in us-east-1"]);
}

#[test]
fn a_second_switch_is_no_reason_to_miss_the_first() {
    let said = spoiled(|plan, _| {
        let mut again = step(plan, FLIP).clone();
        again.name = "flip-switch/again".into();
        again.after.push(FLIP.into());
        let last = plan.steps.len() - 1;
        plan.steps[last].after.push(again.name.clone());
        plan.steps.insert(last, again);
    });
    assert!(!said.iter().any(|problem| problem.contains("a plan ends by")), "{said:?}");
}
