//! Input that is no manifest, and manifests written back.

use super::*;

#[test]
fn what_is_no_manifest_gets_one_clear_report() {
    for (text, says) in [
        ("", "f.yaml: is empty: expected a manifest of kind FailoverService"),
        ("# nothing\n---\n", "f.yaml: is empty"),
        ("hello", "f.yaml:1: must be a mapping"),
        ("- a\n- b\n", "f.yaml:1: must be a mapping (`key: value`), not a list"),
        ("apiVersion: v1\nkind: FailoverService\nspec: []\n", "f.yaml:1: apiVersion: must be one of failoverd.dev/v1"),
        ("apiVersion: failoverd.dev/v1\nkind: FailoverServce\n", "did you mean FailoverService?"),
        ("a: [1, 2\n", "is not YAML"),
        ("a: &x [1]\nb: *x\n", "f.yaml:1: uses a YAML anchor"),
        ("a: *x\n", "f.yaml:1:"),
        ("a: !!str 1\n", "uses a YAML tag"),
        ("? [a]\n: b\n", "as a key"),
        ("a: \0", "NUL"),
    ] {
        let problems = read(text).expect_err(text);
        assert!(problems[0].contains(says), "{text:?}: {problems:?}");
        assert!(problems.len() <= 2, "{problems:?}");
    }
}

#[test]
fn input_that_is_hostile_or_broken_is_refused_before_it_costs_anything() {
    let refusal = |text: &[u8]| read_manifests("f.yaml", text, &fleet()).unwrap_err()[0].to_string();
    assert!(refusal(&vec![b'a'; 10 << 20]).contains("has 10485760 bytes"));
    assert_eq!(refusal(b"a: 1\nb: \xff\n"), "f.yaml:2: is not UTF-8 text: the byte at offset 8 (0xff) is invalid");
    let one_mib = 1 << 20;
    for nest in ["[", "{a: ", "- ", "? ", "a: [", "[{"] {
        let problem = refusal(nest.repeat(one_mib / nest.len()).as_bytes());
        assert!(problem.starts_with("f.yaml:1: "), "{nest:?}: {problem}");
    }
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "x")] {
        let problem = refusal(format!("{}{}", open.repeat(33), close.repeat(33)).as_bytes());
        assert_eq!(problem, "f.yaml:1: nests deeper than 32 levels");
    }
    let keys: String = (0..100_000).map(|at| format!("k{at}: 1\n")).collect();
    assert!(refusal(keys.as_bytes()).contains("apiVersion"));
    let bad: String = (0..500).map(|at| format!("    k{at}: 1\n")).collect();
    let problems = read(&full_with("    cooldown: 30m\n", &bad)).unwrap_err();
    assert_eq!(problems.len(), 101);
    assert!(problems[100].contains("and 400 more problems"), "{}", problems[100]);
}

#[test]
fn no_damage_to_a_manifest_makes_the_reader_panic() {
    for text in [FULL, SEARCH] {
        for cut in (0..text.len()).step_by(5) {
            let _ = read_manifests("f", &text.as_bytes()[..cut], &fleet());
        }
        for (at, char) in text.char_indices().step_by(11) {
            for wrong in ["", "{", "}", ":", "-", "\n", "\"", "٣", "99999999999999999999"] {
                let damaged = format!("{}{wrong}{}", &text[..at], &text[at + char.len_utf8()..]);
                let _ = read_manifests("f", damaged.as_bytes(), &fleet());
            }
        }
    }
}

#[track_caller]
fn survives_export(spec: &ServiceSpec) {
    let written: Value = to_manifest(spec);
    let text = serde_json::to_vec_pretty(&written).unwrap();
    let read = read_manifests("export", &text, &fleet());
    let read = read.unwrap_or_else(|problems| panic!("{}\n{written:#}", in_words(&problems).join("\n")));
    assert_eq!(&read[0].spec, spec, "{written:#}");
}

/// A small generator: the same numbers every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn duration_ms(&mut self) -> u64 {
        let unit = [1, 1_000, 60_000, 3_600_000, 86_400_000][usize::try_from(self.roll(5)).unwrap()];
        (1 + self.roll(1_000)) * unit
    }
}

fn shake(spec: &mut ServiceSpec, dice: &mut Dice) {
    spec.objectives.rto_ms = dice.duration_ms();
    spec.objectives.rpo_ms = dice.duration_ms();
    spec.policy.announce_ms = dice.duration_ms();
    spec.policy.cooldown_ms = dice.duration_ms();
    spec.policy.restore_pause_ms = dice.duration_ms();
    spec.policy.require_drill_within_ms = (dice.roll(2) == 0).then(|| dice.duration_ms());
    spec.health.breach_after_ms = dice.duration_ms();
    spec.health.recover_after_ms = dice.duration_ms();
    if dice.roll(3) == 0 {
        spec.labels
            .insert(["yes", "null", "1", "a b: c"][usize::try_from(dice.roll(4)).unwrap()].into(), "true".into());
    }
    if dice.roll(3) == 0 {
        spec.policy.freeze.clear();
    }
    for record in &mut spec.traffic.records {
        record.ttl_s = record.ttl_s.map(|_| u32::try_from(dice.roll(300_000_000)).unwrap());
        for target in record.targets.values_mut() {
            target.weight = target.weight.map(|_| u8::try_from(dice.roll(256)).unwrap());
        }
    }
    spec.data.retain(|_| dice.roll(4) != 0);
    for store in &mut spec.data {
        store.canary = store.canary.take().filter(|_| dice.roll(3) != 0);
        store.fence = store.fence.take().filter(|_| dice.roll(3) != 0);
    }
}

#[test]
fn what_is_exported_reads_back_as_the_same_spec() {
    let mut dice = Dice(42);
    let search = read(&format!("{FULL}---\n{SEARCH}")).unwrap().remove(1);
    let more = FULL.replace(
        "dynamodb: { table: Orders, ensure_replicas: true }",
        "dynamodb: { table: Orders, replicas: [us-east-1, eu-west-1, sa-east-1], create: { partition_key: { name: id, type: B }, sort_key: { name: at, type: N } } }",
    );
    let more = more.replace("bidirectional: true", "bidirectional: true, time_control: true");
    let more = more.replace("role_arn: null", "role_arn: arn:aws:iam::999999999999:role/shop");
    let pair = "    - { name: ledger, rds: { instances: { us-east-1: ledger, eu-west-1: ledger-copy }, rebuild: manual }, canary: { dsn_env: LEDGER_DSN } }\n";
    for mut spec in [one(FULL), one(CHECKOUT), one(&(more + pair)), search] {
        survives_export(&spec);
        for _ in 0..300 {
            shake(&mut spec, &mut dice);
            survives_export(&spec);
        }
    }
}
