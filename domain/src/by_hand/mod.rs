//! A plan as a script of `aws` commands, for the day on which no daemon lives (`plan -o shell`, ADR 27).
//!
//! Pure: the same plan gives the same script. Must never write a name into the script that a shell, JSON or JMESPath
//! could take for something else: such a name is refused.

mod steps;
#[cfg(test)]
mod tests;
mod zone;

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::ids::{FleetId, Generation, Region, StepName};
use crate::plan::{Mode, Movement, Plan, Step, Undo};
use crate::service::{ServiceSpec, SwitchTransport};

/// Functions that the steps call.
const PRELUDE: &str = include_str!("prelude.sh");

/// Everything that a script is made of.
#[derive(Clone, Debug)]
pub struct ByHand<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// The service, and then those that share its switch.
    pub specs: Vec<&'a ServiceSpec>,
    /// The fleet that the zone's records belong to.
    pub fleet: &'a FleetId,
    /// Its generation: the script writes as the next one.
    pub generation: Generation,
    /// p50 and p95 of what steps took before, milliseconds.
    pub figures: BTreeMap<StepName, (u64, u64)>,
}

/// Why there is no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByHandProblem {
    /// It could break out of where it stands.
    #[error("{0:?} cannot stand in a script: it has a quote, a backslash, a dollar, a backtick or a control character")]
    Name(String),
    /// The plan asks for something that its manifest does not have.
    #[error("{step} needs {what}, which the manifest does not have")]
    Missing {
        /// Step.
        step: StepName,
        /// What is not there.
        what: String,
    },
    /// Without a switch, a Region of an active-active service has nothing that could be turned off.
    #[error("{0} has no switch: nothing but its own records could take a Region out, and those are yours")]
    NoSwitch(String),
}

/// The script.
///
/// # Errors
/// When a name does not fit into a script, or the plan does not fit its manifest.
pub fn by_hand(asked: &ByHand<'_>) -> Result<String, ByHandProblem> {
    let plan = asked.plan;
    let lead = asked.specs.first().ok_or_else(|| ByHandProblem::NoSwitch(plan.service.to_string()))?;
    if lead.traffic.switch == SwitchTransport::None && plan.movement != Movement::Failover {
        return Err(ByHandProblem::NoSwitch(plan.service.to_string()));
    }
    let mut script = head(asked)?;
    script += PRELUDE;
    script += &begin(asked, lead)?;
    script += &zone::take(asked)?;
    for step in &plan.steps {
        script += &announced(asked, step)?;
        script += &steps::commands(asked, lead, step)?;
    }
    script += &end(asked)?;
    Ok(script)
}

/// A name as one word of the shell; it can also stand in a JSON or JMESPath text within.
fn word(name: &str) -> Result<String, ByHandProblem> {
    Ok(format!("'{}'", plain(name)?))
}

/// A name that stands for itself wherever it is put.
fn plain(name: &str) -> Result<&str, ByHandProblem> {
    let is_hostile = |c: char| c.is_control() || matches!(c, '\'' | '"' | '\\' | '`' | '$');
    if name.is_empty() || name.starts_with('-') || name.chars().any(is_hostile) {
        return Err(ByHandProblem::Name(name.to_owned()));
    }
    Ok(name)
}

/// Text for people, as one word of the shell: whatever is in it is printed, never run.
fn text(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("'{}'", printable.replace('\'', "'\\''"))
}

/// `moves X from A to B` for people.
fn sentence(plan: &Plan) -> String {
    let Plan { service, from, to, mode, .. } = plan;
    match plan.movement {
        Movement::Failover => format!("moves {service} from {from} to {to}, {mode}"),
        Movement::Evacuate => format!("takes {service} out of {from}, {mode}; its writer is, or goes, in {to}"),
        Movement::Restore => format!("lets {service} be served in {to} again, {mode}"),
    }
}

fn head(asked: &ByHand<'_>) -> Result<String, ByHandProblem> {
    let hash = asked.plan.hash();
    let what = text(&sentence(asked.plan));
    // In a comment: a name that is plain has no line end.
    for name in [asked.plan.service.as_str(), asked.plan.from.as_str(), asked.plan.to.as_str()] {
        plain(name)?;
    }
    Ok(format!(
        "#!/usr/bin/env bash\n\
         # This script {what}, with nothing but `aws` (plan {hash}).\n\
         # It is for the day on which no daemon of failoverd lives. While two of three do, they do it better: use\n\
         # `failoverctl failover`.\n\
         #\n\
         #   bash SCRIPT              does it; says before each step what it does, and asks before what cannot be taken back\n\
         #   YES=1 bash SCRIPT        the same, and does not ask\n\
         #   bash SCRIPT hand-back    afterwards, once the fleet lives again and knows: see the end\n\
         #\n\
         # It stops at the first error and can be run again after any break: what is done is seen and left alone.\n\
         # It needs bash, the AWS CLI (1 or 2), and credentials that may do what it does.\n\n"
    ))
}

