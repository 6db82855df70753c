//! What a report can show of a move: samples taken second by second, of a fleet that is made up.

use super::*;
use crate::fleet::tests::fixture::{Bench, EU, FLEET, NOW, US, report, view};
use crate::health::{Report, ThroughReading};

/// Takes samples of what every daemon reports, second by second, from `from_s` on.
struct Studio {
    recorder: Recorder,
    state: FleetState,
    matrix: Matrix,
    seq: u64,
}

fn at(s: u64) -> Timestamp {
    NOW.plus_ms(s * 1_000)
}

impl Studio {
    fn new(state: FleetState) -> Self {
        Self { recorder: Recorder::default(), state, matrix: Matrix::default(), seq: 0 }
    }

    /// Every daemon reports, and a sample is taken.
    fn second(&mut self, s: u64, change: impl Fn(&mut Report)) {
        self.seq += 1;
        for observer in FLEET {
            let mut report = Report { seq: self.seq, sent_at: at(s), ..report(observer, Status::Good) };
            for reading in &mut report.signals {
                (reading.age_ms, reading.latency_ms) = (0, Some(7));
            }
            change(&mut report);
            self.matrix.take(at(s), report);
        }
        self.recorder.take(at(s), &self.state, &self.matrix, &view());
    }

    fn seconds(&mut self, s: std::ops::Range<u64>) {
        s.for_each(|s| self.second(s, |_| {}));
    }

    fn curves(&self, from_s: u64, until_s: u64) -> Curves {
        self.recorder.curves(&"shop".into(), at(from_s), at(until_s)).unwrap()
    }
}

fn asked(status: Status, report: &mut Report) {
    let reading =
        ThroughReading { service: "shop".into(), status, latency_ms: Some(3), age_ms: 0, detail: "asked".to_owned() };
    report.through = vec![reading];
}

fn curve<'a>(curves: &'a Curves, observer: &str, signal: &str) -> &'a Curve {
    let mut named = curves.curves.iter().filter(|it| it.observer.as_str() == observer && it.signal == signal);
    named.next().unwrap_or_else(|| panic!("no curve {signal} by {observer}"))
}

#[test]
fn three_minutes_are_kept_at_five_seconds_while_nothing_goes_on() {
    let mut studio = Studio::new(Bench::serving().state);
    studio.seconds(0..600);
    let curves = studio.curves(0, 600);
    let curve = curve(&curves, US, "front-door");
    assert!((36..=38).contains(&curve.at_ms.len()), "{}", curve.at_ms.len());
    assert!(curve.at_ms.windows(2).all(|pair| pair[1] - pair[0] == 5_000));
    assert!(curve.status.iter().all(|status| *status == Status::Good));
    assert!(curve.latency_ms.iter().all(|latency| *latency == Some(7)));
    assert!(curves.through.is_none(), "nobody asked by the public name");
    assert!(studio.recorder.curves(&"shop".into(), at(0), at(60)).is_none(), "that was forgotten");
}

#[test]
fn every_second_is_kept_while_a_run_is_open_and_its_end_is_put_on_record_once() {
    let (mut bench, run) = Bench::running();
    let mut studio = Studio::new(bench.state.clone());
    studio.seconds(0..30);
    assert_eq!(curve(&studio.curves(0, 30), EU, "db").at_ms.len(), 30);
    bench.finish(&run);
    let ended = bench.run(&run).finished_at.unwrap();
    studio.state = bench.state.clone();
    assert!(to_record(ended.plus_ms(RECORDED_AFTER_MS - 1), &studio.state).is_empty(), "too early");
    let due = to_record(ended.plus_ms(RECORDED_AFTER_MS), &studio.state);
    assert_eq!(due.iter().map(|run| &run.id).collect::<Vec<_>>(), [&run]);
    let Command::Record { run: of, curves } = studio.recorder.record(due[0]) else { panic!("no record") };
    assert_eq!(of, run);
    assert!(!curves.curves.is_empty());
    // A daemon that has just started holds nothing, and says so.
    let Command::Record { curves, .. } = Recorder::default().record(due[0]) else { panic!("no record") };
    assert_eq!((curves.curves.len(), &curves.through), (0, &None));
    studio.state.runs.get_mut(&run).unwrap().recorded = true;
    assert!(to_record(ended.plus_ms(RECORDED_AFTER_MS), &studio.state).is_empty());
}

