//! Health checks and what Route 53's checkers make of them.
//!
//! "How Amazon Route 53 determines whether a health check is healthy". Checkers live outside all Regions.

use std::collections::{BTreeMap, BTreeSet};

use failoverd_domain::ids::HealthCheckId;
use failoverd_domain::route53::{
    CheckKind, EndpointCheck, HealthCheck, HealthCheckConfig, Protocol, calculated_is_healthy,
};

use super::World;
use super::alarms::AlarmRule;
use super::faults::{ROUTE53_REGION, Service};
use super::refusal::Refusal;
use super::timing::Timing;
use crate::ports::Quota;

/// Simulated checker sites; each counts for itself.
pub const SITES: usize = 3;
/// An endpoint is healthy when more than this share of the sites says so.
const HEALTHY_PERCENT: usize = 18;
/// Only so much of a body is searched.
const SEARCHED_BYTES: usize = 5_120;
/// CALCULATED checks over CALCULATED checks end here.
const MAX_DEPTH: u32 = 8;
const MAX_CHILDREN: usize = 255;

/// All health checks of the account.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    held: BTreeMap<HealthCheckId, Held>,
    /// References of those that were deleted.
    deleted: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Held {
    check: HealthCheck,
    created_as: HealthCheckConfig,
    /// The rule of its alarm, as it was when the check was made or last updated.
    copied: Option<AlarmRule>,
    sites: [Site; SITES],
}

#[derive(Clone, Copy, Debug)]
struct Site {
    healthy: bool,
    /// Results in a row that contradict `healthy`.
    against: u32,
    due_ms: u64,
    /// A question under way is given up then, for instance because the driver was dropped.
    asking_until_ms: u64,
}

/// One question of one checker site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The check.
    pub check: HealthCheckId,
    /// The site that asks.
    pub site: usize,
    /// What is asked.
    pub endpoint: EndpointCheck,
}

impl Poll {
    /// Whether an answer is a good one: 2xx or 3xx and, if one is searched for, the text near its start.
    #[must_use]
    pub fn is_good(&self, answer: &Result<(u16, Vec<u8>), String>) -> bool {
        let Ok((status, body)) = answer else { return false };
        if self.endpoint.protocol == Protocol::Tcp {
            return true;
        }
        let searched = &body[..body.len().min(SEARCHED_BYTES)];
        (200..400).contains(status)
            && self.endpoint.search.as_ref().is_none_or(|text| {
                text.is_empty() || searched.windows(text.len()).any(|window| window == text.as_bytes())
            })
    }
}

impl Checks {
    /// Whether there is such a check.
    #[must_use]
    pub fn exists(&self, id: &HealthCheckId) -> bool {
        self.held.contains_key(id)
    }

    /// All checks, by id.
    pub fn iter(&self) -> impl Iterator<Item = &HealthCheck> {
        self.held.values().map(|held| &held.check)
    }

    /// What each site of an endpoint check says now, before inversion.
    #[must_use]
    pub fn sites(&self, id: &HealthCheckId) -> Option<[bool; SITES]> {
        self.held.get(id).map(|held| held.sites.map(|site| site.healthy))
    }

    /// Questions that are due; each is then under way until its result is recorded.
    pub fn take_due(&mut self, now_ms: u64, timing: &Timing) -> Vec<Poll> {
        let mut polls = Vec::new();
        for (id, held) in &mut self.held {
            let CheckKind::Endpoint(endpoint) = &held.check.config.kind else { continue };
            if held.check.config.disabled {
                continue;
            }
            for (index, site) in held.sites.iter_mut().enumerate() {
                if site.asking_until_ms.max(site.due_ms) > now_ms {
                    continue;
                }
                site.asking_until_ms = now_ms + 2 * timing.checker_timeout_ms;
                site.due_ms = now_ms + interval_ms(endpoint, timing.checker_interval_percent);
                polls.push(Poll { check: id.clone(), site: index, endpoint: endpoint.clone() });
            }
        }
        polls
    }

    /// Takes a site's result in. The check may be gone or changed meanwhile.
    pub fn record(&mut self, poll: &Poll, good: bool) {
        let Some(held) = self.held.get_mut(&poll.check) else { return };
        let CheckKind::Endpoint(endpoint) = &held.check.config.kind else { return };
        let threshold = endpoint.failure_threshold.max(1);
        let Some(site) = held.sites.get_mut(poll.site) else { return };
        site.asking_until_ms = 0;
        site.against = if good == site.healthy { 0 } else { site.against + 1 };
        if site.against >= threshold {
            site.healthy = good;
            site.against = 0;
        }
    }
}

