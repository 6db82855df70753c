//! `fleet`: the daemons themselves.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::backup::{BackupArgs, ConfirmArgs, back_up, confirm_service};
use crate::api::proto::{
    AddDaemonRequest, DaemonSeen, FleetChange, FleetSize, ListDaemonsRequest, ListDaemonsResponse, RemoveDaemonRequest,
    ReplaceDaemonRequest,
};
use crate::cli::confirm::confirm;
use crate::cli::output::View;
use crate::cli::{Client, Context, Failure, Outcome};

/// Filling a new disk takes its time.
const REPLACED_WITHIN: Duration = Duration::from_secs(150);

/// Arguments of `fleet`.
#[derive(Args, Debug)]
pub struct FleetArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Which daemons vote, and how far each is; the leader knows all of it
    List,
    /// Keeps what is agreed in a file, to begin a new fleet from should every disk be lost (failoverd recover --from)
    Backup(BackupArgs),
    /// Says where a service is, after the fleet was restored from a backup
    Confirm(ConfirmArgs),
    /// Puts a new disk in the place of one that was lost; ask the daemon that leads
    Replace {
        /// The daemon whose disk was lost, running on an empty data_dir with --join
        region: String,
    },
    /// Adds a Region, whose daemon runs on an empty data_dir with --join; ask the daemon that leads
    Add(Resize),
    /// Removes a Region, whose daemon need not be alive; ask the daemon that leads
    Remove(Resize),
}

#[derive(Args, Debug)]
struct Resize {
    /// The Region
    region: String,
    /// Only show what it would mean
    #[arg(long)]
    dry_run: bool,
}

/// Lists daemons, replaces one, adds or removes one.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, args: FleetArgs) -> Result<Outcome, Failure> {
    match args.what {
        What::List => {
            let mut client = context.client().await?;
            let seen = client.fleet.list_daemons(ListDaemonsRequest {}).await.map_err(Failure::of_read)?.into_inner();
            let names = seen.daemons.iter().map(|daemon| daemon.region.clone()).collect();
            context.out.show(&View { json: list_json(&seen), text: list_text(&seen), names });
        }
        What::Backup(args) => return back_up(context, args).await,
        What::Confirm(args) => return confirm_service(context, args).await,
        What::Replace { region } => {
            let what = format!("take the vote from {region}, forget its old disk and fill its new one");
            confirm(context, &what, &region)?;
            let mut client = context.client_for(REPLACED_WITHIN).await?;
            let request = ReplaceDaemonRequest { region: region.clone() };
            let done = client.fleet.replace_daemon(request).await.map_err(Failure::of_change)?.into_inner();
            let text = format!("{}\n", done.message);
            context.out.show(&View { json: json!({ "message": done.message }), text, names: vec![region] });
        }
        What::Add(asked) => resize(context, &asked, Way::In).await?,
        What::Remove(asked) => resize(context, &asked, Way::Out).await?,
    }
    Ok(Outcome::DONE)
}

/// Which way a Region goes.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

/// Shows what it would mean, asks, and does it.
async fn resize(context: &Context, asked: &Resize, way: Way) -> Result<(), Failure> {
    let Resize { region, dry_run } = asked;
    let (_, change) = put(&mut context.client().await?, region, way, true).await?;
    if *dry_run {
        let json = json!({ "change": change_json(&change) });
        context.out.show(&View { json, text: change_text(&change), names: vec![region.clone()] });
        return Ok(());
    }
    context.out.note(change_text(&change).trim_end());
    let what = match way {
        Way::In => format!("fill the disk of {region}'s daemon, add the Region to the fleet and give it a vote"),
        Way::Out => format!("remove {region} from the fleet and take its daemon's vote"),
    };
    confirm(context, &what, region)?;
    let (message, change) = put(&mut context.client_for(REPLACED_WITHIN).await?, region, way, false).await?;
    let json = json!({ "message": message, "change": change_json(&change) });
    context.out.show(&View { json, text: format!("{message}\n"), names: vec![region.clone()] });
    Ok(())
}

async fn put(client: &mut Client, region: &str, way: Way, dry_run: bool) -> Result<(String, FleetChange), Failure> {
    let region = region.to_owned();
    let (message, change) = match way {
        Way::In => {
            let done = client.fleet.add_daemon(AddDaemonRequest { region, dry_run }).await;
            let done = done.map_err(Failure::of_change)?.into_inner();
            (done.message, done.change)
        }
        Way::Out => {
            let done = client.fleet.remove_daemon(RemoveDaemonRequest { region, dry_run }).await;
            let done = done.map_err(Failure::of_change)?.into_inner();
            (done.message, done.change)
        }
    };
    Ok((message, change.unwrap_or_default()))
}

