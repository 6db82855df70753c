//! From (service, from, to, mode) to a plan. The order is the design's. A pair: fence the old writer, promote, look at
//! the data, turn the switch, verify the answer. Active-active: the Region's switch goes off first and, when it comes
//! back, on last.

use super::step::{Fencing, Mode, Movement, Plan, Plane, Step, StepKind, Undo};
use crate::ids::{LogIndex, Region, StepName};
use crate::service::{Fence, ServiceSpec, Store, StoreKind, SwitchTransport};
use crate::traffic::slowest_s;

/// A forced fence may not hold the promotion up for longer.
const FORCED_FENCE_TIMEOUT_MS: u64 = 5_000;
/// A fence that a graceful move rests on: RDS applies security groups within seconds, as a rule.
const GRACEFUL_FENCE_TIMEOUT_MS: u64 = 2 * 60_000;
/// Aurora's own limits are minutes; past this a person must look.
const PROMOTE_TIMEOUT_MS: u64 = 15 * 60_000;
/// How long a graceful move waits for replication.
const DRAIN_TIMEOUT_MS: u64 = 5 * 60_000;
/// A look at a copy that should be ready already.
const CHECK_TIMEOUT_MS: u64 = 60_000;
/// One committed entry.
const FLIP_TIMEOUT_MS: u64 = 30_000;
/// Three failed polls of Route 53's checkers at 10 s, propagation, and room.
const VERIFY_TIMEOUT_MS: u64 = 5 * 60_000;

/// What to plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRequest<'a> {
    /// Service.
    pub spec: &'a ServiceSpec,
    /// Its manifest's position in the log.
    pub spec_index: LogIndex,
    /// Region that serves now.
    pub from: &'a Region,
    /// Region that will.
    pub to: &'a Region,
    /// Graceful or forced.
    pub mode: Mode,
    /// What kind of move.
    pub movement: Movement,
    /// Whether writers that are one Region's are in `from` and go to `to`.
    pub moves_writers: bool,
}

/// Makes the plan. Pure: the same request gives the same plan, and so the same hash, on every daemon.
#[must_use]
pub fn plan(request: &PlanRequest<'_>) -> Plan {
    let mut steps = Vec::new();
    let stores = request.spec.data.iter().filter(|store| request.moves_writers || !store.kind.has_single_writer());
    for store in stores {
        match request.movement {
            Movement::Restore => steps.push(check_step(request, store, Vec::new())),
            // What was taken there goes on being replicated from there: nothing is waited for.
            Movement::Evacuate if !request.moves_writers => steps.push(check_step(request, store, Vec::new())),
            Movement::Failover | Movement::Evacuate => steps.extend(store_steps(request, store)),
        }
    }
    undoable_before_promotions(&mut steps);
    let moved: Vec<StepName> = steps.iter().filter(|step| step.critical).map(|step| step.name.clone()).collect();
    let flip_first = request.movement == Movement::Evacuate;
    let flip = flip_step(request, if flip_first { Vec::new() } else { moved.clone() });
    let mut verify = verify_step(request, &flip);
    if flip_first {
        for step in steps.iter_mut().filter(|step| step.after.is_empty()) {
            step.after.push(flip.name.clone());
        }
        verify.after.extend(moved);
        steps.insert(0, flip);
    } else {
        steps.push(flip);
    }
    steps.push(verify);
    Plan {
        service: request.spec.name.clone(),
        from: request.from.clone(),
        to: request.to.clone(),
        mode: request.mode,
        movement: request.movement,
        spec_index: request.spec_index,
        steps,
    }
}

/// What can be put back comes before what cannot: a copy that never catches up stops the move where it began. A writer
/// is fenced for a graceful move only when the copies that need no fence have caught up, so that it waits least.
fn undoable_before_promotions(steps: &mut [Step]) {
    let is_drain = |step: &Step| matches!(step.kind, StepKind::Drain { .. });
    let drains: Vec<(StepName, bool)> =
        steps.iter().filter(|step| is_drain(step)).map(|step| (step.name.clone(), step.after.is_empty())).collect();
    for step in steps.iter_mut() {
        match step.kind {
            StepKind::Promote { .. } => {
                let others = drains.iter().filter(|(name, _)| !step.after.contains(name));
                let others: Vec<StepName> = others.map(|(name, _)| name.clone()).collect();
                step.after.extend(others);
            }
            // One of a forced plan, in which nothing is waited for, waits for nothing.
            StepKind::Fence { .. } => {
                step.after.extend(drains.iter().filter(|(_, is_free)| *is_free).map(|(name, _)| name.clone()));
            }
            _ => {}
        }
    }
    steps.sort_by_key(|step| match step.kind {
        StepKind::Drain { .. } if step.after.is_empty() => 0,
        StepKind::Fence { .. } if step.critical => 1,
        StepKind::Drain { .. } => 2,
        _ => 3,
    });
}

