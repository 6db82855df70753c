//! GameDays in the sandbox, as people hold and read them: real DNS, real Postgres, the real command line.

use std::time::Duration;

use chrono::Timelike;
use failoverd::adapters::clock::SystemClock;
use failoverd::ports::Clock;
use failoverd_domain::fleet::ServicePhase;
use failoverd_domain::ids::ServiceName;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::sandbox::{Fixture, PATIENCE};

/// A schedule has whole minutes, and moves, a hold, a return and their record come after it.
const A_WHOLE_DRILL: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(250);

fn example(name: &str) -> String {
    format!("{}/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

fn is_steady(it: &Fixture) -> bool {
    let state = it.state();
    let found = state.services.get(&ServiceName::from("checkout"));
    found.map(|service| state.phase(service)) == Some(ServicePhase::Steady)
}

/// A drill whose window opens when the next minute begins that is not too near to be applied before.
pub fn at_the_next_minute(name: &str, service: &str) -> String {
    let opens = SystemClock.now().plus_ms(70_000).to_utc();
    format!(
        r#"
apiVersion: failoverd.dev/v1
kind: Drill
metadata: {{ name: {name} }}
spec:
  service: {service}
  kind: switchover
  to: eu-west-1
  schedule: {{ cron: "{} {} * * *", timezone: UTC, window: 10m }}
  hypothesis: "{service} serves from eu-west-1 within its RTO and loses nothing"
  guardrails: [{{ max_duration: 5m }}]
  hold: 5s
"#,
        opens.minute(),
        opens.hour()
    )
}

async fn drill(it: &Fixture, name: &str) -> Value {
    let drills = it.json(&["get", "drills"]).await;
    drills["drills"].as_array().unwrap().iter().find(|drill| drill["name"] == name).cloned().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_is_held_on_schedule_by_itself_and_its_report_tells_all() {
    let it = Fixture::up().await;
    it.until("a leader", PATIENCE, |it| it.leader().is_some()).await;
    it.expect(0, &["apply", "-f", &example("checkout"), "--yes"]).await;
    it.until("checkout to be steady", PATIENCE, is_steady).await;
    it.until_ready("checkout").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drill.yaml");
    std::fs::write(&file, at_the_next_minute("nightly", "checkout")).unwrap();
    it.expect(0, &["apply", "-f", file.to_str().unwrap()]).await;
    let planned = drill(&it, "nightly").await;
    assert!(planned["next_at"].is_string() && planned["last"].is_null(), "{planned}");
    let status = it.expect(0, &["status"]).await;
    assert!(status.contains("nightly"), "{status}");

    let until = Instant::now() + A_WHOLE_DRILL;
    let held = loop {
        let seen = drill(&it, "nightly").await;
        if seen["last"]["verdict"].is_string() {
            break seen;
        }
        assert!(Instant::now() < until, "the drill has no verdict: {seen}\n{}", it.expect(0, &["history"]).await);
        sleep(LOOK).await;
    };
    assert_eq!(held["last"]["verdict"], "passed", "{held}\n{}", it.expect(0, &["history"]).await);
    assert!(held["last"]["rto_ms"].as_u64().is_some_and(|ms| ms > 0), "{held}");
    assert!(is_steady(&it));
    let out = held["last"]["run"].as_str().unwrap().to_owned();
    assert!(out.starts_with("checkout-"), "{held}");

    let report = it.json(&["drill", "report", &out]).await;
    let text = report.to_string();
    assert!(text.contains("nightly.1") && text.contains("passed"), "{text}");
    let run = it.json(&["describe", "run", &out]).await;
    let run = &run["runs"][0];
    assert_eq!((&run["trigger"], &run["mode"]), (&"drill".into(), &"graceful".into()), "{run}");
    for loss in run["loss"].as_array().unwrap() {
        assert!(loss["measured"].is_u64() || loss["reason"].is_string(), "{loss}");
    }
    let measured = run["loss"].as_array().unwrap().iter().filter(|loss| loss["measured"].is_u64()).count();
    assert!(measured > 0, "canaries say what was lost: {run}");
    let page = it.expect(0, &["drill", "report", "nightly", "-o", "html"]).await;
    assert!(page.trim_start().starts_with("<!DOCTYPE html>") && page.contains("<svg"), "{}", &page[..200]);
    assert!(!page.contains("href=\"http") && !page.contains("src="), "it needs no network");
    let kept = std::env::var("FAILOVERD_KEEP_REPORT").unwrap_or_default();
    if !kept.is_empty() {
        std::fs::write(kept, &page).unwrap();
    }
    let history = it.expect(0, &["history", "--drill", "nightly.1"]).await;
    for said in ["nightly.1 opened as scheduled", "nightly.1 is holding", "nightly.1 passed"] {
        assert!(history.contains(said), "{said} is not in {history}");
    }
    it.expect(0, &["history", "verify"]).await;

    // The fleet is shown a lost Region, and does the rest; somebody waits at a terminal.
    it.expect(0, &["apply", "-f", &example("drills")]).await;
    it.expect(0, &["drill", "run", "checkout-region-loss", "--wait", "--yes"]).await;
    let shown = drill(&it, "checkout-region-loss").await;
    assert_eq!(shown["last"]["verdict"], "passed", "{shown}");

    // An objective that nobody can keep is said by the exit code.
    let strict = std::fs::read_to_string(example("checkout")).unwrap();
    let at = strict.find("rto:").unwrap();
    let end = at + strict[at..].find([',', '}', '\n']).unwrap();
    let file = folder.path().join("strict.yaml");
    std::fs::write(&file, format!("{}rto: 1ms{}", &strict[..at], &strict[end..])).unwrap();
    it.expect(0, &["apply", "-f", file.to_str().unwrap(), "--yes"]).await;
    it.until("checkout to be steady", PATIENCE, is_steady).await;
    let said = it.expect(7, &["drill", "run", "checkout-now", "--wait", "--yes"]).await;
    assert!(said.contains("RTO"), "{said}");
    it.expect(2, &["drill", "run", "nobody", "--yes"]).await;
    let history = it.expect(0, &["history"]).await;
    assert!(!history.contains("violation"), "{history}");
    it.sandbox.stop().await;
}
