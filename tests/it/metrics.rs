//! What three daemons tell a scraper, against what `docs/metrics.md` promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use failoverd::adapters::clock::SystemClock;
use failoverd::ports::Viewpoint;
use failoverd::sandbox::REGIONS;
use failoverd::telemetry::{Exposition, Kind, LogControl, Telemetry, defined};
use failoverd_domain::drill::{DrillPhase, DrillRun, Schedule};
use failoverd_domain::fleet::{FleetState, Role, RunState, ServicePhase};
use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::sandbox::{Fixture, PATIENCE};

const LOOK: Duration = Duration::from_millis(100);

/// One sample: its name, its labels, its value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Labels beside those of the table.
const COMMON: [&str; 2] = ["fleet", "daemon"];

/// Not to be seen in a sandbox that loses a Region and holds no drill: no TLS (`process/security.rs` looks), no webhooks,
/// active-passive alone, nothing that asks for a drill. Those of drills and licences are looked up in a stored state.
const ELSEWHERE: [&str; 11] = [
    "failoverd_tls_certificate_expiry_timestamp_seconds",
    "failoverd_webhook_pending_events",
    "failoverd_service_share_ratio",
    "failoverd_service_drill_licence_expiry_timestamp_seconds",
    "failoverd_drill_phase",
    "failoverd_drill_next_timestamp_seconds",
    "failoverd_drill_last_verdict",
    "failoverd_drill_last_finished_timestamp_seconds",
    "failoverd_drill_last_rto_seconds",
    "failoverd_drill_missed_timestamp_seconds",
    "failoverd_drills_total",
];

