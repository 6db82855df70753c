//! Drills for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::drill::{
    ComesBack, Course, DrillKind, DrillPhase, DrillRun, DrillSpec, DrillState, DrillVerdict, Guardrail, Measured,
    Schedule,
};
use failoverd_domain::fleet::{Actor, FleetState};
use failoverd_domain::ids::{DrillRunId, LogIndex};
use failoverd_domain::plan::Movement;

use super::NOW;

/// A switchover of `checkout` to eu-west-1 on the first of every month.
pub fn drill(name: &str) -> DrillSpec {
    DrillSpec {
        name: name.into(),
        labels: BTreeMap::new(),
        service: "checkout".into(),
        kind: DrillKind::Switchover,
        from: None,
        to: Some("eu-west-1".into()),
        schedule: Some(Schedule {
            cron: "0 10 1 * *".to_owned(),
            timezone: "UTC".to_owned(),
            window_ms: 7_200_000,
            blackouts: Vec::new(),
        }),
        hypothesis: "checkout keeps its objectives".to_owned(),
        guardrails: vec![Guardrail::MaxDuration { ms: 1_200_000 }],
        hold_ms: 5_000,
        comes_back: ComesBack::Automatic,
        approvals: 0,
    }
}

/// Applies a drill, with one execution that stands so.
pub fn with_drill(state: &mut FleetState, spec: DrillSpec, phase: DrillPhase, verdict: Option<DrillVerdict>) {
    let id = DrillRunId::from(format!("{}.1", spec.name));
    let spec = Arc::new(spec);
    let way = Course { home: "us-east-1".into(), away: "eu-west-1".into(), movement: Movement::Failover };
    let opened_at = NOW.minus_ms(60_000);
    let actor = Actor::Operator("alice".to_owned());
    let run = DrillRun {
        spec_index: LogIndex(2),
        phase,
        phase_since: NOW,
        began_at: Some(NOW.minus_ms(50_000)),
        out: Some("checkout-1".into()),
        measured: Measured { rto_ms: Some(42_000), ..Measured::default() },
        verdict,
        sentence: verdict.map(|_| "it is over".to_owned()),
        finished_at: verdict.map(|_| NOW),
        ..DrillRun::opened(id.clone(), Arc::clone(&spec), way, actor, opened_at)
    };
    let name = spec.name.clone();
    let applied_at = NOW.minus_ms(3_600_000);
    let drill = DrillState {
        spec,
        spec_index: LogIndex(3),
        applied_at,
        runs: 1,
        handled: None,
        missed: None,
        last: Some(id.clone()),
    };
    state.drills.insert(name, drill);
    state.drill_runs.insert(id, run);
}
