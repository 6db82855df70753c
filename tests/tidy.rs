//! What the compiler does not hold: the arrows between the layers, and the shape of files. Reads the tree, runs nothing.
//!
//! Every check reports all that it finds, with file and line. An exception stands beside its check, with its reason.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests.
const MOST_LINES: usize = 500;

/// For each layer of `src/`, the layers of ours that it may name besides itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("ports", &[]),
    // Metrics, traces, how much is logged: named by whoever has something to count.
    ("telemetry", &["ports"]),
    ("config", &["ports"]),
    // Questions to AWS that both the observer and `apply` ask.
    ("survey", &["ports"]),
    ("runtime", &["ports", "survey", "telemetry"]),
    ("consensus", &["ports"]),
    ("adapters", &["ports", "telemetry"]),
    ("sim", &["ports"]),
    ("api", &["ports", "survey", "telemetry"]),
    // The command line starts a sandbox; that is all it knows of a fleet's inside.
    // Of the API it knows the generated client, how its words and errors read, and how to connect.
    ("cli", &["api::proto", "api::convert", "api::error", "api::CallerPem", "sandbox"]),
    ("daemon", &["*"]),
    // From arguments to a daemon: composes what `daemon` is given.
    ("process", &["*"]),
    ("sandbox", &["*"]),
    ("bin", &["*"]),
];

/// Crates that only some layers may name: what they bring stays behind a port.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("openraft::", &["consensus"]),
    ("redb", &["consensus"]),
    ("sqlx", &["adapters"]),
    ("aws_config", &["adapters", "daemon", "sandbox"]),
    ("aws_sdk", &["adapters"]),
    ("clap", &["cli", "bin", "process"]),
    ("turmoil", &[]),
    ("prometheus", &["telemetry"]),
    ("opentelemetry", &["telemetry"]),
    ("axum", &["api", "sim", "sandbox"]),
];

/// What the domain may not name: no runtime, no clock, no randomness, no input and no output.
const NOT_PURE: &[&str] = &[
    "tokio",
    "sqlx",
    "aws_",
    "rand::",
    "failoverd::",
    "reqwest",
    "tracing",
    "std::time::Instant",
    "std::time::SystemTime",
    "Utc::now",
    "Local::now",
    "std::fs",
    // Addresses of std::net are plain values; sockets are not.
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "std::io",
    "std::thread",
    "std::process",
];

struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    /// The text without comments and without tests, line for line.
    code: String,
    whole: String,
}

impl Source {
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let test_folder = self.path.contains("/tests/") || self.path.starts_with("tests/");
        test_folder || name == "tests.rs" || name.ends_with("_tests.rs") || self.is_only_for_tests()
    }

    /// A module that its parent compiles for tests alone.
    fn is_only_for_tests(&self) -> bool {
        let path = root().join(&self.path);
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { return false };
        let parent = fs::read_to_string(path.with_file_name("mod.rs")).unwrap_or_default();
        let lines: Vec<&str> = parent.lines().map(str::trim).collect();
        lines
            .windows(2)
            .any(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with(&format!("mod {stem};")) && !stem.is_empty())
    }

    /// `src/api/apply.rs` is of layer `api`, `src/daemon.rs` of layer `daemon`.
    fn layer(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        inside.split('/').next().map(|first| first.trim_end_matches(".rs"))
    }

    /// How many modules deep it is: `super` that often is the crate's root.
    fn depth(&self) -> usize {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let folders = inside.matches('/').count();
        if inside.ends_with("/mod.rs") { folders } else { folders + 1 }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.to_string_lossy().starts_with('.') && name != ".ci" && name != ".github";
        if hidden || name == "target" || name == "Cargo.lock" {
            continue;
        }
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files_below(&root(), &mut found);
    found.sort();
    let relative =
        |path: &PathBuf| path.strip_prefix(root()).ok().map(|path| path.to_string_lossy().replace('\\', "/"));
    found.iter().filter_map(|path| Some((relative(path)?, fs::read_to_string(path).ok()?))).collect()
}

fn sources() -> Vec<Source> {
    let rust = texts().into_iter().filter(|(path, _)| path.ends_with(".rs"));
    rust.map(|(path, whole)| Source { code: code_of(&whole), path, whole }).collect()
}

/// The text without comments, and without a test module at its end; lines keep their numbers.
fn code_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].trim().starts_with("mod ") && pair[1].trim_end().ends_with('{')
    });
    let end = tests.unwrap_or(lines.len());
    let bare = |line: &&str| {
        let line = if line.trim_start().starts_with("//") { "" } else { line };
        line.split(" // ").next().unwrap_or_default().to_owned()
    };
    lines[..end].iter().map(bare).collect::<Vec<_>>().join("\n")
}

