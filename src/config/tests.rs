//! What an operator reads when a configuration is wrong, and what wins over what.

use std::collections::BTreeMap;
use std::path::Path;

use failoverd_domain::fleet::{EventKind, FleetSettings, Role, Velocity};
use failoverd_domain::ids::Region;

use super::{AccessRule, Config, Timing, WebhookFormat};

const WHOLE: &str = "\
fleet: prod
region: us-east-1
role: member                    # member | witness
data_dir: /var/lib/failoverd
listen:
  grpc: 0.0.0.0:7443
  switch: 0.0.0.0:8080
  ops: 127.0.0.1:9090
advertise:
  switch: { host: switch.us-east-1.failover.example.com, port: 443, https: true }
peers:
  us-east-1: https://failoverd.us-east-1.example.internal:7443
  eu-west-1: https://failoverd.eu-west-1.example.internal:7443
  us-west-2: { url: https://failoverd.us-west-2.example.internal:7443, role: witness }
database: { url: postgres://failoverd:s3cret@db/failoverd }
tls: { cert: /tls/tls.crt, key: /tls/tls.key, ca: /tls/ca.crt }
aws: { endpoint_url: null, endpoints: {} }
timing: { heartbeat: 500ms, election_timeout: 1500ms, probe_interval: 10s }
";

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse("f.yaml", text.as_bytes(), env)
        .map_err(|report| report.to_string().lines().map(str::to_owned).collect())
}

#[track_caller]
fn refused(from: &str, to: &str, starts: &str, says: &str) {
    assert!(WHOLE.contains(from), "{from:?} is not in the configuration");
    let problems = load(&WHOLE.replacen(from, to, 1), &[]).expect_err("it was accepted");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with(starts) && problems[0].contains(says), "{problems:?}");
}

#[test]
fn the_example_of_the_interface_is_read_whole() {
    let config = load(WHOLE, &[]).unwrap();
    assert_eq!(config.timing, Timing::default());
    assert_eq!(config.advertise.switch.as_ref().unwrap().port, 443);
    let roles = [("eu-west-1", Role::Member), ("us-east-1", Role::Member), ("us-west-2", Role::Witness)];
    assert_eq!(config.members(), roles.map(|(region, role)| (Region::new(region), role)).into());
    let references: Vec<&str> = config.references.keys().map(Region::as_str).collect();
    assert_eq!(references, ["ap-southeast-2", "eu-central-1", "us-east-1"]);
    assert_eq!(config.references["us-east-1"], "https://dynamodb.us-east-1.amazonaws.com/ping");
    assert_eq!(config.check_dev(false), Ok(()));
}

