//! What a fleet writes while some of its daemons are older than others.

use super::fixture::*;
use crate::fleet::*;
use crate::format::{Build, Format};
use crate::health::{Report, Status};
use crate::ids::Region;

fn of_build(observer: &str, reads: u32) -> Report {
    let build = Build { version: format!("0.{reads}.0"), reads: Format(reads) };
    Report { build, ..report(observer, Status::Good) }
}

fn raise(format: u32) -> Command {
    Command::RaiseFormat { format: Format(format) }
}

/// An entry that needs a format, whatever it does.
fn needs(format: u32) -> Entry {
    Entry { format: Format(format), ..Entry::new(NOW, person(), Command::Pause { service: None }) }
}

/// What the leader would propose about the format, for what it has heard.
fn proposed(bench: &Bench, reports: Vec<Report>) -> Option<Command> {
    let proposals = tick(bench.now, &bench.state, &bench.matrix(reports), &view());
    proposals.into_iter().find(|proposal| matches!(proposal, Command::RaiseFormat { .. }))
}

#[test]
fn the_format_rises_when_the_last_daemon_reads_the_next_one() {
    let bench = Bench::formed();
    assert_eq!(proposed(&bench, healthy()), None, "everybody reads what is written already");
    assert_eq!(proposed(&bench, vec![of_build(US, 2), of_build(EU, 2), of_build(WITNESS, 1)]), None);
    assert_eq!(proposed(&bench, vec![of_build(US, 2), of_build(EU, 3)]), None, "who was never heard may be old");
    let all = vec![of_build(US, 2), of_build(EU, 3), of_build(WITNESS, 2)];
    assert_eq!(proposed(&bench, all), Some(raise(2)), "as far as the oldest reads");
}

#[test]
fn a_silent_daemon_counts_with_what_it_said_last() {
    let mut bench = Bench::formed();
    let heard = bench.matrix(FLEET.map(|region| of_build(region, 2)).to_vec());
    bench.now = bench.now.plus_ms(3_600_000);
    assert!(heard.fresh(bench.now, &Region::from(WITNESS), 5_000).is_none());
    assert_eq!(bench.state.read_by_all(&heard), Format(2));
}

#[test]
fn what_needs_a_newer_format_is_refused_until_the_fleet_writes_it() {
    let mut bench = Bench::formed();
    let refused = bench.state.clone().apply(bench.state.applied.next(), &needs(2)).result.unwrap_err();
    assert_eq!(refused.code, "FORMAT_NOT_AGREED");
    assert!(refused.reason.contains("needs format 2") && refused.reason.contains("writes format 1"), "{refused}");
    assert_eq!(bench.state.may_be_written(&needs(2)), Err(refused), "in the same words before it is in the log");

    bench.ok(daemon(), raise(2));
    assert!(bench.state.apply(bench.state.applied.next(), &needs(2)).result.is_ok());
    assert!(bench.state.apply(bench.state.applied.next(), &needs(1)).result.is_ok(), "older entries are read for ever");
    assert!(bench.state.apply(bench.state.applied.next(), &needs(3)).result.is_err());
}

#[test]
fn the_format_never_goes_back_and_no_person_raises_it() {
    let mut bench = Bench::formed();
    bench.ok(daemon(), raise(3));
    for older in [1, 2, 3] {
        assert_eq!(bench.refused(daemon(), raise(older)), "STALE_FORMAT");
    }
    assert_eq!(bench.refused(person(), raise(4)), "NOT_BY_HAND");
    let event = bench.events.last().unwrap();
    assert_eq!(event.message, "every daemon reads format 3: the fleet writes it instead of 1");
    let written = serde_json::to_string(&bench.state).unwrap();
    assert_eq!(serde_json::from_str::<FleetState>(&written).unwrap(), bench.state, "it survives a snapshot");
}

#[test]
fn the_first_format_is_written_as_it_was_before_formats_had_numbers() {
    let entry = Entry::new(NOW, person(), Command::Pause { service: None });
    let text = serde_json::to_string(&entry).unwrap();
    assert_eq!(text, r#"{"at":1000000,"actor":{"operator":"alice"},"command":{"pause":{"service":null}}}"#);
    assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    let newer = serde_json::to_string(&needs(2)).unwrap();
    assert!(newer.starts_with(r#"{"format":2,"at""#), "the number stands first: {newer}");
    assert!(!serde_json::to_string(&Bench::formed().state).unwrap().contains("format"));
}

#[test]
fn a_report_without_a_build_is_one_of_the_first_format() {
    let mut report = serde_json::to_value(of_build(EU, 7)).unwrap();
    report.as_object_mut().unwrap().remove("build");
    report["what_later_builds_say"] = 1.into();
    let read: Report = serde_json::from_value(report).unwrap();
    assert_eq!(read.build, Build::default(), "and what is not known of it is passed over");
}
