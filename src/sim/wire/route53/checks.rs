//! Health checks.

use failoverd_domain::ids::{HealthCheckId, Region};
use failoverd_domain::route53::{AlarmRule, CheckKind, EndpointCheck, HealthCheck, HealthCheckConfig, Protocol};

use super::super::answer::{Answer, malformed};
use super::super::request::WireRequest;
use super::super::xml::{Node, Xml};
use super::{document, page_size};
use crate::sim::world::{Refusal, World};

const MOST_CHECKS: usize = 100;
const DEFAULT_INTERVAL_S: u32 = 30;
const DEFAULT_THRESHOLD: u32 = 3;
/// What a check says that is only kept and given back.
const KEPT: [&str; 4] = ["MeasureLatency", "EnableSNI", "InsufficientDataHealthStatus", "RoutingControlArn"];

fn check_xml(check: &HealthCheck, world: &World) -> Xml {
    Xml::new("HealthCheck")
        .text("Id", &check.id)
        .text("CallerReference", &check.caller_reference)
        .child(config_xml(check, world))
        .text("HealthCheckVersion", check.version)
        .children(check.copied.as_ref().map(copied_xml))
}

fn copied_xml(rule: &AlarmRule) -> Xml {
    let dimensions = rule.dimensions.iter();
    let dimensions = dimensions.map(|(name, value)| Xml::new("Dimension").text("Name", name).text("Value", value));
    #[expect(clippy::cast_precision_loss, reason = "thresholds are small")]
    let threshold = rule.threshold_thousandths as f64 / 1_000.0;
    Xml::new("CloudWatchAlarmConfiguration")
        .text("EvaluationPeriods", rule.periods)
        .text("Threshold", threshold)
        .text("ComparisonOperator", &rule.comparison)
        .text("Period", rule.period_s)
        .text("MetricName", &rule.metric)
        .text("Namespace", &rule.namespace)
        .text("Statistic", &rule.statistic)
        .list("Dimensions", dimensions)
}

fn config_xml(check: &HealthCheck, world: &World) -> Xml {
    let config = &check.config;
    let kept = world.labels.kept(&check.id);
    let made = Xml::new("HealthCheckConfig");
    let made = match &config.kind {
        CheckKind::Endpoint(endpoint) => {
            let is_address = endpoint.host.parse::<std::net::IpAddr>().is_ok();
            let made = if is_address { made.text("IPAddress", &endpoint.host) } else { made };
            let made = made.text("Port", endpoint.port).text("Type", type_of(endpoint));
            let made = made.maybe("ResourcePath", (!endpoint.path.is_empty()).then_some(&endpoint.path));
            let name = if is_address { kept.get("FullyQualifiedDomainName") } else { Some(&endpoint.host) };
            made.maybe("FullyQualifiedDomainName", name)
                .maybe("SearchString", endpoint.search.as_ref())
                .text("RequestInterval", endpoint.interval_s)
                .text("FailureThreshold", endpoint.failure_threshold)
        }
        CheckKind::Calculated { children, threshold } => made
            .text("Type", "CALCULATED")
            .text("HealthThreshold", threshold)
            .list("ChildHealthChecks", children.iter().map(|child| Xml::new("ChildHealthCheck").body(child))),
        CheckKind::Alarm { region, name } => made
            .text("Type", "CLOUDWATCH_METRIC")
            .child(Xml::new("AlarmIdentifier").text("Region", region).text("Name", name)),
        CheckKind::Other(word) => made.text("Type", word),
    };
    let made = made.text("Inverted", config.inverted).text("Disabled", config.disabled);
    KEPT.iter().fold(made, |made, name| made.maybe(name, kept.get(*name)))
}

const fn type_of(endpoint: &EndpointCheck) -> &'static str {
    match (endpoint.protocol, endpoint.search.is_some()) {
        (Protocol::Http, false) => "HTTP",
        (Protocol::Http, true) => "HTTP_STR_MATCH",
        (Protocol::Https, false) => "HTTPS",
        (Protocol::Https, true) => "HTTPS_STR_MATCH",
        (Protocol::Tcp, _) => "TCP",
    }
}

