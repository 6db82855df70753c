//! Manifests on their way in and out.

use super::*;
use crate::api::error::exit_of;

fn manifest(name: &str, content: &str) -> proto::ManifestFile {
    proto::ManifestFile { name: name.to_owned(), content: content.as_bytes().to_vec() }
}

#[tokio::test]
async fn what_is_exported_is_a_manifest() {
    let served = plain().await;
    let answer = served.control().export(proto::ExportRequest { service: None }).await.unwrap().into_inner();
    let yaml = &answer.manifests[0].yaml;
    let read: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(read, failoverd_domain::manifest::to_manifest(&fake::spec("checkout")), "{yaml}");
}

#[tokio::test]
async fn every_problem_of_every_file_is_reported_and_nothing_applied() {
    let served = plain().await;
    let files = vec![manifest("a.yaml", "kind: Nonsense\n"), manifest("b.yaml", "- just\n- a list\n")];
    let request = proto::ApplyRequest { files, prune: false, dry_run: false, confirm: Vec::new() };
    let status = served.control().apply(request).await.unwrap_err();
    let (reason, violations) = read_status(&status);
    assert_eq!((status.code(), reason.unwrap().as_str()), (Code::InvalidArgument, "INVALID_MANIFEST"));
    for file in ["a.yaml", "b.yaml"] {
        assert!(violations.iter().any(|it| it.description.starts_with(file)), "{file} is not in {violations:?}");
    }
    assert!(served.proposed().is_empty());
}

#[tokio::test]
async fn what_is_exported_applies_again_and_changes_nothing() {
    let served = plain().await;
    let exported = served.control().export(proto::ExportRequest { service: None }).await.unwrap().into_inner();
    let files = vec![manifest("export.yaml", &exported.manifests[0].yaml)];
    let request = proto::ApplyRequest { files: files.clone(), prune: false, dry_run: true, confirm: Vec::new() };
    let answer = served.control().apply(request).await.unwrap().into_inner();
    assert_eq!(answer.manifests[0].change(), proto::ManifestChange::Unchanged, "{:?}", answer.manifests);
    assert!(served.proposed().is_empty(), "a dry run commits nothing");
    let request = proto::ApplyRequest { files, prune: false, dry_run: false, confirm: Vec::new() };
    assert_eq!(served.control().apply(request).await.unwrap().into_inner().revision, 8);
    let Command::Apply { specs, tokens, .. } = &served.proposed()[0].1 else { panic!("not an apply") };
    assert_eq!((specs.as_slice(), tokens.len()), ([fake::spec("checkout")].as_slice(), 1));
}

#[tokio::test]
async fn ten_megabytes_of_manifest_are_refused() {
    let served = plain().await;
    let file = proto::ManifestFile { name: "big.yaml".into(), content: vec![b'a'; 10 << 20] };
    let request = proto::ApplyRequest { files: vec![file], prune: false, dry_run: false, confirm: Vec::new() };
    let status = served.control().apply(request).await.unwrap_err();
    assert_eq!(exit_of(&status), 2, "{status:?}");
    assert!(served.proposed().is_empty());
}
