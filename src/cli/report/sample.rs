//! For tests: histories of a run that met everything, of a failing drill, and of a run that has only begun.

use failoverd_domain::fleet::{EventKind, HistoryEvent};
use failoverd_domain::ids::{LogIndex, StepName};
use failoverd_domain::plan::{Fencing, Mode, Movement, Plan, Plane, Step, StepKind, Undo};
use failoverd_domain::report::{Report, report_of_drill, report_of_run};
use failoverd_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::api::fake::NOW;

const DRILL: &str = "checkout-monthly.3";

/// Events as a fleet would have chained them, `at` milliseconds after the first.
pub struct Story {
    events: Vec<HistoryEvent>,
    zero: Timestamp,
    drill: Option<&'static str>,
}

impl Story {
    fn new(zero: Timestamp, drill: Option<&'static str>) -> Self {
        Self { events: Vec::new(), zero, drill }
    }

    fn tell(&mut self, run: Option<&str>, at_ms: u64, kind: EventKind, actor: &str, message: &str, data: Value) {
        let seq = 1_000 + self.events.len() as u64;
        let mut event = HistoryEvent {
            seq,
            index: LogIndex(seq + 40),
            at: self.zero.plus_ms(at_ms),
            fleet: "prod".into(),
            service: Some("checkout".into()),
            run: run.map(Into::into),
            drill: self.drill.map(Into::into),
            kind,
            region: None,
            actor: actor.to_owned(),
            message: message.to_owned(),
            data,
            hash: String::new(),
        };
        event.hash = event.expected_hash(self.events.last().map_or("", |before| &before.hash));
        self.events.push(event);
    }

    /// A step: from, until, how it ended, what was said.
    fn step(&mut self, run: &str, name: &str, attempt: u32, (from, until): (u64, u64), state: &str, note: &str) {
        let by = "daemon:eu-west-1";
        let begins = format!("{name} begins (attempt {attempt})");
        self.tell(Some(run), from, EventKind::StepIntent, by, &begins, json!({ "step": name, "attempt": attempt }));
        let mut data = json!({ "step": name, "attempt": attempt, "state": state, "note": note });
        if name.starts_with("verify") {
            data["answers"] = answers();
        }
        let ended = format!("{name} {state}: {note}");
        self.tell(Some(run), until, EventKind::StepOutcome, by, &ended, data);
    }
}

fn answers() -> Value {
    json!([
        { "daemon": "eu-west-1", "answered_by": ["eu-west-1"], "after_ms": 1_200, "tail_s": 59, "not_asked": null,
          "probes": [{ "name": "api.example.com", "signal": "front-door", "good": true, "detail": "HTTP 200 in 12 ms" }] },
        { "daemon": "us-east-1", "answered_by": [], "after_ms": null, "tail_s": null, "not_asked": "unreachable", "probes": [] },
        { "daemon": "us-west-2", "answered_by": ["eu-west-1"], "after_ms": 1_400, "tail_s": 59, "not_asked": null,
          "probes": [{ "name": "api.example.com", "signal": "front-door", "good": false, "detail": "HTTP 503" }] },
    ])
}

fn plan(mode: Mode, from: &str, to: &str) -> Plan {
    let step = |name: &str, kind: StepKind, region: &str, critical: bool, after: &[&str], undo: Undo| Step {
        name: name.into(),
        plane: if matches!(kind, StepKind::FlipSwitch { .. } | StepKind::VerifyAnswer) {
            Plane::Data
        } else {
            Plane::Control
        },
        kind,
        region: region.into(),
        critical,
        after: after.iter().map(|name| StepName::from(*name)).collect(),
        undo,
        timeout_ms: 60_000,
        calls: Vec::new(),
    };
    let fenced = Fencing::ByStep("fence/orders-db".into());
    let flip = StepKind::FlipSwitch { group: "checkout".into(), bit: "us-east-1".into(), on: from != "us-east-1" };
    let table = "check-data/orders-by-customer-and-day-with-a-long-name";
    let steps = vec![
        step(
            "fence/orders-db",
            StepKind::Fence { store: "orders-db".into() },
            from,
            mode == Mode::Graceful,
            &[],
            Undo::PutBack,
        ),
        step(
            "promote/orders-db",
            StepKind::Promote { store: "orders-db".into(), fencing: fenced },
            to,
            true,
            &["fence/orders-db"],
            Undo::Irreversible,
        ),
        step(
            table,
            StepKind::CheckData { store: "orders-by-customer-and-day-with-a-long-name".into() },
            to,
            true,
            &[],
            Undo::Nothing,
        ),
        step("flip-switch/checkout", flip, to, true, &["promote/orders-db", table], Undo::PutBack),
        step("verify-answer/checkout", StepKind::VerifyAnswer, to, true, &["flip-switch/checkout"], Undo::Nothing),
    ];
    Plan {
        service: "checkout".into(),
        from: from.into(),
        to: to.into(),
        mode,
        movement: Movement::Failover,
        spec_index: LogIndex(2),
        steps,
    }
}

