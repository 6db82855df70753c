//! Manifests: YAML to validated specs, every problem in one report.
