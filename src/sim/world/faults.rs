//! What is broken, and for whom: Regions, services, planes, networks, credentials, lost answers.
//!
//! Route 53 answers DNS whatever is set here for its API: its data plane is everywhere.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use failoverd_domain::ids::Region;

use super::refusal::Refusal;
use super::timing::Timing;
use crate::ports::Action;

/// Where Route 53's control plane lives.
pub const ROUTE53_REGION: &str = "us-east-1";

/// A service that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Route 53's API.
    Route53,
    /// The RDS API.
    Rds,
    /// DynamoDB.
    Dynamodb,
    /// S3.
    S3,
    /// CloudWatch.
    Cloudwatch,
    /// STS.
    Sts,
    /// IAM.
    Iam,
    /// SQL at an Aurora cluster's endpoint: not an AWS API, so it knows no throttling and no tokens.
    Database,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 8] =
        [Self::Route53, Self::Rds, Self::Dynamodb, Self::S3, Self::Cloudwatch, Self::Sts, Self::Iam, Self::Database];

    /// As AWS and `CallError` write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route53 => "route53",
            Self::Rds => "rds",
            Self::Dynamodb => "dynamodb",
            Self::S3 => "s3",
            Self::Cloudwatch => "cloudwatch",
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::Database => "database",
        }
    }

    const fn throttling_code(self) -> &'static str {
        match self {
            Self::Dynamodb => "ThrottlingException",
            Self::S3 => "SlowDown",
            _ => "Throttling",
        }
    }
}

/// Which half of a service a call belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Reads and writes of data, metrics.
    Data,
    /// Changes and descriptions of resources.
    Control,
}

/// What happens to a call before the service looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It arrives, after this long.
    Open {
        /// Milliseconds there and back.
        latency_ms: u64,
    },
    /// Nothing answers.
    Silent,
    /// It is refused at the door.
    Refused(Refusal),
}

/// All faults in force.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub(super) down: BTreeSet<Region>,
    pub(super) control_down: BTreeSet<Region>,
    pub(super) service_down: BTreeSet<(Region, Service)>,
    pub(super) slow_ms: BTreeMap<(Region, Service), u64>,
    pub(super) throttled: BTreeSet<(Region, Service)>,
    /// How many calls were throttled so far.
    pub(super) turned_away: Cell<u64>,
    pub(super) lost_answers: BTreeMap<(Region, Service), u32>,
    pub(super) expired: BTreeSet<Region>,
    pub(super) route53_api_down: bool,
    pub(super) prior_requests: u32,
    pub(super) cuts: BTreeSet<(Region, Region)>,
    pub(super) isolated: BTreeSet<Region>,
    pub(super) without_dns: BTreeSet<Region>,
    /// Answers that the name server which a caller asks goes on giving, by name.
    pub(super) old_answers: BTreeMap<(Region, String), Vec<String>>,
    /// API actions that the role of the daemon in a Region may not do.
    pub(super) denied_actions: BTreeSet<(Region, String)>,
    /// Roles that nobody may assume.
    pub(super) closed_roles: BTreeSet<String>,
}

impl Faults {
    /// Whether the Region is up at all.
    #[must_use]
    pub fn is_up(&self, region: &Region) -> bool {
        !self.down.contains(region)
    }

    /// Whether the network between a caller and a Region works. A Region that is up always reaches itself.
    #[must_use]
    pub fn reaches(&self, caller: &Region, region: &Region) -> bool {
        if !self.is_up(caller) {
            return false;
        }
        caller == region
            || !(self.isolated.contains(caller)
                || self.isolated.contains(region)
                || self.cuts.contains(&(caller.clone(), region.clone())))
    }

    /// Whether the world outside (clients, Route 53's checkers) reaches the Region's endpoints.
    #[must_use]
    pub fn is_reachable_from_outside(&self, region: &Region) -> bool {
        self.is_up(region) && !self.isolated.contains(region)
    }

    /// Whether data can be replicated between two Regions.
    #[must_use]
    pub fn linked(&self, a: &Region, b: &Region) -> bool {
        self.is_up(a) && self.is_up(b) && self.reaches(a, b) && self.reaches(b, a)
    }

    /// Whether a caller can ask DNS.
    #[must_use]
    pub fn has_dns(&self, caller: &Region) -> bool {
        self.is_up(caller) && !self.isolated.contains(caller) && !self.without_dns.contains(caller)
    }

    /// The answer that a caller is still given to a name, whatever stands in the zone by now.
    #[must_use]
    pub fn old_answer(&self, caller: &Region, name: &str) -> Option<Vec<String>> {
        self.old_answers.get(&(caller.clone(), name.to_owned())).cloned()
    }

    /// What happens at the door to a call from `caller` (`None`: from nowhere in particular).
    #[must_use]
    pub fn gate(
        &self,
        caller: Option<&Region>,
        service: Service,
        region: &Region,
        plane: Plane,
        timing: &Timing,
    ) -> Gate {
        let at = (region.clone(), service);
        let region_works = match service {
            // Broken by itself only: `break_region` is about what a Region hosts for its customers.
            Service::Route53 => !self.route53_api_down,
            // Global, and not what a broken Region is about.
            Service::Iam => true,
            _ => self.is_up(region) && !(plane == Plane::Control && self.control_down.contains(region)),
        };
        let path_works = caller.is_none_or(|caller| self.reaches(caller, region));
        if !region_works || !path_works || self.service_down.contains(&at) {
            return Gate::Silent;
        }
        if service != Service::Database {
            if caller.is_some_and(|caller| self.expired.contains(caller)) {
                return Gate::Refused(Refusal::new(
                    "ExpiredToken",
                    "The security token included in the request is expired",
                ));
            }
            if self.throttled.contains(&at) {
                self.turned_away.set(self.turned_away.get() + 1);
                return Gate::Refused(Refusal::later(service.throttling_code(), "Rate exceeded"));
            }
        }
        let near = caller.is_none_or(|caller| caller == region);
        let base = if near { timing.call_ms } else { timing.far_call_ms };
        Gate::Open { latency_ms: base + self.slow_ms.get(&at).copied().unwrap_or(0) }
    }

    /// Whether the role of the daemon in a Region may not do that.
    #[must_use]
    pub fn denies(&self, caller: &Region, action: &str) -> bool {
        self.denied_actions.contains(&(caller.clone(), action.to_owned()))
    }

    /// Whether nobody may assume that role.
    #[must_use]
    pub fn may_not_assume(&self, role_arn: &str) -> bool {
        self.closed_roles.contains(role_arn)
    }

    /// Those of `actions` that `caller` may not do, with IAM's word.
    #[must_use]
    pub fn denied(&self, caller: &Region, actions: &[Action]) -> Vec<(Action, String)> {
        let is_denied = |action: &&Action| self.denies(caller, &action.name);
        actions.iter().filter(is_denied).map(|action| (action.clone(), "explicitDeny".to_owned())).collect()
    }

    /// Takes one of the answers that are to be lost, if any is left.
    pub fn takes_answer(&mut self, service: Service, region: &Region) -> bool {
        match self.lost_answers.get_mut(&(region.clone(), service)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}