fn decided(plan: &Plan, trigger: &str, breach_at: Option<Timestamp>, reason: &str) -> Value {
    json!({
        "trigger": trigger, "mode": plan.mode, "plan": plan, "reason": reason, "breach_at": breach_at, "state": "announced",
        "guards": [
            { "guard": "quorum", "ok": true, "reason": "2 of 3 daemons are fresh", "severity": "blocks" },
            { "guard": "rpo-budget", "ok": true, "reason": "at most 1200 ms of writes against 5000 ms", "severity": "needs-approval" },
            { "guard": "cooldown", "ok": false, "reason": "the last run ended 4 minutes ago", "severity": "informs" },
        ],
        "evidence": [],
        "loss": [
            { "store": "orders-db", "bound": 1_200, "measured": null, "unit": "ms", "reason": "200 ms behind at the last report" },
            { "store": "orders-by-customer-and-day-with-a-long-name", "bound": null, "measured": null, "unit": "ms", "reason": "no canary" },
        ],
        "basis": {
            "rto_ms": 300_000, "rpo_ms": 5_000, "breach_after_ms": 30_000, "switch": "http", "manifest_hash": "a1b2c3d4e5f6",
            "forecast": { "promote/orders-db": { "p50_ms": 4_000, "p95_ms": 6_000 }, "verify-answer/checkout": { "p50_ms": 9_000, "p95_ms": 20_000 } },
        },
    })
}

/// Latency around `dead`, every second; bad in between.
fn curves(from: Timestamp, dead: (u64, u64)) -> Value {
    let curve = |observer: &str, region: Option<&str>, base: u64, fails: bool| {
        let at_ms: Vec<u64> = (0..90).map(|n| n * 1_000).collect();
        let is_bad = |at: &u64| fails && (dead.0..dead.1).contains(at);
        let status: Vec<&str> = at_ms.iter().map(|at| if is_bad(at) { "bad" } else { "good" }).collect();
        let latency: Vec<Option<u64>> =
            at_ms.iter().map(|at| (!is_bad(at)).then_some(base + at / 1_000 * 7 % 23)).collect();
        json!({ "observer": observer, "region": region, "signal": "front-door", "at_ms": at_ms, "status": status, "latency_ms": latency })
    };
    json!({ "curves": {
        "from": from,
        "curves": [
            curve("eu-west-1", Some("eu-west-1"), 12, false),
            curve("us-west-2", Some("us-east-1"), 60, true),
            curve("us-west-2", None, 80, true),
        ],
        "through": { "asked": 178, "errors": 41, "longest_gap_ms": 47_300, "well_since": from.plus_ms(dead.1) },
    } })
}

/// A forced move by itself: a fence that nobody knows of, a promotion tried twice, a data step beyond its usual time.
pub fn run_events() -> Vec<HistoryEvent> {
    let mut story = Story::new(NOW, None);
    let (id, plan) = ("checkout-7", plan(Mode::Forced, "us-east-1", "eu-west-1"));
    let daemon = "daemon:eu-west-1";
    let message =
        "forced failover of checkout from us-east-1 to eu-west-1 decided: us-east-1 is region-down for checkout";
    let data = decided(&plan, "automatic", Some(NOW), "us-east-1 is region-down for checkout");
    story.tell(Some(id), 31_000, EventKind::Decided, daemon, message, data);
    story.tell(
        Some(id),
        31_010,
        EventKind::Started,
        daemon,
        "run checkout-7 began",
        json!({ "epoch": 2, "chosen": "eu-west-1" }),
    );
    story.step(id, "fence/orders-db", 1, (31_020, 36_020), "unknown", "no answer from us-east-1");
    story.step(
        id,
        "check-data/orders-by-customer-and-day-with-a-long-name",
        1,
        (31_030, 31_030),
        "succeeded",
        "ACTIVE",
    );
    story.step(
        id,
        "promote/orders-db",
        1,
        (36_030, 38_000),
        "failed",
        "ThrottlingException <rate exceeded> & try again",
    );
    story.step(id, "promote/orders-db", 2, (39_000, 45_500), "succeeded", "checkout-euw1 is the writer");
    story.tell(
        Some(id),
        45_600,
        EventKind::Switch,
        daemon,
        "switch checkout: eu-west-1 serves",
        json!({ "group": "checkout" }),
    );
    story.step(id, "flip-switch/checkout", 1, (45_550, 45_650), "succeeded", "off for us-east-1");
    story.step(id, "verify-answer/checkout", 1, (45_700, 57_000), "succeeded", "2 of 3 daemons are answered eu-west-1");
    let finished = json!({ "state": "succeeded", "epoch": 2, "rto_ms": 57_000, "detect_ms": 31_000 });
    story.tell(
        Some(id),
        57_000,
        EventKind::Finished,
        daemon,
        "run checkout-7 succeeded: checkout serves from eu-west-1",
        finished,
    );
    let loss = json!({ "loss": [
        { "store": "orders-db", "bound": 1_200, "measured": 800, "unit": "ms", "reason": "canary: 800 ms of acknowledged writes are missing" },
        { "store": "orders-by-customer-and-day-with-a-long-name", "bound": null, "measured": null, "unit": "ms", "reason": "not measurable: no canary" },
    ] });
    story.tell(Some(id), 61_000, EventKind::Receipt, daemon, "receipt of run checkout-7", loss);
    story.tell(
        Some(id),
        95_000,
        EventKind::Observations,
        daemon,
        "seen while run checkout-7 went on",
        curves(NOW.minus_ms(10_000), (10_000, 67_000)),
    );
    story.events
}

