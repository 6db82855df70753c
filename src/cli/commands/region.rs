//! `evacuate` and `restore`: a whole Region out of service, and back.

use clap::Args;

use super::plan::{ModeArg, mode};
use crate::api::proto::{
    FailoverRequest, ListServicesRequest, Movement, Pattern, PlanRequest, PlanResponse, Run, Service, ServiceRole,
    Severity,
};
use crate::cli::confirm::confirm;
use crate::cli::{Client, Context, Failure, Outcome, progress, view};

/// After a restore.
const WAVES_GO_ON: &str = "active-active services come back in waves that go on by themselves: `failoverctl describe service SERVICE` shows the share, `failoverctl pause SERVICE` holds it";

/// Arguments of `evacuate` and `restore`.
#[derive(Args, Debug)]
pub struct RegionArgs {
    /// Region
    region: String,
    /// Only this service; may be given more than once
    #[arg(long = "service", value_name = "SERVICE")]
    services: Vec<String>,
    /// Graceful loses nothing and may refuse; forced goes on without the Region [default: forced when it is broken]
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Show their progress and wait for their end
    #[arg(long)]
    wait: bool,
}

/// Every service that serves from the Region, or those that are named, leaves it.
///
/// # Errors
/// See exit codes; 3 when a service cannot leave, which is said before any does.
pub async fn evacuate(context: &Context, args: RegionArgs) -> Result<Outcome, Failure> {
    run(context, args, Movement::Evacuate).await
}

/// Every service that is at home in the Region, or those that are named, comes back to it.
///
/// # Errors
/// See exit codes; 3 when a service cannot come back, which is said before any does.
pub async fn restore(context: &Context, args: RegionArgs) -> Result<Outcome, Failure> {
    run(context, args, Movement::Restore).await
}

async fn run(context: &Context, args: RegionArgs, movement: Movement) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let services = concerned(&mut client, &args, movement).await?;
    let (may, refused) = look(&mut client, &args, &services, movement).await?;
    for (service, why) in &refused {
        context.out.note(&format!("{service} stays as it is: {why}"));
    }
    if may.is_empty() {
        let why = match refused.len() {
            0 => format!("no service is to {} {}", verb(movement), args.region),
            count => format!("none of {count} services can {} {}", verb(movement), args.region),
        };
        return Err(Failure::new(Outcome::REFUSED.0, why));
    }
    ask(context, &args, &may, movement)?;
    let (runs, failures) = start(&mut client, &args, &may, movement).await;
    for (service, failure) in &failures {
        context.out.note(&format!("{service}: {}", failure.message));
    }
    if !args.wait {
        context.out.show(&view::runs(&runs, context.out.style()));
    }
    let mut ended: Vec<Result<Outcome, Failure>> = failures.into_iter().map(|(_, failure)| Err(failure)).collect();
    for run in runs.iter().filter(|_| args.wait) {
        let followed = follow(context, run).await;
        if let Err(failure) = &followed {
            context.out.note(&format!("{}: {}", run.id, failure.message));
        }
        ended.push(followed);
    }
    if movement == Movement::Restore && !runs.is_empty() {
        context.out.note(WAVES_GO_ON);
    }
    ended.extend((!refused.is_empty()).then_some(Ok(Outcome::REFUSED)));
    ended.into_iter().max_by_key(weight).unwrap_or(Ok(Outcome::DONE))
}

async fn follow(context: &Context, run: &Run) -> Result<Outcome, Failure> {
    progress::follow(context, context.client().await?, &run.id).await
}

/// Which of several ends the whole command ends with: the one that most wants a person.
fn weight(ended: &Result<Outcome, Failure>) -> u8 {
    // Done, goes on, objective missed, refused, bad input, not allowed, stopped, failed, nobody knows.
    const ORDER: [u8; 9] = [0, 8, 7, 3, 2, 4, 6, 1, 5];
    let exit = match ended {
        Ok(outcome) => outcome.0,
        Err(failure) => failure.exit,
    };
    ORDER.iter().zip(0..).find(|(code, _)| **code == exit).map_or(u8::MAX, |(_, place)| place)
}

const fn verb(movement: Movement) -> &'static str {
    match movement {
        Movement::Restore => "come back to",
        Movement::Evacuate | Movement::Unspecified => "leave",
    }
}

/// The services that are named; when none is, those that the command changes something for.
async fn concerned(client: &mut Client, args: &RegionArgs, movement: Movement) -> Result<Vec<String>, Failure> {
    if !args.services.is_empty() {
        return Ok(args.services.clone());
    }
    let all = client.status.list_services(ListServicesRequest {}).await.map_err(Failure::of_read)?.into_inner();
    if !all.services.iter().flat_map(|service| &service.regions).any(|region| region.region == args.region) {
        let known: std::collections::BTreeSet<&str> =
            all.services.iter().flat_map(|service| &service.regions).map(|region| region.region.as_str()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("no service runs in Region {} (they run in: {known})", args.region)));
    }
    let concerned = all.services.iter().filter(|service| is_concerned(service, &args.region, movement));
    Ok(concerned.map(|service| service.name.clone()).collect())
}

