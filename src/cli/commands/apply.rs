//! `apply`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::api::convert::word;
use crate::api::proto::{AppliedManifest, ApplyRequest, ApplyResponse, ManifestChange, ManifestFile};
use crate::cli::confirm::confirm;
use crate::cli::output::View;
use crate::cli::{Client, Context, Failure, Outcome};

/// More than this is no set of manifests; a daemon takes 4 MiB in one message.
const MOST_BYTES: u64 = 3 * 1024 * 1024;

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// A file, a directory of *.yaml and *.yml, or - for stdin; may be given several times
    #[arg(short, long = "file", required = true, value_name = "FILE|DIR|-")]
    file: Vec<PathBuf>,
    /// Say what would change, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete services that are not in these files
    #[arg(long)]
    prune: bool,
}

/// Applies manifests, all or none.
///
/// # Errors
/// Files that cannot be read and manifests that are not valid, exit 2, nothing applied.
pub async fn run(context: &Context, args: ApplyArgs) -> Result<Outcome, Failure> {
    let files = read_all(&args.file)?;
    let mut client = context.client().await?;
    if args.prune && !args.dry_run {
        let look = send(&mut client, &files, true, true).await?;
        confirm_deletions(context, &look.manifests)?;
    }
    let answer = send(&mut client, &files, args.prune, args.dry_run).await?;
    context.out.show(&shown(&answer));
    Ok(Outcome::DONE)
}

async fn send(
    client: &mut Client,
    files: &[ManifestFile],
    prune: bool,
    dry_run: bool,
) -> Result<ApplyResponse, Failure> {
    let request = ApplyRequest { files: files.to_vec(), prune, dry_run };
    let failed = if dry_run { Failure::of_read } else { Failure::of_change };
    Ok(client.control.apply(request).await.map_err(failed)?.into_inner())
}

fn confirm_deletions(context: &Context, manifests: &[AppliedManifest]) -> Result<(), Failure> {
    let gone = manifests.iter().filter(|manifest| manifest.change() == ManifestChange::Deleted);
    let names: Vec<&str> = gone.map(|manifest| manifest.name.as_str()).collect();
    match names.first() {
        None => Ok(()),
        Some(first) => confirm(context, &format!("delete {}", names.join(", ")), first),
    }
}

fn shown(answer: &ApplyResponse) -> View {
    let change = |manifest: &AppliedManifest| word(manifest.change().as_str_name(), "MANIFEST_CHANGE");
    let name = |manifest: &AppliedManifest| format!("{}/{}", manifest.kind.to_lowercase(), manifest.name);
    let line = |manifest: &AppliedManifest| {
        let fields =
            if manifest.fields.is_empty() { String::new() } else { format!(": {}", manifest.fields.join(", ")) };
        let dry = if answer.dry_run { " (dry run)" } else { "" };
        format!("{} {}{dry}{fields}\n", name(manifest), change(manifest))
    };
    let manifests = answer
        .manifests
        .iter()
        .map(|it| json!({ "kind": it.kind, "name": it.name, "change": change(it), "fields": it.fields }));
    View {
        json: json!({
            "dry_run": answer.dry_run,
            "revision": answer.revision,
            "manifests": manifests.collect::<Vec<_>>(),
        }),
        text: answer.manifests.iter().map(line).collect(),
        names: answer.manifests.iter().map(name).collect(),
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
