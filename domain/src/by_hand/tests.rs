//! Scripts of the examples as they are printed, and what may not be in one. What they do is tried against a simulated
//! AWS in `tests/it/by_hand.rs`. After a change on purpose: `UPDATE_GOLDEN=1`, then read the diff.

use std::path::PathBuf;

use super::*;
use crate::fleet::Role;
use crate::ids::LogIndex;
use crate::manifest::read_set;
use crate::plan::{PlanRequest, plan};
use crate::service::{Pattern, StoreKind};

const US: &str = "us-east-1";
const EU: &str = "eu-west-1";

fn examples(files: &[&str]) -> Vec<ServiceSpec> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let texts: Vec<(&str, Vec<u8>)> =
        files.iter().map(|file| (*file, std::fs::read(folder.join(file)).unwrap())).collect();
    let regions =
        [(US, Role::Member), (EU, Role::Member), ("us-west-2", Role::Witness), ("ap-southeast-1", Role::Member)];
    let fleet = regions.map(|(region, role)| (region.into(), role)).into();
    read_set(texts.iter().map(|(file, text)| (*file, text.as_slice())), &fleet, &[]).unwrap().services
}

fn planned(spec: &ServiceSpec, movement: Movement, mode: Mode) -> Plan {
    let (from, to) = (US.into(), EU.into());
    let (from, to) = if movement == Movement::Restore { (&to, &from) } else { (&from, &to) };
    let moves_writers = movement != Movement::Restore;
    plan(&PlanRequest { spec, spec_index: LogIndex(7), from, to, mode, movement, moves_writers })
}

fn script_of(specs: &[&ServiceSpec], plan: &Plan) -> Result<String, ByHandProblem> {
    let figures = plan.steps.iter().filter(|step| step.critical).map(|step| (step.name.clone(), (1_250, 61_000)));
    let fleet = FleetId::from("prod");
    by_hand(&ByHand {
        plan,
        specs: specs.to_vec(),
        fleet: &fleet,
        generation: Generation(3),
        figures: figures.collect(),
    })
}

/// What is this script's own: the prelude is a file of its own.
fn own(script: &str) -> String {
    assert!(script.contains(PRELUDE));
    script.replace(PRELUDE, "# (prelude.sh)\n")
}

#[test]
fn every_movement_of_the_examples_is_as_it_was_read() {
    use Movement::{Evacuate, Failover, Restore};
    for (name, files, movement, mode) in [
        ("checkout-forced", vec!["checkout.yaml", "storefront.yaml"], Failover, Mode::Forced),
        ("checkout-graceful", vec!["checkout.yaml"], Failover, Mode::Graceful),
        ("app-forced", vec!["active-passive.yaml"], Failover, Mode::Forced),
        ("app-graceful", vec!["active-passive.yaml"], Failover, Mode::Graceful),
        ("inference-graceful", vec!["serverless-ml.yaml"], Failover, Mode::Graceful),
        ("orders-evacuate", vec!["orders-active-active.yaml"], Evacuate, Mode::Graceful),
        ("orders-restore", vec!["orders-active-active.yaml"], Restore, Mode::Forced),
    ] {
        let specs = examples(&files);
        let plan = planned(&specs[0], movement, mode);
        let seen = own(&script_of(&specs.iter().collect::<Vec<_>>(), &plan).unwrap());
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/by_hand").join(format!("{name}.sh"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &seen).unwrap();
        }
        assert_eq!(seen, std::fs::read_to_string(&path).unwrap_or_default(), "{} differs", path.display());
    }
}

/// Every function that a script calls is one of the prelude's, and each of those is called by some script or function.
#[test]
fn the_prelude_has_no_function_too_many() {
    let names: Vec<&str> = PRELUDE.lines().filter_map(|line| line.split_once("() {").map(|(name, _)| name)).collect();
    assert!(names.len() > 30, "{names:?}");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/by_hand");
    let all: String = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .chain([PRELUDE.to_owned()])
        .collect();
    for name in names {
        let called =
            all.lines().filter(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name));
        let called = called.filter(|line| !line.starts_with('#') && !line.starts_with(&format!("{name}()")));
        assert!(called.count() > 0, "nothing calls {name}");
    }
}

#[test]
fn a_name_that_could_break_out_is_refused() {
    let specs = examples(&["checkout.yaml"]);
    for hostile in ["x'; rm -rf /; '", "x$(id)", "x`id`", "x\"y", "x\\y", "x\ny", "--profile", ""] {
        let mut spec = specs[0].clone();
        let orders = spec.data.iter_mut().find(|store| store.name.as_str() == "orders-db").unwrap();
        if let StoreKind::Aurora { global_cluster, .. } = &mut orders.kind {
            hostile.clone_into(global_cluster);
        }
        let plan = planned(&spec, Movement::Failover, Mode::Forced);
        let refused = script_of(&[&spec], &plan).unwrap_err();
        assert_eq!(refused, ByHandProblem::Name(hostile.to_owned()), "{hostile:?}");
    }
}

#[test]
fn what_people_read_is_printed_and_never_run() {
    assert_eq!(text("it's $(id) `id`\nnext"), "'it'\\''s $(id) `id` next'");
}

#[test]
fn a_plan_that_does_not_fit_its_manifest_has_no_script() {
    let specs = examples(&["checkout.yaml"]);
    let plan = planned(&specs[0], Movement::Failover, Mode::Forced);
    let mut spec = specs[0].clone();
    spec.data.retain(|store| store.name.as_str() != "media");
    let refused = script_of(&[&spec], &plan).unwrap_err();
    assert_eq!(refused.to_string(), "check-data/media needs a store media, which the manifest does not have");
}

#[test]
fn without_a_switch_a_pair_moves_by_its_records_alone_and_nothing_is_evacuated() {
    let mut specs = examples(&["checkout.yaml"]);
    specs[0].traffic.switch = SwitchTransport::None;
    let script = own(&script_of(&[&specs[0]], &planned(&specs[0], Movement::Failover, Mode::Graceful)).unwrap());
    assert!(!script.contains("\nhold_check ") && script.contains("{Failover:'PRIMARY'}"), "{script}");
    specs[0].pattern = Pattern::ActiveActive;
    let plan = planned(&specs[0], Movement::Evacuate, Mode::Graceful);
    assert_eq!(script_of(&[&specs[0]], &plan), Err(ByHandProblem::NoSwitch("checkout".to_owned())));
}