fn store_steps(request: &PlanRequest<'_>, store: &Store) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut after = Vec::new();
    match (store.kind.has_single_writer(), request.mode) {
        (true, Mode::Graceful) if matches!(store.kind, StoreKind::Rds { .. }) => {
            // No call hands an instance's role over: writes are stopped, what was written arrives, then it is promoted.
            let fence = store.fence.as_ref().map(|fence| Step {
                critical: true,
                timeout_ms: GRACEFUL_FENCE_TIMEOUT_MS,
                ..fence_step(request, store, fence)
            });
            let stopped: Vec<StepName> = fence.iter().map(|step| step.name.clone()).collect();
            let fencing = stopped.first().cloned().map_or(Fencing::None, Fencing::ByStep);
            let drain = Step { after: stopped.clone(), ..drain_step(request, store) };
            let wait = stopped.into_iter().chain([drain.name.clone()]).collect();
            steps.extend(fence);
            steps.push(drain);
            steps.push(promote_step(request, store, fencing, wait));
        }
        (true, Mode::Graceful) => steps.push(promote_step(request, store, Fencing::Builtin, Vec::new())),
        (true, Mode::Forced) => {
            let fence = store.fence.as_ref().map(|fence| fence_step(request, store, fence));
            let (fencing, wait) = match &fence {
                Some(step) => (Fencing::ByStep(step.name.clone()), vec![step.name.clone()]),
                None => (Fencing::None, Vec::new()),
            };
            steps.extend(fence);
            steps.push(promote_step(request, store, fencing, wait));
        }
        (false, Mode::Graceful) => steps.push(drain_step(request, store)),
        (false, Mode::Forced) => {}
    }
    if let Some(last) = steps.last() {
        after.push(last.name.clone());
    }
    steps.push(check_step(request, store, after));
    steps
}

fn name(word: &str, object: &str) -> StepName {
    StepName::new(format!("{word}/{object}"))
}

fn fence_step(request: &PlanRequest<'_>, store: &Store, fence: &Fence) -> Step {
    let Fence::SecurityGroup(groups) = fence;
    let group = groups.get(request.from).map_or("", String::as_str);
    Step {
        name: name("fence", store.name.as_str()),
        kind: StepKind::Fence { store: store.name.clone() },
        region: request.from.clone(),
        plane: Plane::Control,
        critical: false,
        after: Vec::new(),
        undo: Undo::PutBack,
        timeout_ms: FORCED_FENCE_TIMEOUT_MS,
        calls: vec![match &store.kind {
            StoreKind::Rds { instances, .. } => {
                let instance = instances.get(request.from).map_or("", String::as_str);
                format!("rds:ModifyDBInstance in {}: {instance}, security group {group} only", request.from)
            }
            _ => format!("rds:ModifyDBCluster in {}: security group {group} only", request.from),
        }],
    }
}

fn promote_step(request: &PlanRequest<'_>, store: &Store, fencing: Fencing, after: Vec<StepName>) -> Step {
    let call = match (&store.kind, request.mode) {
        (StoreKind::Aurora { global_cluster, clusters }, mode) => {
            let target = clusters.get(request.to).map_or("", String::as_str);
            let operation = match mode {
                Mode::Graceful => "rds:SwitchoverGlobalCluster",
                Mode::Forced => "rds:FailoverGlobalCluster with data loss allowed",
            };
            format!("{operation} in {}: {global_cluster} to {target}", request.to)
        }
        (StoreKind::Rds { instances, .. }, _) => {
            let target = instances.get(request.to).map_or("", String::as_str);
            format!("rds:PromoteReadReplica in {}: {target}", request.to)
        }
        (StoreKind::Dynamodb { .. } | StoreKind::S3 { .. }, _) => {
            unreachable!("only stores with a single writer are promoted")
        }
    };
    Step {
        name: name("promote", store.name.as_str()),
        kind: StepKind::Promote { store: store.name.clone(), fencing },
        region: request.to.clone(),
        plane: Plane::Control,
        critical: true,
        after,
        undo: Undo::Irreversible,
        timeout_ms: PROMOTE_TIMEOUT_MS,
        calls: vec![call],
    }
}

