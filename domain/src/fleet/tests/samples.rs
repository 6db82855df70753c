//! Entries, states, events, reports and manifests of every format that was ever written mean today what they meant then.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::active_active::came_back;
use super::drills::{game_day, missed};
use super::fixture::*;
use super::walk::walk;
use crate::data::loss::{Loss, LossUnit};
use crate::drill::DrillSpec;
use crate::fleet::*;
use crate::format::{Build, Format};
use crate::health::readiness::{Check, Sheet, Verdict};
use crate::health::{Diagnosis, Matrix, Rehearsal, Report, Status, ThroughReading, Vote, diagnose};
use crate::ids::Region;
use crate::manifest::{Manifests, read_set};
use crate::plan::Mode;
use crate::service::ServiceSpec;

#[path = "../../../../tests/samples/keeper.rs"]
mod keeper;

use keeper::{Samples, assert_keeps, variant_of, variants};

fn samples() -> Vec<Samples> {
    keeper::all(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/samples"))
}

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

type Story = fn() -> Bench;

/// Fleets that between them went through everything that can happen.
fn stories() -> BTreeMap<&'static str, Story> {
    let stories: [(_, Story); 8] = [
        ("broken-glass", super::glass::broken),
        ("by-hand", by_hand),
        ("game-day", game_day),
        ("missed", missed),
        ("came-back", came_back),
        ("came-and-went", super::members::came_and_went),
        ("walk-1", || walk(1, 160)),
        ("walk-2", || walk(2, 160)),
    ];
    stories.into()
}

/// A run that a person helps along, another one that is aborted, and whatever else people and daemons say.
fn by_hand() -> Bench {
    let mut bench = Bench::serving();
    let shop = || "shop".into();
    bench.ok(person(), Command::Pause { service: Some(shop()) });
    bench.ok(person(), Command::Resume { service: Some(shop()) });
    let announced = Decision { announce_until: Some(NOW.plus_ms(5_000)), ..bench.automatic() };
    let run = bench.decide(announced);
    bench.now = bench.now.plus_ms(5_001);
    bench.ok(daemon(), Command::Start { run: run.clone() });
    bench.ok(person(), Command::Abort { run, reason: "a false alarm".into() });
    bench.settle();
    bench.now = bench.now.plus_ms(10_000);
    let decision = Decision { needs_approval: true, ..bench.asked(Mode::Forced) };
    let run = bench.decide(decision);
    bench.ok(person(), Command::Approve { run: run.clone() });
    let steps: Vec<_> = bench.run(&run).plan.steps.iter().map(|step| step.name.clone()).collect();
    for step in steps {
        let (again, on) = (
            Command::Retry { run: run.clone(), step: step.clone() },
            Command::Skip { run: run.clone(), step: step.clone() },
        );
        match step.as_str() {
            "promote/orders-db" => {
                bench.step(&run, step.as_str(), failed());
                bench.ok(person(), again);
                let unknown = StepOutcome::Unknown { error: "no answer".into() };
                bench.step(&run, step.as_str(), unknown);
                let found = bench.outcome(&run, step.as_str(), done());
                bench.ok(daemon(), found);
            }
            "check-data/orders-db" => {
                bench.step(&run, step.as_str(), failed());
                bench.ok(person(), on);
            }
            _ => bench.step(&run, step.as_str(), done()),
        }
    }
    let reason = "nobody could measure it".to_owned();
    let lost = Loss { store: "orders-db".into(), bound: Some(700), measured: None, unit: LossUnit::Ms, reason };
    bench.put(daemon(), Command::Receipt { run: run.clone(), losses: vec![lost] });
    bench.settle();
    bench.ok(person(), Command::AskReturn { service: shop(), reason: "it belongs there".into() });
    bench.ok(person(), Command::ForgetReturn { service: shop() });
    bench.ok(daemon(), Command::Violation { invariant: "I9".into(), detail: "it changed by itself".into() });
    let snapshots = vec!["rds:unplanned-global-failover-a".into()];
    bench
        .ok(daemon(), Command::LostWrites { service: shop(), store: "orders-db".into(), region: US.into(), snapshots });
    bench.ok(daemon(), Command::Told { hook: "pager".into(), seq: 3 });
    bench.ok(daemon(), Command::RaiseFormat { format: Format(2) });
    bench
}