/// Every path below the crate's root that `code` names, with its line: `ports`, `api::proto`, …
fn named(code: &str, depth: usize) -> Vec<(usize, String)> {
    let climbed = "super::".repeat(depth);
    let mut found = Vec::new();
    for start in ["crate::", "failoverd::", climbed.as_str()] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue;
            }
            let line = code[..at].lines().count().max(1);
            let rest = &code[at + start.len()..];
            found.extend(paths(rest).into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// `ports::Clock` is one path, `{api::{a, b}, ports::Clock}` is two; two words of each are enough.
fn paths(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![first_two(rest)];
    };
    let (mut depth, mut items, mut item) = (0_usize, Vec::new(), String::new());
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            _ => {
                depth = match letter {
                    '{' => depth + 1,
                    '}' => depth - 1,
                    _ => depth,
                };
                item.push(letter);
            }
        }
    }
    items.push(item);
    items.iter().map(|item| first_two(item.trim())).filter(|path| !path.is_empty()).collect()
}

fn first_two(path: &str) -> String {
    let end = path.find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
    let words: Vec<&str> = path[..end.unwrap_or(path.len())].split("::").filter(|word| !word.is_empty()).collect();
    words[..words.len().min(2)].join("::")
}

/// Whole words only: `tokio` is in `use tokio::` and not in `my_tokio`.
fn lines_naming<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.lines()
        .enumerate()
        .filter(move |(_, line)| {
            line.match_indices(word).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
            })
        })
        .map(|(line, _)| line + 1)
}

#[track_caller]
fn nothing(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn layers_name_only_those_below_them() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(layer) = source.layer().filter(|layer| !["lib", "main"].contains(layer)) else { continue };
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == layer) else {
            problems
                .push(format!("{}: layer {layer} has no arrows: say in tests/tidy.rs what it may name", source.path));
            continue;
        };
        for (line, path) in named(&source.code, source.depth()) {
            let first = path.split("::").next().unwrap_or_default();
            let is_ours = ARROWS.iter().any(|(name, _)| *name == first);
            let may = |arrow: &&str| *arrow == "*" || *arrow == first || *arrow == path;
            // The simulated fleet composes whole daemons, as `daemon` does.
            let composes = source.path.starts_with("src/sim/fleet/")
                && ["api", "runtime", "consensus", "survey", "telemetry"].contains(&first);
            if is_ours && first != layer && !composes && !allowed.iter().any(may) {
                problems.push(format!("{}:{line}: {layer} may not name {path}", source.path));
            }
        }
    }
    nothing(problems);
}

#[test]
fn the_simulation_is_named_by_nobody_who_serves() {
    let allowed = ["src/sim", "src/sandbox", "src/daemon.rs", "src/lib.rs", "tests/", "examples/", "benches/", "fuzz/"];
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        if allowed.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (line, path) in named(&source.code, source.depth()) {
            if path == "sim" || path.starts_with("sim::") {
                problems.push(format!("{}:{line}: names {path}", source.path));
            }
        }
    }
    nothing(problems);
}

#[test]
fn crates_stay_behind_their_port() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(layer) = source.layer() else { continue };
        for (name, layers) in KEPT_IN.iter().filter(|(_, layers)| !layers.contains(&layer)) {
            let found = lines_naming(&source.code, name)
                .map(|line| format!("{}:{line}: {name} belongs to {}", source.path, layers.join(", ")));
            problems.extend(found);
        }
    }
    nothing(problems);
}

#[test]
fn the_domain_is_pure() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("domain/src/") && !source.is_test()) {
        for word in NOT_PURE {
            problems.extend(lines_naming(&source.code, word).map(|line| format!("{}:{line}: {word}", source.path)));
        }
        for (at, _) in source.code.match_indices("std::{") {
            let named = paths(&source.code[at + "std::".len()..]);
            let impure = named.iter().map(|path| format!("std::{path}"));
            let impure = impure.filter(|path| NOT_PURE.iter().any(|word| path.starts_with(word)));
            problems.extend(impure.map(|path| format!("{}: {path}", source.path)));
        }
    }
    let manifest = fs::read_to_string(root().join("domain/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    for line in dependencies.lines() {
        let name = line.split([' ', '=']).next().unwrap_or_default();
        if ["tokio", "sqlx", "rand", "reqwest", "tracing", "failoverd"].contains(&name) || name.starts_with("aws-") {
            problems.push(format!("domain/Cargo.toml: depends on {name}"));
        }
    }
    nothing(problems);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = sources().into_iter().filter(|source| !source.whole.starts_with("//!"));
    nothing(silent.map(|source| format!("{}: does not open with //!", source.path)).collect());
}

