//! Where samples of every format are kept, for the tests of both crates. See README.md beside this file.

#![allow(dead_code, reason = "each of its users needs another part")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::Format;
use serde_json::Value;
use sha2::{Digest, Sha256};

const FROZEN: &str = "FROZEN";

/// The samples of one format.
pub struct Samples {
    folder: PathBuf,
    is_newest: bool,
}

/// Those of every format, the oldest first.
pub fn all(root: &str) -> Vec<Samples> {
    (Format::FIRST.0..=Format::NEWEST.0).map(|format| Samples::of(Path::new(root), Format(format))).collect()
}

impl Samples {
    pub fn of(root: &Path, format: Format) -> Self {
        let samples = Self { folder: root.join(format!("format-{format}")), is_newest: format == Format::NEWEST };
        samples.check_seal();
        samples
    }

    /// What is kept under a name. `UPDATE_SAMPLES=1` writes what is made now, in the newest format, until it is frozen.
    pub fn kept(&self, name: &str, made_now: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let path = self.folder.join(name);
        let update = self.is_newest && std::env::var("UPDATE_SAMPLES").is_ok_and(|word| word == "1");
        if update {
            assert!(!self.folder.join(FROZEN).exists(), "{}: a release wrote this format: {}", path.display(), ADVICE);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, made_now()).unwrap();
        }
        self.read(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let path = self.folder.join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: {ADVICE}", path.display()))
    }

    /// What another test keeps under a name, line by line.
    pub fn lines_of(&self, name: &str) -> Vec<String> {
        String::from_utf8(self.read(name)).unwrap().lines().map(str::to_owned).collect()
    }

    /// As [`Self::kept`], one piece of JSON a line.
    pub fn kept_lines(&self, name: &str, made_now: impl FnOnce() -> Vec<String>) -> Vec<String> {
        let text =
            self.kept(name, || made_now().iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes());
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    /// Names of what is kept in a folder.
    pub fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Whether new samples may still be put here.
    pub fn is_newest(&self) -> bool {
        self.is_newest
    }

    /// What a release wrote is never changed again, nor taken away. `UPDATE_SAMPLES=freeze` says that one did.
    fn check_seal(&self) {
        let seal = self.folder.join(FROZEN);
        if self.is_newest && !seal.exists() && std::env::var("UPDATE_SAMPLES").is_ok_and(|word| word == "freeze") {
            std::fs::write(&seal, sums(&self.folder)).unwrap();
        }
        assert!(self.is_newest || seal.exists(), "{} is missing", seal.display());
        if let Ok(sealed) = std::fs::read_to_string(&seal) {
            assert_eq!(sums(&self.folder), sealed, "{}: samples of a released format were changed", seal.display());
        }
    }
}

const ADVICE: &str = "tests/samples/README.md says how samples are written";

fn sums(folder: &Path) -> String {
    let mut files = BTreeMap::new();
    collect(folder, folder, &mut files);
    files.into_iter().fold(String::new(), |mut text, (name, sum)| {
        let _ = writeln!(text, "{sum}  {name}");
        text
    })
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.file_name().is_some_and(|name| name != FROZEN) {
            let sum = Sha256::digest(std::fs::read(&path).unwrap());
            let sum = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            files.insert(path.strip_prefix(root).unwrap().display().to_string(), sum);
        }
    }
}

/// Every variant of an enum, by what serde says when it is given none of them: a new one cannot be forgotten.
pub fn variants<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let said = serde_json::from_str::<T>(r#"{"?":0}"#).err().expect("no such variant").to_string();
    said.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

/// The first variant that a stored enum carries: its word, or the key of its content.
pub fn variant_of(value: &Value) -> String {
    let word = value.as_str().map(str::to_owned);
    word.or_else(|| value.as_object().and_then(|fields| fields.keys().next().cloned())).unwrap_or_default()
}

/// Holds what was read and written again against what was stored: everything in it must still be there.
pub fn assert_keeps(stored: &Value, again: &Value, place: &str) {
    match (stored, again) {
        (Value::Object(old), Value::Object(new)) => {
            for (field, value) in old {
                let found = new.get(field).unwrap_or_else(|| panic!("{place}.{field} was lost"));
                assert_keeps(value, found, &format!("{place}.{field}"));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{place}");
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                assert_keeps(old, new, &format!("{place}[{at}]"));
            }
        }
        _ => assert_eq!(stored, again, "{place}"),
    }
}
