//! What daemons' files say of the whole fleet: agreed on by most of them, never by one.

use super::fixture::*;
use super::members::{FOURTH, enlist};
use crate::fleet::*;
use crate::format::Format;
use crate::glass::tests::enrolment;
use crate::health::Report;
use crate::ids::Region;

pub(super) fn settings() -> FleetSettings {
    let velocity = Velocity { window_ms: 3_600_000, regions: 1, services: None };
    FleetSettings { velocity: Some(velocity), break_glass: Some(enrolment()) }
}

/// A fleet that writes the format in which settings are agreed on.
pub(super) fn modern(mut bench: Bench) -> Bench {
    bench.ok(daemon(), Command::RaiseFormat { format: Format(2) });
    bench
}

pub(super) fn agreed(bench: Bench, settings: FleetSettings) -> Bench {
    let mut bench = modern(bench);
    bench.ok(daemon(), agree(settings, &[US, EU]));
    bench
}

fn agree(settings: FleetSettings, said_by: &[&str]) -> Command {
    Command::Agree { settings, said_by: said_by.iter().map(|region| Region::from(*region)).collect() }
}

fn saying(files: [Option<FleetSettings>; 3]) -> Vec<Report> {
    healthy().into_iter().zip(files).map(|(report, settings)| Report { settings, ..report }).collect()
}

fn proposed(bench: &Bench, files: [Option<FleetSettings>; 3]) -> Vec<Command> {
    tick(bench.now, &bench.state, &bench.matrix(saying(files)), &view())
}

#[test]
fn most_files_decide_and_one_alone_does_not() {
    let bench = modern(Bench::serving());
    let other = FleetSettings { break_glass: None, ..settings() };
    let none = Some(FleetSettings::default());
    assert_eq!(proposed(&bench, [Some(settings()), none.clone(), none.clone()]), vec![]);
    assert_eq!(proposed(&bench, [Some(settings()), Some(other), none.clone()]), vec![], "three that differ");
    assert_eq!(proposed(&bench, [Some(settings()), None, None]), vec![], "older builds say nothing");
    let wanted = vec![agree(settings(), &[US, WITNESS])];
    assert_eq!(proposed(&bench, [Some(settings()), none.clone(), Some(settings())]), wanted);

    let mut bench = bench;
    bench.ok(daemon(), wanted[0].clone());
    assert_eq!(bench.state.settings, settings());
    assert_eq!(proposed(&bench, [Some(settings()), Some(settings()), none.clone()]), vec![], "once");
    let told = &bench.events.last().unwrap().message;
    assert!(
        told.contains("any number of services out of 1 Region(s) in 3600 s") && told.contains("2 of alice, bob, carol"),
        "{told}"
    );
    // Taken back as it came.
    assert_eq!(proposed(&bench, [none.clone(), none.clone(), Some(settings())]).len(), 1);
}

#[test]
fn a_fleet_that_does_not_read_them_yet_agrees_on_nothing() {
    let mut bench = Bench::serving();
    let state = serde_json::to_value(&bench.state).unwrap();
    assert_eq!(state.get("settings"), None, "an older build reads this state");
    assert_eq!(proposed(&bench, [Some(settings()), Some(settings()), Some(settings())]), vec![]);
    assert_eq!(bench.refused(daemon(), agree(settings(), &FLEET)), "FORMAT_NOT_AGREED");
}

#[test]
fn whoever_proposes_it_no_minority_no_stranger_no_person_and_no_nonsense_counts() {
    let mut bench = modern(Bench::serving());
    assert_eq!(bench.refused(daemon(), agree(settings(), &[US])), "NOT_AGREED");
    assert_eq!(bench.refused(daemon(), agree(settings(), &[US, "mars-1", "moon-1"])), "NOT_AGREED");
    assert_eq!(bench.refused(person(), agree(settings(), &FLEET)), "NOT_BY_HAND");
    let mut lax = settings();
    lax.break_glass.as_mut().unwrap().threshold = 1;
    assert_eq!(bench.refused(daemon(), agree(lax, &FLEET)), "INVALID_SETTINGS");
    let still =
        FleetSettings { velocity: Some(Velocity { window_ms: 1_000, regions: 0, services: None }), break_glass: None };
    assert_eq!(bench.refused(daemon(), agree(still, &FLEET)), "INVALID_SETTINGS");
    bench.ok(daemon(), agree(settings(), &FLEET));
    assert_eq!(bench.refused(daemon(), agree(settings(), &FLEET)), "AGREED");
    // Half of a fleet is not most of it.
    let mut four = modern(Bench::serving());
    four.ok(person(), enlist(FOURTH, Role::Member));
    assert_eq!(four.refused(daemon(), agree(settings(), &[US, EU])), "NOT_AGREED");
    four.ok(daemon(), agree(settings(), &[US, EU, FOURTH]));
}

#[test]
fn a_limit_has_a_window_that_can_be_kept_and_lets_something_move() {
    let check = |window_ms, regions, services| {
        let velocity = Some(Velocity { window_ms, regions, services });
        FleetSettings { velocity, break_glass: None }.check().is_ok()
    };
    for (window_ms, fits) in [(999, false), (1_000, true), (MOST_WINDOW_MS, true), (MOST_WINDOW_MS + 1, false)] {
        assert_eq!(check(window_ms, 1, None), fits, "{window_ms}");
    }
    assert!(check(1_000, 1, Some(1)) && !check(1_000, 0, None) && !check(1_000, 1, Some(0)));
    let said = |services| Velocity { window_ms: 60_000, regions: 2, services }.sentence();
    assert_eq!(said(Some(3)), "3 services out of 2 Region(s) in 60 s");
    assert_eq!(said(None), "any number of services out of 2 Region(s) in 60 s");
    let nothing = "no limit on automatic moves; the glass is broken by nobody";
    assert_eq!(FleetSettings::default().sentence(), nothing);
}

#[test]
fn a_report_with_settings_that_make_no_sense_is_not_taken() {
    let mut report = healthy().remove(0);
    report.settings = Some(settings());
    assert_eq!(report.check_sense(report.applied), Ok(()));
    report.settings.as_mut().unwrap().break_glass.as_mut().unwrap().keys.clear();
    assert!(report.check_sense(report.applied).unwrap_err().contains("could never be used"));
}