fn size_json(size: &FleetSize) -> serde_json::Value {
    json!({
        "regions": size.regions,
        "may_be_lost": size.may_be_lost,
        "health_checks": size.health_checks,
        "monthly_usd": size.monthly_usd,
    })
}

fn change_json(change: &FleetChange) -> serde_json::Value {
    json!({
        "before": change.before.as_ref().map(size_json),
        "after": change.after.as_ref().map(size_json),
        "notes": change.notes,
    })
}

fn change_text(change: &FleetChange) -> String {
    let (before, after) = (change.before.clone().unwrap_or_default(), change.after.clone().unwrap_or_default());
    let usd = |size: &FleetSize| size.monthly_usd.map_or_else(|| "?".to_owned(), |usd| format!("${usd:.2}"));
    let rows = [
        ("daemons", format!("{} -> {}", before.regions.len(), after.regions.len())),
        ("may be lost", format!("{} -> {}", before.may_be_lost, after.may_be_lost)),
        ("Regions", after.regions.join(", ")),
        ("health checks", format!("{} -> {} of all services", before.health_checks, after.health_checks)),
        ("by list price", format!("{} -> {} a month", usd(&before), usd(&after))),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:14} {value}");
    }
    for note in &change.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn stands(daemon: &DaemonSeen) -> &'static str {
    match (daemon.leads, daemon.votes, daemon.follows) {
        (true, ..) => "leads",
        (_, true, _) => "votes",
        (_, _, true) => "follows, does not vote yet",
        _ => "has no vote: replace it",
    }
}

fn list_json(seen: &ListDaemonsResponse) -> serde_json::Value {
    let daemons = seen.daemons.iter().map(|daemon| {
        json!({
            "region": daemon.region,
            "votes": daemon.votes,
            "follows": daemon.follows,
            "leads": daemon.leads,
            "has": daemon.has,
        })
    });
    json!({ "generation": seen.generation, "daemons": daemons.collect::<Vec<_>>() })
}

fn list_text(seen: &ListDaemonsResponse) -> String {
    let mut text = format!("Generation {}\n", seen.generation);
    let width = seen.daemons.iter().map(|daemon| daemon.region.len()).max().unwrap_or_default();
    for daemon in &seen.daemons {
        let has = daemon.has.map_or_else(String::new, |has| format!(", has entry {has}"));
        let _ = writeln!(text, "  {:width$}  {}{has}", daemon.region, stands(daemon));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_where_each_daemon_stands() {
        let daemon =
            |region: &str, leads, votes, follows, has| DaemonSeen { region: region.into(), votes, follows, leads, has };
        let seen = ListDaemonsResponse {
            generation: 1,
            daemons: vec![
                daemon("eu-west-1", true, true, false, Some(412)),
                daemon("us-east-1", false, false, true, Some(380)),
                daemon("us-west-2", false, false, false, None),
            ],
        };
        let expected = "Generation 1\n  eu-west-1  leads, has entry 412\n  us-east-1  follows, does not vote yet, has entry 380\n  \
                        us-west-2  has no vote: replace it\n";
        assert_eq!(list_text(&seen), expected);
    }

    #[test]
    fn a_change_says_what_it_means_before_and_after() {
        let size = |regions: &[&str], may_be_lost, health_checks, monthly_usd| FleetSize {
            regions: regions.iter().map(ToString::to_string).collect(),
            may_be_lost,
            health_checks,
            monthly_usd,
        };
        let change = FleetChange {
            before: Some(size(&["a", "b", "c"], 1, 8, Some(21.0))),
            after: Some(size(&["a", "b", "c", "d"], 1, 10, None)),
            notes: vec!["an even number is no better".to_owned()],
        };
        let expected = "daemons        3 -> 4\nmay be lost    1 -> 1\nRegions        a, b, c, d\n\
                        health checks  8 -> 10 of all services\nby list price  $21.00 -> ? a month\n\
                        note: an even number is no better\n";
        assert_eq!(change_text(&change), expected);
        assert_eq!(change_json(&change)["after"]["monthly_usd"], serde_json::Value::Null);
    }
}
