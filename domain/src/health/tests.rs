//! Diagnosis by quorum, as a table of who sees what.

use std::collections::BTreeMap;

use super::*;
use crate::ids::{LogIndex, Region, ServiceName};
use crate::service::{
    Automation, HealthSpec, Objectives, OnDoubt, Pattern, Policy, ProbeSpec, ServiceSpec, Signal, SwitchTransport,
    Traffic, Weight,
};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp(1_000_000);
const FLEET: [&str; 3] = ["us-east-1", "eu-west-1", "us-west-2"];

pub(crate) fn spec(name: &str) -> ServiceSpec {
    let signal = |name: &str, weight| Signal {
        name: name.into(),
        weight,
        probe: ProbeSpec::Tcp { address: "{region}.example.com:443".into(), interval_ms: None, timeout_ms: 1_000 },
    };
    ServiceSpec {
        name: name.into(),
        labels: BTreeMap::new(),
        pattern: Pattern::ActivePassive,
        regions: vec!["us-east-1".into(), "eu-west-1".into()],
        role_arn: None,
        follows: None,
        objectives: Objectives { rto_ms: 300_000, rpo_ms: 5_000 },
        policy: Policy {
            failover: Automation::Automatic,
            announce_ms: 0,
            cooldown_ms: 0,
            restore_pause_ms: 300_000,
            loss_over_budget: OnDoubt::Approval,
            unfenced: OnDoubt::Approval,
            freeze: vec![],
            require_drill_within_ms: None,
        },
        health: HealthSpec {
            breach_after_ms: 30_000,
            recover_after_ms: 60_000,
            signals: vec![
                signal("front-door", Weight::Required),
                signal("db", Weight::Required),
                signal("errors", Weight::Advisory),
            ],
        },
        traffic: Traffic {
            hosted_zone: "example.com".into(),
            switch: SwitchTransport::Http,
            switch_group: None,
            records: vec![],
        },
        data: vec![],
    }
}

fn view() -> View {
    View { me: "eu-west-1".into(), members: FLEET.map(Region::from).to_vec(), stale_after_ms: 5_000, rehearses: None }
}

/// A report of an observer that reaches everybody and finds every signal in the same state.
fn report(observer: &str, status: Status, breached: bool) -> Report {
    let signal = |name: &str| SignalReading {
        service: "shop".into(),
        region: "us-east-1".into(),
        signal: name.into(),
        status,
        held_ms: 12_000,
        age_ms: 500,
        breached,
        detail: "seen".into(),
        latency_ms: None,
    };
    Report {
        observer: observer.into(),
        build: Default::default(),
        settings: None,
        seq: 1,
        sent_at: NOW,
        applied: LogIndex(1),
        history_confirmed: None,
        reaches: FLEET.iter().filter(|peer| **peer != observer).map(|peer| Region::from(*peer)).collect(),
        references: FLEET.iter().map(|region| (Region::from(*region), true)).collect(),
        signals: ["front-door", "db", "errors"].map(signal).to_vec(),
        stores: vec![],
        route53: vec![],
        control_planes: FLEET.iter().map(|region| (Region::from(*region), Status::Good)).collect(),
        votes: vec![],
        checks: vec![],
        rehearsals: Vec::new(),
        through: Vec::new(),
    }
}

fn good(observer: &str) -> Report {
    report(observer, Status::Good, false)
}

pub(crate) fn bad(observer: &str) -> Report {
    report(observer, Status::Bad, true)
}

fn matrix(reports: impl IntoIterator<Item = Report>) -> Matrix {
    let mut matrix = Matrix::default();
    for report in reports {
        matrix.take(NOW.minus_ms(1_000), report);
    }
    matrix
}

fn judge(reports: impl IntoIterator<Item = Report>) -> Finding {
    diagnose(NOW, &view(), &spec("shop"), &"us-east-1".into(), &matrix(reports))
}

fn cut_off(mut report: Report) -> Report {
    report.reaches.clear();
    report.references.values_mut().for_each(|answers| *answers = false);
    report
}