#[test]
fn variables_win_over_the_file() {
    let config = load(
        WHOLE,
        &[
            ("FAILOVERD_DATABASE__URL", "postgres://other/db"),
            ("FAILOVERD_TIMING__HEARTBEAT", "100ms"),
            ("FAILOVERD_ADVERTISE__SWITCH__PORT", "8443"),
            ("FAILOVERD_ADVERTISE__SWITCH__HTTPS", "false"),
            ("FAILOVERD_PEERS__EU_WEST_1", "https://elsewhere:1"),
            ("FAILOVERD_REFERENCES", "{ us-east-1: http://127.0.0.1:1/ping }"),
            ("FAILOVERD_AWS__ENDPOINTS__RDS", "http://127.0.0.1:7800"),
            ("FAILOVERD_AWS__NAME_SERVERS", "[127.0.0.1:7053, 192.0.2.53]"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.database.unwrap().url, "postgres://other/db");
    assert_eq!(config.timing.heartbeat_ms, 100);
    let switch = config.advertise.switch.unwrap();
    assert_eq!((switch.port, switch.https), (8443, false));
    assert_eq!(config.peers["eu-west-1"].url, "https://elsewhere:1");
    assert_eq!(config.references, BTreeMap::from([(Region::new("us-east-1"), "http://127.0.0.1:1/ping".to_owned())]));
    assert_eq!(config.aws.endpoints["rds"], "http://127.0.0.1:7800");
    let servers: Vec<String> = config.aws.name_servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["127.0.0.1:7053", "192.0.2.53:53"]);
}

#[test]
fn problems_of_variables_name_the_variable() {
    let env = [
        ("FAILOVERD_TIMING__HEARTBEAT", "500"),
        ("FAILOVERD_TIMNG__HEARTBEAT", "500ms"),
        ("FAILOVERD_REGION__NAME", "x"),
        ("FAILOVERD_PEERS", "{"),
    ];
    let problems = load(WHOLE, &env).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(problems[0].starts_with("FAILOVERD_PEERS: peers: is not YAML"), "{problems:?}");
    assert!(problems[1].starts_with("FAILOVERD_REGION__NAME: region.name: cannot be set: region is not a mapping"));
    assert!(problems[2].starts_with("FAILOVERD_TIMING__HEARTBEAT: timing.heartbeat: \"500\" has no unit: write 500s"));
    assert!(problems[3].starts_with("FAILOVERD_TIMNG__HEARTBEAT: timng: is not a known field (did you mean timing?)"));
}

#[test]
fn variables_that_kubernetes_hands_out_are_not_settings() {
    let env = [
        ("FAILOVERD_SERVICE_HOST", "10.0.0.1"),
        ("FAILOVERD_SERVICE_PORT_GRPC", "7443"),
        ("FAILOVERD_PORT", "tcp://10.0.0.1:7443"),
        ("FAILOVERD_PORT_7443_TCP_ADDR", "10.0.0.1"),
        ("FAILOVERD_SWITCH_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("FAILOVERD_CONFIG", "/etc/failoverd.yaml"),
    ];
    assert!(load(WHOLE, &env).is_ok());
}

#[test]
fn variables_alone_are_enough() {
    let config = load(
        "",
        &[
            ("FAILOVERD_FLEET", "123"),
            ("FAILOVERD_REGION", "us-east-1"),
            ("FAILOVERD_ROLE", "witness"),
            ("FAILOVERD_DATA_DIR", "/d"),
            ("FAILOVERD_ADVERTISE__SWITCH__HOST", "127.0.0.1"),
            ("FAILOVERD_PEERS__US_EAST_1", "http://127.0.0.1:7401"),
        ],
    )
    .unwrap();
    assert_eq!(config.fleet.as_str(), "123");
    assert_eq!(config.database, None);
    assert_eq!(config.peers["us-east-1"].role, Role::Witness);
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let problems = load("# nothing\n", &[]).unwrap_err();
    let missing = ["fleet", "region", "data_dir", "advertise", "peers", "database"];
    assert_eq!(problems, missing.map(|key| format!("f.yaml:1: {key}: is missing")));
}

/// A fleet whose switches go through CloudWatch has nothing that the Internet must reach: it says so.
#[test]
fn a_fleet_may_have_no_public_endpoint() {
    let from = WHOLE.lines().find(|line| line.trim_start().starts_with("switch: { host")).unwrap();
    let config = load(&WHOLE.replace(from, "  switch: none"), &[]).unwrap();
    assert_eq!(config.advertise.switch, None);
    let again = load(&config.dump(), &[("FAILOVERD_DATABASE__URL", "postgres://failoverd:s3cret@db/failoverd")]);
    assert_eq!(again.unwrap(), config);
}

#[test]
fn events_are_kept_for_ever_unless_it_says_how_long() {
    assert_eq!(load(WHOLE, &[]).unwrap().database.unwrap().keep_ms, None);
    let database = ("FAILOVERD_DATABASE__URL", "postgres://failoverd:s3cret@db/failoverd");
    let config = load(WHOLE, &[database, ("FAILOVERD_DATABASE__KEEP", "730d")]).unwrap();
    assert_eq!(config.database.as_ref().unwrap().keep_ms, Some(730 * 86_400_000));
    assert_eq!(load(&config.dump(), &[database]).unwrap(), config);
    let witness = WHOLE.replace("role: member ", "role: witness ");
    let witness = witness.replace("url: postgres://failoverd:s3cret@db/failoverd", "keep: 62d");
    let problems = load(&witness, &[]).unwrap_err();
    assert!(problems[0].starts_with("f.yaml:15: database: ") && problems[0].contains("has no url"), "{problems:?}");
}

#[test]
fn what_cannot_work_is_refused() {
    refused("role: member ", "role: leader ", "f.yaml:3: role: ", "member, witness");
    refused("grpc: 0.0.0.0:7443", "grpc: localhost", "f.yaml:6: listen.grpc: ", "IP:PORT");
    refused("switch: 0.0.0.0:8080", "switch: 0.0.0.0:7443", "f.yaml:6: listen: ", "switch and grpc are both");
    refused("us-east-1: https", "us-east-2: https", "f.yaml:12: peers: ", "this one (us-east-1) included");
    refused("us-east-1: https", "us-east-1: http", "f.yaml:12: peers.us-east-1: ", "https://, since tls is set");
    refused("eu-west-1.example", "us-east-1.example", "f.yaml:13: peers.eu-west-1: ", "same URL as us-east-1");
    refused(
        "database: { url: postgres://failoverd:s3cret@db/failoverd }",
        "database: {}",
        "f.yaml:15: database: ",
        "needs a url",
    );
    let keep = |keep: &str| format!("database: {{ url: postgres://failoverd:s3cret@db/failoverd, keep: {keep} }}");
    let database = "database: { url: postgres://failoverd:s3cret@db/failoverd }";
    refused(database, &keep("30d"), "f.yaml:15: database.keep: ", "is less than 31d");
    refused(database, &keep("24"), "f.yaml:15: database.keep: ", "has no unit");
    refused("ca: /tls/ca.crt", "c: /tls/ca.crt, ca: x", "f.yaml:16: tls.c: ", "not a known field");
    refused("endpoints: {}", "endpoints: { ec2: http://x }", "f.yaml:17: aws.endpoints.ec2: ", "not a known field");
    let servers = "endpoints: {}, name_servers: [192.0.2.1, 'ns.example.com']";
    refused("endpoints: {}", servers, "f.yaml:17: aws.name_servers[1]: ", "write IP or IP:PORT");
    refused("heartbeat: 500ms", "heartbeat: 10ms", "f.yaml:18: timing.heartbeat: ", "50ms or more");
    refused("heartbeat: 500ms", "heartbeat: 1s", "f.yaml:18: timing: ", "twice the heartbeat");
    let switch = "aws: { endpoint_url";
    let too_few = "switch: { max_connections: 10 }\naws: { endpoint_url";
    refused(switch, too_few, "f.yaml:17: switch.max_connections: ", "from 64 to");
    let all = "switch: { max_connections: 100, max_connections_per_source: 100 }\naws: { endpoint_url";
    refused(switch, all, "f.yaml:17: switch: ", "no source may have them all");
    let half = "switch: { tls: { cert: /c } }\naws: { endpoint_url";
    refused(switch, half, "f.yaml:17: switch.tls.key: ", "is missing");
    let plain = "port: 443, https: false }\nswitch: { tls: { cert: /c, key: /k } }";
    refused("port: 443, https: true }", plain, "f.yaml:11: switch.tls: ", "ask without TLS");
    refused("port: 443", "port: 0", "f.yaml:10: advertise.switch.port: ", "1 to 65535");
    refused("host: switch.", "host: https://switch.", "f.yaml:10: advertise.switch.host: ", "without scheme");
    refused("fleet: prod", "fleet: prod\nfleet: prod", "f.yaml:2: fleet: ", "twice, first on line 1");
    refused("fleet: prod", "---\nfleet: a\n---\nfleet: prod", "f.yaml: ", "has 2 documents");
}

const ACCESS: &str = "\
access:
  rules:
    - { role: operator, uri: 'spiffe://corp.example/operator/*' }
    - { role: admin, ou: fleet-admins }
  oidc:
    issuer: https://login.example.com/
    audience: failoverd
    jwks_url: https://login.example.com/keys
    roles: { sre: operator, leads: admin }
  break_glass:
    threshold: 2
    keys:
      - { name: alice, public_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl alice' }
      - { name: bob, public_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmzYuayRzA1gPH04K0ZT/K9KPFakv1/0pKJKyBJoCTe' }
velocity: { window: 30m, services: 12 }
";

#[test]
fn who_may_do_what_is_read_whole_and_dumped_so_that_it_can_be_loaded_again() {
    let database = [("FAILOVERD_DATABASE__URL", "postgres://failoverd:s3cret@db/failoverd")];
    let config = load(&format!("{WHOLE}{ACCESS}"), &database).unwrap();
    assert_eq!(config.access.rules[1], AccessRule { role: "admin", place: "ou", pattern: "fleet-admins".to_owned() });
    let oidc = config.access.oidc.clone().unwrap();
    assert_eq!((oidc.role_claim.as_str(), oidc.name_claim.as_str(), oidc.leeway_ms), ("groups", "email", 60_000));
    assert_eq!(oidc.roles, BTreeMap::from([("sre".to_owned(), "operator"), ("leads".to_owned(), "admin")]));
    let settings = config.fleet_settings();
    assert_eq!(settings.velocity, Some(Velocity { window_ms: 1_800_000, regions: 1, services: Some(12) }));
    assert_eq!(settings.break_glass.unwrap().sentence(), "2 of alice, bob");
    assert_eq!(load(&config.dump(), &database).unwrap(), config);
}

#[test]
fn one_region_an_hour_may_be_left_unless_the_file_says_otherwise() {
    let hour = Velocity { window_ms: 3_600_000, regions: 1, services: None };
    assert_eq!(load(WHOLE, &[]).unwrap().fleet_settings().velocity, Some(hour));
    let config = load(&format!("{WHOLE}velocity: none\n"), &[]).unwrap();
    assert_eq!(config.fleet_settings(), FleetSettings::default());
    let database = [("FAILOVERD_DATABASE__URL", "postgres://failoverd:s3cret@db/failoverd")];
    assert_eq!(load(&config.dump(), &database).unwrap(), config);
    for (text, says) in [
        ("{ regions: 0 }", "velocity.regions"),
        ("{ window: 25h }", "a day at most"),
        ("{ services: 0 }", "velocity.services"),
        ("{ region: 1 }", "velocity.region"),
    ] {
        let problems = load(&format!("{WHOLE}velocity: {text}\n"), &[]).unwrap_err().join("\n");
        assert!(problems.contains(says), "{text}: {problems}");
    }
}

#[test]
fn what_would_let_in_the_wrong_ones_is_refused() {
    let whole = format!("{WHOLE}{ACCESS}");
    for (from, to, says) in [
        ("role: admin, ou", "role: peer, ou", "access.rules[1].role: must be one of viewer, operator, approver, admin"),
        ("ou: fleet-admins", "ou: '*'", "access.rules[1].ou: would be everybody"),
        ("ou: fleet-admins", "ou: '*-*'", "access.rules[1].ou: has more than one *"),
        ("ou: fleet-admins", "ou: a, cn: b", "access.rules[1]: must look at exactly one of uri, dns, email, ou, cn"),
        (", ou: fleet-admins", "", "access.rules[1]: must look at exactly one"),
        ("jwks_url: https", "jwks_url: http", "access.oidc.jwks_url: must begin with https://"),
        ("    jwks_url: https://login.example.com/keys\n", "", "access.oidc: needs one of jwks_url and jwks_file"),
        ("sre: operator", "sre: peer", "access.oidc.roles.sre: must be one of"),
        ("audience: failoverd", "leeway: 10m", "access.oidc.audience: is missing"),
        ("audience: failoverd", "leeway: 10m", "access.oidc.leeway: must be 5m or less"),
        ("tls: {", "#", "access: is of no use without tls"),
        ("threshold: 2", "threshold: 1", "access.break_glass: has the threshold 1"),
        ("threshold: 2", "threshold: 3", "access.break_glass: needs 3 signatures and has 2 keys"),
        ("name: bob", "name: alice", "access.break_glass.keys: names alice twice"),
        ("name: bob", "name: 'b+c'", "access.break_glass: calls somebody"),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmzYuayRzA1gP",
            "ssh-rsa AAAA",
            "access.break_glass.keys[1].public_key: is not an ed25519",
        ),
    ] {
        let problems = load(&whole.replacen(from, to, 1), &[]).unwrap_err().join("\n");
        assert!(problems.contains(says), "{from} -> {to}: {problems}");
    }
}

#[test]
fn roles_of_the_same_daemon_must_agree() {
    let text = WHOLE.replace("region: us-east-1", "region: us-west-2");
    let problems = load(&text, &[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("f.yaml:14: peers.us-west-2.role: disagrees with role"), "{problems:?}");
    assert!(load(&text.replace("role: member ", "role: witness "), &[]).is_ok());
}

#[test]
fn without_tls_only_development_on_loopback_starts() {
    let text = WHOLE.replace("tls: {", "#");
    let config = load(&text, &[]).unwrap();
    assert_eq!(config.check_dev(false).unwrap_err().problems[0].path, "tls");
    let report = config.check_dev(true).unwrap_err();
    let open: Vec<&str> = report.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(open, ["listen.grpc", "listen.switch"]);
    assert_eq!(load(&text.replace("0.0.0.0", "127.0.0.1"), &[]).unwrap().check_dev(true), Ok(()));
}

#[test]
fn passwords_are_never_shown() {
    let urls = [
        "postgres://u:s3cret@db/d",
        "postgres://u:s3:cret@s3cret@db/d",
        "postgres://db/d?user=u&password=s3cret&x=1",
        "postgres://u:s3cret?more@db/d",
    ];
    for url in urls {
        let config = load(WHOLE, &[("FAILOVERD_DATABASE__URL", url)]).unwrap();
        let shown = format!("{}{config:?}", config.dump());
        assert!(!shown.contains("s3cret") && shown.contains("***"), "{shown}");
    }
    for url in ["mysql://u:s3cret@db", "postgres://u:s3cret @db"] {
        let problems = load(WHOLE, &[("FAILOVERD_DATABASE__URL", url)]).unwrap_err();
        assert!(!problems.join("").contains("s3cret"), "{problems:?}");
    }
}

#[test]
fn a_dump_loads_again_as_the_same_configuration() {
    let config = load(&WHOLE.replace(":s3cret", ""), &[("FAILOVERD_AWS__ENDPOINTS__S3", "http://[::1]:9/x")]).unwrap();
    assert_eq!(load(&config.dump(), &[]).unwrap(), config);
    let serving = "switch: { tls: { cert: /c, key: /k }, max_connections: 900, max_requests_per_source: 70 }\naws:";
    let config = load(&WHOLE.replace(":s3cret", "").replace("aws:", serving), &[]).unwrap();
    assert_eq!((config.switch.max_connections, config.switch.max_requests_per_source), (Some(900), Some(70)));
    assert_eq!(load(&config.dump(), &[]).unwrap(), config);
    let bare = load(&WHOLE.replace(":s3cret", "").replace("tls: {", "#"), &[]).unwrap();
    assert_eq!(load(&bare.dump(), &[]).unwrap(), bare);
}

#[test]
fn a_file_that_cannot_be_read_is_a_report() {
    let report = Config::load(Path::new("/nowhere/f.yaml"), std::iter::empty()).unwrap_err();
    assert!(report.to_string().starts_with("/nowhere/f.yaml: cannot be read: No such file"), "{report}");
    let report = Config::parse("f", &vec![b'#'; 2 << 20], std::iter::empty()).unwrap_err();
    assert!(report.to_string().contains("at most 1048576 are read"));
}

const HOOKS: &str = "\
webhooks:
  - { name: on-call, url: 'https://hooks.example.com/in/T0/hidden', secret_env: ON_CALL_SECRET }
  - { name: chat, url: 'https://hooks.slack.com/services/T0/B0/hidden', format: slack, events: [drill-finished] }
";

#[test]
fn webhooks_are_read_and_neither_dumped_nor_debugged_with_what_lets_one_write_to_them() {
    let config = load(&format!("{WHOLE}{HOOKS}"), &[]).unwrap();
    let [on_call, chat] = &config.webhooks[..] else { panic!("{:?}", config.webhooks) };
    assert_eq!((on_call.format, on_call.secret_env.as_deref()), (WebhookFormat::Json, Some("ON_CALL_SECRET")));
    assert_eq!((chat.format, &chat.events[..]), (WebhookFormat::Slack, &[EventKind::DrillFinished][..]));
    for text in [config.dump(), format!("{config:?}")] {
        assert!(text.contains("https://hooks.slack.com/***") && !text.contains("hidden"), "{text}");
    }
    let again = load(&config.dump().replace("***@", "s3cret@"), &[]).unwrap();
    assert_eq!(again.webhooks.len(), 2, "the dump can be loaded");
}

#[test]
fn webhooks_that_cannot_be_used_are_refused_without_repeating_what_may_be_a_secret() {
    let problems = |hook: &str| load(&format!("{WHOLE}webhooks: [{hook}]\n"), &[]).unwrap_err().join("\n");
    for (hook, says) in [
        ("{ name: a, url: 'https://h.example/x' }", "needs secret_env"),
        ("{ name: a, url: 'hidden', format: slack }", "is not a URL"),
        ("{ name: a, url: 'https://user:hidden@h.example/', format: slack }", "without credentials"),
        ("{ name: a, url: 'https://h.example/', secret_env: 'hidden secret' }", "is not the name of a variable"),
        ("{ name: a, url: 'https://h.example/', format: slack, events: [drill-exploded] }", "no kind of event"),
        ("{ name: a, url: 'https://h.example/', format: xml }", "format"),
        (
            "{ name: a, url: 'https://h.example/', format: slack }, { name: a, url: 'https://i.example/', format: slack }",
            "called a",
        ),
    ] {
        let problems = problems(hook);
        assert!(problems.contains(says) && !problems.contains("hidden"), "{hook}: {problems}");
    }
}

#[test]
fn webhooks_in_the_clear_are_for_development() {
    let hook = "webhooks: [{ name: a, url: 'http://127.0.0.1:9/x', format: slack }]\n";
    let config = load(&format!("{WHOLE}{hook}"), &[]).unwrap();
    let refused = config.check_dev(false).unwrap_err().to_string();
    assert!(refused.contains("webhooks[0].url") && refused.contains("https://"), "{refused}");
    assert_eq!(config.check_dev(true), Ok(()));
}
