//! The Helm chart with its alerts and the image, judged by Python's suites (`tests/python/test_chart*.py`, `test_alerts*.py`) with
//! the binaries of this build.
//!
//! Helm, Prometheus and Kubernetes' schemas are tools that `make tools` installs; where they are missing, this fails and says so.

use std::path::Path;
use std::process::Command;

/// Runs one suite; what it leaves out because of the machine is told, and nothing may be left out for another reason.
fn suite(name: &str) {
    let binaries = Path::new(env!("CARGO_BIN_EXE_failoverd")).parent().unwrap();
    let target = binaries.parent().unwrap();
    for tool in ["tools/venv/bin/python", "tools/helm", "tools/prometheus", "tools/promtool"] {
        let found = target.join(tool);
        assert!(found.exists(), "{} is missing: `make tools` installs it", found.display());
    }
    let suites = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let mut python = Command::new(target.join("tools/venv/bin/python"));
    python.current_dir(suites).args(["-m", "unittest", "--verbose", name]);
    python.env("CARGO_TARGET_DIR", target).env("BINARIES", binaries).env_remove("UPDATE_GOLDEN");
    let output = python.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("Ran 0 tests"), "{said}");
    for left_out in said.lines().filter(|line| line.contains("... skipped") || line.starts_with("setUpClass")) {
        println!("{name}: {left_out}");
    }
}

#[test]
fn what_the_chart_renders_is_what_kubernetes_and_the_daemon_take() {
    suite("test_chart");
}

#[test]
fn three_rendered_examples_form_a_fleet_and_the_image_starts() {
    suite("test_chart_fleet");
}

#[test]
fn every_alert_fires_and_asks_for_metrics_that_exist() {
    suite("test_alerts");
}

#[test]
fn a_real_prometheus_raises_the_alerts_of_an_outage_and_ends_them() {
    suite("test_alerts_live");
}
