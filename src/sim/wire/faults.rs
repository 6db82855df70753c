//! Breaking and healing over HTTP, for whoever tests from another process: `POST /_sim/faults` with
//! `{"action":"throttle","region":"us-east-1","service":"rds","on":true}` and the like.

use axum::Router;
use axum::extract::{Json, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use failoverd_domain::ids::Region;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sim::world::{Service, SimulatedAws};

/// One switch to be turned.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum Fault {
    BreakRegion { region: String },
    HealRegion { region: String },
    BreakControlPlane { region: String },
    HealControlPlane { region: String },
    BreakService { region: String, service: String },
    HealService { region: String, service: String },
    BreakRoute53,
    HealRoute53,
    HoldUpChanges { count: u32 },
    Slow { region: String, service: String, added_ms: u64 },
    Throttle { region: String, service: String, on: bool },
    LoseAnswers { region: String, service: String, count: u32 },
    ExpireCredentials { caller: String, on: bool },
    Deny { caller: String, iam_action: String, on: bool },
    Cut { caller: String, region: String },
    Mend { caller: String, region: String },
    Isolate { region: String },
    Rejoin { region: String },
}

#[derive(Debug, Deserialize)]
struct From {
    #[serde(default)]
    from: usize,
}

pub(super) fn routes(aws: &SimulatedAws) -> Router {
    Router::new().route("/_sim/faults", post(turn)).route("/_sim/effects", get(effects)).with_state(aws.clone())
}

async fn turn(State(aws): State<SimulatedAws>, Json(fault): Json<Value>) -> (StatusCode, String) {
    match serde_json::from_value(fault).map_err(|error| error.to_string()).and_then(|fault| apply(&aws, fault)) {
        Ok(()) => (StatusCode::OK, "done\n".to_owned()),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

fn service(name: &str) -> Result<Service, String> {
    let known = Service::ALL.into_iter().find(|service| service.name() == name);
    known.ok_or_else(|| {
        let names: Vec<&str> = Service::ALL.into_iter().map(Service::name).collect();
        format!("there is no service {name}: {}", names.join(", "))
    })
}

fn apply(aws: &SimulatedAws, fault: Fault) -> Result<(), String> {
    let at = |region: &str| Region::from(region);
    match fault {
        Fault::BreakRegion { region } => aws.break_region(&at(&region)),
        Fault::HealRegion { region } => aws.heal_region(&at(&region)),
        Fault::BreakControlPlane { region } => aws.break_control_plane(&at(&region)),
        Fault::HealControlPlane { region } => aws.heal_control_plane(&at(&region)),
        Fault::BreakService { region, service: name } => aws.break_service(&at(&region), service(&name)?),
        Fault::HealService { region, service: name } => aws.heal_service(&at(&region), service(&name)?),
        Fault::BreakRoute53 => aws.break_route53_api(),
        Fault::HealRoute53 => aws.heal_route53_api(),
        Fault::HoldUpChanges { count } => aws.hold_up_changes(count),
        Fault::Slow { region, service: name, added_ms } => aws.slow(&at(&region), service(&name)?, added_ms),
        Fault::Throttle { region, service: name, on } => aws.throttle(&at(&region), service(&name)?, on),
        Fault::LoseAnswers { region, service: name, count } => {
            aws.lose_next_answers(&at(&region), service(&name)?, count);
        }
        Fault::ExpireCredentials { caller, on } => aws.expire_credentials(&at(&caller), on),
        Fault::Deny { caller, iam_action, on } => aws.deny(&at(&caller), &iam_action, on),
        Fault::Cut { caller, region } => aws.cut(&at(&caller), &at(&region)),
        Fault::Mend { caller, region } => aws.mend(&at(&caller), &at(&region)),
        Fault::Isolate { region } => aws.isolate(&at(&region)),
        Fault::Rejoin { region } => aws.rejoin(&at(&region)),
    }
    Ok(())
}

/// Every mutating call that was accepted, from the nth on.
async fn effects(State(aws): State<SimulatedAws>, Query(From { from }): Query<From>) -> Json<Value> {
    let effects: Vec<Value> = aws
        .effects_from(from)
        .into_iter()
        .map(|effect| {
            json!({
                "at_ms": effect.at.0,
                "service": effect.service.name(),
                "operation": effect.operation,
                "region": effect.region,
                "arguments": effect.arguments,
                "changed": effect.changed,
            })
        })
        .collect();
    Json(json!({ "effects": effects }))
}
