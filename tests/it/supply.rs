//! What comes in from outside is what `deny.toml` allows, and what it forbids is found.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::aws::ground::tool;

const CONFIG: &str = include_str!("../../deny.toml");

fn asked(config: &Path) -> Output {
    let target: PathBuf = tool("cargo-deny").ancestors().nth(4).unwrap().to_owned();
    let deny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/deny");
    Command::new(deny).arg(target).env("DENY_CONFIG", config).output().unwrap()
}

fn with(from: &str, to: &str) -> (bool, String) {
    assert!(CONFIG.contains(from), "{from} is not in deny.toml");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("deny.toml");
    std::fs::write(&config, CONFIG.replacen(from, to, 1)).unwrap();
    let said = asked(&config);
    (said.status.success(), String::from_utf8_lossy(&said.stderr).into_owned())
}

#[test]
fn every_crate_is_allowed() {
    let said = asked(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml"));
    let told = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && !told.contains("warning["), "{told}");
}

#[test]
fn a_licence_a_duplicate_and_a_banned_crate_are_found() {
    for (from, to, found) in [
        ("    \"BSD-3-Clause\",\n", "", "license is not explicitly allowed"),
        ("    { crate = \"http@0.2.12\"", "    { crate = \"http@0.0.1\"", "entries for crate 'http'"),
        ("crate = \"native-tls\"", "crate = \"rustls\"", "crate 'rustls"),
        ("https://github.com/rust-lang/crates.io-index", "https://example.com/index", "source-not-allowed"),
    ] {
        let (passed, told) = with(from, to);
        assert!(!passed && told.contains(found), "{from} -> {to}: {told}");
    }
}