#[test]
fn all_good_is_healthy() {
    let finding = judge(FLEET.map(good));
    assert_eq!(finding.diagnosis, Diagnosis::Healthy);
    assert_eq!(finding.because, "all 3 observers see it good");
    assert_eq!(finding.held_ms, 13_000);
}

#[test]
fn a_silent_region_that_two_see_broken_is_region_down() {
    let finding = judge([bad("eu-west-1"), bad("us-west-2")]);
    assert_eq!(finding.diagnosis, Diagnosis::RegionDown);
    assert_eq!(
        finding.because,
        "2 of 3 observers (eu-west-1, us-west-2) see front-door and db bad for 13 s; us-east-1 has never been heard"
    );
    assert_eq!(finding.opinions.iter().filter(|opinion| opinion.counts).count(), 2);
}

#[test]
fn a_region_whose_daemon_answers_is_service_down() {
    let finding = judge(FLEET.map(bad));
    assert_eq!(finding.diagnosis, Diagnosis::ServiceDown);
    let one_dissents = judge([good("us-east-1"), bad("eu-west-1"), bad("us-west-2")]);
    assert_eq!(one_dissents.diagnosis, Diagnosis::ServiceDown);
    assert!(one_dissents.because.contains("; it is good for us-east-1"), "{}", one_dissents.because);
}

#[test]
fn a_dead_reference_or_control_plane_by_quorum_makes_it_the_region() {
    let with = |count: usize, edit: fn(&mut Report)| {
        let mut reports = FLEET.map(bad);
        reports.iter_mut().take(count).for_each(edit);
        judge(reports).diagnosis
    };
    let reference = |report: &mut Report| _ = report.references.insert("us-east-1".into(), false);
    let control = |report: &mut Report| _ = report.control_planes.insert("us-east-1".into(), Status::Bad);
    assert_eq!(with(1, reference), Diagnosis::ServiceDown);
    assert_eq!(with(2, reference), Diagnosis::RegionDown);
    assert_eq!(with(1, control), Diagnosis::ServiceDown);
    assert_eq!(with(2, control), Diagnosis::RegionDown);
}

#[test]
fn one_bad_observer_is_no_quorum() {
    let finding = judge([good("us-east-1"), bad("eu-west-1"), good("us-west-2")]);
    assert_eq!(finding.diagnosis, Diagnosis::Degraded);
    assert!(finding.because.contains("front-door is bad for 1 of 3 observers (eu-west-1)"), "{}", finding.because);
    let alone = judge([bad("eu-west-1")]);
    assert_eq!(alone.diagnosis, Diagnosis::Unknown);
    assert!(alone.because.starts_with("only 1 of 3 observers can be counted, and 2 are needed"), "{}", alone.because);
}

#[test]
fn all_required_signals_must_be_bad() {
    let mut reports = FLEET.map(bad);
    for report in &mut reports {
        report.signals[1].status = Status::Good;
        report.signals[1].breached = false;
    }
    assert_eq!(judge(reports).diagnosis, Diagnosis::Degraded);
}

#[test]
fn bad_that_is_not_yet_a_breach_is_not_broken_and_not_healthy() {
    let finding = judge(FLEET.map(|observer| report(observer, Status::Bad, false)));
    assert_eq!(finding.diagnosis, Diagnosis::Degraded);
}

#[test]
fn a_service_that_came_back_is_not_broken_but_not_healthy_yet() {
    let finding = judge(FLEET.map(|observer| report(observer, Status::Good, true)));
    assert_eq!(finding.diagnosis, Diagnosis::Degraded);
    assert!(finding.because.contains("good again"), "{}", finding.because);
}

#[test]
fn unknown_never_counts_as_bad_even_after_a_breach() {
    let finding = judge(FLEET.map(|observer| report(observer, Status::Unknown, true)));
    assert_eq!(finding.diagnosis, Diagnosis::Unknown);
}

