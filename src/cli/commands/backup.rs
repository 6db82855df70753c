//! `fleet backup` and `fleet confirm`: what a new fleet can begin from when every disk is lost, and what a person then says.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use failoverd_domain::fleet::{Backup, LARGEST_BACKUP};
use failoverd_domain::format::Format;
use serde_json::json;

use crate::api::proto::{BackUpRequest, ConfirmServiceRequest};
use crate::cli::confirm::confirm;
use crate::cli::output::View;
use crate::cli::{Client, Context, Failure, Outcome};

/// A large state over a slow line.
const SENT_WITHIN: Duration = Duration::from_secs(300);

/// Arguments of `fleet backup`.
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// Where to [default: FLEET-INDEX-TIME.failoverd-backup]; nothing is overwritten
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `fleet confirm`.
#[derive(Args, Debug)]
pub struct ConfirmArgs {
    /// Service
    service: String,
    /// A Region that serves; active-active: several times
    #[arg(long, value_name = "REGION", required = true)]
    serves: Vec<String>,
    /// Active-active: where the writers are that only one Region can have
    #[arg(long, value_name = "REGION")]
    writers: Option<String>,
    /// Though AWS says that a writer is in another Region
    #[arg(long)]
    although_seen_elsewhere: bool,
}

/// Fetches a backup, looks whether it is whole, and keeps it.
///
/// # Errors
/// See exit codes.
pub async fn back_up(context: &Context, args: BackupArgs) -> Result<Outcome, Failure> {
    let mut client = context.client_for(SENT_WITHIN).await?;
    let bytes = fetch(&mut client).await?;
    let backup =
        Backup::read(&bytes, Format::NEWEST).map_err(|error| Failure::new(1, format!("what came: {error}")))?;
    let file = args.out.unwrap_or_else(|| default_name(&backup));
    keep(&file, &bytes)?;
    context.out.show(&shown(&backup, &file, bytes.len()));
    Ok(Outcome::DONE)
}

async fn fetch(client: &mut Client) -> Result<Vec<u8>, Failure> {
    let mut pieces = client.fleet.back_up(BackUpRequest {}).await.map_err(Failure::of_read)?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.message().await.map_err(Failure::of_read)? {
        bytes.extend(piece.data);
        if bytes.len() > LARGEST_BACKUP {
            return Err(Failure::new(1, format!("more than {LARGEST_BACKUP} bytes came: that is no backup")));
        }
    }
    Ok(bytes)
}

fn default_name(backup: &Backup) -> PathBuf {
    let at = backup.about.taken_at.to_utc().format("%Y%m%dT%H%M%SZ");
    PathBuf::from(format!("{}-{}-{at}.failoverd-backup", backup.about.fleet, backup.about.index))
}

/// Under another name until all of it is on the disk; readable by its owner alone. The name is taken only if it is free.
fn keep(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(1, format!("{} cannot be written: {error}", file.display()));
    let taken = || Failure::new(3, format!("{} is there already, and is not overwritten", file.display()));
    if file.try_exists().map_err(failed)? {
        return Err(taken());
    }
    let name = file.file_name().ok_or_else(|| Failure::usage(format!("{} is no name of a file", file.display())))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unfinished = folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let _removed = Removed(&unfinished);
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
    written.write_all(bytes).and_then(|()| written.sync_all()).map_err(failed)?;
    match fs::hard_link(&unfinished, file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(taken()),
        linked => linked.map_err(failed)?,
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// A file that goes, however this ends.
struct Removed<'a>(&'a Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

fn shown(backup: &Backup, file: &Path, bytes: usize) -> View {
    let (about, state) = (&backup.about, &backup.state);
    let open = state.runs.values().filter(|run| !run.state.is_closed()).count();
    let file = file.display().to_string();
    let text = format!(
        "{file}: {bytes} bytes, made by {} at {}\n\
         fleet {}, generation {}, entry {}, event {}: {} services, {} runs ({open} open), {} drills\n\
         It holds the tokens of the switches: keep it as a secret. What is agreed from now on is not in it.\n",
        about.taken_by,
        about.taken_at,
        about.fleet,
        about.generation,
        about.index,
        about.seq,
        state.services.len(),
        state.runs.len(),
        state.drills.len(),
    );
    let json = json!({
        "file": file, "bytes": bytes, "fleet": about.fleet, "generation": about.generation, "index": about.index,
        "event": about.seq, "term": about.term, "format": about.format, "taken_at": about.taken_at.to_string(),
        "taken_by": about.taken_by, "services": state.services.len(), "runs": state.runs.len(), "open_runs": open,
        "drills": state.drills.len(),
    });
    View { json, text, names: vec![file] }
}

/// Says where a service is.
///
/// # Errors
/// See exit codes.
pub async fn confirm_service(context: &Context, args: ConfirmArgs) -> Result<Outcome, Failure> {
    let ConfirmArgs { service, serves, writers, although_seen_elsewhere } = args;
    let what = format!("have Route 53 told that {service} is in {}, data is not moved", serves.join(", "));
    confirm(context, &what, &service)?;
    let request = ConfirmServiceRequest { service: service.clone(), serving: serves, writers, although_seen_elsewhere };
    let mut client = context.client().await?;
    let done = client.fleet.confirm_service(request).await.map_err(Failure::of_change)?.into_inner();
    let json = json!({ "message": done.message, "revision": done.revision });
    context.out.show(&View { json, text: format!("{}\n", done.message), names: vec![service] });
    Ok(Outcome::DONE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use failoverd_domain::fleet::FleetState;
    use failoverd_domain::time::Timestamp;

    use super::*;

    #[test]
    fn a_backup_is_its_owners_alone_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b");
        keep(&file, b"one").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = keep(&file, b"two").unwrap_err();
        assert!(refused.exit == 3 && refused.message.contains("not overwritten"), "{refused:?}");
        assert_eq!(fs::read(&file).unwrap(), b"one");
        assert!(keep(&folder.path().join("none/b"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half is left");
    }

    #[test]
    fn what_is_printed_names_no_token() {
        let state = FleetState { fleet: "prod".into(), ..FleetState::default() };
        let backup = Backup::of(state, 3, Timestamp(1_795_449_607_123), "eu-west-1".into(), "0.1.0");
        assert_eq!(default_name(&backup), Path::new("prod-0-20261123T160007Z.failoverd-backup"));
        let view = shown(&backup, Path::new("b"), 17);
        assert!(
            view.text.starts_with("b: 17 bytes, made by eu-west-1 at 2026-11-23T16:00:07.123Z\nfleet prod"),
            "{}",
            view.text
        );
        assert_eq!((&view.json["term"], &view.json["services"]), (&json!(3), &json!(0)));
    }
}