/// Text of others that would like to be markup, a table's cell, or a command of the terminal.
pub fn hostile_events() -> Vec<HistoryEvent> {
    let evil = "<script>alert(1)</script> | \"quoted\" 'too' ]]> \u{1b}[31m\n# heading";
    let mut events = run_events();
    for event in &mut events {
        event.message = format!("{}{evil}", event.message);
        event.actor = format!("operator:{evil}");
        for name in ["note", "reason"] {
            if event.data.get(name).is_some() {
                event.data[name] = json!(evil);
            }
        }
    }
    events
}

/// A switchover that stayed three days, hit a guardrail, came back, and missed its objective.
pub fn drill_events() -> Vec<HistoryEvent> {
    let mut story = Story::new(NOW, Some(DRILL));
    let daemon = "daemon:us-west-2";
    let day = 86_400_000;
    let steady = |when: &str, ok: bool| json!({ "when": when, "name": "service-healthy", "ok": ok, "reason": "2 of 2 observers say so" });
    let spec = json!({
        "name": "checkout-monthly", "labels": {}, "service": "checkout", "kind": "switchover", "from": null, "to": "eu-west-1",
        "schedule": null, "hypothesis": "checkout serves from eu-west-1 within its RTO and loses nothing",
        "guardrails": [
            { "max_duration": { "ms": 345_600_000 } },
            { "signal": { "signal": "front-door", "region": "eu-west-1", "unhealthy_for_ms": 60_000 } },
        ],
        "hold_ms": 3 * day, "comes_back": "automatic", "approvals": 2,
    });
    let opened = json!({ "drill": "checkout-monthly", "service": "checkout", "kind": "switchover", "spec": spec, "home": "us-east-1",
        "away": "eu-west-1", "scheduled_for": NOW, "phase": "awaiting-approval" });
    story.tell(None, 0, EventKind::DrillOpened, daemon, "drill checkout-monthly.3 opened by its schedule", opened);
    for (at_ms, who) in [(61_000, "alice"), (185_000, "bob")] {
        let message = format!("drill {DRILL} approved by {who}");
        story.tell(
            None,
            at_ms,
            EventKind::DrillApproved,
            &format!("operator:{who}"),
            &message,
            json!({ "by": who, "needed": 2 }),
        );
    }
    let phase = |phase: &str, steady: Vec<Value>| json!({ "drill": "checkout-monthly", "service": "checkout", "phase": phase, "steady": steady });
    story.tell(None, 185_000, EventKind::DrillPhase, daemon, "steady state is looked at", phase("checking", vec![]));
    story.tell(None, 190_000, EventKind::DrillPhase, daemon, "it moves", phase("moving", vec![steady("before", true)]));
    move_it(&mut story, "checkout-8", 190_100, "us-east-1", "eu-west-1");
    story.tell(None, 240_000, EventKind::DrillPhase, daemon, "it stays", phase("holding", vec![]));
    let ending = json!({ "guardrail": { "guardrail": "front-door in eu-west-1 is not bad for 60 s", "reason": "bad for 61 s by 2 of 2 observers" } });
    story.tell(None, 3 * day, EventKind::DrillEnded, daemon, "guardrail hit", json!({ "ending": ending }));
    story.tell(None, 3 * day + 10, EventKind::DrillPhase, daemon, "it comes back", phase("returning", vec![]));
    move_it(&mut story, "checkout-9", 3 * day + 100, "eu-west-1", "us-east-1");
    story.tell(None, 3 * day + 60_000, EventKind::DrillPhase, daemon, "it settles", phase("settling", vec![]));
    let finished = json!({
        "drill": "checkout-monthly", "service": "checkout", "kind": "switchover", "verdict": "failed",
        "sentence": "a guardrail ended the drill; checkout is back in us-east-1", "ending": ending,
        "measured": { "rto_ms": 21_000, "detect_ms": null, "return_ms": 21_000, "through": { "asked": 51_840, "errors": 64, "longest_gap_ms": 61_200, "well_since": NOW.plus_ms(3 * day + 30_000) } },
        "objectives": { "rto_ms": 300_000, "rpo_ms": 5_000 }, "steady": [steady("before", true), steady("after", false)],
        "loss": [], "unpractised": ["fence/orders-db without the old Region", "promote/orders-db, forced"],
        "began_at": NOW.plus_ms(190_000), "arrived_at": NOW.plus_ms(211_100), "breach_at": null, "phase": "closed",
    });
    story.tell(None, 3 * day + 90_000, EventKind::DrillFinished, daemon, "drill checkout-monthly.3 failed", finished);
    story.events
}