/// The page's tables: name to kind and labels.
fn promised() -> BTreeMap<String, (String, Vec<String>)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `failoverd_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[2].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels))
    })
    .collect()
}

#[test]
fn the_page_says_what_is_defined() {
    let defined: BTreeMap<String, (String, Vec<String>)> = defined()
        .iter()
        .map(|one| {
            let kind = match one.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
            };
            let labels = one.labels.iter().map(|label| (*label).to_owned()).collect();
            (one.name.to_owned(), (kind.to_owned(), labels))
        })
        .collect();
    assert_eq!(promised(), defined);
}

/// What a daemon that holds this state would say of it, by name.
fn told_of(state: FleetState) -> BTreeSet<String> {
    let (state, leadership) = (watch::Sender::new(Arc::new(state)), watch::Sender::default());
    let view = Viewpoint::new("us-east-1".into(), [], 5_000, state.subscribe(), leadership.subscribe());
    let exposition = Exposition {
        meters: Telemetry::counting(Timestamp(0)).meters,
        clock: Arc::new(SystemClock),
        view,
        state: state.subscribe(),
        leadership: leadership.subscribe(),
        matrix: watch::Sender::default().subscribe(),
        fleet: "prod".into(),
        role: Role::Member,
        logs: LogControl::fixed(),
        certificate_ends: None,
        newest: Mutex::default(),
    };
    let text = exposition.text();
    text.lines().filter(|line| !line.starts_with('#')).map(|line| sample(line).0).collect()
}

#[test]
fn what_a_sandbox_does_not_show_is_told_of_stored_states() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/format-1/states");
    let mut told = BTreeSet::new();
    for name in ["game-day", "came-back", "missed", "walk-1", "walk-2"] {
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        let mut state: FleetState = serde_json::from_str(&text).unwrap();
        state.told.insert("pager".to_owned(), 0);
        for service in state.services.values_mut() {
            Arc::make_mut(&mut service.spec).policy.require_drill_within_ms = Some(86_400_000);
        }
        for drill in state.drills.values_mut() {
            let [cron, timezone] = ["0 3 * * *", "UTC"].map(str::to_owned);
            let schedule = Schedule { cron, timezone, window_ms: 600_000, blackouts: Vec::new() };
            Arc::make_mut(&mut drill.spec).schedule = Some(schedule);
            drill.missed = Some((Timestamp(5_000), "paused".to_owned()));
        }
        let open = |run: &DrillRun| DrillRun { id: "open.1".into(), phase: DrillPhase::Holding, ..run.clone() };
        if let Some(run) = state.drill_runs.values().next().map(open) {
            state.drill_runs.insert(run.id.clone(), run);
        }
        told.extend(told_of(state));
    }
    let missing: Vec<&str> = ELSEWHERE.into_iter().filter(|name| !told.contains(*name)).collect();
    assert_eq!(missing, ["failoverd_tls_certificate_expiry_timestamp_seconds"]);
}

async fn scrape(it: &Fixture, at: usize) -> Vec<Sample> {
    let url = format!("http://{}/metrics", it.sandbox.settings().addresses.ops(at));
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap();
    let labels = labels.split("\",").map(|pair| pair.split_once("=\"").unwrap());
    let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned())).collect();
    (name.to_owned(), labels, value.parse().unwrap())
}

/// The value of the only sample with that name and those labels.
fn value(samples: &[Sample], name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
    let fits = |labels: &BTreeMap<String, String>| wanted.iter().all(|(name, value)| labels[*name] == *value);
    let found: Vec<f64> =
        samples.iter().filter(|(is, labels, _)| is == name && fits(labels)).map(|(_, _, value)| *value).collect();
    assert!(found.len() < 2, "{name} {wanted:?} is there {} times", found.len());
    found.first().copied()
}

/// A histogram's series are three.
fn family(name: &str, promised: &BTreeMap<String, (String, Vec<String>)>) -> String {
    let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
    base.filter(|base| promised.contains_key(*base)).unwrap_or(name).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_to_scrapers_and_everything_told_is_on_the_page() {
    let it = Fixture::up().await;
    it.until("a leader", PATIENCE, |it| it.leader().is_some()).await;
    it.expect(0, &["apply", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/checkout.yaml")]).await;
    it.until_ready("checkout").await;
    let before = scrape(&it, 1).await;
    let checkout = |more: &[(&'static str, &'static str)]| [&[("service", "checkout")], more].concat();
    assert_eq!(value(&before, "failoverd_region_survivable_ratio", &[("region", "us-east-1")]), Some(1.0));
    let serving = |region| checkout(&[("region", region)]);
    assert_eq!(value(&before, "failoverd_service_serving", &serving("us-east-1")), Some(1.0));
    let runs = checkout(&[("trigger", "automatic"), ("outcome", "succeeded")]);
    assert_eq!(value(&before, "failoverd_runs_total", &runs), Some(0.0), "a counter begins at zero");

    let mut it = it;
    it.sandbox.break_region("us-east-1").await.unwrap();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let until = Instant::now() + PATIENCE;
    let moved = |it: &Fixture| {
        let state = it.state();
        let run = state.runs.values().next().map(|run| run.state);
        let service = state.services.values().next().map(|service| state.phase(service));
        run == Some(RunState::Succeeded) && service == Some(ServicePhase::Steady)
    };
    loop {
        let is_over = moved(&it);
        for at in [1, 2] {
            for (name, labels, _) in &scrape(&it, at).await {
                seen.entry(name.clone()).or_default().extend(labels.keys().cloned());
            }
        }
        if is_over {
            break;
        }
        assert!(Instant::now() < until, "the service never moved");
        sleep(LOOK).await;
    }
    // Both live daemons say the same of what is agreed, as soon as both know it.
    let agreed = ["failoverd_service_epoch", "failoverd_history_head_sequence"];
    let (after, last) = loop {
        let both = (scrape(&it, 1).await, scrape(&it, 2).await);
        let says = |samples: &[Sample]| agreed.map(|name| value(samples, name, &[]));
        if says(&both.0) == says(&both.1) {
            break both;
        }
        assert!(Instant::now() < until, "{:?} and {:?}", says(&both.0), says(&both.1));
        sleep(LOOK).await;
    };
    assert_eq!(value(&after, "failoverd_runs_total", &runs), Some(1.0));
    assert_eq!(value(&after, "failoverd_service_serving", &serving("eu-west-1")), Some(1.0));
    assert_eq!(value(&after, "failoverd_service_serving", &serving("us-east-1")), Some(0.0));
    assert_eq!(value(&after, "failoverd_service_epoch", &checkout(&[])), Some(2.0));
    let down = checkout(&[("region", "us-east-1"), ("diagnosis", "region-down")]);
    assert_eq!(value(&after, "failoverd_service_diagnosis", &down), Some(1.0));
    assert_eq!(value(&after, "failoverd_switch_changes_total", &[]), Some(1.0));
    let rto = value(&after, "failoverd_run_last_rto_seconds", &checkout(&[("trigger", "automatic")])).unwrap();
    assert!(rto > 0.1 && rto < 60.0, "{rto}");
    let counted = value(&after, "failoverd_run_rto_seconds_count", &[("trigger", "automatic")]);
    assert_eq!(counted, Some(1.0));
    let promoted = [("kind", "promote"), ("outcome", "succeeded")];
    assert!(value(&after, "failoverd_run_step_duration_seconds_count", &promoted).unwrap() >= 1.0);
    let age = value(&after, "failoverd_peer_report_age_seconds", &[("peer", "us-east-1")]).unwrap();
    assert!(age > 1.0, "{age}");
    assert_eq!(value(&last, "failoverd_build_info", &[("role", "witness")]), Some(1.0));
    // The leader of the run has called AWS; whichever it was.
    let calls = |samples: &[Sample]| {
        let forced = |(name, labels, _): &&Sample| {
            name == "failoverd_aws_calls_total" && labels["operation"] == "FailoverGlobalCluster"
        };
        samples.iter().filter(forced).map(|(_, _, value)| value).sum::<f64>()
    };
    assert!(calls(&after) + calls(&last) >= 1.0);

    let promised = promised();
    let told: BTreeSet<String> = seen.keys().map(|name| family(name, &promised)).collect();
    for (name, labels) in &seen {
        let (kind, wanted) = promised.get(&family(name, &promised)).unwrap_or_else(|| panic!("{name} is not promised"));
        let bucket = (kind == "histogram" && name.ends_with("_bucket")).then(|| "le".to_owned());
        let wanted: BTreeSet<String> = wanted.iter().cloned().chain(COMMON.map(str::to_owned)).chain(bucket).collect();
        assert_eq!(labels, &wanted, "labels of {name}");
    }
    let missing: Vec<&String> =
        promised.keys().filter(|name| !told.contains(*name) && !ELSEWHERE.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "promised and never told: {missing:?}");
    let gone: Vec<Region> =
        REGIONS.into_iter().map(Region::from).filter(|one| it.sandbox.daemon(one).is_none()).collect();
    assert_eq!(gone, ["us-east-1".into()]);
    it.sandbox.stop().await;
}