fn config(node: &Node) -> Result<HealthCheckConfig, Refusal> {
    let invalid = |what: String| Refusal::new("InvalidInput", what);
    let word = node.of("Type").ok_or_else(|| malformed("a health check has no Type"))?;
    let (inverted, disabled) = (node.flag("Inverted"), node.flag("Disabled"));
    let protocol = match word {
        "HTTP" | "HTTP_STR_MATCH" => Protocol::Http,
        "HTTPS" | "HTTPS_STR_MATCH" => Protocol::Https,
        "TCP" => Protocol::Tcp,
        "CALCULATED" => {
            let children = node.items("ChildHealthChecks").iter().map(|child| HealthCheckId::from(child.text.trim()));
            let kind = CheckKind::Calculated {
                children: children.collect(),
                threshold: node.number("HealthThreshold").unwrap_or(0),
            };
            return Ok(HealthCheckConfig { kind, inverted, disabled });
        }
        "CLOUDWATCH_METRIC" => {
            let alarm = node.get("AlarmIdentifier").ok_or_else(|| invalid("AlarmIdentifier is missing.".to_owned()))?;
            let kind = CheckKind::Alarm {
                region: Region::from(alarm.of("Region").unwrap_or_default()),
                name: alarm.of("Name").unwrap_or_default().to_owned(),
            };
            return Ok(HealthCheckConfig { kind, inverted, disabled });
        }
        "RECOVERY_CONTROL" => {
            return Ok(HealthCheckConfig { kind: CheckKind::Other(word.to_owned()), inverted, disabled });
        }
        other => return Err(invalid(format!("There is no health check type {other}."))),
    };
    let search = node.of("SearchString").map(str::to_owned);
    if word.ends_with("_STR_MATCH") != search.is_some() {
        return Err(invalid("SearchString must be given exactly for types that end in STR_MATCH.".to_owned()));
    }
    let host = node.of("IPAddress").or_else(|| node.of("FullyQualifiedDomainName"));
    let host = host.ok_or_else(|| invalid("Either IPAddress or FullyQualifiedDomainName must be given.".to_owned()))?;
    let default_port = if protocol == Protocol::Https { Some(443) } else { (protocol == Protocol::Http).then_some(80) };
    let port = node.number("Port").or(default_port).ok_or_else(|| invalid("Port is missing.".to_owned()))?;
    let endpoint = EndpointCheck {
        protocol,
        host: host.to_ascii_lowercase(),
        port,
        path: node.of("ResourcePath").unwrap_or_default().to_owned(),
        search,
        interval_s: node.number("RequestInterval").unwrap_or(DEFAULT_INTERVAL_S),
        failure_threshold: node.number("FailureThreshold").unwrap_or(DEFAULT_THRESHOLD),
    };
    Ok(HealthCheckConfig { kind: CheckKind::Endpoint(endpoint), inverted, disabled })
}

fn keep(world: &mut World, id: &HealthCheckId, node: &Node) {
    for name in KEPT {
        if let Some(value) = node.of(name) {
            world.labels.keep(id, name, value);
        }
    }
    if let (Some(_), Some(name)) = (node.of("IPAddress"), node.of("FullyQualifiedDomainName")) {
        world.labels.keep(id, "FullyQualifiedDomainName", name);
    }
}

pub(super) fn list(world: &World, request: &WireRequest) -> Answer {
    let most = page_size(request, MOST_CHECKS);
    let marker = request.parameter("marker").unwrap_or_default();
    let mut rest = world.checks.iter().skip_while(|check| check.id.as_str() < marker);
    let page: Vec<Xml> = rest.by_ref().take(most).map(|check| check_xml(check, world)).collect();
    let next = rest.next().map(|check| check.id.clone());
    let answer = document("ListHealthChecksResponse")
        .list("HealthChecks", page)
        .text("Marker", marker)
        .text("IsTruncated", next.is_some())
        .maybe("NextMarker", next);
    Answer::xml(answer.text("MaxItems", most))
}

pub(super) fn create(world: &mut World, body: &Node) -> Result<Answer, Refusal> {
    let reference = body.of("CallerReference").ok_or_else(|| malformed("there is no CallerReference"))?;
    let node = body.get("HealthCheckConfig").ok_or_else(|| malformed("there is no HealthCheckConfig"))?;
    let check = world.create_check(reference, config(node)?)?;
    keep(world, &check.id, node);
    let location = format!("https://route53/2013-04-01/healthcheck/{}", check.id);
    let answer = document("CreateHealthCheckResponse").child(check_xml(&check, world));
    Ok(Answer::xml(answer).with_status(201).with("location", location))
}