#[test]
fn advisory_signals_explain_and_never_prove() {
    let mut reports = FLEET.map(good);
    for report in &mut reports {
        report.signals[2].status = Status::Bad;
        report.signals[2].breached = true;
    }
    let finding = judge(reports);
    assert_eq!(finding.diagnosis, Diagnosis::Degraded);
    assert!(finding.because.contains("advisory errors is bad for 3 of 3"), "{}", finding.because);
}

#[test]
fn stale_reports_and_stale_readings_do_not_count() {
    let mut stale_report = matrix([bad("eu-west-1")]);
    stale_report.take(NOW.minus_ms(5_001), bad("us-west-2"));
    let finding = diagnose(NOW, &view(), &spec("shop"), &"us-east-1".into(), &stale_report);
    assert_eq!(finding.diagnosis, Diagnosis::Unknown);
    assert!(finding.because.contains("us-west-2 is silent"), "{}", finding.because);

    let mut stale_reading = bad("us-west-2");
    stale_reading.signals[0].age_ms = 4_001;
    let finding = judge([bad("eu-west-1"), stale_reading]);
    assert_eq!(finding.diagnosis, Diagnosis::Unknown);
    assert!(finding.because.contains("us-west-2 has no fresh reading of front-door"), "{}", finding.because);

    let mut just_fresh = bad("us-west-2");
    just_fresh.signals[0].age_ms = 4_000;
    assert_eq!(judge([bad("eu-west-1"), just_fresh]).diagnosis, Diagnosis::RegionDown);
}

#[test]
fn a_rarely_asked_signal_counts_between_its_probes() {
    let mut spec = spec("shop");
    spec.health.signals.truncate(1);
    spec.health.signals[0].probe =
        ProbeSpec::Tcp { address: "x:1".into(), interval_ms: Some(60_000), timeout_ms: 1_000 };
    let mut reports = [bad("eu-west-1"), bad("us-west-2")];
    reports.iter_mut().for_each(|report| report.signals[0].age_ms = 59_000);
    let finding = diagnose(NOW, &view(), &spec, &"us-east-1".into(), &matrix(reports));
    assert_eq!(finding.diagnosis, Diagnosis::RegionDown);
}

#[test]
fn an_isolated_observer_has_no_vote() {
    let finding = judge([bad("eu-west-1"), cut_off(bad("us-west-2"))]);
    assert_eq!(finding.diagnosis, Diagnosis::Unknown);
    assert!(finding.because.contains("us-west-2 is cut off itself"), "{}", finding.because);
    // Reaching a single reference is enough to be heard.
    let mut one_reference = cut_off(bad("us-west-2"));
    one_reference.references.insert("eu-west-1".into(), true);
    assert_eq!(judge([bad("eu-west-1"), one_reference]).diagnosis, Diagnosis::RegionDown);
    // So is reaching a peer; whoever reaches itself, or somebody who is not of the fleet, reaches none.
    for (reaches, counts) in [("eu-west-1", true), ("us-west-2", false), ("sa-east-1", false)] {
        let mut one_peer = cut_off(bad("us-west-2"));
        one_peer.reaches.push(reaches.into());
        let down = judge([bad("eu-west-1"), one_peer]).diagnosis == Diagnosis::RegionDown;
        assert_eq!(down, counts, "{reaches}");
    }
}

#[test]
fn when_i_am_isolated_nothing_else_is_said() {
    let finding = judge([cut_off(bad("eu-west-1")), bad("us-west-2"), bad("us-east-1")]);
    assert_eq!(finding.diagnosis, Diagnosis::ObserverIsolated);
    assert!(finding.opinions.is_empty());
    assert!(finding.because.starts_with("eu-west-1 reaches no other daemon"), "{}", finding.because);
}

