//! How `failoverctl sandbox break` finds the running sandbox and tells it what to do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::ids::Region;
use tokio::sync::Mutex;

use super::addresses::Addresses;
use super::door::Order;
use super::fleet::{Sandbox, SandboxError};
use crate::runtime::{Supervisor, TaskKind};

/// A Region may take a while to stop.
const PATIENCE: Duration = Duration::from_secs(20);
/// Name of the files in which running sandboxes leave word; the port base follows.
const WORD: &str = "failoverd-running-";

/// Why the running sandbox did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// None is running, or it cannot be reached.
    #[error("no running sandbox was found ({0}): start one with `failoverctl sandbox up`")]
    NotRunning(String),
    /// Several are running, and nobody said which is meant.
    #[error("several sandboxes are running, with port bases {0}: say which with --port-base")]
    Several(String),
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// Word of a running sandbox, left where `failoverctl sandbox break` finds it, and the listener behind it. Both are
/// taken back when dropped: only this one's, never those of another sandbox.
pub struct Word {
    path: PathBuf,
    serving: Supervisor,
}

impl Drop for Word {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = std::fs::remove_file(&self.path);
        self.serving.kill();
    }
}

type Shared = Arc<Mutex<Option<Sandbox>>>;

/// Lets `sandbox` take orders at its AWS's port and leaves word where that is.
///
/// # Errors
/// It takes orders already, or word cannot be left.
pub async fn serve_control(sandbox: Shared, addresses: Addresses) -> Result<Word, SandboxError> {
    let orders = sandbox.lock().await.as_ref().and_then(Sandbox::take_orders);
    let mut orders = orders.ok_or_else(|| SandboxError::Machine("the sandbox takes orders already".to_owned()))?;
    let serving = Supervisor::new();
    serving.spawn(TaskKind::Listener, async move {
        while let Some(Order { action, target, done }) = orders.recv().await {
            let word = act(&sandbox, &action, &target).await.map_err(|error| error.to_string());
            // Whoever asked may have gone away.
            let _ = done.send(word);
        }
    });
    let path = std::env::temp_dir().join(format!("{WORD}{}", addresses.base()));
    std::fs::write(&path, "")
        .map_err(|error| SandboxError::Machine(format!("{} cannot be written: {error}", path.display())))?;
    Ok(Word { path, serving })
}

async fn act(sandbox: &Shared, action: &str, target: &str) -> Result<String, SandboxError> {
    let mut sandbox = sandbox.lock().await;
    let sandbox = sandbox.as_mut().ok_or_else(|| SandboxError::Machine("the sandbox is stopping".to_owned()))?;
    let region = Region::from(target);
    match action {
        "break" => sandbox.break_region(target).await,
        "heal" => sandbox.heal_region(target).await,
        "crash" => {
            sandbox.crash_daemon(&region).await?;
            Ok(format!("the daemon of {target} was ended where it stood; its Region lives on"))
        }
        "start" => {
            sandbox.start_daemon(&region).await?;
            Ok(format!("the daemon of {target} runs"))
        }
        other => Err(SandboxError::Machine(format!("the sandbox cannot {other}"))),
    }
}

/// Tells the running sandbox to do something to a Region: the one around `base`, or else the only one there is.
///
/// # Errors
/// [`ControlError`].
pub async fn ask_running(base: Option<u16>, action: &str, target: &str) -> Result<String, ControlError> {
    let not_running = |error: reqwest::Error| ControlError::NotRunning(innermost(&error));
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(not_running)?;
    let addresses = match base {
        Some(base) => Addresses::around(base).map_err(ControlError::Refused)?,
        None => only_one(&client).await?,
    };
    let url = format!("http://{}/_sandbox/{action}/{target}", addresses.aws());
    let response = client.post(&url).send().await.map_err(not_running)?;
    let ok = response.status().is_success();
    let text = response.text().await.map_err(not_running)?;
    if ok { Ok(text) } else { Err(ControlError::Refused(text)) }
}

/// The sandbox that answers. One that was killed left its word behind; that is taken back here.
async fn only_one(client: &reqwest::Client) -> Result<Addresses, ControlError> {
    let mut running = Vec::new();
    for (base, word) in words() {
        let Ok(addresses) = Addresses::around(base) else { continue };
        let answer = client.get(format!("http://{}/_sandbox", addresses.aws())).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => running.push((base, addresses)),
            // Gone already is as good.
            _ => drop(std::fs::remove_file(word)),
        }
    }
    match running.as_slice() {
        [(_, only)] => Ok(*only),
        [] => Err(ControlError::NotRunning("nobody left word".to_owned())),
        several => {
            let bases: Vec<String> = several.iter().map(|(base, _)| base.to_string()).collect();
            Err(ControlError::Several(bases.join(", ")))
        }
    }
}

/// Port bases of sandboxes that left word, in order.
fn words() -> BTreeMap<u16, PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let base = |entry: std::fs::DirEntry| {
        let base = entry.file_name().to_str()?.strip_prefix(WORD)?.parse().ok()?;
        Some((base, entry.path()))
    };
    entries.filter_map(base).collect()
}

/// The cause that says most.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// Resolves when the process is asked to stop, with the name of what asked.
pub async fn stop_asked() -> &'static str {
    let mut terminated = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        // Without it Ctrl-C still works.
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
            return "interrupt";
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "interrupt",
        _ = terminated.recv() => "termination",
    }
}