fn drain_step(request: &PlanRequest<'_>, store: &Store) -> Step {
    let how = match &store.canary {
        Some(_) if matches!(store.kind, StoreKind::Rds { .. }) => "until the newest canary has arrived",
        Some(_) => "until the canary is within the RPO",
        None => "until CloudWatch's lag is within the RPO (no canary: loss not provable)",
    };
    Step {
        name: name("drain", store.name.as_str()),
        kind: StepKind::Drain { store: store.name.clone() },
        region: request.to.clone(),
        plane: Plane::Data,
        critical: true,
        after: Vec::new(),
        undo: Undo::Nothing,
        timeout_ms: DRAIN_TIMEOUT_MS,
        calls: vec![format!("wait in {} {how}", request.to)],
    }
}

fn check_step(request: &PlanRequest<'_>, store: &Store, after: Vec<StepName>) -> Step {
    let call = match &store.kind {
        StoreKind::Aurora { global_cluster, .. } => {
            format!("rds:DescribeGlobalClusters in {}: {global_cluster} writes there", request.to)
        }
        StoreKind::Rds { instances, .. } => format!(
            "rds:DescribeDBInstances in {}: {} writes there",
            request.to,
            instances.get(request.to).map_or("", String::as_str)
        ),
        StoreKind::Dynamodb { table, .. } => {
            format!("dynamodb:DescribeTable in {}: the replica of {table} is ACTIVE", request.to)
        }
        StoreKind::S3 { buckets, .. } => format!(
            "s3:GetBucketVersioning in {}: {} takes objects",
            request.to,
            buckets.get(request.to).map_or("", String::as_str)
        ),
    };
    Step {
        name: name("check-data", store.name.as_str()),
        kind: StepKind::CheckData { store: store.name.clone() },
        region: request.to.clone(),
        plane: Plane::Control,
        critical: true,
        after,
        undo: Undo::Nothing,
        timeout_ms: CHECK_TIMEOUT_MS,
        calls: vec![call],
    }
}

fn flip_step(request: &PlanRequest<'_>, after: Vec<StepName>) -> Step {
    let group = request.spec.switch_group();
    let (bit, on, call) = match request.movement {
        Movement::Failover => {
            // One bit for the pair: old off and new on are the same entry.
            let bit = request.spec.regions.first().unwrap_or(request.to);
            let call = format!("commit switch {group}: {} serves, {} does not", request.to, request.from);
            (bit, bit == request.to, call)
        }
        Movement::Evacuate => (request.from, false, format!("commit switch {group}: {} serves no more", request.from)),
        Movement::Restore => {
            let how = match request.mode {
                Mode::Graceful => "in waves",
                Mode::Forced => "all at once",
            };
            (request.to, true, format!("commit switch {group}: {} serves again, {how}", request.to))
        }
    };
    let mut calls = vec![call];
    if request.spec.traffic.switch == SwitchTransport::Cloudwatch {
        calls.push(format!(
            "cloudwatch:PutMetricData by every daemon in its own Region; Route 53 may take {} s to follow, and longer to \
             read the data than AWS documents",
            slowest_s()
        ));
    }
    Step {
        name: name("flip-switch", group.as_str()),
        calls,
        kind: StepKind::FlipSwitch { group, bit: bit.clone(), on },
        region: request.to.clone(),
        plane: Plane::Data,
        critical: true,
        after,
        undo: Undo::PutBack,
        timeout_ms: FLIP_TIMEOUT_MS,
    }
}

fn verify_step(request: &PlanRequest<'_>, flip: &Step) -> Step {
    let calls = request
        .spec
        .traffic
        .records
        .iter()
        .map(|record| {
            let whose = match request.movement {
                Movement::Failover => format!("the answer of {}", request.to),
                Movement::Evacuate => format!("the answer of a Region that serves, not of {}", request.from),
                Movement::Restore => format!("the answer of a Region that serves, {} among them", request.to),
            };
            format!("dns {} {} at the zone's servers: {whose}", record.name, record.record_type)
        })
        .collect();
    Step {
        name: name("verify-answer", request.spec.name.as_str()),
        kind: StepKind::VerifyAnswer,
        region: request.to.clone(),
        plane: Plane::Data,
        critical: true,
        after: vec![flip.name.clone()],
        undo: Undo::Nothing,
        timeout_ms: VERIFY_TIMEOUT_MS,
        calls,
    }
}