/// Who asks, and that no daemon is about to do the same.
fn begin(asked: &ByHand<'_>, lead: &ServiceSpec) -> Result<String, ByHandProblem> {
    let to = word(asked.plan.to.as_str())?;
    let mut out = "\n# -- the move ---------------------------------------------------------------------------------------------------------\n\n".to_owned();
    out += "case ${1:-move} in\nmove | hand-back) ;;\n*) stop \"usage: $0 [hand-back]\" ;;\nesac\n";
    out += "command -v aws >/dev/null || stop \"aws is missing: install the AWS CLI\"\n";
    let _ = writeln!(
        out,
        "caller=$(in_region {to} sts get-caller-identity --output text --query Arn) ||\n    stop \"AWS does not know who you are: sign in, or set AWS_PROFILE\"\nsay \"You are $caller, with $(command aws --version 2>&1).\""
    );
    if let Some(role) = &lead.role_arn {
        let role = word(role)?;
        let _ = writeln!(
            out,
            "# The service is in an account where failoverd acts by this role. NO_ROLE=1 stays who you are.\n\
             if [ \"${{NO_ROLE:-}}\" != 1 ]; then\n    \
             keys=$(in_region {to} sts assume-role --role-arn {role} --role-session-name failoverd-by-hand --output text \\\n        \
             --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]') || stop \"the role cannot be assumed; NO_ROLE=1 goes without\"\n    \
             read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN <<<\"$keys\"\n    \
             export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN\n    unset AWS_PROFILE\nfi"
        );
    }
    Ok(out)
}

/// What a person should know before the step.
fn announced(asked: &ByHand<'_>, step: &Step) -> Result<String, ByHandProblem> {
    let usual = match asked.figures.get(&step.name) {
        Some((p50, p95)) => format!("took {} (p50), {} (p95) before; ", seconds(*p50), seconds(*p95)),
        None => "not measured before; ".to_owned(),
    };
    let takes = format!("{usual}given up after {}", seconds(step.timeout_ms));
    let risks = match (step.undo, step.critical) {
        (Undo::Nothing, _) => "changes nothing",
        (Undo::PutBack, true) => "can be put back",
        (Undo::PutBack, false) => "can be put back; what it cannot do does not hold the move up",
        (Undo::Irreversible, _) if asked.plan.mode == Mode::Forced => {
            "cannot be taken back, and loses what the old Region took and had not sent yet"
        }
        (Undo::Irreversible, _) => "cannot be taken back",
    };
    let mut lines = vec![text(step.name.as_str())];
    lines.extend(step.calls.iter().map(|call| text(call)));
    lines.extend([text(&format!("how long: {takes}")), text(&format!("risk: {risks}"))]);
    Ok(format!("\nstep {}\n", lines.join(" \\\n    ")))
}

/// `1.5s`; no figure is made finer than it is.
fn seconds(ms: u64) -> String {
    match (ms / 1_000, ms % 1_000) {
        (whole, 0) => format!("{whole}s"),
        (whole, rest) => format!("{whole}.{}s", rest / 100),
    }
}

/// Whole seconds to wait, one at least.
const fn limit_s(step: &Step) -> u64 {
    let s = step.timeout_ms.div_ceil(1_000);
    if s == 0 { 1 } else { s }
}

/// How the fleet learns of it.
fn end(asked: &ByHand<'_>) -> Result<String, ByHandProblem> {
    let Plan { service, from, to, .. } = asked.plan;
    let tell = match asked.plan.movement {
        Movement::Failover => {
            format!("failoverctl failover {service} --to {to} --mode forced --reason \"moved by hand\" --wait")
        }
        Movement::Evacuate => {
            format!("failoverctl evacuate {from} --service {service} --mode forced --reason \"moved by hand\" --wait")
        }
        Movement::Restore => {
            format!("failoverctl restore {to} --service {service} --mode forced --reason \"moved by hand\" --wait")
        }
    };
    let lines = [
        "failoverd does not know of this yet. Its records are locked against it, and the health checks are held: \
                 daemons that come back change nothing there, whatever they believe.".to_owned(),
        format!("1. Before they start, or right after: failoverctl pause {service}"),
        format!("2. Tell the fleet; it finds everything done and turns its switch: {tell}"),
        "3. Give it the records back: bash THIS-SCRIPT hand-back. Settlement then frees the health checks.".to_owned(),
        format!("4. When failoverctl status shows {service} steady: failoverctl resume {service}"),
        "If the fleet is lost for good, make a new one of the next generation (runbook, \"All daemons are dead\"): it may write at once."
            .to_owned(),
    ];
    let lines: Vec<String> = lines.iter().map(|line| text(line)).collect();
    let done = text(&format!("Done: this script {}.", sentence(asked.plan)));
    Ok(format!("\nsay ''\nsay {done}\nfor line in {}; do\n    say \"$line\"\ndone\n", lines.join(" \\\n    ")))
}

/// The name of a resource in a Region, or what is missing.
fn of_region<'a>(
    step: &Step,
    what: &str,
    names: &'a BTreeMap<Region, String>,
    region: &Region,
) -> Result<&'a str, ByHandProblem> {
    let missing = || ByHandProblem::Missing { step: step.name.clone(), what: format!("{what} in {region}") };
    names.get(region).map(String::as_str).ok_or_else(missing)
}