#[test]
fn no_file_is_too_long() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let lines = source.code.lines().count();
        if lines > MOST_LINES {
            problems.push(format!("{}: {lines} lines without tests, {MOST_LINES} are allowed", source.path));
        }
    }
    nothing(problems);
}

#[test]
fn one_module_prints() {
    let prints = |path: &str| path.starts_with("src/cli/output") || path.starts_with("src/bin/");
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.path.contains("src/") && !source.is_test()) {
        if prints(&source.path) {
            continue;
        }
        for word in ["println!", "eprintln!", "print!", "eprint!", "dbg!"] {
            problems.extend(lines_naming(&source.code, word).map(|line| format!("{}:{line}: {word}", source.path)));
        }
    }
    nothing(problems);
}

#[test]
fn names_say_something() {
    let empty = ["manager", "helper", "helpers", "util", "utils", "common", "misc"];
    let mut problems = Vec::new();
    for source in sources() {
        let parts = source.path.trim_end_matches(".rs").split(['/', '_']);
        problems.extend(parts.filter(|part| empty.contains(part)).map(|part| format!("{}: {part}", source.path)));
        for (line, text) in (1..).zip(source.code.lines()) {
            let text = text.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let Some(name) = text.strip_prefix("mod ") else { continue };
            let mut words = name.trim_end_matches([';', ' ', '{']).split('_');
            if words.any(|word| empty.contains(&word)) {
                problems.push(format!("{}:{line}: mod {name}", source.path));
            }
        }
    }
    nothing(problems);
}

/// The compiler refuses `unsafe` in a crate that takes the workspace's lints; this is that every crate takes them. The fuzz
/// targets are no crate of the workspace: the entry point that libFuzzer calls is made by an unsafe attribute.
#[test]
fn no_crate_may_be_unsafe() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"), "unsafe code is not forbidden");
    let crates = workspace.lines().find_map(|line| line.strip_prefix("members = [")?.strip_suffix(']')).unwrap();
    let mut problems = Vec::new();
    for member in crates.split(',').map(|member| member.trim().trim_matches('"')) {
        let manifest = root().join(member).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        if !text.contains("[lints]\nworkspace = true\n") {
            problems.push(format!("{}: does not take the workspace's lints", manifest.display()));
        }
    }
    nothing(problems);
}

#[test]
fn nothing_belongs_to_one_machine() {
    // Put together here, so that this file does not find itself.
    let paths = [["/ho", "me/"], ["/ro", "ot/"], ["/Us", "ers/"], ["C:", "\\Us"]].map(|[a, b]| format!("{a}{b}"));
    let hosts = [
        ["pypi", ".org"],
        ["pythonhosted", ".org"],
        ["npmjs", ".org"],
        ["proxy.golang", ".org"],
        ["static.crates", ".io"],
        ["index.crates", ".io"],
        ["maven", ".org"],
        ["maven.apache", ".org"],
    ];
    let hosts = hosts.map(|[a, b]| format!("{a}{b}"));
    let mut problems = Vec::new();
    for (path, text) in texts() {
        for word in paths.iter().chain(&hosts).filter(|word| text.contains(word.as_str())) {
            problems.push(format!("{path}: {word}"));
        }
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let foreign =
        lock.lines().filter(|line| line.starts_with("source = ") && !line.starts_with("source = \"registry+"));
    problems.extend(foreign.map(|line| format!("Cargo.lock: {line}")));
    nothing(problems);
}

/// The calls that an adapter's text makes: the name behind `read(`, `action(`, `Ask::read(SERVICE, ` and the like, and both
/// names of an `if … { "A" } else { "B" }` in that place.
fn calls_in(code: &str) -> Vec<(Option<String>, String)> {
    let mut calls = Vec::new();
    for opening in ["read(", "action("] {
        for (at, _) in code.match_indices(opening) {
            let mut rest = code[at + opening.len()..].trim_start();
            let mut service = None;
            if let Some(after) = rest.strip_prefix("SERVICE,") {
                rest = after.trim_start();
            } else if let Some((first, after)) = literal(rest)
                && after.starts_with(',')
                && literal(after[1..].trim_start()).is_some()
            {
                service = Some(first.to_owned());
                rest = after[1..].trim_start();
            }
            let end = rest.find("} else {").and_then(|at| rest[at..].find('"').map(|quote| at + quote));
            if let (true, Some(end)) = (rest.starts_with("if "), end)
                && let Some(start) = rest.find('"')
            {
                calls.extend(literal(&rest[start..]).map(|(name, _)| (service.clone(), name.to_owned())));
                rest = &rest[end..];
            }
            calls.extend(literal(rest).map(|(name, _)| (service, name.to_owned())));
        }
    }
    calls
}

/// A string literal at the beginning of a text, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    inner.split_once('"')
}

