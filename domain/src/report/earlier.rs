//! The newest executions of the same, for comparison.

use std::collections::BTreeMap;

use super::at::At;
use super::loss::stores;
use super::model::{Earlier, RunPart, StoreLoss, Within};
use super::reading::{field, in_order};
use crate::data::loss::Loss;
use crate::drill::{DrillVerdict, Measured};
use crate::fleet::{Basis, EventKind, HistoryEvent};
use crate::ids::{DrillName, RunId};
use crate::plan::Plan;

/// So many are compared with.
const MOST: usize = 5;

/// Earlier runs of the same service in the same direction, newest first.
pub fn earlier_runs(run: &RunPart, events: &[HistoryEvent], before_seq: u64) -> Vec<Earlier> {
    let mut of_run: BTreeMap<RunId, Vec<HistoryEvent>> = BTreeMap::new();
    for event in in_order(events).into_iter().filter(|event| event.run.as_ref() != Some(&run.id)) {
        if let Some(id) = event.run.clone() {
            of_run.entry(id).or_default().push(event);
        }
    }
    let mut rows: Vec<(u64, Earlier)> = of_run
        .iter()
        .filter_map(|(id, events)| {
            let decided = events.iter().find(|event| event.kind == EventKind::Decided && event.seq < before_seq)?;
            let plan: Plan = field(decided, "plan")?;
            let is_same = plan.service == run.service
                && (&plan.from, &plan.to) == (&run.from, &run.to)
                && super::reading::word(plan.movement) == run.movement;
            if !is_same {
                return None;
            }
            Some((decided.seq, earlier_run(id, decided, events)?))
        })
        .collect();
    rows.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    rows.into_iter().map(|(_, row)| row).take(MOST).collect()
}

fn earlier_run(id: &RunId, decided: &HistoryEvent, events: &[HistoryEvent]) -> Option<Earlier> {
    let finished = events.iter().find(|event| event.kind == EventKind::Finished)?;
    let basis: Option<Basis> = field(decided, "basis");
    let receipts = events.iter().filter(|event| event.kind == EventKind::Receipt);
    let losses: Vec<Loss> = receipts.filter_map(|event| field::<Vec<Loss>>(event, "loss")).flatten().collect();
    let losses = if losses.is_empty() { field(decided, "loss").unwrap_or_default() } else { losses };
    let losses = stores(&losses, &[], basis.as_ref().map(|basis| basis.rpo_ms), true);
    let rto_ms: Option<u64> = field(finished, "rto_ms");
    let state: String = field(finished, "state").unwrap_or_default();
    let late = basis.is_some_and(|basis| rto_ms.is_some_and(|took| took > basis.rto_ms));
    let missed = late || losses.iter().any(|store| store.within == Within::Missed);
    let verdict = if state == "succeeded" && missed { "succeeded-objective-missed".to_owned() } else { state };
    let (lost_ms, unmeasured) = worst(&losses);
    Some(Earlier {
        id: id.to_string(),
        at: At(finished.at),
        verdict,
        rto_ms,
        detect_ms: field(finished, "detect_ms"),
        lost_ms,
        unmeasured,
    })
}

/// Earlier executions of the same drill, newest first.
pub fn earlier_drills(drill: &DrillName, events: &[HistoryEvent], before_seq: u64) -> Vec<Earlier> {
    let events = in_order(events);
    let same = events.iter().rev().filter(|event| {
        event.kind == EventKind::DrillFinished
            && event.seq < before_seq
            && field::<DrillName>(event, "drill").as_ref() == Some(drill)
    });
    let row = |event: &HistoryEvent| {
        let measured: Measured = field(event, "measured").unwrap_or_default();
        let losses: Vec<Loss> = field(event, "loss").unwrap_or_default();
        let (lost_ms, unmeasured) = worst(&stores(&losses, &[], None, true));
        Some(Earlier {
            id: event.drill.as_ref()?.to_string(),
            at: At(event.at),
            verdict: field::<DrillVerdict>(event, "verdict")
                .map(|verdict| verdict.word().to_owned())
                .unwrap_or_default(),
            rto_ms: measured.rto_ms,
            detect_ms: measured.detect_ms,
            lost_ms,
            unmeasured,
        })
    };
    same.filter_map(row).take(MOST).collect()
}

/// The most that was measured, and how many stores were not.
fn worst(losses: &[StoreLoss]) -> (Option<u64>, u64) {
    let unmeasured = losses.iter().filter(|store| store.measured.is_none()).count();
    (losses.iter().filter_map(|store| store.measured).max(), unmeasured as u64)
}