fn is_concerned(service: &Service, region: &str, movement: Movement) -> bool {
    let Some(there) = service.regions.iter().find(|there| there.region == region) else { return false };
    // Whoever it moves with is asked.
    if service.moves_with.is_some() {
        return false;
    }
    let is_home = service.regions.first().is_some_and(|first| first.region == region);
    match (movement, service.pattern()) {
        (Movement::Restore, Pattern::ActivePassive) => is_home && there.role() != ServiceRole::Primary,
        (Movement::Restore, _) => there.role() == ServiceRole::Evacuated,
        (_, _) => matches!(there.role(), ServiceRole::Primary | ServiceRole::Serving),
    }
}

type Refused = Vec<(String, String)>;

/// Each service's plan, and why some can have none.
async fn look(
    client: &mut Client,
    args: &RegionArgs,
    services: &[String],
    movement: Movement,
) -> Result<(Vec<PlanResponse>, Refused), Failure> {
    let (mut may, mut refused) = (Vec::new(), Vec::new());
    for service in services {
        let (from, to) = ends(args, movement);
        let (mode, movement) = (mode(args.mode).into(), movement.into());
        let request = PlanRequest { service: service.clone(), from, to, mode, movement, script: false };
        match client.status.plan(request).await.map(tonic::Response::into_inner).map_err(Failure::of_read) {
            Ok(plan) => match plan.guards.iter().find(|said| !said.ok && said.severity() == Severity::Blocks) {
                Some(no) => refused.push((service.clone(), format!("guard {} says no: {}", no.name, no.reason))),
                None => may.push(plan),
            },
            Err(failure) if failure.exit == Outcome::REFUSED.0 => refused.push((service.clone(), failure.message)),
            Err(failure) => return Err(failure),
        }
    }
    Ok((may, refused))
}

fn ends(args: &RegionArgs, movement: Movement) -> (Option<String>, Option<String>) {
    match movement {
        Movement::Restore => (None, Some(args.region.clone())),
        Movement::Evacuate | Movement::Unspecified => (Some(args.region.clone()), None),
    }
}

fn ask(context: &Context, args: &RegionArgs, may: &[PlanResponse], movement: Movement) -> Result<(), Failure> {
    if context.out.is_terminal() && !context.global.yes {
        for plan in may {
            context.out.note(&view::plan(plan).text);
        }
    }
    let names: Vec<&str> = may.iter().map(|plan| plan.service.as_str()).collect();
    let what = match movement {
        Movement::Restore => format!("bring {} back into service in {}", names.join(", "), args.region),
        Movement::Evacuate | Movement::Unspecified => format!("take {} out of {}", names.join(", "), args.region),
    };
    confirm(context, &what, &args.region)
}

/// Starts every run; one that cannot start does not hold up the others.
async fn start(
    client: &mut Client,
    args: &RegionArgs,
    may: &[PlanResponse],
    movement: Movement,
) -> (Vec<Run>, Vec<(String, Failure)>) {
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for plan in may {
        let (from, to) = ends(args, movement);
        let request = FailoverRequest {
            service: plan.service.clone(),
            from,
            to,
            mode: plan.mode,
            reason: args.reason.clone(),
            // What was shown is what is done.
            plan_hash: Some(plan.hash.clone()),
            movement: movement.into(),
        };
        match client.control.failover(request).await.map_err(Failure::of_change) {
            Ok(answer) => runs.extend(answer.into_inner().run),
            Err(failure) => failures.push((plan.service.clone(), failure)),
        }
    }
    (runs, failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_ends_the_one_that_most_wants_a_person_counts() {
        let failed = |exit| Err(Failure::new(exit, "no"));
        let worst = |ends: Vec<Result<Outcome, Failure>>| match ends.into_iter().max_by_key(weight) {
            Some(Ok(outcome)) => outcome.0,
            Some(Err(failure)) => failure.exit,
            None => 0,
        };
        assert_eq!(worst(vec![Ok(Outcome::DONE), Ok(Outcome::REFUSED)]), 3);
        assert_eq!(worst(vec![Ok(Outcome::STILL_RUNNING), Ok(Outcome::FAILED), Ok(Outcome::REFUSED)]), 1);
        assert_eq!(worst(vec![failed(3), Ok(Outcome::FAILED)]), 1);
        assert_eq!(worst(vec![failed(5), Ok(Outcome::FAILED), Ok(Outcome::ABORTED)]), 5, "nobody knows");
        assert_eq!(worst(vec![Ok(Outcome::OBJECTIVE_MISSED), Ok(Outcome::DONE)]), 7);
    }
}
