//! `iam-policy`.

use clap::Args;
use serde_json::Value;

use crate::api::proto::GetIamPolicyRequest;
use crate::cli::output::View;
use crate::cli::{Context, Failure, Outcome};

/// Arguments of `iam-policy`.
#[derive(Args, Debug)]
pub struct IamPolicyArgs {
    /// Only for what is in this Region, or in none
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The account, where AWS should not be asked for it
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<String>,
    /// Whose policy: a role_arn of a manifest, or the name of the daemons' own role
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

fn account(text: &str) -> Result<String, String> {
    let fits = text.len() == 12 && text.chars().all(|digit| digit.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("an account has twelve digits".to_owned()) }
}

/// Prints the least-privilege IAM policy for what is applied: the document on stdout, notes on stderr.
///
/// # Errors
/// No daemon answers.
pub async fn run(context: &Context, args: IamPolicyArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let request = GetIamPolicyRequest { region: args.region, account: args.account, role: args.role };
    let answer = client.status.get_iam_policy(request).await.map_err(Failure::of_read)?.into_inner();
    for note in &answer.notes {
        context.out.note(&format!("note: {note}"));
    }
    let json: Value = serde_json::from_str(&answer.policy)
        .map_err(|error| Failure::new(1, format!("the daemon's policy cannot be read: {error}")))?;
    let sids = json.get("Statement").and_then(Value::as_array).into_iter().flatten();
    let names = sids.filter_map(|statement| statement.get("Sid").and_then(Value::as_str).map(str::to_owned)).collect();
    context.out.show(&View { text: format!("{}\n", answer.policy), json, names });
    Ok(Outcome::DONE)
}
