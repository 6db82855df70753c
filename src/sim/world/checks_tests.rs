//! Health checks, the checkers' driver, and answers that follow them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::ids::HealthCheckId;
use failoverd_domain::route53::{Change, CheckKind, HealthCheckConfig, Policy, Protocol, RecordType};
use tokio::task::JoinSet;

use super::test_ground::{NAME, calculated, endpoint, pass, record, use1, world};
use super::{Fetch, Resolution, SimulatedAws, run_checkers};

#[derive(Default)]
struct Answers(Mutex<BTreeMap<String, (u16, String)>>);

impl Answers {
    fn set(&self, host: &str, status: u16, body: &str) {
        self.0.lock().unwrap().insert(host.into(), (status, body.into()));
    }

    fn hang(&self, host: &str) {
        self.0.lock().unwrap().remove(host);
    }
}

#[async_trait]
impl Fetch for Answers {
    async fn get(&self, _: Protocol, host: &str, _: u16, _: &str) -> Result<(u16, Vec<u8>), String> {
        let answer = self.0.lock().unwrap().get(host).cloned();
        match answer {
            Some((status, body)) => Ok((status, body.into_bytes())),
            None => std::future::pending().await,
        }
    }
}

fn create(aws: &SimulatedAws, reference: &str, config: HealthCheckConfig) -> HealthCheckId {
    aws.with(|world| world.create_check(reference, config)).unwrap().id
}

fn healthy(aws: &SimulatedAws, id: &HealthCheckId) -> bool {
    aws.with(|world| world.check_is_healthy(id))
}

