//! `get`.

use clap::{Args, ValueEnum};

use crate::api::proto::{
    GetFleetRequest, GetServiceRequest, GetSwitchesRequest, ListDrillsRequest, ListRunsRequest, ListServicesRequest,
    Service,
};
use crate::cli::output::View;
use crate::cli::{Client, Context, Failure, Outcome, view};

/// Arguments of `get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// What to list
    #[arg(value_enum)]
    kind: Kind,
    /// Only this one (of runs: this run, or the runs of this service)
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    #[value(alias = "service")]
    Services,
    #[value(alias = "region")]
    Regions,
    #[value(alias = "switch")]
    Switches,
    #[value(alias = "run")]
    Runs,
    #[value(alias = "drill")]
    Drills,
    #[value(alias = "epoch")]
    Epochs,
    #[value(alias = "guard")]
    Guards,
}

/// Lists things.
///
/// # Errors
/// A name that is not there, exit 2; no daemon answers.
pub async fn run(context: &Context, args: GetArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let name = args.name.as_deref();
    let shown = match args.kind {
        Kind::Services | Kind::Epochs => services(context, &mut client, args.kind, name).await?,
        Kind::Regions => regions(context, &mut client, name).await?,
        Kind::Switches => switches(context, &mut client, name).await?,
        Kind::Runs => runs(context, &mut client, name).await?,
        Kind::Drills => drills(context, &mut client, name).await?,
        Kind::Guards => guards(&mut client, name).await?,
    };
    if let (true, Some(name)) = (shown.names.is_empty(), name) {
        let kind = format!("{:?}", args.kind).to_lowercase();
        return Err(Failure::usage(format!("there is no \"{name}\" among the {kind}")));
    }
    context.out.show(&shown);
    Ok(Outcome::DONE)
}

fn is(wanted: Option<&str>, name: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == name)
}

async fn list(
    client: &mut Client,
    name: Option<&str>,
) -> Result<(Vec<Service>, Option<crate::api::proto::Answered>), Failure> {
    let answer = client.status.list_services(ListServicesRequest {}).await.map_err(Failure::of_read)?.into_inner();
    Ok((answer.services.into_iter().filter(|service| is(name, &service.name)).collect(), answer.answered))
}

async fn services(context: &Context, client: &mut Client, kind: Kind, name: Option<&str>) -> Result<View, Failure> {
    let (services, answered) = list(client, name).await?;
    let style = context.out.style().at(answered.as_ref());
    Ok(if kind == Kind::Epochs { view::epochs(&services, style) } else { view::services(&services, style) })
}

async fn regions(context: &Context, client: &mut Client, name: Option<&str>) -> Result<View, Failure> {
    let fleet = client.status.get_fleet(GetFleetRequest {}).await.map_err(Failure::of_read)?.into_inner();
    let regions: Vec<_> = fleet.regions.into_iter().filter(|region| is(name, &region.region)).collect();
    Ok(view::regions(&regions, context.out.style()))
}

async fn switches(context: &Context, client: &mut Client, name: Option<&str>) -> Result<View, Failure> {
    let answer = client.status.get_switches(GetSwitchesRequest {}).await.map_err(Failure::of_read)?.into_inner();
    let style = context.out.style().at(answer.answered.as_ref());
    let switches: Vec<_> = answer.switches.into_iter().filter(|switch| is(name, &switch.group)).collect();
    Ok(view::switches(&switches, style))
}

async fn runs(context: &Context, client: &mut Client, name: Option<&str>) -> Result<View, Failure> {
    let request = ListRunsRequest { service: None, open: false };
    let answer = client.status.list_runs(request).await.map_err(Failure::of_read)?.into_inner();
    let style = context.out.style().at(answer.answered.as_ref());
    let wanted = |run: &crate::api::proto::Run| is(name, &run.id) || is(name, &run.service);
    let runs: Vec<_> = answer.runs.into_iter().filter(wanted).collect();
    Ok(view::runs(&runs, style))
}

async fn drills(context: &Context, client: &mut Client, name: Option<&str>) -> Result<View, Failure> {
    let answer = client.status.list_drills(ListDrillsRequest::default()).await.map_err(Failure::of_read)?.into_inner();
    let style = context.out.style().at(answer.answered.as_ref());
    let drills: Vec<_> = answer.drills.into_iter().filter(|drill| is(name, &drill.name)).collect();
    Ok(view::drills(&drills, style))
}

async fn guards(client: &mut Client, name: Option<&str>) -> Result<View, Failure> {
    let (services, _) = list(client, name).await?;
    let mut all = Vec::new();
    for service in services {
        let request = GetServiceRequest { name: service.name.clone() };
        let answer = client.status.get_service(request).await.map_err(Failure::of_read)?.into_inner();
        all.push((service.name, answer.guards));
    }
    Ok(view::guards(&all))
}
