//! What a person types, as calls of the API.

use std::time::Duration;

use failoverd::api::convert;
use failoverd::api::proto::control_service_client::ControlServiceClient;
use failoverd::api::proto::{
    AbortRunRequest, ApplyRequest, ApproveRunRequest, CancelDrillRequest, FailoverRequest, ManifestFile, PauseRequest,
    ResumeRequest, RunDrillRequest, SetSwitchRequest, StepRequest,
};
use failoverd_domain::drill::DrillSpec;
use failoverd_domain::fleet::{Command, Decision};
use failoverd_domain::manifest::{drill_to_manifest, to_manifest};
use failoverd_domain::plan::Movement;
use failoverd_domain::service::ServiceSpec;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How long a person waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Types that; outside, why nobody answered.
pub async fn typed(to: Channel, command: Command) -> Result<Result<(), String>, String> {
    let mut daemon = ControlServiceClient::new(to);
    let answer = match command {
        Command::Decide(decision) => daemon.failover(request(&decision)).await.map(drop),
        Command::Abort { run, reason } => {
            daemon.abort_run(AbortRunRequest { run: run.to_string(), reason }).await.map(drop)
        }
        Command::Approve { run } => daemon.approve_run(ApproveRunRequest { run: run.to_string() }).await.map(drop),
        Command::Retry { run, step } => {
            let request = StepRequest { run: run.to_string(), step: Some(step.to_string()) };
            daemon.retry_step(request).await.map(drop)
        }
        Command::Pause { service } => {
            daemon.pause(PauseRequest { service: service.map(|name| name.to_string()) }).await.map(drop)
        }
        Command::Resume { service } => {
            daemon.resume(ResumeRequest { service: service.map(|name| name.to_string()) }).await.map(drop)
        }
        Command::SetSwitch { group, region, on, .. } => {
            let request = SetSwitchRequest { service: group.to_string(), region: region.to_string(), on };
            daemon.set_switch(request).await.map(drop)
        }
        Command::OpenDrill { drill, .. } => {
            daemon.run_drill(RunDrillRequest { drill: drill.to_string() }).await.map(drop)
        }
        Command::CancelDrill { run, reason } => {
            daemon.cancel_drill(CancelDrillRequest { run: run.to_string(), reason }).await.map(drop)
        }
        Command::Apply { specs, drills, prune, .. } => daemon.apply(manifests(&specs, &drills, prune)).await.map(drop),
        other => panic!("nobody types {other:?}"),
    };
    heard(answer)
}

/// What no answer tells from a refusal.
fn heard(answer: Result<(), Status>) -> Result<Result<(), String>, String> {
    match answer {
        Ok(()) => Ok(Ok(())),
        Err(status) => match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
                Err(format!("{:?}: {}", status.code(), status.message()))
            }
            code => Ok(Err(format!("{code:?}: {}", status.message()))),
        },
    }
}

fn request(decision: &Decision) -> FailoverRequest {
    let plan = &decision.plan;
    let is_left = plan.movement == Movement::Evacuate;
    FailoverRequest {
        service: plan.service.to_string(),
        to: (!is_left).then(|| plan.to.to_string()),
        mode: convert::mode(plan.mode).into(),
        reason: "because".to_owned(),
        plan_hash: None,
        from: is_left.then(|| plan.from.to_string()),
        movement: convert::movement(plan.movement).into(),
    }
}

fn manifests(specs: &[ServiceSpec], drills: &[DrillSpec], prune: bool) -> ApplyRequest {
    let texts = specs.iter().map(to_manifest).chain(drills.iter().map(drill_to_manifest));
    // YAML reads JSON.
    let content = texts.map(|manifest| manifest.to_string()).collect::<Vec<_>>().join("\n---\n");
    let files = vec![ManifestFile { name: "shop.yaml".to_owned(), content: content.into_bytes() }];
    ApplyRequest { files, prune, dry_run: false, confirm: Vec::new() }
}
