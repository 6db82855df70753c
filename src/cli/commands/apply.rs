//! `apply`.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::api::proto::{ApplyRequest, ApplyResponse, ManifestChange, ManifestFile};
use crate::cli::confirm::confirm;
use crate::cli::{Client, Context, Failure, Outcome, view};

/// More than this is no set of manifests; a daemon takes 4 MiB in one message.
const MOST_BYTES: u64 = 3 * 1024 * 1024;

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// A file, a directory of *.yaml and *.yml, or - for stdin; may be given several times
    #[arg(short, long = "file", required = true, value_name = "FILE|DIR|-")]
    file: Vec<PathBuf>,
    /// Say what would change, in the fleet and in AWS, with quotas and cost; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete services and drills that are not in these files
    #[arg(long)]
    prune: bool,
    /// A hosted zone of which more than 30 % of the existing records may be deleted or replaced; may be given several
    /// times, and is needed even with --yes
    #[arg(long, value_name = "NAME")]
    confirm: Vec<String>,
}

/// Applies manifests, all or none.
///
/// # Errors
/// Files that cannot be read and manifests that are not valid, exit 2; what stands in the way and zones that are not
/// confirmed by name, exit 3. Nothing is applied then.
pub async fn run(context: &Context, args: ApplyArgs) -> Result<Outcome, Failure> {
    let files = read_all(&args.file)?;
    let mut client = context.client().await?;
    let ask = |prune, dry_run| ApplyRequest { files: files.clone(), prune, dry_run, confirm: args.confirm.clone() };
    let asks_a_person = !context.global.yes && std::io::stdin().is_terminal();
    if !args.dry_run && (args.prune || asks_a_person) {
        let look = send(&mut client, ask(args.prune, true)).await?;
        if asks_a_person && look.blocked.is_empty() {
            context.out.note(&view::summary(&look));
        }
        confirm_first(context, &look, asks_a_person)?;
    }
    let answer = send(&mut client, ask(args.prune, args.dry_run)).await?;
    context.out.show(&view::applied(&answer));
    Ok(if answer.dry_run && !answer.blocked.is_empty() { Outcome::REFUSED } else { Outcome::DONE })
}

async fn send(client: &mut Client, request: ApplyRequest) -> Result<ApplyResponse, Failure> {
    let failed = if request.dry_run { Failure::of_read } else { Failure::of_change };
    Ok(client.control.apply(request).await.map_err(failed)?.into_inner())
}

/// Deletions are always confirmed; changes in AWS where a person can be asked.
fn confirm_first(context: &Context, look: &ApplyResponse, asks_a_person: bool) -> Result<(), Failure> {
    let changed = |wanted: &[ManifestChange]| {
        let found = look.manifests.iter().filter(|manifest| wanted.contains(&manifest.change()));
        found.map(|manifest| manifest.name.as_str()).collect::<Vec<_>>()
    };
    let gone = changed(&[ManifestChange::Deleted]);
    if let Some(first) = gone.first() {
        return confirm(context, &format!("delete {}", gone.join(", ")), first);
    }
    let names = changed(&[ManifestChange::Created, ManifestChange::Configured]);
    match names.first().filter(|_| asks_a_person && look.blocked.is_empty() && !look.changes.is_empty()) {
        Some(first) => {
            let what = format!("apply {}, with {} changes in AWS", names.join(", "), look.changes.len());
            confirm(context, &what, first)
        }
        None => Ok(()),
    }
}

/// Every file named, and those in directories named, in order of name.
fn read_all(paths: &[PathBuf]) -> Result<Vec<ManifestFile>, Failure> {
    let mut files = Vec::new();
    let mut left = MOST_BYTES;
    for path in paths {
        if path.as_os_str() == "-" {
            files.push(read("-", std::io::stdin().lock(), &mut left)?);
            continue;
        }
        for file in files_of(path)? {
            let name = file.display().to_string();
            let open = std::fs::File::open(&file).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
            files.push(read(&name, open, &mut left)?);
        }
    }
    Ok(files)
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let wrong = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    if !std::fs::metadata(path).map_err(wrong)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(wrong)? {
        let file = entry.map_err(wrong)?.path();
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format!("{}: no *.yaml or *.yml in it", path.display())));
    }
    Ok(files)
}

fn read(name: &str, from: impl Read, left: &mut u64) -> Result<ManifestFile, Failure> {
    let mut content = Vec::new();
    let read = from.take(*left + 1).read_to_end(&mut content);
    let size = read.map_err(|error| Failure::usage(format!("{name}: {error}")))? as u64;
    if size > *left {
        let most = MOST_BYTES / 1024 / 1024;
        return Err(Failure::usage(format!("{name}: more than {most} MiB of manifests; is this the right file?")));
    }
    *left -= size;
    Ok(ManifestFile { name: name.to_owned(), content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_its_yaml_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "notes.txt"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let files = read_all(&[dir.path().to_owned()]).unwrap();
        let names: Vec<_> = files.iter().map(|file| String::from_utf8_lossy(&file.content).into_owned()).collect();
        assert_eq!(names, ["a.yml", "b.yaml"]);
    }

    #[test]
    fn what_cannot_be_read_is_invalid_input() {
        let failure = read_all(&[PathBuf::from("/nowhere/at/all.yaml")]).unwrap_err();
        assert_eq!(failure.exit, 2);
        assert!(failure.message.starts_with("/nowhere/at/all.yaml: "), "{}", failure.message);
    }

    #[test]
    fn ten_megabytes_are_refused_before_they_are_sent() {
        let mut left = MOST_BYTES;
        let failure = read("big.yaml", std::io::repeat(b'a').take(10 << 20), &mut left).unwrap_err();
        assert!(failure.exit == 2 && failure.message.contains("more than 3 MiB"), "{failure:?}");
    }
}