#[test]
fn a_fleet_of_one_is_isolated_only_by_its_references() {
    let view =
        View { me: "eu-west-1".into(), members: vec!["eu-west-1".into()], stale_after_ms: 5_000, rehearses: None };
    let isolated = |report: Report| matrix([report]).isolated(NOW, &view, &"eu-west-1".into());
    let mut alone = good("eu-west-1");
    alone.reaches.clear();
    assert!(!isolated(alone.clone()));
    assert!(isolated(cut_off(alone.clone())));
    alone.references.clear();
    assert!(!isolated(alone));
}

#[test]
fn a_fine_service_under_a_dead_api_is_control_plane_only() {
    let mut reports = FLEET.map(good);
    for report in reports.iter_mut().take(2) {
        report.control_planes.insert("us-east-1".into(), Status::Bad);
    }
    let finding = judge(reports.clone());
    assert_eq!(finding.diagnosis, Diagnosis::ControlPlaneOnly);
    reports[0].control_planes.insert("us-east-1".into(), Status::Unknown);
    assert_eq!(judge(reports).diagnosis, Diagnosis::Healthy);
}

#[test]
fn what_each_observer_says_is_told_in_words() {
    let told = |witness: Option<Report>, later_ms: u64| {
        let seen = matrix([Some(good("eu-west-1")), witness].into_iter().flatten());
        let now = NOW.plus_ms(later_ms);
        let finding = diagnose(now, &view(), &spec("shop"), &"us-east-1".into(), &seen);
        let of = finding.opinions.into_iter().find(|opinion| opinion.observer.as_str() == "us-west-2");
        of.unwrap().detail
    };
    let witness = |status, breached| Some(report("us-west-2", status, breached));
    let all = |word: &str| ["front-door", "db", "errors"].map(|signal| format!("{signal}: {word} (seen)")).join("; ");
    assert_eq!(told(None, 0), "has never been heard");
    assert_eq!(told(witness(Status::Good, false), 9_500), "silent for 10 s");
    assert_eq!(told(Some(cut_off(good("us-west-2"))), 0), "reaches no peer and no reference endpoint");
    let mut unread = good("us-west-2");
    unread.signals.remove(1);
    assert_eq!(told(Some(unread), 0), "has no fresh reading of db");
    assert_eq!(told(witness(Status::Good, false), 0), "good");
    assert_eq!(told(witness(Status::Good, true), 0), all("good again, not for long enough"));
    assert_eq!(told(witness(Status::Bad, true), 0), all("bad"));
    assert_eq!(told(witness(Status::Bad, false), 0), all("bad, not for long enough"));
    assert_eq!(told(witness(Status::Unknown, false), 0), all("cannot tell"));
}

#[test]
fn what_only_explains_proves_nothing() {
    let mut explained = spec("shop");
    explained.health.signals.iter_mut().for_each(|signal| signal.weight = Weight::Advisory);
    for reports in [FLEET.map(bad), FLEET.map(good)] {
        let finding = diagnose(NOW, &view(), &explained, &"us-east-1".into(), &matrix(reports));
        assert!(finding.opinions.iter().all(|opinion| opinion.status == Status::Unknown), "{finding:?}");
        assert!(!finding.diagnosis.is_breach(), "{finding:?}");
    }
}

#[test]
fn a_majority_must_be_fresh() {
    let fresh = |reports: Vec<Report>| matrix(reports).fresh_majority(NOW, &view());
    assert!(fresh(vec![good("eu-west-1"), good("us-west-2")]));
    assert!(!fresh(vec![good("eu-west-1")]));
    assert!(!fresh(vec![good("eu-west-1"), cut_off(good("us-west-2"))]));
    assert!(!fresh(vec![good("eu-west-1"), good("sa-east-1")]), "strangers do not count");
    let stranger = matrix([good("sa-east-1")]);
    assert!(stranger.counting(NOW, &view(), &"sa-east-1".into()).is_none());
}