#[test]
fn one_reading_that_is_reported_again_and_again_is_one_point() {
    let (bench, _) = Bench::running();
    let mut studio = Studio::new(bench.state);
    for s in 0..40 {
        studio.second(s, |report| report.signals.iter_mut().for_each(|reading| reading.age_ms = s % 10 * 1_000));
    }
    assert_eq!(curve(&studio.curves(0, 40), EU, "db").at_ms, [0, 10_000, 20_000, 30_000]);
}

#[test]
fn what_users_saw_is_counted_as_the_worst_placed_observer_had_it() {
    let (bench, _) = Bench::running();
    let mut studio = Studio::new(bench.state);
    for s in 0..60 {
        studio.second(s, |report| {
            let until = if report.observer.as_str() == EU { 31 } else { 25 };
            asked(if (20..until).contains(&s) { Status::Bad } else { Status::Good }, report);
        });
    }
    let through = studio.curves(0, 60).through.unwrap();
    assert_eq!((through.asked, through.errors), (180, 5 + 5 + 11));
    assert_eq!(through.longest_gap_ms, 12_000, "from the last good answer to the first");
    assert_eq!(through.well_since, Some(at(31)), "whoever was bad last");
    studio.second(60, |report| asked(Status::Bad, report));
    let through = studio.curves(0, 60).through.unwrap();
    assert_eq!(through.well_since, None, "it is bad again");
}

#[test]
fn what_a_drill_shows_stands_beside_what_was_really_read() {
    let (bench, _) = Bench::running();
    let mut studio = Studio::new(bench.state);
    studio.second(0, |report| {
        let mut signals = report.signals.clone();
        signals.retain(|reading| reading.signal.as_str() == "db");
        signals.iter_mut().for_each(|reading| reading.status = Status::Bad);
        let (drill, service, region) = ("shop-loss.3".into(), "shop".into(), US.into());
        report.rehearsals = vec![crate::health::Rehearsal { drill, service, region, signals, route53: None }];
    });
    let curves = studio.curves(0, 0);
    assert_eq!(curve(&curves, EU, "db").status, [Status::Good]);
    assert_eq!(curve(&curves, EU, "db (shown by shop-loss.3)").status, [Status::Bad]);
}

#[test]
fn a_run_that_lasts_for_hours_stays_small_and_keeps_its_bad_moments() {
    let (bench, _) = Bench::running();
    let mut studio = Studio::new(bench.state);
    for s in 0..7_200 {
        studio.second(s, |report| asked(if s == 100 { Status::Bad } else { Status::Good }, report));
    }
    let curves = studio.curves(0, 7_200);
    let points: usize = curves.curves.iter().map(|curve| curve.at_ms.len()).sum();
    assert!(points <= MOST_POINTS, "{points}");
    let through = curve(&curves, EU, THROUGH);
    assert!(through.at_ms.len() <= MOST_ROWS && through.status.contains(&Status::Bad));
    let seen = curves.through.unwrap();
    assert_eq!((seen.asked, seen.errors), (3 * 7_200, 3), "counts are exact, however few points are left");
    assert!(serde_json::to_vec(&curves.curves).unwrap().len() < 1_000_000);
}

#[test]
fn a_thousand_services_at_rest_fit_into_thirty_megabytes() {
    let tape = |at: u64| {
        let columns = (0..3 * 2 * 4).map(|n| Column {
            observer: US.into(),
            region: Some(EU.into()),
            signal: SignalName::new(format!("signal-{n}")),
            newest: Timestamp(at),
        });
        let row = |n: u64| Row { at: Timestamp(n), cells: vec![Cell::new(Status::Good, Some(n)); 24].into() };
        Tape { columns: columns.collect(), rows: (0..=KEPT_MS / IDLE_MS).map(row).collect(), through: BTreeMap::new() }
    };
    let tape = tape(1);
    // With what an allocator adds to each.
    let columns = tape.columns.len() * (size_of::<Column>() + 3 * (16 + 16));
    let rows: usize = tape.rows.iter().map(|row| size_of::<Row>() + size_of_val(&*row.cells) + 16).sum();
    assert!((columns + rows) * 1_000 < 30_000_000, "{} bytes a service", columns + rows);
}

#[test]
fn a_cell_reads_as_it_was_written() {
    assert_eq!(Cell::default().read(), None);
    for status in [Status::Good, Status::Bad, Status::Unknown] {
        for latency in [None, Some(0), Some(1_234)] {
            assert_eq!(Cell::new(status, latency).read(), Some((status, latency)));
        }
    }
    let (good, bad) = (Cell::new(Status::Good, Some(9_000)), Cell::new(Status::Bad, None));
    assert_eq!(good.max(bad), bad);
}