fn interval_ms(endpoint: &EndpointCheck, percent: u64) -> u64 {
    (u64::from(endpoint.interval_s) * 10 * percent).max(1)
}

impl World {
    /// `GetAccountLimit` for health checks.
    #[must_use]
    pub fn check_quota(&self) -> Quota {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Quota { used: count(self.checks.iter().count()), limit: count(self.timing.health_check_quota) }
    }

    /// State of a check as the name servers use it.
    #[must_use]
    pub fn check_is_healthy(&self, id: &HealthCheckId) -> bool {
        self.health_of(id, 0)
    }

    fn health_of(&self, id: &HealthCheckId, depth: u32) -> bool {
        // Route 53 promises nothing about a record whose check was deleted.
        let Some(held) = self.checks.held.get(id) else { return true };
        let config = &held.check.config;
        let plain = config.disabled || depth > MAX_DEPTH || self.plain_health(held, depth);
        plain != config.inverted
    }

    fn plain_health(&self, held: &Held, depth: u32) -> bool {
        match &held.check.config.kind {
            CheckKind::Endpoint(_) => {
                held.sites.iter().filter(|site| site.healthy).count() * 100 > HEALTHY_PERCENT * SITES
            }
            CheckKind::Calculated { children, threshold } => {
                let healthy = children.iter().filter(|child| self.health_of(child, depth + 1)).count();
                calculated_is_healthy(u32::try_from(healthy).unwrap_or(u32::MAX), *threshold)
            }
            CheckKind::Alarm { region, name } => {
                let kept = self.labels.kept(&held.check.id);
                let insufficient = kept.get("InsufficientDataHealthStatus").map(String::as_str);
                self.stream_is_healthy(region, name, insufficient, held.copied.as_ref())
            }
            // What decides it is not simulated.
            CheckKind::Other(_) => true,
        }
    }

    /// Whether a check of that reference was deleted: Route 53 remembers it for days, here it does for ever.
    #[must_use]
    pub fn was_deleted(&self, reference: &str) -> bool {
        self.checks.deleted.contains(reference)
    }

    /// `CreateHealthCheck`: the same reference and configuration again gives the same check.
    pub fn create_check(&mut self, reference: &str, config: HealthCheckConfig) -> Result<HealthCheck, Refusal> {
        if let Some(held) = self.checks.held.values().find(|held| held.check.caller_reference == reference) {
            return if held.created_as == config || held.check.config == config {
                Ok(held.check.clone())
            } else {
                let message =
                    format!("A health check with caller reference {reference} and other settings already exists.");
                Err(Refusal::new("HealthCheckAlreadyExists", message))
            };
        }
        self.valid_config(&config)?;
        if self.was_deleted(reference) {
            let message = format!("A health check with caller reference {reference} was deleted a short time ago.");
            return Err(Refusal::new("HealthCheckAlreadyExists", message));
        }
        if self.checks.held.len() >= self.timing.health_check_quota {
            return Err(Refusal::new("TooManyHealthChecks", "This account has reached its limit of health checks."));
        }
        let (a, b) = (self.draws.next_u64(), self.draws.next_u64());
        let id = HealthCheckId::new(format!("{:08x}-{:04x}-{:016x}", a >> 32, a & 0xFFFF, b));
        let rule = self.rule_to_copy(&config);
        let check = HealthCheck {
            id: id.clone(),
            version: 1,
            caller_reference: reference.into(),
            config: config.clone(),
            copied: rule.as_ref().map(AlarmRule::copied),
        };
        let arguments = format!("{reference} {config:?}");
        let held =
            Held { check: check.clone(), created_as: config, copied: rule, sites: self.new_sites(&check.config) };
        self.checks.held.insert(id, held);
        self.note(Service::Route53, "CreateHealthCheck", &ROUTE53_REGION.into(), arguments, true);
        Ok(check)
    }

    /// Route 53 copies an alarm's settings when a check is made and when it is updated, and not when the alarm changes
    /// (<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-updating-cloudwatch-alarm-settings.html>).
    /// Where there is no alarm yet, the check follows the one that comes.
    fn rule_to_copy(&self, config: &HealthCheckConfig) -> Option<AlarmRule> {
        match &config.kind {
            CheckKind::Alarm { region, name } => self.alarm_rule(region, name).cloned(),
            _ => None,
        }
    }