#[test]
fn route53_is_believed_by_its_freshest_word() {
    let says = |words: &[(&str, Status, u64)]| {
        let reports = words.iter().map(|(observer, status, age_ms)| {
            let mut report = good(observer);
            let reading =
                Route53Reading { service: "shop".into(), region: "us-east-1".into(), status: *status, age_ms: *age_ms };
            report.route53.push(reading);
            report
        });
        matrix(reports).route53_says(NOW, &view(), &"shop".into(), &"us-east-1".into())
    };
    use Status::{Bad, Good, Unknown};
    assert_eq!(says(&[]), Unknown);
    assert_eq!(says(&[("eu-west-1", Bad, 100)]), Bad);
    assert_eq!(says(&[("eu-west-1", Bad, 100), ("us-west-2", Good, 200)]), Bad);
    assert_eq!(says(&[("eu-west-1", Bad, 200), ("us-west-2", Good, 100)]), Good);
    assert_eq!(says(&[("eu-west-1", Bad, 100), ("us-west-2", Good, 100)]), Good);
    assert_eq!(says(&[("eu-west-1", Bad, 200), ("us-west-2", Unknown, 100)]), Bad);
    assert_eq!(says(&[("eu-west-1", Bad, 4_001)]), Unknown, "stale");
}

#[test]
fn the_index_finds_every_reading_of_an_unsorted_report() {
    let mut report = good("eu-west-1");
    report.signals.clear();
    for n in [3, 1, 2, 0] {
        for region in ["us-east-1", "eu-west-1"] {
            for signal in ["b", "a"] {
                let reading = SignalReading {
                    service: ServiceName::new(format!("s{n}")),
                    region: region.into(),
                    signal: signal.into(),
                    status: Status::Good,
                    held_ms: 0,
                    age_ms: 0,
                    breached: false,
                    detail: format!("{n}/{region}/{signal}"),
                    latency_ms: None,
                };
                report.signals.push(reading);
            }
        }
        report.stores.push(StoreReading {
            service: ServiceName::new(format!("s{n}")),
            store: "db".into(),
            region: "eu-west-1".into(),
            readiness: ReplicaReadiness::Ready,
            writer: None,
            canary: None,
            lag_ms: Some((n, 0)),
            age_ms: 0,
        });
    }
    let matrix = matrix([report]);
    for n in 0..4 {
        let service = ServiceName::new(format!("s{n}"));
        for region in ["us-east-1", "eu-west-1"] {
            for signal in ["a", "b"] {
                let (_, found) = matrix.signal(&"eu-west-1".into(), &service, &region.into(), &signal.into()).unwrap();
                assert_eq!(found.detail, format!("{n}/{region}/{signal}"));
            }
        }
        assert_eq!(matrix.store(&service, &"db".into(), &"eu-west-1".into())[0].1.lag_ms, Some((n, 0)));
    }
    assert!(matrix.signal(&"eu-west-1".into(), &"s9".into(), &"us-east-1".into(), &"a".into()).is_none());
}

#[test]
fn a_restarted_observer_is_believed_and_an_old_report_is_not() {
    let mut held = matrix([Report { seq: 7, ..good("eu-west-1") }]);
    held.take(NOW, Report { seq: 6, ..bad("eu-west-1") });
    assert_eq!(held.of(&"eu-west-1".into()).unwrap().report.seq, 7);
    held.take(NOW, Report { seq: 8, sent_at: NOW.plus_ms(1), ..bad("eu-west-1") });
    assert_eq!(held.of(&"eu-west-1".into()).unwrap().report.seq, 8);
    // Its first ones were lost: what was sent later is newer whatever its number.
    held.take(NOW, Report { seq: 3, sent_at: NOW.plus_ms(2), ..bad("eu-west-1") });
    assert_eq!(held.of(&"eu-west-1".into()).unwrap().report.seq, 3);
    held.take(NOW, Report { seq: 1, ..bad("eu-west-1") });
    assert_eq!(held.of(&"eu-west-1".into()).unwrap().report.seq, 1);
}

