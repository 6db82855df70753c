//! Health checks, in Route 53's form and in the domain's.

use std::net::IpAddr;

use aws_sdk_route53::types as aws;
use failoverd_domain::ids::{HealthCheckId, Region};
use failoverd_domain::route53::{AlarmRule, CheckKind, EndpointCheck, HealthCheck, HealthCheckConfig, Protocol};

use crate::adapters::aws::cloudwatch::thousandths;

/// Route 53's default, where a check says nothing.
const DEFAULT_THRESHOLD: u32 = 3;

/// One that Route 53 holds.
pub(super) fn from_aws(check: &aws::HealthCheck) -> Option<HealthCheck> {
    let config = check.health_check_config()?;
    Some(HealthCheck {
        id: HealthCheckId::from(check.id()),
        version: u64::try_from(check.health_check_version()).unwrap_or(0),
        caller_reference: check.caller_reference().to_owned(),
        config: HealthCheckConfig {
            kind: kind_from_aws(config),
            inverted: config.inverted().unwrap_or(false),
            disabled: config.disabled().unwrap_or(false),
        },
        copied: check.cloud_watch_alarm_configuration().map(copied_from_aws),
    })
}

fn copied_from_aws(copied: &aws::CloudWatchAlarmConfiguration) -> AlarmRule {
    let dimension = |it: &aws::Dimension| (it.name().to_owned(), it.value().to_owned());
    let mut dimensions: Vec<(String, String)> = copied.dimensions().iter().map(dimension).collect();
    dimensions.sort();
    AlarmRule {
        namespace: copied.namespace().to_owned(),
        metric: copied.metric_name().to_owned(),
        dimensions,
        statistic: copied.statistic().as_str().to_owned(),
        comparison: copied.comparison_operator().as_str().to_owned(),
        threshold_thousandths: thousandths(copied.threshold()),
        period_s: u32::try_from(copied.period()).unwrap_or(0),
        periods: u32::try_from(copied.evaluation_periods()).unwrap_or(0),
    }
}

fn kind_from_aws(config: &aws::HealthCheckConfig) -> CheckKind {
    use aws::HealthCheckType as Kind;
    let number = |n: Option<i32>, default: u32| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    let protocol = match config.r#type() {
        Kind::Http | Kind::HttpStrMatch => Protocol::Http,
        Kind::Https | Kind::HttpsStrMatch => Protocol::Https,
        Kind::Tcp => Protocol::Tcp,
        Kind::Calculated => {
            return CheckKind::Calculated {
                children: config.child_health_checks().iter().map(|id| HealthCheckId::from(id.as_str())).collect(),
                threshold: number(config.health_threshold(), 0),
            };
        }
        Kind::CloudwatchMetric => {
            let Some(alarm) = config.alarm_identifier() else {
                return CheckKind::Other(config.r#type().as_str().to_owned());
            };
            let region = Region::from(alarm.region().as_str());
            return CheckKind::Alarm { region, name: alarm.name().to_owned() };
        }
        other => return CheckKind::Other(other.as_str().to_owned()),
    };
    let default_port = match protocol {
        Protocol::Https => 443,
        _ => 80,
    };
    CheckKind::Endpoint(EndpointCheck {
        protocol,
        host: config.ip_address().or(config.fully_qualified_domain_name()).unwrap_or_default().to_ascii_lowercase(),
        port: u16::try_from(number(config.port(), default_port)).unwrap_or_default(),
        path: config.resource_path().unwrap_or_default().to_owned(),
        search: config.search_string().map(str::to_owned),
        interval_s: number(config.request_interval(), 30),
        failure_threshold: number(config.failure_threshold(), DEFAULT_THRESHOLD),
    })
}

/// The whole configuration, for `CreateHealthCheck`.
pub(super) fn to_aws(config: &HealthCheckConfig) -> Result<aws::HealthCheckConfig, String> {
    let made = aws::HealthCheckConfig::builder().inverted(config.inverted).disabled(config.disabled);
    let made = match &config.kind {
        CheckKind::Endpoint(endpoint) => endpoint_to_aws(made, endpoint)?,
        CheckKind::Calculated { children, threshold } => made
            .r#type(aws::HealthCheckType::Calculated)
            .set_child_health_checks(Some(children.iter().map(ToString::to_string).collect()))
            .health_threshold(whole(*threshold)),
        CheckKind::Alarm { region, name } => made
            .r#type(aws::HealthCheckType::CloudwatchMetric)
            .alarm_identifier(alarm_to_aws(region, name)?)
            .insufficient_data_health_status(aws::InsufficientDataHealthStatus::LastKnownStatus),
        CheckKind::Other(word) => return Err(format!("a check of type {word} is never failoverd's")),
    };
    made.build().map_err(|error| error.to_string())
}

