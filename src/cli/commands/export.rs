//! `export`.

use clap::Args;
use serde_json::{Value, json};

use crate::api::proto::{ExportRequest, ExportedManifest};
use crate::cli::output::View;
use crate::cli::{Context, Failure, Format, Outcome};

/// Arguments of `export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Only this service, with its drills
    service: Option<String>,
}

/// Prints what is applied. Applying it again changes nothing.
///
/// # Errors
/// An unknown service, exit 2; no daemon answers.
pub async fn run(context: &Context, args: ExportArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let answer = client.control.export(ExportRequest { service: args.service }).await;
    let manifests = answer.map_err(Failure::of_read)?.into_inner().manifests;
    match context.global.output {
        Format::Table | Format::Wide | Format::Yaml => context.out.raw(&documents(&manifests)),
        Format::Json | Format::Name | Format::Html | Format::Md | Format::Shell => {
            context.out.show(&shown(&manifests)?)
        }
    }
    Ok(Outcome::DONE)
}

fn documents(manifests: &[ExportedManifest]) -> String {
    manifests.iter().map(|manifest| format!("---\n{}", manifest.yaml)).collect()
}

fn shown(manifests: &[ExportedManifest]) -> Result<View, Failure> {
    let read = |manifest: &ExportedManifest| serde_saphyr::from_str::<Value>(&manifest.yaml);
    let values: Result<Vec<Value>, _> = manifests.iter().map(read).collect();
    let values = values.map_err(|error| Failure::new(1, format!("the daemon's manifest makes no sense: {error}")))?;
    Ok(View {
        json: json!({ "manifests": values }),
        text: documents(manifests),
        names: manifests.iter().map(|manifest| format!("{}/{}", manifest.kind.to_lowercase(), manifest.name)).collect(),
    })
}