#[test]
fn stored_entries_make_the_stored_state_and_the_stored_events() {
    for samples in samples() {
        let mut seen = BTreeSet::new();
        let stories = stories();
        if samples.is_newest() {
            for (name, story) in &stories {
                samples.kept_lines(&format!("entries/{name}.jsonl"), || story().entries.iter().map(line).collect());
            }
        }
        for file in samples.names_in("entries") {
            let name = file.trim_end_matches(".jsonl");
            let made = || stories[name]();
            let entries = samples.kept_lines(&format!("entries/{file}"), || made().entries.iter().map(line).collect());
            let events = samples.kept_lines(&format!("events/{file}"), || made().events.iter().map(line).collect());
            let kept = samples.kept(&format!("states/{name}.json"), || line(&made().state).into_bytes());
            let mut state = FleetState::default();
            let mut made = Vec::new();
            for text in &entries {
                let entry: Entry = read(text);
                assert_keeps(&read(text), &serde_json::to_value(&entry).unwrap(), name);
                let applied = state.apply(state.applied.next(), &entry);
                if applied.result.is_ok() {
                    seen.insert(variant_of(&read::<Value>(text)["command"]));
                }
                made.extend(applied.events);
            }
            let stored: FleetState = read(&String::from_utf8(kept).unwrap());
            assert_eq!(state, stored, "{name}: the same entries make another state than they did");
            let made: Vec<_> = made.iter().map(line).collect();
            assert_eq!(made, events, "{name}: the same entries tell another history than they did");
            let events: Vec<HistoryEvent> = events.iter().map(|text| read(text)).collect();
            assert_eq!(verify_chain(&EventHead::default(), &events), Ok(stored.head.clone()), "{name}");
        }
        if samples.is_newest() {
            // Only a fleet that was restored takes it: below.
            seen.insert("confirm".to_owned());
            let missing: Vec<_> = variants::<Command>().into_iter().filter(|name| !seen.contains(name)).collect();
            assert!(missing.is_empty(), "no stored entry has these commands: {missing:?}; tests/samples/README.md");
        }
    }
}

/// A backup of a fleet that was restored, and what it agreed on then: nothing that entries alone could lead to.
fn backed_up() -> (Vec<u8>, Bench) {
    let backup = by_hand();
    let mut bench = super::restore::restored(&backup, &Since::after(&backup.state.head));
    let file = Backup::of(bench.state.clone(), 7, bench.now, EU.into(), "0.1.0").write().unwrap();
    bench.entries.clear();
    bench.refused(person(), Command::Resume { service: None });
    bench.ok(person(), super::restore::confirm(&[EU], EU));
    bench.settle();
    bench.ok(person(), Command::Resume { service: None });
    (file, bench)
}

#[test]
fn a_stored_backup_can_be_gone_on_from() {
    for samples in samples() {
        // Fleets of the first format could not be restored.
        if !samples.is_newest() && !samples.names_in("").iter().any(|name| name == "restored") {
            continue;
        }
        let file = samples.kept("restored/fleet.failoverd-backup", || backed_up().0);
        let entries = samples.kept_lines("restored/entries.jsonl", || backed_up().1.entries.iter().map(line).collect());
        let stored = samples.kept("restored/state.json", || line(&backed_up().1.state).into_bytes());
        let backup = Backup::read(&file, Format::NEWEST).unwrap();
        assert!(backup.state.restored.is_some());
        let mut state = backup.state;
        let mut confirmed = 0;
        for text in &entries {
            let entry: Entry = read(text);
            assert_keeps(&read(text), &serde_json::to_value(&entry).unwrap(), "restored");
            let done = state.apply(state.applied.next(), &entry).result.is_ok();
            confirmed += usize::from(done && matches!(entry.command, Command::Confirm { .. }));
        }
        assert_eq!(confirmed, 1);
        assert_eq!(state, read(&String::from_utf8(stored).unwrap()));
    }
}