#[test]
fn what_was_heard_before_a_time_that_nobody_measured_is_older_by_it() {
    let mut held = matrix([good("eu-west-1")]);
    assert!(held.fresh(NOW, &"eu-west-1".into(), 5_000).is_some());
    held.age(4_000);
    assert!(held.fresh(NOW, &"eu-west-1".into(), 5_000).is_some(), "at most so old");
    held.age(1);
    assert!(held.fresh(NOW, &"eu-west-1".into(), 5_000).is_none());
}

#[test]
fn a_vote_is_for_one_switch_and_one_of_its_bits() {
    let mut voter = good("eu-west-1");
    voter.votes = vec![("shop".into(), "us-east-1".into(), Vote::Off), ("cart".into(), "eu-west-1".into(), Vote::On)];
    let held = matrix([voter]);
    let vote = |group: &str, bit_of: &str, later_ms| {
        held.vote(NOW.plus_ms(later_ms), &"eu-west-1".into(), 5_000, &group.into(), &bit_of.into())
    };
    assert_eq!((vote("shop", "us-east-1", 0), vote("cart", "eu-west-1", 0)), (Vote::Off, Vote::On));
    assert_eq!((vote("shop", "eu-west-1", 0), vote("cart", "us-east-1", 0)), (Vote::Silent, Vote::Silent));
    assert_eq!(vote("shop", "us-east-1", 4_001), Vote::Silent, "too long ago");
    assert_eq!(held.vote(NOW, &"us-west-2".into(), 5_000, &"shop".into(), &"us-east-1".into()), Vote::Silent);
}

/// The matrix of a daemon that heard the others' clocks say so much more than its own.
fn heard_skews(skews: &[(&str, i64)]) -> Matrix {
    let mut matrix = Matrix::default();
    for (observer, ms) in skews {
        let mut report = report(observer, Status::Good, false);
        report.seq = 7;
        report.sent_at = Timestamp(NOW.0.checked_add_signed(*ms).unwrap());
        matrix.take(NOW, report);
    }
    matrix
}

#[test]
fn a_clock_is_off_when_a_majority_of_the_fleet_hears_it_so_and_by_what_the_nearest_says() {
    let off = |skews: &[(&str, i64)]| heard_skews(skews).clock_is_off(NOW, &view());
    assert_eq!(off(&[("us-east-1", -600_000), ("us-west-2", -599_000)]), Some(599_000), "ahead");
    assert_eq!(off(&[("us-east-1", 10_000), ("us-west-2", 12_000)]), Some(-10_000), "behind");
    assert_eq!(off(&[("us-east-1", 9_999), ("us-west-2", 12_000)]), None, "too little to tell from a slow message");
    assert_eq!(off(&[("us-east-1", -20_000), ("us-west-2", 20_000)]), None, "they do not agree");
    assert_eq!(off(&[("us-east-1", -20_000)]), None, "one of two may be wrong itself");
    assert_eq!(off(&[("us-east-1", -20_000), ("eu-west-1", -20_000)]), None, "its own report says nothing");
}

#[test]
fn a_daemon_that_comes_back_with_its_clock_set_back_is_heard_again() {
    let mut matrix = heard_skews(&[("us-east-1", 600_000)]);
    let fifth = || Report { seq: 5, ..report("us-east-1", Status::Bad, false) };
    // Its first one is lost; right after the last of the old ones it may be one that was overtaken.
    matrix.take(NOW.plus_ms(1_000), fifth());
    assert_eq!(matrix.of(&"us-east-1".into()).unwrap().at, NOW);
    matrix.take(NOW.plus_ms(6_000), fifth());
    assert_eq!(matrix.of(&"us-east-1".into()).unwrap().at, NOW.plus_ms(6_000));
}

#[test]
fn a_majority_is_more_than_half_of_the_whole_fleet() {
    let fleet = |size: usize| View { members: (0..size).map(|at| format!("at-{at}").into()).collect(), ..view() };
    let majorities: Vec<usize> = (1..=7).map(|size| fleet(size).majority()).collect();
    assert_eq!(majorities, [1, 2, 2, 3, 3, 4, 4]);
}