fn move_it(story: &mut Story, id: &str, at: u64, from: &str, to: &str) {
    let plan = plan(Mode::Graceful, from, to);
    let daemon = "daemon:us-west-2";
    let data = decided(&plan, "drill", None, "drill checkout-monthly.3");
    story.tell(
        Some(id),
        at,
        EventKind::Decided,
        daemon,
        &format!("graceful failover of checkout from {from} to {to} decided"),
        data,
    );
    story.tell(Some(id), at + 1, EventKind::Started, daemon, &format!("run {id} began"), json!({ "epoch": 3 }));
    let ends = [(200, 900), (1_000, 9_000), (200, 250), (9_100, 9_200), (9_300, 21_000)];
    for (step, (begins, ends)) in plan.steps.iter().zip(ends) {
        story.step(id, step.name.as_str(), 1, (at + begins, at + ends), "succeeded", "as it should be");
    }
    let message = format!("run {id} succeeded: checkout serves from {to}");
    story.tell(
        Some(id),
        at + 21_000,
        EventKind::Finished,
        daemon,
        &message,
        json!({ "state": "succeeded", "epoch": 3, "rto_ms": 20_999 }),
    );
    let loss = json!({ "loss": [{ "store": "orders-db", "bound": 1_200, "measured": 0, "unit": "ms", "reason": "canary: nothing is missing" }] });
    story.tell(Some(id), at + 24_000, EventKind::Receipt, daemon, &format!("receipt of run {id}"), loss);
    let from = story.zero.plus_ms(at).minus_ms(20_000);
    story.tell(
        Some(id),
        at + 29_000,
        EventKind::Observations,
        daemon,
        &format!("seen while {id} went on"),
        curves(from, (29_000, 32_000)),
    );
}

/// The same move, four times before; the newest first is `checkout-6`.
fn earlier_events() -> Vec<HistoryEvent> {
    let mut earlier = Vec::new();
    for n in 2..=6_u64 {
        let events = run_events()
            .into_iter()
            .filter(|event| matches!(event.kind, EventKind::Decided | EventKind::Finished | EventKind::Receipt));
        earlier.extend(events.map(|mut event| {
            event.seq = event.seq - 1_000 + n * 100;
            event.at = event.at.minus_ms((7 - n) * 2_592_000_000);
            event.run = Some(format!("checkout-{n}").as_str().into());
            if event.kind == EventKind::Finished {
                event.data["rto_ms"] = json!(40_000 + n * 3_700);
            }
            event
        }));
    }
    earlier
}

/// A run that did everything, and missed nothing.
pub fn run() -> Report {
    report_of_run(&"checkout-7".into(), &run_events(), &earlier_events(), 0).unwrap()
}

/// The same with texts that would like to be markup.
pub fn hostile() -> Report {
    report_of_run(&"checkout-7".into(), &hostile_events(), &[], 0).unwrap()
}

/// A whole drill.
pub fn drill() -> Report {
    report_of_drill(&DRILL.into(), &drill_events(), &[], 0).unwrap()
}

/// Two events and no more: the rest has not come yet.
pub fn begun() -> Report {
    report_of_run(&"checkout-7".into(), &run_events()[..2], &[], 12).unwrap()
}