pub(super) fn count(world: &World) -> Answer {
    Answer::xml(document("GetHealthCheckCountResponse").text("HealthCheckCount", world.checks.iter().count()))
}

fn find(world: &World, id: &str) -> Result<HealthCheck, Refusal> {
    let found = world.checks.iter().find(|check| check.id.as_str() == id).cloned();
    found
        .ok_or_else(|| Refusal::new("NoSuchHealthCheck", format!("No health check exists with the specified ID {id}.")))
}

pub(super) fn get(world: &World, id: &str) -> Result<Answer, Refusal> {
    let check = find(world, id)?;
    Ok(Answer::xml(document("GetHealthCheckResponse").child(check_xml(&check, world))))
}

/// What the request names is changed, the rest stays.
pub(super) fn update(world: &mut World, id: &str, body: &Node) -> Result<Answer, Refusal> {
    let held = find(world, id)?;
    let version = body.number("HealthCheckVersion").unwrap_or(held.version);
    let mut changed = held.config.clone();
    let given = |name: &str| body.get(name).is_some();
    match &mut changed.kind {
        CheckKind::Endpoint(endpoint) => {
            if let Some(host) = body.of("IPAddress").or_else(|| body.of("FullyQualifiedDomainName")) {
                endpoint.host = host.to_ascii_lowercase();
            }
            endpoint.port = body.number("Port").unwrap_or(endpoint.port);
            endpoint.path = body.of("ResourcePath").map_or_else(|| endpoint.path.clone(), str::to_owned);
            endpoint.search = body.of("SearchString").map(str::to_owned).or_else(|| endpoint.search.clone());
            endpoint.failure_threshold = body.number("FailureThreshold").unwrap_or(endpoint.failure_threshold);
        }
        CheckKind::Calculated { children, threshold } => {
            if given("ChildHealthChecks") {
                let named = body.items("ChildHealthChecks").iter().map(|child| HealthCheckId::from(child.text.trim()));
                *children = named.collect();
            }
            *threshold = body.number("HealthThreshold").unwrap_or(*threshold);
        }
        CheckKind::Alarm { region, name } => {
            if let Some(alarm) = body.get("AlarmIdentifier") {
                *region = Region::from(alarm.of("Region").unwrap_or_default());
                alarm.of("Name").unwrap_or_default().clone_into(name);
            }
        }
        CheckKind::Other(_) => {}
    }
    changed.inverted = if given("Inverted") { body.flag("Inverted") } else { changed.inverted };
    changed.disabled = if given("Disabled") { body.flag("Disabled") } else { changed.disabled };
    let check = world.update_check(&held.id, version, changed)?;
    keep(world, &check.id, body);
    Ok(Answer::xml(document("UpdateHealthCheckResponse").child(check_xml(&check, world))))
}

pub(super) fn delete(world: &mut World, id: &str) -> Result<Answer, Refusal> {
    let check = find(world, id)?;
    world.delete_check(&check.id)?;
    world.labels.forget(&check.id);
    Ok(Answer::xml(document("DeleteHealthCheckResponse")))
}

/// What each checker saw last. Only checks of endpoints have checkers.
pub(super) fn status(world: &World, id: &str) -> Result<Answer, Refusal> {
    let check = find(world, id)?;
    let sites = world.checks.sites(&check.id).filter(|_| matches!(check.config.kind, CheckKind::Endpoint(_)));
    let regions = ["us-east-1", "eu-west-1", "ap-southeast-1"];
    let observations = sites.into_iter().flatten().zip(regions).map(|(healthy, region)| {
        let words = if healthy {
            "Success: HTTP Status Code 200, OK"
        } else {
            "Failure: the endpoint did not answer as it should"
        };
        let report =
            Xml::new("StatusReport").text("Status", words).text("CheckedTime", super::super::time_text(world.now()));
        Xml::new("HealthCheckObservation").text("Region", region).text("IPAddress", "192.0.2.250").child(report)
    });
    Ok(Answer::xml(document("GetHealthCheckStatusResponse").list("HealthCheckObservations", observations)))
}