#[test]
fn the_iam_policy_is_about_the_calls_that_adapters_make() {
    let below = "src/adapters/aws/";
    let mut made: std::collections::BTreeSet<(String, String)> = std::collections::BTreeSet::new();
    for source in sources().iter().filter(|source| source.path.starts_with(below) && !source.is_test()) {
        let of_file = source.path[below.len()..].split(['/', '.']).next().unwrap_or_default();
        for (service, operation) in calls_in(&source.code) {
            let service = service.unwrap_or_else(|| of_file.to_owned());
            // Rows go through a database's own connection, not through AWS.
            if !["database", "canary"].contains(&service.as_str()) {
                made.insert((service, operation));
            }
        }
        // The SDK's own provider assumes roles.
        if source.code.contains("AssumeRoleProvider") {
            made.insert(("sts".to_owned(), "AssumeRole".to_owned()));
        }
    }
    let table: std::collections::BTreeSet<(String, String)> = failoverd_domain::iam::OPERATIONS
        .iter()
        .map(|operation| (operation.service.to_owned(), operation.operation.to_owned()))
        .collect();
    let place = "domain/src/iam/table.rs";
    let missing =
        made.difference(&table).map(|(service, call)| format!("{place}: {service} {call} is called and not in it"));
    let idle =
        table.difference(&made).map(|(service, call)| format!("{place}: {service} {call} is in it and not called"));
    nothing(missing.chain(idle).collect());
}

#[test]
fn every_invariant_is_a_function_with_a_test_and_a_place_on_the_map() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_default();
    let checks: String = sources()
        .into_iter()
        .filter(|source| source.path.starts_with("domain/src/invariant/") && !source.is_test())
        .map(|source| source.whole)
        .collect();
    let tests = read("domain/src/invariant/tests.rs");
    let map = read("ARCHITECTURE.md");
    let mut problems = Vec::new();
    for n in 1..=9 {
        if !checks.contains(&format!("/// I{n}: ")) {
            problems.push(format!("no function of domain/src/invariant opens its documentation with I{n}"));
        }
        if !tests.contains(&format!("fn i{n}_")) {
            problems.push(format!("no test in domain/src/invariant/tests.rs is called i{n}_…"));
        }
        if !map.is_empty() && !map.contains(&format!("I{n}")) {
            problems.push(format!("ARCHITECTURE.md does not name I{n}"));
        }
    }
    nothing(problems);
}

#[test]
fn this_reader_reads() {
    let names = |code: &str, depth| named(code, depth).into_iter().map(|(_, path)| path).collect::<Vec<_>>();
    assert_eq!(names("use crate::ports::Clock;", 1), ["ports::Clock"]);
    assert_eq!(names("use crate::{api::{a, b}, ports::Clock, sim};", 1), ["api", "ports::Clock", "sim"]);
    assert_eq!(names("let x = super::super::sim::World::new();", 2), ["sim::World"]);
    assert_eq!(names("let x = super::sim::World::new();", 2), Vec::<String>::new());
    assert_eq!(names("mycrate::ports; failoverd_domain::plan", 1), Vec::<String>::new());
    assert_eq!(named("a\nb crate::sim", 1), [(2, "sim".to_owned())]);
    assert_eq!(code_of("a // crate::sim\n// crate::sim\nb\n#[cfg(test)]\nmod tests {\n  c\n}"), "a\n\nb");
    let calls = |code: &str| calls_in(code).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(
        calls("self.read(\"GetX\"), action(if a { \"ModifyA\" } else { \"ModifyB\" }, r)"),
        ["GetX", "ModifyA", "ModifyB"]
    );
    assert_eq!(
        calls("Ask::read(\n  SERVICE, \"GetY\", r).refuse(\"Code\", why); Ask::action(\"sts\", \"Z\", r)"),
        ["GetY", "Z"]
    );
    assert_eq!(lines_naming("println!\neprintln!\n  println!", "println!").collect::<Vec<_>>(), [1, 3]);
}