pub(super) fn alarm_to_aws(region: &Region, name: &str) -> Result<aws::AlarmIdentifier, String> {
    let region = aws::CloudWatchRegion::from(region.as_str());
    aws::AlarmIdentifier::builder().region(region).name(name).build().map_err(|error| error.to_string())
}

fn endpoint_to_aws(
    made: aws::builders::HealthCheckConfigBuilder,
    endpoint: &EndpointCheck,
) -> Result<aws::builders::HealthCheckConfigBuilder, String> {
    use aws::HealthCheckType as Kind;
    let kind = match (endpoint.protocol, &endpoint.search) {
        (Protocol::Http, None) => Kind::Http,
        (Protocol::Http, Some(_)) => Kind::HttpStrMatch,
        (Protocol::Https, None) => Kind::Https,
        (Protocol::Https, Some(_)) => Kind::HttpsStrMatch,
        (Protocol::Tcp, None) => Kind::Tcp,
        (Protocol::Tcp, Some(_)) => return Err("a TCP check cannot look for a text".to_owned()),
    };
    let made = made
        .r#type(kind)
        .port(i32::from(endpoint.port))
        .request_interval(whole(endpoint.interval_s))
        .failure_threshold(whole(endpoint.failure_threshold))
        .set_search_string(endpoint.search.clone())
        .set_enable_sni((endpoint.protocol == Protocol::Https).then_some(true));
    let made = if endpoint.path.is_empty() { made } else { made.resource_path(&endpoint.path) };
    Ok(match endpoint.host.parse::<IpAddr>() {
        Ok(_) => made.ip_address(&endpoint.host),
        Err(_) => made.fully_qualified_domain_name(&endpoint.host),
    })
}

pub(super) fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(protocol: Protocol, host: &str, search: Option<&str>) -> CheckKind {
        CheckKind::Endpoint(EndpointCheck {
            protocol,
            host: host.to_owned(),
            port: 8443,
            path: if protocol == Protocol::Tcp { String::new() } else { "/s/abc".to_owned() },
            search: search.map(str::to_owned),
            interval_s: 10,
            failure_threshold: 1,
        })
    }

    #[test]
    fn every_kind_goes_there_and_back() {
        let kinds = [
            endpoint(Protocol::Http, "192.0.2.1", Some("switch=on")),
            endpoint(Protocol::Https, "switch.example.com", Some("switch=off")),
            endpoint(Protocol::Http, "a.example.com", None),
            endpoint(Protocol::Https, "2001:db8::1", None),
            endpoint(Protocol::Tcp, "db.example.com", None),
            CheckKind::Calculated { children: vec!["a".into(), "b".into()], threshold: 0 },
            CheckKind::Alarm { region: "eu-west-1".into(), name: "alarm".to_owned() },
        ];
        for kind in kinds {
            for (inverted, disabled) in [(false, false), (true, true)] {
                let config = HealthCheckConfig { kind: kind.clone(), inverted, disabled };
                let sent = to_aws(&config).unwrap();
                let held = aws::HealthCheck::builder()
                    .id("hc")
                    .caller_reference("failoverd/x")
                    .health_check_version(7)
                    .health_check_config(sent)
                    .build()
                    .unwrap();
                let back = from_aws(&held).unwrap();
                assert_eq!((back.config, back.version, back.id), (config, 7, "hc".into()));
            }
        }
    }

    #[test]
    fn addresses_and_names_go_where_route_53_wants_them() {
        let sent = |host| {
            to_aws(&HealthCheckConfig { kind: endpoint(Protocol::Https, host, None), inverted: false, disabled: false })
                .unwrap()
        };
        assert_eq!(
            (sent("192.0.2.1").ip_address(), sent("192.0.2.1").fully_qualified_domain_name()),
            (Some("192.0.2.1"), None)
        );
        assert_eq!(
            (sent("a.example.com").ip_address(), sent("a.example.com").fully_qualified_domain_name()),
            (None, Some("a.example.com"))
        );
        assert_eq!(sent("a.example.com").enable_sni(), Some(true));
    }

    #[test]
    fn a_kind_that_is_never_ours_is_seen_and_never_sent() {
        let config = aws::HealthCheckConfig::builder().r#type(aws::HealthCheckType::RecoveryControl).build().unwrap();
        let kind = kind_from_aws(&config);
        assert_eq!(kind, CheckKind::Other("RECOVERY_CONTROL".to_owned()));
        assert!(to_aws(&HealthCheckConfig { kind, inverted: false, disabled: false }).is_err());
    }
}