fn driven(aws: &SimulatedAws) -> (Arc<Answers>, JoinSet<()>) {
    let answers = Arc::new(Answers::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(run_checkers(aws.clone(), answers.clone(), Duration::from_secs(1)));
    (answers, tasks)
}

fn inverted(config: HealthCheckConfig) -> HealthCheckConfig {
    HealthCheckConfig { inverted: true, ..config }
}

#[tokio::test(start_paused = true)]
async fn a_check_changes_its_mind_after_the_threshold_and_not_before() {
    let aws = world();
    let id = create(&aws, "r", endpoint("h", Some("switch=on")));
    let (answers, _tasks) = driven(&aws);
    answers.set("h", 200, "switch=on\n");
    pass(60_000).await;
    assert!(healthy(&aws, &id));
    answers.set("h", 200, "switch=off\n");
    pass(19_000).await;
    assert!(healthy(&aws, &id), "two results are not three");
    pass(21_000).await;
    assert!(!healthy(&aws, &id));
    answers.set("h", 200, "switch=on\n");
    pass(41_000).await;
    assert!(healthy(&aws, &id));
    answers.hang("h");
    pass(41_000).await;
    assert!(!healthy(&aws, &id), "no answer in time is a failure");
}

#[tokio::test(start_paused = true)]
async fn a_new_check_is_healthy_until_known_better_and_an_inverted_one_unhealthy() {
    let aws = world();
    let plain = create(&aws, "a", endpoint("h", None));
    let opposite = create(&aws, "b", inverted(endpoint("h", None)));
    assert!(healthy(&aws, &plain) && !healthy(&aws, &opposite));
    let (answers, _tasks) = driven(&aws);
    answers.set("h", 503, "");
    pass(60_000).await;
    assert!(!healthy(&aws, &plain) && healthy(&aws, &opposite));
    answers.set("h", 302, "");
    pass(60_000).await;
    assert!(healthy(&aws, &plain) && !healthy(&aws, &opposite));
}

#[tokio::test(start_paused = true)]
async fn one_site_of_three_is_more_than_18_per_cent() {
    let aws = world();
    let id = create(&aws, "a", endpoint("h", None));
    let record_bad = |site: usize| {
        aws.with(|world| {
            let CheckKind::Endpoint(endpoint) = endpoint("h", None).kind else { unreachable!() };
            let poll = super::Poll { check: id.clone(), site, endpoint };
            (0..3).for_each(|_| world.checks.record(&poll, false));
        });
    };
    record_bad(0);
    record_bad(1);
    assert!(healthy(&aws, &id));
    record_bad(2);
    assert!(!healthy(&aws, &id));
}

#[tokio::test(start_paused = true)]
async fn only_the_first_5120_bytes_are_searched() {
    let aws = world();
    let near = create(&aws, "a", endpoint("near", Some("ok")));
    let far = create(&aws, "b", endpoint("far", Some("ok")));
    let (answers, _tasks) = driven(&aws);
    answers.set("near", 200, &format!("{}ok", " ".repeat(5_118)));
    answers.set("far", 200, &format!("{}ok", " ".repeat(5_119)));
    pass(60_000).await;
    assert!(healthy(&aws, &near) && !healthy(&aws, &far));
}

#[tokio::test(start_paused = true)]
async fn calculated_checks_count_their_children() {
    let aws = world();
    let children: Vec<HealthCheckId> = ["a", "b"].map(|host| create(&aws, host, endpoint(host, None))).to_vec();
    let both = create(&aws, "both", calculated(&children, 2));
    let opposite = create(&aws, "opposite", inverted(calculated(&children, 2)));
    let nested = aws.with(|world| world.create_check("nested", calculated(std::slice::from_ref(&both), 1)));
    assert_eq!(nested.unwrap_err().code, "InvalidInput", "no calculated check counts another");
    let off = HealthCheckConfig { disabled: true, ..endpoint("c", None) };
    let disabled = create(&aws, "off", off.clone());
    let (answers, _tasks) = driven(&aws);
    answers.set("a", 200, "");
    pass(60_000).await;
    assert!(!healthy(&aws, &both) && healthy(&aws, &opposite));
    answers.set("b", 200, "");
    pass(60_000).await;
    assert!(healthy(&aws, &both) && !healthy(&aws, &opposite));
    assert!(healthy(&aws, &disabled) && !healthy(&aws, &create(&aws, "off2", inverted(off))));
}

#[tokio::test(start_paused = true)]
async fn an_alarm_check_keeps_its_last_state_without_data() {
    let aws = world();
    let kind = CheckKind::Alarm { region: use1(), name: "switch".into() };
    let id = create(&aws, "a", HealthCheckConfig { kind, inverted: false, disabled: false });
    assert!(healthy(&aws, &id));
    aws.set_alarm(&use1(), "switch", Some(true));
    assert!(!healthy(&aws, &id));
    aws.set_alarm(&use1(), "switch", None);
    assert!(!healthy(&aws, &id));
}

#[tokio::test(start_paused = true)]
async fn creation_is_idempotent_by_reference_and_updates_by_version() {
    let aws = world();
    let first = create(&aws, "r", endpoint("h", None));
    assert_eq!(create(&aws, "r", endpoint("h", None)), first);
    assert_eq!(aws.effects().len(), 1, "no second effect");
    let code = |result: Result<_, super::Refusal>| {
        result.map(|_: failoverd_domain::route53::HealthCheck| ()).unwrap_err().code
    };
    assert_eq!(code(aws.with(|w| w.create_check("r", endpoint("other", None)))), "HealthCheckAlreadyExists");
    let calc = create(&aws, "c", calculated(std::slice::from_ref(&first), 1));
    let updated = aws.with(|w| w.update_check(&calc, 1, calculated(std::slice::from_ref(&first), 2))).unwrap();
    assert_eq!(updated.version, 2);
    assert_eq!(
        code(aws.with(|w| w.update_check(&calc, 1, calculated(std::slice::from_ref(&first), 1)))),
        "HealthCheckVersionMismatch"
    );
    assert_eq!(code(aws.with(|w| w.update_check(&calc, 2, endpoint("h", None)))), "InvalidInput");
    assert_eq!(code(aws.with(|w| w.create_check("d", calculated(&["nope".into()], 1)))), "InvalidInput");
    assert_eq!(aws.with(|w| w.delete_check(&first)).unwrap_err().code, "HealthCheckInUse");
}

#[tokio::test(start_paused = true)]
async fn dns_follows_health_without_any_api() {
    let aws = world();
    let check = create(&aws, "p", endpoint("h", None));
    let pair = [
        record("p", Policy::Failover { primary: true }, "192.0.2.1", Some(&check)),
        record("s", Policy::Failover { primary: false }, "192.0.2.2", None),
    ];
    aws.with(|w| w.change_records("example.com", &pair.map(Change::Create))).unwrap();
    let (answers, _tasks) = driven(&aws);
    answers.set("h", 200, "");
    let value = |aws: &SimulatedAws| match aws.with(|w| w.resolve(NAME, RecordType::A, None)) {
        Resolution::Found(_, answer) => answer.values.join(","),
        other => panic!("{other:?}"),
    };
    pass(30_000).await;
    assert_eq!(value(&aws), "192.0.2.1");
    aws.break_route53_api();
    aws.break_region(&use1());
    answers.hang("h");
    pass(45_000).await;
    assert_eq!(value(&aws), "192.0.2.2");
}

/// DESIGN.md, "A vote where silence abstains": two checks a daemon, P over all of them, S its opposite.
#[tokio::test(start_paused = true)]
async fn silence_abstains_in_the_vote_over_three_daemons() {
    let aws = world();
    let daemons = ["use1", "euw1", "usw2"];
    let children: Vec<HealthCheckId> = daemons
        .iter()
        .flat_map(|host| {
            let off = inverted(endpoint(host, Some("switch=off")));
            [(format!("{host}-on"), endpoint(host, Some("switch=on"))), (format!("{host}-off"), off)]
        })
        .map(|(reference, config)| create(&aws, &reference, config))
        .collect();
    let primary = create(&aws, "P", calculated(&children, 3));
    let standby = create(&aws, "S", inverted(calculated(&children, 3)));
    let (answers, _tasks) = driven(&aws);
    let cases = [
        (["on", "on", "on"], true),
        (["on", "", ""], true),
        (["off", "on", "on"], true),
        (["off", "off", "on"], false),
        (["off", "", ""], false),
        (["", "off", "off"], false),
        (["on", "off", ""], true),
        (["", "", ""], true),
    ];
    for (says, first_serves) in cases {
        for (host, word) in daemons.iter().zip(says) {
            let status = if word.is_empty() { 503 } else { 200 };
            answers.set(host, status, &format!("switch={word}"));
        }
        pass(60_000).await;
        assert_eq!((healthy(&aws, &primary), healthy(&aws, &standby)), (first_serves, !first_serves), "{says:?}");
    }
    for (vote, config) in [(&primary, calculated(&children, 4)), (&standby, inverted(calculated(&children, 4)))] {
        let version = aws.with(|w| w.checks.iter().find(|check| check.id == *vote).unwrap().version);
        aws.with(|w| w.update_check(vote, version, config)).unwrap();
    }
    let mean = (healthy(&aws, &primary), healthy(&aws, &standby));
    assert_eq!(mean, (false, true), "settled at the other Region: a tie and silence mean the other");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_driver_can_be_started_again() {
    let aws = world();
    let id = create(&aws, "r", endpoint("h", None));
    let (_, tasks) = driven(&aws);
    pass(1_000).await;
    drop(tasks);
    let (answers, _tasks) = driven(&aws);
    answers.set("h", 500, "");
    pass(60_000).await;
    assert!(!healthy(&aws, &id));
}