/// Everything that a report can hold.
fn full_reports() -> Vec<Report> {
    let check = Check { name: "records".into(), verdict: Verdict::NotReady, reason: "a stranger's record".into() };
    let sheet = Sheet {
        service: "shop".into(),
        topic: "records".into(),
        store: Some("orders-db".into()),
        region: Some(EU.into()),
        age_ms: 700,
        checks: vec![check],
    };
    let shown = |report: &Report| Rehearsal {
        drill: "gameday.1".into(),
        service: "shop".into(),
        region: EU.into(),
        signals: report.signals.clone(),
        route53: report.route53.first().cloned(),
    };
    let full = breach().into_iter().map(|report| Report {
        votes: vec![("shop".into(), US.into(), Vote::On), ("shop".into(), EU.into(), Vote::Silent)],
        checks: vec![sheet.clone()],
        rehearsals: vec![shown(&report)],
        build: Build { version: "0.1.0".into(), reads: Format::NEWEST },
        settings: Some(super::settings::settings()),
        through: vec![ThroughReading {
            service: "shop".into(),
            status: Status::Bad,
            latency_ms: Some(31),
            age_ms: 200,
            detail: "connection refused".into(),
        }],
        ..report
    });
    full.collect()
}

#[test]
fn stored_reports_say_what_they_said() {
    for samples in samples() {
        let stored = samples.kept_lines("reports.jsonl", || full_reports().iter().map(line).collect());
        let mut matrix = Matrix::default();
        for text in &stored {
            let report: Report = read(text);
            assert_keeps(&read(text), &serde_json::to_value(&report).unwrap(), "report");
            matrix.take(NOW, report);
        }
        let found = diagnose(NOW, &view(), &shop(), &Region::from(US), &matrix);
        assert_eq!(found.diagnosis, Diagnosis::RegionDown, "{}", found.because);
        assert_eq!(matrix.route53_says(NOW, &view(), &"shop".into(), &Region::from(US)), Status::Bad);
        assert!(!matrix.checks(NOW, &"shop".into()).is_empty());
    }
}

#[test]
fn stored_manifests_declare_what_they_declared() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let fleet = FLEET.map(|region| (Region::from(region), Role::Member)).into();
    let declared = |name: &str, text: &[u8], known: &[ServiceSpec]| -> Manifests {
        let known: Vec<&ServiceSpec> = known.iter().collect();
        read_set([(name, text)], &fleet, &known).unwrap_or_else(|problems| panic!("{name}: {problems:?}"))
    };
    for samples in samples() {
        let mut services: Vec<ServiceSpec> = Vec::new();
        let mut drills: Vec<DrillSpec> = Vec::new();
        for name in ["active-passive", "checkout", "orders-active-active", "serverless-ml", "drills"] {
            let text = samples
                .kept(&format!("manifests/{name}.yaml"), || std::fs::read(format!("{examples}/{name}.yaml")).unwrap());
            // Drills are of a service that is applied already.
            let known = if name == "drills" { services.as_slice() } else { &[] };
            let found = declared(name, &text, known);
            services.extend(found.services);
            drills.extend(found.drills);
        }
        let now = [services.iter().map(line).collect::<Vec<_>>(), drills.iter().map(line).collect()].concat();
        let stored = samples.kept_lines("manifests/declared.jsonl", || now.clone());
        let specs = stored.iter().take(services.len()).map(|text| read::<ServiceSpec>(text));
        assert_eq!(specs.collect::<Vec<_>>(), services);
        let specs = stored.iter().skip(services.len()).map(|text| read::<DrillSpec>(text));
        assert_eq!(specs.collect::<Vec<_>>(), drills);
    }
}

#[test]
fn a_released_format_is_never_written_again() {
    let folder = std::env::temp_dir().join(format!("failoverd-samples-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("format-1")).unwrap();
    std::fs::write(folder.join("format-1/a.json"), "1").unwrap();
    std::fs::write(folder.join("format-1/FROZEN"), "another sum  a.json\n").unwrap();
    let opened = std::panic::catch_unwind(|| Samples::of(&folder, Format::FIRST));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(opened.is_err(), "a sample that was changed is noticed");
}