    /// A new check counts as healthy until it knows better; sites ask one after the other.
    fn new_sites(&self, config: &HealthCheckConfig) -> [Site; SITES] {
        let interval = match &config.kind {
            CheckKind::Endpoint(endpoint) => interval_ms(endpoint, self.timing.checker_interval_percent),
            _ => 0,
        };
        std::array::from_fn(|index| {
            let due_ms = self.now_ms + interval * index as u64 / SITES as u64;
            Site { healthy: true, against: 0, due_ms, asking_until_ms: 0 }
        })
    }

    /// `UpdateHealthCheck`, only for the version that the caller read. The kind of a check cannot change.
    pub fn update_check(
        &mut self,
        id: &HealthCheckId,
        version: u64,
        config: HealthCheckConfig,
    ) -> Result<HealthCheck, Refusal> {
        self.valid_config(&config)?;
        let rule = self.rule_to_copy(&config);
        let held = self.checks.held.get_mut(id).ok_or_else(|| no_such_check(id))?;
        if held.check.version != version {
            let message = format!("The health check is at version {}, not {version}.", held.check.version);
            return Err(Refusal::new("HealthCheckVersionMismatch", message));
        }
        let same_kind = match (&held.check.config.kind, &config.kind) {
            (CheckKind::Endpoint(old), CheckKind::Endpoint(new)) => {
                old.protocol == new.protocol && old.interval_s == new.interval_s
            }
            (old, new) => std::mem::discriminant(old) == std::mem::discriminant(new),
        };
        if !same_kind {
            return Err(Refusal::new("InvalidInput", "The type and the interval of a health check cannot be changed."));
        }
        let changed = held.check.config != config;
        held.check.version += 1;
        held.check.config = config;
        (held.check.copied, held.copied) = (rule.as_ref().map(AlarmRule::copied), rule);
        let check = held.check.clone();
        let arguments = format!("{id} version {version} {:?}", check.config);
        self.note(Service::Route53, "UpdateHealthCheck", &ROUTE53_REGION.into(), arguments, changed);
        Ok(check)
    }

    /// `DeleteHealthCheck`; refused while a CALCULATED check counts it.
    pub fn delete_check(&mut self, id: &HealthCheckId) -> Result<(), Refusal> {
        if !self.checks.exists(id) {
            return Err(no_such_check(id));
        }
        let counts_it = |check: &HealthCheck| match &check.config.kind {
            CheckKind::Calculated { children, .. } => children.contains(id),
            _ => false,
        };
        if self.checks.iter().any(counts_it) {
            return Err(Refusal::new("HealthCheckInUse", format!("Health check {id} is a child of a calculated one.")));
        }
        if let Some(held) = self.checks.held.remove(id) {
            self.checks.deleted.insert(held.check.caller_reference);
        }
        self.note(Service::Route53, "DeleteHealthCheck", &ROUTE53_REGION.into(), id.to_string(), true);
        Ok(())
    }

    fn is_calculated(&self, id: &HealthCheckId) -> bool {
        let held = self.checks.held.get(id);
        held.is_some_and(|held| matches!(held.check.config.kind, CheckKind::Calculated { .. }))
    }

    fn valid_config(&self, config: &HealthCheckConfig) -> Result<(), Refusal> {
        let problem = match &config.kind {
            CheckKind::Endpoint(e) if !matches!(e.interval_s, 10 | 30) => "RequestInterval must be 10 or 30".to_owned(),
            CheckKind::Endpoint(e) if !(1..=10).contains(&e.failure_threshold) => {
                "FailureThreshold must be 1 to 10".to_owned()
            }
            CheckKind::Endpoint(e) if e.port == 0 || e.host.is_empty() => {
                "an endpoint needs a host and a port".to_owned()
            }
            CheckKind::Endpoint(e) if e.search.as_ref().is_some_and(|s| s.is_empty() || s.len() > 255) => {
                "SearchString must have 1 to 255 characters".to_owned()
            }
            CheckKind::Calculated { children, .. } if children.len() > MAX_CHILDREN => {
                format!("at most {MAX_CHILDREN} child health checks")
            }
            CheckKind::Calculated { children, .. } => match children.iter().find(|child| !self.checks.exists(child)) {
                Some(child) => format!("child health check {child} does not exist"),
                None => match children.iter().find(|child| self.is_calculated(child)) {
                    Some(child) => format!("child health check {child} is itself a calculated one"),
                    None => return Ok(()),
                },
            },
            _ => return Ok(()),
        };
        Err(Refusal::new("InvalidInput", problem))
    }
}

fn no_such_check(id: &HealthCheckId) -> Refusal {
    Refusal::new("NoSuchHealthCheck", format!("A health check with id {id} does not exist."))
}
